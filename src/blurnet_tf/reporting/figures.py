"""Pictures of an attack. Drawn without a display: figures are made as objects and saved, never shown."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.files import atomic_path


def adversarial_figure(
    clean: NDArray[np.float32],
    adversarial: NDArray[np.float32],
    clean_names: Sequence[str],
    adversarial_names: Sequence[str],
    *,
    title: str,
    columns: int = 5,
) -> Figure:
    """Draw pairs of a clean and an attacked image side by side, each with the class that the model sees in it.

    Args:
        clean: float32 (n, H, W, 3) in [0, 1].
        adversarial: The same shape.
        clean_names: The predicted class of each clean image.
        adversarial_names: The predicted class of each attacked image. Red where it differs.
        title: Stands above.
        columns: Pairs in a row.
    """
    rows = math.ceil(len(clean) / columns)
    figure = Figure(figsize=(2.6 * columns, 1.65 * rows + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=13)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    height, width = clean.shape[1:3]
    gap = np.ones((height, max(1, width // 16), 3), np.float32)
    for index, axis in enumerate(axes[: len(clean)]):
        axis.imshow(np.concatenate([clean[index], gap, adversarial[index]], axis=1), interpolation="nearest")
        changed = clean_names[index] != adversarial_names[index]
        for centre, name, colour in (
            (0.25, clean_names[index], "black"),
            (0.75, adversarial_names[index], "#b00020" if changed else "black"),
        ):
            axis.text(centre, -0.03, name, color=colour, ha="center", va="top", fontsize=8, transform=axis.transAxes)
    return figure


def perturbation_figure(perturbation: NDArray[np.float32], mask: NDArray[np.float32], *, title: str) -> Figure:
    """Draw a perturbation: each colour channel as a signed map, and what it adds to a grey sign.

    Args:
        perturbation: float32 (H, W, 3), masked.
        mask: float32 (H, W, 1); its outline is drawn.
        title: Stands above.
    """
    limit = max(1.0, float(np.abs(perturbation).max()))
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    figure.suptitle(title, fontsize=13)
    axes = figure.subplots(1, 4)
    for channel, name in enumerate(("red", "green", "blue")):
        drawn = axes[channel].imshow(perturbation[..., channel], cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes[channel].set_title(name, fontsize=10)
    axes[3].imshow(np.clip(0.5 + perturbation, 0, 1), interpolation="nearest")
    axes[3].set_title("on mid-grey, clipped", fontsize=10)
    height, width = mask.shape[:2]
    # Enlarged eight times, or the outline would cut the corners of the pixels.
    outline, extent = np.kron(mask[..., 0], np.ones((8, 8), np.float32)), (-0.5, width - 0.5, -0.5, height - 0.5)
    for axis in axes:
        axis.contour(outline, levels=[0.5], colors="black", linewidths=0.5, extent=extent)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.colorbar(drawn, ax=list(axes[:3]), label="added to the image (1 = full range)", shrink=0.9)
    return figure


def save_figure(path: str | os.PathLike[str], figure: Figure, *, dpi: int = 110) -> None:
    """Save a figure atomically; the suffix of `path` chooses the format."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
