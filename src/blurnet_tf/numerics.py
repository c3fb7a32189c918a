"""The quantities of the paper as pure functions. Each runs on any Keras backend and is defined here and nowhere else.

Equation numbers are those of Raju & Lipasti, "BlurNet: Defense by Filtering the Feature Maps", arXiv:1908.02256v1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

TINY: float = 1e-12
"""Added under every square root: the root then has the gradient 0 at 0, where the plain one has NaN."""


def lp_norm(x: Any, p: int = 2, *, tiny: float = TINY) -> Any:
    r"""Norm of each item of a batch, ``||x||_p`` of Eq. 1 and 2: a sum over pixels and channels, not a mean.

    Args:
        x: float32 or float64 (n, ...). In float16 `TINY` is 0.
        p: 1, the sum of magnitudes, or 2, the root of the sum of squares.
        tiny: Added under the root. 0 makes the norm exact, and its gradient at 0 NaN.

    Returns:
        (n,), in the dtype of `x`. Differentiable everywhere, also at 0.

    Raises:
        ValueError: `p` is neither 1 nor 2.

    Example:
        >>> float(lp_norm([[3.0, 4.0]], p=2)[0]), float(lp_norm([[3.0, 4.0]], p=1)[0])
        (5.0, 7.0)
    """
    x = ops.convert_to_tensor(x)
    axes = tuple(range(1, len(x.shape)))
    if p == 1:
        return ops.sum(ops.absolute(x), axis=axes)
    if p == 2:
        return ops.sqrt(ops.sum(ops.square(x), axis=axes) + tiny)
    raise ValueError(f"`p` must be 1 or 2. Received: p={p!r}")


def dissimilarity(clean: Any, adversarial: Any, p: int = 2) -> Any:
    r"""Dissimilarity of each pair of images, the summand of Eq. 1: ``||x - x_adv||_p / ||x_adv||_p``.

    Args:
        clean: Floating (n, H, W, 3) in [0, 1].
        adversarial: The same shape and range; not all black, because Eq. 1 divides by its norm.
        p: 1 or 2. The paper restricts itself to 2.

    Returns:
        (n,), at least 0. Eq. 1 is its mean over the images.

    Example:
        >>> image = np.full((1, 2, 2, 3), 0.5, "float32")
        >>> float(dissimilarity(image, 2 * image)[0])
        0.5
    """
    clean, adversarial = ops.convert_to_tensor(clean), ops.convert_to_tensor(adversarial)
    # Exactly 0 for equal images. `TINY` below keeps a black image from dividing by 0.
    return lp_norm(clean - adversarial, p, tiny=0.0) / lp_norm(adversarial, p)


def total_variation(maps: Any) -> Any:
    r"""Total variation of each map, Eq. 4: ``sum_ij |x[i+1, j] - x[i, j]| + |x[i, j+1] - x[i, j]|``.

    Summed in float32 whatever comes in: in half precision a sum over a map has an error of several per cent.

    Args:
        maps: Floating (n, H, W, K), images or feature maps.

    Returns:
        float32 (n, K), 0 for a constant map.

    Example:
        >>> total_variation([[[[0.0], [1.0]], [[0.0], [1.0]]]]).numpy()
        array([[2.]], dtype=float32)
    """
    return _total_variation(ops.cast(ops.convert_to_tensor(maps), "float32"))


@ops.custom_gradient
def _total_variation(maps: Any) -> tuple[Any, Callable[..., Any]]:
    """Return Eq. 4 and its gradient, written out: automatic differentiation takes six times as long here.

    Each difference pulls at the pixel that it begins with and at the one that it ends with, with the sign that it has.
    """
    down, right = _differences(maps)

    def gradient(*arguments: Any, upstream: Any = None) -> Any:
        upstream = arguments[0] if upstream is None else upstream
        down_sign, right_sign = ops.sign(down), ops.sign(right)
        none = (0, 0)
        pulls = ops.pad(down_sign, (none, (1, 0), none, none)) - ops.pad(down_sign, (none, (0, 1), none, none))
        pulls += ops.pad(right_sign, (none, none, (1, 0), none)) - ops.pad(right_sign, (none, none, (0, 1), none))
        return upstream[:, None, None, :] * pulls

    return ops.sum(ops.absolute(down), axis=(1, 2)) + ops.sum(ops.absolute(right), axis=(1, 2)), gradient


def smooth_total_variation(maps: Any, eps: float = 1e-3) -> Any:
    r"""Total variation with a root that is round at 0: ``sum sqrt(d^2 + eps^2) - eps``, d as in Eq. 4.

    Args:
        maps: Floating (n, H, W, K).
        eps: Where the root turns: differences below it count by their squares, above it as in Eq. 4.

    Returns:
        float32 (n, K), 0 for a constant map.

    Example:
        >>> round(float(smooth_total_variation([[[[0.0], [3.0]]]], eps=4.0)[0, 0]), 6)
        1.0
    """
    return sum(ops.sum(_rounded(one, eps), axis=(1, 2)) for one in _differences(maps))


def _rounded(x: Any, eps: float) -> Any:
    """Return ``sqrt(x^2 + eps^2) - eps``, exactly 0 at 0: the root itself would lose the digits of small x."""
    square = ops.square(x)
    return square / (ops.sqrt(square + eps**2) + eps)


def squared_variation(maps: Any) -> Any:
    r"""Sum of the squared differences of each map: Eq. 4 with ``|d|^2`` for ``|d|``. Floating (n, H, W, K) to (n, K).

    Example:
        >>> squared_variation([[[[0.0], [3.0]]]]).numpy()
        array([[9.]], dtype=float32)
    """
    return sum(ops.sum(ops.square(one), axis=(1, 2)) for one in _differences(maps))


def _differences(maps: Any) -> tuple[Any, Any]:
    maps = ops.cast(ops.convert_to_tensor(maps), "float32")
    return maps[:, 1:] - maps[:, :-1], maps[:, :, 1:] - maps[:, :, :-1]


def kernel_total_variation(kernel: Any) -> Any:
    r"""Total variation of the kernels of a convolution: Eq. 4 of each window, summed over inputs and outputs.

    Args:
        kernel: Floating (h, w, inputs, outputs).

    Returns:
        A float32 scalar, 0 for windows of one value each.

    Example:
        >>> float(kernel_total_variation([[[[0.0]], [[2.0]]], [[[0.0]], [[2.0]]]]))
        4.0
    """
    kernel = ops.convert_to_tensor(kernel)
    return ops.sum(total_variation(ops.reshape(kernel, (1, *kernel.shape[:2], -1))))


def channel_linf(kernel: Any) -> Any:
    r"""Sum over the channels of the largest weight of each filter, Eq. 3: ``sum_j max |W[:, :, j]|``.

    Args:
        kernel: Floating (k, k, K) or (k, k, K, multiplier), a depthwise kernel.

    Returns:
        A scalar in the dtype of `kernel`.

    Example:
        >>> float(channel_linf([[[1.0, -3.0]], [[2.0, 0.0]]]))
        5.0
    """
    return ops.sum(ops.max(ops.absolute(ops.convert_to_tensor(kernel)), axis=(0, 1)))
