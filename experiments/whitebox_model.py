"""The white-box experiment on a model of somebody's own: RP2 for each target, lambda and seed, and the floor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blurnet_tf.attacks import RP2
from blurnet_tf.commands.arguments import natural, number
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import Record, read_records
from blurnet_tf.files import write_json
from blurnet_tf.reporting.figures import dissimilarity_figure
from blurnet_tf.reporting.model_tables import model_markdown, model_row
from blurnet_tf.reporting.style import save_figure
from blurnet_tf.reporting.tables import write_table
from blurnet_tf.runs.store import RECORDS, Cell
from blurnet_tf.runs.sweep import Sweep
from blurnet_tf.training.recipes import PRESETS
from experiments import cli
from experiments.model_setting import add_model_arguments, choose_targets, load_model_setting


def main(arguments: list[str] | None) -> None:
    """Fill the cells that are missing, then write and print the table."""
    options = _parse(arguments)
    work = PRESETS[options.preset]
    classifier, setting = load_model_setting(options)
    names = setting.victims.class_names
    targets = choose_targets(options.targets, setting.victims)
    steps = work.steps if options.steps is None else options.steps
    sweep = Sweep(setting, "float32", targets=targets)
    sweep.add_classifier(classifier)
    floor = sweep.floor(classifier.name)
    attacks = [
        sweep.attack(classifier.name, RP2(steps=steps, penalty=penalty, nps=options.nps, seed=seed))
        for seed in options.seeds
        for penalty in options.penalties or work.penalties
    ]
    results: Path = options.results / classifier.name / "whitebox"
    sweep.run(results / "cells")
    run = {
        **setting.describe(),
        "model": {"path": str(classifier.path), **classifier.describe()},
        "preset": options.preset,
        "attack": {"steps": steps, "nps": options.nps, "targets": [names[target] for target in targets]},
        "floor": floor.folder,
        "cells": [cell.folder for cell in attacks],
        "environment": environment(),
    }
    write_json(results / "run.json", run)

    def read(cells: list[Cell]) -> list[Record]:
        return [record for cell in cells for record in read_records(results / "cells" / cell.folder / RECORDS)]

    records = read(attacks)
    row = model_row(classifier.name, records, read([floor]), class_names=names)
    caption = (
        f"{classifier.path}: {row['n_images']} images ({setting.source.name}), {row['n_targets']} targets, lambda "
        f"{', '.join(f'{one:g}' for one in row['lambdas'])}, {steps} steps, seeds {', '.join(map(str, row['seeds']))}"
    )
    markdown = model_markdown(row, caption)
    save_figure(results / "figure4.png", dissimilarity_figure(records, titles={classifier.name: classifier.name}))
    write_table(results, "table", [row], markdown)
    print(f"\n{markdown}\nWritten to {results}/")


def _parse(arguments: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    add_model_arguments(parser)
    parser.add_argument(
        "--targets", nargs="+", help="wanted classes, names or indices (default: all that are no label)"
    )
    parser.add_argument("--penalties", type=number, nargs="+", help="lambdas (default: the preset's)")
    parser.add_argument("--seeds", type=natural, nargs="+", default=[0], help="seeds of the attack")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.run(main)
