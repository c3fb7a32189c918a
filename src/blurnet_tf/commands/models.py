"""Models from files, as the commands need them, and their endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from blurnet_tf.models.classifier import Classifier, load_classifier, read_keras_file
from blurnet_tf.models.classifier_checks import damaged

ANY_SIZE = "classify"
"""The endpoint of an export that takes images of any size."""


def endpoints(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Return what each signature of a SavedModel takes and gives, read from its file without loading the model.

    Returns:
        For each signature by name `inputs` and `outputs`, each value by name as "float32 (None, 32, 32, 3)".

    Raises:
        ValueError: The file is damaged.
    """
    content = SavedModel()
    try:
        content.ParseFromString((path / "saved_model.pb").read_bytes())
        signatures = content.meta_graphs[0].signature_def
    except Exception as error:  # protobuf's own, or there is no graph in it
        raise damaged(path, "SavedModel", error) from error
    return {
        name: {"inputs": _values(signature.inputs), "outputs": _values(signature.outputs)}
        for name, signature in sorted(signatures.items())
        if name != "__saved_model_init_op"
    }


def keras_endpoint(path: Path) -> tuple[dict[str, dict[str, str]], int | None]:
    """Return what the model of a `.keras` file takes and gives, whatever that is: an attack asks for more.

    Returns:
        `inputs` and `outputs`, each value by name as "float32 (None, 32, 32, 3)", empty for a model that was saved
        before it was built; and how many classes its only output tells apart, `None` if there is no such output.

    Raises:
        ValueError: It is no such file, or is damaged.
    """
    if not path.is_file():
        received = "a folder without saved_model.pb" if path.is_dir() else "nothing is there"
        raise ValueError(f"Model {path} must be a SavedModel folder or a .keras file. Received: {received}")
    model = read_keras_file(path)
    inputs = {tensor.name: tensor for tensor in getattr(model, "inputs", None) or ()}
    outputs = getattr(model, "output", None)  # with the keys of a dict; a Sequential has none
    if not isinstance(outputs, Mapping):
        tensors = getattr(model, "outputs", None) or ()
        names = getattr(model, "output_names", None) or [f"output_{index}" for index in range(len(tensors))]
        outputs = dict(zip(names, tensors, strict=True))
    shapes = [tuple(tensor.shape) for tensor in keras.tree.flatten(outputs)]
    classes = shapes[0][1] if len(shapes) == 1 and len(shapes[0]) == 2 else None
    return {"inputs": _tensors(inputs), "outputs": _tensors(outputs)}, None if classes == 1 else classes


def takes_any_size(path: Path) -> bool:
    """Return whether a model is an export of this project: its `classify` takes uint8 images of any size."""
    if not (path / "saved_model.pb").is_file():
        return False
    endpoint = endpoints(path).get(ANY_SIZE, {"inputs": {}, "outputs": {}})
    takes_levels = endpoint["inputs"] == {"image": "uint8 (None, None, None, 3)"}
    return takes_levels and list(endpoint["outputs"]) == ["class_index", "class_name", "probability"]


def load(options: Any) -> Classifier:
    """Return the `Classifier` that the arguments of `add_classifier_arguments` name."""
    return load_classifier(
        options.model, signature=options.signature, output=options.output, output_name=options.output_name
    )


def _tensors(values: Mapping[str, Any]) -> dict[str, str]:
    """Return Keras tensors in words; those of one name, if a model nests its outputs, in one line."""
    return {
        name: ", ".join(f"{tensor.dtype} {tuple(tensor.shape)}" for tensor in keras.tree.flatten(value))
        for name, value in values.items()
    }


def _values(values: Mapping[str, Any]) -> dict[str, str]:
    described = {}
    for name, info in sorted(values.items()):
        rank_unknown = info.tensor_shape.unknown_rank
        sides = [None if side.size < 0 else int(side.size) for side in info.tensor_shape.dim]
        described[name] = f"{tf.as_dtype(info.dtype).name} {'of any shape' if rank_unknown else tuple(sides)}"
    return described
