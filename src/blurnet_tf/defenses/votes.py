"""A head that gives each place of an image a bounded say in the answer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from blurnet_tf.checks import check_integer, is_finite


@keras.saving.register_keras_serializable(package="blurnet_tf")
class BoundedVotes(keras.layers.Layer):
    r"""Add up what each place of the maps says of each class, none of it more than `bound` in either direction.

    ``logits_k = scale * sum_p bound * tanh((W_p f_p + b_p)_k / bound)`` over the places p of the maps f, with weights
    of its own for each place. A sticker reaches only the places whose receptive field it touches, and moves none of
    them by more than twice the bound: what the others say stands. Small receptive fields with bounded scores are the
    idea of BagCert (Metzen and Yatsura, ICLR 2021, arXiv:2102.00534) and PatchGuard (Xiang et al., arXiv:2005.10884).

    Args:
        classes: Number of outputs.
        bound: The most that one place says for or against a class, before `scale`, which is learned; above 0.
        seed: Of the random start; `None` takes Keras's global one.
        **kwargs: Those of `keras.layers.Layer`.

    Input: floating (n, h, w, channels) of one size. Output: float32 (n, classes), whatever the policy.

    Raises:
        ValueError: An argument is outside what is listed.

    Example:
        >>> votes = BoundedVotes(18)
        >>> votes(np.zeros((2, 16, 16, 8), "float32")).shape
        TensorShape([2, 18])
    """

    def __init__(self, classes: int, bound: float = 1.0, seed: int | None = None, **kwargs: Any) -> None:
        check_integer("classes", classes, 1)
        if isinstance(bound, bool) or not (is_finite(bound) and bound > 0):
            raise ValueError(f"`bound` must be a finite number above 0. Received: bound={bound!r}")
        super().__init__(**kwargs)
        self.classes, self.bound, self.seed = classes, bound, seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != 4 or None in input_shape[1:]:
            raise ValueError(
                f"BoundedVotes expects maps (n, h, w, channels) of one size. Received: shape={input_shape}"
            )
        start = keras.initializers.RandomNormal(stddev=float(input_shape[-1] or 1) ** -0.5, seed=self.seed)
        self.kernel = self.add_weight(shape=(*input_shape[1:], self.classes), initializer=start, name="kernel")
        self.bias = self.add_weight(shape=(*input_shape[1:3], self.classes), initializer="zeros", name="bias")
        self.scale = self.add_weight(shape=(), initializer=keras.initializers.Constant(0.1), name="scale")

    def votes(self, inputs: Any) -> Any:
        """Return what each place says of each class: float32 (n, h, w, classes), within `bound`, before `scale`."""
        kernel = ops.cast(self.kernel, inputs.dtype)
        said = ops.cast(ops.einsum("nhwc,hwck->nhwk", inputs, kernel), "float32") + ops.cast(self.bias, "float32")
        return self.bound * ops.tanh(said / self.bound)

    def call(self, inputs: Any) -> Any:
        return ops.cast(self.scale, "float32") * ops.sum(self.votes(inputs), axis=(1, 2))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[0], self.classes

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes, "bound": self.bound, "seed": self.seed}
