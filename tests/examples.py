"""What several tests begin with."""

from pathlib import Path
from typing import Any

import keras

from blurnet_tf.evaluation.records import Record
from blurnet_tf.models import VARIANTS, Variant, layer_weights, lisa_cnn, weights_sha256
from blurnet_tf.runs.cells import ModelSpec

RECORD = Record(
    image="1.png",
    label=14,
    source="baseline",
    victim="baseline",
    attack="RP2",
    attack_digest="0123456789ab",
    target=12,
    penalty=0.002,
    seed=0,
    clean_prediction=14,
    adversarial_prediction=14,
    dissimilarity=0.25,
)
"""One whose prediction the attack did not move; `dataclasses.replace` makes others of it."""


def model_spec(path: Path, variant: Variant, **more: Any) -> ModelSpec:
    """The weights of a saved model in the network of a variant, as plain data."""
    weights = layer_weights(keras.saving.load_model(path, compile=False))
    fields = {"name": variant.name, "path": str(path), "sha256": weights_sha256(weights)}
    return ModelSpec(**(fields | {"variant": variant.settings()} | more))


def untrained(folder: Path, name: str = "tv_1e-4") -> ModelSpec:
    """An untrained model, saved in a folder, as plain data."""
    lisa_cnn(name, seed=0, dtype="float32").save(folder / f"{name}.keras")
    return model_spec(folder / f"{name}.keras", VARIANTS[name])
