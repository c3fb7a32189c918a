"""Say which versions are installed and which defences there are, or with --model what a model is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import keras

import blurnet_tf
from blurnet_tf.commands import models
from blurnet_tf.commands.arguments import show
from blurnet_tf.data.folder import find_class_names
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.models.classifier import model_sha256

NAME = "info"
HELP = "say what is installed, or what a model is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `blurnet info`."""
    parser.add_argument("--model", type=Path, metavar="DIR", help="SavedModel folder or .keras file")


def run(options: Any) -> int:
    """Print what is known."""
    result = _installed() if options.model is None else _model(options.model)
    show(options, result, "\n".join(_lines(result)))
    return 0


def _installed() -> dict[str, Any]:
    known = environment()
    registered = sorted(name for name in keras.saving.get_custom_objects() if name.startswith("blurnet_tf>"))
    return {
        "version": blurnet_tf.__version__,
        "python": known["python"],
        "packages": known["packages"],
        "backend": keras.backend.backend(),
        "machine": known["machine"],
        "cpus": known["cpus"],
        "variants": {name: variant.title for name, variant in blurnet_tf.VARIANTS.items()},
        "registered": registered,
    }


def _model(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = {"model": str(path)}
    classes = None
    if (path / "saved_model.pb").is_file():
        result |= {"kind": "SavedModel", "endpoints": models.endpoints(path)}
        files = [file for file in path.rglob("*") if file.is_file()]
    else:
        endpoint, classes = models.keras_endpoint(path)
        result |= {"kind": "Keras file", **endpoint}
        files = [path]
    card = path / "assets" / "model_card.md"
    names = find_class_names(path, outputs=classes)
    return result | {
        "bytes": sum(file.stat().st_size for file in files),
        "sha256": model_sha256(path),
        "class_names": None if names is None else list(names),
        "card": str(card) if card.is_file() else None,
    }


def _lines(content: dict[str, Any], indent: str = "") -> list[str]:
    """Return nested values as indented lines of `name: value`."""
    lines = []
    for name, value in content.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}:", *_lines(value, f"{indent}  ")]
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            lines.append(f"{indent}{name}: {'-' if value is None else text}")
    return lines
