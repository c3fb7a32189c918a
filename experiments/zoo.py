"""Fill a zoo: train rows, round their weights, measure these, and write weights and index into one folder.

With --ship the index, and the weights of the models that it names, are then copied into the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blurnet_tf.commands.arguments import natural
from blurnet_tf.data.registry import choose_training
from blurnet_tf.evaluation.suites import SUITES
from blurnet_tf.models import TRAINED_VARIANTS
from blurnet_tf.models.zoo import PACKAGED, SUFFIX
from blurnet_tf.reporting.zoo import add_model, copy_models
from blurnet_tf.runs.controls import AREAS
from blurnet_tf.signs import CLASS_NAMES, STOP
from experiments import arguments, cli, variants


def main(argv: list[str] | None) -> None:
    """Put each row with each training seed into the zoo."""
    options = _parse(argv)
    data = arguments.load_data(choose_training, options)
    usual = CLASS_NAMES[STOP]
    for seed in dict.fromkeys(options.train_seeds):
        for row in variants.named(options, TRAINED_VARIANTS):
            entry = add_model(
                row,
                data,
                seed=seed,
                folder=options.zoo,
                checkpoints=options.checkpoints,
                results=options.results,
                preset=options.preset,
                precision=options.precision,
                suite=options.suite,
                areas=AREAS,
                sign=usual if usual in data.class_names else None,
            )
            share = f"{100 * entry.accuracy:.1f}% of {entry.test_images} held-out images"
            print(f"{options.zoo / entry.file}: {entry.title}, {share}, {entry.bytes / 1e6:.2f} MB", flush=True)
    if options.ship:
        copy_models(options.zoo, PACKAGED, [f"{name}{SUFFIX}" for name in options.ship])


def _parse(argv: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    arguments.add_data(parser)
    arguments.add_preset(parser)
    arguments.add_machine(parser)
    variants.add_variant(parser)
    parser.add_argument("--train-seeds", type=natural, nargs="+", default=[0], help="seeds of the trainings")
    parser.add_argument("--suite", choices=tuple(SUITES), default="standard", help="what is tried on each")
    parser.add_argument("--zoo", type=Path, default=Path("zoo"), help="folder of the zoo")
    parser.add_argument("--results", type=Path, default=Path("results/zoo"), help="folder of the cells")
    shipped = "models whose weights come with the package, by data set and row: lisa/baseline"
    parser.add_argument("--ship", nargs="+", metavar="MODEL", help=shipped)
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main)
