"""Files written whole or not at all, and their checksums."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    r"""Give a temporary path beside `path` to write to; rename it to `path` when the block ends without an error.

    Its suffix is that of `path`, because Keras and matplotlib choose the format by it. Missing folders are made. After
    an error nothing is left behind and an older `path` is untouched. What a process left that was killed while it
    wrote `path` is removed by the first process that writes it a day later or more.

    Example:
        >>> with atomic_path("results/table.csv") as temporary:
        ...     _ = temporary.write_text("row,accuracy\n")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    for left in _abandoned(path.parent.absolute()):
        if _is_left(left, path.stem, re.escape(path.suffix)):
            with contextlib.suppress(OSError):  # it is gone by now, or somebody else's
                (path.parent / left).unlink()
    try:
        with _saying_what_is_full(path):
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
def replaced_folder(path: str | os.PathLike[str], *, marker: str, kept: str = "") -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; let it replace `path` when the block ends without an error.

    An older folder is moved away for the moment of the change, and removed after it. Missing parents are made. After an
    error nothing is left behind, and an older folder is as it was. What a process left that was killed meanwhile is
    removed, or put back where it stood between the two.

    Args:
        path: The folder. Of a link to one, what it names is replaced.
        marker: A file that every such folder has, relative to it. An older folder without it is not removed.
        kept: If an older folder may not be replaced, what to do then: the last sentence of the error.

    Raises:
        FileExistsError: There is a folder that may not be replaced, one with something in it, but without the marker,
            or a file; or another process is writing such a folder.

    Example:
        >>> with replaced_folder("exports/one", marker="card.md") as temporary:
        ...     _ = (temporary / "card.md").write_text("")
    """
    path = Path(path).resolve() if Path(path).is_symlink() else Path(path)
    with _temporary_folder(path) as temporary:
        _tidy(path, temporary)
        if kept and (path / marker).is_file():
            raise FileExistsError(f"{path} is there already. {kept}")
        if path.exists() and not (path / marker).is_file() and not (path.is_dir() and not any(path.iterdir())):
            raise FileExistsError(
                f"{path} was not written here: it has no {marker}. Move it away, or name another folder."
            )
        yield temporary
        older = temporary.with_name(f"{temporary.name}{_OLDER}")
        with contextlib.ExitStack() as held:
            try:
                if path.exists():
                    held.enter_context(_held(path))
                    path.rename(older)
                temporary.rename(path)
            except BaseException:
                if older.exists() and not path.exists():
                    older.rename(path)
                raise
            finally:
                if older.exists() and path.exists():
                    shutil.rmtree(older)


_OLDER = ".older"
_ABANDONED = 24 * 60 * 60  # seconds without a byte: no writer of a single file waits so long
_WRITTEN = "{} is being written by another process. Wait, or name another folder."


@functools.cache  # a folder may get thousands of files
def _abandoned(folder: Path) -> tuple[str, ...]:
    """Return the hidden files in a folder that nobody has written to for a day."""
    found = []
    with contextlib.suppress(OSError):  # it may be written to, but not listed
        for left in os.scandir(folder):
            if left.name.startswith(".") and left.is_file() and time.time() - left.stat().st_mtime > _ABANDONED:
                found.append(left.name)
    return tuple(found)


def _is_left(found: str, name: str, end: str) -> bool:
    """Return whether it has the name of a temporary file or folder here: `end` is the pattern behind its digits."""
    return re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]{{32}}{end}", found) is not None


def _tidy(path: Path, own: Path) -> None:
    """Remove or put back what a killed process left of `path`; raise FileExistsError if another is writing it now."""
    for left in path.parent.iterdir():
        if left == own or not (_is_left(left.name, path.name, f"({re.escape(_OLDER)})?") and left.is_dir()):
            continue
        replaced = left.name.endswith(_OLDER)
        with _held(left) as free:
            if free is False and not replaced:
                raise FileExistsError(_WRITTEN.format(path))
            if free and replaced and not path.exists():
                left.rename(path)
            elif free:
                shutil.rmtree(left)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool | None]:
    """Hold the lock of a folder; give whether it is held, `None` where the file system has no locks.

    The system lets go of a lock when its process ends, however it ends.
    """
    held: bool | None = True
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = False
        except OSError:
            held = None
        yield held
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """Make a new folder beside `path`, and hold its lock; remove it in the end, if it is still there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(_held(temporary))
            except FileNotFoundError as error:  # another process took it for one that nobody holds
                raise FileExistsError(_WRITTEN.format(path)) from error
            with _saying_what_is_full(path):
                yield temporary
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


@contextlib.contextmanager
def _saying_what_is_full(path: Path) -> Iterator[None]:
    """Raise the error of a full disk for whatever a library raises when it cannot write to one."""
    try:
        yield
    except Exception as error:
        if not (isinstance(error, OSError) and error.errno == errno.ENOSPC):
            if os.strerror(errno.ENOSPC) in str(error):  # as TensorFlow has it, which removes what it wrote
                raise _full(path.parent) from error
            with contextlib.suppress(FileNotFoundError):
                check_space(path.parent, _LEAST, error)
        raise


_LEAST = 1 << 20  # bytes: a disk with less is full


def check_space(folder: Path, needed: int, cause: Exception | None = None) -> None:
    """Raise OSError if a folder's disk has less than so many bytes: some writers crash on a full one."""
    if shutil.disk_usage(folder).free < needed:
        raise _full(folder) from cause


def _full(folder: Path) -> OSError:
    return OSError(errno.ENOSPC, "No space is left on the disk", str(folder))


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise FileNotFoundError unless `path` is a file or a link to one: a pipe or a device could be read for ever."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} {'must be a file' if os.path.lexists(path) else 'does not exist'}.")


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 sum of a file, 64 hexadecimal digits."""
    check_file(path)
    with Path(path).open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON that people can read, atomically. Keys keep their order; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; FileNotFoundError if it is none, ValueError if it is damaged."""
    check_file(path)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no JSON, no text, a number too long, or brackets without end
        raise ValueError(f"{path} is not a JSON file: {error}. Delete it and run the experiment again.") from error
