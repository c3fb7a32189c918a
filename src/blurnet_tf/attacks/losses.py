"""The terms of RP2's objective, Eq. 2 of the paper. TensorFlow, differentiable, one value for each target."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from blurnet_tf.numerics import TINY


def cross_entropy(logits: Any, classes: Any) -> Any:
    """Cross-entropy of each target's class, averaged over the images: J of Eq. 2.

    Args:
        logits: float32 (targets, n, outputs).
        classes: int32 (targets, n): the class that is wanted of each image.

    Returns:
        float32 (targets,).
    """
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits), axis=1)


def mse(logits: Any, classes: Any) -> Any:
    """RP2's "mse": the Euclidean distance of all probabilities to the one-hot classes. Not a mean, and not squared.

    The original takes the root of the sum over images and classes, and its model ends in a softmax.

    Args:
        logits: float32 (targets, n, outputs).
        classes: int32 (targets, n).

    Returns:
        float32 (targets,).
    """
    error = tf.nn.softmax(logits) - tf.one_hot(classes, logits.shape[-1])
    return tf.sqrt(tf.reduce_sum(tf.square(error), axis=(1, 2)) + TINY)


def nps_original(perturbation: Any, palette: Any) -> Any:
    """Non-printability score as RP2's code has it: sum over pixels of the product of the distances to the palette.

    It scores the additive, masked perturbation instead of the colour that is printed, and every pixel outside the mask
    adds a constant, the product of the palette's norms. Kept exact, to reproduce the original.

    Args:
        perturbation: float32 (targets, H, W, 3), M.d.
        palette: float32 (colours, 3).

    Returns:
        float32 (targets,).
    """
    return tf.reduce_sum(_distance_product(perturbation, palette), axis=(1, 2))


def nps_corrected(adversarial: Any, mask: Any, palette: Any) -> Any:
    """Non-printability score of what is printed: the colours of the attacked images inside the mask.

    The sum over pixels of Sharif et al., as `nps_original`, but of ``x + M.d``, only inside the mask, and averaged over
    the images, because one sticker looks the same on each but the sum does not.

    Args:
        adversarial: float32 (targets, n, H, W, 3) in [0, 1].
        mask: float32 (H, W, 1).
        palette: float32 (colours, 3).

    Returns:
        float32 (targets,).
    """
    targets, images = tf.shape(adversarial)[0], tf.shape(adversarial)[1]
    mask = tf.reshape(mask, [-1])
    inside = tf.where(mask > 0.0)[:, 0]  # a sticker covers few pixels: the palette is compared with those alone
    colours = tf.gather(tf.reshape(adversarial, [targets, images, -1, 3]), inside, axis=2)
    scores = _distance_product(colours, palette) * tf.gather(mask, inside)
    return tf.reduce_mean(tf.reduce_sum(scores, axis=2), axis=1)


def _distance_product(colours: Any, palette: Any) -> Any:
    """Product over the palette of the Euclidean distances: (..., 3) -> (...)."""
    # One difference for each palette colour; `TINY` keeps the gradient at 0 where a colour is met exactly.
    squares = tf.reduce_sum(tf.square(colours[..., None, :] - palette), axis=-1)
    return tf.reduce_prod(tf.sqrt(squares + TINY), axis=-1)
