"""What an attack checks of its input, once, before it starts."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

Model = Callable[[Any], Any]
"""Anything that maps images, float32 (n, H, W, 3) in [0, 1], to logits (n, classes), differentiably."""


def check_steps(steps: int) -> None:
    """Raise ValueError unless the number of steps is a whole one above 0."""
    if not isinstance(steps, numbers.Integral) or steps < 1:
        raise ValueError(f"`steps` must be a positive integer. Received: steps={steps!r}")


def check_seed(seed: int) -> None:
    """Raise ValueError unless the seed is a whole number that TensorFlow takes as one."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not -(2**31) <= seed < 2**31:
        raise ValueError(f"`seed` must be an integer of 32 bits. Received: seed={seed!r}")


def check_masks(mask: ArrayLike, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return one or several masks as float32 (masks, H, W, 1), or raise ValueError if one does not fit."""
    array = np.asarray(mask, np.float32)
    if array.ndim not in (3, 4) or array.shape[-3:] != (*size, 1) or not array.size:
        raise ValueError(
            f"`mask` must have the shape ({size[0]}, {size[1]}, 1), the size of the images, or (masks, {size[0]}, "
            f"{size[1]}, 1). Received: shape={array.shape}"
        )
    array = array.reshape(-1, *size, 1)
    if not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(
            f"`mask` must lie in [0, 1]. Received: values from {array.min():g} to {array.max():g}. "
            "Divide an 8-bit mask by 255, or read it with `load_mask`."
        )
    empty = [index for index, one in enumerate(array) if not one.any()]
    if empty:
        raise ValueError(f"`mask` must be above 0 somewhere. Received: mask {empty[0]} of {len(array)} is empty")
    return array


def check_palettes(palette: Any, masks: int) -> tuple[NDArray[np.float32], ...]:
    """Return a palette (colours, 3) for each mask; one palette serves all masks."""
    if palette is None:
        raise ValueError("`palette` must be given when the attack has an NPS term. Received: palette=None")
    several = isinstance(palette, (list, tuple)) and len(palette) > 0 and np.ndim(palette[0]) == 2
    palettes = tuple(np.asarray(one, np.float32) for one in (palette if several else [palette] * masks))
    if len(palettes) != masks:
        raise ValueError(f"`palette` must be one palette or one for each of {masks} masks. Received: {len(palettes)}")
    for one in palettes:
        if one.ndim != 2 or one.shape[1] != 3 or not one.size or not (one.min() >= 0 and one.max() <= 1):
            raise ValueError(f"`palette` must have the shape (colours, 3) and lie in [0, 1]. Received: {one.shape}")
    return palettes


def check_targets(targets: int | Sequence[int] | None, classes: int) -> NDArray[np.int32]:
    """Return the target classes as int32 (targets,), or raise ValueError if one is no output of the model."""
    array = np.atleast_1d(np.asarray(targets))
    if array.ndim != 1 or not array.size or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"`targets` must be a class index or several. Received: targets={targets!r}")
    if array.min() < 0 or array.max() >= classes:
        raise ValueError(f"`targets` must lie in 0..{classes - 1}, the outputs of the model. Received: {targets!r}")
    return array.astype(np.int32)


def check_labels(labels: ArrayLike | None, predictions: NDArray[np.int32], classes: int) -> NDArray[np.int32]:
    """Return the true labels as int32 (n,); without any, what the model predicts on the clean images."""
    if labels is None:
        return predictions
    array = np.asarray(labels)
    if array.shape != predictions.shape or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"`labels` must be integers of shape {predictions.shape}. Received: {array.dtype}, shape={array.shape}"
        )
    if array.min() < 0 or array.max() >= classes:
        raise ValueError(
            f"`labels` must lie in 0..{classes - 1}, the outputs of the model. Received: values from {array.min()} to "
            f"{array.max()}"
        )
    return array.astype(np.int32)


def check_targets_differ(
    targets: NDArray[np.int32], labels: NDArray[np.int32], predictions: NDArray[np.int32], labelled: bool
) -> None:
    """Raise ValueError if a target is a true label; warn if an image is taken for the target without any attack."""
    for target in targets:
        if labelled and np.any(labels == target):
            raise ValueError(
                f"A target must differ from the label of every image. Received: target={target}, the label of "
                f"{np.count_nonzero(labels == target)} of {len(labels)} images"
            )
        already = np.count_nonzero(predictions == target)
        if already:
            warnings.warn(
                f"The model takes {already} of {len(predictions)} clean images for the target {target} already; "
                "they count as reached without any attack.",
                stacklevel=3,
            )


def check_model(model: Model, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits of the clean images, (n, classes), or raise ValueError if the model cannot be attacked."""
    clean = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(clean)
        output = model(clean)
    if isinstance(output, dict):
        raise ValueError(
            f"`model` must return one tensor of logits. Received: a dict with the keys {', '.join(sorted(output))}. "
            "Pass a function that picks one, such as `lambda images: model(images)['logits']`."
        )
    logits = np.asarray(tf.convert_to_tensor(output), np.float32)
    if logits.ndim != 2 or len(logits) != len(images) or logits.shape[1] < 2:
        raise ValueError(f"`model` must return logits ({len(images)}, classes). Received: shape={logits.shape}")
    if not np.isfinite(logits).all():
        raise ValueError("`model` must return finite logits. Received: NaN or infinity for a clean image")
    if logits.min() >= 0 and np.allclose(logits.sum(axis=1), 1.0, atol=1e-3):
        raise ValueError(
            "`model` must return logits. Received: probabilities, as if it ended in a softmax, which would flatten the "
            "gradients. Take the softmax off, or pass `lambda images: tf.math.log(model(images) + 1e-12)`."
        )
    # Here, not in the attack's step: there the norm of the perturbation has a gradient even where the model has none.
    if not tf.is_tensor(output) or not output.dtype.is_floating or tape.gradient(output, clean) is None:
        raise ValueError("`model` must be differentiable. Received: no gradient from the logits to the images")
    return logits
