"""The compiled step of RP2: objective, gradient, Adam, and the best so far, all in one graph."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from blurnet_tf.attacks import losses
from blurnet_tf.attacks.inputs import Model
from blurnet_tf.attacks.transforms import place
from blurnet_tf.numerics import lp_norm, total_variation

if TYPE_CHECKING:
    from blurnet_tf.attacks.rp2 import RP2

HISTORY: tuple[str, ...] = ("loss", "adversarial", "norm", "nps", "tv", "success", "target_reached")
"""What a row of the history holds. The first is the sum of the next four."""


class Problem(NamedTuple):
    """What a compiled step takes beside its state. Tensors throughout, so that other values need no new trace."""

    images: Any
    classes: Any
    predictions: Any
    masks: Any
    palettes: tuple[Any, ...]
    penalty: Any
    nps_weight: Any
    tv_weight: Any
    learning_rate: Any
    steps: Any


class State(NamedTuple):
    """Perturbation, Adam's moments, and the best so far."""

    step: Any
    d: Any
    m: Any
    v: Any
    best_d: Any
    best_score: Any
    best_loss: Any
    best_step: Any


def start(d: Any) -> State:
    """Return the state before the first step, for a perturbation (targets, H, W, 3)."""
    targets = d.shape[0]
    return State(
        step=tf.constant(0, tf.int32),
        d=d,
        m=tf.zeros_like(d),
        v=tf.zeros_like(d),
        best_d=d,
        best_score=tf.fill([targets], -1.0),
        best_loss=tf.fill([targets], np.float32(np.inf)),
        best_step=tf.zeros([targets], tf.int32),
    )


Advance = Callable[["State", "Problem", Any], tuple["State", Any]]
"""Takes some steps in one graph: (state, problem, count) -> (state, history (count, 7, targets))."""


def compile_steps(model: Model, settings: RP2) -> Advance:
    """Return the steps of an attack on `model`, traced at their first call.

    For a Keras model that can describe itself they are kept, so that a sweep over lambda and seeds traces once. For any
    other callable they are made anew: it may refer to other things by the next call, which an earlier trace would not
    see.
    """
    if not isinstance(model, keras.Model):
        return _compile(model, settings)
    try:
        description = model.to_json()
    except (NotImplementedError, TypeError, ValueError):  # a model of the user's own without `get_config`
        return _compile(model, settings)
    return _compiled_for_keras(model, settings, description)


@functools.lru_cache(maxsize=4)  # few, because each keeps its model alive
def _compiled_for_keras(model: Model, settings: RP2, description: str) -> Advance:
    """Keep compiled steps. `description` is in the key, because a layer's attributes can be changed after a trace."""
    return _compile(model, settings)


def _compile(model: Model, settings: RP2) -> Advance:
    def evaluate(d: Any, problem: Problem) -> tuple[Any, Any]:
        """Return the loss of each target and a row of the history, (7, targets)."""
        union = tf.reduce_max(problem.masks, axis=0)
        masked_d = masked(d, union, settings.perturbation_clip)
        adversarial = place_as(settings, problem.images, masked_d, union)
        targets, count = tf.unstack(tf.shape(adversarial)[:2])
        logits = tf.cast(model(tf.reshape(adversarial, tf.concat([[-1], tf.shape(problem.images)[1:]], 0))), tf.float32)
        logits = tf.reshape(logits, [targets, count, logits.shape[-1]])
        loss_function = losses.cross_entropy if settings.loss == "cross_entropy" else losses.mse
        adversarial_loss = loss_function(logits, problem.classes)
        if not settings.targeted:
            adversarial_loss = -adversarial_loss
        zero = tf.zeros_like(adversarial_loss)
        norm = problem.penalty * lp_norm(masked_d, 1 if settings.norm == "l1" else 2) if settings.norm else zero
        nps = problem.nps_weight * _nps(settings, d, adversarial, problem) if settings.nps else zero
        tv = problem.tv_weight * tf.reduce_sum(total_variation(masked_d), axis=1) if settings.tv_weight else zero
        loss = adversarial_loss + norm + nps + tv
        predictions = tf.argmax(logits, axis=-1, output_type=tf.int32)
        success = tf.reduce_mean(tf.cast(predictions != problem.predictions, tf.float32), axis=1)
        reached = tf.reduce_mean(tf.cast(predictions == problem.classes, tf.float32), axis=1)
        return loss, tf.stack([loss, adversarial_loss, norm, nps, tv, success, reached])

    def step(state: State, problem: Problem) -> tuple[State, Any]:
        with tf.GradientTape() as tape:
            tape.watch(state.d)
            loss, row = evaluate(state.d, problem)
        gradient = tape.gradient(loss, state.d)  # of the sum over targets; each has a perturbation of its own
        score = row[-1] if settings.targeted else row[-2]
        better = (score > state.best_score) | ((score == state.best_score) & (loss < state.best_loss))
        better &= tf.math.is_finite(loss)  # the argmax of NaN is class 0, which may pass for a success
        # Adam, Kingma and Ba 2015, the form at the end of their section 2.
        count = tf.cast(state.step + 1, tf.float32)
        m = settings.beta_1 * state.m + (1 - settings.beta_1) * gradient
        v = settings.beta_2 * state.v + (1 - settings.beta_2) * tf.square(gradient)
        rate = problem.learning_rate * tf.sqrt(1 - settings.beta_2**count) / (1 - settings.beta_1**count)
        moved = state.d - rate * m / (tf.sqrt(v) + settings.epsilon)
        return State(
            step=state.step + 1,
            d=tf.where(state.step < problem.steps, moved, state.d),  # the last row only measures
            m=m,
            v=v,
            best_d=tf.where(better[:, None, None, None], state.d, state.best_d),
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


def masked(d: Any, mask: Any, clip: tuple[float, float] | None) -> Any:
    """Return M.d, clipped: float32 (targets, H, W, 3)."""
    return mask * (d if clip is None else tf.clip_by_value(d, *clip))


def place_as(settings: RP2, images: Any, perturbation: Any, mask: Any) -> Any:
    """Put masked perturbations onto images as `settings` say: float32 (targets, n, H, W, 3)."""
    return place(
        images,
        perturbation,
        image_clip=settings.image_clip,
        inverse_mask=None if settings.inverse_mask is None else mask,
        setpoint=settings.inverse_mask or 0.0,
    )


def _nps(settings: RP2, d: Any, adversarial: Any, problem: Problem) -> Any:
    """Sum of the scores of the masks, each with its palette."""
    scores = []
    for index, palette in enumerate(problem.palettes):
        mask = problem.masks[index]
        if settings.nps == "original":
            scores.append(losses.nps_original(masked(d, mask, settings.perturbation_clip), palette))
        else:
            scores.append(losses.nps_corrected(adversarial, mask, palette))
    return tf.add_n(scores)
