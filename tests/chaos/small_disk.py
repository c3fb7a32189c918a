"""A program on a disk that is too small for what it writes. Part of `make chaos`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from experiments import cli
from tests.chaos.killed import DamageError
from tests.chaos.programs import Program

MOUNT = 'mount -t tmpfs -o size="$1" small "$2" && shift 2 && "$@"'


def run_on_a_small_disk(name: str, program: Program, folder: Path) -> None:
    """Run a program where there is no space for what it writes: it must say so in one sentence."""
    folder.mkdir()
    disk = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "-", str(program.least), str(folder)]
    if subprocess.run([*disk, "true"], capture_output=True, check=False).returncode:
        print(f"{name}: no small disk, because `unshare` may not mount one here", flush=True)
        return
    done = subprocess.run([*disk, *program.command(folder)], cwd=cli.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 1 or "Traceback" in done.stderr or "space" not in done.stderr.lower():
        raise DamageError(f"The {name} on a full disk ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    print(f"{name}: a full disk, {done.stderr.strip().splitlines()[-1]}", flush=True)
