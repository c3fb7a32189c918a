"""Table 3, the controls: what the defences of Table 2 are worth beside other trainings, with three training seeds."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from blurnet_tf.commands.arguments import natural
from blurnet_tf.data.registry import choose_training
from blurnet_tf.evaluation.suites import SUITES
from blurnet_tf.reporting import write_tables
from blurnet_tf.runs.controls import AREAS, CONTROLS, control, together
from blurnet_tf.runs.executors import each
from blurnet_tf.signs import CLASS_NAMES, STOP
from experiments import arguments, cli, variants


def main(argv: list[str] | None) -> None:
    """Train and attack what is missing, seed by seed, and write the table of what there is after each."""
    options = _parse(argv)
    data = arguments.load_data(choose_training, options)
    usual = CLASS_NAMES[STOP]
    sign = options.only or (usual if usual in data.class_names else None)
    runs: list[Any] = []
    printed = ""
    for place, seed in enumerate(dict.fromkeys(options.train_seeds)):
        whole = place == 0 or options.alike
        of_seed = functools.partial(
            control,
            seed=seed,
            data=data,
            results=options.results,
            folder=options.checkpoints,
            suite=options.suite if whole else "quick",
            areas=AREAS if whole else (),
            sign=sign,
            preset=options.preset,
            precision=options.precision,
        )
        runs += each(of_seed, variants.named(options, CONTROLS))
        victims, signs = together(runs)
        if signs is not None:
            write_tables(signs)
        printed = write_tables(victims)
    print(printed)


def _parse(argv: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    arguments.add_data(parser)
    arguments.add_preset(parser)
    arguments.add_machine(parser)
    variants.add_variant(parser, "all controls")
    parser.add_argument("--train-seeds", type=natural, nargs="+", default=[0, 1, 2], help="seeds of the trainings")
    parser.add_argument("--suite", choices=tuple(SUITES), default="standard", help="of the first seed; else quick")
    parser.add_argument("--alike", action="store_true", help="attack the models of all seeds as those of the first")
    parser.add_argument(
        "--only", help="class of the held-out signs that are attacked, too (default: stop, if it is one)"
    )
    parser.add_argument("--results", type=Path, default=Path("results/controls"), help="folder to write to")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main)
