"""Run the studies of what moves the numbers of Table 2, one after the other, and write the table of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blurnet_tf.data.registry import choose_training, load_dataset
from blurnet_tf.reporting import write_tables
from blurnet_tf.runs import StoredRun, load_setting, merged
from blurnet_tf.runs.executors import each, rounds
from blurnet_tf.runs.studies import STUDIES, run_study
from experiments import arguments, cli


def main(argv: list[str] | None) -> None:
    """Train and attack what is missing, run by run, and write the table of those that were asked for."""
    options = _parse(argv)
    roots = cli.data_roots(options.data_dir)
    setting = load_setting(load_dataset("rp2", roots=roots))
    runs: list[StoredRun] = []

    def run(name: str) -> StoredRun:
        study = STUDIES[name]
        data = choose_training("lisa", roots, split=study.split)
        return run_study(
            study, data, setting, folder=options.checkpoints, results=options.results, precision=options.precision
        )

    for some in rounds(list(STUDIES if "all" in options.run else dict.fromkeys(options.run))):
        runs += each(run, some)
        markdown = write_tables(merged(runs))
    print(markdown)


def _parse(argv: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    arguments.add_machine(parser)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of data, after BLURNET_DATA")
    parser.add_argument("--results", type=Path, default=Path("results/reproduction"), help="folder to write to")
    parser.add_argument("--run", nargs="+", choices=("all", *STUDIES), default=["all"], help="which runs")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main)
