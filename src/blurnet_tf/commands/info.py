"""Say what is installed, which defences and models of the zoo there are; or with --model, what a model is.

A SavedModel is not loaded for that. `unsafe` lists its operations that may do more than compute: read or write files,
run Python, speak to other machines.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import keras

import blurnet_tf
from blurnet_tf.commands.arguments import show
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.export import zoo_card
from blurnet_tf.models.inspection import endpoints, keras_endpoint, model_sha256, unsafe_in
from blurnet_tf.models.zoo import known_models, named_model
from blurnet_tf.signs import find_class_names

NAME = "info"
HELP = "say what is installed, or what a model is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "SavedModel folder, .keras file, or model of the zoo"
    parser.add_argument("--model", type=Path, metavar="MODEL", help=what)


def run(options: Any) -> int:
    entry = None if options.model is None or options.model.exists() else named_model(str(options.model))
    if entry is not None:
        show(options, {**dataclasses.asdict(entry), "card": zoo_card(entry)}, zoo_card(entry))
        return 0
    result = _installed() if options.model is None else _model(options.model)
    show(options, result, "\n".join(_lines(result)))
    return 0


def _installed() -> dict[str, Any]:
    known = environment()
    zoo: dict[str, list[str]] = {}
    for entry in known_models():
        zoo.setdefault(f"trained on {entry.dataset}", []).append(entry.place)
    return {
        "version": blurnet_tf.__version__,
        **{key: known[key] for key in ("python", "packages")},
        "backend": keras.backend.backend(),
        **{key: known[key] for key in ("machine", "cpus")},
        "zoo": zoo,
        "variants": {name: variant.title for name, variant in blurnet_tf.VARIANTS.items()},
        "registered": sorted(name for name in keras.saving.get_custom_objects() if name.startswith("blurnet_tf>")),
    }


def _model(path: Path) -> dict[str, Any]:
    classes, files = None, [path]
    if (path / "saved_model.pb").is_file():
        known: dict[str, Any] = {"kind": "SavedModel", "endpoints": endpoints(path), "unsafe": unsafe_in(path)}
        files = [file for file in path.rglob("*") if file.is_file()]
    else:
        endpoint, classes = keras_endpoint(path)
        known = {"kind": "Keras file", **endpoint}
    card = path / "assets" / "model_card.md"
    names = find_class_names(path, outputs=classes)
    return {
        "model": str(path),
        **known,
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
            lines.append(f"{indent}{name}: {'-' if value is None or value == [] else text}")
    return lines
