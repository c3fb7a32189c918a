"""Random rectangular stickers, drawn in a graph: what the trainings with stickers paint on their images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from blurnet_tf.attacks.config import Part, register
from blurnet_tf.attacks.inputs import check_number
from blurnet_tf.checks import check_integer

SIDE = 32
"""Sides are counted in pixels of an image of 32x32; another image has stickers of the same share of it."""


@register
@dataclass(frozen=True, kw_only=True)
class Rectangles(Part):
    """Stickers at random: how many, how large, and of which colours. No mask of an evaluation has a part in it.

    Attributes:
        count: The fewest and the most on an image.
        short, long: The range of one side and of the other, in pixels of an image of 32x32; which of the two is
            upright is drawn.
        noise: The share of stickers whose pixels have random colours each; the others have one random colour.

    Raises:
        ValueError: A range is empty, or larger than the image.
    """

    count: tuple[int, int] = (1, 3)
    short: tuple[int, int] = (2, 6)
    long: tuple[int, int] = (3, 16)
    noise: float = 0.5

    def __post_init__(self) -> None:
        for name in ("count", "short", "long"):
            given = getattr(self, name)
            if not isinstance(given, (tuple, list)) or len(given) != 2:
                raise ValueError(f"`{name}` must be the least and the most. Received: {name}={given!r}")
            check_integer(name, given[0], 1)
            check_integer(name, given[1], given[0])
            if name != "count" and given[1] > SIDE:
                raise ValueError(f"`{name}` must be at most {SIDE} pixels. Received: {name}={given!r}")
            object.__setattr__(self, name, tuple(given))
        check_number("noise", self.noise)
        if self.noise > 1:
            raise ValueError(f"`noise` must be a share, at most 1. Received: noise={self.noise!r}")

    def draw(self, n: Any, size: tuple[int, int], seed: Any) -> tuple[Any, Any]:
        """Return masks, float32 (n, H, W, 1) of 0 and 1, and colours, float32 (n, H, W, 3) in [0, 1].

        Args:
            n: How many images, an integer or a tensor.
            size: H, W.
            seed: int32 (2,), of the draw.

        Example:
            >>> masks, paint = Rectangles(count=(2, 2)).draw(5, (32, 32), (0, 1))
            >>> masks.shape, paint.shape
            (TensorShape([5, 32, 32, 1]), TensorShape([5, 32, 32, 3]))
        """
        most = self.count[1]
        seeds = tf.unstack(tf.random.split(seed, 8))

        def uniform(index: int, *shape: int) -> Any:
            return tf.random.stateless_uniform([n, *shape], seed=seeds[index])

        def whole(index: int, least: int, largest: int) -> Any:
            return tf.floor(least + uniform(index, most) * (largest - least + 1))

        short, long, upright = whole(0, *self.short), whole(1, *self.long), uniform(2, most) < 0.5
        sides = tf.where(upright, long, short), tf.where(upright, short, long)
        worn = tf.range(most, dtype=tf.float32) < tf.floor(
            self.count[0] + uniform(3, 1) * (most - self.count[0] + 1)
        )  # fmt: skip
        places = tf.unstack(uniform(4, 2, most), axis=1)

        def inside(axis: int) -> Any:
            """Return which rows, or columns, each rectangle covers: bool (n, most, pixels)."""
            pixels = size[axis]
            length = tf.maximum(tf.round(sides[axis] * (pixels / SIDE)), 1.0)
            first = tf.floor(places[axis] * (pixels - length + 1))
            place = tf.range(pixels, dtype=tf.float32)
            return (place >= first[..., None]) & (place < (first + length)[..., None])

        covered = inside(0)[..., :, None] & inside(1)[..., None, :] & worn[..., None, None]
        speckled = uniform(5, most) < self.noise
        plain, noise = uniform(6, most, 3), uniform(7, *size, 3)
        # The first rectangle that covers a pixel lies on top.
        top = tf.argmax(tf.cast(covered, tf.int8), axis=1)
        paint = tf.where(
            tf.gather(speckled, top, batch_dims=1)[..., None], noise, tf.gather(plain, top, batch_dims=1)
        )  # fmt: skip
        return tf.cast(tf.reduce_any(covered, axis=1), tf.float32)[..., None], paint
