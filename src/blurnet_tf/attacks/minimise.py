"""The minimiser of RP2: steps on many stickers at once, compiled into one graph, or taken inside another one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from blurnet_tf.attacks.bases import Basis
from blurnet_tf.attacks.batches import mean_over_batches
from blurnet_tf.attacks.elementwise import choose
from blurnet_tf.attacks.expectation import Expectation
from blurnet_tf.attacks.gradients import Gradient
from blurnet_tf.attacks.inputs import Model
from blurnet_tf.attacks.loops import Advance, Step, compiled, improves, in_graph
from blurnet_tf.attacks.losses import Loss
from blurnet_tf.attacks.penalties import Penalty, Scene
from blurnet_tf.attacks.transforms import masked, place


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a compiled step depends on: all but what `Problem` has as tensors. Weights of `terms` do not count.

    Attributes:
        paint: The grey that the images are painted with inside the mask first, or `None`.
        targeted: Whether the classes of the problem are wanted, or to be left.
        batches: In how many parts the images of a sticker are taken.
    """

    loss: Loss
    terms: tuple[Penalty, ...]
    basis: Basis
    gradient: Gradient
    optimizer: str
    expectation: Expectation | None
    beta_1: float
    beta_2: float
    epsilon: float
    paint: float | None
    perturbation_clip: tuple[float, float] | None
    image_clip: tuple[float, float] | None
    targeted: bool
    batches: int


class Problem(NamedTuple):
    """What a compiled step takes beside its state. Tensors throughout, so that other values need no new trace.

    A sticker is one perturbation of one run. Each is on images of its own: `images` is (stickers, n, H, W, 3), or
    (1, n, H, W, 3) if they are the same for all; `classes` and `predictions` (stickers, n) likewise. `masks` is
    (masks, H, W, 1), or (masks, stickers, H, W, 1) if stickers have masks of their own. `seed` is that of what is drawn
    in a step.
    """

    images: Any
    classes: Any
    predictions: Any
    masks: Any
    weights: tuple[Any, ...]
    learning_rate: Any
    steps: Any
    seed: Any


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
        n, zeros = tf.shape(z)[0], tf.zeros_like(z)  # how many is not known while a training is traced
        score, loss, step = tf.fill([n], -1.0), tf.fill([n], np.float32(np.inf)), tf.zeros([n], tf.int32)
        return cls(tf.constant(0, tf.int32), z, zeros, zeros, z, score, loss, step)


def compile_steps(model: Model, objective: Objective) -> Advance:
    """Return the steps of an attack on `model`, traced at their first call; see `compiled`."""
    return compiled(_compile, model, objective)


@functools.lru_cache(maxsize=4)  # few, because each keeps its model alive
def _compile(model: Model, objective: Objective, description: str) -> Advance:
    # `description` is in the key of the cache alone.
    return in_graph(make_step(model, objective))


def make_step(model: Model, objective: Objective) -> Step:
    """Return one step on `model`, in whichever graph it is called."""
    answer = _with_maps(model, tuple(term.maps_of for term in objective.terms if term.maps_of))
    loss_of = objective.loss if objective.targeted else objective.loss.away

    def evaluate(z: Any, problem: Problem, seed: Any) -> tuple[Any, Any]:
        """Return the loss of each sticker and a row of the history, (terms, stickers)."""
        union, size = tf.reduce_max(problem.masks, axis=0), problem.images.shape[2:]
        d = objective.basis.decode(z, tuple(size[:2]))
        perturbation = masked(d, union, objective.perturbation_clip)
        under = union if len(union.shape) == 3 else union[:, None]  # as the images, (stickers, n, H, W, 1)
        painted = {} if objective.paint is None else {"inverse_mask": under, "setpoint": objective.paint}
        adversarial = place(problem.images, perturbation, image_clip=objective.image_clip, **painted)
        stickers, count = tf.unstack(tf.shape(adversarial)[:2])
        seen = adversarial if objective.expectation is None else objective.expectation(adversarial, seed)
        logits, maps = answer(tf.reshape(seen, tf.concat([[-1], tf.shape(problem.images)[2:]], 0)))
        logits = tf.cast(logits, tf.float32)
        logits = tf.reshape(logits, [stickers, count, logits.shape[-1]])
        maps = {name: tf.reshape(one, [stickers, count, *one.shape[1:]]) for name, one in maps.items()}
        scene = Scene(perturbation, adversarial, problem.masks, d, objective.perturbation_clip, maps)
        loss = adversarial_loss = loss_of(logits, problem.classes)
        terms = [weight * term(scene) for term, weight in zip(objective.terms, problem.weights, strict=True)]
        for term in terms:
            loss += term
        predictions = tf.argmax(logits, axis=-1, output_type=tf.int32)
        success = tf.reduce_mean(tf.cast(predictions != problem.predictions, tf.float32), axis=1)
        reached = tf.reduce_mean(tf.cast(predictions == problem.classes, tf.float32), axis=1)
        return loss, tf.stack([loss, adversarial_loss, *terms, success, reached])

    def differentiate(z: Any, problem: Problem, seed: Any) -> tuple[Any, ...]:
        """Return loss, row and gradient, each the mean over the images."""
        stickers = tf.shape(z)[0]
        zeros = tf.zeros([stickers]), tf.zeros([len(objective.terms) + 4, stickers]), tf.zeros_like(z)
        return mean_over_batches(
            lambda some: objective.gradient(lambda z: evaluate(z, some, seed), z, seed),
            problem,
            objective.batches,
            zeros,
        )

    def step(state: State, problem: Problem) -> tuple[State, Any]:
        seed = tf.stack([problem.seed, state.step])
        loss, row, gradient = differentiate(state.z, problem, seed)
        score = row[-1] if objective.targeted else row[-2]
        better = improves(score, loss, state)
        m, v = state.m, state.v
        if objective.optimizer == "sign":  # Madry et al. 2018
            change = problem.learning_rate * tf.sign(gradient)
        else:  # Adam, Kingma and Ba 2015, the form at the end of their section 2
            count = tf.cast(state.step + 1, tf.float32)
            m = objective.beta_1 * m + (1 - objective.beta_1) * gradient
            v = objective.beta_2 * v + (1 - objective.beta_2) * tf.square(gradient)
            rate = problem.learning_rate * tf.sqrt(1 - objective.beta_2**count) / (1 - objective.beta_1**count)
            change = rate * m / (tf.sqrt(v) + objective.epsilon)
        moved = objective.basis.project(state.z - change)
        return State(
            step=state.step + 1,
            z=choose(state.step < problem.steps, moved, state.z),  # the last row only measures
            m=m,
            v=v,
            best_z=choose(better, state.z, state.best_z),
            best_score=tf.where(better, score, state.best_score),
            best_loss=tf.where(better, loss, state.best_loss),
            best_step=tf.where(better, state.step, state.best_step),
        ), row

    return step


def _with_maps(model: Model, layers: tuple[str, ...]) -> Callable[[Any], tuple[Any, Mapping[str, Any]]]:
    """Return a function from images to the logits, and to the maps of some layers by their names."""
    if not layers:
        return lambda images: (model(images), {})
    network: Any = model
    known = (
        [layer.name for layer in network.layers]
        if isinstance(model, keras.Model) and getattr(network, "inputs", None)
        else []
    )
    for layer in layers:
        if layer not in known:
            names = ", ".join(known) or "no layers, because it is no functional Keras model"
            raise ValueError(f"`layer` must be a layer of the model. Received: layer={layer!r}; the model has {names}")
    outputs = {name: network.get_layer(name).output for name in layers}
    tapped = keras.Model(network.inputs[0], [network.outputs[0], outputs])
    return lambda images: tuple(tapped(images))
