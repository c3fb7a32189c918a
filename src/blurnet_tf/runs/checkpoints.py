"""Checkpoints: a trained model with its provenance, found where an earlier run left it, or trained and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from blurnet_tf.attacks import from_config
from blurnet_tf.data import rp2_release
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.split import Split
from blurnet_tf.files import read_json, write_json
from blurnet_tf.models import VARIANTS, Variant, build_network, layer_weights, weights_sha256
from blurnet_tf.models.inspection import read_keras_file
from blurnet_tf.models.zoo import ZooEntry, weights_path
from blurnet_tf.runs.cells import ModelSpec, read_weights
from blurnet_tf.runs.locks import locked
from blurnet_tf.runs.run import Run, RunRow
from blurnet_tf.runs.trainings import Job, save, score, train_to
from blurnet_tf.training.precision import make_deterministic, resolve
from blurnet_tf.training.procedures import Plain, Procedure
from blurnet_tf.training.recipes import Recipe, recipe, row_name, row_title

FORMAT = 1
"""Raised when the same settings come to mean another training, so that older checkpoints are not taken for new ones."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A model that was trained, or that RP2's authors released.

    Attributes:
        path: The `.keras` file.
        variant: The network and its defence.
        procedure: How it was trained.
        model: The float32 model.
        provenance: `settings` of the training, `test_correct` of `test_images`, `weights_sha256` and more.
    """

    path: Path
    variant: Variant
    procedure: Procedure = Plain()
    model: keras.Model
    provenance: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its row: ``variant`` or ``variant+procedure``."""
        return row_name(self.variant, self.procedure)

    def with_variant(self, variant: Variant) -> keras.Model:
        """Return the network of another variant with the weights of this model, in float32."""
        size, classes = self.model.input_shape[1:3], self.model.output_shape[1]
        weights = layer_weights(self.model)
        return build_network(variant, classes=classes, image_size=size, weights=weights, dtype="float32")

    def spec(self, variant: Variant | None = None, *, name: str | None = None) -> ModelSpec:
        """Return the model as plain data, or its weights in the network of another variant."""
        network = variant or self.variant
        return ModelSpec(
            name=name or (variant.name if variant else self.name),
            path=str(self.path),
            sha256=self.provenance["weights_sha256"],
            variant=network.settings(),
        )

    def row(self, variant: Variant | None = None, **more: Any) -> RunRow:
        """Return the row of a table about the model; `more` are further fields of `RunRow`.

        The accuracy on the held-out images is that of the model: with another variant it is left out.
        """
        network = variant or self.variant
        known = variant is None or variant.name == self.variant.name
        fields: dict[str, Any] = {
            "name": variant.name if variant else self.name,
            "title": variant.title if variant else row_title(self.variant, self.procedure),
            "alpha": network.alpha,
            "checkpoint": str(self.path),
            "weights_sha256": self.provenance["weights_sha256"],
            "test_correct": self.provenance.get("test_correct") if known else None,
            "test_images": self.provenance.get("test_images") if known else None,
            "training": self.provenance,
        }
        return RunRow(**{**fields, **more})


def checkpoint_path(folder: Path, data: str, preset: str, variant: str, init: str = "random", seed: int = 0) -> Path:
    """Return where a model is stored.

    Each data set but the rendered signs, each preset but the default, each start and each seed but 0 have a folder:
    none overwrites another. The released model is the same under all of them.
    """
    parts = [data] * (data != "synthetic")
    if variant != "rp2_release":
        parts += [preset] * (preset != "quick") + [f"from_{init}"] * (init != "random") + [f"seed-{seed}"] * (seed != 0)
    return Path(folder).joinpath(*parts, f"{variant}.keras")


def train_variant(
    variant: str | Variant,
    data: Dataset,
    *,
    procedure: str | Procedure | None = None,
    folder: Path | str = "checkpoints",
    preset: str = "quick",
    seed: int = 0,
    init: str = "random",
    precision: str = "auto",
) -> Checkpoint:
    """Return a trained variant of the LISA-CNN: from its checkpoint, or trained now; see `train_checkpoint`.

    Args:
        variant: A name in `VARIANTS`, or one with a procedure behind it, "baseline+stickers"; or a `Variant` of your
            own.
        data: What it is trained and tested on.
        procedure: How it is trained, if the name of the variant does not say so: a name in `PROCEDURES`, or a
            `Procedure` of your own.
        folder: Of the checkpoints; see `checkpoint_path`.
        preset: "smoke", "quick" or "paper": how long it is trained.
        seed: Of the training.
        init: "random", or "rp2_release" to start from the weights of RP2's authors.
        precision: "auto", "float32" or "mixed_bfloat16". "auto" is content with a checkpoint of any precision.

    Raises:
        FileNotFoundError: The RP2 release is needed, and is in none of the roots of `data`.
        ValueError: An argument is none of those listed.

    Example:
        >>> checkpoint = train_variant("depthwise_7x7", load_dataset("lisa"), folder="checkpoints")  # doctest: +SKIP
    """
    how = recipe(preset, variant, procedure=procedure, seed=seed, init=init)
    path = checkpoint_path(Path(folder), data.key, preset, how.name, init, seed)
    return train_checkpoint(how, data, path=path, precision=precision)


def train_checkpoint(recipe: Recipe, data: Dataset, *, path: Path, precision: str = "auto") -> Checkpoint:
    """Return the model of a recipe: from the checkpoint `path` if that was trained just so, or trained now.

    A training that was killed resumes after its last whole epoch; one in another process is waited for.

    Args:
        recipe: How it is trained. The variant `rp2_release` is not trained, but read.
        data: What it is trained and tested on.
        path: The checkpoint, `<row>.keras`. Beside it: `.json`, the provenance; `.csv`, the log of the epochs; and
            `.best.keras`, the epoch with the best accuracy on the held-out images. That one was chosen by them, so its
            accuracy is no honest estimate: it is for use, and no table is made of it.
        precision: "auto" is content with a checkpoint of any precision.

    Raises:
        FileNotFoundError: The RP2 release is needed, and is in none of the roots of `data`.
    """
    make_deterministic()
    is_release = recipe.variant.name == "rp2_release"
    needed = is_release or recipe.init == "rp2_release"
    release = rp2_release.find(data.source["roots"]) if needed else None
    if needed and release is None:
        what = "VARIANT=rp2_release" if is_release else "INIT=rp2_release"
        raise FileNotFoundError(f"{what} needs the RP2 release. Run `make data` to fetch it.")
    start = None if release is None else rp2_release.load_weights(release)
    settings: dict[str, Any] = {
        "format": FORMAT,
        "variant": recipe.variant.settings(),
        "start_sha256": weights_sha256(start) if start else None,
    }
    test = data.test()
    if not is_release:
        train = data.train()
        settings |= recipe.settings() | {"data": data.title, "train_sha256": train.sha256(), "train_images": len(train)}
    with locked(path.with_name(f".{path.stem}.lock"), waiting=f"{path}: another process is training it; waiting"):
        found = _load(path, settings, test, precision)
        if found is None and is_release:
            model = build_network(recipe.variant, weights=start, dtype="float32")
            found = model, save(path, model, settings, test, {"checkpoint": "RP2 release"})
        elif found is None:
            dtype, reason = resolve(precision)
            settings["precision"] = dtype
            found = train_to(
                Job(path=path, recipe=recipe, settings=settings, reason=reason, train=train, test=test, start=start)
            )
    model, provenance = found
    return Checkpoint(path=path, variant=recipe.variant, procedure=recipe.procedure, model=model, provenance=provenance)


def stored_checkpoints(
    names: Sequence[str], folder: Path, data: str, preset: str, init: str = "random", seed: int = 0
) -> tuple[list[Checkpoint], list[str]]:
    """Return the variants that have a whole checkpoint, and the names of the others. Nothing is trained."""
    found, absent = [], []
    for name in names:
        path = checkpoint_path(folder, data, preset, name, init, seed)
        if not (path.is_file() and path.with_suffix(".json").is_file()):  # without its provenance it does not count
            absent.append(name)
            continue
        found.append(read_checkpoint(path))
    return found, absent


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint at `path`, `<row>.keras`, with its provenance, whatever it was trained on.

    Raises:
        OSError, ValueError: A file is not there or damaged.
    """
    record = path.with_suffix(".json")
    provenance = read_json(record)
    try:
        variant, procedure = _variant(provenance["settings"]["variant"]), _procedure(provenance)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{record} must say how {path.name} was trained. Received: no {error}. Train it again."
        ) from error
    return Checkpoint(
        path=path, variant=variant, procedure=procedure, model=read_keras_file(path), provenance=provenance
    )


def zoo_checkpoint(entry: ZooEntry, model: keras.Model) -> Checkpoint:
    """Return a loaded model of the zoo with its provenance: how it was trained, and what its rounded weights are.

    Raises:
        DownloadError, FileNotFoundError, ValueError: As for `load_model`.
    """
    names = ("weights_sha256", "test_correct", "test_images")
    provenance = {**entry.training, **{name: getattr(entry, name) for name in names}, "test_accuracy": entry.accuracy}
    return Checkpoint(
        path=weights_path(entry),
        variant=_variant(entry.variant),
        procedure=_procedure(entry.training),
        model=model,
        provenance=provenance,
    )


def find_checkpoint(row: RunRow, folder: Path) -> Path | None:
    """Return the file that a row of a run names, if it is in a folder of checkpoints; else `None`.

    A run may come from others: what it names elsewhere is not read. The folder may have another place now.
    """
    recorded = Path(row.checkpoint)
    for path in (folder.joinpath(*recorded.parts[1:]), recorded):
        inside = ".." not in path.parts and path.absolute().is_relative_to(folder.absolute())
        if inside and path.suffix == ".keras" and path.is_file():
            return path
    return None


def read_variants(run: Run) -> dict[str, keras.Model]:
    """Return the models of a run of transfer, each the network of its row with the weights that were attacked.

    Raises:
        FileNotFoundError: The weights are not there any more.
        ValueError: They are others now.
    """
    row = run.rows[0]
    weights, image_size = read_weights(Path(row.checkpoint))
    if weights_sha256(weights) != row.weights_sha256:
        raise ValueError(f"{row.checkpoint} must hold the model that was attacked. Received: another. Attack it anew.")
    network: dict[str, Any] = {"classes": len(run.class_names), "image_size": image_size, "weights": weights}
    return {row.name: build_network(row.name, dtype="float32", **network) for row in run.rows}


def attacked_baseline(
    data: Dataset, *, folder: Path, preset: str = "quick", seed: int = 0, init: str = "random", precision: str = "auto"
) -> Checkpoint:
    """Return the undefended model to attack: the released one for RP2's photographs, else one trained on `data`."""
    if data.release is None:
        return train_variant("baseline", data, folder=folder, preset=preset, seed=seed, init=init, precision=precision)
    weights = rp2_release.load_weights(data.release)
    provenance = {"checkpoint": "RP2 release", "weights_sha256": weights_sha256(weights)}
    variant = VARIANTS["baseline"]
    model = build_network(variant, weights=weights, dtype="float32")
    return Checkpoint(path=data.release, variant=variant, model=model, provenance=provenance)


def _variant(settings: Mapping[str, Any]) -> Variant:
    known = VARIANTS.get(settings["name"])
    return known if known and known.settings() == settings else Variant.from_settings(settings)


def _procedure(provenance: Mapping[str, Any]) -> Procedure:
    return from_config(provenance["settings"].get("procedure", Plain().to_config()))


def _load(
    path: Path, settings: dict[str, Any], test: Split, precision: str
) -> tuple[keras.Model, dict[str, Any]] | None:
    """Return the model at `path` and its provenance, if it was made with these settings; else say why not.

    With other test images than it was scored on, it is scored anew.
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
            print(f"{path}: training it again, because {record.name} has other settings", flush=True)
            return None
        model = read_keras_file(path)
        if provenance["weights_sha256"] != weights_sha256(layer_weights(model)):
            raise ValueError(f"its weights are not those of {record.name}")
        scored_on = provenance["test_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:  # a file that was changed since
        print(f"{path}: training it again, because it is damaged ({error})", flush=True)
        return None
    print(f"{path}: trained already", flush=True)
    if scored_on != test.sha256():
        provenance |= score(path, model, test)
        write_json(record, provenance)
    return model, provenance
