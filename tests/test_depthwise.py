"""The convolution that a learned blur is trained with, against TensorFlow's own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from blurnet_tf.defenses import LearnableBlur
from blurnet_tf.defenses.depthwise import convolve_in_training

SIZES = [1, 3, 5, 7, 9]


def drawn(*shape: int, seed: int) -> Any:
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def gradients(convolve: Any, maps: Any, kernel: Any, padding: str) -> list[Any]:
    with tf.GradientTape() as tape:
        tape.watch([maps, kernel])
        result = convolve(maps, kernel, padding)
        loss = tf.reduce_sum(result * drawn(*result.shape, seed=3))
    return [result, *tape.gradient(loss, [maps, kernel])]


def plain(maps: Any, kernel: Any, padding: str) -> Any:
    return ops.depthwise_conv(maps, kernel, padding=padding, data_format="channels_last")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_gradients_are_those_of_tensorflow(size: int, padding: str) -> None:
    maps, kernel = drawn(4, 12, 9, 5, seed=1), drawn(size, size, 5, 1, seed=2)
    own, expected = (gradients(convolve, maps, kernel, padding) for convolve in (convolve_in_training, plain))
    np.testing.assert_array_equal(own[0], expected[0])
    for one, other in zip(own[1:], expected[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_sides_may_be_unknown_and_the_number_format_is_kept() -> None:
    maps, kernel = (tf.cast(drawn(*shape, seed=1), tf.bfloat16) for shape in ((3, 10, 8, 4), (5, 5, 4, 1)))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 4), tf.bfloat16)])
    def of_any_size(maps: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(tf.cast(convolve_in_training(maps, kernel, "same"), tf.float32))
        return tape.gradient(loss, kernel)

    result = of_any_size(maps)
    assert result.dtype == tf.bfloat16
    with tf.GradientTape() as tape:
        tape.watch(wide := tf.cast(kernel, tf.float32))
        loss = tf.reduce_sum(plain(tf.cast(maps, tf.float32), wide, "same"))
    expected = tape.gradient(loss, wide)
    np.testing.assert_allclose(tf.cast(result, tf.float32), expected, atol=0.01 * float(tf.reduce_max(abs(expected))))


@pytest.mark.parametrize("padding", ["same", "reflect"])
def test_a_learned_blur_is_trained_with_it_and_used_without(padding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = drawn(2, 12, 12, 3, seed=1)
    layer = LearnableBlur(5, start="random", padding=padding, seed=0)
    layer.build(maps.shape)
    calls: list[str] = []

    def noted(maps: Any, kernel: Any, padding: str) -> Any:
        calls.append(padding)
        return plain(maps, kernel, padding)

    monkeypatch.setattr("blurnet_tf.defenses.layers.convolve_in_training", noted)
    used, trained = layer(maps), layer(maps, training=True)
    np.testing.assert_array_equal(used, trained)
    layer.trainable = False
    layer(maps, training=True)
    assert calls == [{"same": "same", "reflect": "valid"}[padding]]


@pytest.mark.parametrize("padding", ["same", "reflect"])
def test_training_changes_the_filter_as_the_plain_convolution_would(
    padding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained() -> Any:
        layer = LearnableBlur(5, start="random", padding=padding, seed=0)
        model = keras.Sequential([keras.Input((12, 12, 3)), layer])
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        model.fit(
            drawn(6, 12, 12, 3, seed=1), drawn(6, 12, 12, 3, seed=2), epochs=3, batch_size=3, verbose=0, shuffle=False
        )
        return np.asarray(layer.kernel)

    own = trained()
    monkeypatch.setattr("blurnet_tf.defenses.layers.convolve_in_training", plain)
    np.testing.assert_allclose(own, trained(), atol=1e-6)
