"""RP2, Robust Physical Perturbations: one sticker for many images.

Eykholt et al., "Robust Physical-World Attacks on Deep Learning Visual Classification", CVPR 2018, arXiv:1707.08945,
with the terms and defaults of the authors' LISA-CNN program; Eq. 2 of the BlurNet paper.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.attacks.bases import Basis
from blurnet_tf.attacks.batches import batch_of, portions_of
from blurnet_tf.attacks.config import register
from blurnet_tf.attacks.contract import Attack, AttackResult
from blurnet_tf.attacks.expectation import Expectation
from blurnet_tf.attacks.gradients import Gradient
from blurnet_tf.attacks.inputs import Model, Task, check_number, check_seed
from blurnet_tf.attacks.loops import Bar, take
from blurnet_tf.attacks.losses import Loss
from blurnet_tf.attacks.minimise import Objective, Problem, State, compile_steps
from blurnet_tf.attacks.parts import WORDS, resolve
from blurnet_tf.attacks.penalties import Norm, Penalty
from blurnet_tf.attacks.sharing import Shared, Sharing
from blurnet_tf.attacks.starts import Start
from blurnet_tf.attacks.transforms import masked, place
from blurnet_tf.checks import check_integer

NORMS: dict[str, int] = {"l1": 1, "l2": 2}
OPTIMIZERS: tuple[str, ...] = ("adam", "sign")


@register
@dataclass(frozen=True, kw_only=True)
class RP2(Attack):
    r"""The attack: ``argmin_d lambda ||M.d||_p + penalties + mean_i J(f(clip(x_i + M.d)), y*)``, minimised with Adam.

    Hyperparameters stand here; what is attacked stands in the call (see `Attack`), in which all targets are attacked in
    one batch, or in several if they do not fit: the model sees float32 (targets * n, H, W, 3).

    Attributes:
        steps, learning_rate: How many steps, and how long each is.
        optimizer: "adam", as RP2; or "sign", steps of `learning_rate` along the sign of the gradient (Madry et al.,
            arXiv:1706.06083).
        beta_1, beta_2, epsilon: Adam's; `epsilon` is Kingma and Ba's epsilon-hat, as in TensorFlow.
        penalty: lambda, the weight of the norm.
        norm: "l2", "l1", or `None` for no norm.
        penalties: More terms, such as `NPS(palette)` and `TotalVariation(weight=0.1)`.
        loss: J, a `Loss`, or "cross_entropy", "mse" (RP2's Euclidean distance to the one-hot target) or "margin".
        basis: What d is made of, a `Basis` such as `Palette(colours)`, or "pixels" or "low_frequency".
        start: Where d starts, a `Start` such as `Colour(1, 0, 0)`, or "uniform", "white", "black" or "random_colour";
            or several, which the restarts take in turn; those that are not random once.
        restarts: How many starts each target has; the best one is kept, for each sticker by itself.
        sharing: Which images wear the same sticker, a `Sharing`, or "shared" by all or "per_image".
        expectation: `None`, or an `Expectation`: in each step the model sees each image under a draw of its own, the
            same for all stickers. "success", "target_reached" and the best step are then measured on what it sees, so
            a best step may be one of lucky draws; penalties are of the untransformed.
        gradient: Where the gradient comes from, a `Gradient`, or "exact" or "spsa", which needs only losses.
        inverse_mask: `None`, or the grey value in [0, 1] that the images are painted with inside the mask first.
        perturbation_clip, image_clip: Range of d and of the attacked images, or `None`.
        seed: Seed of the starts and of all that is drawn in a step. Each target has its own start, the same one
            whichever targets stand beside it.

    Raises:
        ValueError: An attribute is outside what is listed.

    Example:
        >>> result = RP2(steps=300, penalty=0.002)(model, images, targets=[12], mask=mask)
        >>> result.perturbation.shape
        (1, 32, 32, 3)
        >>> round(float(result.history["success"][-1, 0]), 3)
        0.9
    """

    steps: int = 300
    learning_rate: float = 0.1
    optimizer: str = "adam"
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    penalty: float = 0.002
    norm: str | None = "l2"
    penalties: tuple[Penalty, ...] = ()
    loss: Loss | str = "cross_entropy"
    basis: Basis | str = "pixels"
    start: Start | str | tuple[Start | str, ...] = "uniform"
    restarts: int = 1
    sharing: Sharing | str = "shared"
    expectation: Expectation | None = None
    gradient: Gradient | str = "exact"
    inverse_mask: float | None = None
    perturbation_clip: tuple[float, float] | None = (-20.0, 20.0)
    image_clip: tuple[float, float] | None = (0.0, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("steps", self.steps, 1)
        check_integer("restarts", self.restarts, 1)
        check_number("learning_rate", self.learning_rate, positive=True)
        check_number("epsilon", self.epsilon, positive=True)
        check_number("penalty", self.penalty)
        check_seed("seed", self.seed)
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"`optimizer` must be one of 'adam', 'sign'. Received: optimizer={self.optimizer!r}")
        if self.norm not in (*NORMS, None):
            raise ValueError(f"`norm` must be one of 'l2', 'l1', None. Received: norm={self.norm!r}")
        for name in ("beta_1", "beta_2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must lie in [0, 1). Received: {name}={getattr(self, name)!r}")
        if not isinstance(self.expectation, (Expectation, type(None))):
            raise ValueError(
                f"`expectation` must be None or an Expectation. Received: expectation={self.expectation!r}"
            )
        if self.inverse_mask is not None and not 0 <= self.inverse_mask <= 1:
            raise ValueError(
                f"`inverse_mask` must be None or lie in [0, 1]. Received: inverse_mask={self.inverse_mask!r}"
            )
        for name in ("perturbation_clip", "image_clip"):
            clip = getattr(self, name)
            if clip is not None and not (len(clip) == 2 and clip[0] < clip[1]):
                raise ValueError(f"`{name}` must be None or (low, high) with low < high. Received: {name}={clip!r}")
            if clip is not None:  # one that was read from a file may be a list, which is no key of a cache
                object.__setattr__(self, name, tuple(clip))
        for name in WORDS:  # a word becomes the part that it stands for
            object.__setattr__(self, name, resolve(name, getattr(self, name)))
        self._check_starts()
        if self.parts["basis"].paints and self.inverse_mask is not None:
            raise ValueError(
                f"`inverse_mask` must be None for a basis of printed colours. Received: {self.inverse_mask!r}"
            )
        if not (isinstance(self.penalties, (tuple, list)) and all(isinstance(one, Penalty) for one in self.penalties)):
            raise ValueError(f"`penalties` must be a tuple of Penalty. Received: penalties={self.penalties!r}")
        object.__setattr__(self, "penalties", tuple(self.penalties))
        terms = [term.term for term in self.terms]
        if len(set(terms)) < len(terms):
            raise ValueError(f"`penalties` must each be a term of its own. Received: {', '.join(terms)}")

    def find(self, model: Model, task: Task, *, progress: bool | None) -> AttackResult:
        """Find the perturbations; as many at once as fit into a batch, since stickers do not touch each other."""
        parts, size, n = self.parts, task.mask.shape[:2], len(task.images)
        groups, targeted = parts["sharing"].stickers(n), task.targets is not None
        each, most = n // groups, batch_of(size)
        batches = math.ceil(each / most)
        parts["loss"].check_batches(batches)
        bound = parts["basis"].within(task.mask)
        advance = compile_steps(model, self.objective(bound, targeted=targeted, batches=batches))
        keys = [0] if task.targets is None else [target + 1 for target in task.targets]
        blocks = [(run, restart) for run in range(len(keys)) for restart in range(self.restarts)]
        portions = portions_of(len(blocks), groups, each, most)
        bar = Bar(len(portions) * (self.steps + 1), progress)
        found = []
        for chosen, part in portions:
            some = [blocks[index] for index in chosen]
            starts = [self._start(keys[run], restart, (groups, *size, 3))[part] for run, restart in some]
            images, classes, predictions = task.tiled(groups, [run for run, _ in some], part)
            problem = Problem(
                images=tf.constant(images),
                classes=tf.constant(classes),
                predictions=tf.constant(predictions),
                masks=tf.constant(task.masks),
                weights=tuple(tf.constant(term.weight, tf.float32) for term in self.terms),
                learning_rate=tf.constant(self.learning_rate, tf.float32),
                steps=tf.constant(self.steps, tf.int32),
                seed=tf.constant(self.seed, tf.int32),
            )
            state = State.start(bound.encode(tf.concat(starts, axis=0)))
            state, table = take(advance, state, problem, self.steps + 1, bar)
            last, best = (
                masked(bound.decode(z, size), task.mask, self.perturbation_clip) for z in (state.z, state.best_z)
            )
            outcome = (last, best, state.best_step, state.best_score, state.best_loss)
            found.append([*(one.numpy() for one in outcome), np.moveaxis(table, -1, 0)])
        whole = _Found(*map(np.concatenate, zip(*found, strict=True)))
        if not np.isfinite(whole.table).all():
            warnings.warn(
                "The loss became infinite or NaN. "
                "Lower `learning_rate` or the weight of a penalty, or check the model on [0, 1] images.",
                stacklevel=3,  # where the attack is called
            )
        names = ("loss", "adversarial", *(term.term for term in self.terms), "success", "target_reached")
        return self._result(whole, task, groups, names if targeted else names[:-1])

    def objective(self, basis: Basis, *, targeted: bool, batches: int) -> Objective:
        """Return what the compiled steps of the attack depend on, for perturbations in a basis."""
        names = ("expectation", "optimizer", "beta_1", "beta_2", "epsilon", "paint", "perturbation_clip", "image_clip")
        return Objective(
            loss=self.parts["loss"],
            terms=tuple(dataclasses.replace(term, weight=1.0) for term in self.terms),  # weights are tensors there
            basis=basis,
            gradient=self.parts["gradient"],
            targeted=targeted,
            batches=batches,
            **{name: getattr(self, name) for name in names},
        )

    def _result(self, found: _Found, task: Task, groups: int, names: Sequence[str]) -> AttackResult:
        """Keep the best restart of each sticker: of the last steps the best one, and of the best steps."""
        found = _Found(*(one.reshape(-1, self.restarts, groups, *one.shape[1:]) for one in found))
        last = _best(found.table[:, :, :, -1, len(names) - 1], found.table[:, :, :, -1, 0])
        best = _best(found.best_score, found.best_loss)
        table = _take(found.table, last).mean(axis=1)  # (runs, steps + 1, terms)

        def spread(values: NDArray[Any], restart: NDArray[np.intp]) -> NDArray[Any]:
            return self.parts["sharing"].spread(_take(values, restart), len(task.images))

        return AttackResult(
            attack=self,
            perturbation=spread(found.last, last),
            best_perturbation=spread(found.best, best),
            best_step=spread(found.best_step, best),
            targets=task.targets,
            mask=task.mask,
            history={name: table[:, :, index].T for index, name in enumerate(names)},
        )

    def _start(self, key: int, restart: int, shape: tuple[int, ...]) -> Any:
        again = [start for start in self.starts if start.random]
        more = restart - len(self.starts)
        start = self.starts[restart] if more < 0 else again[more % len(again)]
        return start(shape, (self.seed, key + (restart << 16)))

    def _check_starts(self) -> None:
        if len(self.starts) > self.restarts:
            raise ValueError(
                f"`restarts` must be at least {len(self.starts)}, one for each `start`. Received: {self.restarts}"
            )
        if self.restarts > len(self.starts) and not any(start.random for start in self.starts):
            raise ValueError(
                "`start` must be random for more restarts than starts, or they would be the same. "
                f"Received: start={self.start!r}, restarts={self.restarts}"
            )

    def place(self, images: Any, perturbation: Any, mask: Any) -> Any:
        """Put masked perturbations onto images, with the clip and the inverse mask of the attack."""
        painted = {} if self.paint is None else {"inverse_mask": mask, "setpoint": self.paint}
        return place(images, perturbation, image_clip=self.image_clip, **painted)

    @property
    def paint(self) -> float | None:
        """The grey that the images are painted with inside the mask first, or `None`."""
        return 0.0 if self.parts["basis"].paints else self.inverse_mask  # on black, what is added is what is seen

    @property
    def terms(self) -> tuple[Penalty, ...]:
        """All that is added to the loss, the norm first."""
        norm = () if self.norm is None else (Norm(NORMS[self.norm], weight=self.penalty),)
        return (*norm, *self.penalties)

    @property
    def parts(self) -> dict[str, Any]:
        """The parts by name."""
        return {name: getattr(self, name) for name in WORDS}  # words became parts when the attack was made

    @property
    def starts(self) -> tuple[Start, ...]:
        """The starts that restarts take in turn."""
        starts = self.parts["start"]
        return starts if isinstance(starts, tuple) else (starts,)

    @property
    def per_image(self) -> bool:
        return not isinstance(self.sharing, Shared)

    @property
    def differentiates(self) -> bool:
        """Whether the model must be differentiable."""
        return self.parts["gradient"].differentiates


class _Found(NamedTuple):
    """What came out for each sticker, (stickers, ...)."""

    last: NDArray[Any]
    best: NDArray[Any]
    best_step: NDArray[Any]
    best_score: NDArray[Any]
    best_loss: NDArray[Any]
    table: NDArray[Any]  # (stickers, steps + 1, terms)


def _best(score: NDArray[np.float32], loss: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return which restart is best, (runs, groups), of arrays (runs, restarts, groups): highest score, lowest loss."""
    finite = np.where(np.isfinite(loss), loss, np.inf)
    return np.where(score == score.max(axis=1, keepdims=True), finite, np.inf).argmin(axis=1)


def _take(values: NDArray[Any], restart: NDArray[np.intp]) -> NDArray[Any]:
    """Return the values of one restart, (runs, restarts, groups, ...) -> (runs, groups, ...)."""
    index = restart.reshape(len(restart), 1, -1, *[1] * (values.ndim - 3))
    return np.take_along_axis(values, index, axis=1)[:, 0]
