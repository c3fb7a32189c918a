"""Section 3.1, measured: a box blur after each convolution of the baseline, under the attack of `make blackbox`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blurnet_tf.data.registry import choose_training
from blurnet_tf.evaluation.scoring import held_out_accuracy
from blurnet_tf.models import Variant
from blurnet_tf.reporting import write_tables
from blurnet_tf.runs import Subject, transfer
from blurnet_tf.training.recipes import PRESETS
from experiments import blackbox, cli

LAYERS, SIZES = (1, 2, 3), (3, 5, 7)


def main(argv: list[str] | None) -> None:
    """Attack the baseline, score it with each blur, on the attacked signs and on the test split."""
    options = _parse(argv)
    test_data, source, setting, attack, target = blackbox.load(options)
    if test_data.release is not None:  # the released weights were trained on LISA: they are tested on it if it is there
        drawn = {"per_class": 1, "test_per_class": PRESETS[options.preset].test_per_class}
        test_data = choose_training("auto", cli.data_roots(options.data_dir), split=options.split, **drawn)
    test = test_data.test()

    places = [(0, 0), *((layer, size) for layer in LAYERS for size in SIZES)]
    victims = []
    for layer, size in places:
        name = f"blur_{size}x{size}_after_{layer}" if size else "baseline"
        blurred = {"feature_blur": size, "feature_blur_after": layer} if size else {}
        variant = Variant.from_settings({"name": name, **blurred}, title=name)
        accuracy = held_out_accuracy(source.with_variant(variant), test)
        row = source.row(
            variant, test_correct=accuracy.count, test_images=accuracy.n, extra={"layer": layer, "size": size}
        )
        victims.append(Subject(spec=source.spec(variant), row=row))
    run = transfer(
        source,
        victims,
        setting,
        attack=attack,
        target=target,
        results=options.results,
        kind="ablation",
        training_data=test_data.facts(),
        preset=options.preset,
        init=options.init,
    )
    print(write_tables(run))


def _parse(argv: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    blackbox.add_arguments(parser)
    parser.add_argument("--results", type=Path, default=Path("results/ablation"), help="folder to write to")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main)
