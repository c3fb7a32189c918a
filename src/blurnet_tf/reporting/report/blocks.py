"""The page, and what it is built of beside tables. The macro of a block in the template has the name of its class."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from blurnet_tf.reporting.tables import word_parts


class Text(NamedTuple):
    """Paragraphs, or with `listed` the points of a list."""

    sentences: Sequence[str]
    listed: bool = False


class Absent(NamedTuple):
    """Says what is not there and which command makes it."""

    sentence: str


class Card(NamedTuple):
    label: str
    number: str
    beside: str


class Cards(NamedTuple):
    cards: Sequence[Card]


class Picture(NamedTuple):
    """A picture with what stands below it. `changed` marks a prediction that the attack changed."""

    uri: str
    alt: str
    caption: str
    says: str = ""
    changed: bool = False


class Pictures(NamedTuple):
    """Figures under a heading, or a `wide` one."""

    title: str
    pictures: Sequence[Picture]
    wide: bool = False


class Column(NamedTuple):
    """What a model makes of the signs of a gallery: a picture for each of its rows, `None` for an empty place."""

    title: str
    note: str
    pictures: Sequence[Picture | None]


class Gallery(NamedTuple):
    """Small pictures in columns, which a reader may hide, so that two models stand beside one another."""

    caption: str
    columns: Sequence[Column]


class Panel(NamedTuple):
    """Lines over steps: thin ones, thick ones of different looks, and the axes, on a drawing of 300 by 150.

    `across` and `up` are the ticks: where each is, and what stands there.
    """

    title: str
    says: str
    thin: Sequence[str]
    thick: Sequence[str]
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]


class Panels(NamedTuple):
    """Drawings of lines, beside one another. `legend` names the thick lines, where there are several."""

    title: str
    panels: Sequence[Panel]
    note: str = ""
    legend: Sequence[str] = ()


class Facts(NamedTuple):
    title: str
    facts: Sequence[tuple[str, str]]


class Section(NamedTuple):
    key: str  # its anchor
    title: str
    blocks: Sequence[Any]


def png_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def render(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Return the page as HTML, with the sentence `lead` below its title.

    All text is escaped. The page needs no other file; the same sections give the same bytes.
    """
    environment = Environment(
        loader=PackageLoader("blurnet_tf.reporting.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["word_parts"] = word_parts
    return environment.get_template("page.html.j2").render(title=title, lead=lead, sections=sections)
