"""Checkpoints: a trained model is kept with what it was trained on, and taken up only if that is what is wanted."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import keras

from blurnet_tf.data import rp2_release, sources
from blurnet_tf.data.split import Split
from blurnet_tf.defenses import layer_weights, lisa_cnn, train
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.provenance import environment, read_json, weights_sha256, write_json
from blurnet_tf.evaluation.scoring import predict
from blurnet_tf.files import atomic_path
from experiments import cli
from experiments.presets import PRESETS

LEARNING_RATE = 1e-3  # the paper names Adam and its betas, but no rate; this is Adam's default
BATCH_SIZE = 128


def checkpoint_path(folder: Path, data: str, preset: str, variant: str) -> Path:
    """Return where a model is kept. LISA and each preset but the default have folders: none overwrites another."""
    parts = [data] * (data != "synthetic") + [preset] * (preset != "quick")
    return folder.joinpath(*parts, f"{variant}.keras")


def baseline_weights(release: Path | None, *, preset: str, seed: int, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return the baseline's arrays by layer, and where they come from: the release, or a training on rendered signs."""
    if release is not None:
        return rp2_release.load_weights(release), {"checkpoint": "RP2 release"}
    work = PRESETS[preset]
    data = sources.load_training(
        sources.resolve_training("synthetic", []), per_class=work.per_class, test_per_class=work.test_per_class
    )
    model, provenance = trained_model("baseline", data, preset=preset, seed=seed, folder=folder)
    return layer_weights(model), provenance


def trained_model(
    variant: str, data: sources.TrainingData, *, preset: str, seed: int, folder: Path
) -> tuple[keras.Model, dict[str, Any]]:
    """Return a trained model and its provenance, from its checkpoint if that was trained just so.

    A training that was interrupted goes on after its last whole epoch.
    """
    path = checkpoint_path(folder, data.name, preset, variant)
    settings: dict[str, Any] = {
        "variant": variant,
        "data": data.label,
        "train_sha256": data.train.sha256(),
        "train_images": len(data.train),
        "epochs": PRESETS[preset].epochs,
        "learning_rate": LEARNING_RATE,
        "batch_size": BATCH_SIZE,
        "seed": seed,
    }
    kept = _checkpoint(path, settings)
    if kept is not None:
        return kept

    started = time.perf_counter()
    print(f"{path}: training on {len(data.train)} images ({data.label}) for {settings['epochs']} epochs", flush=True)
    model = _train(path, settings, data.train)
    correct = int((predict(model, data.test.images) == data.test.labels).sum())
    accuracy = Rate(correct, len(data.test))
    provenance = {
        "settings": settings,
        "test_accuracy": accuracy.value,
        "test_images": accuracy.n,
        "test_sha256": data.test.sha256(),
        "weights_sha256": weights_sha256(layer_weights(model)),
        "seconds": round(time.perf_counter() - started, 1),
        "environment": environment(cli.ROOT),
    }
    with atomic_path(path) as temporary:
        model.save(temporary)
    write_json(path.with_suffix(".json"), provenance)
    low, high = accuracy.interval()
    print(f"{path}: {100 * accuracy.value:.1f}% of {accuracy.n} held-out images [{100 * low:.1f}, {100 * high:.1f}]")
    return model, provenance


def _checkpoint(path: Path, settings: dict[str, Any]) -> tuple[keras.Model, dict[str, Any]] | None:
    """Return the model at `path` and its provenance, if it was trained with these settings."""
    if not (path.exists() and path.with_suffix(".json").exists()):
        return None
    provenance = read_json(path.with_suffix(".json"))
    model = keras.saving.load_model(path, compile=False)
    if provenance["settings"] == settings and provenance["weights_sha256"] == weights_sha256(layer_weights(model)):
        print(f"{path}: taken as it is")
        return model, provenance
    print(f"{path}: trained anew, because {path.with_suffix('.json').name} says that it was trained otherwise")
    return None


def _train(path: Path, settings: dict[str, Any], split: Split) -> keras.Model:
    """Train, going on from the backup of an interrupted training with the same settings."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    backup = path.parent / f".{path.stem}-{digest}.backup"
    for other in path.parent.glob(f".{path.stem}-*.backup"):
        if other != backup:
            shutil.rmtree(other)

    def train_from_backup() -> keras.Model:
        keras.utils.set_random_seed(settings["seed"])
        model = lisa_cnn(settings["variant"], seed=settings["seed"])
        train(
            model,
            split.images,
            split.labels,
            epochs=settings["epochs"],
            learning_rate=settings["learning_rate"],
            batch_size=settings["batch_size"],
            callbacks=[keras.callbacks.BackupAndRestore(backup)],
            seed=settings["seed"],
            verbose=1 if sys.stdout.isatty() else 2,
        )
        return model

    try:
        return train_from_backup()
    except OSError as error:  # what h5py raises for a file that a kill left half-written
        if not backup.exists():
            raise
        print(f"{backup}: damaged ({error}); training from the start", flush=True)
        shutil.rmtree(backup)
        return train_from_backup()
