"""Say what a model sees in images.

Images of any size are resized for a model of the zoo, and an export of this project does it itself. Another model takes
images of its own size, floating RGB in [0, 1]; nothing is resized for it. A file that cannot be read is reported, and
the others are classified all the same; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from blurnet_tf.checks import printable
from blurnet_tf.commands.arguments import add_classifier_arguments, chosen_classifier, class_names, show
from blurnet_tf.data.folder import levels, read_image
from blurnet_tf.models.classifier_checks import check_size
from blurnet_tf.models.inspection import ANY_SIZE, read_saved_model, takes_any_size
from blurnet_tf.signs import find_class_names

NAME = "classify"
HELP = "say what a model sees in images"

Answer = tuple[str, int, float]  # the name of a class, its index and its probability


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="PNG or JPEG file")
    add_classifier_arguments(parser)


def run(options: Any) -> int:
    default = not options.signature and not options.output_name and options.output == "logits"
    answer = _of_any_size(options) if default and takes_any_size(options.model) else _of_its_size(options)
    rows: list[dict[str, Any]] = []
    for path in options.images:
        try:
            name, index, probability = answer(path)
            rows.append({"file": str(path), "class": name, "class_index": index, "probability": probability})
        except (OSError, ValueError) as error:
            rows.append({"file": str(path), "error": str(error)})
            print(printable(f"error: {error}"), file=sys.stderr)
    read = [row for row in rows if "error" not in row]
    words = "\n".join(f"{row['file']}: {row['class']} {100 * row['probability']:.1f}%" for row in read)
    if options.json or words:
        show(options, {"model": str(options.model), "images": rows}, words)
    return 0 if len(read) == len(rows) else 1


def _of_any_size(options: Any) -> Callable[[Path], Answer]:
    loaded = read_saved_model(options.model, trust=options.trust)
    names = None
    if options.labels is not None:
        classes = loaded.signatures["serving_default"].structured_outputs["logits"].shape[-1]
        names = find_class_names(options.model, options.labels, outputs=classes)

    def answer(path: Path) -> Answer:
        # By way of `loaded`, so that its variables live as long as this function.
        said = loaded.signatures[ANY_SIZE](image=levels(read_image(path))[None])
        name, index, probability = (said[key][0].numpy() for key in ("class_name", "class_index", "probability"))
        return name.decode() if names is None else names[index], int(index), float(probability)

    return answer


def _of_its_size(options: Any) -> Callable[[Path], Answer]:
    classifier = chosen_classifier(options)
    names = class_names(options, classifier, outputs=classifier.classes)
    size = None if classifier.entry is None else classifier.entry.image_size
    model, output = f"Model {options.model}", options.output

    def answer(path: Path) -> Answer:
        image = read_image(path, size=size)
        check_size(str(path), image.shape[:2], classifier)
        try:
            logits = np.asarray(classifier(image[None]), np.float64)
        except tf.errors.OpError as error:
            raise ValueError(f"{model} does not take {path}, {image.shape[0]}x{image.shape[1]}.") from error
        if logits.ndim != 2:
            raise ValueError(f"{model} must return {output} (1, classes). Received: {logits.shape}")
        if not np.isfinite(logits).all():
            raise ValueError(f"{model} must return finite {output}. Received: NaN or infinity")
        # The logits of a model that gives probabilities are their logarithms.
        likely = (logits if output == "logits" else np.exp(logits))[0]
        if (likely.min() >= 0 and abs(likely.sum() - 1) < 1e-3) != (output == "probabilities"):
            other = "probabilities" if output == "logits" else "logits"
            raise ValueError(f"{model} gives {other}. Add --output {other}.")
        exponentials = np.exp(logits[0] - logits.max())
        probabilities = exponentials / exponentials.sum()
        index = int(probabilities.argmax())
        name = str(index) if names is None or index >= len(names) else names[index]
        return name, index, float(probabilities[index])

    return answer
