"""Trainings that end in a checkpoint: here, or by a worker of the current engine."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from blurnet_tf.data.split import Split, read_split
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.scoring import held_out_accuracy
from blurnet_tf.files import atomic_path, read_json, write_json
from blurnet_tf.models import LayerWeights, layer_weights, weights_sha256
from blurnet_tf.models.inspection import read_keras_file
from blurnet_tf.runs.cells import read_weights
from blurnet_tf.runs.executors import Engine, answer, current
from blurnet_tf.runs.locks import locked
from blurnet_tf.runs.parcels import Files, packed_split, packed_weights
from blurnet_tf.training.fit import fit
from blurnet_tf.training.precision import make_deterministic
from blurnet_tf.training.recipes import Recipe

Trained = tuple[keras.Model, dict[str, Any]]
"""The float32 model after the last epoch, and its provenance."""

_PARTS = (".best.keras", ".csv", ".keras", ".json")
"""What a training writes, in this order: a checkpoint counts only with the last."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A training.

    Attributes:
        path: The checkpoint, `<row>.keras`; the other files stand beside it.
        recipe: How it is trained.
        settings: What the provenance says of that.
        reason: Why it computes in the format of the settings.
        train, test: The images.
        start: The weights to start from, where the recipe says so.
    """

    path: Path
    recipe: Recipe
    settings: dict[str, Any]
    reason: str
    train: Split
    test: Split
    start: LayerWeights | None

    @property
    def state(self) -> Path:
        """The folder of the state that a killed training resumes from."""
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:12]
        return self.path.with_name(f".{self.path.stem}-{digest}.training")

    @property
    def board(self) -> Path:
        """The folder of TensorBoard."""
        return self.path.parent / "tensorboard" / self.path.stem


def train_to(job: Job) -> Trained:
    """Train, and write the checkpoint with what stands beside it."""
    path = job.path
    _remove_leftovers(path, but=job.state)
    images = f"{len(job.train)} images ({job.settings['data']})"
    print(f"{path}: training on {images} for {job.recipe.epochs} epochs. {job.reason}", flush=True)
    engine = current()
    found = _make(job, job.state, job.board) if engine is None else _made_elsewhere(engine, job)
    shutil.rmtree(job.state, ignore_errors=True)  # a worker that was given up may hold a file of it
    _remove_leftovers(path)
    return found


def _make(job: Job, state: Path, board: Path) -> Trained:
    started = time.perf_counter()
    path, test = job.path, job.test
    precision = job.settings["precision"]
    trained = fit(job.recipe, job.train, test, state=state, dtype=precision, start=job.start, board=board)
    # A checkpoint counts only with its provenance: from here until that is written, there is none.
    path.with_suffix(".json").unlink(missing_ok=True)
    with atomic_path(path.with_suffix(".best.keras")) as temporary:
        trained.best.save(temporary)
    with atomic_path(path.with_suffix(".csv")) as temporary:
        shutil.copyfile(trained.log, temporary)
    more = {
        "best_test_accuracy": held_out_accuracy(trained.best, test).value,
        "precision": job.reason,
        "seconds_since_start_or_resumption": round(time.perf_counter() - started, 1),
    }
    return trained.last, save(path, trained.last, job.settings, test, more)


def _made_elsewhere(engine: Engine, job: Job) -> Trained:
    """Have a worker train, and write what it gives back. It resumes where it sees the folder of the state, too."""
    path, state = job.path, job.state
    state.mkdir(parents=True, exist_ok=True)
    token = state / f".{uuid.uuid4().hex}"
    token.touch()
    places = {"state": state, "board": job.board, "token": token}
    content: dict[str, Any] = {
        "name": path.name,
        "recipe": job.recipe.to_json(),
        "settings": job.settings,
        "reason": job.reason,
        "places": {name: str(place.resolve()) for name, place in places.items()},
        "train": f"{job.train.sha256()}.split.npz",
        "test": f"{job.test.sha256()}.split.npz",
        "start": job.start and f"{weights_sha256(job.start)}.npz",
    }
    files: Files = {content[part]: functools.partial(packed_split, getattr(job, part)) for part in ("train", "test")}
    if job.start is not None:
        files[content["start"]] = functools.partial(packed_weights, job.start, job.train.images.shape[1:3])
    parts = answer(engine.submit(train_packed, content, files), str(path)).result
    path.with_suffix(".json").unlink(missing_ok=True)
    for part in _PARTS:
        with atomic_path(path.with_suffix(part)) as temporary:
            temporary.write_bytes(parts[part])
    provenance = read_json(path.with_suffix(".json"))
    _say(path, Rate(provenance["test_correct"], provenance["test_images"]))
    return read_keras_file(path), provenance


def train_packed(content: Mapping[str, Any], folder: Path) -> dict[str, bytes]:
    """Train what `_made_elsewhere` asks for, and return the files of the checkpoint by their ends: a task."""
    make_deterministic()
    places = {name: Path(place) for name, place in content["places"].items()}
    with tempfile.TemporaryDirectory(dir=folder) as own:
        path = Path(own) / content["name"]
        job = Job(
            path=path,
            recipe=Recipe.from_json(content["recipe"]),
            settings=content["settings"],
            reason=content["reason"],
            train=read_split(folder / content["train"]),
            test=read_split(folder / content["test"]),
            start=content["start"] and read_weights(folder / content["start"])[0],
        )
        shared = places["token"].exists()  # the driver's folders are seen from here
        state, board = (places["state"], places["board"]) if shared else (job.state, job.board)
        # A worker that was given up may still be at it.
        with locked(state / ".lock", waiting=f"{path.name}: another worker is training it; waiting"):
            _make(job, state, board)
        return {part: path.with_suffix(part).read_bytes() for part in _PARTS}


def save(path: Path, model: keras.Model, settings: dict[str, Any], test: Split, more: dict[str, Any]) -> dict[str, Any]:
    """Score a model on the held-out images, write it, and last its provenance, without which it does not count."""
    path.with_suffix(".json").unlink(missing_ok=True)
    with atomic_path(path) as temporary:
        model.save(temporary)
    provenance = {
        "settings": settings,
        **score(path, model, test),
        "weights_sha256": weights_sha256(layer_weights(model)),
        **more,
        "environment": environment(),
    }
    write_json(path.with_suffix(".json"), provenance)
    return provenance


def score(path: Path, model: keras.Model, test: Split) -> dict[str, Any]:
    accuracy = held_out_accuracy(model, test)
    _say(path, accuracy)
    return {
        "test_accuracy": accuracy.value,
        "test_correct": accuracy.count,
        "test_images": accuracy.n,
        "test_sha256": test.sha256(),
    }


def _say(path: Path, accuracy: Rate) -> None:
    low, high = accuracy.interval()
    share = f"{100 * accuracy.value:.1f}% of {accuracy.n} held-out images"
    print(f"{path}: {share} [{100 * low:.1f}, {100 * high:.1f}]", flush=True)


def _remove_leftovers(path: Path, but: Path | None = None) -> None:
    """Remove the states of trainings to `path` that none will resume, and files that a kill left half-written.

    The names are matched to the end: another model's name may begin with this one's.
    """
    name = re.escape(path.stem)
    state = re.compile(rf"\.{name}-[0-9a-f]{{12}}\.training")
    part = re.compile(rf"\.{name}(\.best)?\.[0-9a-f]{{32}}\.(keras|csv|json)")
    for other in path.parent.glob(f".{path.stem}*"):
        if part.fullmatch(other.name):
            other.unlink()
        elif state.fullmatch(other.name) and other != but:
            print(f"{other}: removing it, because no training resumes from it", flush=True)
            shutil.rmtree(other)
