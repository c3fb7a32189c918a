"""Restarts, batches, printed colours, estimated gradients and the terms that look into the model."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf.attacks import (
    NPS,
    RP2,
    SPSA,
    Colour,
    MapsTotalVariation,
    Margin,
    Palette,
    RandomColour,
    Uniform,
    batches,
)

SIZE, CLASSES, N = 8, 6, 6
RNG = np.random.default_rng(5)
IMAGES = RNG.uniform(0, 1, (N, SIZE, SIZE, 3)).astype(np.float32)
WEIGHTS = (RNG.normal(size=(SIZE * SIZE * 3, CLASSES)) / 4).astype(np.float32)
MASK = np.zeros((SIZE, SIZE, 1), np.float32)
MASK[1:3, 1:3] = MASK[5:7, 4:8] = 1
INSIDE = MASK[..., 0] > 0
CLEAN = np.argmax(IMAGES.reshape(N, -1) @ WEIGHTS, axis=1)
TARGETS = [target for target in range(CLASSES) if target not in CLEAN][:2]
COLOURS = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.2, 0.6, 0.4))


def linear(images: Any) -> Any:
    return tf.reshape(images, [-1, SIZE * SIZE * 3]) @ WEIGHTS


# --- restarts ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("sharing", ["shared", "per_image"])
@pytest.mark.parametrize("targets", [TARGETS, None], ids=["targeted", "untargeted"])
def test_of_several_starts_the_best_is_kept_for_each_sticker(sharing: str, targets: list[int] | None) -> None:
    starts = ("white", "black", Colour(1, 0, 0))
    attack = RP2(steps=4, sharing=sharing, loss="margin")
    alone = [dataclasses.replace(attack, start=start)(linear, IMAGES, targets=targets, mask=MASK) for start in starts]
    together = dataclasses.replace(attack, start=starts, restarts=3)(linear, IMAGES, targets=targets, mask=MASK)
    name = "success" if targets is None else "target_reached"
    if sharing == "shared":
        for run in range(together.runs):
            last = [(-one.history[name][-1, run], one.history["loss"][-1, run]) for one in alone]
            best = alone[last.index(min(last))]
            np.testing.assert_allclose(together.perturbation[run], best.perturbation[run], atol=1e-5)
            np.testing.assert_allclose(together.history["loss"][:, run], best.history["loss"][:, run], rtol=1e-4)
    else:
        assert (together.history[name][-1] >= np.max([one.history[name][-1] for one in alone], axis=0) - 1e-6).all()
        assert together.best_step.shape == (together.runs, N)


def test_restarts_of_a_random_start_are_other_starts() -> None:
    one, three = (RP2(steps=1, restarts=count, learning_rate=1e-9) for count in (1, 3))
    first = one(linear, IMAGES, targets=TARGETS).perturbation
    found = [dataclasses.replace(three, seed=seed)(linear, IMAGES, targets=TARGETS).perturbation for seed in range(4)]
    assert any(not np.array_equal(first, other) for other in found[:1])
    assert len(np.unique(np.stack(found).reshape(4, -1), axis=0)) == 4


@pytest.mark.parametrize(
    ("settings", "phrase"),
    [
        ({"start": "white", "restarts": 2}, "`start` must be random for more restarts than starts"),
        ({"start": ("uniform", "white")}, "`restarts` must be at least 2"),
        ({"start": ("uniform", "pink"), "restarts": 2}, "`start` must be a Start or one of"),
        ({"restarts": 0}, "`restarts` must be an integer of at least 1"),
        ({"basis": Palette(COLOURS), "inverse_mask": 0.5}, "`inverse_mask` must be None for a basis of printed"),
        ({"gradient": "guess"}, "`gradient` must be a Gradient or one of 'exact', 'spsa'"),
        ({"gradient": Uniform()}, "`gradient` must be a Gradient"),
    ],
)
def test_bad_settings_are_errors(settings: dict[str, Any], phrase: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
        RP2(**settings)
    assert phrase in str(error.value)


def test_a_random_colour_is_one_for_each_sticker() -> None:
    colours = RandomColour()((3, 4, 5, 3), (1, 2)).numpy()
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) == 3
    assert -1 <= colours.min() < 0 < colours.max() <= 1


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("images_in_a_batch", [1, 4, 7])
@pytest.mark.parametrize("sharing", ["shared", "per_image"])
@pytest.mark.parametrize("targets", [TARGETS, None], ids=["targeted", "untargeted"])
def test_small_batches_find_the_same(
    monkeypatch: pytest.MonkeyPatch, images_in_a_batch: int, sharing: str, targets: list[int] | None
) -> None:
    attack = RP2(steps=6, sharing=sharing, restarts=2, loss=Margin(confidence=5.0))
    whole = attack(linear, IMAGES, targets=targets, mask=MASK)
    monkeypatch.setattr(batches, "MOST_PIXELS", images_in_a_batch * SIZE * SIZE)
    seen = []

    def watched(images: Any) -> Any:
        if images.shape[0] is not None and not tf.executing_eagerly():
            seen.append(images.shape[0])
        return linear(images)

    parts = attack(watched, IMAGES, targets=targets, mask=MASK)
    np.testing.assert_allclose(parts.perturbation, whole.perturbation, atol=1e-4)
    np.testing.assert_allclose(parts.history["loss"], whole.history["loss"], atol=1e-4)
    assert all(size <= max(images_in_a_batch, 1) for size in seen)


def test_a_loss_that_is_no_mean_needs_all_images_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_PIXELS", 2 * SIZE * SIZE)
    with pytest.raises(ValueError, match="`loss` must be a mean over the images where these do not fit into a batch"):
        RP2(steps=1, loss="mse")(linear, IMAGES, targets=TARGETS)
    RP2(steps=1, loss="mse", sharing="per_image")(linear, IMAGES, targets=TARGETS)  # an image each


# --- colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per", ["pixel", "sticker"])
@pytest.mark.parametrize("sharing", ["shared", "per_image"])
def test_a_palette_prints_its_colours_exactly(per: str, sharing: str) -> None:
    attack = RP2(steps=30, basis=Palette(COLOURS, per=per), norm=None, loss="margin", sharing=sharing)
    result = attack(linear, IMAGES, targets=TARGETS, mask=MASK)
    for best in (False, True):
        printed = result.apply(IMAGES, best=best)[:, :, INSIDE]
        np.testing.assert_array_equal(np.unique(printed.reshape(-1, 3), axis=0), np.unique(np.float32(COLOURS), axis=0))
        np.testing.assert_array_equal(
            result.apply(IMAGES, best=best)[:, :, ~INSIDE], np.stack([IMAGES[:, ~INSIDE]] * 2)
        )
        if per == "sticker":
            for part in (slice(0, 4), slice(4, 12)):
                assert (printed[:, :, part] == printed[:, :, part][:, :, :1]).all()
    assert (result.history["loss"][-1] < result.history["loss"][0]).all()


def test_a_palette_starts_with_the_nearest_colours_and_pulls_towards_the_lower_loss() -> None:
    basis = Palette(COLOURS)
    d = RNG.uniform(0, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    distance = np.square(d[..., None, :] - np.float32(COLOURS)).sum(-1)
    np.testing.assert_array_equal(
        basis.decode(basis.encode(tf.constant(d)), (SIZE, SIZE)), np.float32(COLOURS)[distance.argmin(-1)]
    )
    z = tf.zeros((1, 1, 1, 3))
    with tf.GradientTape() as tape:
        tape.watch(z)
        darkness = -tf.reduce_sum(basis.decode(z, (1, 1)))
    gradient = tape.gradient(darkness, z).numpy().ravel()
    assert gradient[1] < gradient[2] < gradient[0]  # white lowers it most, black least
    np.testing.assert_allclose(gradient.sum(), 0, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "phrase"),
    [
        (lambda: Palette([(0, 0, 0)]), "`colours` must be at least two"),
        (lambda: Palette(np.eye(3) * 255), "in [0, 1]"),
        (lambda: Palette(COLOURS, per="image"), "`per` must be one of 'pixel', 'sticker'"),
        (lambda: SPSA(samples=0), "`samples` must be an integer of at least 1"),
        (lambda: SPSA(delta=0.0), "`delta` must be a positive number"),
    ],
)
def test_bad_parts_are_errors(make: Any, phrase: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
        make()
    assert phrase in str(error.value)


# --- gradients --------------------------------------------------------------------------------------------------------


def test_spsa_estimates_the_gradient() -> None:
    matrix = RNG.normal(size=(3, 3)).astype(np.float32)

    def evaluate(z: Any) -> tuple[Any, Any]:
        loss = tf.reduce_sum(tf.square(z @ matrix), axis=1)
        return loss, loss[None]

    @tf.function(autograph=False)
    def estimate(z: Any, seed: Any) -> tuple[Any, Any, Any]:
        return SPSA(samples=4000, delta=0.01)(evaluate, z, seed)

    z = tf.constant(RNG.normal(size=(2, 3)).astype(np.float32))
    seed = tf.constant([3, 4])
    loss, row, gradient = estimate(z, seed)
    exact = 2 * z.numpy() @ matrix @ matrix.T
    np.testing.assert_allclose(gradient, exact, atol=0.12 * np.abs(exact).max())
    np.testing.assert_array_equal(row[0], loss)
    again = estimate(z, seed)[2]
    np.testing.assert_array_equal(gradient, again)
    assert not np.array_equal(gradient, estimate(z, tf.constant([3, 5]))[2])


def test_spsa_attacks_a_model_without_gradients() -> None:
    def quantised(images: Any) -> Any:
        return linear(tf.round(images * 8) / 8)

    with pytest.raises(ValueError, match="`model` must be differentiable"):
        RP2(steps=1)(quantised, IMAGES, targets=TARGETS, mask=MASK)
    attack = RP2(steps=25, gradient=SPSA(samples=8, delta=0.2), loss="margin", norm=None)
    result = attack(quantised, IMAGES, targets=TARGETS, mask=MASK)
    assert (result.history["loss"][-1] < result.history["loss"][0]).all()
    assert not attack.differentiates


# --- terms that look into the model -----------------------------------------------------------------------------------


def convolutional() -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    keras.utils.set_random_seed(0)
    maps = keras.layers.Conv2D(4, 3, activation="relu", name="maps")(image)
    return keras.Model(image, keras.layers.Dense(CLASSES)(keras.layers.Flatten()(maps)))


def test_the_total_variation_of_the_maps_is_that_of_eq_5_over_the_attacked_images() -> None:
    model = convolutional()
    target = next(c for c in range(CLASSES) if c not in set(np.argmax(model(IMAGES), axis=1).tolist()))
    attack = RP2(steps=1, penalties=(MapsTotalVariation(layer="maps", weight=0.5),), learning_rate=1e-9)
    result = attack(model, IMAGES, targets=target, mask=MASK)
    maps = keras.Model(model.input, model.get_layer("maps").output)(result.apply(IMAGES)[0]).numpy()
    variation = np.abs(np.diff(maps, axis=1)).sum() + np.abs(np.diff(maps, axis=2)).sum()
    np.testing.assert_allclose(result.history["maps_tv"][-1, 0], 0.5 * variation / (N * 4), rtol=1e-4)


def test_an_attack_that_smooths_the_maps_makes_them_smoother() -> None:
    model = convolutional()
    found = []
    for weight in (0.0, 10.0):
        attack = RP2(steps=40, penalties=(MapsTotalVariation(layer="maps", weight=weight),), norm=None)
        result = attack(model, IMAGES, mask=MASK)
        maps = keras.Model(model.input, model.get_layer("maps").output)(result.apply(IMAGES)[0]).numpy()
        found.append(np.abs(np.diff(maps, axis=1)).sum() + np.abs(np.diff(maps, axis=2)).sum())
    assert found[1] < found[0]


def test_maps_need_a_functional_model_with_that_layer() -> None:
    attack = RP2(steps=1, penalties=(MapsTotalVariation(layer="conv9"),))
    with pytest.raises(ValueError, match=r"`layer` must be a layer of the model.*'conv9'; the model has .*maps"):
        attack(convolutional(), IMAGES)
    with pytest.raises(ValueError, match="no layers, because it is no functional Keras model"):
        attack(linear, IMAGES)


def test_a_palette_of_thousands_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`palette` must hold at most 128 colours.*Received: 2000"):
        NPS(np.random.default_rng(0).random((2000, 3)))
