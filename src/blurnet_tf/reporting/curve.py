"""Robustness against sticker area: the table and the figure of `make curve`."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from blurnet_tf.reporting.benchmark_rows import CurveRow, curve_rows, half_rows
from blurnet_tf.reporting.figures import ROWS
from blurnet_tf.reporting.run_tables import Counted
from blurnet_tf.reporting.style import COLOURS, COLUMN, MARKERS, look
from blurnet_tf.reporting.tables import Cell, Column, columns_table, count_cell, number_cell
from blurnet_tf.runs.run import StoredRun

PANELS = {"floor_white": "plain white paint", "shared": "one sticker for all signs", "per_image": "a sticker for each"}
NOTE = (
    "Per cent of the signs whose prediction changes. White, any colour: plain paint in the mask, without an attack. "
    "Shared: one sticker for all signs; per image: one for each."
)
HALF_NOTE = "Pixels of an image of 32x32, by a straight line between the measured areas; a dash: at none of these."


def curve_table(stored: StoredRun) -> Counted[CurveRow]:
    """Return what falls at each area, and the area at which half of the signs fall."""
    rows = curve_rows(stored)
    if not rows:
        raise ValueError("A curve needs attacks at some areas. Received: none")
    columns: list[Column] = [
        ("", Cell, "title"), ("mask", Cell, "family"), ("pixels", count_cell, "area"),
        ("white paint", number_cell, "floor_white"), ("any colour", number_cell, "floor_worst"),
        ("shared", number_cell, "shared"), ("per image", number_cell, "per_image"),
    ]  # fmt: skip
    halves: list[Column] = [
        ("", Cell, "title"), ("mask", Cell, "family"), ("white paint", count_cell, "floor_white"),
        ("shared", count_cell, "shared"), ("per image", count_cell, "per_image"),
    ]  # fmt: skip
    caption = f"Success by sticker area: {stored.run.data['n']} signs ({stored.run.data['title']})"
    tables = [
        columns_table("The area at which half of the signs fall", half_rows(rows), halves, [HALF_NOTE]),
        columns_table(caption, rows, columns, [NOTE]),
    ]
    return Counted(stored=stored, rows=rows, tables=tables, markdown="\n\n".join(one.markdown for one in tables) + "\n")


@look()
def curve_figure(rows: Sequence[CurveRow]) -> Figure:
    """Draw the share of signs that fall against the area of the mask: a column for paint and each kind of sticker.

    A row of panels is a family of masks; a line is a model, the same colour and mark as in Figure 4. The octagon, which
    is no member of a family, is left out.
    """
    families = [family for family in dict.fromkeys(row.family for row in rows) if family != "octagon"]
    models = dict.fromkeys((row.model, row.title) for row in rows)
    looks = {name: index for index, name in enumerate(dict.fromkeys((*ROWS, *(name for name, _ in models))))}
    figure = Figure(figsize=(2 * COLUMN, 0.6 + 1.9 * len(families)), layout="constrained")
    axes = figure.subplots(len(families), len(PANELS), sharex=True, sharey=True, squeeze=False)
    for line, family in zip(axes, families, strict=True):
        for axis, (field, title) in zip(line, PANELS.items(), strict=True):
            for name, label in models:
                mine = [row for row in rows if (row.model, row.family) == (name, family)]
                points = [(row.area, 100 * share.value) for row in mine if (share := getattr(row, field)) is not None]
                place = looks[name]
                if not points:
                    continue
                axis.plot(
                    *zip(*points, strict=True), label=label, markersize=3, linewidth=1.1,
                    color=COLOURS[place % len(COLOURS)], marker=MARKERS[place % len(MARKERS)],
                )  # fmt: skip
            axis.set(ylim=(-3, 103), title=f"{family}: {title}")
            axis.grid(visible=True)
        line[0].set_ylabel("signs that fall (%)")
    areas = sorted({row.area for row in rows if row.family in families})
    for axis in axes[-1]:
        axis.set_xscale("log")
        axis.set_xticks(areas, [str(area) for area in areas])
        axis.minorticks_off()
        axis.set_xlabel("pixels of 1024 that are painted")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(models)))
    return figure
