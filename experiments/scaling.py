"""How the time of the full grid falls with the number of workers: its schedule, simulated with measured times.

The grid: every variant with every procedure that `make controls` has measured, with three training seeds, the suite of
the first seed and its curve for each.
"""

from __future__ import annotations

from pathlib import Path

from blurnet_tf.commands.arguments import natural, positive
from blurnet_tf.models import TRAINED_VARIANTS
from blurnet_tf.runs.schedule import makespan, measured, typical
from experiments import cli


def main(argv: list[str] | None) -> None:
    """Print what was measured, and the table of the simulated times."""
    parser = cli.parser(__doc__)
    parser.add_argument("--workers", type=positive, nargs="+", default=[1, 2, 8, 32, 128, 512], help="how many")
    parser.add_argument("--seeds", type=positive, default=3, help="training seeds of each row")
    parser.add_argument("--start", type=natural, default=12, help="seconds until a worker computes")
    parser.add_argument("--driver", type=natural, default=2, help="seconds that the driver needs for a model")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="folder of the trained models")
    parser.add_argument("--results", type=Path, default=Path("results/controls"), help="folder of `make controls`")
    options = parser.parse_args(argv)
    found = typical(measured(options.results, options.checkpoints))
    if not found:
        raise ValueError(f"{options.results} must hold what `make controls` measured. Run it first.")
    for name, one in found.items():
        print(f"{name}: training {one.training:.0f} s, {len(one.cells)} cells of {sum(one.cells):.0f} s in all")
    models = [one for _ in range(options.seeds * len(TRAINED_VARIANTS)) for one in found.values()]
    whole, longest = sum(one.seconds for one in models), max(one.longest for one in models)
    print(f"{len(models)} models, {whole / 3600:.1f} hours of one worker; the longest takes {longest / 60:.1f} min\n")
    print("| workers | hours | times as fast | of the workers' time used |\n|---:|---:|---:|---:|")
    for workers in options.workers:
        seconds = makespan(models, workers, start=options.start, driver=options.driver)
        times = (whole + options.start) / seconds
        print(f"| {workers} | {seconds / 3600:.2f} | {times:.1f} | {100 * times / workers:.0f}% |")


if __name__ == "__main__":
    cli.run(main)
