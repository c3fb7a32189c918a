"""Loss and success against the steps of the attack, drawn as lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.reporting.report.blocks import Panel, Panels, Tick
from blurnet_tf.reporting.report.stored import Attacked, WhiteBox

LEFT, RIGHT, TOP, BOTTOM = 38.0, 292.0, 8.0, 126.0
POINTS = 61
LEAST = 1e-3
"""A lower loss is drawn here: the scale is logarithmic."""

Curves = Mapping[float, NDArray[np.float32]]
"""By lambda, float32 (steps + 1, targets): the means over the seeds."""


class _Scale(NamedTuple):
    """Where a value stands, from 0 at the bottom to 1 at the top, and the ticks."""

    height: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


def curves(white_box: WhiteBox) -> list[Panels]:
    """Return success and loss of each row on one scale.

    With one lambda there is a thin line for each target and a thick one for their mean; with several there is a thick
    one for each lambda. Where there are several seeds, all are means over them.
    """
    success = {name: _by_lambda(cells, lambda cell: cell.success) for name, cells in white_box.cells.items()}
    loss = {name: _by_lambda(cells, lambda cell: cell.loss) for name, cells in white_box.cells.items()}
    first = white_box.rows[0]
    several = len(first["lambdas"]) > 1
    legend = [f"lambda {penalty:g}" for penalty in first["lambdas"]] if several else []
    lines = "Each line: the mean over the targets for one lambda" if several else "Thin: one target; thick: their mean"
    seeds = f", over the {len(first['seeds'])} seeds of the attack" if len(first["seeds"]) > 1 else ""
    shares = _Scale(float, [(share, f"{100 * share:.0f}%") for share in (0, 0.5, 1)])
    losses = _logarithmic([value for by_lambda in loss.values() for values in by_lambda.values() for value in values])

    def panels(all_values: Mapping[str, Curves], scale: _Scale, said: Callable[[float], str]) -> list[Panel]:
        return [_panel(row["title"], all_values[row["row"]], scale, said) for row in white_box.rows]

    return [
        Panels(
            title="Success",
            panels=panels(success, shares, lambda share: f"{100 * share:.1f}%"),
            note=f"Predictions that the attack has changed after each step. {lines}{seeds}. As the attack saw it, in "
            "the precision that it computed in; the tables count in float32.",
            legend=legend,
        ),
        Panels(
            title="Loss",
            panels=panels(loss, losses, lambda loss: f"{loss:.1f}" if loss >= 10 else f"{loss:.2f}"),
            note="What the attack minimises: the mean cross-entropy and the penalties, on one logarithmic scale for "
            f"all models. {lines}{seeds}.",
            legend=legend,
        ),
    ]


def _by_lambda(cells: Sequence[Attacked], values: Callable[[Attacked], NDArray[np.float32]]) -> Curves:
    penalties = sorted({cell.penalty for cell in cells})
    return {
        penalty: np.mean([values(cell) for cell in cells if cell.penalty == penalty], axis=0) for penalty in penalties
    }


def _logarithmic(losses: Sequence[NDArray[np.float32]]) -> _Scale:
    low = max(LEAST, float(np.min(losses)))
    high = max(2 * low, float(np.max(losses)))

    def height(loss: float) -> float:
        return math.log(max(loss, low) / low) / math.log(high / low)

    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers: list[float] = []
    for factors in ((1, 3), (1,)):
        numbers = [one for power in powers for factor in factors if low <= (one := factor * 10.0**power) <= high]
        if len(numbers) <= 6:  # more would stand on one another
            break
    return _Scale(height, [(number, f"{number:g}") for number in numbers])


def _panel(title: str, by_lambda: Curves, scale: _Scale, said: Callable[[float], str]) -> Panel:
    steps = len(next(iter(by_lambda.values()))) - 1
    kept = np.unique(np.linspace(0, steps, min(POINTS, steps + 1)).round().astype(int))

    def line(series: NDArray[np.float32]) -> str:
        return " ".join(
            f"{_across(step / max(steps, 1)):g},{_up(scale.height(float(series[step]))):g}" for step in kept
        )

    means = {penalty: values.mean(axis=1) for penalty, values in by_lambda.items()}
    if len(means) > 1:
        thin, ends = [], ", ".join(f"{said(mean[-1])} (lambda {penalty:g})" for penalty, mean in means.items())
        says = f"mean at the end: {ends}"
    else:
        ((values, mean),) = zip(by_lambda.values(), means.values(), strict=True)
        thin = [line(values[:, target]) for target in range(values.shape[1])]
        says = f"mean {said(mean[0])} at step 0, {said(mean[-1])} at the end"
    return Panel(
        title=title,
        says=says,
        thin=thin,
        thick=[line(mean) for mean in means.values()],
        across=[Tick(at=_across(part), text=f"{part * steps:.0f}") for part in (0, 0.5, 1)],
        up=[Tick(at=_up(scale.height(value)), text=text) for value, text in scale.ticks],
    )


def _across(part: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * part, 1)


def _up(part: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * part, 1)
