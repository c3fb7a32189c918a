"""Loss and success against the steps of the attack, drawn as lines."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.reporting.report.blocks import Panel, Panels, Tick
from blurnet_tf.reporting.report.stored import WhiteBox

LEFT, RIGHT, TOP, BOTTOM = 34.0, 292.0, 8.0, 128.0
POINTS = 61


def curves(white_box: WhiteBox) -> list[Panels]:
    """Return success and loss of each row on one scale: a thin line for each target, a thick one for their mean."""
    first = {row["row"]: white_box.cells[row["row"]][0] for row in white_box.rows}
    titles = {row["row"]: row["title"] for row in white_box.rows}
    losses = [value for cell in first.values() for value in (cell.loss.min(), cell.loss.max())]
    low, high = max(1e-3, float(min(losses))), max(2e-3, float(max(losses)))
    several = any(len(cells) > 1 for cells in white_box.cells.values())
    which = "".join(
        f" Drawn: lambda {cell.penalty:g}, seed {cell.seed}, the first of several."
        for cell in [*first.values()][:several]
    )

    def height(loss: float) -> float:
        return math.log(max(loss, low) / low) / math.log(high / low)

    successes, totals = [], []
    for name, cell in first.items():
        start, end = cell.success[0].mean(), cell.success[-1].mean()
        successes.append(
            _panel(
                titles[name],
                cell.success,
                lambda share: share,
                [Tick(at=share, text=f"{100 * share:.0f}%") for share in (0, 0.5, 1)],
                f"mean success {100 * start:.1f}% at step 0, {100 * end:.1f}% at the end",
            )
        )
        ticks = [Tick(at=height(loss), text=f"{loss:g}") for loss in _round_numbers(low, high)]
        says = f"mean loss {cell.loss[0].mean():.3g} at step 0, {cell.loss[-1].mean():.3g} at the end"
        totals.append(_panel(titles[name], cell.loss, height, ticks, says))
    return [
        Panels(
            title="Success",
            panels=successes,
            note="Predictions that the attack has changed after each step. Thin: one target; thick: their mean. As the "
            f"attack saw it, in the precision that it computed in; the tables count in float32.{which}",
        ),
        Panels(
            title="Loss",
            panels=totals,
            note="What the attack minimises: cross-entropy and penalties, on one logarithmic scale for all models.",
        ),
    ]


def _panel(
    title: str, values: NDArray[np.float32], height: Callable[[float], float], up: list[Tick], says: str
) -> Panel:
    steps = len(values) - 1
    kept = np.unique(np.linspace(0, steps, min(POINTS, steps + 1)).round().astype(int))

    def line(series: NDArray[np.float32]) -> str:
        return " ".join(f"{_across(step / max(steps, 1)):g},{_up(height(float(series[step]))):g}" for step in kept)

    return Panel(
        title=title,
        says=says,
        thin=[line(values[:, target]) for target in range(values.shape[1])],
        thick=line(values.mean(axis=1)),
        across=[Tick(at=_across(part), text=f"{part * steps:.0f}") for part in (0, 0.5, 1)],
        up=[Tick(at=_up(tick.at), text=tick.text) for tick in up],
    )


def _across(part: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * part, 1)


def _up(part: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * part, 1)


def _round_numbers(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [factor * 10.0**power for power in powers for factor in (1, 3)]
    return [number for number in numbers if low <= number <= high]
