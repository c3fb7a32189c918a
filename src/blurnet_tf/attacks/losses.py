"""How far a model is from the wanted answer: the loss of an attack, over the images that share a sticker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import tensorflow as tf

from blurnet_tf.attacks.config import Part, register
from blurnet_tf.attacks.inputs import check_number
from blurnet_tf.numerics import TINY


class Loss(Part):
    """Base of the losses: differentiable, in TensorFlow.

    Attributes:
        is_mean: Whether the loss of a sticker is the mean of those of its images alone, so that images too many for one
            batch can be taken in parts.
    """

    is_mean: ClassVar[bool] = True

    def __call__(self, logits: Any, classes: Any) -> Any:
        """Return the loss of each sticker (stickers,), low where the model says `classes`, int32 (stickers, n).

        The logits are (stickers, n, outputs).
        """
        raise NotImplementedError

    def check_batches(self, batches: int) -> None:
        """Raise ValueError if the loss is no mean, and the images of a sticker take more than one batch."""
        if batches > 1 and not self.is_mean:
            raise ValueError(
                f"`loss` must be a mean over the images where these do not fit into a batch. Received: {self!r}"
            )

    def away(self, logits: Any, classes: Any) -> Any:
        """Return what an attack without targets minimises, low where the model says anything but `classes`."""
        return -self(logits, classes)


@register
class CrossEntropy(Loss):
    """The mean cross-entropy over the images: the loss of the paper and of RP2's published run."""

    def __call__(self, logits: Any, classes: Any) -> Any:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits), axis=1)


@register
class MeanSquaredError(Loss):
    """RP2's "mse": the Euclidean distance of all probabilities to the one-hot classes. Not a mean, and not squared.

    The original takes the root of the sum over images and classes, and its model ends in a softmax.
    """

    is_mean: ClassVar[bool] = False

    def __call__(self, logits: Any, classes: Any) -> Any:
        error = tf.nn.softmax(logits) - tf.one_hot(classes, logits.shape[-1])
        return tf.sqrt(tf.reduce_sum(tf.square(error), axis=(1, 2)) + TINY)


@register
@dataclass(frozen=True)
class Margin(Loss):
    """The margin of Carlini and Wagner, "Towards Evaluating the Robustness of Neural Networks", 2017: f_6, averaged.

    Attributes:
        confidence: Their kappa, at least 0: an image whose wanted class leads by this much in the logits pulls no more.

    Example:
        >>> logits = np.array([[[1.0, 3.0, 0.0], [5.0, 1.0, 0.0]]], "float32")
        >>> Margin(confidence=1.0)(logits, np.array([[0, 0]])).numpy()  # the mean of 3 - 1 and max(1 - 5, -1)
        array([0.5], dtype=float32)
    """

    confidence: float = 0.0

    def __post_init__(self) -> None:
        check_number("confidence", self.confidence)

    def __call__(self, logits: Any, classes: Any) -> Any:
        return self._mean(_behind(logits, classes))

    def away(self, logits: Any, classes: Any) -> Any:
        """Return the same with the sides changed: the class must lose by `confidence`."""
        return self._mean(-_behind(logits, classes))

    def _mean(self, margins: Any) -> Any:
        return tf.reduce_mean(tf.maximum(margins, -self.confidence), axis=1)


def _behind(logits: Any, classes: Any) -> Any:
    """Return the largest other logit minus that of the class, float32 (stickers, n)."""
    logits = tf.convert_to_tensor(logits)
    chosen = tf.one_hot(classes, logits.shape[-1], on_value=True, off_value=False)
    others = tf.reduce_max(tf.where(chosen, logits.dtype.min, logits), axis=-1)
    return others - tf.reduce_sum(tf.where(chosen, logits, 0.0), axis=-1)
