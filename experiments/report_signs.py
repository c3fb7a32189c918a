"""The section of the report that shows attacked signs, with what each model sees in them and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.evaluation.records import read_records
from blurnet_tf.models import layer_weights, weights_sha256
from blurnet_tf.numerics import dissimilarity
from blurnet_tf.reporting.report import pictures
from blurnet_tf.reporting.report.blocks import Absent, Text
from blurnet_tf.reporting.report.stored import Attacked, Row, Transfer, WhiteBox
from blurnet_tf.runs.store import RECORDS
from experiments.report_inputs import data_sum


def sign_blocks(white_box: WhiteBox, clean: Mapping[str, NDArray[np.float32]], checkpoints: Path) -> list[Any]:
    """Return some signs under the worst attack on each row, with what the row sees in them."""
    if not clean:
        return [
            Absent(
                sentence="The signs that Table 2 attacks are not stored here: `make blackbox` on the same data stores "
                "them."
            )
        ]
    names = list(clean)
    kept = pictures.spread(len(names))
    blocks: list[Any] = [
        Text(
            sentences=[
                f"{len(kept)} of the {len(names)} signs, evenly spread over their list, under the attack that changes "
                "most predictions of each model. Below each sign the class that the model sees, and how sure it is of "
                "it; red and bold: changed by the attack."
            ]
        ),
        pictures.clean_signs(np.stack([clean[names[index]] for index in kept]), [names[index] for index in kept]),
    ]
    missing = []
    for row in white_box.rows:
        block, sure = _row(white_box, row, clean, kept, checkpoints)
        blocks.append(block)
        if not sure:
            missing.append(row["title"])
    if missing:
        blocks.append(
            Absent(
                sentence=f"No confidences for {', '.join(missing)}: the checkpoint is not there, or is another one "
                "now. `make whitebox` makes it."
            )
        )
    return blocks


def _row(
    white_box: WhiteBox, row: Row, clean: Mapping[str, NDArray[np.float32]], kept: list[int], checkpoints: Path
) -> tuple[Any, bool]:
    names, run = white_box.run["class_names"], white_box.run
    target = names.index(row["worst_target"])
    cell = max(
        (one for one in white_box.cells[row["row"]] if one.penalty == row["worst_lambda"]),
        key=lambda one: _changed(one, target),  # of several seeds
    )
    index = list(cell.targets).index(target)
    images = attacked_images(cell, index, clean)
    if images is None:
        return Absent(sentence=f"{row['title']}: the stored sticker does not give the signs that were scored."), True
    records = [record for record in cell.records if record.target == cell.targets[index]]
    sure = confidences(run["rows"][row["row"]], checkpoints, images)
    block = pictures.attacked_signs(
        row["title"],
        images[kept],
        cell.perturbation[index],
        [records[one] for one in kept],
        names,
        confidences=None if sure is None else sure[kept],
        note=f"towards {row['worst_target']}, lambda {cell.penalty:g}, seed {cell.seed}",
    )
    return block, sure is not None


def _changed(cell: Attacked, target: int) -> int:
    records = [record for record in cell.records if record.target == target]
    return sum(record.clean_prediction != record.adversarial_prediction for record in records)


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
    if transfer is None or data_sum(transfer.provenance) != data_sum(run) or not (folder / "signs.npz").is_file():
        return {}
    with np.load(folder / "signs.npz", allow_pickle=False) as signs:
        images = signs["clean"]
    names: Sequence[str] = [record.image for record in read_records(folder / RECORDS) if record.victim == "baseline"]
    return dict(zip(names, images, strict=True))
