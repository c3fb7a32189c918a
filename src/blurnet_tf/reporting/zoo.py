"""Filling a zoo: train a row, round its weights, measure these very weights, and write all of it into the index."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blurnet_tf.data.dataset import Dataset
from blurnet_tf.evaluation.scoring import held_out_accuracy
from blurnet_tf.evaluation.suites import Trial
from blurnet_tf.files import atomic_path, sha256
from blurnet_tf.models import feature_layer, layer_weights, set_layer_weights, weights_sha256
from blurnet_tf.models.zoo import ZooEntry, read_index, read_weights_file, weights_file, write_index, write_weights_file
from blurnet_tf.reporting.benchmark_rows import count_models, curve_rows
from blurnet_tf.reporting.tables import flat
from blurnet_tf.reporting.write import write_tables
from blurnet_tf.runs.checkpoints import Checkpoint, train_variant
from blurnet_tf.runs.controls import measure
from blurnet_tf.runs.experiments import subject
from blurnet_tf.runs.locks import locked
from blurnet_tf.runs.own import Candidate
from blurnet_tf.runs.run import StoredRun


def add_model(
    row: str,
    data: Dataset,
    *,
    seed: int = 0,
    folder: Path,
    checkpoints: Path,
    results: Path,
    preset: str = "quick",
    precision: str = "auto",
    suite: str | Sequence[Trial] = "standard",
    areas: Sequence[int] = (),
    sign: str | None = "stop",
) -> ZooEntry:
    """Put a row into a zoo: trained, if that is not done, and measured with the weights that the zoo then has.

    Args:
        row: ``variant`` or ``variant+procedure``.
        data: What it is trained and tested on, and whose victims are attacked.
        seed: Of the training.
        folder: The zoo. Its other models stay as they are; one of the same name is replaced whole, and only by the
            same training.
        checkpoints: Folder of the checkpoints.
        results: Folder for cells and tables, a folder in it for each model.
        preset: As for `train_variant`.
        precision: Likewise.
        suite: Of `check`, on the victims.
        areas: Of its curve.
        sign: The class whose held-out images are attacked as well, as for Table 3; `None`: none.

    Raises:
        ValueError: The zoo has a model of this name that was trained otherwise.
    """
    trained = train_variant(row, data, folder=checkpoints, preset=preset, seed=seed, precision=precision)
    file = weights_file(row, data.key, seed)
    _check_same(folder, file, trained)  # before hours of attacks
    model = _rounded(trained, data, results / file)
    one = Candidate(subject=subject(model), layer=feature_layer(model.model))
    given: dict[str, Any] = {"training_data": data, "precision": precision, "preset": preset}
    place = (results / file).with_suffix("")
    found = measure(one, data, results=place, suite=suite, areas=areas, sign=sign, **given)
    runs = [run for run in found if run is not None]
    for run in runs:
        write_tables(run)
    entry = ZooEntry(
        name=row,
        dataset=data.key,
        seed=seed,
        title=model.row().title,
        file=file,
        sha256=sha256(model.path),
        bytes=model.path.stat().st_size,
        weights_sha256=model.provenance["weights_sha256"],
        variant=model.variant.settings(),
        class_names=data.test().class_names,
        image_size=data.image_size,
        data=data.facts(),
        training=trained.provenance,
        test_correct=model.provenance["test_correct"],
        test_images=model.provenance["test_images"],
        measured=tuple(_measured(run) for run in runs),
    )
    with locked(folder / ".lock", waiting=f"{folder}: another process is writing to it; waiting"):
        _check_same(folder, file, trained)
        others = [one for one in read_index(folder) if one.file != file]
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / file) as temporary:
            shutil.copyfile(model.path, temporary)
        write_index(folder, [*others, entry])
    return entry


def copy_models(folder: Path, target: Path, shipped: Sequence[str]) -> None:
    """Copy the index of a zoo to another folder, and of its weights the files `shipped`; others there are removed."""
    for old in target.rglob("*.npz"):
        if str(old.relative_to(target)) not in shipped:
            old.unlink()
    for file in shipped:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, target / file)
    write_index(target, read_index(folder))


def _check_same(folder: Path, file: str, trained: Checkpoint) -> None:
    """Raise ValueError if the zoo has another model of this name: of another training, or of other images."""
    for one in read_index(folder):
        if one.file == file and one.training["settings"] != trained.provenance["settings"]:
            raise ValueError(
                f"{folder} must have one model {file}. Received: one that was trained otherwise, or on other images. "
                "Name another folder, or remove that file and its entry in the index."
            )


def _rounded(trained: Checkpoint, data: Dataset, path: Path) -> Checkpoint:
    """Return the checkpoint as the zoo has it: its weights rounded, in a file of the zoo, and scored."""
    write_weights_file(path, layer_weights(trained.model), data.image_size)
    weights, _ = read_weights_file(path)
    model = trained.with_variant(trained.variant)
    set_layer_weights(model, weights)
    accuracy = held_out_accuracy(model, data.test())
    scored = {"test_correct": accuracy.count, "test_images": accuracy.n, "test_accuracy": accuracy.value}
    provenance = {**trained.provenance, **scored, "weights_sha256": weights_sha256(weights)}
    return dataclasses.replace(trained, path=path, model=model, provenance=provenance)


def _measured(run: StoredRun) -> dict[str, Any]:
    """Return a row of `make check` as columns, with what it is of."""
    (counted,) = count_models(run)
    facts = run.run
    of = {"images": facts.data["title"], "mask_pixels": facts.mask["pixels"], "suite": facts.suite}
    trials = [{name: value for name, value in flat(row).items() if name != "model"} for row in counted.rows]
    return {"of": of, **flat(counted.summary), "trials": trials, "curve": [flat(row) for row in curve_rows(run)]}
