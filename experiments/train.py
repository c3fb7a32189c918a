"""Train a variant of the LISA-CNN on rendered signs, or take up the checkpoint that an earlier run left."""

from __future__ import annotations

from blurnet_tf.defenses import VARIANTS
from experiments import cli
from experiments.checkpoints import trained_model


def main(arguments: list[str] | None) -> None:
    """Train one variant."""
    parser = cli.parser(__doc__)
    cli.add_training_arguments(parser)
    parser.add_argument("--variant", choices=VARIANTS, default="baseline", help="which model")
    options = parser.parse_args(arguments)
    trained_model(options.variant, preset=options.preset, seed=options.train_seed, folder=options.checkpoints)


if __name__ == "__main__":
    cli.run(main)
