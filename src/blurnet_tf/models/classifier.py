"""Somebody else's model as a file: a SavedModel or a `.keras` file, loaded as a callable that gives logits."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.files import sha256
from blurnet_tf.models.classifier_checks import check_answers, check_input, check_output_name, class_count, damaged

OUTPUTS: tuple[str, ...] = ("logits", "probabilities")
"""What the output of a model may be."""

TINY = 1e-37
"""Smaller probabilities count as this, the least power of ten in full float32 precision: their logarithm is finite."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """A model that was loaded from files, to be attacked: `classifier(images)` gives logits.

    Attributes:
        path: Where it was.
        name: The name of the file or folder, without `.keras`.
        signature: The signature of the SavedModel; `None` for a `.keras` file.
        output: What the model gives: "logits" or "probabilities".
        output_name: Which of its outputs that is; `None` if a `.keras` file has only one.
        size: Height and width of its images in pixels, each `None` if it takes any.
        classes: How many there are, or `None` if the file does not say.
        sha256: Checksum of the files that hold its graph and weights.
    """

    path: Path
    name: str
    signature: str | None
    output: str
    output_name: str | None
    size: tuple[int | None, int | None]
    classes: int | None
    sha256: str
    _answer: Callable[[Any], Any] = field(repr=False)
    _kept: Any = field(repr=False)  # the variables of a SavedModel live as long as this

    def __call__(self, images: Any) -> Any:
        """Return the logits of images, float32 (n, classes); from probabilities p, log p, which differs by a constant.

        Args:
            images: float32 (n, H, W, 3), RGB in [0, 1].
        """
        answers = tf.cast(self._answer(images), tf.float32)
        return answers if self.output == "logits" else tf.math.log(tf.maximum(answers, TINY))

    def check(self, images: ArrayLike) -> NDArray[Any]:
        """Return the logits of images, (n, classes), after all checks that an attack needs.

        Args:
            images: float32 (n, H, W, 3) in [0, 1]. The checks are about these: pass those that will be attacked.

        Raises:
            ValueError: The images have another size than those of the model; its answers are no table (n, classes), are
                not finite, or are not the logits or probabilities that `output` says; or no finite gradient reaches the
                images, with the reason as far as the graph shows it.
        """
        return check_answers(self, self._answer, images)

    def describe(self) -> dict[str, Any]:
        """Return what this is, for provenance and JSON: everything but where it was."""
        names = ("name", "signature", "output", "output_name", "size", "classes", "sha256")
        return {name: list(value) if isinstance(value := getattr(self, name), tuple) else value for name in names}


def load_classifier(
    path: str | os.PathLike[str],
    *,
    signature: str | None = None,
    output: str = "logits",
    output_name: str | None = None,
) -> Classifier:
    """Load a model from a SavedModel folder or a `.keras` file, to attack it.

    Args:
        path: The folder or the file. A `.keras` file with layers of its own needs them registered; one that holds
            Python code is refused.
        signature: The name of a signature of the SavedModel, by default "serving_default". It must have one input,
            floating (n, H, W, 3), whatever it is called; the images will be in [0, 1].
        output: "logits", or "probabilities" for a model that ends in a softmax.
        output_name: Which output it is. By default the only one, or the one that is called like `output`.

    Raises:
        FileNotFoundError: There is nothing at `path`.
        ValueError: It is neither kind of model, is damaged, has no such signature or output, its input is not one batch
            of floating images, or it gives one number for each image.

    Example:
        >>> model.save("mine.keras")
        >>> classifier = load_classifier("mine.keras")
        >>> classifier.size, classifier.classes
        ((32, 32), 18)
        >>> classifier(images[:2]).shape
        TensorShape([2, 18])
    """
    path = Path(path)
    if output not in OUTPUTS:
        raise ValueError(f"`output` must be one of {', '.join(map(repr, OUTPUTS))}. Received: output={output!r}")
    if not path.exists():
        raise FileNotFoundError(f"Model {path} does not exist. Give a SavedModel folder or a .keras file.")
    if path.is_dir() and (path / "saved_model.pb").is_file():
        return _saved_model(path, signature or "serving_default", output, output_name)
    if path.suffix != ".keras" or path.is_dir():
        kind = "a folder without saved_model.pb" if path.is_dir() else f"a file that ends in {path.suffix!r}"
        raise ValueError(f"Model {path} must be a SavedModel folder or a .keras file. Received: {kind}")
    if signature is not None:
        raise ValueError(
            f"`signature` must be None for a .keras file, which has no signatures. Received: signature={signature!r}"
        )
    return _keras_file(path, output, output_name)


def model_sha256(path: Path) -> str:
    """Return the checksum of a `.keras` file, or of the files of a SavedModel that hold its graph and weights."""
    if path.is_file():
        return sha256(path)
    parts = [path / "saved_model.pb", *sorted((path / "variables").glob("*"))]
    return hashlib.sha256("".join(f"{part.name} {sha256(part)}\n" for part in parts).encode()).hexdigest()


def _saved_model(path: Path, signature: str, output: str, output_name: str | None) -> Classifier:
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # protobuf, TensorFlow and Python each have errors of their own for damaged files
        raise damaged(path, "SavedModel", error) from error
    if signature not in loaded.signatures:
        raise ValueError(
            f"`signature` must be one of those of {path}: {', '.join(sorted(loaded.signatures)) or 'it has none'}. "
            f"Received: signature={signature!r}"
        )
    function = loaded.signatures[signature]
    inputs: Mapping[str, Any] = function.structured_input_signature[1]
    size = check_input(f"Signature {signature!r} of {path}", inputs)
    chosen = check_output_name(path, list(function.structured_outputs), output, output_name)
    (argument, spec), *_ = inputs.items()

    def answer(images: Any) -> Any:
        return function(**{argument: tf.cast(images, spec.dtype)})[chosen]

    return Classifier(
        path=path,
        name=path.resolve().name,
        signature=signature,
        output=output,
        output_name=chosen,
        size=size,
        classes=class_count(path, output, function.structured_outputs[chosen].shape),
        sha256=model_sha256(path),
        _answer=answer,
        _kept=loaded,
    )


def read_keras_file(path: Path) -> Any:
    """Load a `.keras` file without running code that is in it.

    Raises:
        ValueError: It is no such file, is damaged, or needs code that nobody has registered.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"Model {path} must be a .keras file that Keras can load. Received: a file that is no zip archive"
        )
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # of many kinds: a member is missing, a layer is unknown, there is code in it
        raise damaged(path, ".keras file", error) from error


def _keras_file(path: Path, output: str, output_name: str | None) -> Classifier:
    model = read_keras_file(path)
    inputs = {tensor.name: tensor for tensor in getattr(model, "inputs", None) or ()}
    size = check_input(f"Model {path}", inputs)
    outputs = _by_name(model, model(model.inputs[0], training=False))
    chosen = check_output_name(path, list(outputs), output, output_name) if len(outputs) > 1 or output_name else None

    def answer(images: Any) -> Any:
        answers = _by_name(model, model(images, training=False))
        return answers[chosen] if chosen else next(iter(answers.values()))

    return Classifier(
        path=path,
        name=path.stem,
        signature=None,
        output=output,
        output_name=chosen,
        size=size,
        classes=class_count(path, output, (outputs[chosen] if chosen else next(iter(outputs.values()))).shape),
        sha256=model_sha256(path),
        _answer=answer,
        _kept=model,
    )


def _by_name(model: Any, answers: Any) -> dict[str, Any]:
    """Return the outputs of a Keras model by name, whether it gives one, a list or a dict of them."""
    if isinstance(answers, Mapping):
        return dict(answers)
    several = answers if isinstance(answers, (list, tuple)) else [answers]
    names = getattr(model, "output_names", None) or [f"output_{index}" for index in range(len(several))]
    return dict(zip(names, several, strict=True))
