"""Where a perturbation starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import tensorflow as tf

from blurnet_tf.attacks.config import Part, register
from blurnet_tf.checks import is_finite


class Start(Part):
    """Where a perturbation starts.

    Attributes:
        random: Whether another seed starts elsewhere. Restarts need one that does.
    """

    random: ClassVar[bool] = True

    def __call__(self, shape: tuple[int, ...], seed: tuple[int, int]) -> Any:
        """Return a tensor of `shape`, (stickers, H, W, 3), the same for the same seed."""
        raise NotImplementedError


@register
class Uniform(Start):
    """``d ~ U(0, 1)``, drawn for each target, the same whichever targets stand beside it: RP2."""

    def __call__(self, shape: tuple[int, ...], seed: tuple[int, int]) -> Any:
        return tf.random.stateless_uniform(shape, seed=seed)


@register
class RandomColour(Start):
    """One random value of d everywhere, uniform in [-1, 1] for each of red, green and blue."""

    def __call__(self, shape: tuple[int, ...], seed: tuple[int, int]) -> Any:
        colours = tf.random.stateless_uniform((shape[0], 1, 1, shape[-1]), seed=seed, minval=-1.0)
        return tf.broadcast_to(colours, shape)


@register
@dataclass(frozen=True)
class Colour(Start):
    """One value of d everywhere, three numbers in [-1, 1]: (1, 1, 1) makes white of any image, (-1, -1, -1) black."""

    random: ClassVar[bool] = False
    red: float
    green: float
    blue: float

    def __post_init__(self) -> None:
        for name in ("red", "green", "blue"):
            value = getattr(self, name)
            if not (is_finite(value) and abs(float(value)) <= 1):
                raise ValueError(f"`{name}` must lie in [-1, 1]. Received: {name}={value!r}")
            object.__setattr__(self, name, float(value))

    def __call__(self, shape: tuple[int, ...], seed: tuple[int, int]) -> Any:
        return tf.broadcast_to(tf.constant((self.red, self.green, self.blue), tf.float32), shape)
