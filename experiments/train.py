"""Train a variant of the LISA-CNN, or take up the checkpoint that an earlier run left."""

from __future__ import annotations

from blurnet_tf.data import sources
from blurnet_tf.defenses import VARIANTS
from experiments import cli
from experiments.checkpoints import trained_model
from experiments.presets import PRESETS


def main(arguments: list[str] | None) -> None:
    """Train one variant."""
    parser = cli.parser(__doc__)
    cli.add_training_arguments(parser)
    cli.add_data_arguments(parser, sources.TRAINING_SOURCES)
    parser.add_argument("--split", choices=("track", "random"), default="track", help="of LISA; random leaks")
    parser.add_argument("--variant", choices=VARIANTS, default="baseline", help="which model")
    options = parser.parse_args(arguments)
    source = sources.resolve_training(options.data, cli.data_roots(options.data_dir))
    print(source.reason, flush=True)
    work = PRESETS[options.preset]
    data = sources.load_training(
        source, split=options.split, per_class=work.per_class, test_per_class=work.test_per_class
    )
    trained_model(options.variant, data, preset=options.preset, seed=options.train_seed, folder=options.checkpoints)


if __name__ == "__main__":
    cli.run(main)
