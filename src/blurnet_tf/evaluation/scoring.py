"""Scoring: ask a model about clean and attacked images."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.attacks.inputs import Model
from blurnet_tf.data.split import Split
from blurnet_tf.evaluation.records import Record
from blurnet_tf.numerics import dissimilarity


def predict(model: Model, images: NDArray[np.float32], *, batch_size: int = 512) -> NDArray[np.int32]:
    """Return the class with the largest logit for each image.

    Args:
        model: Maps images to logits (n, classes).
        images: float32 (n, H, W, 3) in [0, 1].
        batch_size: Images in one call of the model.

    Returns:
        int32 (n,).
    """
    starts = range(0, len(images), batch_size)
    parts = [np.asarray(model(tf.constant(images[start : start + batch_size]))).argmax(axis=1) for start in starts]
    return np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, np.int32)


def score(
    model: Model,
    split: Split,
    adversarial: NDArray[np.float32],
    *,
    source: str,
    victim: str,
    target: int | None,
    penalty: float,
    seed: int,
) -> list[Record]:
    """Return a record for each image of `split`.

    Args:
        model: The victim: maps images to logits.
        split: The clean images.
        adversarial: float32 (n, H, W, 3), the attacked images in the same order.
        source: Name of the model that the attack saw.
        victim: Name of `model`.
        target: The attack's target class, or `None`.
        penalty: The attack's lambda.
        seed: The attack's seed.

    Raises:
        ValueError: `adversarial` has another shape than the clean images.
    """
    if adversarial.shape != split.images.shape:
        raise ValueError(
            f"`adversarial` must have the shape {split.images.shape} of the clean images. "
            f"Received: shape={adversarial.shape}"
        )
    columns: tuple[Any, ...] = (
        split.ids,
        split.labels.tolist(),
        predict(model, split.images).tolist(),
        predict(model, adversarial).tolist(),
        np.asarray(dissimilarity(split.images, adversarial)).tolist(),
    )
    return [
        Record(
            image=image,
            label=label,
            source=source,
            victim=victim,
            target=target,
            penalty=penalty,
            seed=seed,
            clean_prediction=clean,
            adversarial_prediction=attacked,
            dissimilarity=distance,
        )
        for image, label, clean, attacked, distance in zip(*columns, strict=True)
    ]
