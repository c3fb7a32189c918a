"""Low-pass kernels against OpenCV, SciPy and Pascal's triangle."""

from __future__ import annotations

import doctest
import math
import re
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from blurnet_tf.defenses import kernels
from blurnet_tf.defenses.kernels import WINDOWS, blur_kernel, check_size, default_sigma

SIZES = [1, 3, 5, 7, 11]


def impulse(size: int) -> np.ndarray:
    image = np.zeros((2 * size + 1, 2 * size + 1), np.float32)
    image[size, size] = 1
    return image


def window(image: np.ndarray, size: int) -> np.ndarray:
    middle, half = image.shape[0] // 2, size // 2
    return image[middle - half : middle + half + 1, middle - half : middle + half + 1]


@pytest.mark.parametrize("size", SIZES)
def test_box_is_the_impulse_response_of_opencv_and_scipy(size: int) -> None:
    image = impulse(size)
    np.testing.assert_allclose(blur_kernel("box", size), window(cv2.blur(image, (size, size)), size), rtol=1e-6)
    scipy_blur = ndimage.uniform_filter(image, size, mode="constant")
    np.testing.assert_allclose(blur_kernel("box", size), window(scipy_blur, size), rtol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.5])
def test_gaussian_equals_opencv_with_the_same_sigma(size: int, sigma: float) -> None:
    column = cv2.getGaussianKernel(size, sigma)
    np.testing.assert_allclose(blur_kernel("gaussian", size, sigma), column @ column.T, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("size", [11, 21, 31])
def test_gaussian_without_sigma_follows_opencv_where_opencv_has_no_fixed_table(size: int) -> None:
    column = cv2.getGaussianKernel(size, -1)
    np.testing.assert_allclose(blur_kernel("gaussian", size), column @ column.T, rtol=1e-5)


@pytest.mark.parametrize(("size", "sigma"), [(1, 0.5), (3, 0.8), (5, 1.1), (7, 1.4), (31, 5.0)])
def test_default_sigma_grows_by_0_15_a_pixel(size: int, sigma: float) -> None:
    assert default_sigma(size) == pytest.approx(sigma)


@pytest.mark.parametrize(
    ("size", "row"), [(1, [1]), (3, [1, 2, 1]), (5, [1, 4, 6, 4, 1]), (7, [1, 6, 15, 20, 15, 6, 1])]
)
def test_binomial_is_a_row_of_pascals_triangle(size: int, row: list[int]) -> None:
    np.testing.assert_allclose(blur_kernel("binomial", size), np.outer(row, row) / 4.0 ** (size - 1), rtol=1e-6)


def test_binomial_of_size_3_is_opencvs_default_gaussian() -> None:
    column = cv2.getGaussianKernel(3, -1)
    np.testing.assert_allclose(blur_kernel("binomial", 3), column @ column.T, rtol=1e-6)


@pytest.mark.parametrize("size", [3, 9, 21])
def test_binomial_has_the_variance_of_the_distribution(size: int) -> None:
    row = blur_kernel("binomial", size).sum(0)
    np.testing.assert_allclose(row, stats.binom(size - 1, 0.5).pmf(np.arange(size)), rtol=1e-5)
    assert (row * (np.arange(size) - size // 2) ** 2).sum() == pytest.approx((size - 1) / 4, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(WINDOWS), half=st.integers(0, 12))
def test_every_kernel_is_positive_symmetric_and_sums_to_1(name: str, half: int) -> None:
    kernel = blur_kernel(name, 2 * half + 1)
    assert kernel.shape == (2 * half + 1, 2 * half + 1)
    assert kernel.dtype == np.float32
    assert (kernel > 0).all()
    assert kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    for other in (kernel.T, kernel[::-1], kernel[:, ::-1]):
        np.testing.assert_allclose(kernel, other, rtol=1e-6)
    assert kernel[half, half] == kernel.max()


@pytest.mark.parametrize("name", WINDOWS)
def test_size_1_is_the_identity(name: str) -> None:
    np.testing.assert_array_equal(blur_kernel(name, 1), [[1]])


def test_a_size_of_numpy_is_taken_as_an_int() -> None:
    size = check_size(np.int64(5))
    assert size == 5
    assert type(size) is int


@pytest.mark.parametrize("size", [0, 4, -3, True, 3.0, "3", None])
def test_a_size_that_is_no_positive_odd_integer_is_an_error(size: Any) -> None:
    sentence = f"`size` must be a positive odd integer. Received: size={size!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        blur_kernel("box", size)


@pytest.mark.parametrize(
    ("name", "sigma"),
    [("box", 1.0), ("binomial", 1.0), ("median", 1.0), *(("gaussian", x) for x in (0, -1.0, math.inf, math.nan))],
)
def test_a_sigma_that_is_not_positive_or_not_used_is_an_error(name: str, sigma: float) -> None:
    sentence = (
        "`sigma` must be a positive number, given only with window='gaussian'. "
        f"Received: sigma={sigma!r}, window={name!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        blur_kernel(name, 3, sigma)


@pytest.mark.parametrize("name", ["median", "Box", "", None])
def test_an_unknown_window_is_an_error(name: Any) -> None:
    sentence = f"`window` must be one of 'box', 'gaussian', 'binomial'. Received: window={name!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        blur_kernel(name, 3)


def test_the_examples_of_the_docstrings_run() -> None:
    results = doctest.testmod(kernels)
    assert results.attempted >= 1
    assert results.failed == 0
