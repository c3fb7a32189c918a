"""Write variants as SavedModels that any TensorFlow program can load, with `.keras` and other formats beside them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from blurnet_tf.data import rp2_release
from blurnet_tf.data.registry import choose_training
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.scoring import held_out_accuracy
from blurnet_tf.export import FORMATS, check_formats, export_model, model_card
from blurnet_tf.models import TRAINED_VARIANTS, TRANSFER_VARIANTS, feature_layer
from blurnet_tf.reporting import attack_paragraph
from blurnet_tf.runs.checkpoints import train_variant
from blurnet_tf.training.recipes import find_row, row_title
from experiments import arguments, cli, variants


def main(argv: list[str] | None) -> None:
    """Train what is not trained, and export it."""
    options = _parse(argv)
    data = arguments.load_data(choose_training, options)
    test = data.test()
    released = rp2_release.find(cli.data_roots(options.data_dir)) is not None
    for name in variants.named(options, (*TRAINED_VARIANTS, *TRANSFER_VARIANTS, *["rp2_release"] * released)):
        # The filters of Table 1 are put into the baseline, whose weights they leave as they are.
        trained = "baseline" if name in TRANSFER_VARIANTS else name
        checkpoint = train_variant(trained, data, **arguments.training(options))
        variant, procedure = find_row(name)
        model = checkpoint.model if variant == checkpoint.variant else checkpoint.with_variant(variant)
        training = checkpoint.provenance
        accuracy = held_out_accuracy(model, test)
        attacked, row = attack_paragraph(name, training["weights_sha256"], options.results)
        folder = export_model(
            model,
            options.exports / name,
            layer=feature_layer(model),
            class_names=data.class_names,
            card=model_card(
                name,
                dataclasses.replace(variant, title=row_title(variant, procedure)),
                training,
                accuracy,
                data=data.facts(),
                class_names=data.class_names,
                attacked=attacked,
            ),
            provenance={
                "variant": variant.settings(),
                "accuracy": {"data": data.title, "correct": accuracy.count, "n": accuracy.n},
                "table_row": row,
                "training": training,
                "environment": environment(),
            },
            formats=options.format,
        )
        written = ["saved_model.pb", *sorted(path.name for path in folder.glob(f"{name}.*"))]
        print(f"{folder}: {', '.join(written)}, assets/model_card.md", flush=True)


def _parse(argv: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    arguments.add_data(parser)
    arguments.add_training(parser)
    variants.add_variant(parser, "all of Tables 1 and 2")
    parser.add_argument("--format", choices=FORMATS, nargs="+", default=["savedmodel"], help="litert and onnx: as well")
    parser.add_argument("--results", type=Path, default=Path("results"), help="of the tables, for the model card")
    parser.add_argument("--exports", type=Path, default=Path("exports"), help="folder to write to")
    options = parser.parse_args(argv)
    try:
        check_formats(options.format)
    except ImportError as error:
        parser.error(str(error))
    return options


if __name__ == "__main__":
    cli.run(main)
