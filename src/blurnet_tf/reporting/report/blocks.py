"""What the page is built of. Each block names the macro of the template that draws it; all text is escaped there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from blurnet_tf.reporting.tables import per_cent

DASH = "–"  # noqa: RUF001
"""Stands for a number that there is none of."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A share, its interval and the paper's share on a line from 0 to 1, as places on a drawing 120 wide."""

    share: float
    low: float
    high: float
    paper: float | None = None

    @property
    def places(self) -> dict[str, float]:
        """Where each stands, by name; the paper's is left out if there is none."""
        shares = {"share": self.share, "low": self.low, "high": self.high, "paper": self.paper}
        return {name: round(6 + 108 * share, 1) for name, share in shares.items() if share is not None}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table: its text, the very number behind it, and what is drawn with it."""

    text: str
    value: float | None = None
    bar: Bar | None = None
    background: str = ""
    ink: str = ""
    left: bool = False

    @property
    def parts(self) -> list[str]:
        """The text in parts between which a line may end."""
        return word_parts(self.text)

    @property
    def words(self) -> bool:
        """Whether this is text, not a number or the dash for none."""
        return self.value is None and self.text != DASH


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; the first cell of each row is its header. `heat`: small cells under upright headers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    heat: bool = False
    macro: ClassVar[str] = "table"


@dataclass(frozen=True, kw_only=True)
class Text:
    """Paragraphs, or with `listed` the points of a list."""

    sentences: Sequence[str]
    listed: bool = False
    macro: ClassVar[str] = "text"


@dataclass(frozen=True, kw_only=True)
class Absent:
    """Says what is not there and which command makes it."""

    sentence: str
    macro: ClassVar[str] = "absent"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A number of the headline, what it is, and what the paper has."""

    label: str
    number: str
    beside: str


@dataclass(frozen=True, kw_only=True)
class Cards:
    """The numbers of the headline."""

    cards: Sequence[Card]
    macro: ClassVar[str] = "cards"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture with what stands below it. `changed` marks a prediction that the attack changed."""

    uri: str
    alt: str
    caption: str
    says: str = ""
    changed: bool = False

    @property
    def parts(self) -> list[str]:
        """The caption in parts between which a line may end."""
        return word_parts(self.caption)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures under a heading: `small` ones of 32x32 pixels beside one another, figures, or a `wide` figure."""

    title: str
    pictures: Sequence[Picture]
    note: str = ""
    small: bool = False
    wide: bool = False
    macro: ClassVar[str] = "pictures"


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis: where it is, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Lines over steps: thin ones, thick ones of different looks, and the axes, on a drawing of 300 by 150."""

    title: str
    says: str
    thin: Sequence[str]
    thick: Sequence[str]
    across: Sequence[Tick]
    up: Sequence[Tick]


@dataclass(frozen=True, kw_only=True)
class Panels:
    """Drawings of lines, beside one another. `legend` names the thick lines, where there are several."""

    title: str
    panels: Sequence[Panel]
    note: str = ""
    legend: Sequence[str] = ()
    macro: ClassVar[str] = "panels"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Terms and what each is."""

    title: str
    facts: Sequence[tuple[str, str]]
    macro: ClassVar[str] = "facts"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the page. `key` is its anchor."""

    key: str
    title: str
    blocks: Sequence[Any] = field(default_factory=tuple)


def word_parts(text: str) -> list[str]:
    """Return a text in parts between which a line may end: names of classes and runs are long words.

    Example:
        >>> word_parts("schoolSpeedLimit25")
        ['school', 'Speed', 'Limit25']
    """
    return re.split(r"(?<=[a-z])(?=[A-Z])|(?<=_)(?=[^_])", text)


def share_cell(row: Mapping[str, Any], key: str, *, paper: float | None = None) -> Cell:
    """Return the cell of a share that `with_interval` put into a row, with its interval as text and drawn."""
    bar = Bar(share=row[key], low=row[f"{key}_low"], high=row[f"{key}_high"], paper=paper)
    return Cell(text=per_cent(row, key), value=row[key], bar=bar)


def number_cell(value: float | None, *, scale: float = 100, digits: int = 1) -> Cell:
    """Return the cell of a number, by default of a share in per cent; a dash for none."""
    return Cell(text=DASH if value is None else f"{scale * value:.{digits}f}", value=value)
