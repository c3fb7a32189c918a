"""What a penalty does to the kernels of the first layer: some of them drawn, and which frequencies they pass."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.evaluation.spectra import decibels
from blurnet_tf.reporting.spectra_figures import passed
from blurnet_tf.reporting.style import COLOURS, COLUMN, LINES, look

SHOWN = 12


@look()
def kernel_figure(kernels: Mapping[str, NDArray[np.float32]]) -> Figure:
    """Draw for each title the strongest of its kernels (h, w, 3, filters), and below what all of them pass.

    A kernel is drawn as a picture: grey is 0, and its largest weight, of either sign, black or white or a full colour.
    """
    lines, head, foot = len(kernels), 0.62 * len(kernels), 2.6
    height = head + foot
    figure = Figure(figsize=(2 * COLUMN, height))
    # Placed by hand: a constrained layout is not the same to the last bit each time, with so many panels.
    grid = figure.add_gridspec(
        lines, SHOWN, left=0.17, right=0.99, top=0.99, bottom=foot / height, hspace=0.08, wspace=0.08
    )
    axes = grid.subplots(squeeze=False)
    for line, (title, kernel) in zip(axes, kernels.items(), strict=True):
        strength = np.square(kernel).sum(axis=(0, 1, 2))
        order = np.argsort(-strength, kind="stable")
        for axis in line:
            axis.set_axis_off()
        for axis, index in zip(line, order, strict=False):
            one = kernel[..., index]
            axis.imshow(0.5 + 0.5 * one / max(float(np.abs(one).max()), 1e-12))
        line[0].text(-0.15, 0.5, title, transform=line[0].transAxes, ha="right", va="center")
    axis = figure.add_axes((0.11, 0.5 / height, 0.64, (foot - 0.7) / height))
    for place, (title, kernel) in enumerate(kernels.items()):
        frequencies, power = passed(kernel)
        axis.plot(
            frequencies, decibels(power, power.max(), floor=-60), label=title, color=COLOURS[place % len(COLOURS)],
            linestyle=LINES[place // len(COLOURS) % len(LINES)],
        )  # fmt: skip
    axis.set(xlim=(0, 0.5), xlabel="cycles per pixel of the image")
    axis.set_ylabel("gain of the first layer\n(dB, re its highest)")
    axis.grid(visible=True)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
