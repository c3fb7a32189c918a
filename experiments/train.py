"""Train variants of the LISA-CNN, or take up the checkpoints that an earlier run left."""

from __future__ import annotations

from blurnet_tf.data import rp2_release, sources
from blurnet_tf.models import TRAINED_VARIANTS, VARIANTS
from blurnet_tf.runs.checkpoints import trained_variant
from experiments import cli


def main(arguments: list[str] | None) -> None:
    """Train some variants, or all of Table 2."""
    parser = cli.parser(__doc__)
    cli.add_training_arguments(parser)
    cli.add_data_arguments(parser, sources.TRAINING_SOURCES)
    cli.add_recipe_arguments(parser)
    choices = ("all", *VARIANTS)
    parser.add_argument("--variant", choices=choices, nargs="+", default=["all"], help="which models; all: of Table 2")
    options = parser.parse_args(arguments)
    data = cli.training_data(options)
    release = rp2_release.find(cli.data_roots(options.data_dir))
    for name in TRAINED_VARIANTS if "all" in options.variant else dict.fromkeys(options.variant):
        trained_variant(name, data, options, release)


if __name__ == "__main__":
    cli.run(main)
