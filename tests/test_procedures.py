"""What each procedure makes of a batch, and trainings under a procedure."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.attacks import RP2, Expectation, from_config
from blurnet_tf.defenses import TotalVariation, TVLossCallback
from blurnet_tf.training import (
    DOA,
    PROCEDURES,
    Adversarial,
    Augmentation,
    Gaussian,
    Plain,
    Procedure,
    Rectangles,
    Stickers,
    Universal,
    sign_steps,
    train,
)
from blurnet_tf.training.procedures import find_procedure

pytestmark = pytest.mark.slow

Array = NDArray[np.float32]
Labels = NDArray[np.int32]
N, CLASSES = 5, 4
LABELS: Labels = np.array([0, 3, 1, 2, 1], np.int32)
HIDDEN = 10


class Network:
    """A network of one hidden layer for images of one size, and the same in NumPy."""

    def __init__(self, size: tuple[int, int]) -> None:
        rng = np.random.default_rng(4)
        inputs = size[0] * size[1] * 3
        self.size, self.inputs = size, inputs
        self.first = (rng.normal(size=(inputs, HIDDEN)) * 2 / inputs**0.5).astype(np.float32)
        self.last = rng.normal(size=(HIDDEN, CLASSES)).astype(np.float32)
        self.images = rng.uniform(0, 1, (N, *size, 3)).astype(np.float32)

    def __call__(self, images: Any) -> Any:
        return tf.tanh(tf.reshape(images, [-1, self.inputs]) @ self.first) @ self.last

    def losses(self, images: NDArray[Any], labels: Labels = LABELS) -> NDArray[np.float64]:
        logits = np.tanh(images.astype(np.float64).reshape(len(images), -1) @ self.first) @ self.last
        return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]

    def slope(self, images: NDArray[Any]) -> NDArray[np.float64]:
        hidden = np.tanh(images.astype(np.float64).reshape(len(images), -1) @ self.first)
        logits = hidden @ self.last
        error = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(CLASSES)[LABELS]
        return ((error @ self.last.T * (1 - hidden**2)) @ self.first.T).reshape(images.shape)

    def changed(self, procedure: Procedure, seed: tuple[int, int] = (0, 1)) -> Array:
        return procedure(self, tf.constant(self.images), tf.constant(LABELS), tf.constant(seed))[0].numpy()


NETWORK = Network((12, 16))
IMAGES = NETWORK.images


def quick(name: str) -> Procedure:
    """A procedure with a short attack, if it has one."""
    procedure: Any = PROCEDURES[name]
    attack = getattr(procedure, "attack", None)
    return dataclasses.replace(procedure, attack=dataclasses.replace(attack, steps=2)) if attack else procedure


# --- one batch ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("name", PROCEDURES)
def test_a_procedure_returns_images_and_labels_with_the_clean_ones_first(name: str, clean: bool) -> None:
    procedure = dataclasses.replace(quick(name), clean=clean)
    images, labels = procedure(NETWORK, tf.constant(IMAGES), tf.constant(LABELS), tf.constant((3, 4)))
    assert (images.shape, images.dtype, labels.dtype) == (((1 + clean) * N, 12, 16, 3), "float32", "int32")
    np.testing.assert_array_equal(labels, np.tile(LABELS, 1 + clean))
    if procedure.augmentation is not None:
        return
    if clean:
        np.testing.assert_array_equal(images[:N], IMAGES)
    np.testing.assert_array_equal(np.abs(images[-N:] - IMAGES).max(axis=(1, 2, 3)) > 0.01, name != "plain")


@pytest.mark.parametrize("name", [name for name in PROCEDURES if name != "plain"])
def test_the_same_seed_changes_a_batch_in_the_same_way_and_another_seed_in_another(name: str) -> None:
    first, again, *others = (NETWORK.changed(quick(name), seed) for seed in ((3, 4), (3, 4), (3, 5), (4, 4)))
    np.testing.assert_array_equal(first, again)
    for other in others:
        assert np.abs(first - other).max() > 0.01


def test_plain_changes_nothing() -> None:
    np.testing.assert_array_equal(NETWORK.changed(Plain()), IMAGES)


def test_stickers_are_the_rectangles_of_the_seed_in_their_colours() -> None:
    rectangles = Rectangles(count=(1, 2), noise=0.0)
    masks, paint = rectangles.draw(N, (12, 16), (3, 4))
    expected = np.where(masks.numpy() > 0, paint, IMAGES)
    stuck = NETWORK.changed(Stickers(rectangles=rectangles, clean=False), (3, 4))
    np.testing.assert_allclose(stuck, expected, atol=1e-6)


def test_an_attack_on_the_stickers_makes_each_of_them_worse_and_leaves_the_rest_alone() -> None:
    plain = Stickers(clean=False)
    attacked = dataclasses.replace(plain, attack=sign_steps(6, 0.1))
    before, after = NETWORK.changed(plain), NETWORK.changed(attacked)
    assert (NETWORK.losses(after) > NETWORK.losses(before)).all()
    outside = np.broadcast_to(plain.rectangles.draw(N, (12, 16), (0, 1))[0].numpy() == 0, IMAGES.shape)
    np.testing.assert_array_equal(after[outside], IMAGES[outside])
    assert (after.min(), after.max()) >= (0, 0)
    assert after.max() <= 1


@pytest.mark.parametrize("sigma", [0.05, 0.5])
def test_gaussian_noise_has_the_mean_and_the_deviation_that_are_stated_and_is_not_clipped(sigma: float) -> None:
    network = Network((32, 32))
    noise = network.changed(Gaussian(sigma=sigma)) - network.images
    assert noise.size == 15360
    assert noise.mean() == pytest.approx(0, abs=4 * sigma / noise.size**0.5)
    assert noise.std() == pytest.approx(sigma, rel=0.03)
    assert np.mean((noise / sigma) ** 4) == pytest.approx(3, rel=0.1)  # as of a normal distribution
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.08
    changed = noise + network.images
    assert changed.min() < 0
    assert changed.max() > 1


@pytest.mark.parametrize("epsilon", [8 / 255, 0.2])
def test_adversarial_images_stay_within_epsilon_and_in_range_and_are_worse(epsilon: float) -> None:
    procedure = Adversarial(epsilon=epsilon, attack=sign_steps(7, epsilon / 4))
    changed = NETWORK.changed(procedure)
    change = np.abs(changed - IMAGES)
    assert change.max() == pytest.approx(epsilon, rel=1e-4)
    assert np.mean(change > 0.9 * epsilon) > 0.4  # the others are at the ends of the range, or turned back late
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (NETWORK.losses(changed) > 1.1 * NETWORK.losses(IMAGES)).all()


def test_adversarial_images_start_anywhere_in_the_ball() -> None:
    grey = Network((16, 16))
    grey.images[:] = 0.5
    start = grey.changed(Adversarial(epsilon=0.4, attack=sign_steps(1, 1e-6))) - 0.5
    assert np.abs(start).max() == pytest.approx(0.4, rel=0.01)
    assert start.mean() == pytest.approx(0, abs=0.02)
    assert start.std() == pytest.approx(0.4 / 3**0.5, rel=0.03)
    assert abs(np.corrcoef(start[0].ravel(), start[1].ravel())[0, 1]) < 0.15


def test_universal_stickers_are_the_same_on_all_images_and_worse_for_all_together() -> None:
    procedure = Universal(clean=False, rectangles=Rectangles(count=(3, 3), short=(8, 8), long=(12, 12)))
    masks, paint = procedure.rectangles.draw(1, (12, 16), (5, 6))
    changed = NETWORK.changed(procedure, (5, 6))
    inside = masks.numpy()[0, ..., 0] > 0
    assert inside.any()
    assert not inside.all()
    np.testing.assert_array_equal(changed[:, ~inside], IMAGES[:, ~inside])
    for image in changed:
        np.testing.assert_allclose(image[inside], changed[0][inside], atol=1e-6)
    start = np.where(inside[..., None], paint[0], IMAGES)
    assert NETWORK.losses(changed).mean() > NETWORK.losses(start).mean() + 0.1


# --- where DOA puts its rectangle -----------------------------------------------------------------------------------

DOAS = {
    "square": ((32, 32), DOA(height=10, width=5, stride=4)),
    "other image": ((12, 16), DOA(height=8, width=6, stride=5)),
    "strides that do not fit": ((20, 9), DOA(height=11, width=17, stride=7)),
    "64 pixels": ((64, 64), DOA(height=7, width=7, stride=6)),
    "one row of places": ((8, 32), DOA(height=32, width=3, stride=1)),
    "one place": ((10, 10), DOA(height=32, width=32)),
}


def windows(size: tuple[int, int], doa: DOA) -> list[Array]:
    """Every place of the rectangle, as a mask, row by row."""
    height, width = (max(1, round(one * side / 32)) for one, side in zip((doa.height, doa.width), size, strict=True))
    down, across = (max(1, round(doa.stride * side / 32)) for side in size)
    masks = []
    for top in range(0, size[0] - height + 1, down):
        for left in range(0, size[1] - width + 1, across):
            masks.append(np.zeros((*size, 1), np.float32))
            masks[-1][top : top + height, left : left + width] = 1
    return masks


def in_grey(network: Network, places: list[Array]) -> NDArray[np.float64]:
    """The loss of each image with grey in each place, (places, images)."""
    return np.stack([network.losses(np.where(mask > 0, 0.5, network.images)) for mask in places])


def place(network: Network, doa: DOA) -> Array:
    return doa.place(network, tf.constant(network.images), tf.constant(LABELS)).numpy()


@pytest.mark.parametrize("case", DOAS)
def test_an_exhaustive_search_finds_the_place_that_is_worst_in_grey(case: str) -> None:
    size, doa = DOAS[case]
    network = Network(size)
    places = windows(size, doa)
    worst = in_grey(network, places).argmax(axis=0)
    found = place(network, dataclasses.replace(doa, search="exhaustive"))
    np.testing.assert_array_equal(found, np.stack([places[index] for index in worst]))
    assert len(places) == 1 or len(set(worst)) > 1


@pytest.mark.parametrize("candidates", [1, 4, 1000])
@pytest.mark.parametrize("case", DOAS)
def test_a_search_by_gradient_finds_the_worst_of_the_most_sensitive_places(case: str, candidates: int) -> None:
    size, doa = DOAS[case]
    network = Network(size)
    places = windows(size, doa)
    squares = network.slope(network.images) ** 2
    sums = np.stack([(mask * squares).sum(axis=(1, 2, 3)) for mask in places])
    grey = in_grey(network, places)
    expected = []
    for index in range(N):
        tried = np.argsort(-sums[:, index])[:candidates]
        expected.append(places[tried[grey[tried, index].argmax()]])
    found = place(network, dataclasses.replace(doa, search="gradient", candidates=candidates))
    np.testing.assert_array_equal(found, np.stack(expected))


@pytest.mark.parametrize("search", ["gradient", "exhaustive"])
def test_doa_paints_the_rectangle_that_it_placed_worse_than_grey(search: str) -> None:
    doa = DOA(height=12, width=12, stride=5, search=search)
    masks, changed = place(NETWORK, doa), NETWORK.changed(doa)
    outside = np.broadcast_to(masks == 0, IMAGES.shape)
    np.testing.assert_array_equal(changed[outside], IMAGES[outside])
    assert changed.min() >= 0
    assert changed.max() <= 1
    grey = NETWORK.losses(np.where(masks > 0, 0.5, IMAGES))
    assert (NETWORK.losses(changed) > grey).all()
    assert (NETWORK.losses(changed) > NETWORK.losses(IMAGES)).all()


def test_doa_starts_from_random_colours() -> None:
    doa = DOA(height=32, width=32, attack=sign_steps(1, 1e-6))
    start = NETWORK.changed(doa)
    assert (start.min(), start.max()) == pytest.approx((0, 1), abs=0.01)
    assert start.std() == pytest.approx(12**-0.5, rel=0.05)
    assert len(np.unique(start[:, 0, 0], axis=0)) == N


# --- settings -------------------------------------------------------------------------------------------------------

OTHERS = (
    Plain(clean=True),
    Stickers(clean=False, rectangles=Rectangles(count=(1, 1), noise=0.0)),
    Stickers(attack=sign_steps(3, 0.1)),
    Gaussian(sigma=1),
    Adversarial(epsilon=0.5, clean=True),
    DOA(height=3, width=4, stride=5, search="exhaustive", candidates=6, attack=sign_steps(1, 0.5)),
    Universal(attack=RP2(basis="paint", norm=None, loss="margin", steps=2)),
)


@pytest.mark.parametrize("procedure", [*PROCEDURES.values(), *OTHERS], ids=lambda one: type(one).__name__)
def test_the_settings_come_back_from_json(procedure: Procedure) -> None:
    config = json.loads(json.dumps(procedure.to_config()))
    again = from_config(config)
    assert type(again) is type(procedure)
    assert again == procedure
    assert hash(again) == hash(procedure)


def test_each_name_is_the_class_with_its_defaults() -> None:
    classes = {"plain": Plain, "stickers": Stickers, "gaussian": Gaussian, "adversarial": Adversarial, "doa": DOA}
    for name, kind in {**classes, "universal": Universal}.items():
        assert PROCEDURES[name] == kind()
    assert PROCEDURES["augmented"] == Plain(augmentation=Augmentation())
    for name, procedure in PROCEDURES.items():
        assert find_procedure(name) is procedure


def test_the_first_stickers_stay_as_they_are_drawn() -> None:
    warm = Stickers(attack=sign_steps(2, 0.25), unattacked=5)

    def at(procedure: Procedure, step: int) -> Any:
        return procedure.change(NETWORK, tf.constant(IMAGES), tf.constant(LABELS), tf.constant((3, step))).numpy()

    np.testing.assert_allclose(at(warm, 4), at(Stickers(), 4), atol=1e-6)
    np.testing.assert_array_equal(at(warm, 5), at(Stickers(attack=sign_steps(2, 0.25)), 5))
    assert np.abs(at(warm, 5) - at(Stickers(), 5)).max() > 0.2


@pytest.mark.parametrize("name", ["plain", "stickers", "doa"])
def test_augmented_images_are_the_clean_ones_and_those_that_are_changed(name: str) -> None:
    augmentation = Augmentation(seen=Expectation(brightness=0.2), colour=0.1, grey=0.5)
    procedure = dataclasses.replace(quick(name), clean=True, augmentation=augmentation)
    images, _ = procedure(NETWORK, tf.constant(IMAGES), tf.constant(LABELS), tf.constant((3, 4)))
    clean, changed = np.split(np.asarray(images), 2)
    assert (np.abs(clean - IMAGES).max(axis=(1, 2, 3)) > 0.01).all()
    assert (clean == changed).mean() > 0.3  # outside the stickers
    grey = np.ptp(clean, axis=-1).max(axis=(1, 2)) < 1e-6
    assert 0 < grey.sum() < N


def test_colours_and_light_stay_in_their_ranges() -> None:
    images = np.full((500, 2, 2, 3), 0.5, np.float32)
    none = Expectation()
    seen = Augmentation(seen=none, colour=0.2, grey=0.0)(images, (0, 1)).numpy()
    factors = seen[:, 0, 0] / 0.5
    np.testing.assert_array_equal(seen, np.broadcast_to(seen[:, :1, :1], seen.shape))
    assert 0.8 <= factors.min() < 0.82 < 1.18 < factors.max() <= 1.2
    assert abs(np.corrcoef(factors[:, 0], factors[:, 1])[0, 1]) < 0.2
    grey = Augmentation(seen=none, colour=0.2, grey=0.3)(images, (0, 1)).numpy()
    assert (np.ptp(grey[:, 0, 0], axis=-1) < 1e-6).mean() == pytest.approx(0.3, abs=0.08)
    np.testing.assert_array_equal(Augmentation(seen=none, colour=0.0, grey=0.0)(images, (0, 1)), images)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Augmentation(seen=0.5), "`seen` must be an Expectation"),
        (lambda: Augmentation(colour=1.5), "`colour` must be at most 1"),
        (lambda: Augmentation(grey=-0.1), "`grey` must be a finite number"),
        (lambda: Stickers(augmentation="strong"), "`augmentation` must be None or an Augmentation"),
        (lambda: Stickers(unattacked=-1), "`unattacked` must be an integer of at least 0"),
    ],
)
def test_a_wrong_augmentation_is_an_error(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_procedure_of_your_own_is_found_unchanged() -> None:
    own = DOA(height=7)
    assert find_procedure(own) is own


@pytest.mark.parametrize("name", ["Plain", "cutout", ""])
def test_an_unknown_name_is_an_error(name: str) -> None:
    sentence = f"`procedure` must be one of {', '.join(PROCEDURES)}. Received: procedure={name!r}"
    for call in (find_procedure, lambda name: train(functional(), *TASK, procedure=name, epochs=1)):
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
            call(name)


def test_the_attack_of_a_training_is_made_of_sign_steps_in_any_colour() -> None:
    attack = sign_steps(4, 0.25)
    assert (attack.steps, attack.learning_rate, attack.optimizer) == (4, 0.25, "sign")
    assert attack == RP2(steps=4, learning_rate=0.25, optimizer="sign", basis="paint", norm=None, sharing="per_image")
    assert sign_steps(4, 0.25, sharing="shared") == dataclasses.replace(attack, sharing="shared")


SHARED = sign_steps(2, 0.1, sharing="shared")


@pytest.mark.parametrize(
    ("make", "phrase"),
    [
        (lambda: Gaussian(sigma=0), "`sigma` must be a positive number. Received: sigma=0"),
        (lambda: Gaussian(sigma=float("nan")), "`sigma` must be a positive number. Received: sigma=nan"),
        (lambda: Adversarial(epsilon=-0.1), "`epsilon` must be a positive number. Received: epsilon=-0.1"),
        (lambda: Adversarial(attack=SHARED), "`attack` must have sharing='per_image'. Received: attack=RP2("),
        (lambda: Adversarial(attack=RP2(sharing="per_image")), "`attack` must have basis='paint', norm=None"),
        (lambda: Adversarial(attack=None), "`attack` must be an RP2. Received: attack=None"),
        (lambda: Stickers(attack=SHARED), "`attack` must have sharing='per_image'. Received: attack=RP2("),
        (lambda: Stickers(attack="sign"), "`attack` must be an RP2. Received: attack='sign'"),
        (lambda: DOA(attack=SHARED), "`attack` must have sharing='per_image'. Received: attack=RP2("),
        (lambda: DOA(attack=RP2(basis="paint")), "`attack` must have basis='paint', norm=None"),
        (lambda: DOA(height=0), "`height` must be an integer of at least 1. Received: height=0"),
        (lambda: DOA(width=2.5), "`width` must be an integer of at least 1. Received: width=2.5"),
        (lambda: DOA(stride=0), "`stride` must be an integer of at least 1. Received: stride=0"),
        (lambda: DOA(candidates=0), "`candidates` must be an integer of at least 1. Received: candidates=0"),
        (lambda: DOA(width=33), "`height` and `width` must be at most 32 pixels. Received: 10 and 33"),
        (lambda: DOA(search="random"), "`search` must be one of 'gradient', 'exhaustive'. Received: search='random'"),
        (lambda: Universal(attack=sign_steps(2, 0.1)), "`attack` must have sharing='shared'. Received: attack=RP2("),
        (lambda: Universal(attack=RP2(basis="paint")), "`attack` must have basis='paint', norm=None"),
    ],
)
def test_a_bad_setting_is_an_error(make: Callable[[], Procedure], phrase: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(phrase)}"):
        make()


# --- trainings ------------------------------------------------------------------------------------------------------

COUNT = 24
QUICK_DOA = DOA(height=8, width=8, stride=4, candidates=2, attack=sign_steps(2, 0.25))


def task_of(size: tuple[int, int] = (8, 8)) -> tuple[Array, Labels]:
    """Noise with one brighter colour channel, which is the label."""
    rng = np.random.default_rng(0)
    labels = (np.arange(COUNT) % 3).astype(np.int32)
    images = rng.uniform(0, 0.7, (COUNT, *size, 3)).astype(np.float32)
    images[np.arange(COUNT), :, :, labels] += 0.3
    return images, labels


TASK = task_of()


def layers(alpha: float = 0.0, rate: float = 0.0, dtype: str = "float32") -> list[keras.layers.Layer]:
    def start(seed: int) -> keras.Initializer:
        return keras.initializers.GlorotUniform(seed=seed)

    penalty = TotalVariation(alpha) if alpha else None
    return [
        keras.layers.Conv2D(
            4, 3, 2, "same", activation="relu", activity_regularizer=penalty, kernel_initializer=start(0),
            dtype=dtype, name="conv1",
        ),
        keras.layers.Flatten(dtype=dtype),
        *([keras.layers.Dropout(rate)] if rate else []),
        keras.layers.Dense(3, kernel_initializer=start(1), name="logits"),
    ]  # fmt: skip


def sequential() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), *layers()])


def functional(size: tuple[int, int] = (8, 8), **how: Any) -> keras.Model:
    image = keras.Input((*size, 3))
    x = image
    for layer in layers(**how):
        x = layer(x)
    return keras.Model(image, x)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.parts = layers()

    def call(self, images: Any) -> Any:
        for layer in self.parts:
            images = layer(images)
        return images


class Doubling(keras.Model):
    """Built like a functional model, but its graph does not say what it computes."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return 2 * super().call(inputs, training=training)


def doubling() -> keras.Model:
    model = functional()
    return Doubling(model.input, model.output)


def cross_entropy(logits: Any, labels: Any) -> float:
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]).mean())


def learnt(model: keras.Model, procedure: Procedure, seed: int, step: int = 0) -> tuple[Any, Any]:
    """What a model is to learn in a step of a training whose batch has all images."""
    order = np.random.default_rng([seed, step]).permutation(COUNT)
    images, labels = (tf.constant(one[order]) for one in TASK)
    return procedure(lambda images: model(images, training=False), images, labels, tf.constant((seed, step)))


@pytest.mark.parametrize("build", [sequential, Subclassed, doubling], ids=lambda one: one.__name__)
def test_a_model_that_is_no_plain_functional_one_learns_what_the_procedure_makes_of_its_images(
    build: Callable[[], keras.Model],
) -> None:
    model = build()
    images, labels = learnt(model, PROCEDURES["stickers"], seed=7)
    expected, clean = cross_entropy(model(images), labels), cross_entropy(model(TASK[0]), TASK[1])
    before = model.get_weights()
    history = train(
        model, *TASK, procedure="stickers", epochs=2, learning_rate=0.01, batch_size=COUNT, seed=7, verbose=0
    ).history  # fmt: skip
    assert set(history) == {"loss", "accuracy"}
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert abs(expected - clean) > 1e-3
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        assert np.abs(ours - theirs).max() > 1e-3


def test_each_step_has_a_draw_of_its_own_against_the_model_as_it_then_is() -> None:
    seen = []

    class Noted(Gaussian):
        def change(self, model: Any, images: Any, labels: Any, seed: Any) -> Any:
            changed = super().change(model, images, labels, seed)
            tf.numpy_function(lambda *all_: seen.append(all_), [seed, changed, model(images)], [])
            return changed

    model = functional(rate=0.5)  # which the procedure does not see: it asks for answers outside a training
    weights = []
    note = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: weights.append(model.get_weights()))
    train(model, *TASK, procedure=Noted(), epochs=3, batch_size=COUNT, callbacks=[note], seed=5, verbose=0)
    assert [seed.tolist() for seed, *_ in seen] == [[5, 0], [5, 1], [5, 2]]
    for step, (_, changed, logits) in enumerate(seen):
        model.set_weights(weights[step])
        np.testing.assert_allclose(changed, learnt(model, Gaussian(), 5, step)[0], atol=1e-6)
        clean = TASK[0][np.random.default_rng([5, step]).permutation(COUNT)]
        np.testing.assert_allclose(logits, model(clean), atol=1e-5)
    model.fit(*TASK, batch_size=COUNT, verbose=0)  # a training of its own is a plain one again
    assert len(seen) == 3


class Same(Procedure):
    def change(self, model: Any, images: Any, labels: Any, seed: Any) -> Any:
        return images


def weights_of(**how: Any) -> list[Array]:
    model = functional()
    train(model, *TASK, epochs=2, batch_size=16, verbose=0, **how)
    return model.get_weights()


def differ(ours: list[Array], theirs: list[Array]) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(ours, theirs, strict=True))


def test_a_training_is_plain_by_default_and_a_procedure_that_changes_nothing_learns_the_same() -> None:
    assert inspect.signature(train).parameters["procedure"].default == "plain"
    assert differ(weights_of(procedure=Same()), weights_of()) < 1e-6


@pytest.fixture(scope="module")
def straight() -> list[Array]:
    """The weights of a training with DOA and seed 0."""
    return weights_of(procedure=QUICK_DOA)


def test_labels_of_another_integer_type_are_taken_and_one_hot_ones_are_not() -> None:
    images, labels = TASK
    attacked = Stickers(attack=sign_steps(1, 0.25))
    train(sequential(), images, labels.astype(np.int64).tolist(), procedure=attacked, epochs=1, verbose=0)
    with pytest.raises(
        ValueError, match=r"`labels` must be integers of shape \(24,\).*Received: float32, shape=\(24, 3\)"
    ):
        train(sequential(), images, np.eye(3, dtype=np.float32)[labels], epochs=1, verbose=0)


def test_another_seed_gives_other_weights(straight: list[Array]) -> None:
    assert differ(weights_of(procedure=QUICK_DOA, seed=1), straight) > 1e-4


def test_a_training_that_goes_on_from_a_backup_ends_where_another_one_of_its_seed_does(
    straight: list[Array], tmp_path: Path
) -> None:
    def stop(epoch: int, logs: object) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    epochs: list[int] = []
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    broken = keras.callbacks.LambdaCallback(on_epoch_begin=stop)
    with pytest.raises(KeyboardInterrupt):
        weights_of(procedure=QUICK_DOA, callbacks=(backup, broken))
    again = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    noted = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    assert differ(weights_of(procedure=QUICK_DOA, callbacks=(again, noted)), straight) == 0
    assert epochs == [1]


def test_a_penalty_on_the_maps_counts_once_and_its_weight_may_rise() -> None:
    model = functional(alpha=0.5)
    procedure = Adversarial(epsilon=0.1, attack=sign_steps(2, 0.05), clean=True)
    losses, variations = [], []

    def measure(epoch: int, logs: object) -> None:
        images, labels = learnt(model, procedure, 0, epoch)
        losses.append(cross_entropy(model(images), labels))
        maps = np.asarray(model.get_layer("conv1")(images), np.float64)
        total = np.abs(np.diff(maps, axis=1)).sum() + np.abs(np.diff(maps, axis=2)).sum()
        variations.append(total / (len(maps) * maps.shape[-1]))

    callbacks = [
        TVLossCallback(TASK[0], alpha=0.25, ramp_epochs=1),
        keras.callbacks.LambdaCallback(on_epoch_begin=measure),
    ]
    history = train(
        model, *TASK, procedure=procedure, epochs=2, batch_size=COUNT, callbacks=callbacks, verbose=0
    ).history  # fmt: skip
    assert history["tv_weight"] == [0, 0.25]
    assert history["loss"][0] == pytest.approx(losses[0], rel=1e-4)
    assert history["loss"][1] == pytest.approx(losses[1] + 0.25 * variations[1], rel=1e-4)
    assert 0.25 * variations[1] > 0.05
    assert model.get_layer("conv1").activity_regularizer.alpha == 0.25


def test_a_model_of_half_precision_learns_images_of_another_size_in_float32() -> None:
    size = (64, 41)
    model = functional(size, dtype="mixed_bfloat16")
    before = model.get_weights()
    history = train(model, *task_of(size), procedure=quick("universal"), epochs=2, batch_size=16, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert differ(model.get_weights(), before) > 1e-4


def test_a_trained_model_can_be_evaluated_and_a_callback_that_saves_it_saves_a_model_of_its_kind(
    tmp_path: Path,
) -> None:
    model = functional()
    saving = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")
    history = train(
        model, *TASK, procedure="gaussian", epochs=1, batch_size=COUNT, validation=TASK, callbacks=[saving], verbose=0
    ).history  # fmt: skip
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    measured = model.evaluate(*TASK, verbose=0)
    assert measured[0] == pytest.approx(cross_entropy(model(TASK[0]), TASK[1]), rel=1e-5)
    assert measured == pytest.approx([history["val_loss"][0], history["val_accuracy"][0]], rel=1e-5)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    np.testing.assert_array_equal(loaded(TASK[0]), model(TASK[0]))
