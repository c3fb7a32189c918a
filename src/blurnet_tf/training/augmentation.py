"""Other light, place and colours of the images that a model learns from, drawn anew in each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from blurnet_tf.attacks import Expectation
from blurnet_tf.attacks.config import Part, register
from blurnet_tf.attacks.inputs import check_number


@register
@dataclass(frozen=True, kw_only=True)
class Augmentation(Part):
    """Random changes of the images themselves, before a procedure covers or attacks them.

    LISA's training images are frames of a few hundred tracks: neighbours differ little, and 58% of them are grey.

    Attributes:
        seen: Light, place, angle and focus, as an attack draws them.
        colour: A factor for each of red, green and blue: a draw from [1 - colour, 1 + colour].
        grey: The share of images that lose their colours.

    Raises:
        ValueError: `colour` or `grey` is outside [0, 1].

    Example:
        >>> Augmentation(grey=1.0)(images, (0, 7)).shape
        TensorShape([40, 32, 32, 3])
    """

    seen: Expectation = Expectation(brightness=0.15, contrast=0.3, shift=0.08, scale=0.13)
    colour: float = 0.15
    grey: float = 0.3

    def __post_init__(self) -> None:
        if not isinstance(self.seen, Expectation):
            raise ValueError(f"`seen` must be an Expectation. Received: seen={self.seen!r}")
        for name in ("colour", "grey"):
            value = getattr(self, name)
            check_number(name, value)
            if value > 1:
                raise ValueError(f"`{name}` must be at most 1. Received: {name}={value!r}")

    def __call__(self, images: Any, seed: Any) -> Any:
        """Return the images, each under a draw of its own, in the graph: float32 (n, H, W, 3) in [0, 1].

        Args:
            images: float32 (n, H, W, 3) in [0, 1].
            seed: int32 (2,). The same seed gives the same draws.
        """
        seeds = tf.unstack(tf.random.split(seed, 3))
        images = self.seen(images, seeds[0])
        n = tf.shape(images)[0]
        if self.colour:
            images *= 1 + tf.random.stateless_uniform([n, 1, 1, 3], seeds[1], -self.colour, self.colour)
        if self.grey:
            without = tf.random.stateless_uniform([n, 1, 1, 1], seeds[2]) < self.grey
            images = tf.where(without, tf.reduce_mean(images, axis=-1, keepdims=True), images)
        return tf.clip_by_value(images, 0.0, 1.0)
