"""The heat map of success: a table whose cells are coloured, each with ink that can be read on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.colors import to_hex, to_rgb

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.metrics import RateOf
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.report.blocks import DASH, Cell, Table
from blurnet_tf.reporting.report.stored import WhiteBox
from blurnet_tf.reporting.white_box import row_titles


def heat_maps(white_box: WhiteBox) -> list[Table]:
    """Return the share of predictions changed, and of targets reached, by row and target."""
    records, names = white_box.records, white_box.run["class_names"]
    union = {row["row"]: row["union_success"] for row in white_box.rows}
    white = {row["row"]: row["floor_white"] for row in white_box.rows}
    several = len({(record.penalty, record.seed) for record in records}) > 1
    mean = "; the mean over lambdas and seeds" if several else ""
    return [
        _heat_map(
            records,
            names,
            metrics.prediction_changed,
            caption=f"Predictions changed, in per cent, by wanted class{mean}",
            beside={"any target": union, "white sticker": white},
            notes=[
                "Any target: signs that at least one attack changes. White sticker: what a plain one changes, without "
                "an attack." + _unused(names)
            ],
        ),
        _heat_map(
            records, names, metrics.target_reached, caption=f"Signs taken for the wanted class, in per cent{mean}"
        ),
    ]


def _heat_map(
    records: Sequence[Record],
    class_names: Sequence[str],
    rate: RateOf,
    *,
    caption: str,
    beside: Mapping[str, Mapping[str, float]] | None = None,
    notes: Sequence[str] = (),
) -> Table:
    beside = beside or {}
    targets = sorted({record.target for record in records if record.target is not None})
    rows = []
    for name, title in row_titles(records).items():
        groups = [[one for one in records if (one.victim, one.target) == (name, target)] for target in targets]
        shares: list[float | None] = [rate(group).value if group else None for group in groups]
        shares += [column[name] for column in beside.values()]
        rows.append((Cell(text=title), *map(heat_cell, shares)))
    header = ("model", *(class_names[target] for target in targets), *beside)
    return Table(caption=caption, header=header, rows=rows, notes=notes, heat=True)


def _unused(class_names: Sequence[str]) -> str:
    return " Unused: the output that belongs to no sign." if "unused" in class_names else ""


def heat_cell(share: float | None) -> Cell:
    """Return the cell of a share: the darker the higher, with black or white ink, whichever reads better."""
    if share is None:
        return Cell(text=DASH)
    background = to_hex(matplotlib.colormaps["YlOrRd"](0.9 * share))
    ink = max(("#000000", "#ffffff"), key=lambda colour: contrast(colour, background))
    return Cell(text=f"{100 * share:.1f}".removesuffix(".0"), value=share, background=background, ink=ink)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21, as WCAG 2 defines it.

    Example:
        >>> contrast("#000000", "#ffffff")
        21.0
    """
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return round((lighter + 0.05) / (darker + 0.05), 6)


def _luminance(colour: str) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
