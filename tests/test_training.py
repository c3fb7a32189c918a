"""Training on a small, learnable task."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from blurnet_tf.defenses.layers import LearnableBlur
from blurnet_tf.defenses.regularizers import TotalVariation
from blurnet_tf.training.train import Batches, train

pytestmark = pytest.mark.slow

COUNT = 48


@pytest.fixture(scope="module")
def task() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Noise with one brighter colour channel, which is the label."""
    rng = np.random.default_rng(0)
    labels = (np.arange(COUNT) % 3).astype(np.int32)
    images = rng.uniform(0, 0.7, (COUNT, 8, 8, 3)).astype(np.float32)
    images[np.arange(COUNT), :, :, labels] += 0.3
    return images, labels


def classifier(alpha: float = 0.0, alpha_tv: float = 0.0) -> keras.Model:
    def start(seed: int) -> keras.Initializer:
        return keras.initializers.GlorotUniform(seed=seed)

    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(
                4,
                3,
                activation="relu",
                activity_regularizer=TotalVariation(alpha_tv) if alpha_tv else None,
                kernel_initializer=start(0),
                name="conv1",
            ),
            LearnableBlur(3, alpha=alpha, name="depthwise"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, kernel_initializer=start(1), name="logits"),
        ]
    )


def cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    logits64 = np.asarray(logits, np.float64)
    log_sum = np.log(np.exp(logits64).sum(1))
    return float((log_sum - logits64[np.arange(len(labels)), labels]).mean())


def test_training_learns_the_task(task: tuple[NDArray[np.float32], NDArray[np.int32]]) -> None:
    keras.utils.set_random_seed(0)
    model = classifier()
    before = cross_entropy(model(task[0]), task[1])
    history = train(model, *task, epochs=15, learning_rate=0.01, batch_size=16, validation=task, verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(history["loss"]) == 15
    assert history["val_loss"][-1] == pytest.approx(cross_entropy(model(task[0]), task[1]), rel=1e-4)
    assert history["val_loss"][-1] < 0.5 * before
    assert history["val_accuracy"][-1] > 0.9


def test_the_optimiser_is_adam_with_the_constants_of_the_paper(
    task: tuple[NDArray[np.float32], NDArray[np.int32]],
) -> None:
    model = classifier()
    start = np.asarray(model.get_layer("logits").kernel).copy()
    train(model, *task, epochs=1, batch_size=COUNT, verbose=0)
    adam = model.optimizer
    assert type(adam) is keras.optimizers.Adam
    assert (adam.beta_1, adam.beta_2, adam.epsilon, adam.amsgrad) == (0.9, 0.999, 1e-8, False)
    assert float(adam.learning_rate) == pytest.approx(1e-3)
    assert int(adam.iterations) == 1
    # the first step of Adam has the length of the learning rate, whatever the gradient
    step = np.abs(np.asarray(model.get_layer("logits").kernel) - start)
    assert np.median(step) == pytest.approx(1e-3, rel=1e-3)


def test_the_penalties_count_in_the_loss(task: tuple[NDArray[np.float32], NDArray[np.int32]]) -> None:
    images, labels = task
    model = classifier(alpha=0.5, alpha_tv=0.25)
    maps = np.asarray(model.get_layer("conv1")(images), np.float64)
    equation_3 = 0.5 * np.abs(np.asarray(model.get_layer("depthwise").kernel)).max((0, 1)).sum()
    total = np.abs(np.diff(maps, axis=1)).sum() + np.abs(np.diff(maps, axis=2)).sum()
    equation_5 = 0.25 * total / (COUNT * 4)
    expected = cross_entropy(model(images), labels) + equation_3 + equation_5
    history = train(model, images, labels, epochs=1, learning_rate=0.0, batch_size=16, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_the_same_seed_gives_the_same_weights(task: tuple[NDArray[np.float32], NDArray[np.int32]]) -> None:
    def weights(seed: int) -> list[NDArray[np.float32]]:
        model = classifier(alpha=0.1)
        train(model, *task, epochs=2, batch_size=16, seed=seed, verbose=0)
        return model.get_weights()

    first, again, other = weights(1), weights(1), weights(2)
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert any(np.abs(ours - theirs).max() > 0 for ours, theirs in zip(first, other, strict=True))


def test_callbacks_are_called(task: tuple[NDArray[np.float32], NDArray[np.int32]]) -> None:
    epochs: list[int] = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    train(classifier(), *task, epochs=3, batch_size=COUNT, callbacks=(callback,), verbose=0)
    assert epochs == [0, 1, 2]


@pytest.mark.parametrize("epochs", [0, -1])
def test_less_than_one_epoch_is_an_error(task: tuple[NDArray[np.float32], NDArray[np.int32]], epochs: int) -> None:
    with pytest.raises(ValueError, match=rf"^`epochs` must be an integer of at least 1\. Received: epochs={epochs}$"):
        train(classifier(), *task, epochs=epochs)


def test_every_epoch_has_an_order_of_its_own_that_depends_on_seed_and_epoch_alone(
    task: tuple[NDArray[np.float32], NDArray[np.int32]],
) -> None:
    images, labels = task
    images = images * 0.9
    images[:, 0, 0, 0] = np.arange(len(images)) / len(images)  # a name for each image, in its first pixel

    def orders(epochs: int, seed: int, initial_epoch: int = 0) -> list[list[int]]:
        batches = Batches(images, labels, 16, seed)
        seen = []
        for epoch in range(initial_epoch, epochs):
            batches.shuffle(epoch)
            parts = [batches[index][0][:, 0, 0, 0] for index in range(len(batches))]
            seen.append(np.rint(np.concatenate(parts) * len(images)).astype(int).tolist())
        return seen

    first, second, third = orders(3, seed=0)
    assert sorted(first) == sorted(second) == list(range(len(images)))
    assert first != second
    assert second != third
    assert orders(3, seed=0) == [first, second, third]
    assert orders(3, seed=0, initial_epoch=2) == [third]
    assert orders(1, seed=1) != [first]


def test_fit_sees_the_batches_of_each_epoch_in_their_order(
    task: tuple[NDArray[np.float32], NDArray[np.int32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, NDArray[np.float32]]] = []
    get = Batches.__getitem__

    def note(self: Batches, index: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        batch = get(self, index)
        asked.append((index, batch[0]))
        return batch

    monkeypatch.setattr(Batches, "__getitem__", note)
    train(classifier(), *task, epochs=3, batch_size=COUNT // 2, seed=5, verbose=0)
    orders = [np.random.default_rng([5, epoch]).permutation(COUNT) for epoch in range(3)]
    asked = asked[-6:]  # before these Keras looks at a batch or two to learn their shape
    assert [index for index, _ in asked] == [0, 1] * 3
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in asked]), task[0][np.concatenate(orders)])


def test_a_training_that_goes_on_from_a_backup_ends_where_an_uninterrupted_one_does(
    task: tuple[NDArray[np.float32], NDArray[np.int32]], tmp_path: Path
) -> None:
    def stop(epoch: int, logs: object) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    straight = classifier()
    train(straight, *task, epochs=4, batch_size=16, verbose=0)
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    broken = keras.callbacks.LambdaCallback(on_epoch_begin=stop)
    with pytest.raises(KeyboardInterrupt):
        train(classifier(), *task, epochs=4, batch_size=16, callbacks=(backup, broken), verbose=0)
    resumed = classifier()
    again = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    history = train(resumed, *task, epochs=4, batch_size=16, callbacks=(again,), verbose=0)
    assert history.epoch == [2, 3]
    for ours, theirs in zip(straight.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
