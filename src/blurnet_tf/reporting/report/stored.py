"""What the report is drawn from, as the experiments stored it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.evaluation.records import Record

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Transfer:
    """The transfer experiment.

    Attributes:
        rows: Those of Table 1.
        provenance: What the run came from.
    """

    rows: Sequence[Row]
    provenance: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Attacked:
    """One cell of the white-box experiment: a model under one lambda and seed, all targets.

    Attributes:
        targets: The wanted classes, in the order of the arrays.
        penalty, seed: Of the attack.
        perturbation: float32 (targets, H, W, 3), masked.
        loss, success: float32 (steps + 1, targets).
        records: One for each target and image.
    """

    targets: Sequence[int]
    penalty: float
    seed: int
    perturbation: NDArray[np.float32]
    loss: NDArray[np.float32]
    success: NDArray[np.float32]
    records: Sequence[Record]


@dataclass(frozen=True, kw_only=True, eq=False)
class WhiteBox:
    """The white-box experiment.

    Attributes:
        rows: Those of Table 2.
        run: What the run was.
        cells: By row, its cells.
    """

    rows: Sequence[Row]
    run: Mapping[str, Any]
    cells: Mapping[str, Sequence[Attacked]]

    @property
    def records(self) -> list[Record]:
        """The records of all attacks."""
        return [record for cells in self.cells.values() for cell in cells for record in cell.records]
