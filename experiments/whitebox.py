"""The white-box experiment, section 4.2: attack every model through its defence, for each target, lambda and seed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from blurnet_tf.attacks import RP2
from blurnet_tf.data.registry import choose_training
from blurnet_tf.reporting import write_tables
from blurnet_tf.runs import load_setting, white_box
from experiments import arguments, cli, own_model, variants


def main(argv: list[str] | None) -> None:
    """Train what is not trained, attack what is not attacked, write and print Table 2."""
    options = _parse(argv)
    if options.model is not None:
        print(write_tables(own_model.attack_white_box(options)))
        return
    data = arguments.load_data(choose_training, options)
    if data.attacked is not None:
        print(f"To attack: {data.attacked.reason}", flush=True)
    setting = load_setting(data, mask=options.mask, palette=options.palette)
    attacks = arguments.attacks(options, setting)
    models = variants.trained(options, data)
    papers_attack = all(dataclasses.replace(attack, penalty=RP2.penalty, seed=0) == RP2() for attack in attacks)
    papers_training = (data.key, options.preset, options.init) == ("lisa", "paper", "random")
    run = white_box(
        models,
        setting,
        attacks=attacks,
        results=options.results,
        training_data=data,
        precision=options.precision,
        preset=options.preset,
        init=options.init,
        papers_protocol=setting.authentic and papers_training and papers_attack,
    )
    print(write_tables(run))


def _parse(argv: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    arguments.add_data(parser)
    arguments.add_training(parser)
    arguments.add_attack(parser)
    own_model.add_arguments(parser)
    variants.add_variant(parser)
    parser.add_argument("--targets", nargs="+", help="with --model: wanted classes (default: all that are no label)")
    parser.add_argument("--results", type=Path, default=Path("results/whitebox"), help="folder to write to")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main)
