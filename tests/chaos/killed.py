"""A white-box sweep in a process that is killed, and what must be whole after that. Part of `make chaos`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

from blurnet_tf.files import read_json
from blurnet_tf.runs.store import damage
from experiments import cli


class DamageError(ValueError):
    """A kill did harm."""


def sweep(folder: Path, extra: list[str], kill_after: float | None = None, *, worker: bool = False) -> str:
    """Run a sweep, which ends with its table, or kill it after some seconds, or one of its workers.

    Return what was killed: "sweep", "worker", after which the sweep went on to its end, or "" for nothing.
    """
    command = [
        *(sys.executable, "-m", "experiments.whitebox", "--preset", "smoke", "--data", "synthetic"),
        *("--checkpoints", str(folder / "checkpoints"), *extra, "--results", str(folder)),
    ]
    # A session of its own, so that the kill takes everything that it started.
    process = subprocess.Popen(
        command, cwd=cli.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    killed = ""
    try:
        _, said = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        if not (worker and _kill_worker(process.pid)):
            return "sweep"
        _, said = process.communicate()
        killed = "worker"
    finally:  # also when this program is stopped
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode:
        raise DamageError(f"The sweep in {folder} failed: {said.strip().splitlines()[-1:]}")
    return killed


def _kill_worker(pid: int) -> bool:
    """Kill one of the worker processes of a sweep, if it has some."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    children = [one for thread in threads for one in thread.read_text(encoding="ascii").split()]
    workers = [one for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
    for one in workers[:1]:
        os.kill(int(one), signal.SIGKILL)
    return bool(workers)


def check(folder: Path, before: dict[Path, int]) -> dict[Path, int]:
    """Check every visible file, and that no cell was lost or written again; return the cells and their age."""
    cells = {path: path.stat().st_mtime_ns for path in folder.glob("cells/[!.]*") if path.is_dir()}
    for path, age in before.items():
        if cells.get(path) != age:
            raise DamageError(f"{path} was lost or written again.")
    for path in cells:
        if found := damage(path):
            raise DamageError(f"{path} is damaged: {found}.")
    for path in folder.rglob("[!.]*.json"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            read_json(path)
    for path in folder.rglob("[!.]*.keras"):
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise DamageError(f"{path} is damaged.")
    return cells
