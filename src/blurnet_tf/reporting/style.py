"""The look that all figures share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.files import atomic_path

COLUMN = 3.5  # the width of a figure in inches: that of one column of a page, where no letter is below 7 points
# Okabe and Ito's colours, told apart by the colour-blind too. Their yellow is left out: too pale on white.
COLOURS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # one more than colours: no two of 56 variants look the same
LINES: tuple[Any, ...] = ("-", (0, (5, 1.2)), (0, (1.4, 0.8)), (0, (5, 1.2, 1.4, 1.2)))
CHANGED = "#b00020"  # red, for a prediction that the attack changed
# On top of matplotlib's defaults, not of the reader's own settings.
LOOK: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
    "font.size": 7.5, "axes.titlesize": 7.5, "axes.labelsize": 7.5, "figure.titlesize": 8,
    "xtick.labelsize": 7, "ytick.labelsize": 7, "legend.fontsize": 7, "legend.title_fontsize": 7,
    "legend.frameon": False, "legend.handletextpad": 0.5, "legend.columnspacing": 1.2,
    "axes.linewidth": 0.6, "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
    "grid.color": "#dddddd", "grid.linewidth": 0.5, "lines.linewidth": 1.3,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "image.cmap": "viridis", "image.interpolation": "nearest", "savefig.dpi": 300,
    "svg.fonttype": "path",  # letters as outlines: a browser without the font shows the same
    "svg.hashsalt": "blurnet",  # the names inside an SVG file do not change from run to run
}  # fmt: skip


@contextlib.contextmanager
def look() -> Iterator[None]:
    """Switch to the shared look, in a block or, as a decorator, in a function that draws."""
    with matplotlib.style.context(["default", LOOK]):
        yield


def save_figure(path: str | os.PathLike[str], figure: Figure, *, dpi: int = 300) -> None:
    """Save a figure atomically; the suffix of `path` chooses the format. The same figure gives the same bytes."""
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(Path(path).suffix.lower())
    with look(), atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata=metadata)


def pixels(figure: Figure, *, dpi: int) -> NDArray[np.uint8]:
    """Return a figure as it is drawn, RGB uint8 (H, W, 3). The same figure gives the same pixels."""
    with look():
        figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save_both(folder: str | os.PathLike[str], name: str, figure: Figure) -> None:
    """Save a figure as `<name>.png` and as `<name>.svg`, each atomically."""
    for suffix in (".png", ".svg"):
        save_figure(Path(folder) / f"{name}{suffix}", figure)
