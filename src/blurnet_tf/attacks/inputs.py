"""What an attack checks of its settings and, once, of its input. Every check raises ValueError."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.attacks.batches import batches
from blurnet_tf.checks import are_probabilities, check_callable, check_images, is_finite, numbers_of

Model = Callable[[Any], Any]
"""Anything that maps images, float32 (n, H, W, 3) in [0, 1], to logits (n, classes), differentiably."""

Targets = int | Sequence[int]
"""Wanted classes, a run each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What is attacked, checked.

    Attributes:
        images: float32 (n, H, W, 3) in [0, 1].
        masks, mask: float32 (masks, H, W, 1) in [0, 1], and their union (H, W, 1).
        classes: int32 (runs, n), what is wanted of each image; without targets the labels, to get away from.
        predictions: int32 (n,), what the model says of the clean images.
        targets: The wanted classes, one a run; `None` for one run away from the labels.
    """

    images: NDArray[np.float32]
    masks: NDArray[np.float32]
    classes: NDArray[np.int32]
    predictions: NDArray[np.int32]
    targets: tuple[int, ...] | None

    @property
    def mask(self) -> NDArray[np.float32]:
        return self.masks.max(axis=0)

    def tiled(
        self, groups: int, runs: Sequence[int], part: slice = slice(None)
    ) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
        """Return images, classes and predictions by sticker, where `groups` equal groups of images wear one each.

        The stickers are those of `runs`, each run as often as it is named, those of one run side by side; `part` says
        which groups of each. A sticker has m = n / groups images: classes are (stickers, m). Images, (stickers, m, H,
        W, 3), and predictions, (stickers, m), stand there once, as (1, n, ...), where all images share one sticker.
        """
        split = (groups, len(self.images) // groups)
        copies = len(runs) if groups > 1 else 1
        images = np.tile(self.images.reshape(*split, *self.images.shape[1:])[part], (copies, 1, 1, 1, 1))
        predictions = np.tile(self.predictions.reshape(split)[part], (copies, 1))
        classes = self.classes.reshape(-1, *split)[list(runs), part]
        return images, classes.reshape(-1, split[1]), predictions


def check_task(
    model: Model,
    images: ArrayLike,
    targets: Targets | None,
    mask: ArrayLike | None,
    labels: ArrayLike | None,
    *,
    differentiable: bool = True,
) -> Task:
    """Check the arguments of an attack, which `Attack` explains."""
    check_callable("model", model)
    images = check_images(images)
    size = images.shape[1:3]
    masks = check_masks(np.ones((*size, 1)) if mask is None else mask, size)
    logits = check_model(model, images, differentiable=differentiable)
    predictions = logits.argmax(axis=1).astype(np.int32)
    true_labels = check_labels(labels, predictions, logits.shape[1])
    facts: dict[str, Any] = {"images": images, "masks": masks, "predictions": predictions}
    if targets is None:
        return Task(**facts, classes=true_labels[None], targets=None)
    wanted = np.atleast_1d(np.asarray(targets))
    if len(images) > 1 and any(np.array_equal(wanted, one) for one in (true_labels, predictions)):
        raise ValueError(
            "`targets` must be the wanted classes, a run each. Received: the labels of the images. "
            "Give them as `labels=`, without targets, to move away from them."
        )
    wanted = check_targets(targets, logits.shape[1])
    check_targets_differ(wanted, true_labels, predictions, labelled=labels is not None)
    return Task(**facts, classes=np.repeat(wanted[:, None], len(images), axis=1), targets=tuple(wanted.tolist()))


def check_number(name: str, value: Any, *, positive: bool = False) -> None:
    """Check that `value` is a finite number of at least 0, or above 0."""
    if not is_finite(value) or value < 0 or (positive and value == 0):
        wanted = "a positive number" if positive else "a finite number of at least 0"
        raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")


def check_seed(name: str, value: Any) -> None:
    """Check that `value` is an integer of 32 bits."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not -(2**31) <= value < 2**31:
        raise ValueError(f"`{name}` must be an integer of 32 bits. Received: {name}={value!r}")


def check_masks(mask: ArrayLike, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return one or several masks as float32 (masks, H, W, 1)."""
    array = numbers_of("mask", mask)
    if array.ndim not in (3, 4) or array.shape[-3:] != (*size, 1) or not array.size:
        shape = f"{size[0]}, {size[1]}, 1)"
        raise ValueError(
            f"`mask` must have the shape ({shape}, the size of the images, or (masks, {shape}. "
            f"Received: shape={array.shape}"
        )
    array = array.reshape(-1, *size, 1)
    if not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(
            f"`mask` must lie in [0, 1]. Received: values from {array.min():g} to {array.max():g}. "
            "Divide an 8-bit mask by 255, or read it with `load_mask`."
        )
    for index, one in enumerate(array):
        if not one.any():
            raise ValueError(f"`mask` must be above 0 somewhere. Received: mask {index} of {len(array)} is empty")
    return array


def check_targets(targets: Targets | None, classes: int) -> NDArray[np.int32]:
    """Return the targets as int32 (targets,), each an output of the model and none twice."""
    array = np.atleast_1d(np.asarray(targets))
    if array.ndim != 1 or not array.size or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"`targets` must be a class index or several. Received: targets={targets!r}")
    if array.min() < 0 or array.max() >= classes:
        raise ValueError(f"`targets` must lie in 0..{classes - 1}, the outputs of the model. Received: {targets!r}")
    found, counts = np.unique(array, return_counts=True)
    if (counts > 1).any():
        twice = ", ".join(map(str, found[counts > 1]))
        raise ValueError(f"`targets` must differ from each other. Received: {twice} more than once")
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
    low, high = array.min(), array.max()
    if low < 0 or high >= classes:
        raise ValueError(
            f"`labels` must lie in 0..{classes - 1}, the outputs of the model. Received: values from {low} to {high}"
        )
    return array.astype(np.int32)


def check_targets_differ(
    targets: NDArray[np.int32], labels: NDArray[np.int32], predictions: NDArray[np.int32], labelled: bool
) -> None:
    """Check that no target is a true label; warn if an image is taken for the target without any attack."""
    for target in targets:
        mine, already = (np.count_nonzero(one == target) for one in (labels, predictions))
        if labelled and mine:
            raise ValueError(
                f"A target must differ from the label of every image. Received: target={target}, the label of "
                f"{mine} of {len(labels)} images"
            )
        if already:
            warnings.warn(
                f"The model takes {already} of {len(predictions)} clean images for the target {target} already; "
                "they count as reached without any attack.",
                stacklevel=4,  # where the attack is called
            )


def check_model(model: Model, images: NDArray[np.float32], *, differentiable: bool = True) -> NDArray[np.float32]:
    """Return the logits of the clean images, (n, classes), of a model that can be attacked.

    Without `differentiable` it needs no gradient, but still returns a tensor of floats. The first batch tells.
    """
    first, *rest = (images[part] for part in batches(images))
    clean = tf.convert_to_tensor(first)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        if differentiable:
            tape.watch(clean)
        output = model(clean)
    answers = (check_outputs(model(tf.convert_to_tensor(some)), len(some)) for some in rest)
    logits = np.concatenate([check_outputs(output, len(first)), *answers])
    if not np.isfinite(logits).all():
        raise ValueError("`model` must return finite logits. Received: NaN or infinity for a clean image")
    if are_probabilities(logits):
        raise ValueError(
            "`model` must return logits. Received: probabilities, as if it ended in a softmax, which would flatten the "
            "gradients. Take the softmax off, or pass `lambda images: tf.math.log(model(images) + 1e-12)`."
        )
    floats = tf.is_tensor(output) and output.dtype.is_floating
    if not differentiable and not floats:
        raise ValueError(
            f"`model` must return a tensor of floats. Received: {type(output).__name__}, "
            f"{tf.convert_to_tensor(output).dtype.name}. Wrap a function of NumPy arrays in `tf.numpy_function`."
        )
    # Here, not in the attack's step: there the norm of the perturbation has a gradient even where the model has none.
    if differentiable and (not floats or tape.gradient(output, clean) is None):
        raise ValueError("`model` must be differentiable. Received: no gradient from the logits to the images")
    return logits


def check_outputs(output: Any, n: int) -> NDArray[np.float32]:
    """Return what a model gave for `n` images as float32 (n, classes), of two classes or more; NaN is let through."""
    if isinstance(output, dict):
        raise ValueError(
            f"`model` must return one tensor of logits. Received: a dict with the keys {', '.join(sorted(output))}. "
            "Pass a function that picks one, such as `lambda images: model(images)['logits']`."
        )
    logits = np.asarray(tf.convert_to_tensor(output), np.float32)
    if logits.ndim != 2 or len(logits) != n or logits.shape[1] < 2:
        raise ValueError(f"`model` must return logits ({n}, classes). Received: shape={logits.shape}")
    return logits
