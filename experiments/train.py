"""Train variants of the LISA-CNN, plainly or by a procedure, or find the checkpoints that an earlier run left."""

from __future__ import annotations

from blurnet_tf.data.registry import choose_training
from blurnet_tf.models import TRAINED_VARIANTS
from blurnet_tf.runs import train_variant
from blurnet_tf.runs.executors import each
from experiments import arguments, cli, variants


def main(argv: list[str] | None) -> None:
    """Train some variants, or all of Table 2."""
    parser = cli.parser(__doc__)
    arguments.add_data(parser)
    arguments.add_training(parser)
    variants.add_variant(parser)
    options = parser.parse_args(argv)
    data = arguments.load_data(choose_training, options)
    rows = variants.named(options, TRAINED_VARIANTS)
    each(lambda name: train_variant(name, data, **arguments.training(options)), rows)


if __name__ == "__main__":
    cli.run(main)
