"""Cells as plain data: an attack, plain stickers or questions, on named models and images; `compute` fills one.

A specification holds only what JSON can hold, so any process or machine can compute it. What decides the content,
checksums instead of places, makes the name of its folder: a cell whose inputs changed has another name.
"""

from __future__ import annotations

import functools
import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf import attacks
from blurnet_tf.attacks.inputs import Model
from blurnet_tf.attacks.masks import load_mask
from blurnet_tf.data import rp2_release
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.registry import load_dataset
from blurnet_tf.data.split import Split, read_split
from blurnet_tf.defenses import FixedBlur
from blurnet_tf.evaluation.attacking import attack_and_score, clean_records, cover
from blurnet_tf.evaluation.binarization import binarization_test
from blurnet_tf.evaluation.probe import probe
from blurnet_tf.evaluation.records import Record
from blurnet_tf.models import LayerWeights, Variant, build_network, layer_weights, weights_sha256
from blurnet_tf.models.classifier import load_classifier
from blurnet_tf.models.inspection import model_sha256, read_keras_file
from blurnet_tf.models.zoo import read_weights_file
from blurnet_tf.reading import read_array
from blurnet_tf.training.precision import make_deterministic

FORMAT = 4
"""Raised when cells of the same inputs get another content, so that older ones are not taken for new ones."""

Content = tuple[Sequence[Record], Mapping[str, NDArray[Any]]]
"""What a cell holds: records, and named arrays."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A model: what decides its answers, and where its weights are.

    Attributes:
        name: Its name in the records.
        path: A `.keras` file, one of the zoo (`.npz`), a SavedModel folder, or the folder of the RP2 release.
        sha256: `weights_sha256` of its weights; without a variant, `model_sha256` of its files.
        variant: `Variant.settings()` of the network that the weights are put into; `None`: the model as it was saved.
        input_blur: Side of a box blur in front of the model; 0 for none.
        signature, output, output_name: As for `load_classifier`, of a model without a variant.
        trust: As for `load_classifier`; it does not decide the answers.
        held: Whether it is an object of this process, given to `hold` under its checksum, and no file.
    """

    name: str
    path: str
    sha256: str
    variant: Mapping[str, Any] | None = None
    input_blur: int = 0
    signature: str | None = None
    output: str = "logits"
    output_name: str | None = None
    trust: bool = False
    held: bool = False

    def load(self, dtype: str) -> Model:
        """Return the model; one with a variant computes in the Keras policy `dtype`."""
        if not self.held:
            return _load_model(json.dumps(asdict(self)), dtype)
        if self.sha256 not in _HELD:
            raise ValueError(f"The model {self.name} must be given to `hold` first, because it is in no file.")
        return _HELD[self.sha256]

    def inputs(self) -> dict[str, Any]:
        """Return what decides the answers, wherever the model is."""
        return {key: value for key, value in asdict(self).items() if key not in ("path", "trust")}


@dataclass(frozen=True, kw_only=True)
class ImagesSpec:
    """Images, with the classes of a model, which are found by name.

    Attributes:
        source: The arguments with which `load_dataset` gives the data set; or `file`, which `save_split` wrote.
        class_names: The classes of the model.
        sha256: Of the images, `Split.sha256`.
        part: "victims" or "test".
        label: The class that is taken alone, or `None`.
        every: Of how many images one is taken, and which first: (2, 1) is every second, from the second on.
    """

    source: Mapping[str, Any]
    class_names: tuple[str, ...]
    sha256: str
    part: str = "victims"
    label: int | None = None
    every: tuple[int, int] = (1, 0)

    def load(self) -> Split:
        return _load_images(json.dumps(asdict(self)))


@dataclass(frozen=True, kw_only=True)
class MaskSpec:
    """A mask: an image of it that `load_mask` reads, or an array in a `.npy` file; and the checksum of the array."""

    path: str
    sha256: str

    def load(self) -> NDArray[np.float32]:
        return _load_mask(self.path, self.sha256)


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """One cell.

    Attributes:
        name: Start of its folder's name, for the reader.
        images, mask: What is attacked, and where. Without a mask nothing is: the victims are asked about the images.
        victims: The models that are scored, in float32.
        kind: "attack"; "plain", plain stickers; "probe", what the model says of the clean images (`probe`);
            "binarization", the test of the attack that `binarization_test` makes.
        source: The model that the attack sees; `None` where there is no attack.
        attack: `to_config()` of the attack, or `None`.
        targets: The wanted classes; none for an attack that moves away from the labels.
        scored: Images that are scored in place of the attacked ones, or `None`.
        iterates, view: As for `attack_and_score` and `cover`; the view as `to_config()`.
        colours: Of plain stickers, as for `cover`; none for its own choice.
        dtype: Keras policy that the attack computes in.
        keep_images: Whether the attacked images are stored too.
    """

    name: str
    images: ImagesSpec
    mask: MaskSpec | None
    victims: tuple[ModelSpec, ...]
    kind: str = "attack"
    source: ModelSpec | None = None
    attack: Mapping[str, Any] | None = None
    targets: tuple[int, ...] = ()
    scored: ImagesSpec | None = None
    iterates: tuple[str, ...] = ("last",)
    view: Mapping[str, Any] | None = None
    colours: tuple[tuple[float, ...], ...] = ()
    dtype: str = "float32"
    keep_images: bool = False

    def inputs(self) -> dict[str, Any]:
        """Return everything that decides the content, as JSON can write it; places of files are left out."""
        inputs = {
            "format": FORMAT,
            "kind": self.kind,
            "images_sha256": self.images.sha256,
            "mask_sha256": self.mask and self.mask.sha256,
            "victims": [victim.inputs() for victim in self.victims],
            "view": self.view,
            "colours": self.colours,
        }
        if self.source is not None:
            settings = ("attack", "targets", "iterates", "dtype", "keep_images")
            inputs |= {"source": self.source.inputs()} | {name: getattr(self, name) for name in settings}
            inputs["scored_sha256"] = self.scored and self.scored.sha256
        return json.loads(json.dumps(inputs))

    @property
    def folder(self) -> str:
        """The name of its folder."""
        digest = hashlib.sha256(json.dumps(self.inputs(), sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:12]}"

    def to_json(self) -> dict[str, Any]:
        """Return the whole specification, places included, as JSON can write it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> CellSpec:
        """Return the specification that `to_json` wrote."""

        def images(given: Mapping[str, Any]) -> ImagesSpec:
            return ImagesSpec(**{**given, **{name: tuple(given[name]) for name in ("class_names", "every")}})

        parts = {
            "images": images(content["images"]),
            "mask": content["mask"] and MaskSpec(**content["mask"]),
            "victims": tuple(ModelSpec(**victim) for victim in content["victims"]),
            "source": content["source"] and ModelSpec(**content["source"]),
            "targets": tuple(content["targets"]),
            "iterates": tuple(content["iterates"]),
            "colours": tuple(map(tuple, content["colours"])),
            "scored": content["scored"] and images(content["scored"]),
        }
        return cls(**{**content, **parts})


def compute(spec: CellSpec) -> Content:
    """Return the content of a cell: records of every victim, and the perturbation with its history.

    Loaded models, and the compiled steps of an attack, stay for the next cell that asks for the same.

    Raises:
        FileNotFoundError: A file is gone.
        ValueError: A file is another one now, or the attack refuses the model.
    """
    make_deterministic()
    return _COMPUTE[spec.kind](spec)


def hold(sha256: str, model: Model) -> None:
    """Let the cells of this process find a model that is in no file by its checksum."""
    _HELD[sha256] = model


def _plain(spec: CellSpec) -> Content:
    images, mask, view = spec.images.load(), _mask(spec), _view(spec)
    more: dict[str, Any] = {"colours": spec.colours or None, "view": view}
    return [
        record for one in spec.victims for record in cover(one.load("float32"), images, mask, name=one.name, **more)
    ], {}


def _probe(spec: CellSpec) -> Content:
    (victim,), images = spec.victims, spec.images.load()
    model = victim.load("float32")
    return clean_records(model, images, name=victim.name), probe(model, images.images, images.labels)


def _attack(spec: CellSpec) -> Content:
    images = spec.images.load()
    records, result = attack_and_score(
        attacks.from_config(_given(spec, "attack")),
        _source(spec),
        images,
        targets=list(spec.targets) or None,
        mask=_mask(spec),
        source=_given(spec, "source").name,
        victims={victim.name: victim.load("float32") for victim in spec.victims},
        scored=None if spec.scored is None else spec.scored.load(),
        iterates=spec.iterates,
        view=_view(spec),
    )
    arrays = {"perturbation": result.perturbation, **result.history}
    return records, arrays | ({"adversarial": result.apply(images.images)} if spec.keep_images else {})


def _binarization(spec: CellSpec) -> Content:
    result = binarization_test(
        _source(spec), spec.images.load().images, _mask(spec), attacks.from_config(_given(spec, "attack"))
    )
    return [], {name: np.asarray(value) for name, value in asdict(result).items()}


def _source(spec: CellSpec) -> Model:
    return _given(spec, "source").load(spec.dtype)


def _mask(spec: CellSpec) -> NDArray[np.float32]:
    return _given(spec, "mask").load()


def _view(spec: CellSpec) -> attacks.Expectation | None:
    return None if spec.view is None else attacks.from_config(spec.view)


def _given(spec: CellSpec, name: str) -> Any:
    if (value := getattr(spec, name)) is None:
        raise ValueError(f"A cell of the kind {spec.kind!r} must have {name}=. Received: None")
    return value


def read_weights(path: Path) -> tuple[LayerWeights, tuple[int, int]]:
    """Return the arrays by layer, and height and width of the images: of a checkpoint, the zoo or the RP2 release."""
    if path.is_dir():
        return rp2_release.load_weights(path), (rp2_release.SIZE, rp2_release.SIZE)
    if not path.is_file():
        raise FileNotFoundError(f"Checkpoint {path} does not exist. Train it again, or name another one.")
    if path.suffix == ".npz":
        return read_weights_file(path)
    model = read_keras_file(path)
    return layer_weights(model), tuple(model.input_shape[1:3])


def mask_sha256(mask: NDArray[np.float32]) -> str:
    """Return the checksum of a mask as it is used; the file that it was read from may have other bytes."""
    return hashlib.sha256(np.ascontiguousarray(mask, np.float32).tobytes()).hexdigest()


@functools.lru_cache(maxsize=16)  # the ablation has ten
def _load_model(spec_json: str, dtype: str) -> Model:
    spec = ModelSpec(**json.loads(spec_json))
    model: Model
    if spec.variant is None:
        model = _load_file(spec.path, spec.sha256, spec.signature, spec.output, spec.output_name, spec.trust)
    else:
        weights, size = _load_weights(spec.path, spec.sha256)
        variant, classes = Variant.from_settings(spec.variant), weights["logits"][1].shape[-1]
        model = build_network(variant, classes=classes, image_size=size, weights=weights, dtype=dtype)
    if not spec.input_blur:
        return model
    blur = FixedBlur(spec.input_blur)
    return lambda images: model(blur(images))


# A file is read once for all the models that are made of it.
@functools.lru_cache(maxsize=2)
def _load_file(
    path: str, digest: str, signature: str | None, output: str, output_name: str | None, trust: bool
) -> Model:
    _check_sum(path, digest, model_sha256(Path(path)))
    return load_classifier(path, signature=signature, output=output, output_name=output_name, trust=trust)


@functools.lru_cache(maxsize=2)
def _load_weights(path: str, digest: str) -> tuple[LayerWeights, tuple[int, int]]:
    weights, size = read_weights(Path(path))
    _check_sum(path, digest, weights_sha256(weights))
    return weights, size


@functools.lru_cache(maxsize=4)
def _load_images(spec_json: str) -> Split:
    content = json.loads(spec_json)
    source, (step, first) = content["source"], content["every"]
    if "file" in source:
        images = read_split(Path(source["file"]))
    else:
        images = getattr(_load_dataset(json.dumps(source)), content["part"])()
    images = images.with_class_names(content["class_names"])
    if content["label"] is not None:
        images = images.select(images.labels == content["label"])
    images = images.select(slice(first, None, step))
    _check_sum(f"The images of {source.get('name') or source['file']}", content["sha256"], images.sha256())
    return images


@functools.lru_cache(maxsize=1)
def _load_dataset(source_json: str) -> Dataset:
    return load_dataset(**json.loads(source_json))


@functools.lru_cache(maxsize=4)
def _load_mask(path: str, digest: str) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # whoever made the specification has been told of stray pixels
        mask = read_array(path) if path.endswith(".npy") else load_mask(path)
    _check_sum(path, digest, mask_sha256(mask))
    return mask


def _check_sum(what: str, expected: str, received: str) -> None:
    if received != expected:
        raise ValueError(f"{what} must be what the cell was made for. Received: another content. Run it anew.")


_HELD: dict[str, Model] = {}

_COMPUTE: dict[str, Callable[[CellSpec], Content]] = {
    "attack": _attack, "plain": _plain, "probe": _probe, "binarization": _binarization,
}  # fmt: skip
