"""Kill the white-box sweep again and again, at random moments, and see that nothing is lost and the table is the same.

One sweep runs undisturbed. Then sweeps of the same settings, each from nothing, are killed with SIGKILL at random
moments, trainings included, and started again until they end; this goes on until there were enough kills. With
ENGINE=processes:N every second one, drawn by lot, hits a worker, and the sweep must end all the same. Then an attack,
an export, the report and the preparation of LISA are stopped as often, by SIGKILL, SIGTERM, SIGHUP and SIGINT, and run
on a disk that is too small.
"""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from blurnet_tf.commands.arguments import natural, positive
from blurnet_tf.files import sha256
from experiments import cli
from tests.chaos.interrupted import interrupt
from tests.chaos.killed import DamageError, check, sweep

MARKER = ".made-by-chaos"
TABLES = ("table2.csv", "table2.json", "table2.md", "figure4.png", "figure4.svg")


def main(argv: list[str] | None) -> None:
    """Run the reference and the killed sweeps."""
    parser = cli.parser(__doc__)
    parser.add_argument("--kills", type=positive, default=20, help="how many in all")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the moments")
    parser.add_argument("--results", type=Path, default=Path("results/chaos"), help="folder to work in; emptied")
    parser.add_argument("--sweep", default="", help="further arguments of the sweep, in one string")
    options = parser.parse_args(argv)
    root: Path = options.results.resolve()  # the sweeps run in another folder
    if root.exists() and not (root / MARKER).exists() and any(root.iterdir()):
        raise ValueError(f"{root} was not made by this program and stays as it is. Name another folder with --results.")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    (root / MARKER).touch()
    extra = options.sweep.split()
    started = time.perf_counter()
    sweep(root / "reference", extra)
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
            found = sweep(folder, extra, kill_after=moment, worker=moments.random() < 0.5)
            if found:
                kills, killed = kills + 1, killed + 1
                cells = check(folder, cells)
                print(f"kill {kills}, of a {found}: {len(cells)} cells and every file whole", flush=True)
            if found != "sweep":
                break
        if killed == 0:  # the reference was slower than sweeps are now: most kills would come too late
            seconds = min(seconds, time.perf_counter() - started)
        check(folder, cells)
        for name in TABLES:
            if sha256(folder / name) != sha256(root / "reference" / name):
                raise DamageError(f"{folder / name} differs from that of the undisturbed sweep, in {root}/reference.")
        print(f"sweep {sweeps}, killed {killed} times: the tables are the same, byte for byte", flush=True)
        shutil.rmtree(folder)
    print(f"{kills} kills in {sweeps} sweeps: no cell lost, no file damaged, every table identical", flush=True)
    interrupt(root, root / "reference", options.kills, options.seed)
    print(f"{options.kills} programs stopped: nothing damaged, nothing left behind", flush=True)


if __name__ == "__main__":
    cli.run(main)
