"""RP2, Robust Physical Perturbations: one sticker for many images.

Eykholt et al., "Robust Physical-World Attacks on Deep Learning Visual Classification", CVPR 2018, arXiv:1707.08945,
with the terms and defaults of the authors' LISA-CNN program; Eq. 2 of the BlurNet paper.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from blurnet_tf.attacks.config import register
from blurnet_tf.attacks.contract import Attack, AttackResult
from blurnet_tf.attacks.inputs import Model, Task, check_number
from blurnet_tf.attacks.parts import WORDS, Basis, Loss, Norm, Penalty, Scene, Sharing, Start, resolve
from blurnet_tf.attacks.transforms import masked, place
from blurnet_tf.checks import check_integer

NORMS: dict[str, int] = {"l1": 1, "l2": 2}


@register
@dataclass(frozen=True, kw_only=True)
class RP2(Attack):
    r"""The attack: ``argmin_d lambda ||M.d||_p + penalties + mean_i J(f(clip(x_i + M.d)), y*)``, minimised with Adam.

    Hyperparameters stand here; what is attacked stands in the call (see `Attack`), in which all targets are attacked in
    one batch: the model sees float32 (targets * n, H, W, 3).

    Attributes:
        steps, learning_rate, beta_1, beta_2, epsilon: Adam's; `epsilon` is Kingma and Ba's epsilon-hat, as in
            TensorFlow.
        penalty: lambda, the weight of the norm.
        norm: "l2", "l1", or `None` for no norm.
        penalties: More terms, such as `NPS(palette)` and `TotalVariation(weight=0.1)`.
        loss: J, a `Loss`, or "cross_entropy", "mse" (RP2's Euclidean distance to the one-hot target) or "margin".
        basis: What d is made of, a `Basis`, or "pixels" or "low_frequency".
        start: Where d starts, a `Start` such as `Colour(1, 0, 0)`, or "uniform", "white" or "black".
        sharing: Which images wear the same sticker, a `Sharing`, or "shared" by all or "per_image".
        inverse_mask: `None`, or the grey value in [0, 1] that the images are painted with inside the mask first.
        perturbation_clip, image_clip: Range of d and of the attacked images, or `None`.
        seed: Seed of the start. Each target has its own start, the same one whichever targets stand beside it.

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
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    penalty: float = 0.002
    norm: str | None = "l2"
    penalties: tuple[Penalty, ...] = ()
    loss: Loss | str = "cross_entropy"
    basis: Basis | str = "pixels"
    start: Start | str = "uniform"
    sharing: Sharing | str = "shared"
    inverse_mask: float | None = None
    perturbation_clip: tuple[float, float] | None = (-20.0, 20.0)
    image_clip: tuple[float, float] | None = (0.0, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("steps", self.steps, 1)
        check_number("learning_rate", self.learning_rate, positive=True)
        check_number("epsilon", self.epsilon, positive=True)
        check_number("penalty", self.penalty)
        whole = isinstance(self.seed, numbers.Integral) and not isinstance(self.seed, bool)
        if not whole or not -(2**31) <= self.seed < 2**31:
            raise ValueError(f"`seed` must be an integer of 32 bits. Received: seed={self.seed!r}")
        if self.norm not in (*NORMS, None):
            raise ValueError(f"`norm` must be one of 'l2', 'l1', None. Received: norm={self.norm!r}")
        for name in ("beta_1", "beta_2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must lie in [0, 1). Received: {name}={getattr(self, name)!r}")
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
        for name, value in self.parts.items():  # a word becomes the part that it stands for
            object.__setattr__(self, name, value)
        if not (isinstance(self.penalties, (tuple, list)) and all(isinstance(one, Penalty) for one in self.penalties)):
            raise ValueError(f"`penalties` must be a tuple of Penalty. Received: penalties={self.penalties!r}")
        object.__setattr__(self, "penalties", tuple(self.penalties))
        terms = [term.term for term in self.terms]
        if len(set(terms)) < len(terms):
            raise ValueError(f"`penalties` must each be a term of its own. Received: {', '.join(terms)}")

    def find(self, model: Model, task: Task, *, progress: bool | None) -> AttackResult:
        """Find the perturbations."""
        parts, n = self.parts, len(task.images)
        runs, groups, targeted = len(task.classes), parts["sharing"].stickers(n), task.targets is not None
        # As many tasks as there are stickers, each on its own images; where all share one, the images stand there once.
        copies, split = (runs if groups > 1 else 1), (groups, n // groups)
        images = np.tile(task.images.reshape(*split, *task.images.shape[1:]), (copies, 1, 1, 1, 1))
        problem = Problem(
            images=tf.constant(images),
            classes=tf.constant(task.classes.reshape(runs * groups, -1), tf.int32),
            predictions=tf.constant(np.tile(task.predictions.reshape(split), (copies, 1)), tf.int32),
            masks=tf.constant(task.masks),
            weights=tuple(tf.constant(term.weight, tf.float32) for term in self.terms),
            learning_rate=tf.constant(self.learning_rate, tf.float32),
            steps=tf.constant(self.steps, tf.int32),
        )
        # What the graph takes as tensors has no part in the key of a compiled step.
        weightless = tuple(dataclasses.replace(term, weight=1.0) for term in self.penalties)
        ignored: dict[str, Any] = {"steps": 1, "learning_rate": 1.0, "penalty": 1.0, "seed": 0}
        attack = dataclasses.replace(self, penalties=weightless, start="uniform", sharing="shared", **ignored)
        advance = compile_steps(model, attack, targeted)
        keys = [0] if task.targets is None else [target + 1 for target in task.targets]
        starts = [parts["start"]((groups, *task.images.shape[1:]), (self.seed, key)) for key in keys]
        state = State.start(parts["basis"].encode(tf.concat(starts, axis=0)))
        rows = []
        for count in _chunks(self.steps + 1, sys.stdout.isatty() if progress is None else progress):
            state, history = advance(state, problem, tf.constant(count, tf.int32))
            rows.append(history.numpy())
        table = np.concatenate(rows)
        if not np.isfinite(table).all():
            warnings.warn(
                "The loss became infinite or NaN. "
                "Lower `learning_rate` or the weight of a penalty, or check the model on [0, 1] images.",
                stacklevel=3,  # where the attack is called
            )
        averaged = table.reshape(*table.shape[:2], runs, groups).mean(axis=-1)
        names = ("loss", "adversarial", *(term.term for term in self.terms), "success", "target_reached")

        def spread(found: Any) -> Any:
            return parts["sharing"].spread(found.numpy().reshape(runs, groups, *found.shape[1:]), n)

        def perturbation(z: Any) -> Any:
            return spread(masked(parts["basis"].decode(z, task.mask.shape[:2]), task.mask, self.perturbation_clip))

        return AttackResult(
            attack=self,
            perturbation=perturbation(state.z),
            best_perturbation=perturbation(state.best_z),
            best_step=spread(state.best_step),
            targets=task.targets,
            mask=task.mask,
            history={name: averaged[:, index] for index, name in enumerate(names if targeted else names[:-1])},
        )

    def place(self, images: Any, perturbation: Any, mask: Any) -> Any:
        """Put masked perturbations onto images, with the clip and the inverse mask of the attack."""
        inverse_mask, setpoint = (None, 0.0) if self.inverse_mask is None else (mask, self.inverse_mask)
        return place(images, perturbation, image_clip=self.image_clip, inverse_mask=inverse_mask, setpoint=setpoint)

    @property
    def terms(self) -> tuple[Penalty, ...]:
        """All that is added to the loss, the norm first."""
        norm = () if self.norm is None else (Norm(NORMS[self.norm], weight=self.penalty),)
        return (*norm, *self.penalties)

    @property
    def parts(self) -> dict[str, Any]:
        """The parts by name, where a word was given the part that it stands for."""
        return {name: resolve(name, getattr(self, name)) for name in WORDS}


def _chunks(total: int, progress: bool) -> Iterator[int]:
    """Yield how many steps to take in one call of the graph, with a progress bar if asked."""
    bar = keras.utils.Progbar(total, unit_name="step") if progress else None
    size = min(math.ceil(total / 50), 20)  # many calls: Python can answer Ctrl-C or SIGTERM only between two
    for done in range(0, total, size):
        count = min(size, total - done)
        yield count
        if bar is not None:
            bar.update(done + count)


class Problem(NamedTuple):
    """What a compiled step takes beside its state. Tensors throughout, so that other values need no new trace.

    A sticker is one perturbation of one run. Each is on images of its own: `images` is (stickers, n, H, W, 3), or
    (1, n, H, W, 3) if they are the same for all; `classes` and `predictions` (stickers, n) likewise.
    """

    images: Any
    classes: Any
    predictions: Any
    masks: Any
    weights: tuple[Any, ...]
    learning_rate: Any
    steps: Any


class State(NamedTuple):
    """Parameters of the perturbations, Adam's moments, and the best so far."""

    step: Any
    z: Any
    m: Any
    v: Any
    best_z: Any
    best_score: Any
    best_loss: Any
    best_step: Any

    @classmethod
    def start(cls, z: Any) -> State:
        """Return the state before the first step, for parameters (stickers, ...)."""
        n, zeros = z.shape[0], tf.zeros_like(z)
        score, loss, step = tf.fill([n], -1.0), tf.fill([n], np.float32(np.inf)), tf.zeros([n], tf.int32)
        return cls(tf.constant(0, tf.int32), z, zeros, zeros, z, score, loss, step)


Advance = Callable[[State, Problem, Any], tuple[State, Any]]
"""Takes some steps in one graph: (state, problem, count) -> (state, history (count, terms, stickers))."""


def compile_steps(model: Model, attack: RP2, targeted: bool) -> Advance:
    """Return the steps of an attack on `model`, traced at their first call.

    They are cached for a Keras model that can describe itself, so that a sweep over lambda and seeds traces once. Any
    other callable may refer to other things by the next call, which an earlier trace would not see.
    """
    if isinstance(model, keras.Model):
        try:
            return _compile(model, attack, targeted, model.to_json())
        except (NotImplementedError, TypeError, ValueError):  # a model of the user's own without `get_config`
            pass
    return _compile.__wrapped__(model, attack, targeted, "")


@functools.lru_cache(maxsize=4)  # few, because each keeps its model alive
def _compile(model: Model, attack: RP2, targeted: bool, description: str) -> Advance:
    # `description` is in the key of the cache alone, because a layer can be changed after a trace.
    loss_of, basis = attack.parts["loss"], attack.parts["basis"]

    def evaluate(z: Any, problem: Problem) -> tuple[Any, Any]:
        """Return the loss of each sticker and a row of the history, (terms, stickers)."""
        union = tf.reduce_max(problem.masks, axis=0)
        d = basis.decode(z, tuple(problem.images.shape[2:4]))
        perturbation = masked(d, union, attack.perturbation_clip)
        adversarial = attack.place(problem.images, perturbation, union)
        scene = Scene(perturbation, adversarial, problem.masks, d, attack.perturbation_clip)
        stickers, count = tf.unstack(tf.shape(adversarial)[:2])
        logits = tf.cast(model(tf.reshape(adversarial, tf.concat([[-1], tf.shape(problem.images)[2:]], 0))), tf.float32)
        logits = tf.reshape(logits, [stickers, count, logits.shape[-1]])
        loss = adversarial_loss = (loss_of if targeted else loss_of.away)(logits, problem.classes)
        terms = [weight * term(scene) for term, weight in zip(attack.terms, problem.weights, strict=True)]
        for term in terms:
            loss += term
        predictions = tf.argmax(logits, axis=-1, output_type=tf.int32)
        success = tf.reduce_mean(tf.cast(predictions != problem.predictions, tf.float32), axis=1)
        reached = tf.reduce_mean(tf.cast(predictions == problem.classes, tf.float32), axis=1)
        return loss, tf.stack([loss, adversarial_loss, *terms, success, reached])

    def step(state: State, problem: Problem) -> tuple[State, Any]:
        with tf.GradientTape() as tape:
            tape.watch(state.z)
            loss, row = evaluate(state.z, problem)
        gradient = tape.gradient(loss, state.z)  # of the sum over stickers; each has its own parameters
        score = row[-1] if targeted else row[-2]
        better = (score > state.best_score) | ((score == state.best_score) & (loss < state.best_loss))
        better &= tf.math.is_finite(loss)  # the argmax of NaN is class 0, which may pass for a success
        # Adam, Kingma and Ba 2015, the form at the end of their section 2.
        count = tf.cast(state.step + 1, tf.float32)
        m = attack.beta_1 * state.m + (1 - attack.beta_1) * gradient
        v = attack.beta_2 * state.v + (1 - attack.beta_2) * tf.square(gradient)
        rate = problem.learning_rate * tf.sqrt(1 - attack.beta_2**count) / (1 - attack.beta_1**count)
        moved = state.z - rate * m / (tf.sqrt(v) + attack.epsilon)
        return State(
            step=state.step + 1,
            z=tf.where(state.step < problem.steps, moved, state.z),  # the last row only measures
            m=m,
            v=v,
            best_z=tf.where(tf.reshape(better, [-1, *[1] * (len(state.z.shape) - 1)]), state.z, state.best_z),
            best_score=tf.where(better, score, state.best_score),
            best_loss=tf.where(better, loss, state.best_loss),
            best_step=tf.where(better, state.step, state.best_step),
        ), row

    @tf.function(autograph=False)  # nothing here needs it, and it would bury an error that the model raises
    def advance(state: State, problem: Problem, count: Any) -> tuple[State, Any]:
        rows = tf.TensorArray(tf.float32, size=count)

        def body(index: Any, state: State, rows: Any) -> tuple[Any, State, Any]:
            state, row = step(state, problem)
            return index + 1, state, rows.write(index, row)

        _, state, rows = tf.while_loop(lambda index, *_: index < count, body, (tf.constant(0), state, rows))
        return state, rows.stack()

    def call(state: State, problem: Problem, count: Any) -> tuple[State, Any]:
        # Through its concrete function: TensorFlow would take a sweep over models, each traced once, for retracing.
        return advance.get_concrete_function(state, problem, count)(state, problem, count)

    return call
