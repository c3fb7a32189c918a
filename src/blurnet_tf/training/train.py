"""Training a classifier with the optimiser of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


def train(
    model: keras.Model,
    images: NDArray[np.float32],
    labels: NDArray[np.int32],
    *,
    epochs: int,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
    batch_size: int = 128,
    validation: tuple[NDArray[np.float32], NDArray[np.int32]] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    seed: int = 0,
    verbose: int | str = "auto",
) -> keras.callbacks.History:
    """Train `model` in place on cross-entropy, plus the penalties of its layers (Eq. 3 or Eq. 5); return the history.

    The optimiser is Adam with beta1 0.9, beta2 0.999 and epsilon 1e-8, as in section 2.2.3 of the paper, which runs
    2000 epochs. Each epoch has an order of its own, drawn from `seed` and the number of the epoch: a training that
    `keras.callbacks.BackupAndRestore` resumes sees the same batches as one that was never interrupted.

    Args:
        model: Gives logits (n, classes); see `lisa_cnn.lisa_cnn`. Compiled anew.
        images: float32 (n, H, W, 3) in [0, 1].
        labels: int32 (n,).
        epochs: Passes over the images; ValueError below 1.
        learning_rate: Adam's, a constant or a schedule over steps.
        batch_size: Images in a step.
        validation: Images and labels that are measured after each epoch.
        callbacks: Keras callbacks, for example `TVLossCallback` or `keras.callbacks.BackupAndRestore`.
        seed: Seed of the order of the images.
        verbose: As for `keras.Model.fit`.
    """
    if epochs < 1:
        raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}")
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    batches = Batches(images, labels, batch_size, seed)
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=batches.shuffle), *callbacks]
    # Not shuffled again: the batches are drawn at random already.
    return model.fit(
        batches, epochs=epochs, shuffle=False, validation_data=validation, callbacks=callbacks, verbose=verbose
    )


class Batches(keras.utils.PyDataset):
    """Batches in an order that depends on the seed and the epoch alone; Keras's own depends on its global seed."""

    def __init__(self, images: NDArray[np.float32], labels: NDArray[np.int32], batch_size: int, seed: int) -> None:
        super().__init__()
        self._images, self._labels, self._batch_size, self._seed = images, labels, batch_size, seed
        self.shuffle(0)

    def shuffle(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._order = np.random.default_rng([self._seed, epoch]).permutation(len(self._images))

    def __len__(self) -> int:
        return -(-len(self._images) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._images[chosen], self._labels[chosen]
