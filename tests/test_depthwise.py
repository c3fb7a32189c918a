"""The convolution that a learned blur is trained with, against TensorFlow's own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from blurnet_tf.defenses import FixedBlur, LearnableBlur
from blurnet_tf.models import lisa_cnn
from blurnet_tf.training import train
from blurnet_tf.training.depthwise import convolve, fast_blurs

SIZES = [3, 5, 7, 9]


def drawn(*shape: int, seed: int) -> Any:
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def gradients(function: Any, maps: Any, kernel: Any, padding: str) -> list[Any]:
    with tf.GradientTape() as tape:
        tape.watch([maps, kernel])
        result = function(maps, kernel, padding)
        loss = tf.reduce_sum(result * drawn(*result.shape, seed=3))
    return [result, *tape.gradient(loss, [maps, kernel])]


def plain(maps: Any, kernel: Any, padding: str) -> Any:
    return ops.depthwise_conv(maps, kernel, padding=padding, data_format="channels_last")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_gradients_are_those_of_tensorflow(size: int, padding: str) -> None:
    maps, kernel = drawn(4, 12, 9, 5, seed=1), drawn(size, size, 5, 1, seed=2)
    own, expected = (gradients(one, maps, kernel, padding) for one in (convolve, plain))
    np.testing.assert_array_equal(own[0], expected[0])
    for one, other in zip(own[1:], expected[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_sides_may_be_unknown_and_the_number_format_is_kept() -> None:
    maps, kernel = (tf.cast(drawn(*shape, seed=1), tf.bfloat16) for shape in ((3, 10, 8, 4), (5, 5, 4, 1)))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 4), tf.bfloat16)])
    def of_any_size(maps: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(tf.cast(convolve(maps, kernel, "same"), tf.float32))
        return tape.gradient(loss, kernel)

    result = of_any_size(maps)
    assert result.dtype == tf.bfloat16
    with tf.GradientTape() as tape:
        tape.watch(wide := tf.cast(kernel, tf.float32))
        loss = tf.reduce_sum(plain(tf.cast(maps, tf.float32), wide, "same"))
    expected = tape.gradient(loss, wide)
    np.testing.assert_allclose(tf.cast(result, tf.float32), expected, atol=0.01 * float(tf.reduce_max(abs(expected))))


@pytest.mark.parametrize("padding", ["same", "reflect"])
def test_training_changes_the_filter_as_the_plain_convolution_would(
    padding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noted(maps: Any, kernel: Any, padding: str) -> Any:
        calls.append(padding)
        return convolve(maps, kernel, padding)

    def trained() -> Any:
        model = lisa_cnn("depthwise_5x5", classes=3, seed=0)
        model.get_layer("depthwise").padding = padding
        train(model, images, labels, epochs=2, batch_size=4, verbose=0)
        return np.asarray(model.get_layer("depthwise").kernel)

    images, labels = np.asarray(abs(drawn(8, 32, 32, 3, seed=1))), np.arange(8) % 3
    monkeypatch.setattr("blurnet_tf.training.depthwise.convolve", noted)
    own = trained()
    assert set(calls) == {{"same": "same", "reflect": "valid"}[padding]}
    monkeypatch.setattr("blurnet_tf.training.depthwise.convolve", plain)
    np.testing.assert_allclose(own, trained(), atol=1e-5)


def test_learned_blurs_are_fast_in_the_block_alone() -> None:
    learned, inner, fixed = LearnableBlur(5), LearnableBlur(3), FixedBlur(5)
    nested = keras.Sequential([keras.Input((8, 8, 2)), inner])
    model = keras.Sequential([keras.Input((8, 8, 2)), learned, nested, fixed, LearnableBlur(1)])
    with fast_blurs(model), fast_blurs(nested):
        assert [layer.convolve is convolve for layer in (learned, inner, fixed)] == [True, True, False]
    assert all(layer.convolve is LearnableBlur.convolve for layer in (learned, inner, fixed))
