"""A model as a SavedModel with named endpoints, and the files beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from blurnet_tf.export.formats import check_formats, write_litert, write_onnx
from blurnet_tf.export.resizing import resize
from blurnet_tf.files import replaced_folder, write_json, write_text
from blurnet_tf.models.lisa_cnn import INPUT_SHAPE

ENDPOINTS: dict[str, tf.TensorSpec] = {
    "serving_default": tf.TensorSpec((None, *INPUT_SHAPE), tf.float32, "image"),
    "classify": tf.TensorSpec((None, None, None, 3), tf.uint8, "image"),
    "classify_encoded": tf.TensorSpec((None,), tf.string, "image_bytes"),
    "feature_maps": tf.TensorSpec((None, *INPUT_SHAPE), tf.float32, "image"),
}
"""The endpoints of an exported model, each with its one input."""


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

    - `serving_default`: `image`, float32 (n, 32, 32, 3) RGB in [0, 1], to `logits` and `probabilities`, float32
      (n, classes). Gradients flow from both to the image.
    - `classify`: `image`, uint8 (n, H, W, 3) RGB of any size, resized as the data is, to `class_index`, int32,
      `class_name`, bytes, and `probability`, float32, each (n,).
    - `classify_encoded`: `image_bytes`, the bytes of n PNG or JPEG files (n,), each of its own size, to the same. Alpha
      is dropped, grey becomes RGB, and 16 bits become the upper 8. The pixels are those that Pillow and OpenCV decode,
      as they are stored: an orientation in EXIF data turns nothing.
    - `feature_maps`: `image` as for `serving_default`, to `feature_maps`, float32 (n, ...), the output of `layer`.

    The loaded object also has the weights, to train on: `variables`, `trainable_variables`, `non_trainable_variables`.

    Beside the SavedModel lie `<name>.keras`, where `<name>` is that of the folder, and, if they are asked for,
    `<name>.tflite` and `<name>.onnx`, which hold `serving_default` alone; in `assets/` are `labels.txt`, one name a
    line, `model_card.md` and `provenance.json`. An earlier export in `folder` is replaced whole when everything is
    written; after an error it is as it was.

    Args:
        model: A functional model that maps float32 (n, 32, 32, 3) to logits (n, classes).
        folder: Where to; it is made.
        layer: Name of the layer whose output `feature_maps` gives.
        class_names: The names of the outputs, in their order.
        card: The text of the model card; see `model_card`.
        provenance: What the model came from, for JSON.
        formats: Which of `FORMATS`; the SavedModel is always written.

    Returns:
        The folder.

    Raises:
        ValueError: The model or an argument is not as described.
        ImportError: A format needs a package that is not installed.
        FileExistsError: There is a folder that is no export: it stays as it is.

    Example:
        >>> from blurnet_tf.signs import CLASS_NAMES
        >>> folder = export_model(
        ...     model, "exports/mine", layer="conv1", class_names=CLASS_NAMES, card="# Mine", provenance={}
        ... )
        >>> loaded = tf.saved_model.load(folder)
        >>> sorted(loaded.serving_default(images[:2]))
        ['logits', 'probabilities']
    """
    folder = Path(folder)
    check_formats(formats)
    _check_model(model, layer, class_names)
    archive = keras.export.ExportArchive()
    # Not `archive.track(model)`: with Keras 3.15 that writes every weight twice.
    for collection in ("variables", "trainable_variables", "non_trainable_variables"):
        archive.add_variable_collection(collection, [variable.value for variable in getattr(model, collection)])
    functions = {
        name: archive.add_endpoint(name, function, [ENDPOINTS[name]])
        for name, function in _endpoints(model, layer, class_names).items()
    }
    with replaced_folder(folder, marker="assets/model_card.md") as new:
        archive.write_out(str(new), verbose=False)
        model.save(new / f"{folder.name}.keras")
        write_text(new / "assets" / "labels.txt", "".join(f"{name}\n" for name in class_names))
        write_text(new / "assets" / "model_card.md", card)
        write_json(new / "assets" / "provenance.json", provenance)
        if "litert" in formats:
            write_litert(new, "serving_default", new / f"{folder.name}.tflite")
        if "onnx" in formats:
            name = "serving_default"
            write_onnx(functions[name], [ENDPOINTS[name]], new / f"{folder.name}.onnx")
    return folder


def _endpoints(model: keras.Model, layer: str, class_names: Sequence[str]) -> dict[str, Callable[[Any], Any]]:
    """Return what the endpoints compute. The name of an argument here is that of the input."""
    maps = keras.Model(model.inputs, model.get_layer(layer).output)

    def serving_default(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tf.cast(model(image, training=False), tf.float32)
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}

    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return name_classes(resize(image))

    def classify_encoded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return name_classes(tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec(INPUT_SHAPE, tf.uint8)))

    def feature_maps(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"feature_maps": tf.cast(maps(image, training=False), tf.float32)}

    def decode(image_bytes: tf.Tensor) -> tf.Tensor:
        # This operation reads PNG as well. `decode_image` has no choice of the cosine transform: its default one is off
        # by up to 17 levels of 255.
        decoded = tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE")
        return resize(decoded[None])[0]

    def name_classes(levels: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = serving_default(tf.cast(levels, tf.float32) / 255)["probabilities"]
        index = tf.argmax(probabilities, axis=1, output_type=tf.int32)
        return {
            "class_index": index,
            "class_name": tf.gather(tf.constant(list(class_names)), index),
            "probability": tf.reduce_max(probabilities, axis=1),
        }

    functions = (serving_default, classify, classify_encoded, feature_maps)
    return {function.__name__: function for function in functions}


def _check_model(model: keras.Model, layer: str, class_names: Sequence[str]) -> None:
    """Raise ValueError unless the model has one input of the right shape, one output a class, and the layer."""
    shapes = ([tuple(one.shape) for one in model.inputs], [tuple(one.shape) for one in model.outputs])
    if shapes != ([(None, *INPUT_SHAPE)], [(None, len(class_names))]):
        raise ValueError(
            f"`model` must map images {(None, *INPUT_SHAPE)} to logits (None, {len(class_names)}), one for each of "
            f"`class_names`. Received: inputs {shapes[0]}, outputs {shapes[1]}"
        )
    names = [one.name for one in model.layers]
    if layer not in names:
        raise ValueError(f"`layer` must be one of {', '.join(names)}. Received: layer={layer!r}")
