"""Any model as a subject of a benchmark: a function, a Keras model, a file, a checkpoint."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.attacks.inputs import check_model, check_outputs
from blurnet_tf.checks import are_probabilities
from blurnet_tf.models.classifier import LEAST_PROBABILITY, Classifier, load_classifier
from blurnet_tf.models.zoo import named_model
from blurnet_tf.runs.cells import ModelSpec, hold
from blurnet_tf.runs.checkpoints import Checkpoint, read_checkpoint
from blurnet_tf.runs.experiments import Subject, subject
from blurnet_tf.runs.run import RunRow
from blurnet_tf.training.precision import make_deterministic

FINGERPRINT = 64
"""A model that is in no file is known by what it says of so many images."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model to benchmark.

    Attributes:
        subject: The model as plain data, and its row.
        differentiable: Whether a gradient reaches the images; without one, only attacks that need none are made.
        layer: Name of its first convolution, if it is a Keras model whose maps an attack can see.
        facts: For the flags: "probabilities" where it ends in a softmax.
    """

    subject: Subject
    differentiable: bool = True
    layer: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def candidate(
    model: Any,
    images: NDArray[np.float32],
    mask: NDArray[np.float32],
    *,
    outputs: int,
    name: str | None = None,
    checkpoints: Path | None = None,
) -> Candidate:
    """Return any model as a candidate, checked on the images that will be attacked.

    Args:
        model: A callable from images to logits, a Keras model, a `Classifier`, a `Checkpoint`, the path of a SavedModel
            folder or of a `.keras` file, or the name of a checkpoint in `checkpoints` or of a model of the zoo.
        images: float32 (n, H, W, 3) in [0, 1].
        mask: float32 (H, W, 1), where stickers will be.
        outputs: How many classes there are.
        name: In the tables; by default that of the model.
        checkpoints: Folder of trained models, `<name>.keras`.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: It is none of these.
        ValueError: Its answers to the images are no table (n, outputs), or not finite.
    """
    make_deterministic()
    if isinstance(model, Candidate):
        return model
    if isinstance(model, Subject):
        return Candidate(subject=model)
    facts: dict[str, Any] = {}
    if isinstance(model, str | os.PathLike):
        model, facts = _read(model, images, checkpoints)
    if isinstance(model, Classifier) and model.entry is not None:
        _check(model, images, outputs)
        return Candidate(subject=_renamed(subject(model), name), layer=_first_convolution(model.model))
    if isinstance(model, Checkpoint):
        return Candidate(subject=_renamed(subject(model), name), layer=_first_convolution(model.model))
    if not callable(model):
        raise TypeError(
            "`model` must be a function from images to logits, a Keras model, or the path of a SavedModel or .keras "
            f"file. Received: {type(model).__name__}"
        )
    called = model
    if not isinstance(model, Classifier) and _are_probabilities(model, images):
        facts = {"probabilities": True}

        def called(images: Any) -> Any:
            return tf.math.log(tf.maximum(tf.cast(model(images), tf.float32), LEAST_PROBABILITY))

    differentiable = _check(called, images, outputs)
    if isinstance(model, Classifier):
        return Candidate(subject=_renamed(subject(model), name), differentiable=differentiable, facts=facts)
    name = name or getattr(model, "name", None) or getattr(model, "__name__", "") or "model"
    name = file_name(name) or "model"
    digest = _fingerprint(called, model, images, mask, differentiable)
    hold(digest, called)
    spec = ModelSpec(name=name, path="", sha256=digest, held=True)
    row = RunRow(name=name, title=name, weights_sha256=digest, extra={"model": {"name": name}})
    layer = "" if facts else _first_convolution(model)
    return Candidate(subject=Subject(spec=spec, row=row), differentiable=differentiable, layer=layer, facts=facts)


def file_name(text: str) -> str:
    """Return a name as the start of a file's: letters, digits and ``._+-``, at most 60."""
    return "".join(letter if letter.isalnum() or letter in "._+-" else "-" for letter in text).strip(".-")[:60]


def _renamed(one: Subject, name: str | None) -> Subject:
    if name is None:
        return one
    name = file_name(name) or one.spec.name
    return Subject(
        spec=dataclasses.replace(one.spec, name=name), row=dataclasses.replace(one.row, name=name, title=name)
    )


def _read(
    model: str | os.PathLike[str], images: NDArray[np.float32], checkpoints: Path | None
) -> tuple[Any, dict[str, Any]]:
    """Return the model of a file; one that ends in a softmax as the logarithm of what it gives."""
    path = Path(model)
    if not path.exists() and checkpoints is not None:
        stored = checkpoints / f"{model}.keras"
        if stored.is_file() and named_model(str(model)) is not None:
            raise ValueError(
                f"`model` must name one model. Received: {model}, which is a checkpoint, {stored}, and a model of the "
                "zoo. Give the path of the one, or `load_classifier` of the other."
            )
        if stored.with_suffix(".json").is_file():
            return read_checkpoint(stored), {}
        if stored.is_file():
            path = stored
        elif named_model(str(model)) is None:
            raise FileNotFoundError(
                "`model` must be the path of a SavedModel folder or of a .keras file, or the name of a model in "
                f"{checkpoints} or of the zoo. Received: {model}, which is none of these"
            )
    found = load_classifier(path)
    if _are_probabilities(found, images):
        return load_classifier(path, output="probabilities"), {"probabilities": True}
    return found, {}


def _are_probabilities(model: Any, images: NDArray[np.float32]) -> bool:
    few = images[:FINGERPRINT]
    try:
        answers = check_outputs(model(tf.constant(few)), len(few))
    except ValueError as error:  # what Keras says of a shape is long; its first line says what is wrong
        raise ValueError(
            f"`model` must take images of shape {images.shape[1:]} and return logits (n, classes). "
            f"Received: {str(error).strip().splitlines()[0]}"
        ) from error
    return bool(np.isfinite(answers).all() and are_probabilities(answers))


def _check(model: Any, images: NDArray[np.float32], outputs: int) -> bool:
    """Return whether a gradient reaches the images; ValueError for a model that cannot be attacked at all."""
    found = check_model(model, images, differentiable=False).shape[1]
    if found != outputs:
        raise ValueError(
            f"`model` must have an output for each of {outputs} classes. Received: {found} outputs. Give the names of "
            "its classes, in their order, as class_names="
        )
    few = tf.constant(images[:2])
    with tf.GradientTape() as tape:
        tape.watch(few)
        logits = model(few)
    try:
        return tape.gradient(logits, few) is not None
    except LookupError:  # an operation without a gradient
        return False


def _fingerprint(
    called: Any, model: Any, images: NDArray[np.float32], mask: NDArray[np.float32], differentiable: bool
) -> str:
    """Return a checksum of what is known of a model that is in no file.

    The weights of a Keras model; and of any model answers and gradients on some images as they are, and under stickers
    of plain colours and of noise: a model that answers all these alike counts as the same.
    """
    digest, few = hashlib.sha256(), images[:FINGERPRINT]
    if isinstance(model, keras.Model):
        for weights in model.get_weights():
            digest.update(np.ascontiguousarray(weights).tobytes())
    noise = np.random.default_rng(0).uniform(size=images.shape[1:]).astype(np.float32)
    stickers = [np.full(images.shape[1:], level, np.float32) for level in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for sticker in (None, noise, np.rint(noise), *stickers):
        given = tf.constant(few if sticker is None else np.where(mask > 0, sticker, few))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(given)
            logits = tf.cast(called(given), tf.float32)
            top = tf.reduce_max(logits, axis=1)
        digest.update(np.asarray(logits, np.float32).tobytes())
        if differentiable:
            digest.update(np.asarray(tape.gradient(top, given), np.float32).tobytes())
    return digest.hexdigest()


def _first_convolution(model: Any) -> str:
    """Return the name of the first convolution of a Keras model whose maps can be read beside its output, or ""."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        return ""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            try:
                keras.Model(model.inputs, [*model.outputs, layer.output])
            except (AttributeError, ValueError):  # it is called in another place than in this graph
                return ""
            return layer.name
    return ""
