"""Kill the white-box sweep again and again, at random moments, and see that nothing is lost and the table is the same.

One sweep runs undisturbed. Then sweeps of the same settings, each from nothing, are killed with SIGKILL at random
moments, trainings included, and started again until they end; this goes on until there were enough kills.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from blurnet_tf.commands.arguments import natural, positive
from blurnet_tf.files import read_json, sha256
from blurnet_tf.runs.store import PROVENANCE
from experiments import cli

MARKER = ".made-by-chaos"
TABLES = ("table2.csv", "table2.json", "table2.md", "figure4.png", "figure4.svg")


class ChaosError(ValueError):
    """A kill did harm."""


def main(arguments: list[str] | None) -> None:
    """Run the reference and the killed sweeps."""
    parser = cli.parser(__doc__)
    parser.add_argument("--kills", type=positive, default=20, help="how many in all")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the moments")
    parser.add_argument("--results", type=Path, default=Path("results/chaos"), help="folder to work in; emptied")
    parser.add_argument("--sweep", default="", help="further arguments of the sweep, in one string")
    options = parser.parse_args(arguments)
    root: Path = options.results.resolve()  # the sweeps run in another folder
    if root.exists() and not (root / MARKER).exists() and any(root.iterdir()):
        raise ChaosError(f"{root} was not made by this program and stays as it is. Name another folder with --results.")
    if root.exists():
        shutil.rmtree(root)
    root.mkdir(parents=True)
    (root / MARKER).touch()
    extra = options.sweep.split()
    started = time.perf_counter()
    _sweep(root / "reference", extra)
    seconds = time.perf_counter() - started
    print(f"undisturbed: {seconds:.0f} s", flush=True)
    moments = random.Random(options.seed)
    kills = sweeps = 0
    while kills < options.kills:
        sweeps += 1
        folder = root / f"sweep-{sweeps}"
        killed = 0
        cells: dict[Path, int] = {}
        while True:
            started = time.perf_counter()
            moment = moments.uniform(0, seconds) if kills < options.kills else None
            if not _sweep(folder, extra, kill_after=moment):
                break
            kills, killed = kills + 1, killed + 1
            cells = _check(folder, cells)
            print(f"kill {kills}: {len(cells)} cells and every file whole", flush=True)
        if killed == 0:  # the reference was slower than sweeps are now: most kills would come too late
            seconds = min(seconds, time.perf_counter() - started)
        _check(folder, cells)
        for name in TABLES:
            if sha256(folder / name) != sha256(root / "reference" / name):
                raise ChaosError(
                    f"{folder / name} differs from that of the undisturbed sweep, {root / 'reference' / name}."
                )
        print(f"sweep {sweeps}, killed {killed} times: the tables are the same, byte for byte", flush=True)
        shutil.rmtree(folder)
    print(f"{kills} kills in {sweeps} sweeps: no cell lost, no file damaged, every table identical", flush=True)


def _sweep(folder: Path, extra: list[str], kill_after: float | None = None) -> bool:
    """Run a sweep, which ends with its table, or kill it after some seconds; return whether it was killed."""
    command = [
        *(sys.executable, "-m", "experiments.whitebox", "--preset", "smoke", "--data", "synthetic"),
        *("--checkpoints", str(folder / "checkpoints"), *extra, "--results", str(folder)),
    ]
    # A session of its own, so that the kill takes everything that it started.
    process = subprocess.Popen(
        command, cwd=cli.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _, said = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        return True
    finally:  # also when this program is stopped
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode:
        raise ChaosError(f"The sweep in {folder} failed: {said.strip().splitlines()[-1:]}")
    return False


def _check(folder: Path, before: dict[Path, int]) -> dict[Path, int]:
    """Check every visible file, and that no cell was lost or written again; return the cells and their age."""
    cells = {path: path.stat().st_mtime_ns for path in folder.glob("cells/[!.]*") if path.is_dir()}
    for path, age in before.items():
        if cells.get(path) != age:
            raise ChaosError(f"{path} was lost or written again.")
    for path in cells:
        for name, digest in read_json(path / PROVENANCE)["files"].items():
            if sha256(path / name) != digest:
                raise ChaosError(f"{path / name} is damaged.")
    for path in folder.rglob("[!.]*.json"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            read_json(path)
    for path in folder.rglob("[!.]*.keras"):
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise ChaosError(f"{path} is damaged.")
    return cells


if __name__ == "__main__":
    cli.run(main)
