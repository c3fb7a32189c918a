"""How the time of a step of RP2 and the memory of its process grow with what is attacked."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blurnet_tf.attacks import RP2
from blurnet_tf.models import lisa_cnn


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is attacked at once.

    Attributes:
        images, targets, restarts: How many.
        size: Height and width of an image, in pixels.
    """

    images: int = 40
    targets: int = 17
    restarts: int = 1
    size: int = 32


GROWING: dict[str, tuple[int, ...]] = {
    "images": (40, 400, 4000, 10_000), "targets": (1, 4, 17), "restarts": (1, 4, 16), "size": (32, 64, 224),
}  # fmt: skip
"""One thing grows at a time; the others are those of `Load`."""

STEPS = 4
"""Steps that are timed."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What a load costs.

    Attributes:
        grows: Which field of the load it is about.
        seconds: Of a step.
        megabytes: The most memory of the process, TensorFlow itself included.
    """

    grows: str
    load: Load
    seconds: float
    megabytes: int


def growth(precision: str, growing: dict[str, tuple[int, ...]] = GROWING) -> Iterator[Growth]:
    """Yield what each load costs, measured in a fresh process each, since memory that was used once is kept.

    Args:
        precision: The Keras policy that is computed in.
        growing: Values by field of `Load`.
    """
    for name, values in growing.items():
        for value in values:
            load = replace(Load(), **{name: value})
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                seconds, megabytes = pool.apply(_measure, (load, precision))
            yield Growth(grows=name, load=load, seconds=seconds, megabytes=megabytes)


def _measure(load: Load, precision: str) -> tuple[float, int]:
    images = np.random.default_rng(0).random((load.images, load.size, load.size, 3), np.float32)
    mask = np.zeros((load.size, load.size, 1), np.float32)
    mask[: load.size // 4, : load.size // 4] = 1
    model = lisa_cnn(image_size=(load.size, load.size), seed=0, dtype=precision)
    # So sure of one class that no target is reached before the attack.
    model.get_layer("logits").bias.assign([0.0] * 17 + [100.0])

    def seconds(steps: int) -> float:
        started = time.perf_counter()
        attack: Any = RP2(steps=steps, restarts=load.restarts)
        attack(model, images, targets=list(range(load.targets)), mask=mask, progress=False)
        return time.perf_counter() - started

    first = min(seconds(1), seconds(1))  # compiles; then what a call costs by itself
    step = (seconds(1 + STEPS) - first) / STEPS
    return step, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
