"""Write variants as SavedModels that any TensorFlow program can load, with `.keras` and other formats beside them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras

from blurnet_tf.data import rp2_release, sources
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.export import FORMATS, check_formats, export_model, model_card
from blurnet_tf.models import TRAINED_VARIANTS, TRANSFER_VARIANTS, VARIANTS, feature_layer, layer_weights, lisa_cnn
from blurnet_tf.runs.checkpoints import trained_variant
from blurnet_tf.runs.kept import held_out_accuracy
from experiments import cli
from experiments.table_rows import table_row


def main(arguments: list[str] | None) -> None:
    """Train what is not trained, and export it."""
    options = _parse(arguments)
    data = cli.training_data(options)
    release = rp2_release.find(cli.data_roots(options.data_dir))
    everything = [*dict.fromkeys([*TRAINED_VARIANTS, *TRANSFER_VARIANTS]), *["rp2_release"] * (release is not None)]
    checkpoints: dict[str, tuple[keras.Model, dict[str, Any]]] = {}
    for name in everything if "all" in options.variant else dict.fromkeys(options.variant):
        # The filters of Table 1 are put into the baseline, whose weights they leave as they are.
        trained = "baseline" if name in TRANSFER_VARIANTS else name
        if trained not in checkpoints:
            checkpoints[trained] = trained_variant(trained, data, options, release)[1:]
        model, training = checkpoints[trained]
        if name != trained:
            model = lisa_cnn(name, weights=layer_weights(model), dtype="float32")
        accuracy = held_out_accuracy(model, data.test)
        attacked, row = table_row(name, training["weights_sha256"], options.results)
        folder = export_model(
            model,
            options.exports / name,
            layer=feature_layer(model),
            class_names=data.test.class_names,
            card=model_card(name, VARIANTS[name], training, accuracy, data=data.label, attacked=attacked),
            provenance={
                "variant": dataclasses.asdict(VARIANTS[name]),
                "accuracy": {"data": data.label, "correct": accuracy.count, "n": accuracy.n},
                "table_row": row,
                "training": training,
                "environment": environment(),
            },
            formats=options.format,
        )
        written = ["saved_model.pb", *sorted(path.name for path in folder.glob(f"{name}.*"))]
        print(f"{folder}: {', '.join(written)}, assets/model_card.md", flush=True)


def _parse(arguments: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    cli.add_training_arguments(parser)
    cli.add_data_arguments(parser, sources.TRAINING_SOURCES)
    cli.add_recipe_arguments(parser)
    choices = ("all", *VARIANTS)
    parser.add_argument("--variant", choices=choices, nargs="+", default=["all"], help="which models")
    parser.add_argument("--format", choices=FORMATS, nargs="+", default=["savedmodel"], help="litert and onnx: as well")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="where the tables are, for the model card"
    )
    parser.add_argument("--exports", type=Path, default=Path("exports"), help="folder to write to")
    options = parser.parse_args(arguments)
    try:
        check_formats(options.format)
    except ImportError as error:
        parser.error(str(error))
    return options


if __name__ == "__main__":
    cli.run(main)
