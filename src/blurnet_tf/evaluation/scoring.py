"""Scoring: ask a model about clean and attacked images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.attacks.batches import batch_of, slices
from blurnet_tf.attacks.contract import Attack
from blurnet_tf.attacks.inputs import Model
from blurnet_tf.checks import check_callable, numbers_of
from blurnet_tf.data.split import Split
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.records import Record
from blurnet_tf.numerics import dissimilarity


@dataclass(frozen=True)
class PlainSticker:
    """The identity of a plain sticker in records: no attack made it."""

    name: str
    seed: int = 0
    digest: str = ""
    penalty: float = 0.0


def predict(model: Model, images: NDArray[np.float32], *, batch_size: int | None = None) -> NDArray[np.int32]:
    """Return the class with the largest logit for each image, int32 (n,).

    Args:
        model: Maps images to logits (n, classes).
        images: float32 (n, H, W, 3) in [0, 1].
        batch_size: Images in one call of the model; `None` takes 512, or fewer if they are large.

    Raises:
        ValueError: `images` are no array (n, H, W, 3), or `model` cannot be called.
    """
    check_callable("model", model)
    images = numbers_of("images", images)
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(f"`images` must have the shape (n, H, W, 3). Received: shape={images.shape}")
    batch_size = min(512, batch_of(images.shape[1:3])) if batch_size is None else batch_size
    some = slices(len(images), batch_size)
    parts = [np.asarray(model(tf.constant(images[part]))).argmax(axis=1) for part in some]
    return np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, np.int32)


def confidence(model: Model, images: NDArray[np.float32]) -> float:
    """Return how sure a model is: the softmax probability of the class that it predicts, the mean over the images.

    Args:
        model: Maps images to logits (n, classes).
        images: float32 (n, H, W, 3) in [0, 1], n at least 1.

    Example:
        >>> unsure = lambda images: tf.zeros((len(images), 4))
        >>> confidence(unsure, np.zeros((3, 32, 32, 3), "float32"))
        0.25
    """
    size = batch_of(images.shape[1:3])
    sure = [
        tf.reduce_max(tf.nn.softmax(model(tf.constant(images[part]))), axis=1) for part in slices(len(images), size)
    ]
    return float(np.concatenate(sure).mean())


def recall(predictions: NDArray[np.int32], labels: NDArray[np.int32]) -> dict[str, float]:
    """Return `least_recall`, the share found of the class that is found worst, and `classes_predicted`, of `classes`.

    Example:
        >>> recall(np.array([0, 0, 1, 0]), np.array([0, 0, 1, 1]))
        {'least_recall': 0.5, 'classes_predicted': 2, 'classes': 2}
    """
    known = np.unique(labels)
    shares = [float((predictions[labels == one] == one).mean()) for one in known]
    return {
        "least_recall": min(shares), "classes_predicted": len(np.unique(predictions)), "classes": len(known)
    }  # fmt: skip


def score(
    model: Model,
    split: Split,
    adversarial: NDArray[np.float32],
    *,
    attack: Attack | PlainSticker,
    source: str,
    victim: str,
    target: int | None,
    clean: NDArray[np.int32] | None = None,
    iterate: str = "last",
) -> list[Record]:
    """Return a record for each image of `split`.

    Args:
        model: The victim.
        split: The clean images.
        adversarial: float32 (n, H, W, 3), the attacked images in the same order.
        attack: What made them.
        source: Name of the model that the attack saw.
        victim: Name of `model`.
        target: The attack's target class, or `None`.
        clean: int32 (n,), what `model` predicts on the clean images, if that is known already.
        iterate: Which perturbation of the attack that is, "last" or "best".
    """
    if adversarial.shape != split.images.shape:
        raise ValueError(
            f"`adversarial` must have the shape {split.images.shape} of the clean images. "
            f"Received: shape={adversarial.shape}"
        )
    shared: dict[str, Any] = {
        "source": source, "victim": victim, "attack": attack.name, "attack_digest": attack.digest, "target": target,
        "penalty": attack.penalty, "seed": attack.seed, "iterate": iterate,
    }  # fmt: skip
    columns: dict[str, Sequence[Any]] = {
        "image": split.ids,
        "label": split.labels.tolist(),
        "clean_prediction": (predict(model, split.images) if clean is None else clean).tolist(),
        "adversarial_prediction": predict(model, adversarial).tolist(),
        "dissimilarity": np.asarray(dissimilarity(split.images, adversarial)).tolist(),
    }
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [Record(**shared, **row) for row in rows]


def held_out_accuracy(model: Model, test: Split) -> Rate:
    """Return the accuracy on the held-out images."""
    return Rate(int((predict(model, test.images) == test.labels).sum()), len(test))
