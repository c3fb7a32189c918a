"""Any model as a subject of a benchmark: a function, a Keras model, a file, a checkpoint."""

from __future__ import annotations

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
from blurnet_tf.runs.cells import ModelSpec, hold
from blurnet_tf.runs.checkpoints import Checkpoint
from blurnet_tf.runs.experiments import Subject, subject
from blurnet_tf.runs.run import RunRow
from blurnet_tf.training.precision import make_deterministic

FINGERPRINT = 64
"""A model that is in no file is known by what it answers to so many images, and by the gradient there."""


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
    model: Any, images: NDArray[np.float32], *, name: str | None = None, checkpoints: Path | None = None
) -> Candidate:
    """Return any model as a candidate, checked on the images that will be attacked.

    Args:
        model: A callable from images to logits, a Keras model, a `Classifier`, a `Checkpoint`, the path of a SavedModel
            folder or of a `.keras` file, or the name of a checkpoint in `checkpoints`.
        images: float32 (n, H, W, 3) in [0, 1].
        name: In the tables; by default that of the model.
        checkpoints: Folder of trained models, `<name>.keras`.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: It is none of these.
        ValueError: Its answers are no table (n, classes), or not finite.
    """
    make_deterministic()
    if isinstance(model, Candidate):
        return model
    if isinstance(model, Subject):
        return Candidate(subject=model)
    if isinstance(model, Checkpoint):
        return Candidate(subject=subject(model), layer=_first_convolution(model.model))
    if isinstance(model, str | os.PathLike):
        model = load_classifier(_found(model, checkpoints))
    if isinstance(model, Classifier):
        return Candidate(subject=subject(model), differentiable=_differentiable(model, images))
    if not callable(model):
        raise TypeError(
            "`model` must be a function from images to logits, a Keras model, or the path of a SavedModel or .keras "
            f"file. Received: {type(model).__name__}"
        )
    return _live(model, images, name or getattr(model, "name", None) or getattr(model, "__name__", "") or "model")


def _live(model: Any, images: NDArray[np.float32], name: str) -> Candidate:
    answers = check_outputs(model(tf.constant(images[:FINGERPRINT])), len(images[:FINGERPRINT]))
    facts, called = {}, model
    if np.isfinite(answers).all() and are_probabilities(answers):
        facts = {"probabilities": True}

        def called(images: Any) -> Any:
            return tf.math.log(tf.maximum(tf.cast(model(images), tf.float32), LEAST_PROBABILITY))

    differentiable = _differentiable(called, images)
    name = "".join(letter if letter.isalnum() or letter in "._+-" else "-" for letter in name).strip(".-") or "model"
    digest = _fingerprint(called, images[:FINGERPRINT], differentiable)
    hold(digest, called)
    spec = ModelSpec(name=name, path="", sha256=digest, held=True)
    row = RunRow(name=name, title=name, weights_sha256=digest, extra={"model": {"name": name}})
    layer = "" if facts else _first_convolution(model)
    return Candidate(subject=Subject(spec=spec, row=row), differentiable=differentiable, layer=layer, facts=facts)


def _found(model: str | os.PathLike[str], checkpoints: Path | None) -> Path:
    path = Path(model)
    stored = None if checkpoints is None else checkpoints / f"{model}.keras"
    if path.exists() or stored is None:
        return path
    if not stored.is_file():
        raise FileNotFoundError(
            f"`model` must be the path of a SavedModel folder or of a .keras file, or the name of a model in "
            f"{checkpoints}. Received: {model}, which is neither"
        )
    return stored


def _differentiable(model: Any, images: NDArray[np.float32]) -> bool:
    """Return whether a gradient reaches the images; ValueError for a model that cannot be attacked at all."""
    check_model(model, images, differentiable=False)
    few = tf.constant(images[:2])
    with tf.GradientTape() as tape:
        tape.watch(few)
        logits = model(few)
    try:
        return tape.gradient(logits, few) is not None
    except LookupError:  # an operation without a gradient
        return False


def _fingerprint(model: Any, images: NDArray[np.float32], differentiable: bool) -> str:
    """Return a checksum of answers and gradients on images as they are, and half covered with white."""
    digest = hashlib.sha256()
    for some in (images, np.where(np.arange(images.shape[2])[:, None] % 2, images, np.float32(1))):
        given = tf.constant(some)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(given)
            logits = tf.cast(model(given), tf.float32)
            top = tf.reduce_max(logits, axis=1)
        digest.update(np.asarray(logits, np.float32).tobytes())
        if differentiable:
            digest.update(np.asarray(tape.gradient(top, given), np.float32).tobytes())
    return digest.hexdigest()


def _first_convolution(model: Any) -> str:
    if not isinstance(model, keras.Model) or not model.inputs:
        return ""
    return next((layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)), "")
