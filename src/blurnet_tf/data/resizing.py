"""Shrinking and enlarging a crop with a triangle filter, to the byte as Pillow does it.

OpenCV has no such filter: its bilinear interpolation looks at four pixels however much an image is shrunk, its area
interpolation weighs all pixels alike, and both round elsewhere. A dataset has to give the same bytes wherever it is
prepared, so the arithmetic is written out here, in whole numbers.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

_BITS = 22  # of the fixed-point weights; the largest sum, 255 << 22, is exact in float64


def resize(image: NDArray[np.uint8], size: int = 32) -> NDArray[np.uint8]:
    """Resize an image to a square, each direction on its own.

    Output pixel ``i`` of a side of ``n`` pixels is the mean of the input pixels ``j`` with the weights

        w_ij = max(0, 1 - |j + 1/2 - c_i| / s),   c_i = (i + 1/2) n / size,   s = max(1, n / size)

    normed to the sum 1 and rounded to 22 bits. After each of the two passes the values are rounded to whole numbers, so
    their order shows, by one level here and there: the width first, but the height first where it loses more than
    twice as many pixels as the width. These are the bytes of ``Image.resize((size, size), Image.Resampling.BILINEAR)``
    in Pillow 13; before Pillow 13 the width always came first.

    Args:
        image: uint8 (H, W, channels), not empty.
        size: Pixels a side of the result, at least 1.

    Returns:
        uint8 (size, size, channels).

    Raises:
        ValueError: An argument is not as described.

    Example:
        >>> resize(np.full((54, 40, 3), 7, np.uint8)).shape
        (32, 32, 3)
    """
    if image.dtype != np.uint8 or image.ndim != 3 or not image.size:
        raise ValueError(
            "`image` must be uint8 with the shape (H, W, channels), not empty. "
            f"Received: {image.dtype.name}, shape={image.shape}"
        )
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"`size` must be an integer of at least 1. Received: size={size!r}")
    height, width, _ = image.shape
    for axis in (0, 1) if height_first(height, width, size) else (1, 0):
        image = _resample(image, axis, int(size))
    return np.ascontiguousarray(image)


def height_first(height: int, width: int, size: int) -> bool:
    """Whether `resize` takes the height before the width.

    Example:
        >>> height_first(49, 40, 32), height_first(48, 40, 32)
        (True, False)
    """
    return height > size and height - size > 2 * (width - size)


def _resample(image: NDArray[np.uint8], axis: int, size: int) -> NDArray[np.uint8]:
    values = np.moveaxis(image, axis, -1)
    sums = values.astype(np.float64) @ _weights(values.shape[-1], size)
    whole: NDArray[np.int64] = (sums.astype(np.int64) + (1 << (_BITS - 1))) >> _BITS
    return np.moveaxis(np.minimum(whole, 255).astype(np.uint8), -1, axis)  # the weights may sum to a little more than 1


@functools.lru_cache(maxsize=512)
def _weights(length: int, size: int) -> NDArray[np.float64]:
    """Return the weights as whole numbers, float64 (length, size)."""
    scale = length / size
    support = max(1.0, scale)
    weights = np.zeros((length, size))
    for column in range(size):
        centre = (column + 0.5) * scale
        first, last = max(0, int(centre - support + 0.5)), min(length, int(centre + support + 0.5))
        triangle = [max(0.0, 1.0 - abs((j - centre + 0.5) * (1.0 / support))) for j in range(first, last)]
        total = 0.0
        for weight in triangle:
            total += weight
        weights[first:last, column] = [int(0.5 + weight / total * (1 << _BITS)) for weight in triangle]
    weights.flags.writeable = False
    return weights
