"""Spectra of patterns whose spectra are known, Parseval's theorem, and filters against what they do to a wave."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from blurnet_tf.defenses import blur_kernel
from blurnet_tf.evaluation.spectra import (
    HIGHEST,
    decibels,
    frequency_response,
    high_frequency_ratio,
    log_spectrum,
    pooled_power,
    power_spectrum,
    radial_frequency,
    radial_mean,
    share_beyond,
)

Array = NDArray[np.float64]
QUICK = settings(max_examples=40, deadline=None)
MAPS = hnp.arrays(np.float64, hnp.array_shapes(min_dims=3, max_dims=4, max_side=6), elements=st.floats(-8, 8, width=32))


def wave(down: int, across: int, size: int = 16, amplitude: float = 1.0) -> Array:
    """A cosine with so many cycles on the map, (size, size, 1)."""
    y, x = np.indices((size, size))
    return amplitude * np.cos(2 * np.pi * (down * y + across * x) / size)[..., None]


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 4), (5, 5), (6, 16), (7, 2)])
def test_frequencies_are_distances_from_0_in_cycles_per_pixel(height: int, width: int) -> None:
    expected = [
        [np.hypot((y - height // 2) / height, (x - width // 2) / width) for x in range(width)] for y in range(height)
    ]
    frequency = radial_frequency(height, width)
    np.testing.assert_allclose(frequency, expected, rtol=1e-15)
    assert frequency.max() <= HIGHEST


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_a_constant_has_its_square_at_frequency_0_and_nothing_else(size: int, value: float) -> None:
    constant = np.full((size, size, 1), value, np.float32)
    power = power_spectrum(constant)[..., 0]
    assert power[size // 2, size // 2] == pytest.approx(np.float32(value) ** 2)
    power[size // 2, size // 2] = 0
    np.testing.assert_allclose(power, 0, atol=1e-30)
    np.testing.assert_array_equal(power_spectrum(constant, keep_mean=False), 0)
    assert high_frequency_ratio(constant, 0.0).tolist() == [0.0]


@pytest.mark.parametrize(("down", "across"), [(0, 3), (2, 0), (3, 5), (1, 7)])
def test_a_cosine_is_two_points(down: int, across: int) -> None:
    expected = np.zeros((16, 16))
    expected[8 + down, 8 + across] = expected[8 - down, 8 - across] = 0.5**2 / 4
    np.testing.assert_allclose(power_spectrum(wave(down, across, amplitude=0.5))[..., 0], expected, atol=1e-18)
    frequency = np.hypot(down, across) / 16
    assert high_frequency_ratio(wave(down, across), frequency - 0.01) == pytest.approx([1.0])
    assert high_frequency_ratio(wave(down, across), frequency + 0.01) == pytest.approx([0.0], abs=1e-20)


def test_a_frequency_of_just_the_radius_is_not_beyond_it() -> None:
    assert high_frequency_ratio(wave(0, 4), 0.25) == pytest.approx([0.0], abs=1e-20)
    assert high_frequency_ratio(wave(0, 5), 0.25) == pytest.approx([1.0])


@pytest.mark.parametrize("size", [4, 16])
def test_a_checkerboard_is_the_corner(size: int) -> None:
    board = (np.indices((size, size)).sum(0) % 2)[..., None]
    power = power_spectrum(board, keep_mean=False)[..., 0]
    assert power[0, 0] == pytest.approx(0.25)
    assert power.sum() == pytest.approx(0.25)
    assert high_frequency_ratio(board, 0.7) == pytest.approx([1.0])


def test_a_point_has_all_frequencies_alike() -> None:
    point = np.zeros((16, 16, 1))
    point[3, 5] = 2.0
    np.testing.assert_allclose(power_spectrum(point), 4 / 256**2, rtol=1e-12)
    frequency = radial_frequency(16, 16)
    assert high_frequency_ratio(point, 0.3) == pytest.approx([(frequency > 0.3).sum() / 255])


def test_two_waves_share_the_energy_by_the_squares_of_their_amplitudes() -> None:
    both = 5 + wave(0, 2, amplitude=1.0) + wave(6, 0, amplitude=3.0)
    assert high_frequency_ratio(both) == pytest.approx([0.9])


@QUICK
@given(maps=MAPS)
def test_parseval(maps: Array) -> None:
    np.testing.assert_allclose(power_spectrum(maps).sum((-3, -2)), (maps**2).mean((-3, -2)), rtol=1e-10, atol=1e-25)
    varying = power_spectrum(maps, keep_mean=False).sum((-3, -2))
    np.testing.assert_allclose(varying, maps.var((-3, -2)), rtol=1e-8, atol=1e-25)


@QUICK
@given(maps=MAPS, factor=st.floats(0.1, 10), offset=st.floats(-5, 5), radius=st.floats(0, HIGHEST))
def test_the_ratio_is_a_share_that_neither_scale_nor_offset_changes(
    maps: Array, factor: float, offset: float, radius: float
) -> None:
    maps = np.round(maps, 2)  # so that what varies is far above the rounding of the offset
    ratio = high_frequency_ratio(maps, radius)
    assert ratio.shape == (*maps.shape[:-3], maps.shape[-1])
    assert (ratio >= 0).all()
    assert (ratio <= 1).all()
    np.testing.assert_allclose(high_frequency_ratio(factor * maps + offset, radius), ratio, atol=1e-8)


@QUICK
@given(maps=MAPS, first=st.floats(0, HIGHEST), second=st.floats(0, HIGHEST))
def test_the_larger_the_radius_the_less_lies_beyond(maps: Array, first: float, second: float) -> None:
    near, far = sorted((first, second))
    assert (high_frequency_ratio(maps, near) >= high_frequency_ratio(maps, far)).all()


def test_whatever_stands_before_the_height_is_kept() -> None:
    maps = noise(2, 3, 8, 6, 4)
    for compute in (power_spectrum, log_spectrum, high_frequency_ratio):
        together = compute(maps)
        for index in np.ndindex(2, 3):
            np.testing.assert_allclose(together[index], compute(maps[index]), rtol=1e-12)
            np.testing.assert_allclose(together[index][..., 1:2], compute(maps[index][..., 1:2]), rtol=1e-12)


def test_a_log_spectrum_is_0_at_the_strongest_frequency_and_the_floor_where_there_is_nothing() -> None:
    spectrum = log_spectrum(wave(0, 3, amplitude=0.02))[..., 0]
    assert np.argwhere(np.isclose(spectrum, 0)).tolist() == [[8, 5], [8, 11]]
    assert (np.sort(spectrum.ravel())[:-2] == -60).all()
    assert (log_spectrum(np.zeros((4, 4, 1)), floor=-20) == -20).all()


def test_a_log_spectrum_is_in_decibels_of_magnitude() -> None:
    spectrum = log_spectrum(wave(0, 3) + wave(2, 0, amplitude=0.1))[..., 0]
    assert spectrum[8, 11] == pytest.approx(0)
    assert spectrum[10, 8] == pytest.approx(-20)


def test_a_shared_reference_makes_spectra_comparable() -> None:
    maps = np.concatenate([wave(0, 3), wave(0, 3, amplitude=0.01)], axis=-1)
    assert log_spectrum(maps)[8, 11] == pytest.approx([0, 0])
    assert log_spectrum(maps, reference=0.5)[8, 11] == pytest.approx([0, -40])
    assert log_spectrum(maps, reference=[0.5, 0.05])[8, 11] == pytest.approx([0, -20])


def test_pooled_power_is_the_mean_of_all_maps_and_weighs_them_by_their_energy() -> None:
    maps = noise(3, 8, 8, 5)
    pooled = pooled_power(maps)
    np.testing.assert_allclose(pooled, power_spectrum(maps, keep_mean=False).mean((0, 3)), rtol=1e-12)
    energies = maps.var((1, 2))
    expected = (high_frequency_ratio(maps) * energies).sum() / energies.sum()
    assert float(share_beyond(pooled, 0.25)) == pytest.approx(expected)


def test_the_share_beyond_each_radius_is_that_beyond_one() -> None:
    maps = noise(9, 12, 1)
    radii = np.array([[0.0, 0.1], [0.3, HIGHEST]])
    shares = share_beyond(pooled_power(maps), radii)
    assert shares.shape == (2, 2)
    expected = [high_frequency_ratio(maps, radius).item() for radius in radii.flat]
    np.testing.assert_allclose(shares.ravel(), expected, rtol=1e-12)
    assert shares[0, 0] == pytest.approx(1)
    assert share_beyond(np.zeros((4, 4)), 0.25).item() == 0


@pytest.mark.parametrize("size", [3, 5, 7])
def test_the_response_of_a_box_is_a_product_of_dirichlet_kernels(size: int) -> None:
    frequency = np.fft.fftshift(np.fft.fftfreq(32))
    line = np.abs(sum(np.exp(-2j * np.pi * frequency * tap) for tap in range(size))) / size
    response = frequency_response(blur_kernel("box", size), 32)
    np.testing.assert_allclose(response, np.outer(line, line), atol=1e-7)
    assert response[16, 16] == pytest.approx(1)


@pytest.mark.parametrize("name", ["box", "gaussian", "binomial"])
@pytest.mark.parametrize(("down", "across"), [(0, 0), (0, 3), (5, 2), (8, 8)])
def test_a_response_is_what_the_filter_makes_of_a_wave(name: str, down: int, across: int) -> None:
    kernel = blur_kernel(name, 5)
    filtered = scipy.ndimage.convolve(wave(down, across)[..., 0], kernel, mode="wrap")
    response = np.roll(frequency_response(kernel, 16), (8, 8), (0, 1))  # frequency 0 first
    np.testing.assert_allclose(np.abs(filtered), response[down, across] * np.abs(wave(down, across)[..., 0]), atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8, 3, 64), (7, 7, 64, 1), (2, 3)])
def test_each_filter_of_a_layer_has_its_own_response(shape: tuple[int, ...]) -> None:
    kernel = noise(*shape)
    responses = frequency_response(kernel, 16)
    assert responses.shape == (16, 16, *shape[2:])
    for index in np.ndindex(shape[2:]):
        every = (slice(None), slice(None), *index)
        np.testing.assert_allclose(responses[every], frequency_response(kernel[every], 16), rtol=1e-12)


def test_a_radial_mean_is_over_rings() -> None:
    frequency = radial_frequency(64, 64)
    middles, means = radial_mean(np.stack([frequency, np.full((64, 64), 3.0)], axis=-1), rings=33)
    np.testing.assert_allclose(middles, np.arange(33) / 64)
    np.testing.assert_allclose(means[:, 0], middles, atol=1 / 128)
    np.testing.assert_allclose(means[:, 1], 3)


def test_a_radial_mean_is_that_of_a_loop() -> None:
    values, frequency = noise(12, 9), radial_frequency(12, 9)
    _, means = radial_mean(values, rings=4)
    for ring in range(4):
        inside = (np.rint(frequency * 6) == ring) & (frequency <= 0.5)
        assert means[ring] == pytest.approx(values[inside].mean())


MAP = np.zeros((4, 4, 1))


@pytest.mark.parametrize(
    ("call", "must", "received"),
    [
        (lambda: power_spectrum(MAP[..., 0]), "`x` must have the shape (..., H, W, channels).", "shape=(4, 4)"),
        (lambda: log_spectrum(MAP[:0]), "`x` must have the shape (..., H, W, channels).", "shape=(0, 4, 1)"),
        (lambda: log_spectrum(MAP, floor=0), "`floor` must be below 0.", "floor=0"),
        (lambda: log_spectrum(MAP, reference=[0.0]), "`reference` must be positive.", "reference=0"),
        (lambda: decibels([1.0], np.nan), "`reference` must be positive.", "reference=nan"),
        (lambda: high_frequency_ratio(MAP, 0.8), "`radius` must lie in [0, 0.7071] cycles per pixel.", "radius=0.8"),
        (lambda: high_frequency_ratio(MAP, -0.1), "`radius` must lie in [0, 0.7071] cycles per pixel.", "radius=-0.1"),
        (lambda: share_beyond(MAP[..., 0], [1.0]), "`radius` must lie in [0, 0.7071] cycles per pixel.", "radius=1.0"),
        (lambda: frequency_response(np.ones(3)), "`kernel` must have the shape (h, w, ...).", "shape=(3,)"),
        (
            lambda: frequency_response(np.ones((5, 3)), 4),
            "`size` must be at least 5, the side of the kernel.",
            "size=4",
        ),
        (lambda: radial_mean(MAP, rings=9), "`rings` must leave each ring a frequency of (4, 4).", "rings=9"),
    ],
)
def test_mistakes_are_named(call: Callable[[], Any], must: str, received: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'{must} Received: {received}')}$"):
        call()
