"""What several rooms ask of their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def check_integer(name: str, value: Any, least: int) -> None:
    """Raise ValueError unless `value` is an integer of at least `least`; `name` is what the caller calls it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}")


def check_images(images: ArrayLike) -> NDArray[np.float32]:
    """Return images as float32 (n, H, W, 3); raise ValueError unless they lie in [0, 1] and there is at least one."""
    array = np.asarray(images, np.float32)
    if array.ndim != 4 or array.shape[-1] != 3 or not array.size:
        raise ValueError(f"`images` must have the shape (n, H, W, 3) with n > 0. Received: shape={array.shape}")
    if not (array.min() >= 0 and array.max() <= 1):  # also catches NaN
        raise ValueError(f"`images` must lie in [0, 1]. Received: values from {array.min():g} to {array.max():g}")
    return array


def are_probabilities(answers: NDArray[np.floating]) -> bool:
    """Whether answers of a model (n, classes) look like those of a softmax: none below 0, and the sums are 1."""
    return bool(answers.min() >= 0 and np.allclose(answers.sum(axis=1), 1.0, atol=1e-3))
