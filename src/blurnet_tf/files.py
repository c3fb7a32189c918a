"""Files written whole or not at all, and their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    r"""Give a temporary path beside `path` to write to; rename it to `path` when the block ends without an error.

    Its suffix is that of `path`, because Keras and matplotlib choose the format by it. Missing folders are made. After
    an error nothing is left behind and an older `path` is untouched.

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
    with _temporary_folder(path) as temporary:
        yield temporary
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise


@contextlib.contextmanager
def replaced_folder(path: str | os.PathLike[str], *, marker: str) -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; let it replace `path` when the block ends without an error.

    An older folder is moved away for the moment of the change, and removed after it. Missing parents are made. After an
    error nothing is left behind, and an older folder is as it was.

    Args:
        path: The folder. Of a link to one, what it names is replaced.
        marker: A file that every such folder has, relative to it. An older folder without it is not removed.

    Raises:
        FileExistsError: There is a folder with something in it, but without the marker, or a file.

    Example:
        >>> with replaced_folder("exports/one", marker="card.md") as temporary:
        ...     _ = (temporary / "card.md").write_text("")
    """
    path = Path(path).resolve() if Path(path).is_symlink() else Path(path)
    if path.exists() and not (path / marker).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"{path} was not written here: it has no {marker}. Move it away, or name another folder.")
    with _temporary_folder(path) as temporary:
        yield temporary
        older = temporary.with_name(f"{temporary.name}.older")
        try:
            if path.exists():
                path.rename(older)
            temporary.rename(path)
        except BaseException:
            if older.exists() and not path.exists():
                older.rename(path)
            raise
        finally:
            if older.exists() and path.exists():
                shutil.rmtree(older)


@contextlib.contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """Make a new folder beside `path`; remove it in the end, if it is still there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        yield temporary
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 sum of a file, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON that people can read, atomically. Keys keep their order; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; ValueError if it is damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a JSON file: {error}. Delete it and run the experiment again.") from error
