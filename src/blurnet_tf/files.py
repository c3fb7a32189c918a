"""Files written whole or not at all, and their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    r"""Give a temporary path beside `path` to write to; rename it to `path` when the block ends without an error.

    The temporary name keeps the suffix of `path`, because Keras and matplotlib choose the format by it. Missing
    folders are made. After an error nothing is left behind and an older `path` is untouched.

    Example:
        >>> with atomic_path("results/table.csv") as temporary:
        ...     _ = temporary.write_text("row,accuracy\n")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; rename it to `path` when the block ends without an error.

    A `path` that is there by then stays as it is, and the new folder is dropped: for folders whose name says what is
    in them, so that two writers write the same. Missing parents are made. After an error nothing is left behind.

    Example:
        >>> with atomic_folder("results/cells/one") as temporary:
        ...     _ = (temporary / "records.csv").write_text("")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        yield temporary
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 sum of a file, as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()
