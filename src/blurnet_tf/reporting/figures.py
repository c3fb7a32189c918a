"""Pictures of attacks. Drawn without a display: figures are made as objects and saved, never shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.records import Record
from blurnet_tf.models import TRAINED_VARIANTS
from blurnet_tf.reporting.rows import AblationRow, Share
from blurnet_tf.reporting.style import CHANGED, COLOURS, COLUMN, MARKERS, look
from blurnet_tf.reporting.tables import percent

Images = NDArray[np.float32]
ROWS = (*TRAINED_VARIANTS, "rp2_release")  # of Table 2; each looks the same in all figures


@look()
def adversarial_figure(
    clean: Images, adversarial: Images, names: Sequence[str], seen: Sequence[str], *, title: str, columns: int = 5
) -> Figure:
    """Draw pairs of a clean and an attacked image (n, H, W, 3), with the class of each: red if changed."""
    rows = math.ceil(len(clean) / columns)
    figure = Figure(figsize=(2.6 * columns, 1.65 * rows + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=13)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    height, width = clean.shape[1:3]
    gap = np.ones((height, max(1, width // 16), 3), np.float32)
    for axis, before, after, name, now in zip(axes, clean, adversarial, names, seen, strict=False):
        axis.imshow(np.concatenate([before, gap, after], axis=1))
        for centre, shown, colour in ((0.25, name, "black"), (0.75, now, "black" if now == name else CHANGED)):
            axis.text(centre, -0.03, shown, color=colour, ha="center", va="top", fontsize=8, transform=axis.transAxes)
    return figure


@look()
def page_figure(pixels: NDArray[np.uint8], size: tuple[float, float]) -> Figure:
    """Draw uint8 (H, W, 3), RGB, over a page of a size in millimetres. A PDF holds the very pixels, not a JPEG."""
    figure = Figure(figsize=(size[0] / 25.4, size[1] / 25.4))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.imshow(pixels, interpolation="none", aspect="auto")  # "none" is what leaves resampling to the reader
    return figure


@look()
def perturbation_figure(perturbation: Images, mask: Images, *, title: str) -> Figure:
    """Draw a perturbation (H, W, 3): each channel as a signed map with the outline of the mask, and all on grey."""
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
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(True)
    figure.colorbar(drawn, ax=list(axes[:3]), label="added (1 = full range)")
    return figure


@look()
def dissimilarity_figure(records: Sequence[Record], *, titles: Mapping[str, str]) -> Figure:
    """Draw Figure 4: how far the attacked images are from the clean ones, and how often that was enough.

    A small mark is one attack (target, lambda, seed) on one model: across, the mean of Eq. 1 over its images; up, the
    share of images whose prediction it changes, in per cent. The large mark is the mean over the attacks of a model.
    `titles` has the rows of Table 2 by name, in the order of the legend.

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
        success, distance = _means(mine)
        place = looks[name]
        kind: dict[str, Any] = {"c": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        axis.scatter(distances, successes, s=13, alpha=0.6, linewidths=0, zorder=2, **kind)
        axis.scatter(distance, 100 * success, s=46, edgecolors="white", linewidths=0.7, zorder=3, label=label, **kind)
    axis.set(xlabel="dissimilarity (Eq. 1)", ylabel="attack success rate (%)", ylim=(-3, 103))
    axis.grid(visible=True)
    figure.legend(
        title="small: one attack; large: the mean of a model", loc="outside lower center",
        ncols=_legend_columns(list(titles.values())), handletextpad=0.1, columnspacing=1.0,
    )  # fmt: skip
    return figure


def _means(records: list[Record]) -> tuple[float, float]:
    """Return average attack success and mean dissimilarity, over the seeds."""
    figures = metrics.average_over_attacks, metrics.mean_dissimilarity
    success, distance = (metrics.over_seeds(records, figure).mean for figure in figures)
    return success, distance


def dissimilarity_sentence(records: Sequence[Record], titles: Mapping[str, str]) -> str:
    parts = []
    for name, title in titles.items():
        success, distance = _means([record for record in records if record.victim == name])
        parts.append(f"{title} {percent(success)} at {distance:.3f}")
    return f"Mean attack success, and the dissimilarity it takes: {', '.join(parts)}."


@look()
def ablation_figure(rows: Sequence[AblationRow]) -> Figure:
    """Draw accuracy and attack success against the size of the blur, a line for each layer; one row has no blur."""
    figure = Figure(figsize=(2 * COLUMN, 3.0), layout="constrained")
    panels = {
        "accuracy, test split": "legitimate_accuracy", "accuracy, clean signs": "victim_accuracy",
        "attack success": "attack_success",
    }  # fmt: skip
    axes = figure.subplots(1, 3, sharey=True)
    (plain,) = (row for row in rows if not row.size)
    for axis, (title, field) in zip(axes, panels.items(), strict=True):
        for layer, colour, marker in zip((1, 2, 3), COLOURS[1:], MARKERS[1:], strict=False):
            line = [plain, *(row for row in rows if row.layer == layer)]
            shares: list[Share] = [getattr(row, field) for row in line]
            axis.errorbar(
                [max(1, row.size) + 0.16 * (layer - 2) for row in line],  # beside one another, to tell them apart
                [100 * share.value for share in shares],
                yerr=np.transpose([(100 * (one.value - one.low), 100 * (one.high - one.value)) for one in shares]),
                color=colour, marker=marker, markersize=4, capsize=2, label=f"after layer {layer}",
            )  # fmt: skip
        axis.set_xticks([1, 3, 5, 7], ["none", "3x3", "5x5", "7x7"])
        axis.set(title=title, xlabel="box blur", ylim=(-3, 103))
        axis.grid()
    axes[0].set_ylabel("per cent")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _legend_columns(labels: Sequence[str]) -> int:
    # Side by side 62 letters fit, and a mark is as wide as 5. Matplotlib splits the labels in the same way.
    for columns in (3, 2):
        if sum(5 + max(map(len, part), default=0) for part in np.array_split(labels, columns)) <= 62:
            return columns
    return 1
