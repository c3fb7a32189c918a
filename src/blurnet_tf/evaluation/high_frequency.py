"""How much of the signs, of their feature maps and of what an attack adds to them lies at high frequencies."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.evaluation.feature_maps import layer_maps, map_layers
from blurnet_tf.evaluation.spectra import RADIUS, high_frequency_ratio, pooled_power, share_beyond
from blurnet_tf.files import atomic_path

KINDS: tuple[str, ...] = ("clean", "attacked", "difference")
"""What is measured of a layer: its maps of clean and attacked images, and the latter less the former. Behind a blur the
difference is the blurred difference, since a blur is linear."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """The spectra of one layer over all images.

    Attributes:
        layer: Its name; "image" for the images themselves.
        shape: Height, width and number of the maps.
        ratios: For each of `KINDS` the `high_frequency_ratio` of each map, float64 (n, maps).
        power: For each of `KINDS` the `pooled_power`, float64 (H, W).
        radius: That of `ratios`, in cycles per pixel of the maps.
    """

    layer: str
    shape: tuple[int, int, int]
    ratios: Mapping[str, NDArray[np.float64]]
    power: Mapping[str, NDArray[np.float64]]
    radius: float

    def share(self, kind: str, radius: float | None = None) -> float:
        """Return the share of the energy of all maps and images together that lies beyond a radius, by default ours."""
        return float(share_beyond(self.power[kind], self.radius if radius is None else radius))

    def energy(self, kind: str, *, beyond: float = 0.0) -> float:
        """Return the energy beyond a radius, in the mean over maps and images: a variance, in the maps' own units."""
        return float(self.power[kind].sum()) * self.share(kind, beyond)

    def describe(self, radii: Sequence[float]) -> dict[str, object]:
        """Return energy and shares of each kind as JSON can write it; `None` where the maps are too small."""
        known = {f"{radius:g}": radius if tells(self.shape, radius) else None for radius in radii}

        def shares(kind: str) -> dict[str, float | None]:
            return {name: None if radius is None else self.share(kind, radius) for name, radius in known.items()}

        kinds = {kind: {"energy": self.energy(kind), "share_beyond": shares(kind)} for kind in KINDS}
        return {"shape": list(self.shape), **kinds}


def tells(shape: Sequence[int], radius: float) -> bool:
    """Whether maps (H, W, ...) have a frequency other than 0 up to a radius: whether 1 / side is small enough.

    Example:
        >>> tells((6, 6), 0.25), tells((2, 2), 0.25)
        (True, False)
    """
    return max(shape[:2]) * radius >= 1


def measure(
    layer: str, clean: NDArray[np.floating], attacked: NDArray[np.floating], *, radius: float = RADIUS
) -> Measured:
    """Measure the maps (n, H, W, maps) of a layer, of the same images clean and attacked."""
    maps = dict(zip(KINDS, (clean, attacked, np.subtract(attacked, clean, dtype=np.float64)), strict=True))
    return Measured(
        layer=layer,
        shape=clean.shape[1:],
        ratios={kind: high_frequency_ratio(value, radius) for kind, value in maps.items()},
        power={kind: pooled_power(value) for kind, value in maps.items()},
        radius=radius,
    )


def measure_layers(
    model: keras.Model, clean: NDArray[np.float32], attacked: NDArray[np.float32], *, radius: float = RADIUS
) -> dict[str, Measured]:
    """Measure every layer of a model that gives maps large enough for the radius, in the order of the model.

    Example:
        >>> measured = measure_layers(model, images, 1 - images)
        >>> list(measured), measured["conv1"].ratios["clean"].shape  # those of conv3 have 2x2 pixels
        (['conv1', 'conv2'], (40, 64))
    """
    layers = [name for name in map_layers(model) if tells(model.get_layer(name).output.shape[1:], radius)]
    before, after = (layer_maps(model, images, layers) for images in (clean, attacked))
    return {name: measure(name, before[name], after[name], radius=radius) for name in layers}


def strongest_maps(maps: NDArray[np.floating], count: int) -> list[int]:
    """Return the numbers of the `count` maps of (H, W, maps) that vary most, the most varying first.

    Example:
        >>> strongest_maps(np.array([[[0, 1, 3], [0, 2, 1]]]), 2)
        [2, 1]
    """
    return np.argsort(-maps.var(axis=(0, 1), dtype=np.float64), kind="stable")[:count].tolist()


def write_ratios(
    path: str | os.PathLike[str], measured: Iterable[tuple[str, str, Measured]], images: Sequence[str]
) -> None:
    """Write the ratio of every map of every image to a CSV file, atomically, with six significant digits.

    Each layer of `measured` comes with the weights and the variant that it is of; `images` are names.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("weights", "variant", "layer", "image", "map", *KINDS))
        for weights, variant, one in measured:
            table = np.stack([one.ratios[kind] for kind in KINDS], axis=-1)
            for image, maps in zip(images, table, strict=True):
                for index, ratios in enumerate(maps):
                    writer.writerow((weights, variant, one.layer, image, index, *(f"{ratio:.6g}" for ratio in ratios)))
