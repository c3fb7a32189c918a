"""Gradient attacks of CleverHans, in the only file that uses it. Version 4.0.0 works on Keras 3 for these methods."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from cleverhans.tf2.attacks.basic_iterative_method import basic_iterative_method
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.tf2.attacks.momentum_iterative_method import momentum_iterative_method
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent
from numpy.typing import NDArray

from blurnet_tf.attacks.batches import batches
from blurnet_tf.attacks.config import register
from blurnet_tf.attacks.contract import Attack, AttackResult
from blurnet_tf.attacks.inputs import Model, Task, check_number, check_seed
from blurnet_tf.checks import check_integer

METHODS: dict[str, Callable[..., Any]] = {
    "fgm": fast_gradient_method, "bim": basic_iterative_method, "mim": momentum_iterative_method,
    "pgd": functools.partial(projected_gradient_descent, rand_init=True),
}  # fmt: skip
NORMS: dict[str, float] = {"linf": np.inf, "l2": 2}


@register
@dataclass(frozen=True, kw_only=True)
class GradientAttack(Attack):
    """FGM, BIM, MIM or PGD of CleverHans, optionally only inside a mask. Called like every `Attack`.

    Each image has a perturbation of its own, the last one counts as the best, and there is no history and no progress
    bar. Only the start of "pgd" is random. The ball is that of the masked pixels.

    Attributes:
        method: "fgm" (Goodfellow et al. 2014), one step; "bim" (Kurakin et al. 2016), projected steps from the image
            itself; "mim" (Dong et al. 2017), the same with momentum; "pgd" (Madry et al. 2017), projected steps from a
            random point of the ball.
        epsilon: Radius of the ball round each image, in the full range 1.0. With "linf", 1.0 is any colour: inside a
            mask, a sticker for each image.
        norm: "linf" or "l2".
        step_size, steps: Of "bim", "mim" and "pgd": the length of a step, at most `epsilon`, and how many.
        seed: Seed of the start of "pgd". Each target has its own, the same one whichever targets stand beside it.

    Raises:
        ValueError: An attribute is outside what is listed.

    Example:
        >>> result = GradientAttack(method="bim", epsilon=8 / 255)(model, images)
        >>> result.apply(images).shape
        (1, 40, 32, 32, 3)

        Any colour inside the mask, from a random start:

        >>> sticker = GradientAttack(method="pgd", epsilon=1.0, step_size=0.1, steps=2, seed=3)
        >>> changed = np.abs(sticker(model, images, mask=mask).perturbation).max(axis=(0, 1, 4))
        >>> bool(changed[mask[..., 0] == 1].min() > 0.2), float(changed[mask[..., 0] == 0].max())
        (True, 0.0)
    """

    method: str = "bim"
    epsilon: float = 8 / 255
    norm: str = "linf"
    step_size: float = 2 / 255
    steps: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(
                f"`method` must be one of {', '.join(map(repr, METHODS))}. Received: method={self.method!r}"
            )
        if self.norm not in NORMS:
            raise ValueError(f"`norm` must be one of 'linf', 'l2'. Received: norm={self.norm!r}")
        check_number("epsilon", self.epsilon, positive=True)
        if self.method != "fgm" and not 0 < self.step_size <= self.epsilon:
            raise ValueError(
                f"`step_size` must lie above 0 and not above epsilon={self.epsilon}. Received: "
                f"step_size={self.step_size!r}"
            )
        check_integer("steps", self.steps, 1)
        check_seed("seed", self.seed)

    @property
    def name(self) -> str:
        """The method."""
        return self.method

    @property
    def per_image(self) -> bool:
        return True

    def find(self, model: Model, task: Task, *, progress: bool | None) -> AttackResult:
        """Attack each image by itself, one target after the other."""
        parts = batches(task.images)
        keys = [0] if task.targets is None else [target + 1 for target in task.targets]
        perturbation = np.stack([
            np.concatenate([self._change(model, task, part, classes, (key, k)) for k, part in enumerate(parts)])
            for classes, key in zip(task.classes, keys, strict=True)
        ])  # fmt: skip
        return AttackResult(
            attack=self,
            perturbation=perturbation,
            best_perturbation=perturbation,
            best_step=np.full(perturbation.shape[:2], 1 if self.method == "fgm" else self.steps, np.int32),
            targets=task.targets,
            mask=task.mask,
            history={},
        )

    def _change(
        self, model: Model, task: Task, part: slice, classes: NDArray[np.int32], key: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Return M.d, (images of the part, H, W, 3), for the classes (n,) of one run."""
        clean = tf.constant(task.images[part])
        n, height, width, _ = clean.shape
        inside = np.flatnonzero(task.mask)
        places, weights = tf.constant(inside[:, None]), tf.constant(task.mask.reshape(-1, 1)[inside])
        # CleverHans sees the masked pixels alone, (n, pixels, 3): the others would use up a part of an L2 ball, because
        # the start of "pgd" fills it.
        pixels = tf.gather(tf.reshape(clean, [n, -1, 3]), inside, axis=1)
        settings: dict[str, Any] = {"eps": self.epsilon, "norm": NORMS[self.norm], "clip_min": 0.0, "clip_max": 1.0}
        # Without CleverHans's own checks: the input is checked, and theirs build a ragged array, which NumPy refuses.
        settings |= {"targeted": task.targets is not None, "sanity_checks": False}
        if self.method != "fgm":
            settings |= {"eps_iter": self.step_size, "nb_iter": self.steps}

        def change(candidate: Any) -> Any:
            """Return M.d, (n, H, W, 3), of candidates for the masked pixels."""
            moved = tf.transpose(weights * (candidate - pixels), [1, 0, 2])
            moved = tf.transpose(tf.scatter_nd(places, moved, [height * width, n, 3]), [1, 0, 2])
            return tf.reshape(moved, [n, height, width, 3])

        def seen(candidate: Any) -> Any:
            return model(clean + change(candidate))

        wanted = tf.constant(classes[part], tf.int64)
        attack = functools.partial(METHODS[self.method], seen, pixels, y=wanted, **settings)
        return np.asarray(change((_seeded(attack, self.seed, key) if self.method == "pgd" else attack)()))


def _seeded(attack: Callable[[], Any], seed: int, key: tuple[int, int]) -> Callable[[], Any]:
    """Return `attack` with its draws from TensorFlow's global generator made reproducible, that generator untouched.

    In the graph of a function `tf.random.set_seed` sets the seed of this graph alone. Each function starts its draws
    anew, so each must be called but once.
    """
    mixed = int(np.random.SeedSequence((seed % 2**32, *key)).generate_state(1)[0])

    @tf.function(autograph=False)
    def run() -> Any:
        tf.random.set_seed(mixed)
        return attack()

    return run
