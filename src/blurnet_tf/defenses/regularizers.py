"""The penalties of section 4 of the paper, and one on the kernels of a convolution, as Keras regularizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from blurnet_tf.checks import is_finite
from blurnet_tf.numerics import (
    TINY,
    channel_linf,
    kernel_total_variation,
    smooth_total_variation,
    squared_variation,
    total_variation,
)

FORMS: dict[str, Callable[[Any], Any]] = {
    "absolute": total_variation, "smooth": smooth_total_variation, "squared": squared_variation,
    "relative": total_variation,
}  # fmt: skip
"""What `TotalVariation` sums."""

KERAS_DIVIDES_BY_BATCH: bool = tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 14)
"""Whether this Keras divides an activity penalty by the batch size (keras-team/keras#22021)."""


def _check_alpha(alpha: float) -> float:
    if isinstance(alpha, bool) or not (is_finite(alpha) and alpha >= 0):
        raise ValueError(f"`alpha` must be a finite number of at least 0. Received: alpha={alpha!r}")
    return alpha if isinstance(alpha, (int, float)) else float(alpha)


@keras.saving.register_keras_serializable(package="blurnet_tf")
class ChannelLInf(keras.Regularizer):
    """L-infinity penalty on a depthwise kernel, Eq. 3: ``alpha * sum_j max |W[:, :, j]|``.

    Args:
        alpha: Weight of the penalty, finite and at least 0, or ValueError.

    Example:
        >>> layer = keras.layers.DepthwiseConv2D(5, depthwise_regularizer=ChannelLInf(0.1))
    """

    def __init__(self, alpha: float = 0.1) -> None:
        self.alpha = _check_alpha(alpha)

    def __call__(self, x: Any) -> Any:
        """Return the penalty, a scalar, of a kernel (k, k, K) or (k, k, K, 1)."""
        return self.alpha * channel_linf(x)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha}


@keras.saving.register_keras_serializable(package="blurnet_tf")
class KernelTotalVariation(keras.Regularizer):
    """Total-variation penalty on the kernels of a convolution: ``alpha * sum TV(W[:, :, i, o])``, Eq. 4 of each window.

    It asks for low-pass weights, where Eq. 5 asks for smooth maps. It is not in the paper's tables, but it is one way
    to read its sentence that total variation makes the first layer's weights "stifle high variations".

    Args:
        alpha: Weight of the penalty, finite and at least 0, or ValueError.

    Example:
        >>> layer = keras.layers.Conv2D(64, 8, activation="relu", kernel_regularizer=KernelTotalVariation(1e-2))
    """

    def __init__(self, alpha: float = 1e-2) -> None:
        self.alpha = _check_alpha(alpha)

    def __call__(self, x: Any) -> Any:
        """Return the penalty, a float32 scalar, of a kernel (h, w, inputs, outputs)."""
        return self.alpha * kernel_total_variation(x)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha}


@keras.saving.register_keras_serializable(package="blurnet_tf")
class TotalVariation(keras.Regularizer):
    """Total-variation penalty on feature maps, Eq. 5: ``alpha / (N K) * sum_nk TV(F[n, :, :, k])``.

    For use as `activity_regularizer`: the layer then adds Eq. 5 to the loss. Keras from 3.14 on divides what an
    activity regularizer returns by the batch size N, earlier releases do not: so a call returns N times Eq. 5 under
    the new ones, and Eq. 5 under the old.

    Args:
        alpha: Weight of the penalty, finite and at least 0, or ValueError. The paper takes 1e-4 and 1e-5.
        form: What is summed: "absolute", Eq. 4; "smooth", a root that is round at 0; "squared", the squared
            differences; or "relative", ``alpha * sum TV(F) / sum |F|``, which smaller maps do not make smaller.

    Example:
        >>> layer = keras.layers.Conv2D(64, 8, activation="relu", activity_regularizer=TotalVariation(1e-4))
    """

    def __init__(self, alpha: float = 1e-4, form: str = "absolute") -> None:
        self.alpha = _check_alpha(alpha)
        if not isinstance(form, str) or form not in FORMS:
            raise ValueError(f"`form` must be one of {', '.join(map(repr, FORMS))}. Received: form={form!r}")
        self.form = form
        self._variable: Any = None
        self._scheduled = False

    def __call__(self, x: Any) -> Any:
        """Return Eq. 5 for feature maps (N, H, W, K), times N if Keras divides by N: a float32 scalar."""
        weight = self._variable if self._scheduled else self.alpha
        penalty = weight * ops.sum(FORMS[self.form](x))
        if self.form == "relative":
            size = ops.sum(ops.absolute(ops.cast(x, "float32"))) + TINY
            penalty = penalty / size * ops.cast(ops.shape(x)[0], "float32")
        else:
            penalty = penalty / x.shape[-1]
        return penalty if KERAS_DIVIDES_BY_BATCH else penalty / ops.cast(ops.shape(x)[0], "float32")

    def schedule(self, alpha: float) -> Any:
        """Set `alpha`, read the weight from a `keras.Variable` from now on, and return that variable.

        A compiled step would freeze a Python float. It is always the same variable: an earlier `fit` may still read it.
        """
        self.alpha = _check_alpha(alpha)
        if self._variable is None:
            self._variable = keras.Variable(alpha, dtype="float32", trainable=False, name="tv_weight")
        self._scheduled = True
        return self._variable

    def settle(self) -> None:
        """Read the weight from the float `alpha` again. After an interrupted `fit`, call it before saving the model."""
        self._scheduled = False
        if self._variable is not None:
            self._variable.assign(self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "form": self.form}
