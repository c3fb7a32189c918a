"""What several rooms ask of their arguments, and how they speak of what they got."""

from __future__ import annotations

import math
import numbers
import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

INT32_MAX = 2**31 - 1


def is_finite(value: Any) -> bool:
    """Return whether `value` is a real number that a float can hold: an integer may be larger."""
    try:
        return isinstance(value, numbers.Real) and math.isfinite(value)
    except OverflowError:
        return False


def check_integer(name: str, value: Any, least: int, most: int = INT32_MAX) -> None:
    """Raise ValueError unless `value` is an integer of that range; `name` is what the caller calls it."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (whole and least <= value <= most):
        wanted = f"from {least} to {most}" if whole and value > most else f"of at least {least}"
        raise ValueError(f"`{name}` must be an integer {wanted}. Received: {name}={value!r}")


def numbers_of(name: str, value: ArrayLike, dtype: type[Any] = np.float32) -> NDArray[Any]:
    """Return an array of a type; raise ValueError unless it holds numbers of it."""
    try:
        return np.asarray(value, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"`{name}` must be an array of numbers. Received: {name}={shown(value)}") from error


def check_images(images: ArrayLike) -> NDArray[np.float32]:
    """Return images as float32 (n, H, W, 3); raise ValueError unless they lie in [0, 1] and there is at least one."""
    array = numbers_of("images", images)
    if array.ndim != 4 or array.shape[-1] != 3 or not array.size:
        raise ValueError(f"`images` must have the shape (n, H, W, 3) with n > 0. Received: shape={array.shape}")
    if not (array.min() >= 0 and array.max() <= 1):  # also catches NaN
        raise ValueError(f"`images` must lie in [0, 1]. Received: values from {array.min():g} to {array.max():g}")
    return array


def check_callable(name: str, value: Any) -> None:
    """Raise ValueError unless `value` can be called, as a model is."""
    if not callable(value):
        raise ValueError(f"`{name}` must be a model or a function of images. Received: {name}={shown(value)}")


def are_probabilities(answers: NDArray[np.floating]) -> bool:
    """Whether answers of a model (n, classes) look like those of a softmax: none below 0, and the sums are 1."""
    return bool(answers.min() >= 0 and np.allclose(answers.sum(axis=1), 1.0, atol=1e-3))


def first_line(error: Exception) -> str:
    """Return the first line of what an error says; its kind, if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def shown(value: Any, most: int = 120) -> str:
    """Return a value as Python writes it, shortened: what is in a file of others may be long, or steer a terminal."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def printable(text: str, most: int = 3000) -> str:
    r"""Return a message without what would steer a terminal, such as the codes of colours, and not longer than `most`.

    Example:
        >>> print(printable("a\x1b[31mb\u202e"))
        a\x1b[31mb\u202e
    """
    plain = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return plain if len(plain) <= most else f"{plain[:most]}... ({len(plain)} characters)"


# All but the tabulator and the end of a line; the last group turns the direction of writing.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
