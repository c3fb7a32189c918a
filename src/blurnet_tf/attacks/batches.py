"""How many images a model sees at once: memory is bounded, whatever the number of images, stickers and runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

MOST_PIXELS = 2**21
"""Pixels of one batch: 2,048 images of 32x32, or 41 of 224x224. More take several batches."""


def batch_of(size: tuple[int, ...]) -> int:
    """Return how many images of height and width `size` are in a batch, at least one."""
    return max(1, MOST_PIXELS // math.prod(size))


def slices(n: int, most: int) -> list[slice]:
    """Return slices of `most` that cover `n`, the last one shorter."""
    return [slice(start, start + most) for start in range(0, n, most)]


def batches(images: Any) -> list[slice]:
    """Return slices of images (n, H, W, 3), a batch each."""
    return slices(len(images), batch_of(images.shape[1:3]))


def portions_of(blocks: int, groups: int, each: int, most: int) -> list[tuple[Sequence[int], slice]]:
    """Return which blocks, and which stickers of each, are attacked at once: `most` images in a batch if possible.

    A block is a run, or a restart of one: `groups` stickers on `each` images. One sticker is never divided.
    """
    if groups == 1 or groups * each <= most:
        count = math.ceil(blocks / max(1, most // (groups * each)))
        return [(some.tolist(), slice(0, groups)) for some in np.array_split(np.arange(blocks), count)]
    edges = np.linspace(0, groups, math.ceil(groups / max(1, most // each)) + 1).astype(int)
    return [([block], slice(*edges[k : k + 2].tolist())) for block in range(blocks) for k in range(len(edges) - 1)]


def mean_over_batches(
    measure: Callable[[Any], tuple[Any, ...]], problem: Any, batches: int, zeros: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return what `measure` says of a problem, the mean over `batches` parts of the images of each sticker.

    The parts are taken one after the other, in a graph. The problem is a named tuple with `images`, `classes` and
    `predictions`, (stickers, n, ...); `zeros` are of the shapes of what is measured.
    """
    if batches == 1:
        return measure(problem)
    n = tf.shape(problem.images)[1]

    def add(index: Any, *totals: Any) -> tuple[Any, ...]:
        start, stop = index * n // batches, (index + 1) * n // batches
        some = {name: getattr(problem, name)[:, start:stop] for name in ("images", "classes", "predictions")}
        found = measure(problem._replace(**some))
        share = tf.cast(stop - start, tf.float32) / tf.cast(n, tf.float32)
        new = (tf.ensure_shape(total + share * one, total.shape) for total, one in zip(totals, found, strict=True))
        return index + 1, *new

    start = (tf.constant(0), *zeros)
    return tuple(tf.while_loop(lambda index, *_: index < batches, add, start, parallel_iterations=1)[1:])
