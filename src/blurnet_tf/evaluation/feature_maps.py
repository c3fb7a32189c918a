"""The feature maps of a Keras model: what leaves its layers."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.evaluation.spectra import RADIUS, frequency_response, share_beyond
from blurnet_tf.numerics import kernel_total_variation, total_variation


def map_layers(model: keras.Model) -> tuple[str, ...]:
    """Return the names of the layers that give maps (n, H, W, channels), in the order of the model.

    Example:
        >>> map_layers(model)
        ('conv1', 'conv2', 'conv3')
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    return tuple(layer.name for layer in layers if len(layer.output.shape) == 4)


def layer_maps(
    model: keras.Model, images: NDArray[np.float32], layers: Sequence[str] | None = None, *, batch_size: int = 512
) -> dict[str, NDArray[np.float32]]:
    """Return what leaves layers, behind their activation, by name: float32 (n, h, w, channels).

    Args:
        model: A functional or sequential Keras model.
        images: float32 (n, H, W, 3) in [0, 1].
        layers: Their names; by default `map_layers(model)`.
        batch_size: Images in one call of the model.

    Raises:
        ValueError: The model has no such layer, or what leaves it are no maps.

    Example:
        >>> layer_maps(model, images[:2], ["conv1"])["conv1"].shape
        (2, 16, 16, 64)
    """
    known = map_layers(model)
    names = known if layers is None else tuple(layers)
    if not names or not set(names) <= set(known):
        raise ValueError(
            f"`layers` must be some of {', '.join(known) or 'none'}. Received: {', '.join(names) or 'none'}"
        )
    probe = keras.Model(model.inputs[0], {name: model.get_layer(name).output for name in names})
    parts = [probe(images[start : start + batch_size]) for start in range(0, len(images), batch_size)]
    return {
        name: np.concatenate([np.asarray(keras.ops.cast(part[name], "float32")) for part in parts]) for name in names
    }


def kernel_roughness(model: keras.Model) -> dict[str, float]:
    """Return how rough the kernels of the first layer of a `lisa_cnn` are.

    `kernel_total_variation` is Eq. 4 of each window, summed over inputs and outputs; the relative one is that divided
    by the sum of ``|W|``; `kernel_high_pass` is the share of the kernels' energy beyond `spectra.RADIUS`. Their means
    count, because a flat kernel is a low pass, a box filter: what it has beside its mean is rounding.
    """
    kernel = np.asarray(keras.ops.convert_to_numpy(model.get_layer("conv1").kernel), np.float64)
    variation = float(keras.ops.convert_to_numpy(kernel_total_variation(kernel)))
    power = frequency_response(kernel, size=32) ** 2
    return {
        "kernel_total_variation": variation,
        "kernel_relative_total_variation": variation / float(np.abs(kernel).sum()),
        "kernel_high_pass": float(share_beyond(power.sum(axis=(2, 3)), RADIUS)),
    }


def roughness(model: keras.Model, images: NDArray[np.float32]) -> dict[str, float]:
    """Return the total variation of the maps of the first layer of a `lisa_cnn`, behind its ReLU.

    `total_variation` is Eq. 4 as the mean over images and channels; `relative_total_variation` the same divided by the
    mean sum of ``|F|``, which no scaling of the maps changes.
    """
    layer = "conv1_relu" if "conv1_relu" in map_layers(model) else "conv1"
    maps = layer_maps(model, images, [layer])[layer]
    variation = float(np.asarray(total_variation(maps), np.float64).mean())
    size = float(np.abs(maps).sum((1, 2), dtype=np.float64).mean())
    return {"total_variation": variation, "relative_total_variation": variation / size}
