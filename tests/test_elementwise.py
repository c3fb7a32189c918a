"""Clipping and choosing, against TensorFlow's own."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf.attacks.elementwise import choose, clip


def clipped(function: Callable[..., Any], x: Any, upstream: Any, low: float, high: float) -> tuple[Any, Any]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x, low, high)
    return y, tape.gradient(y, x, output_gradients=upstream)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-20.0, 0.25)])
def test_clip_and_its_gradient_are_those_of_tensorflow(low: float, high: float, compiled: bool) -> None:
    rng = np.random.default_rng(0)
    inside = rng.uniform(-30, 30, 200).astype("float32")
    at = np.array([low, high, 0.0, -0.0, np.inf, -np.inf, np.nextafter(np.float32(high), np.float32(99))], "float32")
    x = tf.constant(np.concatenate([inside, at, at]))
    upstream = np.concatenate([rng.normal(size=len(inside)), np.full(len(at), 3.0), np.full(len(at), np.inf)])
    of = tf.function(clipped) if compiled else clipped
    own, expected = (of(one, x, tf.constant(upstream, tf.float32), low, high) for one in (clip, tf.clip_by_value))
    np.testing.assert_array_equal(own[0], expected[0])
    np.testing.assert_array_equal(own[1], expected[1])


def test_clip_keeps_no_graph() -> None:
    def graphs() -> int:
        gc.collect()
        return sum(isinstance(one, tf.Graph) for one in gc.get_objects())

    def traced() -> None:
        tf.function(clipped).get_concrete_function(clip, tf.constant([2.0]), tf.constant([1.0]), 0.0, 1.0)

    traced()
    before = graphs()
    for _ in range(3):
        traced()
    assert graphs() == before


def test_clip_keeps_the_number_format() -> None:
    assert clip(tf.constant([2.0], tf.float64), 0.0, 1.0).dtype == tf.float64


@pytest.mark.parametrize("condition", [True, False, [True, False, True]])
def test_choose_takes_whole_stickers(condition: Any) -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype("float32")
    kept = np.broadcast_to(np.asarray(condition), (3,))[:, None, None]
    np.testing.assert_array_equal(choose(tf.constant(condition), x, y), np.where(kept, x, y))
