"""Learned blurs whose kernels are trained fast on processors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from blurnet_tf.defenses import LearnableBlur


@contextlib.contextmanager
def fast_blurs(model: keras.Model) -> Iterator[None]:
    """Have the learned blurs of a model compute with `convolve` while the block runs.

    Not beyond it: an exported graph keeps only the gradients of TensorFlow's own operations. A GPU is left alone.
    """
    flat = [] if tf.config.list_physical_devices("GPU") else model._flatten_layers()
    blurs = [layer for layer in flat if isinstance(layer, LearnableBlur) and layer.size > 1]
    for layer in blurs:
        layer.convolve = convolve
    try:
        yield
    finally:
        for layer in blurs:
            layer.__dict__.pop("convolve", None)  # the one of its class is left


def convolve(maps: Any, kernel: Any, padding: str) -> Any:
    """Return what `keras.ops.depthwise_conv` does with stride 1, with the same gradients but for rounding, faster.

    TensorFlow has fast code for the gradient to a kernel of 3x3 alone: in bfloat16 that to one of 5x5 or 7x7 takes 20
    times as long, and is half of a training step. So larger kernels are put together from blocks of 3x3, one row or
    column of each shared with the next. The gradient to the maps is computed as the convolution that it is.

    Args:
        maps: Floating (n, H, W, channels).
        kernel: (size, size, channels, 1), `size` odd and above 1.
        padding: "same" or "valid".
    """
    size = int(kernel.shape[0])
    around = ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0))

    @tf.custom_gradient
    def convolved(maps: Any, kernel: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
        def gradient(upstream: Any) -> tuple[Any, Any]:
            seen, pulls = (tf.pad(maps, around), upstream) if padding == "same" else (maps, tf.pad(upstream, around))
            return _depthwise(pulls, tf.reverse(kernel, (0, 1)), "same"), _to_kernel(seen, upstream, size)

        return _depthwise(maps, kernel, padding), gradient

    maps = tf.convert_to_tensor(maps)
    return convolved(maps, keras.ops.cast(kernel, maps.dtype))


def _depthwise(maps: Any, kernel: Any, padding: str) -> Any:
    return tf.nn.depthwise_conv2d(maps, kernel, strides=(1, 1, 1, 1), padding=padding.upper())


def _to_kernel(seen: Any, upstream: Any, size: int) -> Any:
    """Return the gradient to the kernel, block by block. `seen` has a margin of ``size // 2`` around `upstream`."""
    height, width, channels = (upstream.shape[axis] or tf.shape(upstream)[axis] for axis in (1, 2, 3))
    rows = []
    for row in range(0, size - 2, 2):
        blocks = [
            tf.nn.depthwise_conv2d_backprop_filter(
                seen[:, row : row + height + 2, column : column + width + 2],
                (3, 3, channels, 1), upstream, strides=(1, 1, 1, 1), padding="VALID",
            )
            for column in range(0, size - 2, 2)
        ]  # fmt: skip
        rows.append(tf.concat([blocks[0], *(block[:, 1:] for block in blocks[1:])], axis=1))
    return tf.concat([rows[0], *(row[1:] for row in rows[1:])], axis=0)
