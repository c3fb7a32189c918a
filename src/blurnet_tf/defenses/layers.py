"""The blur layers: a depthwise convolution whose kernel is fixed, or learned.

"We introduce the simple solution of adding a lowpass filter to perform depthwise convolution after the first layer in
the network", Raju & Lipasti, arXiv:1908.02256, section 1; the learned one is section 4.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from blurnet_tf.defenses.kernels import blur_kernel, check_size
from blurnet_tf.defenses.regularizers import ChannelLInf

PADDINGS: tuple[str, ...] = ("zero", "reflect")
STARTS: tuple[str, ...] = ("box", "random")


def _check_maps(shape: tuple[int | None, ...], size: int, padding: str, layer: str) -> int:
    """Return the number of channels of a (n, H, W, K) input, or raise ValueError if the blur does not fit it."""
    if len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            f"{layer} expects images or feature maps (n, H, W, channels) with known channels. Received: shape={shape}"
        )
    smallest = min((side for side in shape[1:3] if side is not None), default=size)
    if padding == "reflect" and smallest <= size // 2:
        raise ValueError(
            f"{layer} with size={size} and padding='reflect' needs a height and width above {size // 2}. "
            f"Received: shape={shape}"
        )
    return shape[-1]


def _depthwise(maps: Any, kernel: Any, padding: str) -> Any:
    """Filter each channel of (n, H, W, K) with its own slice of a (k, k, K, 1) kernel, keeping the size."""
    margin = kernel.shape[0] // 2
    if padding == "reflect":
        maps = ops.pad(maps, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
    return ops.depthwise_conv(
        maps, kernel, padding="valid" if padding == "reflect" else "same", data_format="channels_last"
    )


@keras.saving.register_keras_serializable(package="blurnet_tf")
class FixedBlur(keras.layers.Layer):
    """Blur images or feature maps with a fixed low-pass kernel, each channel alone (paper, section 3).

    It has no weights: putting it into a trained model leaves the list of weights as it was.

    Args:
        size: Side of the kernel in pixels, odd. 1 changes nothing.
        kernel: "box" (reproduces the paper's Table 1), "gaussian" or "binomial"; see `kernels.blur_kernel`.
        padding: "zero", as in the paper, which darkens the margin; or "reflect", which keeps a constant image constant.
        sigma: Standard deviation in pixels of "gaussian"; `None` takes OpenCV's rule.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input and output: floating (n, H, W, channels), any range, in the compute dtype of the layer.

    Raises:
        ValueError: An argument is outside what is listed, the input has no four axes, or it is too small to reflect.

    Example:
        >>> FixedBlur(3)(np.ones((1, 4, 4, 1), "float32")).numpy()[0, 1, :, 0]
        array([0.6666667, 1.       , 1.       , 0.6666667], dtype=float32)
    """

    def __init__(
        self,
        size: int = 3,
        kernel: str = "box",
        padding: str = "zero",
        sigma: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        blur_kernel(kernel, size, sigma)  # raises now, not at the first call
        if padding not in PADDINGS:
            raise ValueError(f"`padding` must be one of 'zero', 'reflect'. Received: padding={padding!r}")
        self.size = check_size(size)
        self.kernel = kernel
        self.padding = padding
        self.sigma = sigma

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that the kernel fits the input."""
        _check_maps(input_shape, self.size, self.padding, "FixedBlur")

    def call(self, inputs: Any) -> Any:
        """Blur `inputs`, (n, H, W, channels)."""
        plane = blur_kernel(self.kernel, self.size, self.sigma)
        kernel = np.repeat(plane[:, :, None, None], inputs.shape[-1], axis=2)
        return _depthwise(inputs, ops.convert_to_tensor(kernel, dtype=inputs.dtype), self.padding)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape stays as it is."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as they were given."""
        return {
            **super().get_config(),
            "size": self.size,
            "kernel": self.kernel,
            "padding": self.padding,
            "sigma": self.sigma,
        }


@keras.saving.register_keras_serializable(package="blurnet_tf")
class LearnableBlur(keras.layers.Layer):
    """A trainable depthwise filter, pulled towards a low-pass one by the penalty of Eq. 3 (paper, section 4).

    The penalty ``alpha * sum_j max |W[:, :, j]|`` acts on the largest weight of a filter alone, so that the weights of
    one filter become alike. There is no bias.

    Args:
        size: Side of the kernel in pixels, odd.
        alpha: Weight of the penalty, at least 0. The paper takes 1e-5 for size 3 and 0.1 for sizes 5 and 7.
        start: "box", every weight ``1 / size**2``, or "random", Glorot uniform.
        padding: "zero" or "reflect", as for `FixedBlur`.
        seed: Seed of the random start; `None` takes Keras's global one.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Input and output: floating (n, H, W, channels), in the compute dtype of the layer.

    Raises:
        ValueError: An argument is outside what is listed, the input has no four axes, or it is too small to reflect.

    Example:
        >>> layer = LearnableBlur(5, alpha=0.1)
        >>> layer.build((None, 16, 16, 64)); tuple(layer.kernel.shape)
        (5, 5, 64, 1)
        >>> round(float(layer.losses[0]), 6)  # 0.1 * 64 channels * 1/25
        0.256
    """

    def __init__(
        self,
        size: int = 3,
        alpha: float = 0.0,
        start: str = "box",
        padding: str = "zero",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if start not in STARTS:
            raise ValueError(f"`start` must be one of 'box', 'random'. Received: start={start!r}")
        if padding not in PADDINGS:
            raise ValueError(f"`padding` must be one of 'zero', 'reflect'. Received: padding={padding!r}")
        self.size = check_size(size)
        self.alpha = alpha
        self.start = start
        self.padding = padding
        self.seed = seed
        self._regularizer = ChannelLInf(alpha)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel, (size, size, channels, 1)."""
        channels = _check_maps(input_shape, self.size, self.padding, "LearnableBlur")
        box = keras.initializers.Constant(1.0 / self.size**2)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.size, self.size, channels, 1),
            initializer=box if self.start == "box" else keras.initializers.GlorotUniform(seed=self.seed),
            regularizer=self._regularizer if self.alpha else None,
        )

    def call(self, inputs: Any) -> Any:
        """Filter `inputs`, (n, H, W, channels)."""
        return _depthwise(inputs, ops.convert_to_tensor(self.kernel), self.padding)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape stays as it is."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as they were given."""
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "start": self.start,
            "padding": self.padding,
            "seed": self.seed,
        }
