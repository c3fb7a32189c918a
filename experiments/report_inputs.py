"""What `experiments.report` reads of the paper's experiments, or the sentence that says which command makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.records import Record, read_records
from blurnet_tf.files import read_json
from blurnet_tf.reporting.ablation import ablation_table
from blurnet_tf.reporting.report.stored import Attacked, Row, Rows, Transfer, WhiteBox
from blurnet_tf.reporting.tables import transfer_table
from blurnet_tf.runs.store import ARRAYS, PROVENANCE, RECORDS
from experiments.table2 import count, read_run


def read_transfer(folder: Path) -> Transfer | str:
    """Read Table 1 and what it came from. It must be what its records count."""
    table, provenance, records = (folder / name for name in ("table1.json", "provenance.json", RECORDS))
    if not (table.is_file() and provenance.is_file() and records.is_file()):
        return "There is no transfer experiment yet: `make blackbox` runs it."
    rows = read_json(table)
    if not is_counted(rows, transfer_table(read_records(records))):
        return "Table 1 is not what its records count: delete its table1.json, and `make blackbox` counts them again."
    return Transfer(rows=rows, provenance=read_json(provenance))


def read_white_box(folder: Path) -> WhiteBox | str:
    """Read Table 2, what it came from, and the cells that it counts. It must be what they count."""
    table, by_lambda = folder / "table2.json", folder / "table2_by_lambda.json"
    if not (table.is_file() and (folder / "run.json").is_file()):
        return "There is no white-box experiment yet: `make whitebox` runs it."
    run, rows = read_run(folder), read_json(table)
    cells, models = folder / "cells", run["rows"].values()
    attacks = [cells / one / name for row in models for one in row["cells"] for name in (RECORDS, ARRAYS, PROVENANCE)]
    floors = [cells / row["floor"] / RECORDS for row in models]
    if not all(path.is_file() for path in (*attacks, *floors)):
        return "Table 2 counts cells that are not there any more: `make whitebox` computes them again."
    found = WhiteBox(
        rows=rows,
        by_lambda=read_json(by_lambda) if by_lambda.is_file() else (),
        run=run,
        cells={name: [_cell(cells / one) for one in row["cells"]] for name, row in run["rows"].items()},
    )
    counted, alone = count(run, found.records, [record for path in floors for record in read_records(path)])
    if not (is_counted(rows, counted) and (not found.by_lambda or is_counted(found.by_lambda, alone))):
        return "Table 2 is not what the cells of its run count: `make whitebox` counts them again."
    return found


def _cell(folder: Path) -> Attacked:
    inputs = read_json(folder / PROVENANCE)["inputs"]
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        return Attacked(
            targets=inputs["targets"],
            settings=inputs["attack"],
            perturbation=arrays["perturbation"],
            loss=arrays["loss"],
            success=arrays["success"],
            records=read_records(folder / RECORDS),
        )


def read_ablation(folder: Path, transfer: Transfer | None) -> Rows | str:
    """Read the ablation and what it came from. It must be of the attack that Table 1 is of."""
    table, provenance, records = (folder / name for name in ("ablation.json", "provenance.json", RECORDS))
    if not (table.is_file() and provenance.is_file() and records.is_file()):
        return "There is no ablation yet: `make ablation` scores the blur after each layer."
    found = Rows(rows=read_json(table), provenance=read_json(provenance))
    if transfer and not _same_attack(found.provenance["attack"], transfer.provenance):
        return "The ablation is of another attack than Table 1: `make ablation` makes it anew."
    if not is_counted(found.rows, _ablation_again(found.rows, read_records(records))):
        return "The ablation is not what its records count: `make ablation` makes it anew."
    return found


def _ablation_again(rows: Sequence[Row], records: Sequence[Record]) -> list[dict[str, Any]]:
    legitimate = {row["row"]: Rate(round(row["legitimate_accuracy"] * row["n_test"]), row["n_test"]) for row in rows}
    return ablation_table(records, legitimate, {row["row"]: (row["layer"], row["size"]) for row in rows})


def _same_attack(one: Row, other: Row) -> bool:
    return all(one[key] == other[key] for key in ("attack", "baseline")) and data_sum(one) == data_sum(other)


def data_sum(run: Row) -> Any:
    """Return the checksum of the attacked signs of a run."""
    return run["data"].get("sha256")


def read_figures(folder: Path, transfer: Transfer | None) -> Mapping[str, Any] | str:
    """Read what the figures say. They must be of the attack that Table 1 is of."""
    if not (folder / "figures.json").is_file():
        return "There are no figures yet: `make figures` draws them."
    content: dict[str, Any] = read_json(folder / "figures.json")
    if transfer:
        drawn, run = content["attack"], transfer.provenance
        same = {key: drawn.get(key) for key in run["attack"]} == run["attack"]
        if not (same and data_sum(drawn) == data_sum(run)):
            return "The figures are of another attack than Table 1: `make figures` draws them anew."
    return content


def is_counted(rows: Sequence[Row], again: Sequence[Row]) -> bool:
    """Whether stored rows hold all that was counted again. What else they hold was not counted."""
    stored = [{key: row.get(key) for key in counted} for row, counted in zip(rows, again, strict=False)]
    return len(rows) == len(again) and stored == list(again)
