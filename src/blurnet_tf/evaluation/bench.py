"""The benchmark: the attack against plain loops and PyTorch, what the machine can do, the cost of TV."""

from __future__ import annotations

import importlib.util
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
LONGER = 12
"""How many times as many steps `RP2` takes as the others, since a call has costs of its own: an experiment has 300."""


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
    """Return everything that is timed: attacks, training steps and matrix products, each of some steps.

    PyTorch's are among them where it is installed.

    Raises:
        ValueError: The losses of a peer are not ours, so that the times would not be those of the same thing.
    """
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
    attack, longer, mask = RP2(steps=steps), RP2(steps=LONGER * steps), load_mask(bundled("sticker.png"))
    models = {precision: lisa_cnn(weights=weights, dtype=precision) for precision in PRECISIONS}
    plain = plain_step(attack, models["float32"], images, mask)

    def job(name: str, title: str, steps: int, run: Callable[[], object]) -> Job:
        flop = len(TARGETS) * len(images) * attack_flop(models["float32"])
        return Job(name, "attack", title, against="loop_eager", flop=flop, steps=steps, run=run)

    def batched(precision: str) -> Job:
        def run() -> object:
            return longer(models[precision], images, targets=TARGETS, mask=mask, labels=labels, progress=False)

        # One step more than asked: RP2 computes objective and gradient at the start and after every step.
        return job(f"batched_{precision}", f"batched, {precision}", longer.steps + 1, run)

    def peer(name: str, title: str, *, batched: bool, **network: Any) -> Job:
        model = torch.LisaCNN(weights, **network)
        _check_losses(title, losses, torch.attack(once, model, images, TARGETS, mask, batched=batched)()[1])
        run = torch.attack(attack, model, images, TARGETS, mask, batched=batched)
        return job(f"torch_{name}", f"PyTorch, {title}", steps, run)

    torch, peers = torch_peers(), []
    if torch is not None:
        once = RP2(steps=1)
        losses = once(models["float32"], images, targets=TARGETS, mask=mask, labels=labels).history["loss"][0]
        peers = [
            peer("loop_float32", "loop, float32", batched=False),
            peer("batched_float32", "batched, float32", batched=True),
            peer("batched_bfloat16", "batched, bfloat16, channels last", batched=True, dtype="bfloat16",
                 channels_last=True),
        ]  # fmt: skip
    compiled = tf.function(plain)
    return [
        job("loop_eager", "loop, eager", steps, lambda: plain_attack(attack, plain, TARGETS, mask)),
        job("loop_compiled", "loop, compiled step", steps, lambda: plain_attack(attack, compiled, TARGETS, mask)),
        *map(batched, PRECISIONS),
        *peers,
    ]


def torch_peers() -> Any:
    """Return the module `torch_peers`; `None` where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    from blurnet_tf.evaluation import torch_peers

    return torch_peers


def _check_losses(title: str, ours: Any, theirs: Any) -> None:
    difference = float(np.abs(np.asarray(theirs) / ours - 1).max())
    if not difference <= 1e-3:
        raise ValueError(f"PyTorch's losses must be ours to 1e-3 at the start. Received: {difference:g}, {title}")


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

    def peer(precision: str, **network: Any) -> Job:
        run = torch.training(torch.LisaCNN(weights, **network), images, labels, steps)
        flop, title = BATCH * training_flop(trained), f"PyTorch, {network['dtype']}, channels last"
        against = f"training_{precision}_no"
        return Job(f"torch_{precision}", "training", title, against=against, flop=flop, steps=steps, run=run)

    torch = torch_peers()
    ours = [job(precision, penalty) for precision in PRECISIONS for penalty in ("no TV", "our TV", "naive TV")]
    formats = {} if torch is None else {"float32": "float32", "mixed_bfloat16": "bfloat16"}
    return [*ours, *(peer(precision, dtype=dtype, channels_last=True) for precision, dtype in formats.items())]


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
