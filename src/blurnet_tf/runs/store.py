"""Cells: the parts of a sweep that are computed, stored and taken up as a whole.

A cell is a folder whose name ends in a digest of everything that decides what is in it. It is written under another
name and renamed, so that it is whole or absent, whenever a run is killed; a cell whose inputs changed has another name.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import Record, write_records
from blurnet_tf.files import atomic_folder, read_json, sha256, write_json
from blurnet_tf.runs.locks import locked

RECORDS = "records.csv"
ARRAYS = "arrays.npz"
PROVENANCE = "provenance.json"
ABSENT = "absent"

Content = tuple[Sequence[Record], Mapping[str, NDArray[Any]]]
"""What a cell holds: records, and named arrays."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell.

    Attributes:
        name: What it is, for the reader of a folder.
        inputs: Everything that decides what is in it, as JSON can write it.
    """

    name: str
    inputs: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """The name of its folder."""
        digest = hashlib.sha256(json.dumps(self.inputs, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:12]}"


def fill(root: Path, cells: Sequence[Cell], compute: Callable[[Cell], Content]) -> None:
    """Compute the cells that `root` lacks.

    Another run may be at the same: a cell that it is computing is left to it, and waited for at the end.

    Args:
        root: Folder of the cells.
        cells: Those that are wanted.
        compute: Returns what is in a cell.
    """
    pending = [cell for cell in cells if _damage(root / cell.folder)]
    if len(pending) < len(cells):
        print(f"{root}: {len(cells) - len(pending)} of {len(cells)} cells taken as they are", flush=True)
    for patient in (False, True):
        for cell in list(pending):
            waiting = f"{cell.name}: another run is computing it; waiting for that" if patient else None
            with locked(root / ".locks" / cell.folder, waiting=waiting) as held:
                if not held:
                    continue
                damage = _damage(root / cell.folder)
                if damage and damage != ABSENT:
                    print(f"{root / cell.folder}: damaged ({damage}); computed anew", flush=True)
                    shutil.rmtree(root / cell.folder)
                if damage:
                    _compute(root, cell, compute, f"cell {cells.index(cell) + 1} of {len(cells)}: {cell.name}")
                pending.remove(cell)


def _compute(root: Path, cell: Cell, compute: Callable[[Cell], Content], title: str) -> None:
    path = root / cell.folder
    for left in root.glob(f".{cell.folder}.*"):  # what a kill left; nobody else is at it, since the lock is ours
        shutil.rmtree(left)
    print(title, flush=True)
    started = time.perf_counter()
    records, arrays = compute(cell)
    with atomic_folder(path) as temporary:
        write_records(temporary / RECORDS, records)
        np.savez(temporary / ARRAYS, **arrays)  # type: ignore[arg-type]
        provenance = {
            "inputs": cell.inputs,
            "files": {name: sha256(temporary / name) for name in (RECORDS, ARRAYS)},
            "seconds": round(time.perf_counter() - started, 2),
            "environment": environment(),
        }
        write_json(temporary / PROVENANCE, provenance)


def _damage(path: Path) -> str:
    """Say what keeps a cell from being taken up: nothing, its absence, or files that have changed since."""
    if not path.exists():
        return ABSENT
    try:
        files = read_json(path / PROVENANCE)["files"].items()
        return ", ".join(name for name, digest in files if sha256(path / name) != digest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return str(error) or type(error).__name__
