"""One page that holds all results, drawn from what the other experiments stored: nothing is trained or attacked."""

from __future__ import annotations

from pathlib import Path

from blurnet_tf.reporting import write_report
from experiments import cli


def main(arguments: list[str] | None) -> None:
    """Write the page, and say what it lacks."""
    parser = cli.parser(__doc__)
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="folder of the trained models")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the results, written to as well"
    )
    options = parser.parse_args(arguments)
    for sentence in write_report(options.results, options.checkpoints):
        print(sentence)
    print(f"Written to {options.results / 'report.html'}")


if __name__ == "__main__":
    cli.run(main)
