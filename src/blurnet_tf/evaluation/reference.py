"""What the benchmark compares with: RP2 as a plain loop, the total variation left to autodiff, and counts of FLOP."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from blurnet_tf.attacks import RP2
from blurnet_tf.defenses.regularizers import KERAS_DIVIDES_BY_BATCH

UNBOUNDED = (-np.inf, np.inf)

PlainStep = Callable[..., Any]


def plain_step(attack: RP2, model: keras.Model, images: NDArray[np.float32], mask: NDArray[np.float32]) -> PlainStep:
    """Return one step of RP2 on one target, as RP2's own program takes it, with nothing but TensorFlow.

    It runs eagerly, or compiled inside `tf.function`, and does the arithmetic of the default attack alone: L2 norm,
    cross-entropy, targeted, no other penalty, no history, no best perturbation. It is a function (d, m, v, number,
    target) -> (d, m, v): d, m and v, Adam's moments, are float32 (H, W, 3); number, float32, counts from 1.
    """
    images, mask = tf.constant(images), tf.constant(mask)
    low, high = attack.perturbation_clip or UNBOUNDED
    darkest, brightest = attack.image_clip or UNBOUNDED

    def step(d: Any, m: Any, v: Any, number: Any, target: Any) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(d)
            masked = mask * tf.clip_by_value(d, low, high)
            logits = model(tf.clip_by_value(images + masked, darkest, brightest))
            labels = tf.fill([len(images)], target)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            loss = tf.reduce_mean(losses) + attack.penalty * tf.norm(masked)
        gradient = tape.gradient(loss, d)
        m = attack.beta_1 * m + (1 - attack.beta_1) * gradient
        v = attack.beta_2 * v + (1 - attack.beta_2) * tf.square(gradient)
        rate = attack.learning_rate * tf.sqrt(1 - attack.beta_2**number) / (1 - attack.beta_1**number)
        return d - rate * m / (tf.sqrt(v) + attack.epsilon), m, v

    return step


def plain_attack(attack: RP2, step: PlainStep, targets: Sequence[int], mask: NDArray[np.float32]) -> Any:
    """Attack one target after the other with steps of `plain_step`: float32 (targets, H, W, 3), M.d after the last."""
    found = []
    for target in targets:
        # The start that `RP2` gives this target.
        d = tf.random.stateless_uniform((*mask.shape[:2], 3), seed=(attack.seed, target + 1))
        m, v = tf.zeros_like(d), tf.zeros_like(d)
        for number in range(1, attack.steps + 1):
            # Tensors, because a `tf.function` is traced anew for each Python number.
            d, m, v = step(d, m, v, tf.constant(float(number)), tf.constant(target))
        found.append(mask * np.clip(d.numpy(), *(attack.perturbation_clip or UNBOUNDED)))
    return np.stack(found)


def naive_total_variation(alpha: float) -> Callable[[Any], Any]:
    """Return Eq. 5 as an activity penalty with the value of `TotalVariation`, but differentiated automatically."""

    def penalty(maps: Any) -> Any:
        maps = ops.cast(maps, "float32")
        down, right = maps[:, 1:] - maps[:, :-1], maps[:, :, 1:] - maps[:, :, :-1]
        total = alpha * (ops.sum(ops.absolute(down)) + ops.sum(ops.absolute(right))) / maps.shape[-1]
        return total if KERAS_DIVIDES_BY_BATCH else total / ops.cast(ops.shape(maps)[0], "float32")

    return penalty


def forward_flop(model: keras.Model) -> list[int]:
    """Return the floating-point operations of one image in each layer with a kernel, in order.

    A multiplication and an addition are two. A kernel is used once at each position of the layer's output, zero padding
    included; biases, activations and fixed blurs are not counted.
    """
    return [
        2 * math.prod(weight.shape) * math.prod(layer.output.shape[1:-1])
        for layer in model.layers
        for weight in layer.trainable_weights
        if len(weight.shape) > 1
    ]


def attack_flop(model: keras.Model) -> int:
    """Return what a step of an attack needs for one image: forward, and the gradient to the image, which costs as much.

    Gradients to the weights are not needed, and whoever computes them gets no credit.
    """
    return 2 * sum(forward_flop(model))


def training_flop(model: keras.Model) -> int:
    """Return what a training step needs for one image: forward, and the gradients to the weights and to the maps.

    Each costs as much as forward, but the first layer needs no gradient to what comes in.
    """
    first, *others = forward_flop(model)
    return 2 * first + 3 * sum(others)
