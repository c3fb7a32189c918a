"""The quantities of the paper against NumPy, their properties, and their gradients at 0."""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurnet_tf import numerics
from blurnet_tf.numerics import (
    channel_linf,
    dissimilarity,
    kernel_total_variation,
    lp_norm,
    smooth_total_variation,
    squared_variation,
    total_variation,
)

Array = NDArray[np.float32]
QUICK = settings(max_examples=40, deadline=None)
VALUES = st.floats(-8, 8, width=32)
MAPS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=4, max_dims=4, max_side=5), elements=VALUES)


def random_maps(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def tv_by_numpy(maps: Array) -> NDArray[np.float64]:
    maps64 = maps.astype(np.float64)
    return np.abs(np.diff(maps64, axis=1)).sum((1, 2)) + np.abs(np.diff(maps64, axis=2)).sum((1, 2))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 6, 3), (2, 6, 1, 3), (3, 7, 5, 4), (2, 16, 16, 64)])
def test_total_variation_equals_numpy(shape: tuple[int, ...]) -> None:
    maps = random_maps(*shape)
    result = total_variation(maps)
    assert result.shape == (shape[0], shape[3])
    np.testing.assert_allclose(result, tv_by_numpy(maps), rtol=1e-5)


@QUICK
@given(shape=hnp.array_shapes(min_dims=4, max_dims=4, max_side=5), value=VALUES)
def test_total_variation_of_a_constant_is_0(shape: tuple[int, ...], value: float) -> None:
    np.testing.assert_array_equal(total_variation(np.full(shape, value, np.float32)), 0)


@QUICK
@given(maps=MAPS, offset=VALUES)
def test_total_variation_ignores_an_offset(maps: Array, offset: float) -> None:
    np.testing.assert_allclose(total_variation(maps + np.float32(offset)), total_variation(maps), atol=2e-4)


@QUICK
@given(maps=MAPS, factor=VALUES)
def test_total_variation_is_homogeneous(maps: Array, factor: float) -> None:
    scaled = total_variation(np.float32(factor) * maps)
    np.testing.assert_allclose(scaled, abs(factor) * np.asarray(total_variation(maps)), rtol=1e-4, atol=1e-4)


@QUICK
@given(maps=MAPS)
def test_total_variation_is_the_same_mirrored_and_transposed(maps: Array) -> None:
    expected = np.asarray(total_variation(maps))
    for other in (maps[:, ::-1], maps[:, :, ::-1], maps.transpose(0, 2, 1, 3)):
        np.testing.assert_allclose(total_variation(np.ascontiguousarray(other)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_total_variation_of_half_precision_is_summed_in_float32(dtype: str) -> None:
    board = np.indices((200, 200)).sum(0)[None, :, :, None] % 2
    result = total_variation(tf.cast(board, dtype))
    assert result.dtype == "float32"
    # above the range of float16, and between two bfloat16 numbers
    assert float(result[0, 0]) == 2 * 200 * 199


SHAPES = [(1, 1, 1, 1), (2, 1, 6, 3), (2, 6, 1, 3), (3, 7, 5, 4)]


@pytest.mark.parametrize("eps", [1e-3, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_smooth_total_variation_equals_numpy(shape: tuple[int, ...], eps: float) -> None:
    maps = random_maps(*shape)
    differences = [np.diff(maps.astype(np.float64), axis=axis) for axis in (1, 2)]
    expected = sum((np.sqrt(one**2 + eps**2) - eps).sum((1, 2)) for one in differences)
    result = smooth_total_variation(maps, eps)
    assert result.shape == (shape[0], shape[3])
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_smooth_total_variation_lies_a_little_below_that_of_equation_4() -> None:
    maps = random_maps(2, 6, 7, 3)
    smooth, exact = np.asarray(smooth_total_variation(maps)), tv_by_numpy(maps)
    pairs = 5 * 7 + 6 * 6  # of neighbours
    assert (smooth < exact).all()
    assert (smooth > exact - pairs * 1e-3).all()


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_smooth_total_variation_of_a_constant_is_0(value: float) -> None:
    np.testing.assert_array_equal(smooth_total_variation(np.full((2, 5, 6, 3), value, np.float32)), 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_squared_variation_equals_numpy(shape: tuple[int, ...]) -> None:
    maps = random_maps(*shape)
    expected = sum((np.diff(maps.astype(np.float64), axis=axis) ** 2).sum((1, 2)) for axis in (1, 2))
    result = squared_variation(maps)
    assert result.shape == (shape[0], shape[3])
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_all_forms_of_half_precision_are_summed_in_float32(dtype: str) -> None:
    board = np.indices((200, 200)).sum(0)[None, :, :, None] % 2
    for function in (smooth_total_variation, squared_variation):
        result = function(tf.cast(board, dtype))
        assert result.dtype == "float32"
        assert float(result[0, 0]) == pytest.approx(2 * 200 * 199, rel=2e-3)


@pytest.mark.parametrize("shape", [(8, 8, 3, 16), (3, 5, 1, 2), (1, 1, 4, 4), (1, 3, 2, 1)])
def test_kernel_total_variation_is_the_sum_over_all_windows(shape: tuple[int, ...]) -> None:
    kernel = random_maps(*shape)
    expected = 0.0
    for i in range(shape[2]):
        for o in range(shape[3]):
            window = kernel[:, :, i, o].astype(np.float64)
            expected += np.abs(np.diff(window, axis=0)).sum() + np.abs(np.diff(window, axis=1)).sum()
    result = kernel_total_variation(kernel)
    assert result.shape == ()
    assert result.dtype == "float32"
    assert float(result) == pytest.approx(expected, rel=1e-5)


def test_kernel_total_variation_does_not_compare_windows_with_each_other() -> None:
    values = np.random.default_rng(0).normal(size=(1, 1, 3, 4))
    assert float(kernel_total_variation(np.broadcast_to(values, (5, 5, 3, 4)).astype(np.float32))) == 0


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("shape", [(3, 5), (4, 8, 8, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lp_norm_equals_numpy(p: int, shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> None:
    x = random_maps(*shape).astype(dtype)
    result = lp_norm(x, p)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, np.linalg.norm(x.reshape(shape[0], -1), ord=p, axis=1), rtol=1e-5)


def test_lp_norm_takes_p_2_by_default() -> None:
    assert float(lp_norm([[3.0, 4.0]])[0]) == 5.0


@QUICK
@given(x=MAPS, factor=VALUES, p=st.sampled_from([1, 2]))
def test_lp_norm_is_homogeneous(x: Array, factor: float, p: int) -> None:
    scaled = lp_norm(np.float32(factor) * x, p)
    np.testing.assert_allclose(scaled, abs(factor) * np.asarray(lp_norm(x, p)), rtol=1e-4, atol=1e-5)


@QUICK
@given(x=MAPS, p=st.sampled_from([1, 2]), seed=st.integers(0, 99))
def test_lp_norm_obeys_the_triangle_inequality(x: Array, p: int, seed: int) -> None:
    y = random_maps(*x.shape, seed=seed)
    assert (np.asarray(lp_norm(x + y, p)) <= np.asarray(lp_norm(x, p)) + np.asarray(lp_norm(y, p)) + 1e-3).all()


@pytest.mark.parametrize("p", [3, 0, "inf", None])
def test_lp_norm_of_another_p_is_an_error(p: Any) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'`p` must be 1 or 2. Received: p={p!r}')}$"):
        lp_norm(np.ones((1, 2), np.float32), p)


@pytest.mark.parametrize("p", [1, 2])
def test_dissimilarity_is_equation_1(p: int) -> None:
    rng = np.random.default_rng(1)
    clean, adversarial = rng.uniform(0, 1, (2, 5, 8, 8, 3)).astype(np.float32)
    expected = [
        np.linalg.norm((x - x_adv).ravel(), ord=p) / np.linalg.norm(x_adv.ravel(), ord=p)
        for x, x_adv in zip(clean, adversarial, strict=True)
    ]
    np.testing.assert_allclose(dissimilarity(clean, adversarial, p), expected, rtol=1e-5)


def test_dissimilarity_divides_by_the_adversarial_image() -> None:
    image = np.full((1, 4, 4, 3), 0.25, np.float32)
    assert float(dissimilarity(image, 2 * image)[0]) == pytest.approx(0.5)
    assert float(dissimilarity(2 * image, image)[0]) == pytest.approx(1.0)


def test_dissimilarity_of_an_image_from_itself_is_0() -> None:
    image = np.random.default_rng(2).uniform(0, 1, (3, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(dissimilarity(image, image), 0, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 3, 4), (5, 5, 4, 1), (3, 3, 2, 3)])
def test_channel_linf_equals_a_loop(shape: tuple[int, ...]) -> None:
    kernel = random_maps(*shape)
    filters = kernel.reshape(shape[0], shape[1], -1)
    expected = sum(np.abs(filters[:, :, channel]).max() for channel in range(filters.shape[2]))
    assert float(channel_linf(kernel)) == pytest.approx(expected, rel=1e-6)


@QUICK
@given(kernel=hnp.arrays(np.float32, (3, 3, 4), elements=VALUES), factor=VALUES)
def test_channel_linf_is_homogeneous(kernel: Array, factor: float) -> None:
    scaled = float(channel_linf(np.float32(factor) * kernel))
    assert scaled == pytest.approx(abs(factor) * float(channel_linf(kernel)), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.5])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: lp_norm(x, 1),
        lambda x: lp_norm(x, 2),
        total_variation,
        smooth_total_variation,
        squared_variation,
        kernel_total_variation,
        channel_linf,
    ],
    ids=["L1", "L2", "TV", "smooth TV", "squared TV", "kernel TV", "L-infinity"],
)
def test_the_gradient_is_finite_where_the_quantity_has_its_kink(
    function: Callable[[tf.Tensor], tf.Tensor], value: float
) -> None:
    x = tf.fill((2, 3, 3, 2), value)
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = tf.reduce_sum(function(x))
    assert np.isfinite(tape.gradient(result, x)).all()


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 4, 2), (3, 4, 1, 1), (1, 1, 1, 1)])
def test_the_gradient_of_the_total_variation_is_that_of_automatic_differentiation(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    maps = tf.constant(np.round(rng.normal(size=shape), 1).astype(np.float32))  # rounded, so that some neighbours tie
    weights = tf.constant(rng.normal(size=(shape[0], shape[-1])).astype(np.float32))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(maps)
        ours = tf.reduce_sum(weights * total_variation(maps))
        down, right = maps[:, 1:] - maps[:, :-1], maps[:, :, 1:] - maps[:, :, :-1]
        plain = tf.reduce_sum(tf.abs(down), axis=(1, 2)) + tf.reduce_sum(tf.abs(right), axis=(1, 2))
        theirs = tf.reduce_sum(weights * plain)
    np.testing.assert_allclose(tape.gradient(ours, maps), tape.gradient(theirs, maps), atol=1e-6)


def test_the_gradients_of_the_other_forms_are_those_of_numpy() -> None:
    kernel = random_maps(3, 4, 2, 3)
    for function, slope in (
        (smooth_total_variation, lambda d: d / np.sqrt(d**2 + 1e-6)),
        (squared_variation, lambda d: 2 * d),
        (kernel_total_variation, np.sign),
    ):
        axes = (0, 1) if function is kernel_total_variation else (1, 2)
        expected = np.zeros(kernel.shape)
        for axis in axes:
            pull = slope(np.diff(kernel.astype(np.float64), axis=axis))
            zeros = np.zeros_like(np.take(expected, [0], axis))
            expected += np.concatenate([zeros, pull], axis) - np.concatenate([pull, zeros], axis)
        x = tf.constant(kernel)
        with tf.GradientTape() as tape:
            tape.watch(x)
            result = tf.reduce_sum(function(x))
        np.testing.assert_allclose(tape.gradient(result, x), expected, atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_equal_images_have_no_dissimilarity_at_all(level: float) -> None:
    image = np.full((2, 3, 3, 3), level, np.float32)
    np.testing.assert_array_equal(dissimilarity(image, image), [0.0, 0.0])


def test_the_gradient_of_the_l2_norm_is_the_direction() -> None:
    x = tf.constant([[3.0, 4.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = tf.reduce_sum(lp_norm(x, 2))
    np.testing.assert_allclose(tape.gradient(result, x), [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_the_examples_of_the_docstrings_run() -> None:
    results = doctest.testmod(numerics, extraglobs={"np": np})
    assert results.attempted >= 8
    assert results.failed == 0
