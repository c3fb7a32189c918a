"""Locks between processes. The system lets go of one when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, *, waiting: str | None) -> Iterator[bool]:
    """Hold the lock `path` while the block runs; give whether it is held.

    Args:
        path: A file that stands for what is locked; it is made, and stays.
        waiting: Printed if another process holds the lock, before waiting for it. `None` does not wait: the block
            runs without the lock, and is given False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        held = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                held = False
            else:
                print(waiting, flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield held
