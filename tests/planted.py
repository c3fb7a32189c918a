"""Small classifiers whose weakness is known, and pictures for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from blurnet_tf import Split
from blurnet_tf.evaluation.suites import Trial, margin

SIZE = 16
MASK = np.zeros((SIZE, SIZE, 1), np.float32)
MASK[4:8, 4:12] = 1
CLASSES = ("dark", "bright", "never")


def split(n: int = 8, seed: int = 0) -> Split:
    """Dark pictures."""
    images = np.random.default_rng(seed).uniform(0.0, 0.3, (n, SIZE, SIZE, 3)).astype(np.float32)
    ids = tuple(f"{seed}-{index}" for index in range(n))
    return Split(images=images, labels=np.zeros(n, np.int32), ids=ids, class_names=CLASSES)


def bright(images: Any) -> Any:
    """Whether the place of the sticker is bright: the logits change with its mean."""
    return _logits(tf.reduce_mean(images[:, 4:8, 4:12], axis=(1, 2, 3)))


def corner(images: Any) -> Any:
    """Whether a pixel is bright that no sticker reaches."""
    return _logits(images[:, 0, 0, 0])


@tf.custom_gradient
def rounded(images: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Sixteen levels, and no gradient through them."""
    return tf.round(images * 16) / 16, lambda upstream: 0.0 * upstream


def hidden(images: Any) -> Any:
    return bright(rounded(images))


def short(name: str, steps: int, *, start: Any = "black", **more: Any) -> Trial:
    """A trial of few steps; `more` are settings of the trial or of its attack."""
    told = {key: more.pop(key) for key in ("longer_than", "large", "transfer", "best", "held_out") if key in more}
    return Trial(name=name, attack=margin(steps, restarts=1, start=start, **more), **told)


def _logits(level: Any) -> Any:
    return tf.stack([0.0 * level, 40.0 * (level - 0.55), 0.0 * level - 60.0], axis=1)
