"""A loss that the paper's authors may have trained with by mistake."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class SoftmaxTwice(keras.losses.SparseCategoricalCrossentropy):
    """Cross-entropy that takes probabilities for logits, as where a model's own softmax is overlooked.

    Its gradient is weak: the probabilities of a certain answer are at most 1 apart, so the loss stays above
    ``log(1 + (classes - 1) / e)``, 1.98 for 18 classes.
    """

    def __init__(self) -> None:
        super().__init__(from_logits=True, name="softmax_twice")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        # Not `ops.softmax`: Keras remembers the logits behind one, and would take those.
        return super().call(y_true, ops.exp(ops.log_softmax(y_pred)))
