"""What the transfer experiment left, the attacked signs and the attacked model, and the models to show them to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.data import rp2_release
from blurnet_tf.evaluation.records import Record, read_records
from blurnet_tf.files import read_json
from blurnet_tf.models import TRAINED_VARIANTS, TRANSFER_VARIANTS, layer_weights, lisa_cnn, weights_sha256
from blurnet_tf.models.lisa_cnn import LayerWeights
from blurnet_tf.runs.checkpoints import checkpoint_path


@dataclass(frozen=True, kw_only=True, eq=False)
class Attacked:
    """The signs of one run of the transfer experiment.

    Attributes:
        clean, adversarial: float32 (n, H, W, 3) in [0, 1].
        records: One a sign, in the same order, of the model that was attacked.
        provenance: What the run came from.
    """

    clean: NDArray[np.float32]
    adversarial: NDArray[np.float32]
    records: list[Record]
    provenance: dict[str, Any]

    @property
    def example(self) -> int:
        """The number of the first sign whose prediction the attack changes; of the first one, if it changes none."""
        moved = (record.adversarial_prediction != record.clean_prediction for record in self.records)
        return next((index for index, changed in enumerate(moved) if changed), 0)


def load_attacked(folder: Path) -> Attacked:
    """Read what `experiments.blackbox` wrote into `folder`.

    Raises:
        FileNotFoundError: It wrote nothing there.
    """
    if not all((folder / name).is_file() for name in ("signs.npz", "records.csv", "provenance.json")):
        raise FileNotFoundError(f"There are no attacked signs in {folder}. `make blackbox` makes them.")
    with np.load(folder / "signs.npz", allow_pickle=False) as signs:
        clean, adversarial = signs["clean"], signs["adversarial"]
    records = [record for record in read_records(folder / "records.csv") if record.victim == "baseline"]
    return Attacked(
        clean=clean, adversarial=adversarial, records=records, provenance=read_json(folder / "provenance.json")
    )


def attacked_models(attacked: Attacked, roots: Sequence[Path], checkpoints: Path) -> dict[str, keras.Model]:
    """Return the model that was attacked and its filtered versions, by the name of the variant. Nothing is trained.

    Args:
        attacked: The run.
        roots: Data folders, where the RP2 release is looked for.
        checkpoints: Where the baseline is, if the run trained one.

    Raises:
        FileNotFoundError: The weights have gone.
        ValueError: They are others now.
    """
    weights: LayerWeights
    if attacked.provenance["data"]["source"] == "rp2":
        release = rp2_release.find(roots)
        if release is None:
            raise FileNotFoundError("The attacked model is that of the RP2 release. `make data` fetches it.")
        place, weights = str(release), rp2_release.load_weights(release)
    else:
        seed = attacked.provenance["baseline"]["training"]["settings"]["seed"]
        path = checkpoint_path(checkpoints, "synthetic", attacked.provenance["preset"], "baseline", seed=seed)
        if not path.is_file():
            raise FileNotFoundError(
                f"The attacked model, {path}, has gone. `make train DATA=synthetic VARIANT=baseline` trains it."
            )
        place, weights = str(path), layer_weights(keras.saving.load_model(path, compile=False))
    if weights_sha256(weights) != attacked.provenance["baseline"]["weights_sha256"]:
        raise ValueError(f"{place} is not the model that was attacked. `make blackbox` attacks it.")
    return {name: lisa_cnn(name, weights=weights, dtype="float32") for name in TRANSFER_VARIANTS}


def trained_models(
    attacked: Attacked, checkpoints: Path, *, preset: str, split: str, init: str, seed: int = 0
) -> tuple[str, dict[str, keras.Model], list[str]]:
    """Return the defences with a training of their own: on LISA if photographs were attacked, else on rendered signs.

    Returns:
        What they were trained on, in words; those that have a whole checkpoint, by name; the names of the others. The
        attacked model itself is neither.
    """
    photographs = attacked.provenance["data"]["source"] == "rp2"
    data, words = ("lisa", "LISA") if photographs else ("synthetic", "rendered signs")
    if photographs and split != "track":
        data, words = f"{data}_{split}", f"{words}, {split} split"
    models, absent = {}, []
    for name in TRAINED_VARIANTS:
        path = checkpoint_path(checkpoints, data, preset, name, init, seed)
        if not (path.is_file() and path.with_suffix(".json").is_file()):  # without its provenance it does not count
            absent.append(name)
            continue
        model = keras.saving.load_model(path, compile=False)
        if weights_sha256(layer_weights(model)) != attacked.provenance["baseline"]["weights_sha256"]:
            models[name] = model
    return words, models, absent
