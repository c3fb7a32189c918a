"""The table of the zoo in docs/zoo.md, from its index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blurnet_tf.models.zoo import ZooEntry, is_packaged
from blurnet_tf.reporting.tables import DASH, markdown_table

START, END = "<!-- Below: `make assets`, from the index of the zoo. -->", "<!-- Above: `make assets`. -->"
HEADER = (
    "model", "accuracy", "white paint", "one sticker for all", "one for each", "in larger stickers",
    "held-out stop signs", "flags", "in the package",
)  # fmt: skip


def zoo_table(entries: Sequence[ZooEntry]) -> str:
    """Return a row for each model as Markdown: its accuracy, what breaks it, and whether its weights are packaged."""
    return markdown_table(HEADER, [_cells(one) for one in entries])


def with_table(page: str, entries: Sequence[ZooEntry]) -> str:
    """Return a page with the table of these entries between its two marks."""
    before, _, rest = page.partition(START)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"The page of the zoo must have the lines {START!r} and {END!r}. Received: one without")
    return "\n\n".join([f"{before}{START}", zoo_table(entries), f"{END}{after}"])


def _cells(entry: ZooEntry) -> list[str]:
    nothing: Mapping[str, Any] = {}
    victims, signs, *_ = (*entry.measured, nothing, nothing)
    bars = [row["per_image"] for row in victims.get("curve", ()) if row["family"] == "bars"]
    flags = sorted({flag for measured in entry.measured for flag in measured["flags"]})
    return [
        f"`{entry.place}`",
        f"{100 * entry.accuracy:.1f}",
        *(_percent(victims, name) for name in ("floor_white", "shared", "per_image")),
        " / ".join(f"{100 * one:.1f}" for one in bars) or DASH,
        _percent(signs, "per_image"),
        ", ".join(flags) or DASH,
        "yes" if is_packaged(entry) else DASH,
    ]


def _percent(measured: Mapping[str, Any], name: str) -> str:
    value = measured.get(name)
    return DASH if value is None else f"{100 * value:.1f}"
