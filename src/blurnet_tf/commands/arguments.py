"""Arguments that several commands have, and experiments too, and what their values may be."""

from __future__ import annotations

import argparse
import functools
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

from blurnet_tf.checks import printable
from blurnet_tf.models.classifier import OUTPUTS, Classifier, load_classifier
from blurnet_tf.signs import find_class_names

MODEL_HELP = "SavedModel folder, .keras file, or model of the zoo such as baseline+stickers (`blurnet info` lists them)"


def add_classifier_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add what says which model is loaded, and what its outputs are called."""
    add = parser.add_argument
    add("--model", type=Path, required=required, metavar="MODEL", help=MODEL_HELP)
    add("--signature", metavar="NAME", help="signature of the SavedModel (default: serving_default)")
    add("--output", choices=OUTPUTS, default="logits", help="what the model gives (default: logits)")
    which = "which of its outputs (default: the only one, or the one called like --output)"
    add("--output-name", metavar="NAME", help=which)
    add(
        "--trust", action="store_true", help="load a SavedModel that may do more than compute: it runs with your rights"
    )
    add("--labels", type=Path, metavar="FILE", help="class names, one a line (default: the model's, else LISA's)")


def chosen_classifier(options: Any) -> Classifier:
    """Return the `Classifier` that the arguments of `add_classifier_arguments` name."""
    return load_classifier(
        options.model,
        signature=options.signature,
        output=options.output,
        output_name=options.output_name,
        trust=options.trust,
    )


def named_model(options: Any, option: str = "--labels") -> tuple[Classifier, tuple[str, ...]]:
    """Return the model and the names of its classes, which `option` gives if the model does not."""
    classifier = chosen_classifier(options)
    names = class_names(options, classifier, outputs=classifier.classes)
    if names is None:
        raise ValueError(f"{option} must name a file with the classes of {options.model}, which has none beside it.")
    return classifier, names


def class_names(options: Any, classifier: Classifier, *, outputs: int | None) -> tuple[str, ...] | None:
    """Return the names of a model's classes, or None if there are none; ValueError if they are not one an output."""
    if classifier.entry is not None and options.labels is None:
        return classifier.entry.class_names
    return find_class_names(options.model, options.labels, outputs=outputs)


def add_out_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add where the result is written, and whether an older one may be replaced."""
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=what)
    parser.add_argument("--force", action="store_true", help="replace what is there")


def natural(text: str, least: int = 0) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be an integer of at least {least}, received {text}")
    return int(text)


positive = functools.partial(natural, least=1)


def number(text: str) -> float:
    """Parse a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"must be a finite number of at least 0, received {text}")
    return value


def length(text: str) -> float:
    """Parse a finite number above 0."""
    if not number(text):
        raise argparse.ArgumentTypeError(f"must be above 0, received {text}")
    return number(text)


def colour(text: str) -> tuple[int, ...]:
    """Parse a colour such as `#c1121f`, as three levels."""
    if re.fullmatch(r"#?[0-9a-fA-F]{6}", text) is None:
        raise argparse.ArgumentTypeError(f"must be a colour as six hexadecimal digits, red green blue, received {text}")
    return tuple(bytes.fromhex(text.removeprefix("#")))


def show(options: Any, result: dict[str, Any], words: str) -> None:
    """Print the result of a command: as JSON if that was asked for, or in words."""
    text = json.dumps(result, indent=2, allow_nan=False) if options.json else printable(words, most=sys.maxsize)
    print(text, flush=True)
