"""What the files of a model say of it: its checksum, its endpoints, and the model itself."""

from __future__ import annotations

import hashlib
import json
import math
import random
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from keras.src.backend.common import global_state
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from blurnet_tf.checks import first_line, printable
from blurnet_tf.files import check_file, read_json, sha256
from blurnet_tf.models.operations import unsafe_operations
from blurnet_tf.reading import check_archive, check_unpacked

ANY_SIZE = "classify"
"""The endpoint of an export that takes images of any size."""

LABELS = Path("assets") / "labels.txt"
"""The names of the classes in an export, in the order of its outputs."""


def model_sha256(path: Path) -> str:
    """Return the checksum of a `.keras` file, or of the files of a SavedModel that hold its graph and weights."""
    if path.is_file():
        return sha256(path)
    parts = [path / "saved_model.pb", *sorted((path / "variables").glob("*"))]
    return hashlib.sha256("".join(f"{part.name} {sha256(part)}\n" for part in parts).encode()).hexdigest()


CHECKSUMS: dict[str, Callable[[Path], str]] = {
    "model_sha256": model_sha256, "labels_sha256": lambda path: sha256(path / LABELS)
}  # fmt: skip
"""What the `assets/provenance.json` of an export says of its other files."""


def read_keras_file(path: Path) -> Any:
    """Load a `.keras` file without running code in it; raise ValueError if it is damaged or has unknown layers."""
    check_file(path)
    if not zipfile.is_zipfile(path):
        received = "a file that is no zip archive"
        raise ValueError(f"Model {path} must be a .keras file that Keras can load. Received: {received}")
    try:
        check_archive(path, ".keras file")
        _check_size(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # of many kinds: a member is missing, a layer is unknown, there is code in it
        raise _damaged(path, ".keras file that Keras", error) from error


def _check_size(path: Path) -> None:
    """Raise ValueError if the variables of a `.keras` file would take more bytes than `BLURNET_MOST_BYTES`.

    A few kilobytes can ask for any number of them, and Keras makes all of them before it looks for their values.
    """
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    waiting, chance = list(global_state.get_global_attribute(_WAITING, [])), random.getstate()
    try:
        with keras.StatelessScope(initialize_variables=False):  # which gives variables their shapes alone
            variables = keras.saving.deserialize_keras_object(config, safe_mode=True).variables
    except ValueError as error:
        if "stateless scope" not in str(error):
            raise
        return  # of a layer that computes with its values while it is built, such as `Normalization`
    finally:
        global_state.set_global_attribute(_WAITING, waiting)  # or Keras would make them at the end of another scope
        random.setstate(chance)  # which seeds of layers are drawn from
    check_unpacked(path, sum(math.prod(one.shape) * tf.as_dtype(one.dtype).size for one in variables))


_WAITING = "uninitialized_variables"


def read_saved_model(path: Path, *, trust: bool = False) -> Any:
    """Load a SavedModel; raise ValueError if it is damaged, or may do more than compute and is not trusted.

    A SavedModel is a program: when it is loaded or called, its operations can read and write files with the rights of
    whoever runs it. So its operations are read first, and it is loaded only if they are all in `COMPUTING`. That is no
    sandbox: a flaw of TensorFlow in one of these would not be noticed.
    """
    for part in path.rglob("*"):
        if not part.is_dir():
            check_file(part)
    content = _read_proto(path)
    unsafe = [] if trust else unsafe_operations(content)
    if unsafe:
        raise ValueError(
            f"Model {path} may do more than compute: it has the operations {printable(', '.join(unsafe))}. If you "
            "trust whoever made it, load it with --trust, in Python with trust=True."
        )
    check_provenance(path)
    try:
        if (fingerprint := path / "fingerprint.pb").is_file():  # a damaged one costs TensorFlow a traceback
            FingerprintDef().ParseFromString(fingerprint.read_bytes())
        return tf.saved_model.load(str(path))
    except Exception as error:  # protobuf, TensorFlow and Python each have errors of their own for damaged files
        raise _damaged(path, "SavedModel that TensorFlow", error) from error


def endpoints(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Return what each signature of a SavedModel takes and gives, without loading the model.

    That is, for each signature by name, `inputs` and `outputs`, each value by name as "float32 (None, 32, 32, 3)".
    """
    signatures = _read_proto(path).meta_graphs[0].signature_def

    def described(values: Mapping[str, Any]) -> dict[str, str]:
        return {name: _described(info.dtype, info.tensor_shape) for name, info in sorted(values.items())}

    try:
        return {
            name: {"inputs": described(signature.inputs), "outputs": described(signature.outputs)}
            for name, signature in sorted(signatures.items())
            if name != "__saved_model_init_op"
        }
    except (TypeError, ValueError) as error:  # a type that TensorFlow does not know, or a shape that is none
        raise _damaged(path, "SavedModel that TensorFlow", error) from error


def unsafe_in(path: Path) -> list[str]:
    """Return the operations of a SavedModel that may do more than compute, without loading it."""
    return unsafe_operations(_read_proto(path))


def keras_endpoint(path: Path) -> tuple[dict[str, dict[str, str]], int | None]:
    """Return what the model of a `.keras` file takes and gives, as in `endpoints`, empty before it is built.

    Also return how many classes its only output tells apart, `None` if there is no such output.
    """
    if not path.is_file():
        received = "a folder without saved_model.pb" if path.is_dir() else "nothing is there"
        raise ValueError(f"Model {path} must be a SavedModel folder or a .keras file. Received: {received}")
    inputs, outputs = keras_tensors(read_keras_file(path))
    shapes = [tuple(tensor.shape) for tensor in keras.tree.flatten(outputs)]
    classes = shapes[0][1] if len(shapes) == 1 and len(shapes[0]) == 2 else None

    def described(values: Mapping[str, Any]) -> dict[str, str]:
        return {
            name: ", ".join(_described(tensor.dtype, tensor.shape) for tensor in keras.tree.flatten(value))
            for name, value in values.items()
        }

    return {"inputs": described(inputs), "outputs": described(outputs)}, None if classes == 1 else classes


def takes_any_size(path: Path) -> bool:
    """Return whether a model is an export of this project: its `classify` takes uint8 images of any size."""
    if not (path / "saved_model.pb").is_file():
        return False
    endpoint = endpoints(path).get(ANY_SIZE, {"inputs": {}, "outputs": {}})
    takes_levels = endpoint["inputs"] == {"image": "uint8 (None, None, None, 3)"}
    return takes_levels and list(endpoint["outputs"]) == ["class_index", "class_name", "probability"]


def keras_tensors(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the inputs and the outputs of a Keras model by name; none before it is built."""
    inputs = {tensor.name: tensor for tensor in getattr(model, "inputs", None) or ()}
    nested = getattr(model, "output", None)  # with the keys of a dict; a Sequential has none
    flat = getattr(model, "outputs", None) or ()
    return inputs, outputs_by_name(model, nested if isinstance(nested, Mapping) else flat)


def outputs_by_name(model: Any, answers: Any) -> dict[str, Any]:
    """Return the answers of a Keras model by name, whether it gives one, a list or a dict of them."""
    if isinstance(answers, Mapping):
        return dict(answers)
    several = answers if isinstance(answers, (list, tuple)) else [answers]
    names = getattr(model, "output_names", None) or [f"output_{index}" for index in range(len(several))]
    return dict(zip(names, several, strict=True))


def check_provenance(path: Path) -> None:
    """Raise ValueError if a SavedModel that this project exported is not what was written then.

    Raises:
        OSError: Its files cannot be read.
    """
    record = path / "assets" / "provenance.json"
    known = read_json(record) if record.is_file() else None
    # An older export says nothing of its labels.
    if isinstance(known, dict) and any(known[name] != of(path) for name, of in CHECKSUMS.items() if name in known):
        raise ValueError(
            f"Model {path} must be what was exported there, as {record} has its checksums. Received: other files. "
            "Export it again."
        )


def _read_proto(path: Path) -> Any:
    content = SavedModel()
    check_file(path / "saved_model.pb")
    try:
        content.ParseFromString((path / "saved_model.pb").read_bytes())
        if not content.meta_graphs:
            raise ValueError("no graph")
    except (OSError, ValueError, DecodeError) as error:
        raise _damaged(path, "SavedModel that TensorFlow", error) from error
    return content


def _damaged(path: Path, kind: str, error: Exception) -> ValueError:
    """Return the error of a model that cannot be loaded: the first line of what the loader said."""
    return ValueError(f"Model {path} must be a {kind} can load. Received: {type(error).__name__}: {first_line(error)}")


def _described(dtype: Any, shape: Any) -> str:
    shape = tf.TensorShape(shape)
    return f"{tf.as_dtype(dtype).name} {'of any shape' if shape.rank is None else tuple(shape)}"
