"""Attacks inside another graph: what a training step does to its images before the model learns from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from blurnet_tf.attacks.bases import Paint
from blurnet_tf.attacks.inputs import Model
from blurnet_tf.attacks.minimise import Problem, State, make_step
from blurnet_tf.attacks.rp2 import RP2


def worsen(
    attack: RP2,
    model: Model,
    images: Any,
    labels: Any,
    *,
    masks: Any,
    paint: Any,
    reach: float | None = None,
    steps: Any = None,
    seed: Any,
) -> Any:
    """Return images with stickers that `attack` has led away from the labels, in whichever graph it is called.

    No Python loop runs and nothing is checked: the caller traces this once, as part of its own step.

    Args:
        attack: Its steps are taken, from `paint` on, in opaque colours: its basis, its start and its restarts have no
            part in it. `check_inner` says which attacks will do.
        model: Maps images to logits, differentiably.
        images: float32 (n, H, W, 3) in [0, 1].
        labels: int32 (n,), the classes to get away from.
        masks: float32 (n, H, W, 1), 0 or 1; for an attack with one sticker for all images (1, H, W, 1).
        paint: The colours to start from, float32 (n, H, W, 3) in [0, 1]; (1, H, W, 3) if the attack has one sticker for
            all images.
        reach: How far a pixel may go from that of the image; `None`: to any colour. For a sticker an image.
        steps: int32, how many steps are taken; `None`: those of `attack`.
        seed: int32, of what is drawn in a step.
    """
    shared = not attack.per_image
    together = (lambda one: one[None]) if shared else (lambda one: one[:, None])
    low, high = (0.0, 1.0) if reach is None else (tf.maximum(images - reach, 0.0), tf.minimum(images + reach, 1.0))
    steps = tf.constant(attack.steps, tf.int32) if steps is None else steps
    objective = attack.objective(_Between(low, high), targeted=False, batches=1)
    problem = Problem(
        images=together(images),
        classes=together(labels),
        predictions=together(labels),
        masks=masks if shared else masks[None],
        weights=(),
        learning_rate=tf.constant(attack.learning_rate, tf.float32),
        steps=steps,
        seed=seed,
    )
    step = make_step(model, objective)
    state = State.start(tf.clip_by_value(paint, low, high))
    state = tf.while_loop(lambda state: state.step < steps, lambda state: (step(state, problem)[0],), (state,))[0]
    return images + masks * (state.z - images)


def check_inner(attack: RP2) -> None:
    """Raise ValueError unless `attack` can be made inside a training step: opaque, by gradients, nothing penalised."""
    if not isinstance(attack, RP2):
        raise ValueError(f"`attack` must be an RP2. Received: attack={attack!r}")
    if type(attack.parts["basis"]) is not Paint or attack.terms or not attack.differentiates:
        raise ValueError(
            "`attack` must have basis='paint', norm=None, no penalties and gradient='exact': a training step makes no "
            f"other stickers. Received: {attack!r}"
        )


@dataclass(frozen=True, eq=False)
class _Between(Paint):
    """Printed colours between two bounds, tensors or numbers."""

    low: Any
    high: Any

    def project(self, z: Any) -> Any:
        return tf.clip_by_value(z, self.low, self.high)
