"""The transfer experiment: attack the undefended model, and ask its filtered versions about the attacked signs."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.attacks import RP2
from blurnet_tf.commands.arguments import natural, positive
from blurnet_tf.data import sources
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import write_records
from blurnet_tf.evaluation.scoring import score
from blurnet_tf.files import atomic_path, write_json
from blurnet_tf.models import TRANSFER_VARIANTS, lisa_cnn, weights_sha256
from blurnet_tf.runs.checkpoints import baseline_weights
from blurnet_tf.runs.setting import load_setting
from blurnet_tf.signs import class_index
from blurnet_tf.training.recipes import PRESETS
from experiments import cli


def main(arguments: list[str] | None) -> None:
    """Attack, score, and write records, arrays and provenance. `experiments.table1` makes the table of them."""
    options = _parse(arguments)
    started = time.perf_counter()
    source = sources.resolve(options.data, cli.data_roots(options.data_dir))
    print(source.reason, flush=True)
    setting = load_setting(source, mask=options.mask, palette=options.palette, printable=options.nps is not None)
    victims, mask = setting.victims, setting.mask
    target = class_index(options.target, victims.class_names)
    steps = PRESETS[options.preset].steps if options.steps is None else options.steps
    attack = RP2(steps=steps, penalty=options.penalty, nps=options.nps, seed=options.seed)
    weights, training = baseline_weights(
        source.folder,
        preset=options.preset,
        seed=options.train_seed,
        folder=options.checkpoints,
        precision=options.precision,
    )
    models = {name: lisa_cnn(name, weights=weights) for name in TRANSFER_VARIANTS}

    attack_started = time.perf_counter()
    result = attack(models["baseline"], victims.images, target, mask, labels=victims.labels, palette=setting.palette)
    attack_seconds = time.perf_counter() - attack_started
    adversarial = result.apply(victims.images)[0]
    scored: dict[str, Any] = {"source": "baseline", "target": target, "penalty": attack.penalty, "seed": attack.seed}
    records = [
        record for name, model in models.items() for record in score(model, victims, adversarial, victim=name, **scored)
    ]
    papers_protocol = setting.authentic and (
        (target, dataclasses.replace(attack, seed=0)) == (class_index("speedLimit45"), RP2())
    )
    provenance = {
        **setting.describe(),
        "attack": dataclasses.asdict(attack) | {"target": target, "target_name": victims.class_names[target]},
        "baseline": {"weights_sha256": weights_sha256(weights), "training": training},
        "preset": options.preset,
        "papers_protocol": papers_protocol,
        "seconds": {"attack": round(attack_seconds, 2), "total": round(time.perf_counter() - started, 2)},
        "environment": environment(),
    }
    results: Path = options.results
    with atomic_path(results / "perturbation.npy") as temporary:
        np.save(temporary, result.perturbation[0])
    with atomic_path(results / "signs.npz") as temporary:
        np.savez(temporary, clean=victims.images, adversarial=adversarial, mask=mask)
    write_json(results / "provenance.json", provenance)
    write_records(results / "records.csv", records)


def _parse(arguments: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    cli.add_training_arguments(parser)
    cli.add_data_arguments(parser, sources.SOURCES)
    parser.add_argument("--mask", type=Path, help="image of the mask (default: the source's sticker mask)")
    parser.add_argument("--palette", type=Path, help="printable colours, with --nps (default: the source's)")
    parser.add_argument("--target", default="speedLimit45", help="wanted class, a name or an index")
    parser.add_argument("--steps", type=positive, help="steps of the attack (default: the preset's)")
    parser.add_argument("--penalty", type=float, default=0.002, help="lambda, the weight of the perturbation's norm")
    parser.add_argument("--nps", choices=("original", "corrected"), help="add a non-printability score")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the attack")
    parser.add_argument("--results", type=Path, default=Path("results/blackbox"), help="folder to write to")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.run(main)
