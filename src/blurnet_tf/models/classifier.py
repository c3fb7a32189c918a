"""Any model from a SavedModel or a `.keras` file, loaded for attack as a callable that gives logits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.models import zoo
from blurnet_tf.models.classifier_checks import check_answers, check_input, chosen_output
from blurnet_tf.models.inspection import keras_tensors, model_sha256, outputs_by_name, read_keras_file, read_saved_model

OUTPUTS: tuple[str, ...] = ("logits", "probabilities")

LEAST_PROBABILITY = 1e-37
"""Smaller probabilities count as this, the least power of ten in full float32 precision: their logarithm is finite."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """A model that was loaded from files, to be attacked: `classifier(images)` gives logits.

    Attributes:
        path: Where it was.
        name: The name of the file or folder, without `.keras`; "synthetic_baseline" for a model of the zoo.
        signature: The signature of the SavedModel; `None` for a `.keras` file.
        output: What the model gives: "logits" or "probabilities".
        output_name: Which of its outputs that is; `None` if a `.keras` file has only one.
        size: Height and width of its images in pixels, each `None` if it takes any.
        classes: How many there are, or `None` if the file does not say.
        sha256: Checksum of the files that hold its graph and weights.
        answer: Computes the output of images, as the model gives it.
        model: What was loaded. The variables of a SavedModel live as long as this.
        trusted: Whether it was loaded with `trust`.
        entry: What the zoo knows of it; `None` for a model from elsewhere.
    """

    path: Path
    name: str
    signature: str | None
    output: str
    output_name: str | None
    size: tuple[int | None, int | None]
    classes: int | None
    sha256: str
    answer: Callable[[Any], Any] = field(repr=False)
    model: Any = field(repr=False)
    trusted: bool = False
    entry: zoo.ZooEntry | None = field(default=None, repr=False)

    def __call__(self, images: Any) -> Any:
        """Return the logits of images, float32 (n, H, W, 3), RGB in [0, 1]: float32 (n, classes).

        From probabilities p, they are log p, which differs from the logits by a constant.
        """
        return self.logits(self.answer(images))

    def logits(self, answers: Any) -> Any:
        """Return the logits of what `answer` gave."""
        answers = tf.cast(answers, tf.float32)
        return answers if self.output == "logits" else tf.math.log(tf.maximum(answers, LEAST_PROBABILITY))

    def check(self, images: ArrayLike) -> NDArray[Any]:
        """Return the logits of images, (n, classes), after all checks that an attack needs.

        Pass the images that will be attacked, float32 (n, H, W, 3) in [0, 1]: the checks are about these.

        Raises:
            ValueError: The images have another size than those of the model; its answers are no table (n, classes), are
                not finite, or are not the logits or probabilities that `output` says; or no finite gradient reaches the
                images, with the reason as far as the graph shows it.
        """
        return check_answers(images, self)

    def describe(self) -> dict[str, Any]:
        """Return what this is, for provenance and JSON: everything but where it was."""
        names = ("name", "signature", "output", "output_name", "size", "classes", "sha256")
        return {name: getattr(self, name) for name in names} | {"size": list(self.size)}


def load_classifier(
    path: str | os.PathLike[str],
    *,
    signature: str | None = None,
    output: str = "logits",
    output_name: str | None = None,
    trust: bool = False,
) -> Classifier:
    """Load a model from a SavedModel folder or a `.keras` file, or one of the zoo, to attack it.

    Args:
        path: The folder or the file; where there is none, the name of a model of the zoo: "baseline+stickers",
            "synthetic/baseline". A `.keras` file with layers of its own needs them registered; one that holds Python
            code is refused.
        signature: The name of a signature of the SavedModel, by default "serving_default". It must have one input,
            floating (n, H, W, 3), whatever it is called; the images will be in [0, 1].
        output: "logits", or "probabilities" for a model that ends in a softmax.
        output_name: Which output it is. By default the only one, or the one that is called like `output`.
        trust: Whether to load a SavedModel with operations that may do more than compute. A SavedModel is a program:
            loading it runs what it holds, with your rights. Without `trust` its operations are read before it is
            loaded, and all must be known to compute only, as those of the usual layers are.

    Raises:
        FileNotFoundError: There is nothing at `path`.
        ValueError: It is neither kind of model, is damaged, may do more than compute, has no such signature or output,
            its input is not one batch of floating images, or it gives one number for each image.

    Example:
        >>> model.save("mine.keras")
        >>> load_classifier("mine.keras")(images[:2]).shape
        TensorShape([2, 18])
    """
    path = Path(path)
    if output not in OUTPUTS:
        raise ValueError(f"`output` must be one of {', '.join(map(repr, OUTPUTS))}. Received: output={output!r}")
    if not path.exists():
        return _of_the_zoo(os.fspath(path), signature, output, output_name)
    if (path / "saved_model.pb").is_file():
        name, signature = _name(path.resolve().name), signature or "serving_default"
        model = read_saved_model(path, trust=trust)
        if signature not in model.signatures:
            known = ", ".join(sorted(model.signatures)) or "it has none"
            raise ValueError(f"`signature` must be one of those of {path}: {known}. Received: signature={signature!r}")
        function = model.signatures[signature]
        inputs, outputs = function.structured_input_signature[1], function.structured_outputs
        size = check_input(f"Signature {signature!r} of {path}", inputs)

        def call(images: Any) -> Mapping[str, Any]:
            ((argument, spec),) = inputs.items()
            return function(**{argument: tf.cast(images, spec.dtype)})

    elif path.suffix != ".keras" or path.is_dir():
        kind = "a folder without saved_model.pb" if path.is_dir() else f"a file that ends in {path.suffix!r}"
        raise ValueError(f"Model {path} must be a SavedModel folder or a .keras file. Received: {kind}")
    elif signature is not None:
        raise ValueError(
            f"`signature` must be None for a .keras file, which has no signatures. Received: signature={signature!r}"
        )
    else:
        name, model = _name(path.stem), read_keras_file(path)
        inputs, outputs = keras_tensors(model)
        size = check_input(f"Model {path}", inputs)

        def call(images: Any) -> Mapping[str, Any]:
            return outputs_by_name(model, model(images, training=False))

    chosen, classes = chosen_output(path, outputs, output, output_name)
    named = chosen if signature or output_name or len(outputs) > 1 else None
    return Classifier(
        path=path, name=name, signature=signature, output=output, output_name=named, size=size, classes=classes,
        sha256=model_sha256(path), answer=lambda images: call(images)[chosen], model=model, trusted=trust,
    )  # fmt: skip


def _name(text: str) -> str:
    """Return the name of a file or folder as one that leads nowhere: results of the model stand in a folder of it."""
    return text.strip(".") or "model"


def _of_the_zoo(name: str, signature: str | None, output: str, output_name: str | None) -> Classifier:
    entry = zoo.named_model(name)
    if entry is None:
        raise FileNotFoundError(
            f"Model {name} does not exist. Give a SavedModel folder, a .keras file, or a model of the zoo: "
            f"{', '.join(zoo.list_models(dataset='lisa'))}."
        )
    given = {"signature": signature, "output": output, "output_name": output_name}
    for argument, only in (("signature", None), ("output", "logits"), ("output_name", None)):
        if given[argument] != only:
            raise ValueError(
                f"`{argument}` must be {only!r} for a model of the zoo. Received: {argument}={given[argument]!r}"
            )
    model = zoo.load_entry(entry)
    return Classifier(
        path=zoo.weights_path(entry), name=entry.place.replace("/", "_"),
        signature=None, output=output, output_name=None,
        size=entry.image_size, classes=len(entry.class_names), sha256=entry.weights_sha256,
        answer=lambda images: model(images, training=False), model=model, entry=entry,
    )  # fmt: skip
