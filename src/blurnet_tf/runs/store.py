"""The store of cells: each is computed once, written whole or not at all, and shared by runs that need the same."""

from __future__ import annotations

import contextlib
import functools
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import Record, read_records, write_records
from blurnet_tf.files import atomic_folder, read_json, sha256, write_json
from blurnet_tf.reading import read_arrays
from blurnet_tf.runs.cells import CellSpec, Content, compute
from blurnet_tf.runs.executors import MOST_AT_ONCE, Engine, answer, current
from blurnet_tf.runs.locks import locked
from blurnet_tf.runs.parcels import compute_packed, pack

RECORDS = "records.csv"
ARRAYS = "arrays.npz"
PROVENANCE = "provenance.json"
ABSENT = "absent"


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredCell:
    """What is in a cell."""

    path: Path
    inputs: dict[str, Any]  # `CellSpec.inputs()`
    records: list[Record]  # one for each victim, target and image
    environment: dict[str, Any]  # in which it was computed

    @functools.cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays, such as `perturbation` and `success`. Read when they are asked for: they may be large."""
        return read_arrays(self.path / ARRAYS)

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return self.path.name


def fill(root: Path, specs: Sequence[CellSpec], compute: Callable[[CellSpec], Content] = compute) -> None:
    """Compute the cells that the folder `root` lacks, here or by the workers of the current `engine`.

    Another process may fill the same folder: a cell that it is computing is left to it, and waited for at the end.
    """
    pending = [spec for spec in specs if damage(root / spec.folder)]
    if len(pending) < len(specs):
        print(f"{root}: {len(specs) - len(pending)} of {len(specs)} cells are there already", flush=True)
    engine = current() if pending else None
    if engine is not None:
        elsewhere = [spec for spec in pending if not any(model.held for model in (*spec.victims, spec.source) if model)]
        done = _fill_elsewhere(root, elsewhere, specs, engine)
        pending = [spec for spec in pending if spec not in done]
    for patient in (False, True):
        for spec in list(pending):
            with _claimed(root, spec, patient=patient) as claim:
                if claim is None:
                    continue
                if claim:
                    print(f"cell {specs.index(spec) + 1} of {len(specs)}: {spec.name}", flush=True)
                    started = time.perf_counter()
                    content = compute(spec)
                    _write(root, spec, content, round(time.perf_counter() - started, 2), environment())
                pending.remove(spec)


def _fill_elsewhere(
    root: Path, specs: Sequence[CellSpec], all_of: Sequence[CellSpec], engine: Engine
) -> list[CellSpec]:
    """Have the workers of an engine compute cells, and store what they answer; return all but what others compute."""
    running: dict[Future[Any], tuple[CellSpec, contextlib.ExitStack]] = {}
    todo, done = list(reversed(specs)), []
    try:
        while todo or running:
            while todo and len(running) < MOST_AT_ONCE:
                spec, lock = todo.pop(), contextlib.ExitStack()
                with lock:
                    claim = lock.enter_context(_claimed(root, spec, patient=False))
                    if claim:
                        running[engine.submit(compute_packed, *pack(spec))] = spec, lock.pop_all()
                    elif claim is not None:
                        done.append(spec)
            # What failed comes last, so that everything else is stored before the error ends this.
            for future in sorted(wait(running, return_when=FIRST_COMPLETED).done, key=_failed):
                spec, lock = running.pop(future)
                with lock:
                    found = answer(future, spec.name)
                    _write(root, spec, found.result, found.seconds, found.environment)
                done.append(spec)
                print(f"cell {all_of.index(spec) + 1} of {len(all_of)}: {spec.name}, {found.seconds:.0f} s", flush=True)
    finally:
        for future, (_, lock) in running.items():
            future.cancel()
            lock.close()
    return done


def _failed(future: Future[Any]) -> bool:
    return future.cancelled() or future.exception() is not None


@contextlib.contextmanager
def _claimed(root: Path, spec: CellSpec, *, patient: bool) -> Iterator[bool | None]:
    """Hold the lock of a cell; give whether it must be computed, or `None` if another process is at it."""
    waiting = f"{spec.name}: another process is computing it; waiting" if patient else None
    with locked(root / ".locks" / spec.folder, waiting=waiting) as held:
        found = damage(root / spec.folder) if held else ""
        if found and found != ABSENT:
            print(f"{root / spec.folder}: damaged ({found}); computing it again", flush=True)
            shutil.rmtree(root / spec.folder)
        yield bool(found) if held else None


def read_cell(path: Path) -> StoredCell:
    """Read a stored cell; FileNotFoundError if it is not there, ValueError if it has changed since it was written."""
    found = damage(path)
    if found == ABSENT:
        raise FileNotFoundError(f"Cell {path} does not exist. Run the experiment again.")
    if found:
        raise ValueError(f"Cell {path} must be as it was written. Received: {found} changed. Run the experiment again.")
    known = read_json(path / PROVENANCE)
    return StoredCell(
        path=path,
        inputs=known["inputs"],
        records=read_records(path / RECORDS),
        environment=known.get("environment", {}),
    )


def damage(path: Path) -> str:
    """Say what is wrong with a cell: `ABSENT`, the files that changed since it was written, or "" for nothing."""
    if not path.exists():
        return ABSENT
    try:
        known = read_json(path / PROVENANCE)
        files, _ = known["files"], known["inputs"]
        return ", ".join(name for name in (RECORDS, ARRAYS) if sha256(path / name) != files[name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return str(error) or type(error).__name__


def _write(root: Path, spec: CellSpec, content: Content, seconds: float, environment: Mapping[str, Any]) -> None:
    for left in root.glob(f".{spec.folder}.*"):  # of a process that was killed; nobody else is here, the lock is ours
        shutil.rmtree(left)
    records, arrays = content
    with atomic_folder(root / spec.folder) as temporary:
        write_records(temporary / RECORDS, records)
        # Compressed, because a sticker for each image is 0 nearly everywhere.
        np.savez_compressed(temporary / ARRAYS, **arrays)  # type: ignore[arg-type]
        provenance = {
            "inputs": spec.inputs(),
            "files": {name: sha256(temporary / name) for name in (RECORDS, ARRAYS)},
            "seconds": seconds,
            "environment": environment,
        }
        write_json(temporary / PROVENANCE, provenance)
