"""Training a classifier with the optimiser of the paper, as it is or by a procedure that hardens it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.checks import check_integer, numbers_of, shown
from blurnet_tf.training.depthwise import fast_blurs
from blurnet_tf.training.procedures import Plain, Procedure, find_procedure


def train(
    model: keras.Model,
    images: NDArray[np.float32],
    labels: ArrayLike,
    *,
    procedure: str | Procedure = "plain",
    epochs: int,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
    batch_size: int = 128,
    shuffle: bool = True,
    loss: keras.losses.Loss | None = None,
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
        model: Gives logits (n, classes), such as a `lisa_cnn`, or any Keras classifier of your own without a softmax.
            Compiled anew.
        images: float32 (n, H, W, 3) in [0, 1].
        labels: Integers (n,); ValueError for one-hot ones, or for another number of them.
        procedure: What is done to the images of each step before the model learns from them: "plain", nothing;
            "stickers", "gaussian", "adversarial", "doa", "universal", or a `Procedure` such as ``DOA(height=7)``. It
            runs in the step's own graph, against the model as it then is. ValueError for another name.
        epochs: Passes over the images; ValueError below 1.
        learning_rate: Adam's, a constant or a schedule over steps.
        batch_size: Images in a step.
        shuffle: Give each epoch an order of its own; else the images come class by class, in every epoch alike.
        loss: What to train on instead of cross-entropy.
        validation: Images and labels that are measured after each epoch.
        callbacks: Keras callbacks, for example `TVLossCallback` or `keras.callbacks.BackupAndRestore`.
        seed: Seed of the order of the images, and of what the procedure draws.
        verbose: As for `keras.Model.fit`.

    Example:
        >>> history = train(model, images, labels, procedure="stickers", epochs=1, verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'loss']
    """
    procedure = find_procedure(procedure)
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: model={shown(model)}")
    check_integer("epochs", epochs, 1)
    check_integer("batch_size", batch_size, 1)
    images = numbers_of("images", images)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"`images` must have the shape (n, H, W, 3) with n > 0. Received: shape={images.shape}")
    labels = _check_labels(labels, len(images))
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True) if loss is None else loss,
        metrics=["accuracy"],
    )
    batches = Batches(images, labels, batch_size, seed, shuffled=shuffle)
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=batches.shuffle), *callbacks]
    with _changed_by(procedure, model, seed), fast_blurs(model):
        # Not shuffled again: the batches are drawn at random already.
        return model.fit(
            batches, epochs=epochs, shuffle=False, validation_data=validation, validation_batch_size=batch_size,
            callbacks=callbacks, verbose=verbose,
        )  # fmt: skip


def _check_labels(labels: ArrayLike, images: int) -> NDArray[np.int32]:
    array = np.asarray(labels)
    if array.shape != (images,) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"`labels` must be integers of shape {(images,)}, one for each image. Received: {array.dtype}, "
            f"shape={array.shape}"
        )
    return array.astype(np.int32)


class Batches(keras.utils.PyDataset):
    """Batches in an order that depends on the seed and the epoch alone; Keras's own depends on its global seed."""

    def __init__(
        self,
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
        batch_size: int,
        seed: int,
        *,
        shuffled: bool = True,
    ) -> None:
        super().__init__()
        self._images, self._labels, self._batch_size, self._seed = images, labels, batch_size, seed
        self._shuffled = shuffled
        self.shuffle(0)

    def shuffle(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self._shuffled:
            self._order = np.argsort(self._labels, kind="stable")
            return
        self._order = np.random.default_rng([self._seed, epoch]).permutation(len(self._images))

    def __len__(self) -> int:
        return -(-len(self._images) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._images[chosen], self._labels[chosen]


@contextlib.contextmanager
def _changed_by(procedure: Procedure, model: Any, seed: int) -> Iterator[None]:
    """Have the training steps of a model learn from what the procedure makes of their images.

    The model itself is trained, not a copy with another step: callbacks save what they would save of it anyhow.
    """
    if procedure == Plain():
        yield
        return
    own_step = model.train_step

    def step(data: Any) -> Any:
        images, labels = data
        drawn = tf.stack([seed % 2**31, tf.cast(model.optimizer.iterations, tf.int32)])
        return own_step(procedure(lambda x: model(x, training=False), images, labels, drawn))

    model.train_step = step
    try:
        yield
    finally:
        del model.train_step
        model.train_function = None  # it was traced with the step above
