"""Pictures of attacks. Drawn without a display: figures are made as objects and saved, never shown."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.records import Record
from blurnet_tf.files import atomic_path
from blurnet_tf.reporting.white_box import ROWS

COLOURS: tuple[str, ...] = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7")
"""Okabe and Ito's colours, told apart by the colour-blind too. Their yellow is left out: too pale on white."""

MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One more than colours, so that of 56 variants no two look the same."""


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


def dissimilarity_figure(records: Sequence[Record], *, titles: Mapping[str, str], title: str = "") -> Figure:
    """Draw Figure 4: how far the attacked images are from the clean ones, and how often that was enough.

    A small mark is one attack (target, lambda, seed) on one model: across, the mean of Eq. 1 over its images; up, the
    share of images whose prediction it changes, in per cent. The large mark is the mean over the attacks of a model.
    Drawn in letters that can still be read when the figure is reduced to the width of a column.

    Args:
        records: White-box attacks; the victim is the row of Table 2.
        titles: The rows by name, in the order of the legend, each with what it is called there.
        title: Stands above, if there is one. There is room for some 60 letters.

    Raises:
        ValueError: The rows of `titles` and the victims of `records` are not the same.
    """
    victims = {record.victim for record in records}
    if not victims or victims != set(titles):
        raise ValueError(
            f"`titles` must name the victims of the records, {', '.join(sorted(victims)) or 'none'}. "
            f"Received: {', '.join(titles) or 'none'}"
        )
    # By name and not by place, so that a variant looks the same in a figure that leaves others out.
    looks = {name: index for index, name in enumerate(dict.fromkeys((*ROWS, *titles)))}
    figure = Figure(figsize=(7.4, 6.9), layout="constrained")
    axis = figure.subplots()
    for name, label in titles.items():
        mine = [record for record in records if record.victim == name]
        attacks = [group for seed in metrics.by_seed(mine).values() for group in metrics.by_attack(seed).values()]
        distances = [metrics.mean_dissimilarity(group) for group in attacks]
        successes = [100 * metrics.prediction_changed(group).value for group in attacks]
        distance = metrics.over_seeds(mine, metrics.mean_dissimilarity).mean
        success = 100 * metrics.over_seeds(mine, metrics.average_over_attacks).mean
        colour, marker = COLOURS[looks[name] % len(COLOURS)], MARKERS[looks[name] % len(MARKERS)]
        axis.scatter(distances, successes, s=44, c=colour, marker=marker, alpha=0.6, linewidths=0, zorder=2)
        axis.scatter(
            distance, success, s=190, c=colour, marker=marker, edgecolors="white", linewidths=1.2, zorder=3, label=label
        )
    axis.set_xlabel("L2 dissimilarity", fontsize=16)
    axis.set_ylabel("attack success rate (%)", fontsize=16)
    axis.set_ylim(-3, 103)
    axis.tick_params(labelsize=14)
    axis.grid(color="#dddddd", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=15)
    figure.legend(
        title="small: one attack; large: the mean of a model",
        loc="outside lower center",
        ncols=_legend_columns(list(titles.values())),
        fontsize=13,
        title_fontsize=13,
        frameon=False,
        handletextpad=0.1,
        columnspacing=1.0,
    )
    return figure


def save_figure(path: str | os.PathLike[str], figure: Figure, *, dpi: int = 110) -> None:
    """Save a figure atomically; the suffix of `path` chooses the format."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)


def _legend_columns(labels: Sequence[str]) -> int:
    # Side by side 72 letters fit, and a mark is as wide as 5. Matplotlib splits the labels in the same way.
    for columns in (3, 2):
        if sum(5 + max(map(len, part), default=0) for part in np.array_split(labels, columns)) <= 72:
            return columns
    return 1
