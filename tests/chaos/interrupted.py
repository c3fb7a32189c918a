"""Programs that are stopped by a signal at a random moment, or by a full disk. Part of `make chaos`."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from experiments import cli
from tests.chaos.killed import DamageError
from tests.chaos.programs import Program, prepare
from tests.chaos.small_disk import run_on_a_small_disk

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def interrupt(root: Path, white_box: Path, kills: int, seed: int) -> None:
    """Stop the programs so many times, by all signals in turn; what they write is that of undisturbed runs."""
    programs = prepare(root, white_box)
    moments = random.Random(seed)
    expected, seconds = {}, {}
    for name, program in programs.items():
        started = time.perf_counter()
        _run(program, root / f"{name}-undisturbed")
        # The first half is that of imports.
        expected[name], seconds[name] = program.sums(root / f"{name}-undisturbed"), time.perf_counter() - started
        if not expected[name]:
            raise DamageError(f"The {name} wrote nothing.")
    for number in range(kills):
        name = sorted(programs)[number % len(programs)]
        by, folder = SIGNALS[number // len(programs) % len(SIGNALS)], root / name
        before = _hidden(folder)
        found = _run(programs[name], folder, after=moments.uniform(0.5, 1) * seconds[name], by=by)
        if not programs[name].sums(folder).items() <= expected[name].items():
            raise DamageError(f"{folder} differs from {folder}-undisturbed.")
        if by != signal.SIGKILL and (left := _hidden(folder) - before):
            raise DamageError(f"The {name} left {min(left)} when it was stopped with {by.name}.")
        print(f"{name}: {by.name}, {found}: what is there is whole", flush=True)
    for name, program in programs.items():
        _run(program, root / name)
        if program.sums(root / name) != expected[name] or _hidden(root / name):
            raise DamageError(f"{root / name} differs from {root / name}-undisturbed.")
        print(f"{name}: ended, the same as undisturbed", flush=True)
        run_on_a_small_disk(name, program, root / f"{name}-small")


def _run(program: Program, folder: Path, after: float | None = None, by: int = signal.SIGKILL) -> str:
    """Run a program to its end, or for so many seconds; return what became of it."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        program.command(folder), cwd=cli.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        _, said = process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, by)
        _, said = process.communicate()
        return f"stopped with {process.returncode}"
    if process.returncode:
        raise DamageError(f"A program that writes into {folder} failed: {said.strip().splitlines()[-1:]}")
    return "ended before"


def _hidden(folder: Path) -> set[Path]:
    """Return what is hidden in a folder, but for locks: a program has it while it writes."""
    return {path for path in folder.rglob(".*") if path.suffix != ".lock" and path.name != ".locks"}
