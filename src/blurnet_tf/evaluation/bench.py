"""The benchmark: the attack against a plain loop, what the machine can do, and what the total variation costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from blurnet_tf.attacks import RP2
from blurnet_tf.attacks.masks import bundled, load_mask
from blurnet_tf.data import synthetic
from blurnet_tf.evaluation.reference import attack_flop, naive_total_variation, plain_attack, plain_step, training_flop
from blurnet_tf.models import VARIANTS, LayerWeights, layer_weights, lisa_cnn
from blurnet_tf.signs import CLASS_NAMES, STOP
from blurnet_tf.training import train

TARGETS: tuple[int, ...] = tuple(index for index in range(len(CLASS_NAMES)) if index != STOP)
BATCH, SIZE = 128, 2048
PRECISIONS = ("float32", "mixed_bfloat16")


@dataclass(frozen=True)
class Job:
    """Something to time.

    Attributes:
        name: Key, also in the files.
        group: Its table: "attack", "training" or "product".
        title: Its row.
        against: Name of the job that it is compared with.
        flop, steps: Floating-point operations that a step needs, and steps in a run.
        run: Takes the steps and waits for their result.
    """

    name: str
    group: str
    title: str
    against: str
    flop: int
    steps: int
    run: Callable[[], object]


def jobs(steps: int) -> list[Job]:
    """Return everything that is timed: attacks, training steps and matrix products, each of some steps."""
    weights = layer_weights(lisa_cnn(seed=0))
    # An untrained model that takes every image for a stop sign, so that no target is reached before the attack.
    weights["logits"][1][STOP] = 5.0
    victims = synthetic.victim_split()
    return [*_attacks(weights, victims.images, victims.labels, steps), *_trainings(weights, steps), *_products(steps)]


def settings(steps: int, rounds: int) -> dict[str, int]:
    """Return what the tables say about a benchmark."""
    images = len(synthetic.VICTIM_DISTANCES) * len(synthetic.VICTIM_ANGLES)
    counts = {"targets": len(TARGETS), "images": images, "batch": BATCH, "size": SIZE}
    return {"rounds": rounds, "steps": steps, **counts}


def measure(jobs: list[Job], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of a step of each job, round by round.

    The jobs take turns, so that what else happens on the machine meets all of them alike; a first turn, which compiles,
    is not counted.
    """
    seconds: dict[str, list[float]] = {job.name: [] for job in jobs}
    for number in range(rounds + 1):
        started = time.perf_counter()
        for job in jobs:
            before = time.perf_counter()
            job.run()
            if number:
                seconds[job.name].append((time.perf_counter() - before) / job.steps)
        title = f"round {number} of {rounds}" if number else "warm-up"
        print(f"{title}: {time.perf_counter() - started:.1f} s", flush=True)
    return seconds


def _attacks(weights: LayerWeights, images: Any, labels: Any, steps: int) -> list[Job]:
    attack, mask = RP2(steps=steps), load_mask(bundled("sticker.png"))
    models = {precision: lisa_cnn(weights=weights, dtype=precision) for precision in PRECISIONS}
    plain = plain_step(attack, models["float32"], images, mask)

    def job(name: str, title: str, steps: int, run: Callable[[], object]) -> Job:
        flop = len(TARGETS) * len(images) * attack_flop(models["float32"])
        return Job(name, "attack", title, against="loop_eager", flop=flop, steps=steps, run=run)

    def batched(precision: str) -> Job:
        def run() -> object:
            return attack(models[precision], images, targets=TARGETS, mask=mask, labels=labels, progress=False)

        # One step more than asked: RP2 computes objective and gradient at the start and after every step.
        return job(f"batched_{precision}", f"batched, {precision}", steps + 1, run)

    compiled = tf.function(plain)
    return [
        job("loop_eager", "loop, eager", steps, lambda: plain_attack(attack, plain, TARGETS, mask)),
        job("loop_compiled", "loop, compiled step", steps, lambda: plain_attack(attack, compiled, TARGETS, mask)),
        *map(batched, PRECISIONS),
    ]


def _trainings(weights: LayerWeights, steps: int) -> list[Job]:
    split = synthetic.train_split(per_class=8)
    images, labels = split.images[:BATCH], split.labels[:BATCH]
    trained = lisa_cnn(seed=0, dtype="float32")
    train(trained, images[:1], labels[:1], epochs=1, verbose=0)
    compiled = trained.get_compile_config()  # the optimiser and the loss of a training, for single steps

    def job(precision: str, penalty: str) -> Job:
        variant = VARIANTS["baseline" if penalty == "no TV" else "tv_1e-4"]
        model = lisa_cnn(variant, weights=weights, dtype=precision)
        if penalty == "naive TV":
            model.get_layer("conv1").activity_regularizer = naive_total_variation(variant.alpha)
        model.compile_from_config(compiled)

        def run() -> None:
            for _ in range(steps):
                model.train_on_batch(images, labels)

        name, flop = f"training_{precision}_", BATCH * training_flop(model)
        title = f"{precision}, {penalty}"
        return Job(name + penalty.split()[0], "training", title, against=f"{name}no", flop=flop, steps=steps, run=run)

    return [job(precision, penalty) for precision in PRECISIONS for penalty in ("no TV", "our TV", "naive TV")]


def _products(steps: int) -> list[Job]:
    numbers = np.random.default_rng(0).standard_normal((2, SIZE, SIZE), np.float32)

    def job(precision: str) -> Job:
        one, other = tf.unstack(tf.cast(numbers, precision))

        def run() -> None:
            for _ in range(steps):
                product = tf.matmul(one, other)
            product.numpy()  # waits for a GPU

        return Job(precision, "product", precision, against="float32", flop=2 * SIZE**3, steps=steps, run=run)

    return [job(precision) for precision in ("float32", "bfloat16")]
