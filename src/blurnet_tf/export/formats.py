"""The formats for runtimes other than TensorFlow: LiteRT, once called TensorFlow Lite, and ONNX."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

FORMATS: tuple[str, ...] = ("savedmodel", "litert", "onnx")
"""What a model can be exported as. The SavedModel and the `.keras` file are always written."""


def check_formats(formats: Sequence[str]) -> None:
    """Raise ValueError if a format is unknown, and ImportError if the package is missing that writes it.

    Example:
        >>> check_formats(["savedmodel", "litert"])
    """
    if isinstance(formats, str) or not set(formats) <= set(FORMATS):
        raise ValueError(f"`formats` must be a list of {', '.join(map(repr, FORMATS))}. Received: formats={formats!r}")
    if "onnx" in formats and importlib.util.find_spec("tf2onnx") is None:
        raise ImportError("The format 'onnx' needs the package tf2onnx. `pip install 'blurnet-tf[onnx]'` installs it.")


def write_litert(saved_model: Path, endpoint: str, path: Path) -> None:
    """Convert one endpoint of a SavedModel to a `.tflite` file whose signature has the same names.

    The converter is TensorFlow's; LiteRT's own package, `ai-edge-litert`, has the interpreter only. All operations are
    built in, so that an interpreter without TensorFlow runs the file, with any batch.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=[endpoint])
    path.write_bytes(converter.convert())


def write_onnx(function: Any, signature: Sequence[tf.TensorSpec], path: Path) -> None:
    """Convert a `tf.function` that returns a dict to an `.onnx` file with the same names and any batch, `n`.

    By tf2onnx itself: `keras.Model.export` calls it too, but leaves the outputs without names and patches NumPy in a
    way that warns.
    """
    import tf2onnx  # an optional dependency

    proto, _ = tf2onnx.convert.from_function(function, signature)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    path.write_bytes(proto.SerializeToString())
