"""Say what a model sees in images.

An export of this project takes images of any size: it resizes them itself. Another model takes images of its own size,
floating RGB in [0, 1]; nothing is resized for it. A file that cannot be read is reported, and the others are classified
all the same; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.commands import models
from blurnet_tf.commands.arguments import add_classifier_arguments, show
from blurnet_tf.data.folder import find_class_names, levels, read_image
from blurnet_tf.models.classifier_checks import damaged

NAME = "classify"
HELP = "say what a model sees in images"

Answer = tuple[str, int, float]
"""The name of a class, its index and its probability."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `blurnet classify`."""
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="PNG or JPEG file")
    add_classifier_arguments(parser)


def run(options: Any) -> int:
    """Print the class and its probability for each file."""
    answer = _answers(options)
    rows: list[dict[str, Any]] = []
    for path in options.images:
        try:
            name, index, probability = answer(path)
            rows.append({"file": str(path), "class": name, "class_index": index, "probability": probability})
        except (OSError, ValueError) as error:
            rows.append({"file": str(path), "error": str(error)})
            print(f"error: {error}", file=sys.stderr)
    read = [row for row in rows if "error" not in row]
    words = "\n".join(f"{row['file']}: {row['class']} {100 * row['probability']:.1f}%" for row in read)
    if options.json or words:
        show(options, {"model": str(options.model), "images": rows}, words)
    return 0 if len(read) == len(rows) else 1


def _answers(options: Any) -> Callable[[Path], Answer]:
    """Return what says of a file which class it is."""
    model: Path = options.model
    chosen = options.signature or options.output_name or options.output != "logits"
    if not chosen and models.takes_any_size(model):
        return _of_any_size(model, options.labels)
    return _of_its_size(options)


def _of_any_size(model: Path, labels: Path | None) -> Callable[[Path], Answer]:
    try:
        loaded = tf.saved_model.load(str(model))
    except Exception as error:  # protobuf, TensorFlow and Python each have errors of their own for damaged files
        raise damaged(model, "SavedModel", error) from error
    endpoint = loaded.signatures[models.ANY_SIZE]
    names = None
    if labels is not None:
        classes = loaded.signatures["serving_default"].structured_outputs["logits"].shape[-1]
        names = find_class_names(model, labels, outputs=classes)

    def answer(path: Path) -> Answer:
        said = {key: value[0].numpy() for key, value in endpoint(image=levels(read_image(path))[None]).items()}
        index = int(said["class_index"])
        return said["class_name"].decode() if names is None else names[index], index, float(said["probability"])

    answer.loaded = loaded  # type: ignore[attr-defined]  # its variables live as long as this
    return answer


def _of_its_size(options: Any) -> Callable[[Path], Answer]:
    classifier = models.load(options)
    names = find_class_names(options.model, options.labels, outputs=classifier.classes)

    def answer(path: Path) -> Answer:
        image = read_image(path)
        if any(side not in (None, given) for side, given in zip(classifier.size, image.shape[:2], strict=True)):
            wanted = "x".join("any" if side is None else str(side) for side in classifier.size)
            raise ValueError(
                f"{path} must have the size that {options.model} takes, {wanted} (height x width). "
                f"Received: {image.shape[0]}x{image.shape[1]}"
            )
        try:
            logits = np.asarray(classifier(image[None]), np.float64)
        except tf.errors.OpError as error:
            raise ValueError(
                f"Model {options.model} does not take {path}, {image.shape[0]}x{image.shape[1]}."
            ) from error
        probabilities = _softmax(options, logits)
        index = int(probabilities.argmax())
        name = str(index) if names is None or index >= len(names) else names[index]
        return name, index, float(probabilities[index])

    return answer


def _softmax(options: Any, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of one image, (classes,), unless the logits (1, classes) are something else."""
    if logits.ndim != 2:
        raise ValueError(f"Model {options.model} must return {options.output} (1, classes). Received: {logits.shape}")
    if not np.isfinite(logits).all():
        raise ValueError(f"Model {options.model} must return finite {options.output}. Received: NaN or infinity")
    # The logits of a model that gives probabilities are their logarithms.
    likely = (logits if options.output == "logits" else np.exp(logits))[0]
    if (likely.min() >= 0 and abs(likely.sum() - 1) < 1e-3) != (options.output == "probabilities"):
        other = "probabilities" if options.output == "logits" else "logits"
        raise ValueError(f"Model {options.model} gives {other}. Add --output {other}.")
    exponentials = np.exp(logits[0] - logits.max())
    return exponentials / exponentials.sum()
