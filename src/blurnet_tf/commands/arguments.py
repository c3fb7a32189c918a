"""Arguments that several commands have, and experiments too, and what their values may be."""

from __future__ import annotations

import argparse
import json
import math
import re
from pathlib import Path
from typing import Any

from blurnet_tf.models.classifier import OUTPUTS


def add_classifier_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which model is loaded, and what its outputs are called."""
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="DIR", help="SavedModel folder or .keras file")
    add("--signature", metavar="NAME", help="signature of the SavedModel (default: serving_default)")
    add("--output", choices=OUTPUTS, default="logits", help="what the model gives (default: logits)")
    add(
        "--output-name",
        metavar="NAME",
        help="which of its outputs (default: the only one, or the one called like --output)",
    )
    add("--labels", type=Path, metavar="FILE", help="class names, one a line (default: the model's, else LISA's)")


def add_out_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add where the result is written, and whether an older one may go."""
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=what)
    parser.add_argument("--force", action="store_true", help="replace what is there")


def natural(text: str, least: int = 0) -> int:
    """Parse an integer of at least 0."""
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be an integer of at least {least}, received {text}")
    return int(text)


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    return natural(text, 1)


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
    value = number(text)
    if not value:
        raise argparse.ArgumentTypeError(f"must be above 0, received {text}")
    return value


def colour(text: str) -> tuple[int, int, int]:
    """Parse a colour such as `#c1121f`, as three levels."""
    match = re.fullmatch(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be a colour as six hexadecimal digits, red green blue, received {text}")
    red, green, blue = (int(part, 16) for part in match.groups())
    return red, green, blue


def show(options: Any, result: dict[str, Any], words: str) -> None:
    """Print the result of a command: as JSON if that was asked for, or in words."""
    print(json.dumps(result, indent=2, allow_nan=False) if options.json else words, flush=True)
