"""Filters of the image that the paper's section 5 names: JPEG, a median, fewer colours.

Each changes the image by a function that has no useful gradient, or hides it. So each lets the gradient through as if
it changed nothing (straight-through; Athalye et al., arXiv:1802.00420, section 4.1.1): an attack is not to be stopped
by that. Keras alone, so any Keras backend runs them.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from blurnet_tf.checks import check_integer
from blurnet_tf.defenses.kernels import check_size

# ITU-T T.81, Annex K.1: how coarsely frequencies of brightness and of colour are stored at quality 50.
_BRIGHTNESS = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
_COLOUR = """17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"""
_TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_BLOCK = 8
_HALF = 1e-3


class _Squeeze(keras.layers.Layer):
    """A filter of images, float (n, H, W, 3) in [0, 1], computed in float32, with the gradient of the identity."""

    def call(self, inputs: Any) -> Any:
        images = ops.cast(inputs, "float32")
        return ops.cast(images + ops.stop_gradient(self.squeeze(images) - images), self.compute_dtype)

    def squeeze(self, images: Any) -> Any:
        raise NotImplementedError

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


@keras.saving.register_keras_serializable(package="blurnet_tf")
class BitDepth(_Squeeze):
    """Round each colour to `bits` bits: feature squeezing (Xu et al., arXiv:1704.01155).

    Args:
        bits: 1 to 8.
        **kwargs: Those of `keras.layers.Layer`.

    Example:
        >>> BitDepth(1)(np.full((1, 1, 1, 3), 0.7, "float32")).numpy().ravel()
        array([1., 1., 1.], dtype=float32)
    """

    def __init__(self, bits: int = 5, **kwargs: Any) -> None:
        check_integer("bits", bits, 1)
        if bits > 8:
            raise ValueError(f"`bits` must be at most 8. Received: bits={bits}")
        super().__init__(**kwargs)
        self.bits = int(bits)

    def squeeze(self, images: Any) -> Any:
        levels = 2**self.bits - 1
        return ops.round(images * levels) / levels

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bits": self.bits}


@keras.saving.register_keras_serializable(package="blurnet_tf")
class MedianFilter(_Squeeze):
    """The median of each pixel's square neighbourhood, each colour alone; the edge is mirrored (Xu et al.).

    Args:
        size: Side of the neighbourhood in pixels, odd.
        **kwargs: Those of `keras.layers.Layer`.

    Example:
        >>> dot = np.zeros((1, 5, 5, 3), "float32")
        >>> dot[0, 2, 2] = 1
        >>> float(MedianFilter(3)(dot).numpy().max())
        0.0
    """

    def __init__(self, size: int = 3, **kwargs: Any) -> None:
        check_size(size)
        super().__init__(**kwargs)
        self.size = int(size)

    def squeeze(self, images: Any) -> Any:
        margin, (height, width) = self.size // 2, images.shape[1:3]
        if not margin:
            return images
        padded = ops.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="symmetric")
        shifts = [(down, across) for down in range(self.size) for across in range(self.size)]
        around = [padded[:, down : down + height, across : across + width] for down, across in shifts]
        return ops.sort(ops.stack(around, axis=-1), axis=-1)[..., len(shifts) // 2]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable(package="blurnet_tf")
class JPEG(_Squeeze):
    """What storing an image as JPEG does to it: the rounding of its frequencies (ITU-T T.81), colours at full size.

    Args:
        quality: 1 to 100, as of libjpeg.
        **kwargs: Those of `keras.layers.Layer`.

    Example:
        >>> JPEG(75)(np.full((1, 8, 8, 3), 0.5, "float32")).shape
        TensorShape([1, 8, 8, 3])
    """

    def __init__(self, quality: int = 75, **kwargs: Any) -> None:
        check_integer("quality", quality, 1)
        if quality > 100:
            raise ValueError(f"`quality` must be at most 100. Received: quality={quality}")
        super().__init__(**kwargs)
        self.quality = int(quality)

    def squeeze(self, images: Any) -> Any:
        height, width = images.shape[1:3]
        below, beside = -height % _BLOCK, -width % _BLOCK
        levels = ops.round(images * 255.0)
        # As libjpeg, which repeats the last row and column.
        levels = ops.concatenate([levels, ops.repeat(levels[:, -1:], below, axis=1)], axis=1) if below else levels
        levels = ops.concatenate([levels, ops.repeat(levels[:, :, -1:], beside, axis=2)], axis=2) if beside else levels
        rows, columns = (height + below) // _BLOCK, (width + beside) // _BLOCK
        ycc = ops.matmul(levels, _constant(_TO_YCBCR.T)) - _constant([128.0, 0.0, 0.0])
        blocks = ops.reshape(ops.round(ycc), (-1, rows, _BLOCK, columns, _BLOCK, 3))
        waves = _constant(_waves())
        frequencies = ops.einsum("fi,nricjk,gj->nrfcgk", waves, blocks, waves)
        steps = _constant(_steps(self.quality))[:, None]
        counted = frequencies / steps
        # Halves go away from 0, as in libjpeg, however they were summed up: in a graph a half may be a bit less.
        stored = ops.round(counted + _HALF * ops.sign(counted)) * steps
        ycc = ops.reshape(ops.einsum("fi,nrfcgk,gj->nricjk", waves, stored, waves), ops.shape(ycc))
        back = ops.matmul(ops.round(ycc) + _constant([128.0, 0.0, 0.0]), _constant(np.linalg.inv(_TO_YCBCR).T))
        return ops.clip(ops.round(back), 0.0, 255.0)[:, :height, :width] / 255.0

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quality": self.quality}


def _constant(values: Any) -> Any:
    return ops.convert_to_tensor(np.asarray(values, np.float32))


def _waves() -> NDArray[np.float64]:
    """Return the orthonormal DCT-II of a block, (frequencies, pixels)."""
    frequency, place = np.ogrid[:_BLOCK, :_BLOCK]
    waves = np.cos(math.pi / _BLOCK * (place + 0.5) * frequency) * math.sqrt(2 / _BLOCK)
    waves[0] /= math.sqrt(2)
    return waves


def _steps(quality: int) -> NDArray[np.float64]:
    """Return the steps to which frequencies are rounded, (8, 8, 3), as libjpeg scales the tables."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables = [np.array(text.split(), np.int64).reshape(_BLOCK, _BLOCK) for text in (_BRIGHTNESS, _COLOUR, _COLOUR)]
    return np.clip((np.stack(tables, axis=-1) * scale + 50) // 100, 1, 255).astype(np.float64)
