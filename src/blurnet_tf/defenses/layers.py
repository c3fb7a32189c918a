"""The blur layers: a depthwise convolution whose kernel is fixed (paper, section 3), or learned (section 4)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from blurnet_tf.defenses.kernels import blur_kernel, check_size
from blurnet_tf.defenses.regularizers import ChannelLInf

PADDINGS: tuple[str, ...] = ("same", "reflect")

_SETTLED = set(inspect.signature(keras.layers.DepthwiseConv2D.__init__).parameters) - {"activity_regularizer", "kwargs"}


def _convolve(maps: Any, kernel: Any, padding: str) -> Any:
    return ops.depthwise_conv(maps, kernel, padding=padding, data_format="channels_last")


class _Blur(keras.layers.DepthwiseConv2D):
    """A depthwise convolution of stride 1 that keeps the shape and has no bias."""

    convolve: Callable[[Any, Any, str], Any] = staticmethod(_convolve)
    """Which `training` replaces by one with a faster gradient."""

    def __init__(self, size: int, padding: str, initializer: Any, regularizer: Any = None, **kwargs: Any) -> None:
        if padding not in PADDINGS:
            raise ValueError(f"`padding` must be one of 'same', 'reflect'. Received: padding={padding!r}")
        if settled := sorted(_SETTLED & set(kwargs)):  # Keras would take it, and a saved file would lack it
            raise ValueError(
                f"{type(self).__name__} must have no other arguments of DepthwiseConv2D than `activity_regularizer`. "
                f"Received: {', '.join(f'{name}={kwargs[name]!r}' for name in settled)}"
            )
        super().__init__(
            size, padding="same", data_format="channels_last", use_bias=False, depthwise_initializer=initializer,
            depthwise_regularizer=regularizer, **kwargs,
        )  # fmt: skip
        self.size = size
        self.padding = padding
        self.input_spec = None  # until it is built: `build` says better what is wrong with an input

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        name, margin = type(self).__name__, self.size // 2
        if len(input_shape) != 4 or input_shape[-1] is None:
            raise ValueError(
                f"{name} expects images or feature maps (n, H, W, channels) with known channels. "
                f"Received: shape={input_shape}"
            )
        if self.padding == "reflect" and any(side is not None and side <= margin for side in input_shape[1:3]):
            raise ValueError(
                f"{name} with size={self.size} and padding='reflect' needs a height and width above {margin}. "
                f"Received: shape={input_shape}"
            )
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        if self.padding == "same":
            return self.convolve(inputs, self.kernel, "same")
        margin = (self.size // 2, self.size // 2)
        return self.convolve(ops.pad(inputs, ((0, 0), margin, margin, (0, 0)), mode="reflect"), self.kernel, "valid")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = [name for name in inspect.signature(type(self).__init__).parameters if name not in ("self", "kwargs")]
        return {**keras.layers.Layer.get_config(self), **{name: getattr(self, name) for name in own}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        # Older files say `kernel` for `window` and "zero" for "same".
        config = {"window" if name == "kernel" else name: value for name, value in config.items()}
        return super().from_config(config | ({"padding": "same"} if config.get("padding") == "zero" else {}))


@keras.saving.register_keras_serializable(package="blurnet_tf")
class FixedBlur(_Blur):
    """Blur images or feature maps with a fixed low-pass kernel, each channel alone (paper, section 3).

    A `DepthwiseConv2D` whose kernel is never trained: `trainable = True` leaves it frozen.

    Args:
        size: Side of the kernel in pixels, odd. 1 changes nothing.
        window: "box" (reproduces the paper's Table 1), "gaussian" or "binomial"; see `kernels.blur_kernel`.
        padding: "same", zeros as in the paper, which darkens the margin; or "reflect", where constant stays constant.
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
        self, size: int = 3, window: str = "box", padding: str = "same", sigma: float | None = None, **kwargs: Any
    ) -> None:
        plane = blur_kernel(window, size, sigma)
        super().__init__(check_size(size), padding, keras.initializers.Constant(plane[:, :, None, None]), **kwargs)
        self.window, self.sigma = window, sigma

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        # Keras would make it trainable, and `trainable = True` unfreeze it.
        return super().add_weight(*args, **{**kwargs, "trainable": False})

    def load_own_variables(self, store: Any) -> None:
        if len(store.keys()):  # older files have no kernel: it is what the arguments say
            super().load_own_variables(store)


@keras.saving.register_keras_serializable(package="blurnet_tf")
class LearnableBlur(_Blur):
    """A trainable depthwise filter, pulled towards a low-pass one by the penalty of Eq. 3 (paper, section 4).

    A `DepthwiseConv2D` without a bias, with `ChannelLInf` as its `depthwise_regularizer`. The penalty acts on the
    largest weight of a filter alone, so that the weights of one filter become alike.

    Args:
        size: Side of the kernel in pixels, odd.
        alpha: Weight of the penalty, at least 0. The paper takes 1e-5 for size 3 and 0.1 for sizes 5 and 7.
        start: "box", every weight ``1 / size**2``, or "random", Glorot uniform.
        padding: "same" or "reflect". Input, output and errors are those of `FixedBlur`, too.
        seed: Seed of the random start; `None` takes Keras's global one.
        **kwargs: `name`, `dtype` and the other arguments of `keras.layers.Layer`.

    Example:
        >>> layer = LearnableBlur(5, alpha=0.1)
        >>> layer.build((None, 16, 16, 64)); tuple(layer.kernel.shape)
        (5, 5, 64, 1)
        >>> round(float(layer.losses[0]), 6)  # 0.1 * 64 channels * 1/25
        0.256
    """

    def __init__(
        self, size: int = 3, alpha: float = 0.0, start: str = "box", padding: str = "same", seed: int | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        size, penalty = check_size(size), ChannelLInf(alpha)
        if start not in ("box", "random"):
            raise ValueError(f"`start` must be one of 'box', 'random'. Received: start={start!r}")
        box, random = keras.initializers.Constant(1.0 / size**2), keras.initializers.GlorotUniform(seed=seed)
        super().__init__(size, padding, box if start == "box" else random, penalty if alpha else None, **kwargs)
        self.alpha, self.start, self.seed = alpha, start, seed
