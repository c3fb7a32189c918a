"""Low-pass kernels by name."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.checks import is_finite

WINDOWS: tuple[str, ...] = ("box", "gaussian", "binomial")


def check_size(size: int) -> int:
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1 or size % 2 == 0:
        raise ValueError(f"`size` must be a positive odd integer. Received: size={size!r}")
    return int(size)


def default_sigma(size: int) -> float:
    """Standard deviation in pixels by OpenCV's formula; below size 9 OpenCV itself has tables that differ a little."""
    return 0.3 * ((size - 1) * 0.5 - 1) + 0.8


def blur_kernel(window: str, size: int, sigma: float | None = None) -> NDArray[np.float32]:
    """Return a low-pass kernel, float32 (size, size), whose weights are positive and sum to 1.

    Args:
        window: "box", all weights alike, the kernel that reproduces the paper's Table 1; "gaussian"; or "binomial", the
            rows of Pascal's triangle, which tend to a Gaussian of variance (size - 1) / 4.
        size: Side in pixels, odd.
        sigma: Standard deviation in pixels, for "gaussian" only. `None` takes OpenCV's rule, `default_sigma(size)`.

    Raises:
        ValueError: An unknown window, a size that is not odd and positive, a sigma that is not positive or not used.

    Example:
        >>> blur_kernel("binomial", 3)[1]
        array([0.125, 0.25 , 0.125], dtype=float32)
    """
    size = check_size(size)
    if sigma is not None and (window != "gaussian" or not (is_finite(sigma) and sigma > 0)):
        raise ValueError(
            "`sigma` must be a positive number, given only with window='gaussian'. "
            f"Received: sigma={sigma!r}, window={window!r}"
        )
    if window == "box":
        row = np.ones(size)
    elif window == "gaussian":
        distance = np.arange(size) - size // 2
        row = np.exp(-(distance**2) / (2 * (sigma or default_sigma(size)) ** 2))
    elif window == "binomial":
        row = np.array([math.comb(size - 1, i) for i in range(size)], np.float64)
    else:
        raise ValueError(f"`window` must be one of 'box', 'gaussian', 'binomial'. Received: window={window!r}")
    row = row / row.sum()
    return np.outer(row, row).astype(np.float32)
