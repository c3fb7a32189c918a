"""Success of the attacks: by target as a heat map, and with the loss against the steps as lines."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.metrics import RateOf
from blurnet_tf.reporting.report.blocks import Absent, Panel, Panels
from blurnet_tf.reporting.rows import WhiteBoxRow
from blurnet_tf.reporting.run_tables import Counted
from blurnet_tf.reporting.tables import DASH, Cell, Table, percent
from blurnet_tf.runs.store import StoredCell

LEFT, RIGHT, TOP, BOTTOM = 38.0, 292.0, 8.0, 126.0
POINTS = 61
LEAST = 1e-3  # a lower loss is drawn here: the scale is logarithmic
Curves = Mapping[float, NDArray[np.float32]]  # by lambda (steps + 1, targets): the means over the seeds


def heat_maps(white_box: Counted[WhiteBoxRow]) -> list[Table]:
    """Return the share of predictions changed, and of targets reached, by row and target."""
    rows, records, names = white_box.rows, white_box.stored.records, white_box.run.class_names
    several = len({(record.penalty, record.seed) for record in records}) > 1
    mean = "; the mean over lambdas and seeds" if several else ""
    unused = " Unused: the output that belongs to no sign." if "unused" in names else ""
    targets = sorted({record.target for record in records if record.target is not None})
    header, plain = ("model", *(names[target] for target in targets)), ("any target", "white sticker")

    def cells(row: WhiteBoxRow, rate: RateOf, *more: float) -> list[Cell]:
        groups = [[one for one in records if (one.victim, one.target) == (row.name, target)] for target in targets]
        shares = [*(rate(group).value if group else None for group in groups), *more]
        return [Cell(text=row.title), *map(heat_cell, shares)]

    changed = [cells(one, metrics.prediction_changed, one.union_success.value, one.floor_white.value) for one in rows]
    reached = [cells(one, metrics.target_reached) for one in rows]
    note = (
        "Any target: signs that at least one attack changes. White sticker: what a plain one changes, without an "
        f"attack.{unused}"
    )
    return [
        Table(f"Predictions changed, in per cent, by wanted class{mean}", header + plain, changed, [note], heat=True),
        Table(f"Signs taken for the wanted class, in per cent{mean}", header, reached, heat=True),
    ]


def heat_cell(share: float | None) -> Cell:
    """Return the cell of a share: the darker the higher, with black or white ink, whichever reads better."""
    if share is None:
        return Cell(text=DASH)
    background = to_hex(matplotlib.colormaps["YlOrRd"](0.9 * share))
    ink = "#000000" if share < 0.816 else "#ffffff"  # where both have the same contrast
    return Cell(text=f"{100 * share:.1f}".removesuffix(".0"), value=share, background=background, ink=ink)


class _Scale(NamedTuple):
    """Where a value stands, from 0 at the bottom to 1 at the top, the ticks, and how a value is written."""

    height: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]
    said: Callable[[float], str]


def curves(white_box: Counted[WhiteBoxRow]) -> list[Panels | Absent]:
    """Return success and loss of each row on one scale, as means over the seeds.

    With one lambda there is a thin line for each target and a thick one for their mean; with several there is a thick
    one for each lambda.
    """
    cells, first = white_box.stored.cells, white_box.rows[0]
    if not all({"success", "loss"} <= set(cell.arrays) for cell in cells):
        return [Absent(sentence="This attack stores no loss and success of its steps.")]
    several = len(first.lambdas) > 1
    legend = [f"lambda {penalty:g}" for penalty in first.lambdas] if several else []
    lines = "Each line: the mean over the targets for one lambda" if several else "Thin: one target; thick: their mean"
    lines += f", over the {len(first.seeds)} seeds of the attack" if len(first.seeds) > 1 else ""
    shares = _Scale(float, [(0, "0%"), (0.5, "50%"), (1, "100%")], percent)
    success, loss = ([_by_lambda(cells, row.name, array) for row in white_box.rows] for array in ("success", "loss"))
    losses = _logarithmic([values for by_lambda in loss for values in by_lambda.values()])
    drawn = {
        "Success": (
            f"Predictions that the attack has changed after each step. {lines}. As the attack saw it, in the precision "
            "that it computed in; the tables count in float32.",
            [_panel(row.title, one, shares) for row, one in zip(white_box.rows, success, strict=True)],
        ),
        "Loss": (
            "What the attack minimises: the mean cross-entropy and the penalties, on one logarithmic scale for all "
            f"models. {lines}.",
            [_panel(row.title, one, losses) for row, one in zip(white_box.rows, loss, strict=True)],
        ),
    }
    return [Panels(title=title, panels=panels, note=note, legend=legend) for title, (note, panels) in drawn.items()]


def _by_lambda(cells: Sequence[StoredCell], row: str, array: str) -> Curves:
    by_lambda: dict[float, list[NDArray[np.float32]]] = defaultdict(list)
    for cell in cells:
        if cell.records[0].victim == row:
            by_lambda[cell.records[0].penalty].append(cell.arrays[array])
    return {penalty: np.mean(by_lambda[penalty], axis=0) for penalty in sorted(by_lambda)}


def _logarithmic(losses: Sequence[NDArray[np.float32]]) -> _Scale:
    low = max(LEAST, min(float(values.min()) for values in losses))
    high = max(2 * low, max(float(values.max()) for values in losses))

    def height(loss: float) -> float:
        return math.log(max(loss, low) / low) / math.log(high / low)

    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [one for power in powers for factor in (1, 3) if low <= (one := factor * 10.0**power) <= high]
    if len(numbers) > 6:  # they would stand on one another
        numbers = [10.0**power for power in powers if low <= 10.0**power <= high]
    ticks = [(number, f"{number:g}") for number in numbers]
    return _Scale(height, ticks, lambda loss: f"{loss:.1f}" if loss >= 10 else f"{loss:.2f}")


def _panel(title: str, by_lambda: Curves, scale: _Scale) -> Panel:
    steps = len(next(iter(by_lambda.values()))) - 1
    drawn = np.unique(np.linspace(0, steps, min(POINTS, steps + 1)).round().astype(int))

    def line(series: NDArray[np.float32]) -> str:
        points = (
            (_between(LEFT, RIGHT, step / max(steps, 1)), _between(BOTTOM, TOP, scale.height(float(series[step]))))
            for step in drawn
        )
        return " ".join(f"{across:g},{up:g}" for across, up in points)

    means = {penalty: values.mean(axis=1) for penalty, values in by_lambda.items()}
    if len(means) > 1:
        thin, ends = [], ", ".join(f"{scale.said(mean[-1])} (lambda {penalty:g})" for penalty, mean in means.items())
        says = f"mean at the end: {ends}"
    else:
        ((values, mean),) = zip(by_lambda.values(), means.values(), strict=True)
        thin = [line(target) for target in values.T]
        says = f"mean {scale.said(mean[0])} at step 0, {scale.said(mean[-1])} at the end"
    return Panel(
        title=title,
        says=says,
        thin=thin,
        thick=[line(mean) for mean in means.values()],
        across=[(_between(LEFT, RIGHT, part), f"{part * steps:.0f}") for part in (0, 0.5, 1)],
        up=[(_between(BOTTOM, TOP, scale.height(value)), text) for value, text in scale.ticks],
    )


def _between(start: float, end: float, part: float) -> float:
    return round(start + (end - start) * part, 1)
