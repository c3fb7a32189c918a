"""The transfer experiment, section 3: attack the undefended model, show the signs to its filtered versions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from blurnet_tf.attacks import RP2
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.registry import choose_victims
from blurnet_tf.models import TRANSFER_VARIANTS, VARIANTS
from blurnet_tf.reporting import write_tables
from blurnet_tf.runs import USUAL_TARGET, Setting, choose_target, load_setting, subject, transfer
from blurnet_tf.runs.checkpoints import Checkpoint, attacked_baseline
from experiments import arguments, cli, own_model


def main(argv: list[str] | None) -> None:
    """Train the baseline if there is no release, attack it, score its filtered versions, write and print Table 1."""
    options = _parse(argv)
    if options.model is not None:
        print(write_tables(own_model.attack_transfer(options)))
        return
    _, source, setting, attack, target = load(options)
    victims = [subject(source, variant=VARIANTS[name], images=setting.images) for name in TRANSFER_VARIANTS]
    names = setting.images.class_names
    run = transfer(
        source,
        victims,
        setting,
        attack=attack,
        target=target,
        results=options.results,
        preset=options.preset,
        init=options.init,
        papers_protocol=setting.authentic
        and "checkpoint" in source.provenance
        and target == names.index(USUAL_TARGET)
        and dataclasses.replace(attack, seed=0) == RP2(),
    )
    print(write_tables(run))


def load(options: Any) -> tuple[Dataset, Checkpoint, Setting, RP2, int | None]:
    """Return data, the attacked model, where it is attacked, the attack and the target; `None` is the worst target."""
    data = arguments.load_data(choose_victims, options)
    setting = load_setting(data, mask=options.mask, palette=options.palette)
    attack = arguments.one_attack(options, setting)
    target = choose_target(options.target, setting.images)  # a mistake is told before the training
    source = attacked_baseline(data, **arguments.training(options))
    return data, source, setting, attack, target


def _parse(argv: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    add_arguments(parser)
    own_model.add_arguments(parser)
    parser.add_argument("--results", type=Path, default=Path("results/blackbox"), help="folder to write to")
    return parser.parse_args(argv)


def add_arguments(parser: Any) -> None:
    """Add the arguments that `load` needs."""
    arguments.add_data(parser)
    arguments.add_training(parser)
    arguments.add_attack(parser)
    parser.add_argument("--target", default="auto", help="wanted class, a name or an index; worst; auto: speedLimit45")
    parser.set_defaults(penalties=[RP2.penalty])


if __name__ == "__main__":
    cli.run(main)
