"""Checkpoints: a trained model is kept with what it was trained on, and taken up only if that is what is wanted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import keras

from blurnet_tf.data import rp2_release, sources
from blurnet_tf.defenses import layer_weights, lisa_cnn
from blurnet_tf.defenses.lisa_cnn import LayerWeights
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.provenance import environment, read_json, weights_sha256, write_json
from blurnet_tf.evaluation.scoring import predict
from blurnet_tf.files import atomic_path
from experiments import cli
from experiments.locks import locked
from experiments.precision import resolve
from experiments.presets import PRESETS, Recipe, recipe
from experiments.training import fit


def checkpoint_path(folder: Path, data: str, preset: str, variant: str, init: str = "random") -> Path:
    """Return where a model is kept.

    LISA, its random split, each preset but the default and each start have folders: none overwrites another. The
    released model is the same under every preset.
    """
    parts = [data] * (data != "synthetic")
    if variant != "rp2_release":
        parts += [preset] * (preset != "quick") + [f"from_{init}"] * (init != "random")
    return folder.joinpath(*parts, f"{variant}.keras")


def baseline_weights(
    release: Path | None, *, preset: str, seed: int, folder: Path, precision: str = "auto"
) -> tuple[Any, dict[str, Any]]:
    """Return the baseline's arrays by layer, and where they come from: the release, or a training on rendered signs."""
    if release is not None:
        return rp2_release.load_weights(release), {"checkpoint": "RP2 release"}
    work = PRESETS[preset]
    data = sources.load_training(
        sources.resolve_training("synthetic", []), per_class=work.per_class, test_per_class=work.test_per_class
    )
    path = checkpoint_path(folder, data.name, preset, "baseline")
    model, provenance = trained_model(recipe(preset, "baseline", seed=seed), data, path=path, precision=precision)
    return layer_weights(model), provenance


def trained_model(
    recipe: Recipe, data: sources.TrainingData, *, path: Path, precision: str = "auto", release: Path | None = None
) -> tuple[keras.Model, dict[str, Any]]:
    """Return a trained float32 model and its provenance, from its checkpoint if that was trained just so.

    A training that was interrupted goes on after its last whole epoch; one that another process is at is waited for.

    Args:
        recipe: How it is trained. The variant `rp2_release` is not trained, but read.
        data: What it is trained and tested on.
        path: The checkpoint, `<variant>.keras`. Beside it: `.json`, the provenance; `.csv`, the log of the epochs; and
            `.best.keras`, the epoch with the best accuracy on the held-out images. That one was chosen by them, so its
            accuracy is no longer an honest estimate: it is for use, and no table is made of it.
        precision: "auto" also takes a checkpoint that was trained in another precision.
        release: Folder of the RP2 release, for the variant or the start of that name.

    Raises:
        FileNotFoundError: The release is needed, and there is none.
    """
    released = "rp2_release" in (recipe.variant.name, recipe.init)
    if released and release is None:
        raise FileNotFoundError(
            f"{recipe.variant.name} with INIT={recipe.init} needs the RP2 release. Run `make data` to fetch it."
        )
    start = rp2_release.load_weights(release) if released and release is not None else None
    settings: dict[str, Any] = dataclasses.asdict(recipe) | {
        "variant": recipe.variant.settings(),
        "data": data.label,
        "train_sha256": data.train.sha256(),
        "train_images": len(data.train),
        "start_sha256": weights_sha256(start) if start else None,
    }
    lock = path.with_name(f".{path.stem}.lock")
    with locked(lock, waiting=f"{path}: another run is training it; waiting for that"):
        kept = _take_up(path, settings, precision)
        if kept is not None:
            _drop_states(path)
            return kept
        dtype, reason = resolve(precision)
        if recipe.variant.name == "rp2_release":
            return _publish_release(path, settings, data, start)
        return _train(path, recipe, settings | {"precision": dtype}, reason, data, start)


def _take_up(path: Path, settings: dict[str, Any], precision: str) -> tuple[keras.Model, dict[str, Any]] | None:
    """Return the model at `path` and its provenance, if it was trained with these settings."""
    if not (path.exists() and path.with_suffix(".json").exists()):
        return None
    provenance = read_json(path.with_suffix(".json"))
    used = provenance["settings"].get("precision")
    wanted = settings if used is None else settings | {"precision": used if precision == "auto" else precision}
    model = keras.saving.load_model(path, compile=False)
    if provenance["settings"] == wanted and provenance["weights_sha256"] == weights_sha256(layer_weights(model)):
        print(f"{path}: taken as it is", flush=True)
        return model, provenance
    print(f"{path}: made anew, because {path.with_suffix('.json').name} says that it was made otherwise", flush=True)
    return None


def _train(
    path: Path,
    recipe: Recipe,
    settings: dict[str, Any],
    reason: str,
    data: sources.TrainingData,
    start: LayerWeights | None,
) -> tuple[keras.Model, dict[str, Any]]:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    state = path.with_name(f".{path.stem}-{digest}.training")
    _drop_states(path, but=state)
    board = path.parent / "tensorboard" / path.stem
    started = time.perf_counter()
    print(
        f"{path}: training on {len(data.train)} images ({data.label}) for {recipe.epochs} epochs. {reason}", flush=True
    )
    try:
        trained = fit(recipe, data, state=state, dtype=settings["precision"], start=start, board=board)
    except OSError as error:  # what h5py raises for a damaged file
        if not any(state.glob("epoch-*")):
            raise
        print(f"{state}: damaged ({error}); training from the start", flush=True)
        shutil.rmtree(state)
        trained = fit(recipe, data, state=state, dtype=settings["precision"], start=start, board=board)
    seconds = time.perf_counter() - started
    with atomic_path(path.with_suffix(".best.keras")) as temporary:
        trained.best.save(temporary)
    with atomic_path(path.with_suffix(".csv")) as temporary:
        shutil.copyfile(trained.log, temporary)
    best = {"best_test_accuracy": held_out_accuracy(trained.best, data).value}
    published = _publish(path, trained.last, settings, data, best | {"precision": reason, "seconds": round(seconds, 1)})
    _drop_states(path)
    return published


def _drop_states(path: Path, but: Path | None = None) -> None:
    """Remove the states of trainings to `path` that nobody will go on with."""
    for state in path.parent.glob(f".{path.stem}-*.training"):
        if state != but:
            shutil.rmtree(state)


def _publish_release(
    path: Path, settings: dict[str, Any], data: sources.TrainingData, weights: LayerWeights | None
) -> tuple[keras.Model, dict[str, Any]]:
    model = lisa_cnn("rp2_release", weights=weights, dtype="float32")
    return _publish(path, model, settings, data, {"checkpoint": "RP2 release"})


def _publish(
    path: Path, model: keras.Model, settings: dict[str, Any], data: sources.TrainingData, more: dict[str, Any]
) -> tuple[keras.Model, dict[str, Any]]:
    """Write the checkpoint and, last, its provenance, without which it does not count."""
    accuracy = held_out_accuracy(model, data)
    provenance = {
        "settings": settings,
        "test_accuracy": accuracy.value,
        "test_correct": accuracy.count,
        "test_images": accuracy.n,
        "test_sha256": data.test.sha256(),
        "weights_sha256": weights_sha256(layer_weights(model)),
        **more,
        "environment": environment(cli.ROOT),
    }
    path.with_suffix(".json").unlink(missing_ok=True)
    with atomic_path(path) as temporary:
        model.save(temporary)
    write_json(path.with_suffix(".json"), provenance)
    low, high = accuracy.interval()
    print(
        f"{path}: {100 * accuracy.value:.1f}% of {accuracy.n} held-out images [{100 * low:.1f}, {100 * high:.1f}]",
        flush=True,
    )
    return model, provenance


def held_out_accuracy(model: keras.Model, data: sources.TrainingData) -> Rate:
    """Return the share of the held-out images that get their label."""
    return Rate(int((predict(model, data.test.images) == data.test.labels).sum()), len(data.test))
