"""Attacked signs, with what each model sees in them and how sure it is."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from blurnet_tf.data.folder import levels
from blurnet_tf.evaluation import metrics
from blurnet_tf.models import layer_weights, weights_sha256
from blurnet_tf.models.inspection import read_keras_file
from blurnet_tf.models.zoo import known_models, load_entry
from blurnet_tf.numerics import dissimilarity
from blurnet_tf.reporting.report.blocks import Absent, Column, Gallery, Picture, Text, png_uri
from blurnet_tf.reporting.rows import WhiteBoxRow
from blurnet_tf.reporting.run_tables import Counted
from blurnet_tf.runs.checkpoints import find_checkpoint
from blurnet_tf.runs.run import RunRow
from blurnet_tf.runs.store import StoredCell

SHOWN = 10


def sign_blocks(white_box: Counted[WhiteBoxRow], checkpoints: Path) -> list[Any]:
    """Return some signs under the worst attack on each row, and how sure the models in `checkpoints` are of them."""
    clean = white_box.stored.clean
    names = list(dict.fromkeys(record.image for record in white_box.stored.records))
    if not all(name in clean for name in names):
        fetch = "`make data` fetches them, `make whitebox` attacks those that there are."
        return [Absent(sentence=f"The signs that Table 2 attacks are not here any more: {fetch}")]
    # Evenly spread, so that nobody chose them.
    shown = sorted({round(float(place)) for place in np.linspace(0, len(names) - 1, min(SHOWN, len(names)))})
    text = (
        f"{len(shown)} of the {len(names)} signs, evenly spread over their list, under the attack that changes most "
        "predictions of each model. Below each sign the class that the model sees, and how sure it is of it; red and "
        "bold: changed by the attack. Untick models to see two of them beside one another."
    )
    signs = [Picture(image_uri(clean[name]), f"clean sign {name}", name) for name in (names[index] for index in shown)]
    columns, refused, missing = [Column("clean", "", [None, *signs])], [], []
    for row, counted in zip(white_box.run.rows, white_box.rows, strict=True):
        found, sure = _row(white_box, row, counted, shown, checkpoints)
        if isinstance(found, Column):
            columns.append(found)
            missing += [] if sure else [row.title]
        else:
            refused.append(found)
    caption = "The same signs as each model is attacked"
    blocks: list[Any] = [Text(sentences=[text]), Gallery(caption=caption, columns=columns), *refused]
    if missing:
        cause = "the checkpoint is not there, or is another one now. `make whitebox` makes it."
        blocks.append(Absent(sentence=f"No confidences for {', '.join(missing)}: {cause}"))
    return blocks


def _row(
    white_box: Counted[WhiteBoxRow], row: RunRow, counted: WhiteBoxRow, shown: Sequence[int], checkpoints: Path
) -> tuple[Column | Absent, bool]:
    """Return the column of a row, or why there is none; and whether it says how sure the model is."""
    names = white_box.run.class_names
    target = names.index(counted.worst_target)

    def changed(cell: StoredCell) -> int:
        return metrics.prediction_changed(one for one in cell.records if one.target == target).count

    cells = [one for one in white_box.stored.cells if one.records[0].victim == row.name]
    cell = max((one for one in cells if one.records[0].penalty == counted.worst_lambda), key=changed)  # of all seeds
    records = [record for record in cell.records if record.target == target]
    index = list(dict.fromkeys(record.target for record in cell.records)).index(target)
    perturbation = cell.arrays["perturbation"][index]
    images = np.stack([white_box.stored.clean[record.image] for record in records])
    adversarial = np.clip(images + perturbation, 0, 1).astype(np.float32)
    distances = [record.dissimilarity for record in records]
    if not np.allclose(dissimilarity(images, adversarial), distances, atol=1e-4):
        return Absent(sentence=f"{row.title}: the stored sticker does not give the signs that were scored."), True
    model = _find_model(row, checkpoints)
    sure = None if model is None else np.asarray(keras.ops.softmax(model(adversarial)), np.float32)
    shared = perturbation.ndim == 3  # one for all images
    grey = f"the sticker against {row.title}, on grey"
    pictures = [Picture(image_uri(0.5 + perturbation), grey, "sticker") if shared else None]
    for place in shown:
        record, seen = records[place], names[records[place].adversarial_prediction]
        says = "" if sure is None else f"{100 * sure[place, record.adversarial_prediction]:.0f}%"
        changes = record.adversarial_prediction != record.clean_prediction
        alt = f"attacked sign {record.image}, seen as {seen}"
        pictures.append(Picture(image_uri(adversarial[place]), alt, seen, says, changes))
    note = f"towards {counted.worst_target}, lambda {counted.worst_lambda:g}, seed {cell.records[0].seed}"
    return Column(title=row.title, note=note, pictures=pictures), sure is not None


def image_uri(image: NDArray[np.float32]) -> str:
    """Return an image (H, W, 3) in [0, 1] as a data URI of a PNG; the same image gives the same text."""
    file = io.BytesIO()
    metadata: Any = {"Software": None}
    imsave(file, levels(image), format="png", metadata=metadata)
    return png_uri(file.getvalue())


def _find_model(row: RunRow, checkpoints: Path) -> keras.Model | None:
    """Return the model of a row: of the zoo, or from its checkpoint; `None` if that is absent, or another one now."""
    for entry in known_models():
        if entry.weights_sha256 == row.weights_sha256:
            return load_entry(entry)
    path = find_checkpoint(row, checkpoints)
    if path is None:
        return None
    model = read_keras_file(path)
    return model if weights_sha256(layer_weights(model)) == row.weights_sha256 else None
