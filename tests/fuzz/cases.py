"""One case: an entry point, its files with one of them damaged, and what came of it."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blurnet_tf.fetching import DownloadError
from tests.fuzz.damage import copy, harm
from tests.fuzz.entries import ENTRIES, Entry

SECONDS = 20
MEGABYTES = 1024
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u202a-\u202e]")


class Hang(BaseException):
    """Above the errors that a program handles."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a case; `fault` is empty if nothing is wrong."""

    entry: str
    how: str
    kind: str  # "refused" or "accepted"
    fault: str = ""


@functools.cache
def template(name: str) -> Path:
    """Return a folder with the good files of an entry point."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    with contextlib.redirect_stdout(io.StringIO()):
        ENTRIES[name].make(folder)
    return folder


def run(seed: int, number: int) -> Outcome:
    """Run one case. The same numbers give the same case."""
    chance = random.Random(f"{seed}/{number}")
    name = sorted(ENTRIES)[number % len(ENTRIES)]
    entry = ENTRIES[name]
    with tempfile.TemporaryDirectory(prefix="fuzzing-", ignore_cleanup_errors=True) as parent:
        folder = Path(parent) / "a" / "b" / "c"  # so that a path that leads out is seen
        folder.parent.mkdir(parents=True)
        copy(template(name), folder)
        how, strict = "", False
        if entry.harmed:
            pattern = chance.choice(entry.harmed)
            path = chance.choice(sorted(one for one in folder.glob(pattern) if one.is_file()))
            before = path.read_bytes()
            how = f"{path.relative_to(folder)}: {harm(path, chance)}"
            same = path.is_file() and path.stat().st_size < 1 << 28 and path.read_bytes() == before
            strict = path.name in entry.strict and not same
        outside = folder.parent.parent / "outside"  # what some words of `damage.WORDS` name
        outside.write_text("x")
        before_files = _files(Path(parent))
        memory = _memory()
        opened = _opened()
        opened.clear()
        kind, fault, said = _call(entry, folder, chance)
        if entry.harmed and (read := {str(outside), "/etc/passwd"} & {os.path.realpath(path) for path in opened}):
            fault = fault or f"opened {min(read)}"
        fault = fault or _left(Path(parent), folder, before_files)
        if not fault and _memory() - memory > MEGABYTES:
            fault = f"took {_memory() - memory} MB"
        if not fault and strict and kind == "accepted":
            fault = "took a changed file for a whole one"
        if not fault and not entry.own and CONTROL.search(said):
            fault = f"printed control characters: {said[:200]!r}"
    return Outcome(entry=name, how=how, kind=kind, fault=fault)


def _call(entry: Entry, folder: Path, chance: random.Random) -> tuple[str, str, str]:
    """Return "refused" or "accepted", what is wrong, and what was said."""
    said, errors = io.StringIO(), io.StringIO()
    kind, fault = "accepted", ""
    with _at_most(SECONDS), warnings.catch_warnings(), _underneath() as libraries:
        warnings.simplefilter("ignore")
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
                found = entry.call(folder, chance)
            if entry.command and found != 0:
                kind = "refused"
                if found not in (1, 2) or not errors.getvalue().strip():
                    fault = f"ended with {found} and said {errors.getvalue()[:200]!r}"
        except Hang:
            kind, fault = "refused", f"took more than {SECONDS} s"
        except (ValueError, OSError, DownloadError) as error:
            # What a programmer gives may come back as it is; what stood in a file of others may not.
            kind, fault = "refused", "" if entry.own else _sentence(error)
            if entry.command or entry.lenient:
                fault = f"raised {type(error).__name__}: {str(error)[:300]}"
        except TypeError as error:
            kind = "refused"
            if not re.search("Received|expected str, bytes or os.PathLike", str(error)):
                fault = f"raised TypeError: {_noted(error)}"
        except Exception as error:
            kind, fault = "refused", f"raised {type(error).__name__}: {_noted(error)}"
    if not fault and (printed := re.search(r".*(Traceback|\[ERROR).*", libraries[0])):
        fault = f"a library printed {printed[0][:200]!r}"
    return kind, fault, said.getvalue() + errors.getvalue()


@contextlib.contextmanager
def _underneath() -> Iterator[list[str]]:
    """Catch what libraries in C print to the error output of the process; it is in the list when the block ends."""
    found = [""]
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield found
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            found[0] = file.read().decode("utf-8", "replace")


def _noted(error: Exception) -> str:
    return " ".join([str(error)[:300], *getattr(error, "__notes__", ())])


def _sentence(error: Exception) -> str:
    """Say what is wrong with the words of an error."""
    text = str(error)
    if not text.strip():
        return f"raised {type(error).__name__} without a word {_noted(error)}"
    if len(text) > 2500 or text.count("\n") > 5:
        return f"raised {type(error).__name__} of {len(text)} letters: {_noted(error)}"
    return f"raised control characters: {_noted(error)!r}" if CONTROL.search(text) else ""


def _left(parent: Path, folder: Path, before: dict[Path, int]) -> str:
    """Say which file was left behind, or written outside of the folder."""
    new = [path for path in _files(parent) if path not in before]
    if outside := [path for path in new if folder not in path.parents]:
        return f"wrote outside: {outside[0]}"
    if hidden := [path for path in new if re.search(r"/\.[^/]*[0-9a-f]{32}", str(path))]:
        return f"left {hidden[0].relative_to(folder)}"
    if Path("pickled").exists():
        return "loaded a pickle"
    return ""


@functools.cache
def _opened() -> list[str]:
    """The paths that Python opens from now on; an audit hook cannot be taken away, so there is one."""
    found: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            found.append(arguments[0])

    sys.addaudithook(note)
    return found


def _files(folder: Path) -> dict[Path, int]:
    return dict.fromkeys(folder.rglob("*"), 0)


def _memory() -> int:
    """The most that this process has used so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def clean() -> None:
    """Remove the folders of the good files."""
    for name in ENTRIES:
        shutil.rmtree(template(name), ignore_errors=True)
    template.cache_clear()
