"""Figures beyond the paper's: what the filters pass, and what each variant leaves of the attack at high frequencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.evaluation.spectra import decibels, frequency_response, radial_mean
from blurnet_tf.reporting.panels import CYCLES
from blurnet_tf.reporting.style import COLOURS, COLUMN, LINES, look

# An open mark, an upright line and a full mark: each can be seen where two fall together.
_KINDS: dict[str, dict[str, Any]] = {
    "clean": {"marker": "o", "s": 24, "facecolors": "white", "edgecolors": COLOURS[0], "linewidths": 1.1},
    "attacked": {"marker": "|", "s": 46, "c": COLOURS[5], "linewidths": 1.6},
    "difference": {"marker": "D", "s": 18, "c": COLOURS[4], "linewidths": 0},
}


@look()
def response_figure(
    blurs: Mapping[str, NDArray[np.floating]], first_layers: Mapping[str, NDArray[np.floating]]
) -> Figure:
    """Draw what filters pass at each frequency: the root mean square over directions, and over the filters of a layer.

    Args:
        blurs: By label kernels (h, w, ...) on feature maps; 0 dB leaves a wave as it is.
        first_layers: By label kernels (h, w, channels, filters) on images; 0 dB is where such a layer passes most.
    """
    figure = Figure(figsize=(COLUMN, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1)
    _draw_responses(above, blurs, relative=False)
    above.set_ylabel("gain of the blur (dB)")
    above.set_xlabel(f"{CYCLES} of the feature map")
    _draw_responses(below, first_layers, relative=True)
    below.set_ylabel("gain of the first layer\n(dB, re its highest)")
    below.set_xlabel(f"{CYCLES} of the image")
    return figure


@look()
def variant_figure(groups: Mapping[str, Mapping[str, Sequence[float]]], *, radius: float) -> Figure:
    """Draw the share of high frequencies in the maps that the second layer sees, for each variant.

    Args:
        groups: By heading, by the title of a variant, three shares in [0, 1]: of the clean maps, of the attacked ones,
            and of what the attack adds.
        radius: Where high frequencies begin, in cycles per pixel.
    """
    lines = sum(1 + len(group) for group in groups.values())
    figure = Figure(figsize=(COLUMN, 0.85 + 0.175 * lines), layout="constrained")
    axis = figure.subplots()
    ticks: list[str] = []
    for heading, group in groups.items():
        ticks.append(heading)
        for title, shares in group.items():
            axis.plot([100 * min(shares), 100 * max(shares)], [len(ticks)] * 2, color="#bbbbbb", linewidth=1, zorder=1)
            for share, mark in zip(shares, _KINDS.values(), strict=True):
                axis.scatter(100 * share, len(ticks), zorder=2, **mark)
            ticks.append(title)
    for name, mark in _KINDS.items():
        axis.scatter([], [], label=name, **mark)
    axis.set_yticks(range(len(ticks)), ticks)
    axis.set_ylim(len(ticks) - 0.5, -0.5)
    for label, tick in zip(axis.get_yticklabels(), axis.yaxis.get_major_ticks(), strict=True):
        if label.get_text() in groups:
            label.set_fontweight("bold")
            tick.tick1line.set_visible(False)
    axis.set_xlim(0, None)
    axis.set_xlabel(f"energy beyond {radius:g} {CYCLES} (%),\nin the maps that the second layer sees", loc="right")
    axis.grid(visible=True, axis="x")
    figure.legend(loc="outside upper center", ncols=3, handletextpad=0.1)
    return figure


def passed(kernel: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of a wave's energy that filters pass, by frequency: the mean over directions and filters.

    Args:
        kernel: Floating (h, w, ...).

    Returns:
        33 frequencies from 0 to 0.5 cycles per pixel, and the shares, float64 (33,); above 1 where filters amplify.

    Example:
        >>> frequencies, shares = passed(np.full((3, 3), 1 / 9))
        >>> float(frequencies[16]), float(shares[16].round(3))
        (0.25, 0.134)
    """
    power = frequency_response(kernel) ** 2
    return radial_mean(power.reshape(*power.shape[:2], -1).mean(-1), rings=33)


def _draw_responses(axis: Axes, kernels: Mapping[str, NDArray[np.floating]], *, relative: bool) -> None:
    for index, (label, kernel) in enumerate(kernels.items()):
        frequencies, power = passed(kernel)
        values = decibels(power, power.max() if relative else 1.0, floor=-100)
        colour, style = COLOURS[index % len(COLOURS)], LINES[index % len(LINES)]
        axis.plot(frequencies, values, color=colour, linestyle=style, label=label)
    axis.set_xlim(0, 0.5)
    axis.set_ylim(None if relative else -30, 1)
    axis.grid(visible=True)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderpad=0.2, labelspacing=0.25)
