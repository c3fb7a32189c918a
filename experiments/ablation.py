"""Section 3.1, measured: a box blur after each convolution of the baseline, under the attack of `make blackbox`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.data import sources
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import write_records
from blurnet_tf.evaluation.scoring import score
from blurnet_tf.files import read_json, write_json
from blurnet_tf.models import Variant, lisa_cnn, weights_sha256
from blurnet_tf.reporting.ablation import ablation_figure, ablation_markdown, ablation_table
from blurnet_tf.reporting.style import save_both
from blurnet_tf.reporting.tables import write_table
from blurnet_tf.runs.checkpoints import baseline_weights
from blurnet_tf.runs.kept import held_out_accuracy
from blurnet_tf.training.recipes import PRESETS
from experiments import cli

LAYERS, SIZES = (1, 2, 3), (3, 5, 7)


def main(arguments: list[str] | None) -> None:
    """Score the stored attacked signs on the baseline with each blur, and write records, table and figure."""
    options = _parse(arguments)
    attacked: Path = options.attacked
    run = read_json(attacked / "provenance.json")
    roots = cli.data_roots(options.data_dir)
    source = sources.resolve(run["data"]["source"], roots)
    victims = sources.load_victims(source)
    weights, _ = baseline_weights(
        source.folder,
        preset=options.preset,
        seed=options.train_seed,
        folder=options.checkpoints,
        precision=options.precision,
    )
    if (victims.sha256(), weights_sha256(weights)) != (run["data"]["sha256"], run["baseline"]["weights_sha256"]):
        raise ValueError(
            f"{attacked} must hold an attack on the baseline and the signs that there are now. Received: an attack on "
            "others. Run `make blackbox` again."
        )
    with np.load(attacked / "signs.npz", allow_pickle=False) as signs:
        adversarial = signs["adversarial"]

    # The released weights were trained on LISA, so they are tested on LISA where it is there.
    test_source = sources.resolve_training("auto" if source.name == "rp2" else "synthetic", roots)
    work = PRESETS[options.preset]
    test = sources.load_training(test_source, per_class=1, test_per_class=work.test_per_class)
    places = {"baseline": (0, 0)} | {
        f"blur_{size}x{size}_after_{layer}": (layer, size) for layer in LAYERS for size in SIZES
    }
    records, legitimate = [], {}
    for name, (layer, size) in places.items():
        variant = Variant(name=name, title=name, feature_blur=size, feature_blur_after=layer or 1)
        model = lisa_cnn(variant, weights=weights)
        target, penalty, seed = (run["attack"][key] for key in ("target", "penalty", "seed"))
        records += score(
            model, victims, adversarial, source="baseline", victim=name, target=target, penalty=penalty, seed=seed
        )
        legitimate[name] = held_out_accuracy(model, test.test)
    rows = ablation_table(records, legitimate, places)
    caption = (
        f"Blur after each layer: {source.name} baseline, tested on {test.label}; {len(victims)} stop signs attacked on "
        f"the baseline, target {run['attack']['target_name']}, lambda {penalty:g}, seed {seed}"
    )
    results: Path = options.results
    write_records(results / "records.csv", records)
    save_both(results, "ablation", ablation_figure(rows))
    markdown = ablation_markdown(rows, caption)
    write_table(results, "ablation", rows, markdown)
    write_json(results / "provenance.json", {"attack": run, "test": test.label, "environment": environment()})
    print(f"\n{markdown}\nWritten to {results}/")


def _parse(arguments: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    cli.add_training_arguments(parser)
    cli.add_data_dir_argument(parser)
    parser.add_argument("--attacked", type=Path, default=Path("results/blackbox"), help="what `make blackbox` wrote")
    parser.add_argument("--results", type=Path, default=Path("results/ablation"), help="folder to write to")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.run(main)
