"""A model as a SavedModel with named endpoints, and the files beside it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from blurnet_tf.export.resizing import resize
from blurnet_tf.files import replaced_folder, write_json, write_text
from blurnet_tf.models.inspection import CHECKSUMS, LABELS

ENDPOINTS: tuple[str, ...] = ("serving_default", "classify", "classify_encoded", "feature_maps")

FORMATS: tuple[str, ...] = ("savedmodel", "litert", "onnx")
"""What a model can be exported as. The SavedModel and the `.keras` file are always written."""


def export_model(
    model: keras.Model,
    folder: str | os.PathLike[str],
    *,
    layer: str,
    class_names: Sequence[str],
    card: str,
    provenance: Mapping[str, Any],
    formats: Sequence[str] = ("savedmodel",),
) -> Path:
    """Write a model as a SavedModel that any TensorFlow program can load, question and attack, without this package.

    Every endpoint takes any number of images but 0, and returns a dict:

    - `serving_default`: `image`, float32 (n, H, W, 3) RGB in [0, 1] of the model's size, to `logits` and
      `probabilities`, float32 (n, classes). Gradients flow from both to the image.
    - `classify`: `image`, uint8 (n, H, W, 3) RGB of any size, resized as the data is, to `class_index`, int32,
      `class_name`, bytes, and `probability`, float32, each (n,).
    - `classify_encoded`: `image_bytes`, the bytes of n PNG or JPEG files (n,), each of its own size, to the same. Alpha
      is dropped, grey becomes RGB, 16 bits become the upper 8, and an orientation in EXIF data turns nothing.
    - `feature_maps`: `image` as for `serving_default`, to `feature_maps`, float32 (n, ...), the output of `layer`.

    The loaded object also has `variables`, `trainable_variables` and `non_trainable_variables`, to train on.
    Beside the SavedModel lie `<name>.keras`, where `<name>` is that of the folder, and, if they are asked for,
    `<name>.tflite` and `<name>.onnx`, which hold `serving_default` alone; in `assets/` are `labels.txt`, one name a
    line, `model_card.md` and `provenance.json`, by whose checksum `load_classifier` notices a damaged export. An
    earlier export in `folder`, which is returned, is replaced whole when everything is written; after an error it is as
    it was.

    Args:
        model: A functional model that maps float32 (n, H, W, 3) of one size to logits (n, classes).
        folder: Where to.
        layer: Name of the layer whose output `feature_maps` gives.
        class_names: The names of the outputs, in their order.
        card: The text of the model card; see `model_card`.
        provenance: What the model came from, for JSON; `model_sha256` and `labels_sha256` are added.
        formats: Which of `FORMATS`; the SavedModel is always written.

    Raises:
        ValueError: The model or an argument is not as described.
        ImportError: A format needs a package that is not installed.
        FileExistsError: There is a folder that is no export; it is left alone.

    Example:
        >>> from blurnet_tf.signs import CLASS_NAMES
        >>> facts = {"class_names": CLASS_NAMES, "card": "# Mine", "provenance": {}}
        >>> folder = export_model(model, "exports/mine", layer="conv1", **facts)
        >>> loaded = tf.saved_model.load(folder)
        >>> sorted(loaded.serving_default(images[:2]))
        ['logits', 'probabilities']
    """
    folder = Path(folder)
    check_formats(formats)
    inputs, outputs = ([tuple(one.shape) for one in tensors] for tensors in (model.inputs, model.outputs))
    images = len(inputs) == 1 and len(inputs[0]) == 4 and inputs[0][0] is None and inputs[0][3] == 3
    if not images or None in inputs[0][1:] or outputs != [(None, len(class_names))]:
        raise ValueError(
            f"`model` must map images (None, H, W, 3) of one size to logits (None, {len(class_names)}), one for each "
            f"of `class_names`. Received: inputs {inputs}, outputs {outputs}"
        )
    if layer not in (names := [one.name for one in model.layers]):
        raise ValueError(f"`layer` must be one of {', '.join(names)}. Received: layer={layer!r}")
    archive = keras.export.ExportArchive()
    # Not `archive.track(model)`: with Keras 3.15 that writes every weight twice.
    for collection in ("variables", "trainable_variables", "non_trainable_variables"):
        archive.add_variable_collection(collection, [variable.value for variable in getattr(model, collection)])
    size = tuple(model.inputs[0].shape[1:3])
    image = tf.TensorSpec((None, *size, 3), tf.float32, "image")
    specs = {
        "classify": tf.TensorSpec((None, None, None, 3), tf.uint8, "image"),
        "classify_encoded": tf.TensorSpec((None,), tf.string, "image_bytes"),
    }
    endpoints = _endpoints(model, size, layer, class_names)
    functions = {name: archive.add_endpoint(name, endpoints[name], [specs.get(name, image)]) for name in ENDPOINTS}
    with replaced_folder(folder, marker="assets/model_card.md") as new:
        archive.write_out(str(new), verbose=False)
        model.save(new / f"{folder.name}.keras")
        write_text(new / LABELS, "".join(f"{name}\n" for name in class_names))
        write_text(new / "assets" / "model_card.md", card)
        write_json(
            new / "assets" / "provenance.json", {**provenance, **{name: of(new) for name, of in CHECKSUMS.items()}}
        )
        if "litert" in formats:  # of operations that are built in, so that an interpreter without TensorFlow runs them
            converter = tf.lite.TFLiteConverter.from_saved_model(str(new), signature_keys=["serving_default"])
            (new / f"{folder.name}.tflite").write_bytes(converter.convert())
        if "onnx" in formats:
            import tf2onnx  # not `keras.Model.export`, which leaves the outputs without names and warns of NumPy

            proto, _ = tf2onnx.convert.from_function(functions["serving_default"], [image])
            for value in (*proto.graph.input, *proto.graph.output):
                value.type.tensor_type.shape.dim[0].dim_param = "n"  # any batch
            (new / f"{folder.name}.onnx").write_bytes(proto.SerializeToString())
    return folder


def check_formats(formats: Sequence[str]) -> None:
    """Raise ValueError if a format is unknown, and ImportError if the package is missing that writes it."""
    if isinstance(formats, str) or not set(formats) <= set(FORMATS):
        raise ValueError(f"`formats` must be a list of {', '.join(map(repr, FORMATS))}. Received: formats={formats!r}")
    if "onnx" in formats and importlib.util.find_spec("tf2onnx") is None:
        raise ImportError("The format 'onnx' needs the package tf2onnx. `pip install 'blurnet-tf[onnx]'` installs it.")


def _endpoints(
    model: keras.Model, size: tuple[int, int], layer: str, class_names: Sequence[str]
) -> dict[str, Callable[[Any], Any]]:
    """Return what the endpoints compute. The name of an argument here is that of the input."""
    maps = keras.Model(model.inputs, model.get_layer(layer).output)

    def serving_default(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tf.cast(model(image, training=False), tf.float32)
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}

    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return name_classes(resize(image, size))

    def classify_encoded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        levels = tf.TensorSpec((*size, 3), tf.uint8)
        return name_classes(tf.map_fn(decode, image_bytes, fn_output_signature=levels))

    def feature_maps(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"feature_maps": tf.cast(maps(image, training=False), tf.float32)}

    def decode(image_bytes: tf.Tensor) -> tf.Tensor:
        # This operation reads PNG as well. `decode_image` has no choice of the cosine transform: its default one is off
        # by up to 17 levels of 255.
        decoded = tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE")
        return resize(decoded[None], size)[0]

    def name_classes(levels: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = serving_default(tf.cast(levels, tf.float32) / 255)["probabilities"]
        index = tf.argmax(probabilities, axis=1, output_type=tf.int32)
        return {
            "class_index": index,
            "class_name": tf.gather(tf.constant(list(class_names)), index),
            "probability": tf.reduce_max(probabilities, axis=1),
        }

    return dict(zip(ENDPOINTS, (serving_default, classify, classify_encoded, feature_maps), strict=True))
