"""Say what a model sees in images.

An export of this project takes PNG and JPEG files of any size: it resizes them itself. Another model takes images of
its own size, floating RGB in [0, 1]; nothing is resized for it. A file that cannot be read is reported, and the others
are classified all the same; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.commands import models
from blurnet_tf.commands.arguments import add_model_arguments, show

NAME = "classify"
HELP = "say what a model sees in images"

Answer = tuple[str, int, float]
"""The name of a class, its index and its probability."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `blurnet classify`."""
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="PNG or JPEG file")
    add_model_arguments(parser)


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
    if not chosen and (model / "saved_model.pb").is_file() and models.ENCODED in models.endpoints(model):
        return _encoded(model, options.labels)
    return _of_its_size(options)


def _encoded(model: Path, labels: Path | None) -> Callable[[Path], Answer]:
    import tensorflow as tf

    from blurnet_tf.attacks.classifier_checks import damaged

    try:
        loaded = tf.saved_model.load(str(model))
    except Exception as error:  # protobuf, TensorFlow and Python each have errors of their own for damaged files
        raise damaged(model, "SavedModel", error) from error
    endpoint = loaded.signatures[models.ENCODED]
    classes = loaded.signatures["serving_default"].structured_outputs["logits"].shape[-1]
    names = None if labels is None else models.class_names(model, labels, classes)

    def answer(path: Path) -> Answer:
        if not path.is_file():
            raise FileNotFoundError(f"Image {path} is no file. Give the path of a PNG or JPEG image.")
        try:
            (said,) = _rows(endpoint(image_bytes=tf.constant([path.read_bytes()])))
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{path} must be a readable PNG or JPEG image.") from error
        index = int(said["class_index"])
        return said["class_name"].decode() if names is None else names[index], index, float(said["probability"])

    answer.loaded = loaded  # type: ignore[attr-defined]  # its variables live as long as this
    return answer


def _of_its_size(options: Any) -> Callable[[Path], Answer]:
    from blurnet_tf.data.folder import read_image

    classifier = models.load(options)
    names = models.class_names(options.model, options.labels, classifier.classes)

    def answer(path: Path) -> Answer:
        image = read_image(path)
        if any(side not in (None, given) for side, given in zip(classifier.size, image.shape[:2], strict=True)):
            wanted = "x".join("any" if side is None else str(side) for side in classifier.size)
            raise ValueError(
                f"{path} must have the size that {options.model} takes, {wanted} (height x width). "
                f"Received: {image.shape[0]}x{image.shape[1]}"
            )
        logits = np.asarray(classifier(image[None]), np.float64)[0]
        if logits.ndim != 1 or not np.isfinite(logits).all():
            raise ValueError(f"Model {options.model} must return finite logits (n, classes). Received: {logits}")
        exponentials = np.exp(logits - logits.max())
        index = int(logits.argmax())
        name = str(index) if names is None or index >= len(names) else names[index]
        return name, index, float(exponentials[index] / exponentials.sum())

    return answer


def _rows(answers: dict[str, Any]) -> list[dict[str, Any]]:
    columns = {name: np.asarray(value) for name, value in answers.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
