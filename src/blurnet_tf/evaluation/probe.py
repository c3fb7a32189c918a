"""What a model says and how it slopes before any attack, and the flags that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.attacks.batches import batches
from blurnet_tf.attacks.inputs import Model, check_labels, check_outputs
from blurnet_tf.attacks.losses import CrossEntropy, Loss, Margin
from blurnet_tf.checks import are_probabilities, check_images
from blurnet_tf.evaluation.flags import Flag

UNDERFLOW = 87.0
"""A class that leads by more leaves the others a probability below exp(-87), about the smallest normal float32."""

ROUNDING = 1e-4
"""Two answers differ by rounding if by less than this share of the largest logit."""

LOSSES: Mapping[str, Loss] = {
    "margin_gradient": Margin(confidence=1e30),  # never clipped: also a wrong answer has a gradient
    "cross_entropy_gradient": CrossEntropy(),
}


def probe(model: Model, images: ArrayLike, labels: ArrayLike) -> dict[str, NDArray[Any]]:
    """Ask a model what can be known without an attack, in bounded batches.

    Args:
        model: Maps images to logits (n, classes). It may be without gradients, and its answers may be NaN.
        images: float32 (n, H, W, 3) in [0, 1].
        labels: int32 (n,), the true classes.

    Returns:
        Arrays that an .npz can hold, for `probe_flags`:

        * "labels", int32 (n,); "logits" and "logits_again", float32 (n, classes), asked twice;
        * "plain_logits", float32 (8, classes): of pictures that show nothing, see `plain_pictures`;
        * "margin_gradient" and "cross_entropy_gradient", float32 (n,): the largest absolute value of the gradient of
          each loss in the pixels of each image, NaN if any of them is, 0 without a gradient;
        * "painted_logits", float32 (3, classes), and "painted_gradient", float32 (3,), of the margin: of the first
          image with its middle painted white, black and grey;
        * "differentiable", bool (): whether there is a gradient.

    Raises:
        ValueError: Images or labels have another shape or range, or the model returns no logits (n, classes).

    Example:
        >>> arrays = probe(model, images, labels)
        >>> arrays["logits"].shape, bool(arrays["differentiable"])
        ((40, 18), True)
    """
    images = check_images(images)
    logits = answers(model, images)
    truth = check_labels(labels, logits.argmax(axis=1).astype(np.int32), logits.shape[1])
    painted = _painted(images[0])
    slopes, steep = (gradients(model, some, of) for some, of in ((images, truth), (painted, truth[[0, 0, 0]])))
    none = {name: np.zeros(len(images), np.float32) for name in LOSSES}
    return {
        "labels": truth,
        "logits": logits,
        "logits_again": answers(model, images),
        "plain_logits": answers(model, plain_pictures(images.shape[1:3])),
        **(none if slopes is None else slopes),
        "painted_logits": answers(model, painted),
        "painted_gradient": np.zeros(3, np.float32) if steep is None else steep["margin_gradient"],
        "differentiable": np.array(slopes is not None),
    }


def probe_flags(arrays: Mapping[str, NDArray[Any]], class_names: Sequence[str]) -> tuple[Flag, ...]:
    """Return the flags that the arrays of `probe` deserve, in the order of `FLAGS`; none for an ordinary model.

    Args:
        arrays: From `probe`, or from the file that they were stored in.
        class_names: The names of the outputs.

    Raises:
        ValueError: There are not as many names as outputs.

    Example:
        >>> arrays = probe(lambda x: 0 * model(x), victims.images, victims.labels)
        >>> [flag.name for flag in probe_flags(arrays, victims.class_names)]
        ['zero_gradients', 'constant_predictions', 'low_class_recall']
    """
    if len(class_names) != arrays["logits"].shape[1]:
        raise ValueError(
            f"`class_names` must name the {arrays['logits'].shape[1]} outputs of the model. "
            f"Received: {len(class_names)} names"
        )
    with np.errstate(invalid="ignore"):  # infinite logits
        sentences = {
            "zero_gradients": _zero_gradients(arrays),
            "saturated_loss": _saturated_loss(arrays),
            "constant_predictions": _constant_predictions(arrays, class_names),
            "low_class_recall": _low_class_recall(arrays, class_names),
            "stochastic_model": _stochastic_model(arrays),
            "not_logits": _not_logits(arrays),
            "nan": _nan(arrays),
        }
    return tuple(Flag(name, sentence) for name, sentence in sentences.items() if sentence)


def answers(model: Model, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a model says, float32 (n, classes), which may be NaN; asked in batches."""
    parts = [images[part] for part in batches(images)]
    return np.concatenate([check_outputs(model(tf.constant(part)), len(part)) for part in parts])


def gradients(
    model: Model, images: NDArray[np.float32], labels: NDArray[np.int32]
) -> dict[str, NDArray[np.float32]] | None:
    """Return the largest absolute gradient of each of `LOSSES` in each image, float32 (n,); `None` without any."""
    found = [_gradients(model, images[part], labels[part]) for part in batches(images)]
    whole = [one for one in found if one is not None]
    if len(whole) < len(found):
        return None
    return {name: np.concatenate([one[name] for one in whole]) for name in LOSSES}


def _gradients(
    model: Model, images: NDArray[np.float32], labels: NDArray[np.int32]
) -> dict[str, NDArray[np.float32]] | None:
    pixels = tf.constant(images)
    try:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(pixels)
            output = model(pixels)
            logits = tf.cast(output, tf.float32)[:, None]
            losses = {name: loss.away(logits, labels[:, None]) for name, loss in LOSSES.items()}
        found = {name: tape.gradient(loss, pixels) for name, loss in losses.items()}
    except LookupError:  # an operation without a gradient, or one that was left out when the model was saved
        return None
    if any(one is None for one in found.values()):
        return None
    return {name: np.abs(one.numpy()).max(axis=(1, 2, 3)) for name, one in found.items()}


def plain_pictures(size: tuple[int, int]) -> NDArray[np.float32]:
    """Return pictures that show nothing, float32 (8, H, W, 3).

    White, black, grey, red, green, blue, a checkerboard and noise, always the same.
    """
    colours = np.array([(1, 1, 1), (0, 0, 0), (0.5, 0.5, 0.5), (1, 0, 0), (0, 1, 0), (0, 0, 1)], np.float32)
    flat = np.tile(colours[:, None, None], (1, *size, 1))
    rows, columns = np.indices(size) // 4
    board = np.repeat(((rows + columns) % 2)[..., None], 3, axis=-1)
    noise = np.random.default_rng(0).uniform(size=(*size, 3))
    return np.concatenate([flat, np.stack([board, noise]).astype(np.float32)])


def _painted(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an image with its middle painted white, black and grey, (3, H, W, 3).

    Gradients are not taken on wholly plain pictures: a model that divides by the standard deviation of its input has
    none there, but no attack comes there either.
    """
    height, width = image.shape[:2]
    painted = np.stack([image] * 3)
    for one, grey in zip(painted, (1.0, 0.0, 0.5), strict=True):
        one[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None] = grey
    return painted


def _zero_gradients(arrays: Mapping[str, NDArray[Any]]) -> str:
    if not arrays["differentiable"]:
        return "No gradient flows from the logits to the images."
    zero, n = np.count_nonzero(arrays["margin_gradient"] == 0), len(arrays["labels"])
    return f"The gradient of the margin is exactly 0 in {zero} of {n} images." if 2 * zero >= n else ""


def _saturated_loss(arrays: Mapping[str, NDArray[Any]]) -> str:
    second, first = np.sort(arrays["logits"], axis=1)[:, -2:].T
    lead, n = first - second, len(first)
    sure = np.count_nonzero(lead > UNDERFLOW)
    # Half precision, or a temperature inside the model, may lose the gradient earlier.
    lost = np.count_nonzero((arrays["cross_entropy_gradient"] == 0) & (arrays["margin_gradient"] != 0))
    if 2 * max(sure, lost) < n:
        return ""
    return (
        f"The first class leads by more than {UNDERFLOW:g} in the logits of {sure} of {n} images (median "
        f"{np.median(lead):.3g}), and the gradient of the cross-entropy is exactly 0 in {lost} that have one of the "
        "margin."
    )


def _constant_predictions(arrays: Mapping[str, NDArray[Any]], class_names: Sequence[str]) -> str:
    predictions, n = arrays["logits"].argmax(axis=1), len(arrays["labels"])
    counts = np.bincount(predictions, minlength=len(class_names))
    usual, label_counts = int(counts.argmax()), np.bincount(arrays["labels"])
    said = f"The model says {class_names[usual]} of {counts[usual]} of {n} images"
    if label_counts.max() <= 0.9 * n:
        found = np.count_nonzero(label_counts)
        return f"{said}, which are of {found} classes." if counts[usual] >= 0.98 * n else ""
    # Images of one class should all get that class. A model that looks at them gives another to what shows nothing.
    plain = arrays["plain_logits"].argmax(axis=1)
    constant = counts[usual] == n and (plain == usual).all()
    return f"{said}, and of {len(plain)} pictures that show nothing." if constant else ""


def _low_class_recall(arrays: Mapping[str, NDArray[Any]], class_names: Sequence[str]) -> str:
    labels, right = arrays["labels"], arrays["logits"].argmax(axis=1) == arrays["labels"]
    counts = np.bincount(labels, minlength=len(class_names))
    recall = np.bincount(labels[right], minlength=len(class_names)) / np.maximum(counts, 1)
    low = np.flatnonzero((counts >= 10) & (recall < 0.5))
    if not len(low):
        return ""
    worst = low[recall[low].argmin()]
    more = f" Fewer than half are recognised of {len(low)} classes." if len(low) > 1 else ""
    return f"Of {counts[worst]} clean images of {class_names[worst]} {recall[worst]:.1%} are recognised.{more}"


def _stochastic_model(arrays: Mapping[str, NDArray[Any]]) -> str:
    first, again = arrays["logits"], arrays["logits_again"]
    both = np.isfinite(first) & np.isfinite(again)
    difference = np.abs(first - again)[both].max(initial=0.0)
    largest = np.abs(first)[both].max(initial=0.0)
    if difference <= ROUNDING * largest:
        return ""
    changed = np.count_nonzero(first.argmax(axis=1) != again.argmax(axis=1))
    return (
        f"Asked twice, the model gives logits that differ by up to {difference:.3g} (the largest is {largest:.3g}) and "
        f"another class for {changed} of {len(first)} images."
    )


def _not_logits(arrays: Mapping[str, NDArray[Any]]) -> str:
    logits = arrays["logits"]
    return f"All {len(logits)} answers lie in [0, 1] and sum to 1." if are_probabilities(logits) else ""


def _nan(arrays: Mapping[str, NDArray[Any]]) -> str:
    asked = np.concatenate([arrays[name] for name in ("logits", "logits_again", "plain_logits", "painted_logits")])
    slopes = np.concatenate([arrays[name] for name in (*LOSSES, "painted_gradient")])
    bad = np.count_nonzero(~np.isfinite(asked).all(axis=1)), np.count_nonzero(~np.isfinite(slopes))
    return (
        f"NaN or infinite are {bad[0]} of {len(asked)} answers and {bad[1]} of {len(slopes)} gradients."
        if any(bad) else ""
    )  # fmt: skip
