"""Spectra of images, feature maps and filters: how much of what varies varies fast.

All is NumPy, in float64. Maps are real (..., H, W, channels) with at least one pixel, each channel alone. Frequencies
are in cycles per pixel of the map that they are measured on, from -0.5 to 0.5 along each axis: 0.5 is light and dark in
turn. Behind a stride of 2 the same pattern has twice the frequency. Spectra are shifted: the frequency 0, the mean of
the map, is at ``[H // 2, W // 2]``, the highest ones are at the edges. A wrong argument is a ValueError.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

RADIUS: float = 0.25
"""Where high frequencies begin, in cycles per pixel: half of the 0.5 that the pixels can hold along an axis."""
HIGHEST: float = math.sqrt(0.5)
"""The radial frequency of the corners, in cycles per pixel, which no other exceeds."""
FLOOR: float = -60.0
"""What counts as nothing in `log_spectrum`, in decibels: a thousandth of the strongest magnitude."""

_ROUNDING = 1e-14


def radial_frequency(height: int, width: int) -> NDArray[np.float64]:
    """Return the distance of each frequency from 0, ``sqrt(f_y**2 + f_x**2)``, (height, width), at most `HIGHEST`.

    Example:
        >>> radial_frequency(1, 4)
        array([[0.5 , 0.25, 0.  , 0.25]])
    """
    down, across = (np.fft.fftshift(np.fft.fftfreq(side)) for side in (height, width))
    return np.hypot(down[:, None], across)


def power_spectrum(x: ArrayLike, *, keep_mean: bool = True) -> NDArray[np.float64]:
    """Return the energy at each frequency, ``|FFT(x)|**2 / (H W)**2``, in the shape of `x` and its units squared.

    Parseval's theorem: the sum over the frequencies is the mean of ``x**2`` over the pixels. Without `keep_mean` the
    frequency 0 is 0 and the sum is the variance; the spectrum of a constant is then exactly 0.

    Example:
        >>> power_spectrum(np.full((1, 2, 1), 3.0))[0, :, 0]
        array([0., 9.])
    """
    x = np.asarray(x, np.float64)
    if x.ndim < 3 or not x.size:
        raise ValueError(f"`x` must have the shape (..., H, W, channels). Received: shape={x.shape}")
    if not keep_mean:
        varying = x - x.mean(axis=(-3, -2), keepdims=True)
        largest = np.abs(x).max(axis=(-3, -2), keepdims=True)
        x = np.where(np.abs(varying) <= _ROUNDING * largest, 0.0, varying)
    transformed = np.fft.fft2(x, axes=(-3, -2)) / (x.shape[-3] * x.shape[-2])
    power = transformed.real**2 + transformed.imag**2
    if not keep_mean:
        power[..., 0, 0, :] = 0.0
    return np.fft.fftshift(power, axes=(-3, -2))


def log_spectrum(x: ArrayLike, *, reference: ArrayLike | None = None, floor: float = FLOOR) -> NDArray[np.float64]:
    """Return the magnitude of the FFT in decibels, ``20 log10(|FFT(x)| / reference)``, in the shape of `x`.

    Args:
        x: Maps.
        reference: The magnitude that is 0 dB, in the scale of ``sqrt(power_spectrum(x))``: a number, or one for each
            map, (..., channels). By default the strongest of each map. Maps that are to be compared need the same.
        floor: The lowest value, below 0; what lies below is set to it, 0 itself too.

    Example:
        >>> wave = np.cos(np.pi / 2 * np.arange(4))[None, :, None]  # 1, 0, -1, 0: a quarter of a cycle per pixel
        >>> log_spectrum(wave)[0, :, 0]
        array([-60.,   0., -60.,   0.])
    """
    power = power_spectrum(x)
    if reference is None:
        strongest = power.max(axis=(-3, -2), keepdims=True)
        return decibels(power, np.where(strongest > 0, strongest, 1.0), floor=floor)
    unit = np.square(np.asarray(reference, np.float64))
    return decibels(power, unit[..., None, None, :] if unit.ndim else unit, floor=floor)


def decibels(power: ArrayLike, reference: ArrayLike, *, floor: float = FLOOR) -> NDArray[np.float64]:
    """Return energies as decibels, ``10 log10(power / reference)``, none below `floor`; `reference` is positive.

    Example:
        >>> decibels([0.0, 0.5, 5.0], 0.5)
        array([-60.,   0.,  10.])
    """
    reference = np.asarray(reference, np.float64)
    if not floor < 0:
        raise ValueError(f"`floor` must be below 0. Received: floor={floor}")
    if not (np.isfinite(reference).all() and (reference > 0).all()):
        raise ValueError(f"`reference` must be positive. Received: reference={reference.min():g}")
    return 10 * np.log10(np.maximum(np.asarray(power, np.float64) / reference, 10 ** (floor / 10)))


def high_frequency_ratio(x: ArrayLike, radius: float = RADIUS) -> NDArray[np.float64]:
    """Return the share of each map's energy beyond `radius`: (..., channels) in [0, 1], 0 for a constant map.

    ``sum(P[f > radius]) / sum(P[f > 0])`` with ``P = power_spectrum(x)`` and f the radial frequency. The mean of the
    map is left out: it is no pattern, and in the maps behind a ReLU it would outweigh the rest. Of a large map whose
    frequencies are all alike, 80% lies beyond the default of 0.25.

    Example:
        >>> board = np.indices((8, 8)).sum(0) % 2  # a checkerboard: 0.5 cycles per pixel in both directions
        >>> high_frequency_ratio(board[..., None])
        array([1.])
    """
    power = power_spectrum(x, keep_mean=False)
    high = np.where(_beyond(power.shape, radius)[..., None], power, 0.0).sum(axis=(-3, -2))
    total = power.sum(axis=(-3, -2))
    return np.divide(high, total, out=np.zeros_like(total), where=total > 0)


def pooled_power(x: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of `power_spectrum` over all maps of `x`, each without its mean: (H, W).

    A map with little energy counts little here; in the mean of the ratios it would weigh as much as the others.

    Example:
        >>> float(pooled_power(np.random.default_rng(0).normal(size=(9, 8, 8, 3)))[4, 4])
        0.0
    """
    power = power_spectrum(x, keep_mean=False)
    return power.mean(axis=(*range(power.ndim - 3), power.ndim - 1))


def share_beyond(power: ArrayLike, radii: ArrayLike) -> NDArray[np.float64]:
    """Return the share of the energy of a spectrum (H, W) beyond each radius, in the shape of `radii`; 0 without any.

    Example:
        >>> share_beyond(np.ones((8, 8)), [0.0, 0.25, 0.5])
        array([0.984375, 0.796875, 0.265625])
    """
    power, radii = np.asarray(power, np.float64), np.asarray(radii, np.float64)
    total = power.sum()
    shares = [power[_beyond((*power.shape, 1), radius)].sum() / (total if total > 0 else 1) for radius in radii.flat]
    return np.reshape(shares, radii.shape)


def frequency_response(kernel: ArrayLike, size: int = 64) -> NDArray[np.float64]:
    """Return the gain of filters at each frequency, ``|sum_uv kernel[u, v] exp(-2 pi i (f_y u + f_x v))|``.

    A wave of that frequency leaves the filter with this many times its amplitude, away from the margins of the map and
    before any stride; a stride of 2 then folds the frequencies above 0.25 onto those below.

    Args:
        kernel: Real (h, w, ...): one filter, or many, such as a depthwise kernel (k, k, K, 1).
        size: How many frequencies along each axis, at least the larger side of the kernel: the result is
            (size, size, ...).

    Example:
        >>> frequency_response(np.full((1, 3), 1 / 3), size=6)[3].round(3)  # its zero is at a third of a cycle
        array([0.333, 0.   , 0.667, 1.   , 0.667, 0.   ])
    """
    kernel = np.asarray(kernel, np.float64)
    if kernel.ndim < 2 or not kernel.size:
        raise ValueError(f"`kernel` must have the shape (h, w, ...). Received: shape={kernel.shape}")
    if size < max(kernel.shape[:2]):
        raise ValueError(
            f"`size` must be at least {max(kernel.shape[:2])}, the side of the kernel. Received: size={size}"
        )
    return np.fft.fftshift(np.abs(np.fft.fft2(kernel, s=(size, size), axes=(0, 1))), axes=(0, 1))


def radial_mean(values: ArrayLike, rings: int = 16) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of values (H, W, ...) over all directions, ring by ring from the frequency 0 to 0.5.

    The corners are left out. The middles of the rings come first, ``0.5 k / (rings - 1)``, then the means (rings, ...).

    Example:
        >>> frequencies, means = radial_mean(radial_frequency(64, 64), rings=3)
        >>> frequencies, means.round(2)
        (array([0.  , 0.25, 0.5 ]), array([0.08, 0.27, 0.44]))
    """
    values = np.asarray(values, np.float64)
    frequency = radial_frequency(*values.shape[:2])
    inside = frequency <= 0.5
    ring = np.rint(frequency[inside] * 2 * (rings - 1)).astype(int)
    counts = np.bincount(ring, minlength=rings)
    if not counts.all():
        raise ValueError(f"`rings` must leave each ring a frequency of {values.shape[:2]}. Received: rings={rings}")
    sums = np.zeros((rings, *values.shape[2:]))
    np.add.at(sums, ring, values[inside])
    return np.linspace(0, 0.5, rings), sums / counts.reshape(-1, *[1] * (values.ndim - 2))


def _beyond(shape: tuple[int, ...], radius: float) -> NDArray[np.bool_]:
    if not 0 <= radius <= HIGHEST:
        raise ValueError(f"`radius` must lie in [0, {HIGHEST:.4f}] cycles per pixel. Received: radius={radius}")
    return radial_frequency(*shape[-3:-1]) > radius
