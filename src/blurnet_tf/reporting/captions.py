"""What the numbers beside the figures say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.high_frequency import Measured
from blurnet_tf.evaluation.records import Record
from blurnet_tf.evaluation.spectra import radial_frequency
from blurnet_tf.reporting.defence_figures import passed

CAPTIONS: dict[str, str] = {
    "figure1": "A stop sign, clean and attacked, what the attack adds, and the spectrum of each.",
    "figure2": "Spectra of the maps of the first layer that the attack changes most: clean, attacked, the difference, "
    "and the difference behind the 5x5 blur.",
    "figure3": "Spectra of the maps of the second layer that vary most, on the clean sign.",
    "figure4": "L2 dissimilarity against attack success of white-box attacks. Lower and to the right is better.",
    "filters": "What the blurs and the first layers pass at each frequency.",
    "variants": "Share of high frequencies in the maps that the second layer sees, for each variant on the same signs.",
}
"""What each figure shows. A per cent in a panel, and the curves at the foot: the share of the energy, the mean of the
map left out, beyond a radius around the frequency 0. Figure 2 draws the spectrum of the difference of the maps, not the
difference of their spectra: the former is what a blur acts on."""


def image_sentence(image: Measured) -> str:
    """Return what Figure 1 says."""
    clean, attacked, difference = (_per_cent(image.share(kind)) for kind in ("clean", "attacked", "difference"))
    return (
        f"Beyond {image.radius:g} cycles per pixel lies {clean} of the energy of the clean signs, {attacked} of the "
        f"attacked signs', and {difference} of the energy of what the attack adds."
    )


def blur_sentence(before: Measured, after: Measured, *, lower: float = 0.125) -> str:
    """Return what Figure 2 says: the first layer's maps before and after the blur.

    Args:
        before: The maps that the blur receives.
        after: The maps that leave it.
        lower: A second radius, since the answer depends on it.
    """
    radius = before.radius

    def left(kind: str, beyond: float = 0.0) -> str:
        energy = before.energy(kind, beyond=beyond)
        return _per_cent(after.energy(kind, beyond=beyond) / energy if energy else 0.0)

    parts = [
        f"beyond {each:g} cycles per pixel lies {_per_cent(before.share('clean', each))} of the clean maps' energy "
        f"and {_per_cent(before.share('difference', each))} of the attack's difference, "
        f"{_per_cent(after.share('difference', each))} after the blur"
        for each in (radius, lower)
    ]
    return (
        f"Layer 1: {'; '.join(parts)}. The blur leaves {left('difference')} of the difference's energy "
        f"({left('difference', radius)} of what lies beyond {radius:g}) and {left('clean')} of the clean maps' energy."
    )


def layer_sentence(second: Measured, first: Measured) -> str:
    """Return what Figure 3 says: the second layer's maps of clean signs beside the first layer's."""
    parts = [
        f"{_per_cent(one.share('clean'))} of the energy of the maps of layer {number} "
        f"({one.shape[0]}x{one.shape[1]}; {_per_cent(_even(one))} if all frequencies were alike)"
        for number, one in ((2, second), (1, first))
    ]
    return f"On clean signs {' and '.join(parts)} lie beyond {second.radius:g} cycles per pixel."


def dissimilarity_sentence(records: Sequence[Record], titles: Mapping[str, str]) -> str:
    """Return what Figure 4 says: the mean of each model, its large mark."""
    parts = []
    for name, title in titles.items():
        mine = [record for record in records if record.victim == name]
        success = metrics.over_seeds(mine, metrics.average_over_attacks).mean
        distance = metrics.over_seeds(mine, metrics.mean_dissimilarity).mean
        parts.append(f"{title} {_per_cent(success)} at {distance:.3f}")
    return f"Mean attack success, and the L2 dissimilarity it takes: {', '.join(parts)}."


def response_sentence(blurs: Mapping[str, NDArray[np.floating]]) -> str:
    """Return what the figure of the filters says: the share of a wave's energy that each blur passes."""
    parts = []
    for label, kernel in blurs.items():
        _, shares = passed(kernel)
        parts.append(f"{label} {', '.join(_per_cent(float(shares[ring])) for ring in (0, 8, 16))}")
    return f"Of the energy of a wave of 0, 0.125 and 0.25 cycles per pixel pass: {'; '.join(parts)}."


def variant_sentence(groups: Mapping[str, Mapping[str, Sequence[float]]], *, radius: float) -> str:
    """Return what the figure of the variants says: for each the share of high frequencies in what the attack adds."""
    parts = [
        f"{heading}: " + ", ".join(f"{title} {_per_cent(shares[-1])}" for title, shares in group.items())
        for heading, group in groups.items()
        if group
    ]
    return (
        f"Of what the same attacked signs add to the maps that the second layer sees, this share lies beyond "
        f"{radius:g} cycles per pixel: {'; '.join(parts)}."
    )


def _even(one: Measured) -> float:
    frequency = radial_frequency(*one.shape[:2])
    return float((frequency > one.radius).sum() / (frequency > 0).sum())


def _per_cent(share: float) -> str:
    return f"{100 * share:.1f}%"
