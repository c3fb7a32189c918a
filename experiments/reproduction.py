"""Run the studies of what moves the numbers of Table 2, and write the table of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.data import rp2_release, sources
from blurnet_tf.evaluation.feature_maps import layer_maps, map_layers
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import Record, read_records
from blurnet_tf.files import write_json
from blurnet_tf.models import VARIANTS
from blurnet_tf.numerics import total_variation
from blurnet_tf.reporting.studies import study_markdown
from blurnet_tf.reporting.tables import write_table
from blurnet_tf.reporting.white_box import white_box_table
from blurnet_tf.runs.checkpoints import checkpoint_path, trained_model
from blurnet_tf.runs.setting import load_setting
from blurnet_tf.runs.store import RECORDS
from blurnet_tf.runs.sweep import Sweep
from blurnet_tf.training.precision import resolve
from experiments import cli
from experiments.studies import STUDIES


def main(arguments: list[str] | None) -> None:
    """Train and attack what is missing, run by run, and write the table of those that were asked for."""
    options = _parse(arguments)
    roots = cli.data_roots(options.data_dir)
    training = sources.resolve_training("lisa", roots)
    setting = load_setting(sources.resolve("rp2", roots), printable=True)
    release = rp2_release.find(roots)
    dtype, reason = resolve(options.precision)
    loaded: dict[str, sources.TrainingData] = {}
    results: Path = options.results
    rows: list[dict[str, Any]] = []
    for name in STUDIES if "all" in options.run else dict.fromkeys(options.run):
        study = STUDIES[name]
        variant = study.recipe.variant
        if study.split not in loaded:
            loaded[study.split] = sources.load_training(training, split=study.split)
        data = loaded[study.split]
        path = options.checkpoints / "studies" / f"{variant.name}.keras"
        if variant.name in VARIANTS:  # a row of Table 2: that of `make whitebox`
            path = checkpoint_path(options.checkpoints, data.name, study.preset, variant.name)
        model, provenance = trained_model(study.recipe, data, path=path, precision=options.precision, release=release)
        sweep = Sweep(setting, dtype)
        sweep.add_model(variant, model)
        floor, cell = sweep.floor(variant.name), sweep.attack(variant.name, study.attack)
        sweep.run(results / "cells")

        def read(folder: str) -> list[Record]:
            return read_records(results / "cells" / folder / RECORDS)

        legitimate = {variant.name: Rate(provenance["test_correct"], provenance["test_images"])}
        (row,) = white_box_table(
            read(cell.folder), read(floor.folder), legitimate, class_names=setting.victims.class_names
        )
        row["alpha"] = variant.alpha or variant.alpha_tv
        rows.append({"run": name, "change": study.change, **row, **_roughness(model, data.test.images)})
        write_json(results / "provenance.json", {"precision": reason, "environment": environment()})
        markdown = study_markdown(rows, "What moves the numbers: LISA, RP2's photographs and mask, 17 targets")
        write_table(results, "runs", rows, markdown)
    print(f"\n{markdown}\nWritten to {results}/")


def _roughness(model: keras.Model, images: NDArray[np.float32]) -> dict[str, float]:
    """Return the total variation of the first layer's maps after the ReLU, as it is and relative to their size."""
    layer = "conv1_relu" if "conv1_relu" in map_layers(model) else "conv1"
    maps = layer_maps(model, images, [layer])[layer]
    variation = np.asarray(total_variation(maps), np.float64).mean()
    size = np.abs(maps).sum((1, 2), dtype=np.float64).mean()
    return {"total_variation": float(variation), "relative_total_variation": float(variation / size)}


def _parse(arguments: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    cli.add_precision_argument(parser)
    cli.add_data_dir_argument(parser)
    cli.add_checkpoints_argument(parser)
    parser.add_argument("--results", type=Path, default=Path("results/reproduction"), help="folder to write to")
    parser.add_argument("--run", nargs="+", choices=("all", *STUDIES), default=["all"], help="which runs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.run(main)
