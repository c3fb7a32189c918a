"""The benchmark: the attack against plain loops and PyTorch, what the machine can do, the cost of TV."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from blurnet_tf.commands.arguments import positive
from blurnet_tf.evaluation import bench
from blurnet_tf.evaluation.growth import growth
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.files import write_json, write_text
from blurnet_tf.reporting.bench import figures, growth_table, machine, markdown
from blurnet_tf.training.precision import gpu_names, resolve
from experiments import cli


def main(argv: list[str] | None) -> None:
    """Time all jobs in turn, write the figures and the tables, print the tables."""
    parser = cli.parser(__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="how often each job is timed")
    parser.add_argument("--steps", type=positive, default=5, help="steps of a job in a round")
    parser.add_argument("--growth", action="store_true", help="instead: how time and memory grow with what is attacked")
    parser.add_argument("--results", type=Path, default=Path("results/bench"), help="folder to write to")
    options = parser.parse_args(argv)
    if options.growth:
        _write_growth(options.results)
        return
    if bench.torch_peers() is None:
        print("PyTorch is not installed, so it is not compared with: pip install 'blurnet-tf[bench]'", flush=True)
    jobs = bench.jobs(options.steps)
    seconds = bench.measure(jobs, options.rounds)
    described = [{key: value for key, value in asdict(job).items() if key not in ("steps", "run")} for job in jobs]
    result = {
        "settings": bench.settings(options.steps, options.rounds),
        "machine": machine(gpu_names()),
        "environment": environment(),
        "jobs": figures(described, seconds, slower=["training"]),
    }
    results: Path = options.results
    text = markdown(result)
    write_text(results / "bench.md", text)
    write_json(results / "bench.json", result)
    print(f"\n{text}\nWritten to {results}/")


def _write_growth(results: Path) -> None:
    precision, reason = resolve("auto")
    print(reason, flush=True)
    found = []
    for one in growth(precision):
        found.append(one)
        print(f"{one.load}: {1000 * one.seconds:.0f} ms a step, {one.megabytes} MB", flush=True)
    text = growth_table(found, precision)
    write_text(results / "growth.md", text)
    write_json(results / "growth.json", {"environment": environment(), "rows": [asdict(one) for one in found]})
    print(f"\n{text}\nWritten to {results}/")


if __name__ == "__main__":
    cli.run(main)
