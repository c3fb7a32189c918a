"""Models as other people save them, with names, sizes and habits of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

CLASSES = ("cat", "dog", "cow", "owl", "eel")
SIZE = 12


def keras_model(outputs: int = len(CLASSES), *, size: int = SIZE, activation: str | None = None) -> keras.Model:
    """A small CNN whose input is called `pixels`; always the same weights."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((size, size, 3), name="pixels")
    maps = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(pixels)
    return keras.Model(pixels, keras.layers.Dense(outputs, activation=activation)(keras.layers.Flatten()(maps)))


def save(folder: Path) -> Path:
    """Write a SavedModel with a signature for each way to be right or wrong."""
    model = keras_model()

    def floats(*shape: int | None, dtype: Any = tf.float32) -> tf.TensorSpec:
        return tf.TensorSpec(shape, dtype, "pixels")

    images = floats(None, SIZE, SIZE, 3)
    module = tf.Module()
    module.kept = [variable.value for variable in model.variables]
    signatures: dict[str, tuple[Any, list[tf.TensorSpec]]] = {
        "serving_default": (lambda pixels: {"scores": model(pixels)}, [images]),
        "softmax": (lambda pixels: {"scores": tf.nn.softmax(model(pixels))}, [images]),
        "both": (lambda pixels: {"scores": model(pixels), "probabilities": tf.nn.softmax(model(pixels))}, [images]),
        "double": (
            lambda pixels: {"scores": model(tf.cast(pixels, tf.float32))},
            [floats(None, SIZE, SIZE, 3, dtype=tf.float64)],
        ),
        "rounded": (lambda pixels: {"scores": model(tf.round(pixels * 255) / 255)}, [images]),
        "stopped": (lambda pixels: {"scores": tf.stop_gradient(model(pixels))}, [images]),
        "winner": (lambda pixels: {"scores": tf.one_hot(tf.argmax(model(pixels), 1), 5) * 3.0}, [images]),
        "cast": (
            lambda pixels: {"scores": model(tf.cast(tf.cast(pixels * 255, tf.uint8), tf.float32) / 255)},
            [images],
        ),
        "flat": (lambda pixels: {"scores": model(tf.clip_by_value(pixels, 2.0, 3.0))}, [images]),
        "root": (lambda pixels: {"scores": model(pixels) * (1 + tf.reduce_sum(tf.sqrt(0.0 * pixels)))}, [images]),
        "nan": (lambda pixels: {"scores": model(pixels) * float("nan")}, [images]),
        "single": (lambda pixels: {"scores": model(pixels)[:, :1]}, [images]),
        "index": (lambda pixels: {"scores": tf.argmax(model(pixels), 1)}, [images]),
        "maps": (lambda pixels: {"scores": pixels * 2}, [images]),
        "levels": (
            lambda pixels: {"scores": model(tf.cast(pixels, tf.float32) / 255)},
            [floats(None, SIZE, SIZE, 3, dtype=tf.uint8)],
        ),
        "files": (
            lambda pixels: {"scores": tf.cast(tf.strings.length(pixels), tf.float32)[:, None] * tf.ones((1, 5))},
            [floats(None, dtype=tf.string)],
        ),
        "free": (
            lambda pixels: {"scores": model(tf.image.resize(pixels, (SIZE, SIZE)))},
            [floats(None, None, None, 3)],
        ),
        "broken": (
            lambda pixels: {"scores": model(tf.reshape(pixels, (-1, 12, 12, 3)))},
            [floats(None, None, None, 3)],
        ),
        "one": (lambda pixels: {"scores": model(pixels)}, [floats(1, SIZE, SIZE, 3)]),
        "first": (lambda pixels: {"scores": model(tf.transpose(pixels, (0, 2, 3, 1)))}, [floats(None, 3, SIZE, SIZE)]),
        "two": (
            lambda pixels, more: {"scores": model(pixels + more)},
            [images, tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32, "more")],
        ),
    }
    functions = {
        name: tf.function(function).get_concrete_function(*specs) for name, (function, specs) in signatures.items()
    }
    tf.saved_model.save(module, str(folder), signatures=functions)
    return folder
