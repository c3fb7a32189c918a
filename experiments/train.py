"""Train variants of the LISA-CNN, or find the checkpoints that an earlier run left."""

from __future__ import annotations

from blurnet_tf.data.registry import choose_training
from blurnet_tf.models import TRAINED_VARIANTS, VARIANTS
from blurnet_tf.runs import train_variant
from experiments import arguments, cli


def main(argv: list[str] | None) -> None:
    """Train some variants, or all of Table 2."""
    parser = cli.parser(__doc__)
    arguments.add_data(parser)
    arguments.add_training(parser)
    choices = ("all", *VARIANTS)
    parser.add_argument("--variant", choices=choices, nargs="+", default=["all"], help="which models; all: of Table 2")
    options = parser.parse_args(argv)
    data = arguments.load_data(choose_training, options)
    for name in TRAINED_VARIANTS if "all" in options.variant else dict.fromkeys(options.variant):
        train_variant(name, data, **arguments.training(options))


if __name__ == "__main__":
    cli.run(main)
