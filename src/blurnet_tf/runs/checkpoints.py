"""Checkpoints: where a model is kept, and how it comes there: taken up, trained, or read from the release."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import keras

from blurnet_tf.data import rp2_release, sources
from blurnet_tf.files import atomic_path
from blurnet_tf.models import layer_weights, lisa_cnn, weights_sha256
from blurnet_tf.models.lisa_cnn import LayerWeights
from blurnet_tf.runs.kept import held_out_accuracy, publish, take_up
from blurnet_tf.runs.locks import locked
from blurnet_tf.training.fit import fit
from blurnet_tf.training.precision import resolve
from blurnet_tf.training.recipes import PRESETS, Recipe, recipe

FORMAT = 1
"""Raised when the same settings come to mean another training, so that older checkpoints are not taken for new ones."""


def checkpoint_path(folder: Path, data: str, preset: str, variant: str, init: str = "random", seed: int = 0) -> Path:
    """Return where a model is kept.

    LISA, its random split, each preset but the default, each start and each seed but 0 have folders: none overwrites
    another. The released model is the same under all of them.
    """
    parts = [data] * (data != "synthetic")
    if variant != "rp2_release":
        parts += [preset] * (preset != "quick") + [f"from_{init}"] * (init != "random") + [f"seed-{seed}"] * (seed != 0)
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
    path = checkpoint_path(folder, data.name, preset, "baseline", seed=seed)
    model, provenance = trained_model(recipe(preset, "baseline", seed=seed), data, path=path, precision=precision)
    return layer_weights(model), provenance


def trained_variant(
    name: str, data: sources.TrainingData, options: Any, release: Path | None
) -> tuple[Path, keras.Model, dict[str, Any]]:
    """Return the checkpoint of a variant, its model and its provenance, as the arguments of a program want it.

    Args:
        name: The variant.
        data: What it is trained and tested on.
        options: With `checkpoints`, `preset`, `init`, `train_seed` and `precision`.
        release: As for `trained_model`.
    """
    path = checkpoint_path(options.checkpoints, data.name, options.preset, name, options.init, options.train_seed)
    how = recipe(options.preset, name, seed=options.train_seed, init=options.init)
    return path, *trained_model(how, data, path=path, precision=options.precision, release=release)


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
    is_release = recipe.variant.name == "rp2_release"
    needed = is_release or recipe.init == "rp2_release"
    if needed and release is None:
        what = "VARIANT=rp2_release" if is_release else "INIT=rp2_release"
        raise FileNotFoundError(f"{what} needs the RP2 release. Run `make data` to fetch it.")
    start = rp2_release.load_weights(release) if needed and release is not None else None
    settings: dict[str, Any] = {
        "format": FORMAT,
        "variant": recipe.variant.settings(),
        "start_sha256": weights_sha256(start) if start else None,
    }
    if not is_release:
        how = dataclasses.asdict(recipe)
        del how["variant"]
        settings |= how | {
            "data": data.label,
            "train_sha256": data.train.sha256(),
            "train_images": len(data.train),
        }
    lock = path.with_name(f".{path.stem}.lock")
    with locked(lock, waiting=f"{path}: another run is training it; waiting for that"):
        kept = take_up(path, settings, data.test, precision)
        if kept is not None:
            return kept
        if is_release:
            model = lisa_cnn(recipe.variant, weights=start, dtype="float32")
            return publish(path, model, settings, data.test, {"checkpoint": "RP2 release"})
        dtype, reason = resolve(precision)
        return _train(path, recipe, settings | {"precision": dtype}, reason, data, start)


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
    _tidy(path, but=state)
    board = path.parent / "tensorboard" / path.stem
    started = time.perf_counter()
    print(
        f"{path}: training on {len(data.train)} images ({data.label}) for {recipe.epochs} epochs. {reason}", flush=True
    )
    trained = fit(recipe, data, state=state, dtype=settings["precision"], start=start, board=board)
    # A checkpoint counts only with its provenance: from here until that is written, there is none.
    path.with_suffix(".json").unlink(missing_ok=True)
    with atomic_path(path.with_suffix(".best.keras")) as temporary:
        trained.best.save(temporary)
    with atomic_path(path.with_suffix(".csv")) as temporary:
        shutil.copyfile(trained.log, temporary)
    more = {
        "best_test_accuracy": held_out_accuracy(trained.best, data.test).value,
        "precision": reason,
        "seconds_since_start_or_resumption": round(time.perf_counter() - started, 1),
    }
    published = publish(path, trained.last, settings, data.test, more)
    shutil.rmtree(state)
    _tidy(path)
    return published


def _tidy(path: Path, but: Path | None = None) -> None:
    """Remove the states of trainings to `path` that nobody will go on with, and what a kill left half-written there.

    The names are matched to the end: another model's name may begin with this one's.
    """
    name = re.escape(path.stem)
    state = re.compile(rf"\.{name}-[0-9a-f]{{12}}\.training")
    part = re.compile(rf"\.{name}(\.best)?\.[0-9a-f]{{32}}\.(keras|csv|json)")
    for other in path.parent.glob(f".{path.stem}*"):
        if part.fullmatch(other.name):
            other.unlink()
        elif state.fullmatch(other.name) and other != but:
            print(f"{other}: removed, because no training goes on from it", flush=True)
            shutil.rmtree(other)
