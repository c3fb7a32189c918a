"""The store of cells: each is computed once, written whole or not at all, and shared by runs that need the same."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import Record, read_records, write_records
from blurnet_tf.files import atomic_folder, read_json, sha256, write_json
from blurnet_tf.runs.cells import CellSpec, Content, compute
from blurnet_tf.runs.locks import locked

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

    @functools.cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays, such as `perturbation` and `success`. Read when they are asked for: they may be large."""
        with np.load(self.path / ARRAYS, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return self.path.name


def fill(root: Path, specs: Sequence[CellSpec], compute: Callable[[CellSpec], Content] = compute) -> None:
    """Compute the cells that the folder `root` lacks.

    Another process may fill the same folder: a cell that it is computing is left to it, and waited for at the end.
    """
    pending = [spec for spec in specs if damage(root / spec.folder)]
    if len(pending) < len(specs):
        print(f"{root}: {len(specs) - len(pending)} of {len(specs)} cells are there already", flush=True)
    for patient in (False, True):
        for spec in list(pending):
            waiting = f"{spec.name}: another process is computing it; waiting" if patient else None
            with locked(root / ".locks" / spec.folder, waiting=waiting) as held:
                if not held:
                    continue
                found = damage(root / spec.folder)
                if found and found != ABSENT:
                    print(f"{root / spec.folder}: damaged ({found}); computing it again", flush=True)
                    shutil.rmtree(root / spec.folder)
                if found:
                    print(f"cell {specs.index(spec) + 1} of {len(specs)}: {spec.name}", flush=True)
                    _fill_one(root, spec, compute)
                pending.remove(spec)


def read_cell(path: Path) -> StoredCell:
    """Read a stored cell; FileNotFoundError if it is not there, ValueError if it has changed since it was written."""
    found = damage(path)
    if found == ABSENT:
        raise FileNotFoundError(f"Cell {path} does not exist. Run the experiment again.")
    if found:
        raise ValueError(f"Cell {path} must be as it was written. Received: {found} changed. Run the experiment again.")
    return StoredCell(path=path, inputs=read_json(path / PROVENANCE)["inputs"], records=read_records(path / RECORDS))


def damage(path: Path) -> str:
    """Say what is wrong with a cell: `ABSENT`, the files that changed since it was written, or "" for nothing."""
    if not path.exists():
        return ABSENT
    try:
        files = read_json(path / PROVENANCE)["files"]
        return ", ".join(name for name in (RECORDS, ARRAYS) if sha256(path / name) != files[name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return str(error) or type(error).__name__


def _fill_one(root: Path, spec: CellSpec, compute: Callable[[CellSpec], Content]) -> None:
    for left in root.glob(f".{spec.folder}.*"):  # of a process that was killed; nobody else is here, the lock is ours
        shutil.rmtree(left)
    started = time.perf_counter()
    records, arrays = compute(spec)
    with atomic_folder(root / spec.folder) as temporary:
        write_records(temporary / RECORDS, records)
        # Compressed, because a sticker for each image is 0 nearly everywhere.
        np.savez_compressed(temporary / ARRAYS, **arrays)  # type: ignore[arg-type]
        provenance = {
            "inputs": spec.inputs(),
            "files": {name: sha256(temporary / name) for name in (RECORDS, ARRAYS)},
            "seconds": round(time.perf_counter() - started, 2),
            "environment": environment(),
        }
        write_json(temporary / PROVENANCE, provenance)
