"""The sheets that the pictures of the documentation are drawn on: rows of small panels, and curves at the foot."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.evaluation.spectra import decibels
from blurnet_tf.reporting.spectra_figures import passed
from blurnet_tf.reporting.style import CHANGED, COLOURS, COLUMN, LINES
from blurnet_tf.signs import CLASS_NAMES

SMALL = 7  # points: names below and above panels

# In inches: what stands left of the panels and right of them, between them, and a line of text.
_LEFT, _RIGHT, _GAP, _LINE = 0.58, 0.04, 0.05, 0.12


class Sheet:
    """Rows of square panels, with a title at the left of each row and room below the panels for lines of text."""

    def __init__(self, rows: Sequence[str], columns: int, *, lines: Sequence[int], head: int = 0, foot: float = 0.0):
        self.side = (COLUMN - _LEFT - _RIGHT - (columns - 1) * _GAP) / columns
        heights = [self.side + (0.05 + _LINE * one if one else _GAP) for one in lines]
        self.height = head * _LINE + 0.05 + sum(heights) + foot
        self.figure = Figure(figsize=(COLUMN, self.height))
        tops = head * _LINE + 0.05 + np.cumsum([0.0, *heights[:-1]])
        lefts = [_LEFT + column * (self.side + _GAP) for column in range(columns)]
        self.panels = np.array([[self.axes(left, top, self.side, self.side) for left in lefts] for top in tops])
        for panel in self.panels.flat:
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set(visible=True, color="#999999", linewidth=0.5)
        for row, title in zip(self.panels, rows, strict=True):
            row[0].text(-0.08, 0.5, title, transform=row[0].transAxes, ha="right", va="center")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        whole = self.height
        return self.figure.add_axes((left / COLUMN, 1 - (top + height) / whole, width / COLUMN, height / whole))

    def foot(self, height: float, *, left: float = _LEFT) -> Axes:
        """Return axes for curves at the foot, with room for their numbers and their label."""
        return self.axes(left, self.height - height - 0.38, COLUMN - left - 0.1, height)

    def head(self, titles: Sequence[str]) -> None:
        """Write a title over each column."""
        for panel, title in zip(self.panels[0], titles, strict=True):
            panel.set_title(title, pad=3, fontsize=SMALL)

    def head_over(self, title: str, first: int, columns: int) -> None:
        """Write a title over several columns."""
        middle = _LEFT + (first + columns / 2) * (self.side + _GAP) - _GAP / 2
        self.figure.text(middle / COLUMN, 1 - 0.03 / self.height, title, ha="center", va="top", fontsize=SMALL)

    def label(self, row: int, titles: Sequence[str]) -> None:
        """Write below each panel of a row what it shows."""
        for panel, title in zip(self.panels[row], titles, strict=True):
            panel.set_xlabel(title, labelpad=2, fontsize=SMALL, linespacing=1.0)

    def show(self, row: int, images: NDArray[np.float32], *, first: int = 0, **looks: Any) -> None:
        """Draw images (n, h, w, 3), clipped to [0, 1], or maps (n, h, w), into the panels of a row from `first` on."""
        for panel, image in zip(self.panels[row, first:], images, strict=False):
            panel.imshow(np.clip(image, 0, 1) if image.ndim == 3 else image, **looks)

    def say(self, row: int, classes: NDArray[np.int64], right: NDArray[np.int64], *, first: int = 0) -> None:
        """Write below each panel which class it is taken for, in red if that is another one than the right one."""
        for panel, one, other in zip(self.panels[row, first:], classes, right, strict=False):
            panel.set_xlabel(words(CLASS_NAMES[one]), labelpad=2, fontsize=SMALL, linespacing=1.0,
                             color="black" if one == other else CHANGED)  # fmt: skip

    def mark(self, row: int, wrong: NDArray[np.bool_]) -> None:
        """Give the panels of a row a red frame where `wrong`."""
        for panel, one in zip(self.panels[row], wrong, strict=True):
            if one:
                panel.spines[:].set(color=CHANGED, linewidth=1.6)


def words(name: str) -> str:
    """Return the name of a class in lines of at most 12 letters.

    Example:
        >>> words("pedestrianCrossing").splitlines()
        ['pedestrian', 'crossing']
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z0-9])", " ", name).lower()
    return "\n".join(textwrap.wrap(apart, 12))


def draw_gains(axis: Axes, kernels: Mapping[str, NDArray[np.floating[Any]]], *, relative: bool) -> None:
    """Draw what kernels (h, w, ...) pass at each frequency, in decibels; `relative`: below the most of each."""
    for index, (title, kernel) in enumerate(kernels.items()):
        frequencies, power = passed(kernel)
        values = decibels(power, power.max() if relative else 1.0, floor=-60)
        axis.plot(frequencies, values, color=COLOURS[index % len(COLOURS)], linestyle=LINES[index % len(LINES)],
                  label=title)  # fmt: skip
    axis.set(xlim=(0, 0.5), ylim=(-30, 1), xlabel="cycles per pixel")
    axis.set_ylabel("gain (dB)", labelpad=1)
    axis.grid(visible=True)
    axis.legend(loc="lower center", bbox_to_anchor=(0.42, 1.0), ncols=2, borderpad=0.1, labelspacing=0.2)
