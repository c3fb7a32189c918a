"""Locks between processes. The system lets go of one when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, *, waiting: str | None) -> Iterator[bool]:
    """Hold the lock `path` while the block runs; give whether it is held.

    Args:
        path: A file that stands for what is locked; it is made, and stays.
        waiting: Printed if another process holds the lock, before waiting for it. `None` does not wait: the block
            runs without the lock, and is given False.

    Raises:
        FileExistsError: Something else than a file is there, such as a link, which would lead elsewhere, or a pipe.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _open(path)
    try:
        held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                held = False
            else:
                print(waiting, flush=True)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield held
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise FileExistsError(f"{path} must be a file, which serves as a lock. Delete what is there.")
    # What becomes a link or a pipe between the two is not followed or waited for either.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
