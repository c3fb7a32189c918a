"""Training a classifier with the optimiser of the paper."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray


def train(
    model: keras.Model,
    images: NDArray[np.float32],
    labels: NDArray[np.int32],
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    batch_size: int = 128,
    validation: tuple[NDArray[np.float32], NDArray[np.int32]] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> keras.callbacks.History:
    """Train `model` in place on cross-entropy, plus whatever penalties its layers have (Eq. 3 or Eq. 5).

    The optimiser is Adam with beta1 0.9, beta2 0.999 and epsilon 1e-8, as in section 2.2.3 of the paper, which runs
    2000 epochs. The order of the batches comes from Keras's global seed: call `keras.utils.set_random_seed` first.

    Args:
        model: Gives logits (n, classes); see `lisa_cnn.lisa_cnn`. Compiled anew.
        images: float32 (n, H, W, 3) in [0, 1].
        labels: int32 (n,).
        epochs: Passes over the images, at least 1.
        learning_rate: Adam's, constant.
        batch_size: Images in a step.
        validation: Images and labels that are measured after each epoch.
        callbacks: Keras callbacks, for example `TVLossCallback` or `keras.callbacks.BackupAndRestore`.
        verbose: As for `keras.Model.fit`.

    Returns:
        The history of `fit`: loss and accuracy of each epoch.

    Raises:
        ValueError: `epochs` is less than 1.
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}")
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model.fit(
        images,
        labels,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=validation,
        callbacks=list(callbacks),
        verbose=verbose,
    )
