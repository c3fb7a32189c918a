"""Gradient attacks of CleverHans, for comparison with RP2: one perturbation an image, small everywhere.

The only file that uses CleverHans. Version 4.0.0 works on Keras 3 for these methods.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from cleverhans.tf2.attacks.basic_iterative_method import basic_iterative_method
from cleverhans.tf2.attacks.fast_gradient_method import fast_gradient_method
from cleverhans.tf2.attacks.momentum_iterative_method import momentum_iterative_method
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.attacks import inputs
from blurnet_tf.attacks.inputs import Model
from blurnet_tf.checks import check_images

METHODS: tuple[str, ...] = ("fgm", "bim", "mim")
NORMS: dict[str, float] = {"linf": np.inf, "l2": 2}


@dataclass(frozen=True, kw_only=True)
class GradientAttack:
    """FGM, BIM or MIM of CleverHans, optionally only inside a mask.

    Attributes:
        method: "fgm" (Goodfellow et al. 2014), one step; "bim" (Kurakin et al. 2016), projected steps from the image
            itself; "mim" (Dong et al. 2017), the same with momentum.
        epsilon: Radius of the ball round each image, in the full range 1.0.
        norm: "linf" or "l2".
        step_size: Length of a step of "bim" and "mim", at most `epsilon`.
        steps: Steps of "bim" and "mim".

    Raises:
        ValueError: An attribute is outside what is listed.

    Example:
        >>> adversarial = GradientAttack(method="bim", epsilon=8 / 255)(model, images)
        >>> adversarial.shape
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
        if not (math.isfinite(self.epsilon) and self.epsilon > 0):
            raise ValueError(f"`epsilon` must be a positive number. Received: epsilon={self.epsilon!r}")
        if self.method != "fgm" and not 0 < self.step_size <= self.epsilon:
            raise ValueError(
                f"`step_size` must lie above 0 and not above epsilon={self.epsilon}. Received: "
                f"step_size={self.step_size!r}"
            )
        inputs.check_steps(self.steps)

    def __call__(
        self,
        model: Model,
        images: ArrayLike,
        targets: int | Sequence[int] | None = None,
        mask: ArrayLike | None = None,
        *,
        labels: ArrayLike | None = None,
    ) -> NDArray[np.float32]:
        """Attack each image by itself.

        Args:
            model: Maps images to logits (n, classes), differentiably.
            images: float32 (n, H, W, 3) in [0, 1].
            targets: The wanted class or classes, one after the other; `None` moves away from the labels.
            mask: float32 (H, W, 1) in [0, 1]: pixels at 0 stay as they are. `None` is the whole image.
            labels: int32 (n,), the true classes. `None` takes the model's predictions on the clean images.

        Returns:
            float32 (targets, n, H, W, 3) in [0, 1]; one target if there is none.

        Raises:
            ValueError: A shape or range is wrong, a target is a label, or the model ends in a softmax or
                cannot be differentiated.
        """
        images = check_images(images)
        logits = inputs.check_model(model, images)
        predictions = logits.argmax(axis=1).astype(np.int32)
        true_labels = inputs.check_labels(labels, predictions, logits.shape[1])
        inside = tf.constant(1.0 if mask is None else inputs.check_masks(mask, images.shape[1:3]).max(axis=0))
        clean = tf.constant(images)

        def blend(candidate: Any) -> Any:
            # Outside the mask the model always sees the clean image, so the gradient there is 0.
            return clean + inside * (candidate - clean)

        def inside_model(candidate: Any) -> Any:
            return model(blend(candidate))

        if targets is None:
            return blend(self._attack(inside_model, clean, true_labels, False)).numpy()[None]
        wanted = inputs.check_targets(targets, logits.shape[1])
        inputs.check_targets_differ(wanted, true_labels, predictions, labelled=labels is not None)
        return np.stack(
            [blend(self._attack(inside_model, clean, np.full(len(images), one), True)).numpy() for one in wanted]
        )

    def _attack(self, model: Model, images: Any, classes: NDArray[np.int32], targeted: bool) -> Any:
        y = tf.constant(classes, tf.int64)
        # Without CleverHans's own checks: the input is checked, and theirs build a ragged array, which NumPy refuses.
        common = {"clip_min": 0.0, "clip_max": 1.0, "y": y, "targeted": targeted, "sanity_checks": False}
        norm = NORMS[self.norm]
        if self.method == "fgm":
            return fast_gradient_method(model, images, self.epsilon, norm, **common)
        if self.method == "bim":
            return basic_iterative_method(model, images, self.epsilon, self.step_size, self.steps, norm, **common)
        return momentum_iterative_method(
            model, images, eps=self.epsilon, eps_iter=self.step_size, nb_iter=self.steps, norm=norm, **common
        )
