"""Sampling, perspective and blur: against plain NumPy and OpenCV, and their gradients against the adjoint."""

from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf.attacks.sampling import bilinear, gaussian_blur, quadrilateral, warp

RNG = np.random.default_rng(5)
IMAGES = RNG.uniform(0, 1, (3, 7, 9, 3)).astype(np.float32)
# Inside, outside on all sides, on pixels, on the edges and on the corners.
X = np.concatenate([RNG.uniform(-3, 12, (3, 5, 6)), np.tile([0.0, 8.0, 3.0, 8.5, -0.5, 4.5], (3, 1, 1))], axis=1)
Y = np.concatenate([RNG.uniform(-3, 10, (3, 5, 6)), np.tile([0.0, 6.0, 2.0, 2.5, 6.5, 6.0], (3, 1, 1))], axis=1)
X, Y = X.astype(np.float32), Y.astype(np.float32)


def plain_bilinear(images: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate one place after the other, in float64."""
    height, width = images.shape[1:3]
    result = np.zeros((*x.shape, images.shape[3]))
    for index in np.ndindex(x.shape):
        column, row = np.clip(float(x[index]), 0, width - 1), np.clip(float(y[index]), 0, height - 1)
        for i in range(height):
            for j in range(width):
                weight = max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j))
                result[index] += weight * images[index[0], i, j].astype(np.float64)
    return result


def homographies(n: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """From output to input in pixels from the centre: turned, larger or smaller, moved, and in perspective."""
    rng = np.random.default_rng(seed)
    result = np.tile(np.eye(3), (n, 1, 1))
    result[:, :2, :2] += rng.uniform(-0.4, 0.4, (n, 2, 2))
    result[:, :2, 2] = rng.uniform(-2, 2, (n, 2))
    result[:, 2, :2] = rng.uniform(-0.3, 0.3, (n, 2)) / max(size)
    return result.astype(np.float32)


def gradient(call: Any, images: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The gradient of <call(images), weights>."""
    variable = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        value = tf.reduce_sum(call(variable) * weights)
    return tape.gradient(value, variable).numpy()


def test_sampling_is_that_of_a_plain_implementation() -> None:
    found = bilinear(IMAGES, X, Y)
    assert (found.shape, found.dtype) == ((3, 6, 6, 3), tf.float32)
    np.testing.assert_allclose(found, plain_bilinear(IMAGES, X, Y), atol=1e-5)


def test_places_on_pixels_give_back_the_image_bit_for_bit() -> None:
    rows, columns = np.mgrid[:7, :9].astype(np.float32)
    found = bilinear(IMAGES, np.stack([columns] * 3), np.stack([rows] * 3))
    np.testing.assert_array_equal(found, IMAGES)
    np.testing.assert_array_equal(warp(IMAGES, np.tile(np.eye(3, dtype=np.float32), (3, 1, 1))), IMAGES)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 1)])
def test_a_picture_may_be_one_pixel_wide(size: tuple[int, int]) -> None:
    images = RNG.uniform(0, 1, (2, *size, 2)).astype(np.float32)
    x, y = RNG.uniform(-2, 6, (2, 2, 3, 3)).astype(np.float32)
    np.testing.assert_allclose(bilinear(images, x, y), plain_bilinear(images, x, y), atol=1e-5)


def test_a_warp_is_that_of_opencv_with_its_edge_replicated() -> None:
    height, width = 24, 30
    noise = RNG.uniform(0, 1, (4, height, width, 3)).astype(np.float32)
    images = np.stack([cv2.GaussianBlur(image, (0, 0), 1.5) for image in noise])
    matrices = homographies(4, (height, width))
    found = warp(images, matrices).numpy()
    to_centre = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    for image, matrix, mine in zip(images, matrices, found, strict=True):
        in_pixels = np.linalg.inv(to_centre) @ matrix @ to_centre
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        other = cv2.warpPerspective(image, in_pixels, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        # OpenCV rounds places to 1/32 of a pixel, and neighbours differ by less than 0.2 here.
        np.testing.assert_allclose(mine, other, atol=0.2 / 32 + 1e-4)
        assert np.abs(mine - image).mean() > 0.02


WARPS = {
    "bilinear": lambda images: bilinear(images, X, Y),
    "warp": lambda images: warp(images, homographies(3, (7, 9), seed=1)),
    "magnified": lambda images: warp(images, np.tile(np.diag([0.4, 0.4, 1]).astype(np.float32), (3, 1, 1))),
    "blur": lambda images: gaussian_blur(images, [0.0, 0.7, 2.5]),
}


@pytest.mark.parametrize("call", WARPS.values(), ids=WARPS)
def test_the_gradient_is_the_adjoint(call: Any) -> None:
    """For a linear A and the gradient G(w) of <A x, w>: <A x, w> = <x, G(w)> for every x and w."""
    other = RNG.normal(size=IMAGES.shape).astype(np.float32)
    weights = RNG.normal(size=call(IMAGES).shape).astype(np.float32)
    back = gradient(call, IMAGES, weights)
    for images in (IMAGES, other):
        forth = np.sum(call(images).numpy().astype(np.float64) * weights)
        np.testing.assert_allclose(np.sum(images.astype(np.float64) * back), forth, atol=1e-4)
    np.testing.assert_array_equal(gradient(call, other, weights), back)  # it is linear: the same everywhere


@pytest.mark.slow
@pytest.mark.parametrize("call", WARPS.values(), ids=WARPS)
def test_the_gradient_is_that_of_finite_differences_at_every_pixel(call: Any) -> None:
    weights = RNG.normal(size=call(IMAGES).shape).astype(np.float32)
    back = gradient(call, IMAGES, weights)
    # Each pixel of a picture once; the pictures of a call do not mix, nor do channels, so one call is for all of them.
    slopes = np.zeros(IMAGES.shape)
    for i, j in np.ndindex(7, 9):
        pixel = np.zeros((1, 7, 9, 1), np.float32)
        pixel[0, i, j] = 0.5
        difference = call(IMAGES + pixel).numpy().astype(np.float64) - call(IMAGES - pixel).numpy()
        slopes[:, i, j] = (difference * weights).sum(axis=(1, 2))
    np.testing.assert_allclose(back, slopes, atol=2e-5)


def test_pictures_and_channels_do_not_mix() -> None:
    for call in WARPS.values():
        changed = IMAGES.copy()
        changed[1, ..., 2] = 0
        difference = np.abs(call(changed).numpy() - call(IMAGES).numpy()).max(axis=(1, 2))
        assert difference[1, 2] > 0.1
        difference[1, 2] = 0
        assert difference.max() == 0


def test_a_quadrilateral_is_hit_at_its_corners_and_where_its_diagonals_cross() -> None:
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    corners = square + RNG.uniform(-0.24, 0.24, (50, 4, 2)).astype(np.float32)
    matrices = quadrilateral(corners).numpy().astype(np.float64)
    assert matrices.shape == (50, 3, 3)
    places = np.concatenate([square, [[0.5, 0.5]]])
    mapped = matrices @ np.concatenate([places, np.ones((5, 1))], axis=1).T
    assert (mapped[:, 2] > 0).all()
    found = np.moveaxis(mapped[:, :2] / mapped[:, 2:], 1, 2)
    np.testing.assert_allclose(found[:, :4], corners, atol=1e-5)
    for quad, centre in zip(corners.astype(np.float64), found[:, 4], strict=True):
        sides = np.stack([quad[2] - quad[0], quad[1] - quad[3]], axis=1)
        crossing = quad[0] + np.linalg.solve(sides, quad[1] - quad[0])[0] * (quad[2] - quad[0])
        np.testing.assert_allclose(centre, crossing, atol=1e-4)
    for quad, matrix in zip(corners, matrices, strict=True):
        np.testing.assert_allclose(matrix, cv2.getPerspectiveTransform(square, quad), atol=1e-3)


def test_a_blur_is_that_of_opencv_away_from_the_edge() -> None:
    images = RNG.uniform(0, 1, (2, 33, 41, 3)).astype(np.float32)
    sigmas = [0.8, 1.7]
    found = gaussian_blur(images, sigmas).numpy()
    for image, sigma, mine in zip(images, sigmas, found, strict=True):
        other = cv2.GaussianBlur(image, (21, 21), sigma)
        np.testing.assert_allclose(mine[10:-10, 10:-10], other[10:-10, 10:-10], atol=1e-5)


def test_a_blur_keeps_what_has_one_colour_and_one_of_0_changes_nothing() -> None:
    np.testing.assert_allclose(gaussian_blur(np.full((2, 5, 8, 3), 0.3, "f"), [0.5, 30.0]), 0.3, atol=1e-6)
    np.testing.assert_array_equal(gaussian_blur(IMAGES, np.zeros(3, "f")), IMAGES)
