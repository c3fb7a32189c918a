"""The attack contract: how in the constructor, what in the call, and the same result from every attack."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.attacks.config import Part
from blurnet_tf.attacks.inputs import Model, Targets, Task, check_task
from blurnet_tf.attacks.transforms import place
from blurnet_tf.checks import check_images


class Attack(Part):
    """Base of all attacks. A new one is a frozen dataclass with its settings, with `@register` and the method `find`.

    Attributes:
        seed: Of what is random. Another seed is the same attack, so it has no part in `digest`.
        penalty: lambda of Eq. 2, 0 without a penalised norm.
    """

    key: ClassVar[str] = "attack"
    seed: int = 0
    penalty: float = 0.0

    @property
    def name(self) -> str:
        """What the attack is called in records."""
        return type(self).__name__

    @property
    def per_image(self) -> bool:
        """Whether images have perturbations of their own, instead of one for all."""
        return False

    @property
    def differentiates(self) -> bool:
        """Whether the attack takes gradients. One that takes none may be made on a model without them."""
        return True

    @property
    def digest(self) -> str:
        """12 hexadecimal digits of all settings but the seed.

        Example:
            >>> RP2(seed=1).digest == RP2(seed=2).digest, RP2(steps=1).digest == RP2(steps=2).digest
            (True, False)
        """
        config = {name: value for name, value in self.to_config().items() if name != "seed"}
        return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]

    def __call__(
        self,
        model: Model,
        images: ArrayLike,
        *misplaced: Any,
        targets: Targets | None = None,
        mask: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        progress: bool | None = None,
    ) -> AttackResult:
        """Attack a model.

        Args:
            model: Maps images to logits (n, classes), in TensorFlow, and differentiably if the attack
                `differentiates`: a Keras model, an endpoint of a SavedModel (``loaded.serve``; hold on to `loaded`), a
                function.
            images: float32 (n, H, W, 3) in [0, 1].
            *misplaced: Nothing: the other arguments are given by name.
            targets: The wanted class or classes, a run each; `None` moves away from the labels, in one run.
            mask: float32 (H, W, 1) in [0, 1], 1 where the attack may act; or (masks, H, W, 1), whose union counts.
                `None` is the whole image.
            labels: int32 (n,), the true classes. `None` takes the model's predictions on the clean images.
            progress: Show a progress bar, if the attack has one. `None` does so on a terminal.

        Raises:
            TypeError: An argument that must be named is not.
            ValueError: A shape or range is wrong; a mask is empty; a target is a label or stands twice; labels stand
                where targets belong; the model ends in a softmax or cannot be differentiated.

        Warns:
            UserWarning: A clean image is taken for a target already, or the loss became infinite or NaN.
        """
        if misplaced:
            raise TypeError(
                "An attack takes the model and the images by position, and all else by name: write `targets=` for "
                "wanted classes, `labels=` for the true ones, `mask=` for a mask. "
                f"Received: {2 + len(misplaced)} arguments by position"
            )
        task = check_task(model, images, targets, mask, labels, differentiable=self.differentiates)
        return self.find(model, task, progress=progress)

    def find(self, model: Model, task: Task, *, progress: bool | None) -> AttackResult:
        """Find the perturbations of a checked task: what a new attack defines."""
        raise NotImplementedError

    def place(self, images: Any, perturbation: Any, mask: Any) -> Any:
        """Put masked perturbations (runs, H, W, 3) or (runs, n, H, W, 3) onto images: float32 (runs, n, H, W, 3)."""
        return place(images, perturbation)


@dataclass(frozen=True, kw_only=True, eq=False)
class AttackResult:
    """What `attack` found: a run for each target, or one run away from the labels.

    Attributes:
        perturbation: float32 (runs, H, W, 3) if all images share it, (runs, n, H, W, 3) if each has its own: M.d after
            the last step, 0 outside the mask. 1.0 is the full range.
        best_perturbation: The same of the best step: most images on the target (without one: most predictions changed),
            and among those the lowest loss. The last step, for an attack that looks for no best.
        best_step: int32 (runs,) or (runs, n), that step: 0 is the start.
        targets: The target classes, or `None`.
        mask: float32 (H, W, 1), the union of the masks.
        history: By name float32 (steps + 1, runs), averaged over the images where each has its own perturbation: row k
            is measured after k steps. "loss" is the sum of "adversarial" and of the weighted penalties, such as "norm";
            "success" is the share of images whose prediction differs from the clean one; "target_reached" the share on
            the target, if there is one. Empty for an attack without one.
    """

    attack: Attack
    perturbation: NDArray[np.float32]
    best_perturbation: NDArray[np.float32]
    best_step: NDArray[np.int32]
    targets: tuple[int, ...] | None
    mask: NDArray[np.float32]
    history: dict[str, NDArray[np.float32]]

    @property
    def runs(self) -> int:
        """The number of targets, or 1 without any."""
        return len(self.perturbation)

    def one(self, run: int) -> AttackResult:
        """Return the result of one run alone, counted from 0.

        Example:
            >>> result.one(0).perturbation.shape
            (1, 32, 32, 3)
        """
        if not 0 <= run < self.runs:
            raise ValueError(f"`run` must lie in 0..{self.runs - 1}. Received: run={run}")
        some = slice(run, run + 1)
        return dataclasses.replace(
            self,
            perturbation=self.perturbation[some],
            best_perturbation=self.best_perturbation[some],
            best_step=self.best_step[some],
            targets=None if self.targets is None else self.targets[some],
            history={name: rows[:, some] for name, rows in self.history.items()},
        )

    def apply(self, images: ArrayLike, *, best: bool = False) -> NDArray[np.float32]:
        """Put the perturbations onto images of the attacked size, as the attack did: float32 (runs, n, H, W, 3).

        Args:
            images: float32 (n, H, W, 3) in [0, 1]; the attacked ones, if each has a perturbation of its own.
            best: Take `best_perturbation` instead of the last one.

        Raises:
            ValueError: The images have another shape or range, or are not as many as the perturbations.

        Example:
            >>> result.apply(images).shape
            (1, 40, 32, 32, 3)
        """
        images = check_images(images)
        if images.shape[1:3] != self.mask.shape[:2]:
            raise ValueError(
                f"`images` must be of the attacked size, {self.mask.shape[0]}x{self.mask.shape[1]}. Received: "
                f"shape={images.shape}"
            )
        perturbation = self.best_perturbation if best else self.perturbation
        if perturbation.ndim == 5 and len(images) != perturbation.shape[1]:
            raise ValueError(
                f"`images` must be the {perturbation.shape[1]} attacked ones, because each has a perturbation of its "
                f"own. Received: {len(images)} images"
            )
        return np.asarray(self.attack.place(images, perturbation, self.mask))
