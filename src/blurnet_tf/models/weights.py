"""The learned arrays of a model, layer by layer: read, copied, and known by a checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.checks import shown
from blurnet_tf.defenses.layers import FixedBlur

LayerWeights = Mapping[str, Sequence[NDArray[np.float32]]]
"""The arrays of each layer by its name, in Keras's order: ``{"conv1": (kernel, bias), ...}``."""


def layer_weights(model: keras.Model) -> dict[str, list[NDArray[np.float32]]]:
    """Return a copy of the arrays of every layer that has any, by layer name.

    The kernel of a `FixedBlur` is left out: nothing in it was learned, so all variants of Table 1 have the same arrays.
    """
    return {name: layer.get_weights() for name, layer in _layers(model).items()}


def set_layer_weights(model: keras.Model, weights: LayerWeights) -> None:
    """Copy arrays, as `layer_weights` gives them, into the layers of the same names; other layers are left alone.

    Raises:
        ValueError: The model has no layer of a name, or the layer's shapes are others. Nothing is copied then.

    Example:
        >>> from blurnet_tf.models import lisa_cnn
        >>> set_layer_weights(lisa_cnn("feature_5x5"), layer_weights(lisa_cnn("baseline")))
    """
    layers = _layers(model)
    if not isinstance(weights, Mapping) or not all(isinstance(arrays, Sequence) for arrays in weights.values()):
        raise ValueError(f"`weights` must be arrays by layer, {{name: [array, ...]}}. Received: {shown(weights)}")
    for name, arrays in weights.items():
        expected = [tuple(weight.shape) for weight in layers[name].weights] if name in layers else []
        received = [tuple(array.shape) for array in arrays]
        if name not in layers or expected != received:
            raise ValueError(
                f"Model '{model.name}' expects arrays of shapes {expected} for a layer '{name}'. Received: {received}"
            )
    for name, arrays in weights.items():
        layers[name].set_weights(list(arrays))


def weights_sha256(weights: LayerWeights) -> str:
    """Return a checksum of what `layer_weights` gives. A `.keras` file holds a date, so its own checksum varies."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        for array in weights[name]:
            digest.update(repr((name, array.shape, str(array.dtype))).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _layers(model: keras.Model) -> dict[str, Any]:
    return {layer.name: layer for layer in model.layers if layer.weights and not isinstance(layer, FixedBlur)}
