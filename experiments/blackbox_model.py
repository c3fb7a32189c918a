"""The transfer experiment on a model of somebody's own: attack it for one target, then put filters in front of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.attacks import RP2
from blurnet_tf.attacks.inputs import Model
from blurnet_tf.commands.arguments import natural, number
from blurnet_tf.defenses import FixedBlur
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import read_records
from blurnet_tf.evaluation.scoring import score
from blurnet_tf.files import write_json
from blurnet_tf.reporting.figures import adversarial_figure, perturbation_figure
from blurnet_tf.reporting.model_tables import model_transfer_markdown, model_transfer_rows
from blurnet_tf.reporting.style import save_figure
from blurnet_tf.reporting.tables import write_table
from blurnet_tf.runs.setting import Setting
from blurnet_tf.runs.store import ARRAYS, RECORDS, Cell, Content, fill
from blurnet_tf.runs.sweep import FORMAT
from blurnet_tf.training.recipes import PRESETS
from experiments import cli
from experiments.model_setting import add_model_arguments, choose_targets, load_model_setting

FILTERS: tuple[int, ...] = (3, 5)
"""The victims beside the model itself: it behind a box blur of this side."""

SHOWN = 40
"""As many images are drawn, at most."""


def main(arguments: list[str] | None) -> None:
    """Attack unless that is done, score, draw, write the table and print it."""
    options = _parse(arguments)
    classifier, setting = load_model_setting(options)
    victims, mask = setting.victims, setting.mask
    (target,) = choose_targets([options.target], victims)
    steps = PRESETS[options.preset].steps if options.steps is None else options.steps
    attack = RP2(steps=steps, penalty=options.penalty, nps=options.nps, seed=options.seed)
    titles = {classifier.name: classifier.name}
    titles |= {f"{classifier.name}_input_{size}x{size}": f"Input filter {size}x{size}" for size in FILTERS}

    def compute(_: Cell) -> Content:
        palette = setting.palette if attack.nps else None
        result = attack(classifier, victims.images, target, mask, labels=victims.labels, palette=palette)
        adversarial = result.apply(victims.images)[0]
        scored: dict[str, Any] = {"source": classifier.name, "target": target, "penalty": attack.penalty}
        models: list[Model] = [classifier, *(_behind(FixedBlur(size), classifier) for size in FILTERS)]
        records = [
            record
            for name, model in zip(titles, models, strict=True)
            for record in score(model, victims, adversarial, victim=name, seed=attack.seed, **scored)
        ]
        return records, {"perturbation": result.perturbation[0], "adversarial": adversarial}

    inputs = {
        "format": FORMAT,
        "classifier": classifier.describe(),
        "victims_sha256": victims.sha256(),
        "mask_sha256": setting.mask_sha256,
        "attack": dataclasses.asdict(attack) | {"target": target},
        "palette": None if attack.nps is None else setting.palette_sha256,
        "filters": list(FILTERS),
    }
    title = f"{classifier.name}_target-{target}_lambda-{attack.penalty:g}_seed-{attack.seed}"
    cell = Cell(name=title, inputs=inputs)
    results: Path = options.results / classifier.name / "blackbox"
    fill(results / "cells", [cell], compute)
    provenance = {
        **setting.describe(),
        "model": {"path": str(classifier.path), **classifier.describe()},
        "attack": dataclasses.asdict(attack) | {"target": target, "target_name": victims.class_names[target]},
        "preset": options.preset,
        "cell": cell.folder,
        "environment": environment(),
    }
    write_json(results / "provenance.json", provenance)
    _report(results, cell, provenance, setting, titles)


def _behind(blur: FixedBlur, model: Model) -> Model:
    return lambda images: model(blur(images))


def _report(results: Path, cell: Cell, provenance: dict[str, Any], setting: Setting, titles: dict[str, str]) -> None:
    """Draw the pictures and write the table, from the cell alone."""
    records = read_records(results / "cells" / cell.folder / RECORDS)
    names, attack = setting.victims.class_names, provenance["attack"]
    with np.load(results / "cells" / cell.folder / ARRAYS, allow_pickle=False) as arrays:
        perturbation, adversarial = arrays["perturbation"], arrays["adversarial"]
    seen = [record for record in records if record.victim == record.source]
    figure = adversarial_figure(
        setting.victims.images[:SHOWN],
        adversarial[:SHOWN],
        [names[record.clean_prediction] for record in seen[:SHOWN]],
        [names[record.adversarial_prediction] for record in seen[:SHOWN]],
        title=f"RP2 towards {attack['target_name']}: what {next(iter(titles))} predicts before and after",
    )
    save_figure(results / "adversarial.png", figure, dpi=110)
    figure = perturbation_figure(
        perturbation, setting.mask, title=f"One perturbation for all: M.d, {attack['target_name']}"
    )
    save_figure(results / "perturbation.png", figure)
    rows = model_transfer_rows(records, titles)
    caption = (
        f"{provenance['model']['path']}: {len(seen)} images ({setting.source.name}), target {attack['target_name']}, "
        f"lambda {attack['penalty']:g}, {attack['steps']} steps, seed {attack['seed']}"
    )
    markdown = model_transfer_markdown(rows, caption)
    write_table(results, "table", rows, markdown)
    print(f"\n{markdown}\nWritten to {results}/")


def _parse(arguments: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    add_model_arguments(parser)
    parser.add_argument("--target", default="speedLimit45", help="wanted class, a name or an index")
    parser.add_argument("--penalty", type=number, default=0.002, help="lambda, the weight of the norm")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the attack")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.run(main)
