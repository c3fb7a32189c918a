"""The simulated camera: geometry, light and noise."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurnet_tf.data.scenes import View, background, photograph, project, random_view
from blurnet_tf.data.sign_art import draw_sign


def covered(colour: int = 200, size: int = 64) -> NDArray[np.uint8]:
    """A plain square sign that covers its whole picture."""
    return np.dstack([np.full((size, size, 3), colour, np.uint8), np.full((size, size), 255, np.uint8)])


def patterned() -> NDArray[np.uint8]:
    sign = covered()
    sign[..., :3] = cv2.resize(np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8), (64, 64))
    return sign


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sharpness(image: NDArray[np.float32]) -> float:
    return float(cv2.Laplacian(image, cv2.CV_32F).std())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(["stop", "speedLimit45", "yield", "schoolSpeedLimit25"]))
def test_any_view_gives_a_stored_picture_and_gives_it_again(seed: int, name: str) -> None:
    sign = draw_sign(name, 32)
    rng, again = generator(seed), generator(seed)
    image = photograph(sign, random_view(rng), rng)
    assert image.shape == (32, 32, 3)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1
    np.testing.assert_allclose(image * 255, np.rint(image * 255), atol=1e-4)
    np.testing.assert_array_equal(image, photograph(sign, random_view(again), again))


def test_a_sign_that_fills_the_frame_leaves_nothing_to_chance() -> None:
    view = View(fill=1.1)
    np.testing.assert_array_equal(
        photograph(patterned(), view, generator(0)), photograph(patterned(), view, generator(1))
    )


def test_exposure_scales_the_light_of_the_sign() -> None:
    image = photograph(covered(200), View(fill=1.1, exposure=0.5), generator())
    np.testing.assert_allclose(image, 100 / 255, atol=1e-6)


def test_haze_gamma_and_cast() -> None:
    view = View(fill=1.1, gamma=2.0, cast=(1.0, 0.5, 0.25), haze=0.5)
    expected = 0.5 * (np.array([1.0, 0.5, 0.25]) * 200 / 255) ** 2 + 0.5 * 0.72
    image = photograph(covered(200), view, generator())
    np.testing.assert_allclose(image, np.broadcast_to(expected, image.shape), atol=0.5 / 255 + 1e-6)


def test_roll_turns_clockwise() -> None:
    upright = photograph(patterned(), View(fill=1.0), generator())
    turned = photograph(patterned(), View(fill=1.0, roll=90), generator())
    inside = np.s_[2:-2, 2:-2]  # the outermost pixels mix with the background
    np.testing.assert_allclose(turned[inside], np.rot90(upright, -1)[inside], atol=2 / 255)


def test_yaw_makes_the_far_edge_shorter_and_the_sign_narrower() -> None:
    _, cover = project(covered(), View(yaw=30, stretch=0))
    heights = cover[..., 0].sum(axis=0)
    seen = np.flatnonzero(heights > 1)
    assert heights[seen[2]] > heights[seen[-3]] + 5  # left edge near, right edge far
    assert len(seen) < 0.9 * (cover[..., 0].sum(axis=1) > 1).sum()


def test_stretch_makes_the_box_square_and_fill_sets_its_size() -> None:
    _, cover = project(draw_sign("speedLimit45", 64), View(fill=0.75, stretch=1))
    assert cv2.boundingRect((cover > 0.5).astype(np.uint8))[2:] == (48, 48)
    _, cover = project(draw_sign("speedLimit45", 64), View(fill=0.75, stretch=0))
    left, top, width, height = cv2.boundingRect((cover > 0.5).astype(np.uint8))
    assert height == 48
    assert width == pytest.approx(48 * 0.8, abs=1.5)
    assert (left + width / 2, top + height / 2) == pytest.approx((32, 32), abs=1)


def test_shift_moves_to_the_right_and_down() -> None:
    _, cover = project(covered(), View(fill=0.5, shift=(0.125, 0.25)))
    assert cv2.boundingRect((cover > 0.5).astype(np.uint8)) == (16 + 8, 16 + 16, 32, 32)


@pytest.mark.parametrize("change", [{"resolution": 12}, {"defocus": 1.0}, {"motion": (6.0, 45.0)}])
def test_blur_and_distance_cost_sharpness(change: dict[str, object]) -> None:
    sharp = View(fill=1.0)
    blurred = dataclasses.replace(sharp, **change)
    assert sharpness(photograph(patterned(), blurred, generator())) < 0.8 * sharpness(
        photograph(patterned(), sharp, generator())
    )


def test_motion_blurs_along_its_direction_only() -> None:
    stripes = covered(0)
    stripes[:, ::16, :3] = stripes[:, 1::16, :3] = stripes[:, 2::16, :3] = 255
    still, along, across = (
        photograph(stripes, View(fill=1.1, motion=motion), generator()) for motion in ((0, 0), (3, 90), (3, 0))
    )
    np.testing.assert_allclose(along, still, atol=1 / 255)
    assert np.ptp(across) < 0.8 * np.ptp(still)


def test_noise_has_the_strength_that_was_asked_for() -> None:
    image = photograph(covered(128), View(fill=1.1, noise=0.05), generator())
    assert image.std() == pytest.approx(0.05, rel=0.1)


def test_grey_camera_gives_three_equal_channels() -> None:
    image = photograph(draw_sign("stop", 64), View(grey=True, noise=0.02), generator())
    np.testing.assert_array_equal(image[..., 0], image[..., 1])
    np.testing.assert_array_equal(image[..., 0], image[..., 2])
    colour = photograph(draw_sign("stop", 64), View(noise=0.02), generator())
    assert abs(colour[..., 0] - colour[..., 1]).max() > 0.3


def test_shadow_and_gloss_are_uneven_light() -> None:
    flat = photograph(covered(), View(fill=1.1), generator())
    assert np.ptp(flat) == 0
    shadow = photograph(covered(), View(fill=1.1, shadow=0.5), generator())
    gloss = photograph(covered(), View(fill=1.1, gloss=0.2), generator())
    assert shadow.min() < 0.75 * flat.min()
    assert (shadow <= flat).all()
    assert gloss.max() > flat.max() + 0.1
    assert (gloss >= flat).all()


def test_backgrounds_are_varied() -> None:
    pictures = [background(generator(seed)) for seed in range(30)]
    assert all(picture.shape == (64, 64, 3) and picture.dtype == np.float32 for picture in pictures)
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in pictures)
    means = np.array([picture.mean() for picture in pictures])
    assert means.std() > 0.08
    assert len({picture.tobytes() for picture in pictures}) == 30


@pytest.mark.parametrize("resolution", [7, 65])
def test_bad_resolution(resolution: int) -> None:
    with pytest.raises(ValueError, match="`resolution` must lie") as caught:
        View(resolution=resolution)
    assert str(caught.value) == f"`resolution` must lie in 8..64. Received: resolution={resolution}"


@pytest.mark.parametrize("fill", [0.0, -1.0, 2.5])
def test_bad_fill(fill: float) -> None:
    with pytest.raises(ValueError, match="`fill` must lie") as caught:
        View(fill=fill)
    assert str(caught.value) == f"`fill` must lie in (0, 2]. Received: fill={fill:g}"


@pytest.mark.parametrize(
    ("sign", "received"),
    [
        (np.zeros((64, 64, 4), np.uint8), "dtype=uint8, shape=(64, 64, 4)"),
        (np.ones((64, 64, 3), np.uint8), "dtype=uint8, shape=(64, 64, 3)"),
        (np.ones((64, 64, 4), np.float32), "dtype=float32, shape=(64, 64, 4)"),
    ],
)
def test_bad_sign(sign: NDArray[np.uint8], received: str) -> None:
    with pytest.raises(ValueError, match="`sign` must be") as caught:
        photograph(sign, View(), generator())
    assert str(caught.value) == (
        f"`sign` must be a uint8 picture of the shape (size, size, 4) with something to see. Received: {received}"
    )
