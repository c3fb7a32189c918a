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
class Rows:
    """Rows of a table, and what the run that they are of came from: Table 1, the ablation, the runs of a study."""

    rows: Sequence[Row]
    provenance: Row


Transfer = Rows
"""The transfer experiment: the rows of Table 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Attacked:
    """One cell of the white-box experiment: a model under one lambda and seed, all targets.

    Attributes:
        targets: The wanted classes, in the order of the arrays.
        settings: Of the attack; `penalty` and `seed` are among them.
        perturbation: float32 (targets, H, W, 3), masked.
        loss, success: float32 (steps + 1, targets).
        records: One for each target and image.
    """

    targets: Sequence[int]
    settings: Row
    perturbation: NDArray[np.float32]
    loss: NDArray[np.float32]
    success: NDArray[np.float32]
    records: Sequence[Record]

    @property
    def penalty(self) -> float:
        """Lambda."""
        return float(self.settings["penalty"])

    @property
    def seed(self) -> int:
        """The seed of the attack."""
        return int(self.settings["seed"])


@dataclass(frozen=True, kw_only=True, eq=False)
class WhiteBox:
    """The white-box experiment.

    Attributes:
        rows: Those of Table 2.
        by_lambda: Those of each lambda alone, if there are several.
        run: What the run was.
        cells: By row, its cells.
    """

    rows: Sequence[Row]
    by_lambda: Sequence[Row] = ()
    run: Row
    cells: Mapping[str, Sequence[Attacked]]

    @property
    def records(self) -> list[Record]:
        """The records of all attacks."""
        return [record for cells in self.cells.values() for cell in cells for record in cell.records]


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnModel:
    """What was measured of somebody's own model.

    Attributes:
        name: Of its file.
        white_box: The row of its white-box experiment, if there is one.
        transfer: The rows of its transfer experiment, if there is one.
    """

    name: str
    white_box: Rows | None
    transfer: Rows | None
