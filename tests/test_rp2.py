"""RP2: its trajectory against a plain implementation, its contract, and the published numbers."""

import dataclasses
import doctest
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from traces import counted

from blurnet_tf import numerics
from blurnet_tf.attacks import NPS, RP2, AttackResult, Colour, Margin, TotalVariation, load_mask
from blurnet_tf.data import rp2_release
from blurnet_tf.defenses.layers import FixedBlur
from blurnet_tf.models import TRANSFER_VARIANTS, lisa_cnn
from blurnet_tf.signs import STOP

SIZE, CLASSES = 8, 5
RNG = np.random.default_rng(11)
IMAGES = RNG.uniform(0, 1, (3, SIZE, SIZE, 3)).astype(np.float32)
WEIGHTS = (RNG.normal(size=(SIZE * SIZE * 3, CLASSES)) / 4).astype(np.float32)
MASK = np.zeros((SIZE, SIZE, 1), np.float32)
MASK[1:3, 2:6] = 1
MASK[5:7, 1:5] = 1
PALETTE = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.4], [0.9, 0.1, 0.2]], np.float32)


def linear_model(weights: np.ndarray) -> keras.Model:
    dense = keras.layers.Dense(weights.shape[1], use_bias=False)
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten(), dense])
    dense.set_weights([weights])
    return model


linear = linear_model(WEIGHTS)


CLEAN = np.argmax(IMAGES.reshape(3, -1) @ WEIGHTS, axis=1)
TARGETS = [target for target in range(CLASSES) if target not in CLEAN][:2]


@pytest.fixture(scope="module")
def conv() -> keras.Model:
    keras.utils.set_random_seed(5)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.Conv2D(6, 3, strides=2, activation="relu", name="conv")(image)
    x = keras.layers.Dense(CLASSES, kernel_initializer=keras.initializers.RandomNormal(stddev=1.0), name="logits")(
        keras.layers.Flatten(name="flatten")(x)
    )
    return keras.Model(image, x)


def sentence(call: Callable[[], Any]) -> str:
    """The whole sentence of the ValueError that a call raises."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the callers compare the whole sentence
        call()
    return str(error.value)


def free_targets(model: Any) -> list[int]:
    """The classes that the model predicts for no clean image."""
    predicted = np.argmax(model(tf.constant(IMAGES)), axis=1)
    return [target for target in range(CLASSES) if target not in predicted]


# --- reference ------------------------------------------------------------------------------------------------------


def objective(attack: RP2, model: Any, d: Any, classes: Any, targeted: bool) -> dict[str, Any]:
    """The objective of one perturbation, written out once more, term by term and pixel by pixel where that is plain."""
    masked = d * MASK
    adversarial = tf.clip_by_value(IMAGES + masked, 0, 1)
    probabilities = tf.nn.softmax(model(adversarial))
    one_hot = np.eye(CLASSES, dtype=np.float32)[classes]
    if attack.loss == RP2().loss:
        loss = -tf.reduce_sum(one_hot * tf.math.log(probabilities)) / len(IMAGES)
    else:
        loss = tf.sqrt(tf.reduce_sum((probabilities - one_hot) ** 2))
    terms = {"adversarial": loss if targeted else -loss}
    if attack.norm == "l2":
        terms["norm"] = attack.penalty * tf.sqrt(tf.reduce_sum(masked**2))
    elif attack.norm == "l1":
        terms["norm"] = attack.penalty * tf.reduce_sum(tf.abs(masked))
    weights = {(one.term, getattr(one, "mode", "")): one.weight for one in attack.penalties}
    if ("nps", "original") in weights:
        product = 1.0
        for colour in PALETTE:
            product *= tf.sqrt(tf.reduce_sum((masked - colour) ** 2, axis=-1))
        terms["nps"] = weights["nps", "original"] * tf.reduce_sum(product)
    elif ("nps", "corrected") in weights:
        product = MASK[None, ..., 0]
        for colour in PALETTE:
            product *= tf.sqrt(tf.reduce_sum((adversarial - colour) ** 2, axis=-1))
        terms["nps"] = weights["nps", "corrected"] * tf.reduce_sum(product) / len(IMAGES)
    if ("tv", "") in weights:
        down, right = masked[1:] - masked[:-1], masked[:, 1:] - masked[:, :-1]
        terms["tv"] = weights["tv", ""] * (tf.reduce_sum(tf.abs(down)) + tf.reduce_sum(tf.abs(right)))
    return terms


def reference(
    attack: RP2, model: Any, start: Any, classes: Any, targeted: bool
) -> tuple[list[dict[str, float]], np.ndarray]:
    """Minimise the objective of one target with Keras's Adam; return the terms before each step and at the end."""
    d = tf.Variable(start)
    adam = keras.optimizers.Adam(attack.learning_rate, attack.beta_1, attack.beta_2, attack.epsilon)
    rows = []
    for step in range(attack.steps + 1):
        with tf.GradientTape() as tape:
            terms = objective(attack, model, d, classes, targeted)
            loss = sum(terms.values())
        rows.append({name: float(value) for name, value in terms.items()} | {"loss": float(loss)})
        if step < attack.steps:
            adam.apply([tape.gradient(loss, d)], [d])
    return rows, d.numpy() * MASK


SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "l1": {"norm": "l1", "penalty": 0.02, "learning_rate": 0.3},
    "no norm": {"norm": None, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
    "mse": {"loss": "mse", "penalty": 0.05},
    "nps original": {"penalties": (NPS(PALETTE, mode="original", weight=0.7),)},
    "nps corrected": {"penalties": (NPS(PALETTE, weight=2.0),)},
    "tv": {"penalties": (TotalVariation(weight=0.03),)},
    "everything": {"loss": "mse", "norm": "l1", "penalties": (NPS(PALETTE), TotalVariation(weight=0.01))},
    "untargeted": {},
    "untargeted mse": {"loss": "mse", "penalties": (NPS(PALETTE, mode="original"),)},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_the_trajectory_is_that_of_a_plain_implementation_with_keras_adam(conv: keras.Model, name: str) -> None:
    attack = RP2(**{"steps": 6, "penalty": 0.1} | SETTINGS[name])
    targets = None if name.startswith("untargeted") else free_targets(conv)[:2]
    labels = np.array([1, 0, 2], np.int32)
    result = attack(conv, IMAGES, targets=targets, mask=MASK, labels=None if targets else labels)
    for index, target in enumerate(targets or [None]):
        key = 0 if target is None else target + 1
        start = tf.random.stateless_uniform((SIZE, SIZE, 3), seed=(attack.seed, key))
        rows, end = reference(attack, conv, start, labels if target is None else [target] * 3, target is not None)
        assert set(result.history) - {"success", "target_reached"} == set(rows[0])
        for name in rows[0]:
            np.testing.assert_allclose(
                result.history[name][:, index], [row[name] for row in rows], rtol=2e-4, atol=2e-5, err_msg=name
            )
        np.testing.assert_allclose(result.perturbation[index], end, atol=2e-3)
        assert abs(rows[0]["loss"] - rows[-1]["loss"]) > 0.01  # there was something to follow


# --- properties -----------------------------------------------------------------------------------------------------


@given(
    inside=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=SIZE * SIZE, max_size=SIZE * SIZE).filter(any),
    seed=st.integers(0, 2**31 - 1),
    learning_rate=st.floats(1e-3, 30),
    penalty=st.floats(0, 10),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_nothing_changes_outside_the_mask_and_no_value_leaves_the_range(
    inside: list[float], seed: int, learning_rate: float, penalty: float
) -> None:
    mask = np.array(inside, np.float32).reshape(SIZE, SIZE, 1)
    result = RP2(steps=4, seed=seed, learning_rate=learning_rate, penalty=penalty)(
        linear, IMAGES, targets=TARGETS, mask=mask
    )
    outside = mask[..., 0] == 0
    for best in (False, True):
        attacked = result.apply(IMAGES, best=best)
        assert attacked.min() >= 0
        assert attacked.max() <= 1
        for one in attacked.reshape(-1, SIZE, SIZE, 3):
            assert any(np.array_equal(one[outside], image[outside]) for image in IMAGES)
    for perturbation in (result.perturbation, result.best_perturbation):
        np.testing.assert_array_equal(perturbation[:, outside], 0)
        assert (np.abs(perturbation) <= 20 * mask).all()
    assert all(np.isfinite(values).all() for values in result.history.values())


@given(seed=st.integers(0, 1000), targets=st.permutations([t for t in range(CLASSES) if t not in CLEAN]))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_a_target_does_not_depend_on_its_neighbours(seed: int, targets: list[int]) -> None:
    attack = RP2(steps=5, seed=seed)
    together = attack(linear, IMAGES, targets=targets, mask=MASK)
    for index, target in enumerate(targets):
        alone = attack(linear, IMAGES, targets=target, mask=MASK)
        np.testing.assert_allclose(together.perturbation[index], alone.perturbation[0], atol=1e-4)
        np.testing.assert_allclose(together.history["loss"][:, index], alone.history["loss"][:, 0], rtol=1e-4)
        assert together.best_step[index] == alone.best_step[0]


@given(order=st.permutations(range(3)))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_the_order_of_the_images_does_not_matter(order: list[int]) -> None:
    attack = RP2(steps=5)
    one, other = (
        attack(linear, IMAGES, targets=TARGETS, mask=MASK),
        attack(linear, IMAGES[order], targets=TARGETS, mask=MASK),
    )
    np.testing.assert_allclose(one.perturbation, other.perturbation, atol=1e-4)
    np.testing.assert_allclose(one.history["loss"], other.history["loss"], rtol=1e-4)
    np.testing.assert_array_equal(one.history["success"], other.history["success"])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_start() -> None:
    first, again, other = (RP2(steps=5, seed=seed)(linear, IMAGES, targets=TARGETS, mask=MASK) for seed in (3, 3, 4))
    assert first.perturbation.tobytes() == again.perturbation.tobytes()
    assert first.best_perturbation.tobytes() == again.best_perturbation.tobytes()
    for name, values in first.history.items():
        assert values.tobytes() == again.history[name].tobytes()
    assert not np.isclose(first.history["loss"][0], other.history["loss"][0], rtol=1e-3).any()


def test_a_negative_seed_is_a_seed_too() -> None:
    first, other = (RP2(steps=1, seed=seed)(linear, IMAGES, targets=TARGETS, mask=MASK) for seed in (-1, 1))
    assert np.isfinite(first.perturbation).all()
    assert not np.allclose(first.perturbation, other.perturbation)


# --- contract -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result() -> AttackResult:
    return RP2(steps=12, learning_rate=0.3, penalty=0.1)(linear, IMAGES, targets=TARGETS, mask=MASK)


def test_a_result_has_the_documented_shapes_and_types(result: AttackResult) -> None:
    count = len(TARGETS)
    for perturbation in (result.perturbation, result.best_perturbation):
        assert perturbation.shape == (count, SIZE, SIZE, 3)
        assert perturbation.dtype == np.float32
    assert result.best_step.shape == (count,)
    assert result.best_step.dtype == np.int32
    assert result.targets == tuple(TARGETS)
    assert all(type(target) is int for target in result.targets)
    np.testing.assert_array_equal(result.mask, MASK)
    assert result.attack == RP2(steps=12, learning_rate=0.3, penalty=0.1)
    assert set(result.history) == {"loss", "adversarial", "norm", "success", "target_reached"}
    for values in result.history.values():
        assert values.shape == (13, count)
        assert values.dtype == np.float32
    attacked = result.apply(IMAGES)
    assert attacked.shape == (count, 3, SIZE, SIZE, 3)
    assert attacked.dtype == np.float32


def test_the_loss_is_the_sum_of_its_terms() -> None:
    attack = RP2(steps=4, penalty=0.3, penalties=(NPS(PALETTE, weight=0.5), TotalVariation(weight=0.2)))
    history = attack(linear, IMAGES, targets=TARGETS, mask=MASK).history
    parts = [history[name] for name in ("adversarial", "norm", "nps", "tv")]
    assert all((part > 0).all() for part in parts)
    np.testing.assert_allclose(history["loss"], sum(parts), rtol=1e-5)


def test_row_k_is_measured_after_k_steps(result: AttackResult) -> None:
    for steps in (1, 2, 7, 11):
        shorter = dataclasses.replace(result.attack, steps=steps)(linear, IMAGES, targets=TARGETS, mask=MASK)
        for name, values in shorter.history.items():
            np.testing.assert_array_equal(values, result.history[name][: steps + 1])
        logits = np.stack([linear(attacked) for attacked in shorter.apply(IMAGES)]).astype(np.float64)
        probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        expected = [-np.log(probabilities[index, :, target]).mean() for index, target in enumerate(TARGETS)]
        np.testing.assert_allclose(result.history["adversarial"][steps], expected, rtol=1e-4)


def test_row_0_is_the_start(result: AttackResult) -> None:
    for index, target in enumerate(TARGETS):
        start = MASK * tf.random.stateless_uniform((SIZE, SIZE, 3), seed=(0, target + 1)).numpy()
        norm = math.sqrt(float(np.sum(start.astype(np.float64) ** 2)))
        assert result.history["norm"][0, index] == pytest.approx(0.1 * norm, rel=1e-5)


def test_the_last_row_is_what_the_model_says_of_the_applied_perturbation(result: AttackResult) -> None:
    predictions = np.stack([np.argmax(linear(attacked), axis=1) for attacked in result.apply(IMAGES)])
    np.testing.assert_allclose(result.history["success"][-1], (predictions != CLEAN).mean(axis=1))
    np.testing.assert_allclose(
        result.history["target_reached"][-1], (predictions == np.array(TARGETS)[:, None]).mean(axis=1)
    )
    assert result.history["target_reached"][-1].max() > 0


@pytest.mark.parametrize("targeted", [True, False])
def test_the_best_step_has_most_successes_and_among_those_the_lowest_loss(targeted: bool) -> None:
    # Steps this long overshoot, so the best is seldom the last.
    attack = RP2(steps=25, learning_rate=1.0, penalty=1.0)
    result = attack(linear, IMAGES, targets=TARGETS if targeted else None, mask=MASK)
    score, loss = result.history["target_reached" if targeted else "success"], result.history["loss"]
    assert (result.best_step < 25).any()
    for index, step in enumerate(result.best_step):
        assert score[step, index] == score[:, index].max()
        assert loss[step, index] == loss[score[:, index] == score[:, index].max(), index].min()
        if step == 0:
            continue
        then = dataclasses.replace(attack, steps=int(step))(
            linear, IMAGES, targets=TARGETS if targeted else None, mask=MASK
        )
        np.testing.assert_array_equal(result.best_perturbation[index], then.perturbation[index])


def test_apply_can_take_the_best_instead_of_the_last() -> None:
    result = RP2(steps=25, learning_rate=1.0, penalty=1.0)(linear, IMAGES, targets=TARGETS, mask=MASK)
    for best, perturbation in ((False, result.perturbation), (True, result.best_perturbation)):
        expected = np.clip(IMAGES + perturbation[:, None], 0, 1)
        np.testing.assert_array_equal(result.apply(IMAGES, best=best), expected)
    assert not np.array_equal(result.perturbation, result.best_perturbation)


def test_apply_takes_other_images_of_the_attacked_size_only(result: AttackResult) -> None:
    assert result.apply(IMAGES[:1]).shape == (len(TARGETS), 1, SIZE, SIZE, 3)
    assert sentence(lambda: result.apply(np.zeros((2, 1, 1, 3)))) == (
        "`images` must be of the attacked size, 8x8. Received: shape=(2, 1, 1, 3)"
    )
    assert sentence(lambda: result.apply(255 * np.ones((1, SIZE, SIZE, 3)))) == (
        "`images` must lie in [0, 1]. Received: values from 255 to 255"
    )


def test_a_targeted_attack_lowers_the_loss_of_the_target() -> None:
    result = RP2(steps=40)(linear, IMAGES, targets=TARGETS, mask=np.ones_like(MASK))
    assert (result.history["adversarial"][-1] < 0.1 * result.history["adversarial"][0]).all()
    np.testing.assert_array_equal(result.history["target_reached"][-1], 1)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", Margin(confidence=1.0)])
def test_an_untargeted_attack_raises_the_loss_of_the_labels(loss: str) -> None:
    result = RP2(steps=40, loss=loss, start=Colour(0, 0, 0))(linear, IMAGES, mask=MASK)
    assert result.targets is None
    assert "target_reached" not in result.history
    assert result.perturbation.shape == (1, SIZE, SIZE, 3)
    if loss != Margin(confidence=1.0):
        assert (result.history["adversarial"] <= 0).all()  # minus the loss of the labels
    assert result.history["adversarial"][-1, 0] < result.history["adversarial"][0, 0] - 0.3
    assert result.history["success"][0, 0] == 0
    assert result.history["success"][-1, 0] > 0.5


def test_an_untargeted_attack_moves_away_from_the_given_labels_not_from_the_predictions() -> None:
    labels = (CLEAN + 1) % CLASSES
    result = RP2(steps=40, start=Colour(0, 0, 0))(linear, IMAGES, mask=MASK, labels=labels)
    before, after = (
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, linear(x)).numpy().mean()
        for x in (IMAGES, result.apply(IMAGES)[0])
    )
    assert after > before + 0.3
    np.testing.assert_allclose(result.history["adversarial"][[0, -1], 0], [-before, -after], rtol=1e-4)


def test_success_counts_changes_of_the_clean_prediction_and_reached_the_target() -> None:
    def reddest(images: Any) -> Any:
        """Class 0 below a red level of 1/2 in the first pixel, class 1 above, never class 2."""
        red = images[:, 0, 0, 0]
        return tf.stack([0.5 + 0 * red, red, red - 9], axis=1)

    images = np.zeros((4, SIZE, SIZE, 3), np.float32)
    images[:, 0, 0, 0] = (0.0, 0.1, 0.25, 0.9)  # predicted 0, 0, 0, 1
    mask = np.zeros_like(MASK)
    mask[0, 0] = 1
    attack = RP2(steps=1, learning_rate=1e-9, start=Colour(0.3, 0.0, 0.0))
    with pytest.warns(UserWarning) as caught:
        result = attack(reddest, images, targets=[1, 2], mask=mask, labels=[0, 0, 0, 0])
    assert [str(one.message) for one in caught] == [
        "The model takes 1 of 4 clean images for the target 1 already; they count as reached without any attack."
    ]
    assert caught[0].filename == __file__
    # 0.3, 0.4, 0.55 and 1.0 (clipped) are predicted 0, 0, 1, 1: one of four changed, two of four on class 1.
    np.testing.assert_array_equal(result.history["success"], [[0.25, 0.25]] * 2)
    np.testing.assert_array_equal(result.history["target_reached"], [[0.5, 0.0]] * 2)
    logits = np.array([[0.5, red, red - 9] for red in (0.3, 0.4, 0.55, 1.0)])
    losses = np.log(np.exp(logits).sum(axis=1, keepdims=True)) - logits
    np.testing.assert_allclose(result.history["adversarial"][0], losses.mean(axis=0)[1:], rtol=1e-5)
    np.testing.assert_allclose(result.history["norm"], 0.002 * 0.3, rtol=1e-4)


def test_inverse_mask_paints_the_images_under_the_sticker() -> None:
    attack = RP2(steps=1, learning_rate=1e-9, start=Colour(0.25, 0.0, -0.25), inverse_mask=0.5)
    attacked = attack(linear, IMAGES, targets=TARGETS, mask=MASK).apply(IMAGES)
    inside = MASK[..., 0] > 0
    np.testing.assert_allclose(attacked[:, :, inside], np.broadcast_to((0.75, 0.5, 0.25), (2, 3, 16, 3)), atol=1e-6)
    np.testing.assert_array_equal(attacked[:, :, ~inside], np.stack([IMAGES[:, ~inside]] * 2))


def test_inverse_mask_is_in_the_graph_too() -> None:
    attack = RP2(steps=2, inverse_mask=0.0)
    result = attack(linear, IMAGES, targets=TARGETS, mask=MASK)
    logits = np.stack([linear(one) for one in result.apply(IMAGES)])
    expected = [
        float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits([target] * 3, logits[index])))
        for index, target in enumerate(TARGETS)
    ]
    np.testing.assert_allclose(result.history["adversarial"][-1], expected, rtol=1e-4)


def test_clips_bound_the_perturbation_and_the_images() -> None:
    attack = RP2(steps=10, learning_rate=1.0, perturbation_clip=(-0.25, 0.125), image_clip=(-0.1, 0.9))
    result = attack(linear, IMAGES, targets=TARGETS, mask=MASK)
    assert (result.perturbation.min(), result.perturbation.max()) == (-0.25, 0.125)
    np.testing.assert_array_equal(result.apply(IMAGES), np.clip(IMAGES + result.perturbation[:, None], -0.1, 0.9))
    listed = dataclasses.replace(attack, perturbation_clip=[-0.25, 0.125], image_clip=[-0.1, 0.9])  # as from JSON
    np.testing.assert_array_equal(listed(linear, IMAGES, targets=TARGETS, mask=MASK).perturbation, result.perturbation)


def test_without_clips_nothing_is_clipped() -> None:
    attack = RP2(steps=2, learning_rate=30.0, perturbation_clip=None, image_clip=None)
    result = attack(linear, IMAGES, targets=TARGETS, mask=MASK)
    assert np.abs(result.perturbation).max() > 20
    np.testing.assert_array_equal(result.apply(IMAGES), IMAGES + result.perturbation[:, None])


def test_several_masks_act_as_their_union_each_with_its_palette() -> None:
    upper, lower = MASK.copy(), MASK.copy()
    upper[4:], lower[:4] = 0, 0
    palettes = [PALETTE[:1], PALETTE[1:]]
    attack = RP2(steps=3, penalties=(NPS(palettes, weight=2.0),))
    both = attack(linear, IMAGES, targets=TARGETS, mask=[upper, lower])
    np.testing.assert_array_equal(both.mask, MASK)
    expected = np.zeros(2)
    for mask, palette in zip((upper, lower), palettes, strict=True):
        for index, attacked in enumerate(both.apply(IMAGES)):
            distances = np.linalg.norm(attacked[..., None, :] - palette, axis=-1).prod(axis=-1)
            expected[index] += 2.0 * (mask[..., 0] * distances).sum() / len(IMAGES)
    np.testing.assert_allclose(both.history["nps"][-1], expected, rtol=1e-4)
    other = RP2(steps=3, penalties=(NPS(palettes[::-1], weight=2.0),))
    swapped = other(linear, IMAGES, targets=TARGETS, mask=[upper, lower])
    assert not np.allclose(both.history["nps"][0], swapped.history["nps"][0], rtol=1e-2)


def test_several_masks_with_the_original_nps_each_count_the_whole_image() -> None:
    upper, lower = MASK.copy(), MASK.copy()
    upper[4:], lower[:4] = 0, 0
    attack = RP2(steps=1, penalties=(NPS(PALETTE, mode="original"),))
    result = attack(linear, IMAGES, targets=TARGETS, mask=[upper, lower])
    expected = np.zeros(2)
    for mask in (upper, lower):
        for index in range(2):
            colours = (mask * result.perturbation[index])[..., None, :]
            expected[index] += np.linalg.norm(colours - PALETTE, axis=-1).prod(axis=-1).sum()
    np.testing.assert_allclose(result.history["nps"][-1], expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("inverse_mask", [None, 0.0])
@pytest.mark.parametrize("nps", ["original", "corrected"])
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_every_start_gives_finite_numbers(norm: str, nps: str, inverse_mask: float | None) -> None:
    images = IMAGES.copy()
    images[0] = 0  # here the printed colour is the perturbation itself, so it can meet the palette exactly
    palette = np.concatenate([np.tile(PALETTE, (9, 1)), np.array([[0, 0, 0], [1, 1, 1]], np.float32)])
    assert len(palette) >= 28  # as many as RP2's: a product of that many distances is where float32 ends
    colours = [(0.0, 0.0, 0.0), PALETTE[1].tolist(), (1.0, 1.0, 1.0), (-1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), None]
    targets = [t for t in free_targets(linear) if t != int(np.argmax(linear(images[:1])))][:1]
    for colour in colours:
        start = "uniform" if colour is None else Colour(*colour)
        penalties = (NPS(palette, mode=nps),)
        attack = RP2(steps=3, norm=norm, penalties=penalties, inverse_mask=inverse_mask, start=start)
        result = attack(linear, images, targets=targets, mask=MASK)
        for values in result.history.values():
            assert np.isfinite(values).all()
        assert np.isfinite(result.perturbation).all()
        if colour is not None:
            assert result.history["norm"][0, 0] == pytest.approx(
                0.002 * np.linalg.norm((MASK * np.array(colour)).ravel(), ord=1 if norm == "l1" else 2), abs=1e-6
            )


def test_a_loss_that_overflows_is_warned_of_and_is_never_the_best() -> None:
    palette = np.tile(PALETTE, (10, 1))  # a step of 20 away from it, to the 30th power, is beyond float32
    nps = NPS(palette, mode="original")
    attack = RP2(steps=3, penalties=(nps,), learning_rate=20.0, start=Colour(-1, -1, -1))
    with pytest.warns(UserWarning) as caught:
        result = attack(linear, IMAGES, mask=MASK)
    assert ["became infinite or NaN" in str(one.message) for one in caught] == [True]
    assert caught[0].filename == __file__
    assert not np.isfinite(result.history["loss"]).all()
    assert np.isfinite(result.best_perturbation).all()


def test_without_a_norm_the_penalty_has_no_effect() -> None:
    one, other = (
        RP2(steps=3, norm=None, penalty=penalty)(linear, IMAGES, targets=TARGETS, mask=MASK) for penalty in (0.0, 9.0)
    )
    np.testing.assert_array_equal(one.perturbation, other.perturbation)
    assert "norm" not in one.history


def test_a_repr_shows_every_setting() -> None:
    text = repr(RP2())
    assert all(f"{field.name}=" in text for field in dataclasses.fields(RP2))


# --- graph ----------------------------------------------------------------------------------------------------------


def test_other_values_need_no_new_trace() -> None:
    model = counted(linear)
    nps, tv = NPS(PALETTE, mode="original"), TotalVariation(weight=0.1)
    first = RP2(steps=2, penalties=(nps, tv))
    others = [
        first,
        dataclasses.replace(first, seed=1),
        dataclasses.replace(first, penalty=0.5),
        dataclasses.replace(first, learning_rate=0.01),
        dataclasses.replace(first, steps=7),
        dataclasses.replace(first, penalties=(dataclasses.replace(nps, weight=0.5), TotalVariation(weight=0.2))),
        dataclasses.replace(first, start="white"),
    ]
    results = [attack(model, IMAGES, targets=TARGETS[:1], mask=MASK) for attack in others]
    others_images = IMAGES[::-1] * 0.99 + 0.005
    first(model, others_images, targets=TARGETS[1:2], mask=np.ascontiguousarray(MASK[::-1]))
    assert (model.traced, model.run) == (1, len(others) + 1)
    # Each value did take effect, so nothing was frozen into the trace.
    for result in results[1:]:
        assert not np.array_equal(result.perturbation, results[0].perturbation)


def test_python_runs_the_model_as_often_for_many_steps_as_for_one() -> None:
    calls = []
    for steps in (1, 200):
        model = counted(linear)
        RP2(steps=steps)(model, IMAGES, targets=TARGETS, mask=MASK)
        calls.append((model.traced, model.run))
    assert calls == [(1, 1), (1, 1)]


def test_new_weights_of_a_model_take_effect_without_a_new_trace() -> None:
    model = linear_model(WEIGHTS)
    attack = RP2(steps=3)
    before = attack(model, IMAGES, targets=TARGETS, mask=MASK)
    model.set_weights([WEIGHTS[::-1]])
    targets = free_targets(model)[:2]
    after = attack(model, IMAGES, targets=targets, mask=MASK)
    fresh = attack(lambda x: tf.reshape(x, [-1, SIZE * SIZE * 3]) @ WEIGHTS[::-1], IMAGES, targets=targets, mask=MASK)
    np.testing.assert_array_equal(after.perturbation, fresh.perturbation)
    assert not np.array_equal(before.perturbation, after.perturbation)


def test_a_layer_that_was_changed_after_a_trace_is_traced_anew() -> None:
    image = keras.Input((SIZE, SIZE, 3))
    blurred = FixedBlur(3, name="blur")(image)
    model = keras.Model(image, linear(blurred))
    attack = RP2(steps=3)
    attack(model, IMAGES, targets=free_targets(model)[:1], mask=MASK)
    model.get_layer("blur").size = 5
    targets = free_targets(model)[:1]
    changed = attack(model, IMAGES, targets=targets, mask=MASK)
    np.testing.assert_array_equal(
        changed.perturbation, attack(lambda x: model(x), IMAGES, targets=targets, mask=MASK).perturbation
    )


def test_a_function_that_refers_to_another_model_by_now_is_traced_anew() -> None:
    weights = WEIGHTS

    def predict(images: Any) -> Any:
        return tf.reshape(images, [-1, SIZE * SIZE * 3]) @ weights

    attack = RP2(steps=3)
    before = attack(predict, IMAGES, targets=TARGETS, mask=MASK)
    weights = WEIGHTS[::-1]
    targets = free_targets(predict)[:2]
    after = attack(predict, IMAGES, targets=targets, mask=MASK)
    fresh = attack(lambda x: tf.reshape(x, [-1, SIZE * SIZE * 3]) @ WEIGHTS[::-1], IMAGES, targets=targets, mask=MASK)
    np.testing.assert_array_equal(after.perturbation, fresh.perturbation)
    assert not np.array_equal(before.perturbation, after.perturbation)


def test_a_progress_bar_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    attack = RP2(steps=120)
    silent = attack(linear, IMAGES, targets=TARGETS, mask=MASK, progress=False)
    default = attack(linear, IMAGES, targets=TARGETS, mask=MASK)  # the captured output is no terminal
    assert capsys.readouterr().out == ""
    shown = attack(linear, IMAGES, targets=TARGETS, mask=MASK, progress=True)
    assert "121/121" in capsys.readouterr().out
    for other in (default, shown):
        assert other.perturbation.tobytes() == silent.perturbation.tobytes()
        assert other.best_perturbation.tobytes() == silent.best_perturbation.tobytes()
        for name, values in silent.history.items():
            assert other.history[name].tobytes() == values.tobytes()


def test_an_attack_comes_back_to_python_often_so_that_it_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Python answers a signal between two calls of the graph only; the bar moves after each.
    done: list[int] = []

    class Bar:
        def __init__(self, *_: object, **__: object) -> None: ...

        def update(self, steps: int) -> None:
            done.append(steps)

    monkeypatch.setattr(keras.utils, "Progbar", Bar)
    RP2(steps=2000)(linear, IMAGES, targets=TARGETS, mask=MASK, progress=True)
    assert done[-1] == 2001
    assert max(np.diff([0, *done])) <= 20


# --- models ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_exported_model_is_attacked_as_the_model_itself(conv: keras.Model, tmp_path: Path) -> None:
    conv.export(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    attack, targets = RP2(steps=5), free_targets(conv)[:2]
    own = attack(conv, IMAGES, targets=targets, mask=MASK)
    exported = attack(lambda x: loaded.serve(x), IMAGES, targets=targets, mask=MASK)
    np.testing.assert_allclose(exported.perturbation, own.perturbation, atol=1e-4)
    np.testing.assert_allclose(exported.history["loss"], own.history["loss"], rtol=1e-4)
    signature = loaded.signatures["serving_default"]
    named = attack(lambda x: next(iter(signature(x).values())), IMAGES, targets=targets, mask=MASK)
    np.testing.assert_allclose(named.perturbation, own.perturbation, atol=1e-4)


def test_a_model_in_half_precision_is_attacked_in_float32() -> None:
    result = RP2(steps=5)(lambda x: tf.cast(linear(x), tf.bfloat16), IMAGES, targets=TARGETS, mask=MASK)
    exact = RP2(steps=5)(linear, IMAGES, targets=TARGETS, mask=MASK)
    assert result.history["loss"].dtype == np.float32
    np.testing.assert_allclose(result.history["loss"], exact.history["loss"], rtol=0.05)


# --- errors ---------------------------------------------------------------------------------------------------------

BAD_SETTINGS = [
    ({"steps": 0}, "`steps` must be an integer of at least 1"),
    ({"steps": 2.5}, "Received: steps=2.5"),
    ({"learning_rate": 0.0}, "`learning_rate` must be a positive number. Received: learning_rate=0.0"),
    ({"learning_rate": math.nan}, "Received: learning_rate=nan"),
    ({"learning_rate": "fast"}, "Received: learning_rate='fast'"),
    ({"epsilon": 0.0}, "`epsilon` must be a positive number"),
    ({"beta_1": 1.0}, "`beta_1` must lie in [0, 1)"),
    ({"beta_2": -0.1}, "`beta_2` must lie in [0, 1)"),
    ({"penalty": -1.0}, "`penalty` must be a finite number of at least 0"),
    ({"penalty": None}, "Received: penalty=None"),
    ({"norm": "linf"}, "`norm` must be one of 'l2', 'l1', None"),
    ({"loss": "hinge"}, "`loss` must be a Loss or one of 'cross_entropy', 'mse', 'margin'. Received: loss='hinge'"),
    ({"basis": 3}, "`basis` must be a Basis or one of 'pixels', 'paint', 'low_frequency'"),
    ({"start": "normal"}, "`start` must be a Start or one of 'uniform', 'white', 'black'"),
    ({"start": (0.5, 0.5, 0.5)}, "Received: start=0.5"),
    ({"sharing": "pairs"}, "`sharing` must be a Sharing or one of 'shared', 'per_image'"),
    ({"penalties": ("nps",)}, "`penalties` must be a tuple of Penalty"),
    ({"penalties": NPS(PALETTE)}, "`penalties` must be a tuple of Penalty"),
    ({"penalties": (NPS(PALETTE), NPS(PALETTE))}, "each be a term of its own. Received: norm, nps, nps"),
    ({"inverse_mask": 127}, "`inverse_mask` must be None or lie in [0, 1]"),
    ({"seed": 1.5}, "`seed` must be an integer of 32 bits"),
    ({"seed": 2**31}, "Received: seed=2147483648"),
    ({"perturbation_clip": (1.0, -1.0)}, "`perturbation_clip` must be None or (low, high) with low < high"),
    ({"image_clip": (0.0, 0.5, 1.0)}, "`image_clip` must be None or (low, high) with low < high"),
]


@pytest.mark.parametrize(("options", "phrase"), BAD_SETTINGS, ids=[next(iter(one)) for one, _ in BAD_SETTINGS])
def test_a_bad_setting_is_an_error(options: dict[str, Any], phrase: str) -> None:
    assert phrase in sentence(lambda: RP2(**options))


def test_settings_are_frozen_and_named() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RP2().steps = 3
    with pytest.raises(TypeError, match="positional argument"):
        RP2(300)


@pytest.mark.parametrize("options", [{}, {"norm": None}, {"penalties": (TotalVariation(),)}])
def test_a_model_without_a_gradient_is_an_error_whatever_the_penalties(options: dict[str, Any]) -> None:
    def flat(images: Any) -> Any:
        return tf.stop_gradient(linear(images))

    assert "must be differentiable" in sentence(
        lambda: RP2(steps=2, **options)(flat, IMAGES, targets=TARGETS, mask=MASK)
    )


def test_palettes_must_be_one_or_as_many_as_the_masks() -> None:
    attack = RP2(steps=2, penalties=(NPS([PALETTE] * 3),))
    assert "one palette or one for each of 2 masks. Received: 3" in sentence(
        lambda: attack(linear, IMAGES, targets=TARGETS, mask=[MASK, MASK])
    )


def test_a_target_that_the_model_predicts_already_is_warned_of_where_the_attack_is_called() -> None:
    target = int(CLEAN[0])
    count = np.count_nonzero(target == CLEAN)
    with pytest.warns(UserWarning) as caught:
        RP2(steps=1)(linear, IMAGES, targets=target, mask=MASK)
    assert [str(one.message) for one in caught] == [
        f"The model takes {count} of 3 clean images for the target {target} already; "
        "they count as reached without any attack."
    ]
    assert caught[0].filename == __file__


# --- published ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(rp2_folder: Path) -> dict[str, keras.Model]:
    """The rows of Table 1 on the released weights."""
    weights = rp2_release.load_weights(rp2_folder)
    return {name: lisa_cnn(name, weights=weights) for name in TRANSFER_VARIANTS}


@pytest.mark.realdata
@pytest.mark.slow
def test_the_published_attack_and_table_1(rp2_folder: Path, released: dict[str, keras.Model]) -> None:
    images = rp2_release.load_victims(rp2_folder).images
    path = rp2_folder / rp2_release.STICKER_MASK
    with pytest.warns(UserWarning) as caught:
        mask = load_mask(path)
    assert [str(one.message) for one in caught] == [
        f"Mask {path} has 21 stray pixels, neither 0 nor 255; those above 127 count as inside."
    ]
    # The attack is the example in the docstring of RP2, the only one of its module.
    names = {"RP2": RP2, "model": released["baseline"], "images": images, "mask": mask}
    found = doctest.DocTestFinder().find(sys.modules[RP2.__module__], extraglobs=names)
    (example,) = (one for one in found if one.examples)
    assert doctest.DocTestRunner().run(example, clear_globs=False) == (0, 3)
    result = example.globs["result"]
    assert np.all(np.argmax(released["baseline"](images), axis=1) == STOP)  # what changes is no longer a stop sign
    assert result.history["success"][-1, 0] == pytest.approx(0.9, abs=0.0251)  # one of 40 images
    attacked = result.apply(images)[0]
    paper = {"baseline": 0.9, "input_3x3": 0.875, "input_5x5": 0.675, "feature_3x3": 0.65, "feature_5x5": 0.175}
    assert set(paper) == set(released)
    for name, model in released.items():
        success = float(np.mean(np.argmax(model(attacked), axis=1) != STOP))
        assert success == pytest.approx(paper[name], abs=0.0251), name
    assert float(np.mean(numerics.dissimilarity(images, attacked))) <= 0.318


@pytest.mark.realdata
def test_the_published_noise_changes_36_of_40_victims(rp2_folder: Path, released: dict[str, keras.Model]) -> None:
    images = rp2_release.load_victims(rp2_folder).images
    # The authors multiply by the mask as it is, stray pixels and all.
    levels = tf.io.decode_png(tf.io.read_file(str(rp2_folder / rp2_release.STICKER_MASK)), channels=3).numpy()
    noise = np.clip(rp2_release.load_published_noise(rp2_folder), -20, 20) * (levels.astype(np.float32) / 255)
    attacked = np.clip(images + noise, 0, 1)
    model = released["baseline"]
    assert np.all(np.argmax(model(images), axis=1) == STOP)
    assert np.count_nonzero(np.argmax(model(attacked), axis=1) != STOP) == 36
