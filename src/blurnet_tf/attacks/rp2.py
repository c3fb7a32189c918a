"""RP2, Robust Physical Perturbations: one sticker for many images.

Eykholt et al., "Robust Physical-World Attacks on Deep Learning Visual Classification", CVPR 2018, arXiv:1707.08945,
with the terms and defaults of the authors' LISA-CNN program; Eq. 2 of the BlurNet paper.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.attacks import inputs
from blurnet_tf.attacks.inputs import Model
from blurnet_tf.attacks.rp2_step import HISTORY, Problem, compile_steps, masked, place_as, start
from blurnet_tf.checks import check_images

MOST_STEPS = 20
"""In one call of the graph, so that a long attack too answers Ctrl-C in a second or two."""


@dataclass(frozen=True, kw_only=True)
class RP2:
    r"""The attack: ``argmin_d lambda ||M.d||_p + NPS + mean_i J(f(clip(x_i + M.d)), y*)``, minimised with Adam.

    One perturbation d is shared by all images of the call, one for each target. Hyperparameters stand here; what is
    attacked stands in the call.

    Attributes:
        steps: Adam steps.
        learning_rate: Adam's.
        beta_1, beta_2, epsilon: Adam's; `epsilon` is Kingma and Ba's epsilon-hat, as in TensorFlow.
        penalty: lambda, the weight of the norm.
        norm: "l2", "l1", or `None` for no norm.
        loss: J, "cross_entropy", or "mse", RP2's Euclidean distance to the one-hot target (`losses.mse`).
        targeted: Move towards the target; else away from the label.
        nps: Non-printability score: `None`, "original" (as in RP2's code) or "corrected" (the printed colour,
            inside the mask).
        nps_weight: Its weight. The original has 1.
        tv_weight: Weight of the total variation (Eq. 4) of M.d, summed over channels. Only RP2's ImageNet program has
            this term.
        inverse_mask: `None`, or the grey value in [0, 1] that the images are painted with inside the mask first.
        initial: "uniform", d ~ U(0, 1) at the start, or three numbers in [-1, 1]: one colour everywhere.
        perturbation_clip: Range of d, or `None`.
        image_clip: Range of the attacked images, or `None`.
        seed: Seed of the uniform start. Each target has its own start, the same one whichever targets stand beside it.

    Raises:
        ValueError: An attribute is outside what is listed.

    Example:
        >>> result = RP2(steps=300, penalty=0.002)(model, images, [12], mask)
        >>> result.perturbation.shape
        (1, 32, 32, 3)
        >>> round(float(result.history["success"][-1, 0]), 3)
        0.9
    """

    steps: int = 300
    learning_rate: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    penalty: float = 0.002
    norm: str | None = "l2"
    loss: str = "cross_entropy"
    targeted: bool = True
    nps: str | None = None
    nps_weight: float = 1.0
    tv_weight: float = 0.0
    inverse_mask: float | None = None
    initial: str | tuple[float, float, float] = "uniform"
    perturbation_clip: tuple[float, float] | None = (-20.0, 20.0)
    image_clip: tuple[float, float] | None = (0.0, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        inputs.check_steps(self.steps)
        _check_positive(self, "learning_rate", "epsilon")
        _check_choice(self, "norm", ("l2", "l1", None))
        _check_choice(self, "loss", ("cross_entropy", "mse"))
        _check_choice(self, "nps", (None, "original", "corrected"))
        inputs.check_seed(self.seed)
        for name in ("penalty", "nps_weight", "tv_weight"):
            value = getattr(self, name)
            if not (isinstance(value, numbers.Real) and math.isfinite(value) and float(value) >= 0):
                raise ValueError(f"`{name}` must be a finite number of at least 0. Received: {name}={value!r}")
        for name in ("beta_1", "beta_2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must lie in [0, 1). Received: {name}={getattr(self, name)!r}")
        if self.inverse_mask is not None and not 0 <= self.inverse_mask <= 1:
            raise ValueError(
                f"`inverse_mask` must be None or lie in [0, 1]. Received: inverse_mask={self.inverse_mask!r}"
            )
        if not (isinstance(self.initial, str) and self.initial == "uniform"):
            if np.shape(self.initial) != (3,) or not np.all(np.abs(self.initial) <= 1):
                raise ValueError(
                    f"`initial` must be 'uniform' or three numbers in [-1, 1]. Received: initial={self.initial!r}"
                )
            object.__setattr__(self, "initial", tuple(float(value) for value in self.initial))
        for name in ("perturbation_clip", "image_clip"):
            clip = getattr(self, name)
            if clip is not None and not (len(clip) == 2 and clip[0] < clip[1]):
                raise ValueError(f"`{name}` must be None or (low, high) with low < high. Received: {name}={clip!r}")
            if clip is not None:  # one that was read from a file may be a list, which is no key of a cache
                object.__setattr__(self, name, tuple(clip))

    def __call__(
        self,
        model: Model,
        images: ArrayLike,
        targets: int | Sequence[int] | None,
        mask: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        palette: Any = None,
        progress: bool | None = None,
    ) -> AttackResult:
        """Find the perturbations.

        Args:
            model: Maps images to logits (n, classes), differentiably, in TensorFlow: a Keras model, an endpoint of a
                SavedModel (``loaded.serve``; keep `loaded` alive), a function. It sees float32 (targets * n, H, W, 3).
            images: float32 (n, H, W, 3) in [0, 1].
            targets: The wanted class or classes, all attacked in one batch; `None` if the attack is not targeted.
            mask: float32 (H, W, 1) in [0, 1], 1 where d may act; or (masks, H, W, 1), whose union counts.
            labels: int32 (n,), the true classes. `None` takes the model's predictions on the clean images.
            palette: float32 (colours, 3), or one for each mask; needed for an NPS term, and only then.
            progress: Show a progress bar. `None` does so on a terminal.

        Returns:
            The perturbations, and how they came about.

        Raises:
            ValueError: A shape or range is wrong; a mask is empty; a target is a label; the model ends in a softmax or
                cannot be differentiated.

        Warns:
            UserWarning: A clean image is taken for a target already, or the loss became infinite or NaN.
        """
        images = check_images(images)
        masks = inputs.check_masks(mask, images.shape[1:3])
        if palette is not None and not self.nps:
            raise ValueError(
                "`palette` must be None when the attack has no NPS term. Received: a palette, with nps=None"
            )
        palettes = inputs.check_palettes(palette, len(masks)) if self.nps else ()
        logits = inputs.check_model(model, images)
        predictions = logits.argmax(axis=1).astype(np.int32)
        true_labels = inputs.check_labels(labels, predictions, logits.shape[1])
        if self.targeted:
            wanted = inputs.check_targets(targets, logits.shape[1])
            inputs.check_targets_differ(wanted, true_labels, predictions, labelled=labels is not None)
            classes = np.repeat(wanted[:, None], len(images), axis=1)
        elif targets is None:
            wanted, classes = None, true_labels[None]
        else:
            raise ValueError(f"`targets` must be None when targeted=False. Received: targets={targets!r}")

        problem = Problem(
            images=tf.constant(images),
            classes=tf.constant(classes, tf.int32),
            predictions=tf.constant(predictions, tf.int32),
            masks=tf.constant(masks),
            palettes=tuple(tf.constant(one) for one in palettes),
            penalty=tf.constant(self.penalty, tf.float32),
            nps_weight=tf.constant(self.nps_weight, tf.float32),
            tv_weight=tf.constant(self.tv_weight, tf.float32),
            learning_rate=tf.constant(self.learning_rate, tf.float32),
            steps=tf.constant(self.steps, tf.int32),
        )
        advance = compile_steps(model, self._graph_settings())
        state = start(self._start_perturbation(wanted, images.shape[1:]))
        rows = []
        for count in _chunks(self.steps + 1, sys.stdout.isatty() if progress is None else progress):
            state, history = advance(state, problem, tf.constant(count, tf.int32))
            rows.append(history.numpy())
        table = np.concatenate(rows)
        if not np.isfinite(table).all():
            warnings.warn(
                "The loss became infinite or NaN. "
                "Lower `learning_rate` or `nps_weight`, or check the model on [0, 1] images.",
                stacklevel=2,
            )
        union = masks.max(axis=0)
        return AttackResult(
            attack=self,
            perturbation=masked(state.d, union, self.perturbation_clip).numpy(),
            best_perturbation=masked(state.best_d, union, self.perturbation_clip).numpy(),
            best_step=state.best_step.numpy(),
            targets=None if wanted is None else tuple(int(target) for target in wanted),
            mask=union,
            history={
                name: table[:, index] for index, name in enumerate(HISTORY) if self.targeted or name != "target_reached"
            },
        )

    def _graph_settings(self) -> RP2:
        """Return the settings with what the graph takes as tensors set to one value: the key of a compiled step."""
        return dataclasses.replace(
            self, steps=1, learning_rate=1.0, penalty=1.0, nps_weight=1.0, tv_weight=float(self.tv_weight > 0), seed=0,
            initial="uniform",
        )  # fmt: skip

    def _start_perturbation(self, targets: NDArray[np.int32] | None, shape: tuple[int, ...]) -> Any:
        keys = [0] if targets is None else [int(target) + 1 for target in targets]
        if self.initial == "uniform":
            return tf.stack([tf.random.stateless_uniform(shape, seed=(self.seed, key)) for key in keys])
        return tf.broadcast_to(tf.constant(self.initial, tf.float32), (len(keys), *shape))


@dataclass(frozen=True, kw_only=True, eq=False)
class AttackResult:
    """What an attack found.

    Attributes:
        attack: The settings.
        perturbation: float32 (targets, H, W, 3), M.d after the last step, 0 outside the mask. 1.0 is the full range.
        best_perturbation: The same of the best step: most images on the target (not targeted: most predictions
            changed), and among those the lowest loss.
        best_step: int32 (targets,), that step: 0 is the start, `steps` the end.
        targets: The target classes, or `None`.
        mask: float32 (H, W, 1), the union of the masks.
        history: By name float32 (steps + 1, targets): row k is measured after k steps. "loss" is the sum of its
            weighted terms "adversarial", "norm", "nps" and "tv"; "success" is the share of images whose prediction
            differs from the clean one; "target_reached" the share on the target, for a targeted attack.
    """

    attack: RP2
    perturbation: NDArray[np.float32]
    best_perturbation: NDArray[np.float32]
    best_step: NDArray[np.int32]
    targets: tuple[int, ...] | None
    mask: NDArray[np.float32]
    history: dict[str, NDArray[np.float32]]

    def apply(self, images: ArrayLike, *, best: bool = False) -> NDArray[np.float32]:
        """Put the perturbations onto images of the attacked size, as the attack did.

        Args:
            images: float32 (n, H, W, 3) in [0, 1].
            best: Take `best_perturbation` instead of the last one.

        Returns:
            float32 (targets, n, H, W, 3).

        Raises:
            ValueError: The images have another shape or range.
        """
        images = check_images(images)
        if images.shape[1:3] != self.mask.shape[:2]:
            raise ValueError(
                f"`images` must be of the attacked size, {self.mask.shape[0]}x{self.mask.shape[1]}. Received: "
                f"shape={images.shape}"
            )
        perturbation = self.best_perturbation if best else self.perturbation
        return place_as(self.attack, images, perturbation, self.mask).numpy()


def _chunks(total: int, progress: bool) -> Iterator[int]:
    """Yield how many steps to take in one call of the graph, some fifty times or more, with a progress bar if asked.

    Without one too: Python can answer Ctrl-C or SIGTERM only between two calls.
    """
    bar = keras.utils.Progbar(total, unit_name="step") if progress else None
    size = min(math.ceil(total / 50), MOST_STEPS)
    for done in range(0, total, size):
        count = min(size, total - done)
        yield count
        if bar is not None:
            bar.update(done + count)


def _check_positive(attack: RP2, *names: str) -> None:
    for name in names:
        value = getattr(attack, name)
        if not (isinstance(value, numbers.Real) and math.isfinite(value) and float(value) > 0):
            raise ValueError(f"`{name}` must be a positive number. Received: {name}={value!r}")


def _check_choice(attack: RP2, name: str, choices: tuple[str | None, ...]) -> None:
    if getattr(attack, name) not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}. Received: {name}={getattr(attack, name)!r}")
