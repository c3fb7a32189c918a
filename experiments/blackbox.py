"""Table 1 of the paper: attack the undefended model, and show the attacked signs to its filtered versions."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.attacks import RP2, load_mask, load_palette
from blurnet_tf.data import rp2_release, sources
from blurnet_tf.defenses import TRANSFER_VARIANTS, layer_weights, lisa_cnn
from blurnet_tf.evaluation.provenance import environment, weights_sha256, write_json
from blurnet_tf.evaluation.records import write_records
from blurnet_tf.evaluation.scoring import score
from blurnet_tf.files import atomic_path, sha256
from blurnet_tf.reporting.figures import adversarial_figure, perturbation_figure, save_figure
from blurnet_tf.reporting.tables import transfer_markdown, transfer_table, write_table
from blurnet_tf.signs import class_index
from experiments import cli
from experiments.presets import PRESETS
from experiments.train import trained_model


def main(arguments: list[str] | None) -> None:
    """Run the experiment and write its results."""
    options = _parse(arguments)
    started = time.perf_counter()
    source = sources.resolve(options.data, cli.data_roots(options.data_dir))
    print(source.reason, flush=True)
    release = source.folder
    victims = sources.load_victims(source)
    mask_path = options.mask or (release / rp2_release.STICKER_MASK if release else cli.MASKS / "sticker.png")
    palette_path = options.palette or (release / rp2_release.PALETTE if release else cli.MASKS / "palette.csv")
    mask = load_mask(mask_path)
    target = class_index(options.target, victims.class_names)
    attack = RP2(
        steps=options.steps or PRESETS[options.preset].steps,
        penalty=options.penalty,
        nps=options.nps,
        seed=options.seed,
    )

    training: dict[str, Any] = {"checkpoint": "RP2 release"}
    if release:
        weights: Any = rp2_release.load_weights(release)
    else:
        baseline, training = trained_model(
            "baseline", preset=options.preset, seed=options.train_seed, folder=options.checkpoints
        )
        weights = layer_weights(baseline)
    models = {name: lisa_cnn(name, weights=weights) for name in TRANSFER_VARIANTS}

    attack_started = time.perf_counter()
    palette = load_palette(palette_path) if attack.nps else None
    result = attack(models["baseline"], victims.images, target, mask, labels=victims.labels, palette=palette)
    attack_seconds = time.perf_counter() - attack_started
    adversarial = result.apply(victims.images)[0]
    scored: dict[str, Any] = {"source": "baseline", "target": target, "penalty": attack.penalty, "seed": attack.seed}
    by_victim = {name: score(model, victims, adversarial, victim=name, **scored) for name, model in models.items()}
    records = [record for scores in by_victim.values() for record in scores]

    results: Path = options.results
    write_records(results / "records.csv", records)
    with atomic_path(results / "perturbation.npy") as temporary:
        np.save(temporary, result.perturbation[0])
    names = victims.class_names
    title = f"RP2 towards {names[target]}, {source.name} victims: the baseline's prediction before and after"
    seen = by_victim["baseline"]
    clean_names = [names[record.clean_prediction] for record in seen]
    attacked_names = [names[record.adversarial_prediction] for record in seen]
    figure = adversarial_figure(victims.images, adversarial, clean_names, attacked_names, title=title)
    save_figure(results / "adversarial.png", figure)
    figure = perturbation_figure(result.perturbation[0], mask, title=f"One perturbation for all: M.d, {names[target]}")
    save_figure(results / "perturbation.png", figure)
    write_json(
        results / "provenance.json",
        {
            "data": {"source": source.name, "reason": source.reason, "sha256": victims.sha256(), "n": len(victims)},
            "attack": dataclasses.asdict(attack) | {"target": target, "target_name": names[target]},
            "mask": {"path": str(mask_path), "sha256": sha256(mask_path), "pixels": int(mask.sum())},
            "palette": {"path": str(palette_path), "sha256": sha256(palette_path)} if attack.nps else None,
            "baseline": {"weights_sha256": weights_sha256(weights), "training": training},
            "preset": options.preset,
            "seconds": {"attack": round(attack_seconds, 2), "total": round(time.perf_counter() - started, 2)},
            "environment": environment(cli.ROOT),
        },
    )
    rows = transfer_table(records)
    caption = (
        f"Table 1 on {source.name} data: {len(victims)} stop signs, target {names[target]}, lambda {attack.penalty:g}, "
        f"{attack.steps} steps, seed {attack.seed}"
    )
    markdown = transfer_markdown(rows, caption)
    write_table(results, "table1", rows, markdown)
    print(f"\n{markdown}\nWritten to {results}/")


def _parse(arguments: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    cli.add_training_arguments(parser)
    parser.add_argument("--data", default="auto", help=f"data source: {', '.join(sources.SOURCES)}")
    parser.add_argument(
        "--data-dir", type=Path, default=Path("data"), help="folder of fetched data, after BLURNET_DATA"
    )
    parser.add_argument("--mask", type=Path, help="image of the mask (default: the source's sticker mask)")
    parser.add_argument("--palette", type=Path, help="printable colours, with --nps (default: the source's)")
    parser.add_argument("--target", default="speedLimit45", help="wanted class, a name or an index")
    parser.add_argument("--steps", type=cli.natural, help="steps of the attack (default: the preset's)")
    parser.add_argument("--penalty", type=float, default=0.002, help="lambda, the weight of the perturbation's norm")
    parser.add_argument("--nps", choices=("original", "corrected"), help="add a non-printability score")
    parser.add_argument("--seed", type=cli.natural, default=0, help="seed of the attack")
    parser.add_argument("--results", type=Path, default=Path("results/blackbox"), help="folder to write to")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.run(main)
