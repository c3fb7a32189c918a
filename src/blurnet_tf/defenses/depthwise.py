"""A depthwise convolution whose kernel is learned fast on processors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def convolve_in_training(maps: Any, kernel: Any, padding: str) -> Any:
    """Return what `keras.ops.depthwise_conv` does with stride 1; on a processor its gradient is fast.

    TensorFlow has fast code for the gradient to a kernel of 3x3 alone. In bfloat16 that to one of 5x5 or 7x7 takes 20
    times as long and is half of a whole training step. So larger kernels are put together from blocks of 3x3, one row
    or column of each shared with the next, and the gradient to the maps is computed as the convolution that it is.

    Args:
        maps: Floating (n, H, W, channels).
        kernel: (size, size, channels, 1) of the same dtype, `size` odd.
        padding: "same" or "valid".
    """
    size = int(kernel.shape[0])
    if size == 1 or not _on_a_processor():
        return ops.depthwise_conv(maps, kernel, padding=padding, data_format="channels_last")
    import tensorflow as tf

    margin = ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0))

    @tf.custom_gradient
    def convolve(maps: Any, kernel: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
        def gradient(upstream: Any) -> tuple[Any, Any]:
            seen, pulls = (tf.pad(maps, margin), upstream) if padding == "same" else (maps, tf.pad(upstream, margin))
            turned = tf.reverse(kernel, (0, 1))
            return (
                ops.depthwise_conv(pulls, turned, padding="same", data_format="channels_last"),
                _to_kernel(tf, seen, upstream, size),
            )

        return ops.depthwise_conv(maps, kernel, padding=padding, data_format="channels_last"), gradient

    return convolve(maps, kernel)


def _on_a_processor() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _to_kernel(tf: Any, seen: Any, upstream: Any, size: int) -> Any:
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
