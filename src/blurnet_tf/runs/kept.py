"""A checkpoint with its provenance: written, and taken up if it is what is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from blurnet_tf.data.split import Split
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.scoring import predict
from blurnet_tf.files import atomic_path, read_json, write_json
from blurnet_tf.models import layer_weights, weights_sha256


def take_up(
    path: Path, settings: dict[str, Any], test: Split, precision: str
) -> tuple[keras.Model, dict[str, Any]] | None:
    """Return the model at `path` and its provenance, if it was made with these settings.

    With other test images than it was scored on, it is scored anew. "auto" is content with any precision.
    """
    record = path.with_suffix(".json")
    if not (path.exists() and record.exists()):
        return None
    try:
        provenance = read_json(record)
        made = provenance["settings"]
        wanted = settings | ({"precision": made["precision"]} if "precision" in made else {})
        if precision != "auto" and "precision" in made:
            wanted["precision"] = precision
        if made != wanted:
            print(f"{path}: made anew, because {record.name} says that it was made otherwise", flush=True)
            return None
        model = keras.saving.load_model(path, compile=False)
        if provenance["weights_sha256"] != weights_sha256(layer_weights(model)):
            raise ValueError(f"its weights are not those of {record.name}")
        scored_on = provenance["test_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:  # a file that somebody or something changed
        print(f"{path}: made anew, because it is damaged ({error})", flush=True)
        return None
    print(f"{path}: taken as it is", flush=True)
    if scored_on != test.sha256():
        provenance |= _score(path, model, test)
        write_json(record, provenance)
    return model, provenance


def publish(
    path: Path, model: keras.Model, settings: dict[str, Any], test: Split, more: dict[str, Any]
) -> tuple[keras.Model, dict[str, Any]]:
    """Score a model on the held-out images, write it, and last its provenance, without which it does not count."""
    path.with_suffix(".json").unlink(missing_ok=True)
    with atomic_path(path) as temporary:
        model.save(temporary)
    provenance = {
        "settings": settings,
        **_score(path, model, test),
        "weights_sha256": weights_sha256(layer_weights(model)),
        **more,
        "environment": environment(),
    }
    write_json(path.with_suffix(".json"), provenance)
    return model, provenance


def held_out_accuracy(model: keras.Model, test: Split) -> Rate:
    """Return the accuracy on the held-out images."""
    return Rate(int((predict(model, test.images) == test.labels).sum()), len(test))


def _score(path: Path, model: keras.Model, test: Split) -> dict[str, Any]:
    accuracy = held_out_accuracy(model, test)
    low, high = accuracy.interval()
    share = f"{100 * accuracy.value:.1f}% of {accuracy.n} held-out images"
    print(f"{path}: {share} [{100 * low:.1f}, {100 * high:.1f}]", flush=True)
    return {
        "test_accuracy": accuracy.value,
        "test_correct": accuracy.count,
        "test_images": accuracy.n,
        "test_sha256": test.sha256(),
    }
