"""A callback for training with the total-variation penalty."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from blurnet_tf.checks import numbers_of
from blurnet_tf.defenses.regularizers import TotalVariation
from blurnet_tf.numerics import total_variation


class TVLossCallback(keras.callbacks.Callback):
    """Set the weight of the total-variation penalty at each epoch, and log the total variation of the feature maps.

    The weight is that of the `TotalVariation` regularizer of one layer (Eq. 5). It rises linearly from 0 in epoch 0 to
    `alpha` in epoch `ramp_epochs`, and stays there. It depends on the epoch alone, so a resumed training has the right
    weight. The logs of each epoch get `tv_weight`, the weight in that epoch, and `total_variation`, the mean over
    `images` and channels of Eq. 4 on the layer's output at its end; a `CSVLogger` shows them if it comes later.

    Args:
        images: float32 (n, H, W, 3) in [0, 1]. The images whose feature maps are measured; a few hundred will do.
        alpha: The weight to reach; `None` takes the regularizer's own. A model that is saved on the way has it too.
        ramp_epochs: Epochs until the weight is reached, at least 0.
        layer: Name of the layer that has the regularizer.
        batch_size: How many images are measured at once.

    Raises:
        ValueError: There is no such layer, or its `activity_regularizer` is no `TotalVariation`.

    Example:
        >>> callback = TVLossCallback(images[:256], alpha=1e-3, ramp_epochs=1)
        >>> history = model.fit(images, labels, epochs=2, callbacks=[callback], verbose=0).history
        >>> history["tv_weight"]
        [0.0, 0.001]
    """

    def __init__(
        self,
        images: ArrayLike,
        *,
        alpha: float | None = None,
        ramp_epochs: int = 0,
        layer: str = "conv1",
        batch_size: int = 256,
    ) -> None:
        super().__init__()
        if ramp_epochs < 0:
            raise ValueError(f"`ramp_epochs` must be at least 0. Received: ramp_epochs={ramp_epochs}")
        self.images = numbers_of("images", images)
        shape = self.images.shape
        if len(shape) != 4 or not shape[0]:
            raise ValueError(f"`images` must have the shape (n, H, W, 3) with n > 0. Received: shape={shape}")
        self.alpha = None if alpha is None else TotalVariation(alpha).alpha
        self.ramp_epochs, self.layer, self.batch_size = ramp_epochs, layer, batch_size

    def weight(self, epoch: int) -> float:
        """Return the weight of the penalty in `epoch`, counted from 0."""
        alpha = self._regularizer().alpha if self.alpha is None else self.alpha
        return alpha * min(1.0, epoch / self.ramp_epochs) if self.ramp_epochs else alpha

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        regularizer = self._regularizer()
        self._variable = regularizer.schedule(regularizer.alpha if self.alpha is None else self.alpha)
        self.model.make_train_function(force=True)  # an earlier trace may hold the weight as a constant
        self.model.make_test_function(force=True)
        self._maps = keras.Model(self.model.input, self.model.get_layer(self.layer).output)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        weight = self.weight(epoch)
        changed = float(self._variable) != np.float32(weight)
        self._variable.assign(weight)
        if changed and keras.backend.backend() == "jax":  # which compiles a variable outside the model as a constant
            self.model.make_train_function(force=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["tv_weight"] = self.weight(epoch)
            logs["total_variation"] = self.measure()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._regularizer().settle()

    def measure(self) -> float:
        """Return the mean total variation (Eq. 4) of the layer's maps over the images and channels."""
        batches = range(0, len(self.images), self.batch_size)
        maps = (self._maps(self.images[start : start + self.batch_size], training=False) for start in batches)
        sums = [keras.ops.convert_to_numpy(total_variation(one)).sum(0) for one in maps]
        return float(np.sum(sums, axis=0, dtype=np.float64).mean() / len(self.images))

    def _regularizer(self) -> TotalVariation:
        regularizer = self.model.get_layer(self.layer).activity_regularizer
        if not isinstance(regularizer, TotalVariation):
            raise ValueError(
                f"TVLossCallback expects the layer '{self.layer}' to have activity_regularizer=TotalVariation(...). "
                f"Received: activity_regularizer={regularizer!r}"
            )
        return regularizer
