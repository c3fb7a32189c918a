"""Pictures of attacks. Drawn without a display: figures are made as objects and saved, never shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.style import CHANGED, COLOURS, COLUMN, MARKERS, look
from blurnet_tf.reporting.white_box import ROWS


@look()
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
        axis.imshow(np.concatenate([clean[index], gap, adversarial[index]], axis=1))
        changed = clean_names[index] != adversarial_names[index]
        for centre, name, colour in (
            (0.25, clean_names[index], "black"),
            (0.75, adversarial_names[index], CHANGED if changed else "black"),
        ):
            axis.text(centre, -0.03, name, color=colour, ha="center", va="top", fontsize=8, transform=axis.transAxes)
    return figure


@look()
def page_figure(pixels: NDArray[np.uint8], size: tuple[float, float]) -> Figure:
    """Draw a picture over a whole page. As PDF its pixels are stored as they are: not resampled, not as a JPEG.

    Args:
        pixels: uint8 (H, W, 3), RGB.
        size: Width and height of the page in millimetres.
    """
    figure = Figure(figsize=(size[0] / 25.4, size[1] / 25.4))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.imshow(pixels, interpolation="none", aspect="auto")  # "none" is what leaves resampling to the reader
    return figure


@look()
def perturbation_figure(perturbation: NDArray[np.float32], mask: NDArray[np.float32], *, title: str) -> Figure:
    """Draw a perturbation: each colour channel as a signed map, and what it adds to a grey sign.

    Args:
        perturbation: float32 (H, W, 3), masked.
        mask: float32 (H, W, 1); its outline is drawn.
        title: Stands above.
    """
    limit = max(1.0, float(np.abs(perturbation).max()))
    figure = Figure(figsize=(2 * COLUMN, 2.05), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(1, 4)
    for channel, name in enumerate(("red", "green", "blue")):
        drawn = axes[channel].imshow(perturbation[..., channel], cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes[channel].set_title(name)
    axes[3].imshow(np.clip(0.5 + perturbation, 0, 1))
    axes[3].set_title("on mid-grey, clipped")
    height, width = mask.shape[:2]
    # Enlarged eight times, or the outline would cut the corners of the pixels.
    outline, extent = np.kron(mask[..., 0], np.ones((8, 8), np.float32)), (-0.5, width - 0.5, -0.5, height - 0.5)
    for axis in axes:
        axis.contour(outline, levels=[0.5], colors="black", linewidths=0.5, extent=extent)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(True)
    figure.colorbar(drawn, ax=list(axes[:3]), label="added (1 = full range)")
    return figure


@look()
def dissimilarity_figure(records: Sequence[Record], *, titles: Mapping[str, str], title: str = "") -> Figure:
    """Draw Figure 4: how far the attacked images are from the clean ones, and how often that was enough.

    A small mark is one attack (target, lambda, seed) on one model: across, the mean of Eq. 1 over its images; up, the
    share of images whose prediction it changes, in per cent. The large mark is the mean over the attacks of a model.

    Args:
        records: White-box attacks; the victim is the row of Table 2.
        titles: The rows by name, in the order of the legend, each with what it is called there.
        title: Stands above, if there is one. There is room for some 50 letters.

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
    figure = Figure(figsize=(COLUMN, 3.5), layout="constrained")
    axis = figure.subplots()
    for name, label in titles.items():
        mine = [record for record in records if record.victim == name]
        attacks = [group for seed in metrics.by_seed(mine).values() for group in metrics.by_attack(seed).values()]
        distances = [metrics.mean_dissimilarity(group) for group in attacks]
        successes = [100 * metrics.prediction_changed(group).value for group in attacks]
        distance = metrics.over_seeds(mine, metrics.mean_dissimilarity).mean
        success = 100 * metrics.over_seeds(mine, metrics.average_over_attacks).mean
        colour, marker = COLOURS[looks[name] % len(COLOURS)], MARKERS[looks[name] % len(MARKERS)]
        axis.scatter(distances, successes, s=13, c=colour, marker=marker, alpha=0.6, linewidths=0, zorder=2)
        axis.scatter(
            distance, success, s=46, c=colour, marker=marker, edgecolors="white", linewidths=0.7, zorder=3, label=label
        )
    axis.set_xlabel("L2 dissimilarity (Eq. 1)")
    axis.set_ylabel("attack success rate (%)")
    axis.set_ylim(-3, 103)
    axis.grid(visible=True)
    figure.suptitle(title)
    figure.legend(
        title="small: one attack; large: the mean of a model",
        loc="outside lower center",
        ncols=_legend_columns(list(titles.values())),
        handletextpad=0.1,
        columnspacing=1.0,
    )
    return figure


def _legend_columns(labels: Sequence[str]) -> int:
    # Side by side 62 letters fit, and a mark is as wide as 5. Matplotlib splits the labels in the same way.
    for columns in (3, 2):
        if sum(5 + max(map(len, part), default=0) for part in np.array_split(labels, columns)) <= 62:
            return columns
    return 1
