"""Where the gradient of an attack comes from: differentiation, or an estimate from losses alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import tensorflow as tf

from blurnet_tf.attacks.config import Part, register
from blurnet_tf.attacks.inputs import check_number
from blurnet_tf.checks import check_integer

Evaluate = Callable[[Any], tuple[Any, Any]]
"""Maps parameters (stickers, ...) to the loss of each sticker, (stickers,), and a row of the history."""


class Gradient(Part):
    """How the gradient of the loss in the parameters is found.

    Attributes:
        differentiates: Whether the model must be differentiable.
    """

    differentiates: ClassVar[bool] = True

    def __call__(self, evaluate: Evaluate, z: Any, seed: Any) -> tuple[Any, Any, Any]:
        """Return loss, row and gradient at `z`. `seed`, int32 (2,), is another one in each step."""
        raise NotImplementedError


@register
class Exact(Gradient):
    """By differentiation."""

    def __call__(self, evaluate: Evaluate, z: Any, seed: Any) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss, row = evaluate(z)
        # Of the sum over stickers; each has its own parameters.
        return loss, row, tape.gradient(loss, z)


@register
@dataclass(frozen=True)
class SPSA(Gradient):
    """By simultaneous perturbation, from losses alone: Spall 1992; Uesato et al. 2018, "Adversarial Risk".

    The mean over random signs v of ``v (f(z + delta v) - f(z - delta v)) / (2 delta)``: for a model that hides its
    gradient or has none. A step costs 2 * samples + 1 calls of the model.

    Attributes:
        samples: How many v in a step.
        delta: How far apart the losses are taken, in the units of the parameters: 1.0 is the full range of a pixel.
    """

    differentiates: ClassVar[bool] = False
    samples: int = 16
    delta: float = 0.05

    def __post_init__(self) -> None:
        check_integer("samples", self.samples, 1)
        check_number("delta", self.delta, positive=True)

    def __call__(self, evaluate: Evaluate, z: Any, seed: Any) -> tuple[Any, Any, Any]:
        loss, row = evaluate(z)

        def add(index: Any, total: Any) -> tuple[Any, Any]:
            bits = tf.random.stateless_uniform(z.shape, tf.random.experimental.stateless_fold_in(seed, index))
            sign = tf.where(bits < 0.5, -1.0, 1.0)
            difference = evaluate(z + self.delta * sign)[0] - evaluate(z - self.delta * sign)[0]
            return index + 1, total + tf.reshape(difference, [-1, *[1] * (len(z.shape) - 1)]) * sign

        start = (tf.constant(0), tf.zeros_like(z))
        _, total = tf.while_loop(lambda index, _: index < self.samples, add, start)
        return loss, row, total / (2 * self.delta * self.samples)
