"""Tables: cells with their numbers, as Markdown or on the report page; and rows as CSV and JSON files."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from blurnet_tf.checks import printable
from blurnet_tf.evaluation.metrics import Spread
from blurnet_tf.files import write_json, write_text
from blurnet_tf.reporting.paper import Figures
from blurnet_tf.reporting.rows import Share

DASH = "–"  # noqa: RUF001
COLUMNS = {"name": "row", "penalty": "lambda"}  # what some fields of a row are called in the files


class Cell(NamedTuple):
    """A cell of a table: its text, the number behind it, and what the report page draws with it.

    `bar` is where the share, the ends of its interval and the paper's share stand on a drawing 120 wide. `left`: the
    text is a sentence.
    """

    text: str
    value: float | None = None
    bar: Mapping[str, float] | None = None
    background: str = ""
    ink: str = ""
    left: bool = False

    @property
    def words(self) -> bool:
        """Whether this is text, not a number or the dash for none."""
        return self.value is None and self.text != DASH


class Table(NamedTuple):
    """A table; the first cell of each row is its header. `heat`: small cells under upright headers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    heat: bool = False

    @property
    def markdown(self) -> str:
        """The caption, the table, the notes."""
        lines = [["-" if cell.text == DASH else cell.text for cell in row] for row in self.rows]
        parts = (_plain(self.caption), markdown_table(self.header, lines), " ".join(self.notes))
        return "\n\n".join(part for part in parts if part)


Column = tuple[str, Callable[..., Cell], str]
"""A header, what makes a cell of the values of a row, and the fields with these values, spaces between them."""


def share_cell(share: Share | None, paper: float | None = None) -> Cell:
    """Return the cell of a share with its interval in per cent, and the bar of both; a dash for none."""
    if share is None:
        return Cell(text=DASH)
    bar = {"share": share.value, "low": share.low, "high": share.high, "paper": paper}
    places = {name: round(6 + 108 * one, 1) for name, one in bar.items() if one is not None}
    return Cell(text=with_interval(share), value=share.value, bar=places)


def number_cell(value: float | Share | Spread | None, *, scale: float = 100, digits: int = 1) -> Cell:
    """Return the cell of a number without an interval, by default in per cent; a dash for none."""
    number = value.value if isinstance(value, Share) else value.mean if isinstance(value, Spread) else value
    return Cell(text=DASH if number is None else f"{scale * number:.{digits}f}", value=number)


count_cell = functools.partial(number_cell, scale=1, digits=0)
distance_cell = functools.partial(number_cell, scale=1, digits=3)


def exact_cell(value: float | None) -> Cell:  # with as many digits as it has
    return number_cell(None) if value is None else Cell(text=f"{value:g}", value=value)


def columns_table(caption: str, rows: Sequence[Any], columns: Sequence[Column], notes: Sequence[str] = ()) -> Table:
    lines = [
        [cell(*(attrgetter(field)(row) for field in fields.split())) for _, cell, fields in columns] for row in rows
    ]
    return Table(caption=caption, header=[header for header, *_ in columns], rows=lines, notes=notes)


def with_interval(share: Share) -> str:
    """Return a share with its interval, in per cent: "90.0 [76.9, 96.0]"."""
    return f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f}%"


def listed(values: Iterable[float]) -> str:
    """Return numbers with commas between them: "0.002, 2"."""
    return ", ".join(f"{value:g}" for value in values)


def word_parts(text: str) -> list[str]:
    """Return a text in parts between which a line may end, for long names such as "schoolSpeedLimit25"."""
    return re.split(r"(?<=[a-z])(?=[A-Z])|(?<=_)(?=[^_])", text)


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown whose columns are even in plain text too: the first left, the others right."""
    header, *lines = ([_plain(cell) for cell in row] for row in (header, *lines))
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]

    def row(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    return "\n".join([row(header), f"|{rule}|", *(row(line) for line in lines)])


def _plain(text: str) -> str:
    """Return a cell or caption of Markdown: no name of others becomes HTML, a link or a column of its own."""
    one_line = printable(re.sub(r"\s", " ", text), sys.maxsize)
    return re.sub(r"[\\|]|<(?=[a-zA-Z!/?])|\](?=[(:\[])", lambda found: f"\\{found[0]}", one_line)


def _no_formula(value: Any) -> Any:
    """Return a value of a CSV file that a spreadsheet takes for no formula, without control characters."""
    if not isinstance(value, str):
        return value
    value = printable(value, sys.maxsize)
    return f"'{value}" if re.match(r"[=+@\t-]", value) and not _NUMBERS.fullmatch(value) else value


_NUMBERS = re.compile(r"[-+.0-9e]+( [-+.0-9e]+)*")  # a list stands in one field, with spaces between


def flat(row: Any) -> dict[str, Any]:
    """Return a dataclass of `rows` as the columns of a file: numbers, strings, lists and `None`.

    A share becomes `<field>`, `<field>_low` and `<field>_high`; what varies with the seed also has `<field>_seed_min`
    and `<field>_seed_max`; the paper's numbers are `paper_<figure>`. A row inside a row gives its own columns.
    """
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(row):
        value, column = getattr(row, field.name), COLUMNS.get(field.name, field.name)
        kind = str(field.type).removesuffix(" | None")  # the type as it is written, known where the value is `None`
        if kind in ("Share", "SeedShare"):
            parts = {"": "value", "_low": "low", "_high": "high"}
            parts |= {"_seed_min": "least", "_seed_max": "most"} if kind == "SeedShare" else {}
            columns |= {column + end: None if value is None else getattr(value, part) for end, part in parts.items()}
        elif isinstance(value, Spread):
            columns |= {column: value.mean, f"{column}_seed_min": value.least, f"{column}_seed_max": value.most}
        elif isinstance(value, Figures):
            columns |= {f"{column}_{figure}": number for figure, number in dataclasses.asdict(value).items()}
        elif dataclasses.is_dataclass(value):
            columns |= flat(value)
        else:
            columns[column] = list(value) if isinstance(value, tuple) else value
    return columns


def write_table(
    folder: Path, name: str, rows: Sequence[Any], markdown: str, *, more: Mapping[str, Any] | None = None
) -> None:
    """Write dataclasses of `rows` as `<name>.csv`, `<name>.md` and, last, `<name>.json` into a folder, each atomically.

    In the CSV file the values of a list stand in one field with spaces between them, `None` is an empty field, and a
    text that a spreadsheet would take for a formula begins with an apostrophe.
    `more` are further columns, the same in all rows.
    """
    columns = [flat(row) | dict(more or {}) for row in rows]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(columns[0]), lineterminator="\n")
    writer.writeheader()
    for row in columns:
        texts = {key: " ".join(map(str, one)) if isinstance(one, list) else one for key, one in row.items()}
        writer.writerow({key: _no_formula(one) for key, one in texts.items()})
    write_text(folder / f"{name}.csv", text.getvalue())
    write_text(folder / f"{name}.md", markdown)
    write_json(folder / f"{name}.json", columns)
