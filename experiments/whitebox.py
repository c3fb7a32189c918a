"""The white-box experiment: attack every variant through its defence, for each target, lambda and seed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras

from blurnet_tf.attacks import RP2
from blurnet_tf.commands.arguments import natural, number, positive
from blurnet_tf.data import rp2_release, sources
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.files import write_json
from blurnet_tf.models import TRAINED_VARIANTS, VARIANTS
from blurnet_tf.runs.checkpoints import trained_variant
from blurnet_tf.runs.locks import locked
from blurnet_tf.runs.setting import load_setting
from blurnet_tf.runs.sweep import Sweep
from blurnet_tf.training.precision import resolve
from blurnet_tf.training.recipes import PRESETS
from experiments import cli, table2


def main(arguments: list[str] | None) -> None:
    """Train what is not trained, fill the cells, and have `experiments.table2` make the table of them."""
    options = _parse(arguments)
    work = PRESETS[options.preset]
    roots = cli.data_roots(options.data_dir)
    data = cli.training_data(options)
    on_lisa = data.name != "synthetic"
    victims = sources.resolve("auto" if on_lisa else "synthetic", roots)
    print(f"To attack: {victims.reason.split(': ', 1)[1]}", flush=True)
    setting = load_setting(victims, mask=options.mask, palette=options.palette, printable=options.nps is not None)
    release = rp2_release.find(roots)
    everything = [*TRAINED_VARIANTS, *["rp2_release"] * (release is not None and on_lisa)]
    steps = work.steps if options.steps is None else options.steps
    attacks = [
        RP2(steps=steps, penalty=penalty, nps=options.nps, seed=seed)
        for seed in dict.fromkeys(options.seeds)
        for penalty in dict.fromkeys(options.penalties or work.penalties)
    ]
    dtype, reason = resolve(options.precision)

    models: dict[str, keras.Model] = {}
    rows: dict[str, Any] = {}
    for name in everything if "all" in options.variant else dict.fromkeys(options.variant):
        path, models[name], provenance = trained_variant(name, data, options, release)
        legitimate = {"correct": provenance["test_correct"], "n": provenance["test_images"]}
        rows[name] = {"checkpoint": str(path), "legitimate": legitimate, "training": provenance}

    sweep = Sweep(setting, dtype)
    for name, model in models.items():
        sweep.add_model(VARIANTS[name], model)
        cells = [sweep.attack(name, attack).folder for attack in attacks]
        rows[name] |= {"floor": sweep.floor(name).folder, "cells": cells}
    results: Path = options.results
    print(f"Attacking in {dtype}, scoring in float32. {reason}", flush=True)
    sweep.run(results / "cells")
    run = {
        **setting.describe(),
        "training_data": data.label,
        "preset": options.preset,
        "init": options.init,
        "attack": {"steps": steps, "nps": options.nps},
        "precision": reason,
        "papers_protocol": (
            setting.authentic
            and (data.name, options.preset, options.init) == ("lisa", "paper", "random")
            and all(dataclasses.replace(attack, penalty=0.002, seed=0) == RP2() for attack in attacks)
        ),
        "rows": rows,
        "environment": environment(),
    }
    # One run at a time writes what it found, so that the table is of the run that stands beside it.
    with locked(results / ".lock", waiting=f"{results}: another run is writing its table; waiting for that"):
        write_json(results / "run.json", run)
        table2.main(["--results", str(results)])


def _parse(arguments: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    cli.add_training_arguments(parser)
    cli.add_data_arguments(parser, sources.TRAINING_SOURCES)
    cli.add_recipe_arguments(parser)
    choices = ("all", *TRAINED_VARIANTS, "rp2_release")
    parser.add_argument("--variant", choices=choices, nargs="+", default=["all"], help="which rows")
    parser.add_argument("--penalties", type=number, nargs="+", help="lambdas (default: the preset's)")
    parser.add_argument("--seeds", type=natural, nargs="+", default=[0], help="seeds of the attack")
    parser.add_argument("--steps", type=positive, help="steps of the attack (default: the preset's)")
    parser.add_argument("--mask", type=Path, help="image of the mask (default: that of the victims)")
    parser.add_argument("--palette", type=Path, help="printable colours, with --nps (default: that of the victims)")
    parser.add_argument("--nps", choices=("original", "corrected"), help="add a non-printability score")
    parser.add_argument("--results", type=Path, default=Path("results/whitebox"), help="folder to write to")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.run(main)
