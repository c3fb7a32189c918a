"""What `experiments.report` reads: the stored results, or the sentence that says which command makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.defenses import layer_weights
from blurnet_tf.evaluation.provenance import read_json, weights_sha256
from blurnet_tf.evaluation.records import read_records
from blurnet_tf.numerics import dissimilarity
from blurnet_tf.reporting.report.stored import Attacked, Row, Transfer, WhiteBox
from experiments.cells import ARRAYS, PROVENANCE, RECORDS
from experiments.table2 import read_run


def read_transfer(folder: Path) -> Transfer | str:
    """Read Table 1 and what it came from."""
    table, provenance = folder / "table1.json", folder / "provenance.json"
    if not (table.is_file() and provenance.is_file()):
        return "There is no transfer experiment yet: `make blackbox` runs it."
    return Transfer(rows=read_json(table), provenance=read_json(provenance))


def read_white_box(folder: Path) -> WhiteBox | str:
    """Read Table 2, what it came from, and the cells that it counts."""
    table = folder / "table2.json"
    if not (table.is_file() and (folder / "run.json").is_file()):
        return "There is no white-box experiment yet: `make whitebox` runs it."
    run, rows = read_run(folder), read_json(table)
    counted = {name: row["legitimate"]["correct"] / row["legitimate"]["n"] for name, row in run["rows"].items()}
    if {row["row"]: row["legitimate_accuracy"] for row in rows} != counted:
        return "Table 2 is not of the run beside it: `make whitebox` counts it again."
    folders = [folder / "cells" / one for row in run["rows"].values() for one in row["cells"]]
    if not all((one / name).is_file() for one in folders for name in (RECORDS, ARRAYS, PROVENANCE)):
        return "Table 2 counts cells that are not there any more: `make whitebox` computes them again."
    cells = {name: [_cell(folder / "cells" / one) for one in row["cells"]] for name, row in run["rows"].items()}
    return WhiteBox(rows=rows, run=run, cells=cells)


def _cell(folder: Path) -> Attacked:
    inputs = read_json(folder / PROVENANCE)["inputs"]
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        return Attacked(
            targets=inputs["targets"],
            penalty=inputs["attack"]["penalty"],
            seed=inputs["attack"]["seed"],
            perturbation=arrays["perturbation"],
            loss=arrays["loss"],
            success=arrays["success"],
            records=read_records(folder / RECORDS),
        )


def read_ablation(folder: Path, transfer: Transfer | None) -> tuple[list[Row], Row] | str:
    """Read the ablation and what it came from. It must be of the attack that Table 1 is of."""
    table, provenance = folder / "ablation.json", folder / "provenance.json"
    if not (table.is_file() and provenance.is_file()):
        return "There is no ablation yet: `make ablation` scores the blur after each layer."
    came_from = read_json(provenance)
    if transfer and not _same_attack(came_from["attack"], transfer.provenance):
        return "The ablation is of another attack than Table 1: `make ablation` makes it anew."
    return read_json(table), came_from


def _same_attack(one: Row, other: Row) -> bool:
    return all(one[key] == other[key] for key in ("attack", "baseline")) and _data(one) == _data(other)


def _data(run: Row) -> Any:
    return run["data"].get("sha256")


def read_figures(folder: Path, transfer: Transfer | None) -> Mapping[str, Any] | str:
    """Read what the figures say. They must be of the attack that Table 1 is of."""
    if not (folder / "figures.json").is_file():
        return "There are no figures yet: `make figures` draws them."
    content: dict[str, Any] = read_json(folder / "figures.json")
    if transfer:
        drawn, run = content["attack"], transfer.provenance
        same = {key: drawn.get(key) for key in run["attack"]} == run["attack"]
        if not (same and drawn["data"].get("sha256") == _data(run)):
            return "The figures are of another attack than Table 1: `make figures` draws them anew."
    return content


def attacked_images(cell: Attacked, index: int, clean: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32] | None:
    """Put the stored perturbation for the target at `index` onto the clean signs; `None` if it gives other images."""
    records = [record for record in cell.records if record.target == cell.targets[index]]
    if any(record.image not in clean for record in records):
        return None
    images = np.stack([clean[record.image] for record in records])
    adversarial = np.clip(images + cell.perturbation[index], 0, 1).astype(np.float32)
    distances = [record.dissimilarity for record in records]
    return adversarial if np.allclose(dissimilarity(images, adversarial), distances, atol=1e-4) else None


def confidences(row: Row, checkpoints: Path, images: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return the probabilities that the model of a row gives; `None` if its checkpoint is not there or another now."""
    recorded = Path(row["checkpoint"])
    for path in (checkpoints.joinpath(*recorded.parts[1:]), recorded):
        if path.is_file():
            model = keras.saving.load_model(path, compile=False)
            if weights_sha256(layer_weights(model)) == row["training"]["weights_sha256"]:
                return np.asarray(keras.ops.softmax(model(images)), np.float32)
    return None


def clean_signs(folder: Path, run: Row, transfer: Transfer | None) -> Mapping[str, NDArray[np.float32]]:
    """Return the clean signs of a run by name, from what the transfer experiment stored; none if it has others."""
    if transfer is None or _data(transfer.provenance) != _data(run) or not (folder / "signs.npz").is_file():
        return {}
    with np.load(folder / "signs.npz", allow_pickle=False) as signs:
        images = signs["clean"]
    names: Sequence[str] = [record.image for record in read_records(folder / RECORDS) if record.victim == "baseline"]
    return dict(zip(names, images, strict=True))
