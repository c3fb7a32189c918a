"""Gradient attacks of CleverHans, in the only file that uses it. Version 4.0.0 works on Keras 3 for these methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from cleverhans.tf2.attacks.basic_iterative_method import basic_iterative_method
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.tf2.attacks.momentum_iterative_method import momentum_iterative_method
from numpy.typing import NDArray

from blurnet_tf.attacks.config import register
from blurnet_tf.attacks.contract import Attack, AttackResult
from blurnet_tf.attacks.inputs import Model, Task, check_number
from blurnet_tf.checks import check_integer

METHODS: dict[str, Callable[..., Any]] = {
    "fgm": fast_gradient_method, "bim": basic_iterative_method, "mim": momentum_iterative_method,
}  # fmt: skip
NORMS: dict[str, float] = {"linf": np.inf, "l2": 2}


@register
@dataclass(frozen=True, kw_only=True)
class GradientAttack(Attack):
    """FGM, BIM or MIM of CleverHans, optionally only inside a mask. Called like every `Attack`.

    Each image has a perturbation of its own, the last one counts as the best, and there is no history and no progress
    bar. Nothing here is random.

    Attributes:
        method: "fgm" (Goodfellow et al. 2014), one step; "bim" (Kurakin et al. 2016), projected steps from the image
            itself; "mim" (Dong et al. 2017), the same with momentum.
        epsilon: Radius of the ball round each image, in the full range 1.0.
        norm: "linf" or "l2".
        step_size, steps: Of "bim" and "mim": the length of a step, at most `epsilon`, and how many.

    Raises:
        ValueError: An attribute is outside what is listed.

    Example:
        >>> result = GradientAttack(method="bim", epsilon=8 / 255)(model, images)
        >>> result.apply(images).shape
        (1, 40, 32, 32, 3)
    """

    method: str = "bim"
    epsilon: float = 8 / 255
    norm: str = "linf"
    step_size: float = 2 / 255
    steps: int = 10

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"`method` must be one of 'fgm', 'bim', 'mim'. Received: method={self.method!r}")
        if self.norm not in NORMS:
            raise ValueError(f"`norm` must be one of 'linf', 'l2'. Received: norm={self.norm!r}")
        check_number("epsilon", self.epsilon, positive=True)
        if self.method != "fgm" and not 0 < self.step_size <= self.epsilon:
            raise ValueError(
                f"`step_size` must lie above 0 and not above epsilon={self.epsilon}. Received: "
                f"step_size={self.step_size!r}"
            )
        check_integer("steps", self.steps, 1)

    @property
    def name(self) -> str:
        """The method."""
        return self.method

    def find(self, model: Model, task: Task, *, progress: bool | None) -> AttackResult:
        """Attack each image by itself, one target after the other."""
        clean, inside = tf.constant(task.images), tf.constant(task.mask)
        settings: dict[str, Any] = {"eps": self.epsilon, "norm": NORMS[self.norm], "clip_min": 0.0, "clip_max": 1.0}
        # Without CleverHans's own checks: the input is checked, and theirs build a ragged array, which NumPy refuses.
        settings |= {"targeted": task.targets is not None, "sanity_checks": False}
        if self.method != "fgm":
            settings |= {"eps_iter": self.step_size, "nb_iter": self.steps}

        def blend(candidate: Any) -> Any:
            # Outside the mask the model always sees the clean image, so the gradient there is 0.
            return clean + inside * (candidate - clean)

        def change(classes: NDArray[np.int32]) -> Any:
            y = tf.constant(classes, tf.int64)
            found = METHODS[self.method](lambda x: model(blend(x)), clean, y=y, **settings)
            return (blend(found) - clean).numpy()

        perturbation = np.stack([change(classes) for classes in task.classes])
        return AttackResult(
            attack=self,
            perturbation=perturbation,
            best_perturbation=perturbation,
            best_step=np.full(perturbation.shape[:2], settings.get("nb_iter", 1), np.int32),
            targets=task.targets,
            mask=task.mask,
            history={},
        )
