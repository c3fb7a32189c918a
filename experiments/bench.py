"""The benchmark: the attack against a plain loop, what the machine can do, and what the total variation costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from blurnet_tf.attacks import RP2, load_mask
from blurnet_tf.commands.arguments import positive
from blurnet_tf.data import synthetic
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.files import write_json, write_text
from blurnet_tf.models import VARIANTS, layer_weights, lisa_cnn
from blurnet_tf.models.lisa_cnn import LayerWeights
from blurnet_tf.signs import CLASS_NAMES, STOP
from blurnet_tf.training import train
from experiments import cli
from experiments.bench_reference import attack_flop, naive_total_variation, plain_attack, plain_step, training_flop
from experiments.bench_report import PRODUCTS, figures, machine, markdown

TARGETS: tuple[int, ...] = tuple(index for index in range(len(CLASS_NAMES)) if index != STOP)
BATCH, SIZE = 128, 2048
PRECISIONS = ("float32", "mixed_bfloat16")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Something to time.

    Attributes:
        name: Key, also in the files.
        group: Its table: "attack", "training" or "product".
        title: Its row.
        against: Name of the job that it is compared with.
        flop: Floating-point operations that a step needs.
        steps: Steps in a run.
        run: Takes the steps and waits for their result.
    """

    name: str
    group: str
    title: str
    against: str
    flop: int
    steps: int
    run: Callable[[], object]


def main(arguments: list[str] | None) -> None:
    """Time all jobs in turn, write the figures and the tables, print the tables."""
    parser = cli.parser(__doc__)
    parser.add_argument("--rounds", type=positive, default=9, help="how often each job is timed")
    parser.add_argument("--steps", type=positive, default=5, help="steps of a job in a round")
    parser.add_argument("--results", type=Path, default=Path("results/bench"), help="folder to write to")
    options = parser.parse_args(arguments)

    model = lisa_cnn(seed=0)
    weights = layer_weights(model)
    # An untrained model that takes every image for a stop sign, so that no target is reached before the attack.
    weights["logits"][1][STOP] = 5.0
    victims = synthetic.victim_split()
    jobs = [
        *_attacks(weights, victims.images, victims.labels, options.steps),
        *_trainings(weights, options.steps),
        *_products(options.steps),
    ]
    seconds = measure(jobs, options.rounds)
    described = [{key: value for key, value in asdict(job).items() if key not in ("steps", "run")} for job in jobs]
    result = {
        "settings": {
            "rounds": options.rounds,
            "steps": options.steps,
            "targets": len(TARGETS),
            "images": len(victims),
            "batch": BATCH,
            "size": SIZE,
        },
        "machine": machine(),
        "environment": environment(),
        "jobs": figures(described, seconds, slower=["training"]),
    }
    results: Path = options.results
    text = markdown(result)
    write_text(results / "bench.md", text)
    write_json(results / "bench.json", result)
    print(f"\n{text}\nWritten to {results}/")


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
    attack, mask = RP2(steps=steps), load_mask(cli.MASKS / "sticker.png")
    models = {precision: lisa_cnn(weights=weights, dtype=precision) for precision in PRECISIONS}
    plain = plain_step(attack, models["float32"], images, mask)

    def job(name: str, title: str, steps: int, run: Callable[[], object]) -> Job:
        flop = len(TARGETS) * len(images) * attack_flop(models["float32"])
        return Job(name=name, group="attack", title=title, against="loop_eager", flop=flop, steps=steps, run=run)

    def batched(precision: str) -> Job:
        def run() -> object:
            return attack(models[precision], images, TARGETS, mask, labels=labels, progress=False)

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
            model.get_layer("conv1").activity_regularizer = naive_total_variation(variant.alpha_tv)
        model.compile_from_config(compiled)

        def run() -> None:
            for _ in range(steps):
                model.train_on_batch(images, labels)

        return Job(
            name=f"training_{precision}_{penalty.split()[0]}",
            group="training",
            title=f"{precision}, {penalty}",
            against=f"training_{precision}_no",
            flop=BATCH * training_flop(model),
            steps=steps,
            run=run,
        )

    return [job(precision, penalty) for precision in PRECISIONS for penalty in ("no TV", "our TV", "naive TV")]


def _products(steps: int) -> list[Job]:
    numbers = np.random.default_rng(0).standard_normal((2, SIZE, SIZE), np.float32)

    def job(precision: str) -> Job:
        one, other = tf.unstack(tf.cast(numbers, precision))

        def run() -> None:
            for _ in range(steps):
                product = tf.matmul(one, other)
            product.numpy()  # waits for a GPU

        return Job(
            name=precision, group="product", title=precision, against="float32", flop=2 * SIZE**3, steps=steps, run=run
        )

    return [job(precision) for precision in PRODUCTS]


if __name__ == "__main__":
    cli.run(main)
