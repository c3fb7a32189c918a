"""RP2: its trajectory against a plain implementation, its contract, and the published numbers."""

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from blurnet_tf import numerics
from blurnet_tf.attacks import RP2, AttackResult, load_mask, rp2
from blurnet_tf.data import rp2_release
from blurnet_tf.defenses.layers import FixedBlur
from blurnet_tf.models.lisa_cnn import TRANSFER_VARIANTS, lisa_cnn
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


def objective(attack: RP2, model: Any, d: Any, classes: Any) -> dict[str, Any]:
    """The objective of one perturbation, written out once more, term by term and pixel by pixel where that is plain."""
    masked = d * MASK
    adversarial = tf.clip_by_value(IMAGES + masked, 0, 1)
    probabilities = tf.nn.softmax(model(adversarial))
    one_hot = np.eye(CLASSES, dtype=np.float32)[classes]
    if attack.loss == "cross_entropy":
        loss = -tf.reduce_sum(one_hot * tf.math.log(probabilities)) / len(IMAGES)
    else:
        loss = tf.sqrt(tf.reduce_sum((probabilities - one_hot) ** 2))
    terms = {"adversarial": loss if attack.targeted else -loss, "norm": 0.0, "nps": 0.0, "tv": 0.0}
    if attack.norm == "l2":
        terms["norm"] = attack.penalty * tf.sqrt(tf.reduce_sum(masked**2))
    elif attack.norm == "l1":
        terms["norm"] = attack.penalty * tf.reduce_sum(tf.abs(masked))
    if attack.nps == "original":
        product = 1.0
        for colour in PALETTE:
            product *= tf.sqrt(tf.reduce_sum((masked - colour) ** 2, axis=-1))
        terms["nps"] = attack.nps_weight * tf.reduce_sum(product)
    elif attack.nps == "corrected":
        product = MASK[None, ..., 0]
        for colour in PALETTE:
            product *= tf.sqrt(tf.reduce_sum((adversarial - colour) ** 2, axis=-1))
        terms["nps"] = attack.nps_weight * tf.reduce_sum(product) / len(IMAGES)
    terms["tv"] = attack.tv_weight * (
        tf.reduce_sum(tf.abs(masked[1:] - masked[:-1])) + tf.reduce_sum(tf.abs(masked[:, 1:] - masked[:, :-1]))
    )
    return terms


def reference(attack: RP2, model: Any, start: Any, classes: Any) -> tuple[list[dict[str, float]], np.ndarray]:
    """Minimise the objective of one target with Keras's Adam; return the terms before each step and at the end."""
    d = tf.Variable(start)
    adam = keras.optimizers.Adam(attack.learning_rate, attack.beta_1, attack.beta_2, attack.epsilon)
    rows = []
    for step in range(attack.steps + 1):
        with tf.GradientTape() as tape:
            terms = objective(attack, model, d, classes)
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
    "nps original": {"nps": "original", "nps_weight": 0.7},
    "nps corrected": {"nps": "corrected", "nps_weight": 2.0},
    "tv": {"tv_weight": 0.03},
    "everything": {"loss": "mse", "norm": "l1", "nps": "corrected", "tv_weight": 0.01},
    "untargeted": {"targeted": False},
    "untargeted mse": {"targeted": False, "loss": "mse", "nps": "original"},
}


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS.keys())
def test_the_trajectory_is_that_of_a_plain_implementation_with_keras_adam(
    conv: keras.Model, options: dict[str, Any]
) -> None:
    attack = RP2(**{"steps": 6, "penalty": 0.1} | options)
    targets = free_targets(conv)[:2] if attack.targeted else None
    labels = np.array([1, 0, 2], np.int32)
    result = attack(
        conv, IMAGES, targets, MASK, labels=None if targets else labels, palette=PALETTE if attack.nps else None
    )
    for index, target in enumerate(targets or [None]):
        key = 0 if target is None else target + 1
        start = tf.random.stateless_uniform((SIZE, SIZE, 3), seed=(attack.seed, key))
        rows, end = reference(attack, conv, start, labels if target is None else [target] * 3)
        for name in ("loss", "adversarial", "norm", "nps", "tv"):
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
    result = RP2(steps=4, seed=seed, learning_rate=learning_rate, penalty=penalty)(linear, IMAGES, TARGETS, mask)
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
    together = attack(linear, IMAGES, targets, MASK)
    for index, target in enumerate(targets):
        alone = attack(linear, IMAGES, target, MASK)
        np.testing.assert_allclose(together.perturbation[index], alone.perturbation[0], atol=1e-4)
        np.testing.assert_allclose(together.history["loss"][:, index], alone.history["loss"][:, 0], rtol=1e-4)
        assert together.best_step[index] == alone.best_step[0]


@given(order=st.permutations(range(3)))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_the_order_of_the_images_does_not_matter(order: list[int]) -> None:
    attack = RP2(steps=5)
    one, other = attack(linear, IMAGES, TARGETS, MASK), attack(linear, IMAGES[order], TARGETS, MASK)
    np.testing.assert_allclose(one.perturbation, other.perturbation, atol=1e-4)
    np.testing.assert_allclose(one.history["loss"], other.history["loss"], rtol=1e-4)
    np.testing.assert_array_equal(one.history["success"], other.history["success"])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_start() -> None:
    first, again, other = (RP2(steps=5, seed=seed)(linear, IMAGES, TARGETS, MASK) for seed in (3, 3, 4))
    assert first.perturbation.tobytes() == again.perturbation.tobytes()
    assert first.best_perturbation.tobytes() == again.best_perturbation.tobytes()
    for name, values in first.history.items():
        assert values.tobytes() == again.history[name].tobytes()
    assert not np.isclose(first.history["loss"][0], other.history["loss"][0], rtol=1e-3).any()


def test_a_negative_seed_is_a_seed_too() -> None:
    first, other = (RP2(steps=1, seed=seed)(linear, IMAGES, TARGETS, MASK) for seed in (-1, 1))
    assert np.isfinite(first.perturbation).all()
    assert not np.allclose(first.perturbation, other.perturbation)


# --- contract -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result() -> AttackResult:
    return RP2(steps=12, learning_rate=0.3, penalty=0.1)(linear, IMAGES, TARGETS, MASK)


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
    assert set(result.history) == {"loss", "adversarial", "norm", "nps", "tv", "success", "target_reached"}
    for values in result.history.values():
        assert values.shape == (13, count)
        assert values.dtype == np.float32
    attacked = result.apply(IMAGES)
    assert attacked.shape == (count, 3, SIZE, SIZE, 3)
    assert attacked.dtype == np.float32


def test_the_loss_is_the_sum_of_its_terms() -> None:
    attack = RP2(steps=4, penalty=0.3, nps="corrected", nps_weight=0.5, tv_weight=0.2)
    history = attack(linear, IMAGES, TARGETS, MASK, palette=PALETTE).history
    parts = [history[name] for name in ("adversarial", "norm", "nps", "tv")]
    assert all((part > 0).all() for part in parts)
    np.testing.assert_allclose(history["loss"], sum(parts), rtol=1e-5)


def test_row_k_is_measured_after_k_steps(result: AttackResult) -> None:
    for steps in (1, 2, 7, 11):
        shorter = dataclasses.replace(result.attack, steps=steps)(linear, IMAGES, TARGETS, MASK)
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
    attack = RP2(steps=25, learning_rate=1.0, penalty=1.0, targeted=targeted)
    result = attack(linear, IMAGES, TARGETS if targeted else None, MASK)
    score, loss = result.history["target_reached" if targeted else "success"], result.history["loss"]
    assert (result.best_step < 25).any()
    for index, step in enumerate(result.best_step):
        assert score[step, index] == score[:, index].max()
        assert loss[step, index] == loss[score[:, index] == score[:, index].max(), index].min()
        if step == 0:
            continue
        then = dataclasses.replace(attack, steps=int(step))(linear, IMAGES, TARGETS if targeted else None, MASK)
        np.testing.assert_array_equal(result.best_perturbation[index], then.perturbation[index])


def test_apply_can_take_the_best_instead_of_the_last() -> None:
    result = RP2(steps=25, learning_rate=1.0, penalty=1.0)(linear, IMAGES, TARGETS, MASK)
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
    result = RP2(steps=40)(linear, IMAGES, TARGETS, np.ones_like(MASK))
    assert (result.history["adversarial"][-1] < 0.1 * result.history["adversarial"][0]).all()
    np.testing.assert_array_equal(result.history["target_reached"][-1], 1)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_an_untargeted_attack_raises_the_loss_of_the_labels(loss: str) -> None:
    result = RP2(steps=40, targeted=False, loss=loss, initial=(0.0, 0.0, 0.0))(linear, IMAGES, None, MASK)
    assert result.targets is None
    assert "target_reached" not in result.history
    assert result.perturbation.shape == (1, SIZE, SIZE, 3)
    assert (result.history["adversarial"] <= 0).all()  # minus the loss of the labels
    assert result.history["adversarial"][-1, 0] < result.history["adversarial"][0, 0] - 0.3
    assert result.history["success"][0, 0] == 0
    assert result.history["success"][-1, 0] > 0.5


def test_an_untargeted_attack_moves_away_from_the_given_labels_not_from_the_predictions() -> None:
    labels = (CLEAN + 1) % CLASSES
    result = RP2(steps=40, targeted=False, initial=(0.0, 0.0, 0.0))(linear, IMAGES, None, MASK, labels=labels)
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
    attack = RP2(steps=1, learning_rate=1e-9, initial=(0.3, 0.0, 0.0))
    with pytest.warns(UserWarning) as caught:
        result = attack(reddest, images, [1, 2], mask, labels=[0, 0, 0, 0])
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
    attack = RP2(steps=1, learning_rate=1e-9, initial=(0.25, 0.0, -0.25), inverse_mask=0.5)
    attacked = attack(linear, IMAGES, TARGETS, MASK).apply(IMAGES)
    inside = MASK[..., 0] > 0
    np.testing.assert_allclose(attacked[:, :, inside], np.broadcast_to((0.75, 0.5, 0.25), (2, 3, 16, 3)), atol=1e-6)
    np.testing.assert_array_equal(attacked[:, :, ~inside], np.stack([IMAGES[:, ~inside]] * 2))


def test_inverse_mask_is_in_the_graph_too() -> None:
    attack = RP2(steps=2, inverse_mask=0.0)
    result = attack(linear, IMAGES, TARGETS, MASK)
    logits = np.stack([linear(one) for one in result.apply(IMAGES)])
    expected = [
        float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits([target] * 3, logits[index])))
        for index, target in enumerate(TARGETS)
    ]
    np.testing.assert_allclose(result.history["adversarial"][-1], expected, rtol=1e-4)


def test_clips_bound_the_perturbation_and_the_images() -> None:
    attack = RP2(steps=10, learning_rate=1.0, perturbation_clip=(-0.25, 0.125), image_clip=(-0.1, 0.9))
    result = attack(linear, IMAGES, TARGETS, MASK)
    assert (result.perturbation.min(), result.perturbation.max()) == (-0.25, 0.125)
    np.testing.assert_array_equal(result.apply(IMAGES), np.clip(IMAGES + result.perturbation[:, None], -0.1, 0.9))
    listed = dataclasses.replace(attack, perturbation_clip=[-0.25, 0.125], image_clip=[-0.1, 0.9])  # as from JSON
    np.testing.assert_array_equal(listed(linear, IMAGES, TARGETS, MASK).perturbation, result.perturbation)


def test_without_clips_nothing_is_clipped() -> None:
    attack = RP2(steps=2, learning_rate=30.0, perturbation_clip=None, image_clip=None)
    result = attack(linear, IMAGES, TARGETS, MASK)
    assert np.abs(result.perturbation).max() > 20
    np.testing.assert_array_equal(result.apply(IMAGES), IMAGES + result.perturbation[:, None])


def test_several_masks_act_as_their_union_each_with_its_palette() -> None:
    upper, lower = MASK.copy(), MASK.copy()
    upper[4:], lower[:4] = 0, 0
    palettes = [PALETTE[:1], PALETTE[1:]]
    attack = RP2(steps=3, nps="corrected", nps_weight=2.0)
    both = attack(linear, IMAGES, TARGETS, [upper, lower], palette=palettes)
    np.testing.assert_array_equal(both.mask, MASK)
    expected = np.zeros(2)
    for mask, palette in zip((upper, lower), palettes, strict=True):
        for index, attacked in enumerate(both.apply(IMAGES)):
            distances = np.linalg.norm(attacked[..., None, :] - palette, axis=-1).prod(axis=-1)
            expected[index] += 2.0 * (mask[..., 0] * distances).sum() / len(IMAGES)
    np.testing.assert_allclose(both.history["nps"][-1], expected, rtol=1e-4)
    swapped = attack(linear, IMAGES, TARGETS, [upper, lower], palette=palettes[::-1])
    assert not np.allclose(both.history["nps"][0], swapped.history["nps"][0], rtol=1e-2)


def test_several_masks_with_the_original_nps_each_count_the_whole_image() -> None:
    upper, lower = MASK.copy(), MASK.copy()
    upper[4:], lower[:4] = 0, 0
    result = RP2(steps=1, nps="original")(linear, IMAGES, TARGETS, [upper, lower], palette=PALETTE)
    expected = np.zeros(2)
    for mask in (upper, lower):
        for index in range(2):
            colours = (mask * result.perturbation[index])[..., None, :]
            expected[index] += np.linalg.norm(colours - PALETTE, axis=-1).prod(axis=-1).sum()
    np.testing.assert_allclose(result.history["nps"][-1], expected, rtol=1e-4)


@pytest.mark.parametrize("inverse_mask", [None, 0.0])
@pytest.mark.parametrize("nps", ["original", "corrected"])
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_every_start_gives_finite_numbers(norm: str, nps: str, inverse_mask: float | None) -> None:
    images = IMAGES.copy()
    images[0] = 0  # here the printed colour is the perturbation itself, so it can meet the palette exactly
    palette = np.concatenate([np.tile(PALETTE, (9, 1)), np.array([[0, 0, 0], [1, 1, 1]], np.float32)])
    assert len(palette) >= 28  # as many as RP2's: a product of that many distances is where float32 ends
    starts = [
        (0.0, 0.0, 0.0),
        tuple(PALETTE[1].tolist()),
        (1.0, 1.0, 1.0),
        (-1.0, -1.0, -1.0),
        (-1.0, 1.0, -1.0),
        "uniform",
    ]
    targets = [t for t in free_targets(linear) if t != int(np.argmax(linear(images[:1])))][:1]
    for initial in starts:
        attack = RP2(steps=3, norm=norm, nps=nps, inverse_mask=inverse_mask, initial=initial)
        result = attack(linear, images, targets, MASK, palette=palette)
        for values in result.history.values():
            assert np.isfinite(values).all()
        assert np.isfinite(result.perturbation).all()
        if initial != "uniform":
            assert result.history["norm"][0, 0] == pytest.approx(
                0.002 * np.linalg.norm((MASK * np.array(initial)).ravel(), ord=1 if norm == "l1" else 2), abs=1e-6
            )


def test_a_loss_that_overflows_is_warned_of_and_is_never_the_best() -> None:
    palette = np.tile(PALETTE, (10, 1))  # a step of 20 away from it, to the 30th power, is beyond float32
    attack = RP2(steps=3, nps="original", learning_rate=20.0, initial=(-1.0, -1.0, -1.0), targeted=False)
    with pytest.warns(UserWarning) as caught:
        result = attack(linear, IMAGES, None, MASK, palette=palette)
    assert [str(one.message) for one in caught] == [
        "The loss became infinite or NaN. Lower `learning_rate` or `nps_weight`, or check the model on [0, 1] images."
    ]
    assert caught[0].filename == __file__
    assert not np.isfinite(result.history["loss"]).all()
    assert np.isfinite(result.best_perturbation).all()


def test_without_a_norm_the_penalty_has_no_effect() -> None:
    one, other = (RP2(steps=3, norm=None, penalty=penalty)(linear, IMAGES, TARGETS, MASK) for penalty in (0.0, 9.0))
    np.testing.assert_array_equal(one.perturbation, other.perturbation)
    np.testing.assert_array_equal(one.history["norm"], 0)


def test_a_repr_shows_every_setting() -> None:
    text = repr(RP2())
    assert all(f"{field.name}=" in text for field in dataclasses.fields(RP2))


# --- graph ----------------------------------------------------------------------------------------------------------


class Counted(keras.Model):
    """A Keras model that counts how often Python runs it, in a graph's trace and outside of one."""

    def __init__(self) -> None:
        super().__init__()
        self.traced = 0
        self.run = 0

    def call(self, images: Any) -> Any:
        if tf.inside_function():
            self.traced += 1
        else:
            self.run += 1
        return linear(images)


def test_other_values_need_no_new_trace() -> None:
    model = Counted()
    first = RP2(steps=2, nps="original", tv_weight=0.1)
    others = [
        first,
        dataclasses.replace(first, seed=1),
        dataclasses.replace(first, penalty=0.5),
        dataclasses.replace(first, learning_rate=0.01),
        dataclasses.replace(first, steps=7),
        dataclasses.replace(first, nps_weight=0.5, tv_weight=0.2),
        dataclasses.replace(first, initial=(0.5, 0.5, 0.5)),
    ]
    results = [attack(model, IMAGES, TARGETS[:1], MASK, palette=PALETTE) for attack in others]
    others_images = IMAGES[::-1] * 0.99 + 0.005
    first(model, others_images, TARGETS[1:2], np.ascontiguousarray(MASK[::-1]), palette=PALETTE[::-1])
    assert (model.traced, model.run) == (1, len(others) + 1)
    # Each value did take effect, so nothing was frozen into the trace.
    for result in results[1:]:
        assert not np.array_equal(result.perturbation, results[0].perturbation)


def test_python_runs_the_model_as_often_for_many_steps_as_for_one() -> None:
    calls = []
    for steps in (1, 200):
        model = Counted()
        RP2(steps=steps)(model, IMAGES, TARGETS, MASK)
        calls.append((model.traced, model.run))
    assert calls == [(1, 1), (1, 1)]


def test_new_weights_of_a_model_take_effect_without_a_new_trace() -> None:
    model = linear_model(WEIGHTS)
    attack = RP2(steps=3)
    before = attack(model, IMAGES, TARGETS, MASK)
    model.set_weights([WEIGHTS[::-1]])
    targets = free_targets(model)[:2]
    after = attack(model, IMAGES, targets, MASK)
    fresh = attack(lambda x: tf.reshape(x, [-1, SIZE * SIZE * 3]) @ WEIGHTS[::-1], IMAGES, targets, MASK)
    np.testing.assert_array_equal(after.perturbation, fresh.perturbation)
    assert not np.array_equal(before.perturbation, after.perturbation)


def test_a_layer_that_was_changed_after_a_trace_is_traced_anew() -> None:
    image = keras.Input((SIZE, SIZE, 3))
    blurred = FixedBlur(3, name="blur")(image)
    model = keras.Model(image, linear(blurred))
    attack = RP2(steps=3)
    attack(model, IMAGES, free_targets(model)[:1], MASK)
    model.get_layer("blur").size = 5
    targets = free_targets(model)[:1]
    changed = attack(model, IMAGES, targets, MASK)
    np.testing.assert_array_equal(changed.perturbation, attack(lambda x: model(x), IMAGES, targets, MASK).perturbation)


def test_a_function_that_refers_to_another_model_by_now_is_traced_anew() -> None:
    weights = WEIGHTS

    def predict(images: Any) -> Any:
        return tf.reshape(images, [-1, SIZE * SIZE * 3]) @ weights

    attack = RP2(steps=3)
    before = attack(predict, IMAGES, TARGETS, MASK)
    weights = WEIGHTS[::-1]
    targets = free_targets(predict)[:2]
    after = attack(predict, IMAGES, targets, MASK)
    fresh = attack(lambda x: tf.reshape(x, [-1, SIZE * SIZE * 3]) @ WEIGHTS[::-1], IMAGES, targets, MASK)
    np.testing.assert_array_equal(after.perturbation, fresh.perturbation)
    assert not np.array_equal(before.perturbation, after.perturbation)


def test_a_palette_without_an_nps_term_is_an_error() -> None:
    sentence = "`palette` must be None when the attack has no NPS term. Received: a palette, with nps=None"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        RP2(steps=1)(linear, IMAGES, TARGETS, MASK, palette=PALETTE)


def test_a_progress_bar_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    attack = RP2(steps=120)
    silent = attack(linear, IMAGES, TARGETS, MASK, progress=False)
    default = attack(linear, IMAGES, TARGETS, MASK)  # the captured output is no terminal
    assert capsys.readouterr().out == ""
    shown = attack(linear, IMAGES, TARGETS, MASK, progress=True)
    assert "121/121" in capsys.readouterr().out
    for other in (default, shown):
        assert other.perturbation.tobytes() == silent.perturbation.tobytes()
        assert other.best_perturbation.tobytes() == silent.best_perturbation.tobytes()
        for name, values in silent.history.items():
            assert other.history[name].tobytes() == values.tobytes()


def test_an_attack_without_a_progress_bar_can_be_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    # Python answers a signal between two calls of the graph only, so there must be many.
    parts = list(rp2._chunks(301, False))
    assert sum(parts) == 301
    assert len(parts) == len(list(rp2._chunks(301, True))) > 40
    assert sum(rp2._chunks(3, False)) == 3
    assert set(rp2._chunks(100_000, False)) == {20}
    assert "301/301" in capsys.readouterr().out


# --- models ---------------------------------------------------------------------------------------------------------


def test_an_exported_model_is_attacked_as_the_model_itself(conv: keras.Model, tmp_path: Path) -> None:
    conv.export(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    attack, targets = RP2(steps=5), free_targets(conv)[:2]
    own = attack(conv, IMAGES, targets, MASK)
    exported = attack(lambda x: loaded.serve(x), IMAGES, targets, MASK)
    np.testing.assert_allclose(exported.perturbation, own.perturbation, atol=1e-4)
    np.testing.assert_allclose(exported.history["loss"], own.history["loss"], rtol=1e-4)
    signature = loaded.signatures["serving_default"]
    named = attack(lambda x: next(iter(signature(x).values())), IMAGES, targets, MASK)
    np.testing.assert_allclose(named.perturbation, own.perturbation, atol=1e-4)


def test_a_model_in_half_precision_is_attacked_in_float32() -> None:
    result = RP2(steps=5)(lambda x: tf.cast(linear(x), tf.bfloat16), IMAGES, TARGETS, MASK)
    exact = RP2(steps=5)(linear, IMAGES, TARGETS, MASK)
    assert result.history["loss"].dtype == np.float32
    np.testing.assert_allclose(result.history["loss"], exact.history["loss"], rtol=0.05)


# --- errors ---------------------------------------------------------------------------------------------------------

BAD_SETTINGS = [
    ({"steps": 0}, "`steps` must be a positive integer. Received: steps=0"),
    ({"steps": 2.5}, "`steps` must be a positive integer. Received: steps=2.5"),
    ({"learning_rate": 0.0}, "`learning_rate` must be a positive number. Received: learning_rate=0.0"),
    ({"learning_rate": math.nan}, "`learning_rate` must be a positive number. Received: learning_rate=nan"),
    ({"epsilon": 0.0}, "`epsilon` must be a positive number. Received: epsilon=0.0"),
    ({"beta_1": 1.0}, "`beta_1` must lie in [0, 1). Received: beta_1=1.0"),
    ({"beta_2": -0.1}, "`beta_2` must lie in [0, 1). Received: beta_2=-0.1"),
    ({"penalty": -1.0}, "`penalty` must be a finite number of at least 0. Received: penalty=-1.0"),
    ({"nps_weight": math.inf}, "`nps_weight` must be a finite number of at least 0. Received: nps_weight=inf"),
    ({"tv_weight": math.nan}, "`tv_weight` must be a finite number of at least 0. Received: tv_weight=nan"),
    ({"norm": "linf"}, "`norm` must be one of 'l2', 'l1', None. Received: norm='linf'"),
    ({"loss": "hinge"}, "`loss` must be one of 'cross_entropy', 'mse'. Received: loss='hinge'"),
    ({"nps": "both"}, "`nps` must be one of None, 'original', 'corrected'. Received: nps='both'"),
    ({"inverse_mask": 127}, "`inverse_mask` must be None or lie in [0, 1]. Received: inverse_mask=127"),
    ({"seed": 1.5}, "`seed` must be an integer of 32 bits. Received: seed=1.5"),
    ({"seed": 2**31}, "`seed` must be an integer of 32 bits. Received: seed=2147483648"),
    ({"penalty": None}, "`penalty` must be a finite number of at least 0. Received: penalty=None"),
    ({"learning_rate": "fast"}, "`learning_rate` must be a positive number. Received: learning_rate='fast'"),
    ({"initial": "normal"}, "`initial` must be 'uniform' or three numbers in [-1, 1]. Received: initial='normal'"),
    ({"initial": (0.5, 0.5)}, "`initial` must be 'uniform' or three numbers in [-1, 1]. Received: initial=(0.5, 0.5)"),
    ({"initial": 0.5}, "`initial` must be 'uniform' or three numbers in [-1, 1]. Received: initial=0.5"),
    ({"initial": (0, 0, 2)}, "`initial` must be 'uniform' or three numbers in [-1, 1]. Received: initial=(0, 0, 2)"),
    (
        {"perturbation_clip": (1.0, -1.0)},
        "`perturbation_clip` must be None or (low, high) with low < high. Received: perturbation_clip=(1.0, -1.0)",
    ),
    (
        {"image_clip": (0.0, 0.5, 1.0)},
        "`image_clip` must be None or (low, high) with low < high. Received: image_clip=(0.0, 0.5, 1.0)",
    ),
]


@pytest.mark.parametrize(("options", "expected"), BAD_SETTINGS, ids=[next(iter(one)) for one, _ in BAD_SETTINGS])
def test_a_bad_setting_is_an_error(options: dict[str, Any], expected: str) -> None:
    assert sentence(lambda: RP2(**options)) == expected


def test_settings_are_frozen_and_named() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RP2().steps = 3
    with pytest.raises(TypeError, match="positional argument"):
        RP2(300)


BAD_CALLS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"images": IMAGES * 255}, "`images` must lie in [0, 1]. Received: values from "),
    ({}, {"images": IMAGES[0]}, "`images` must have the shape (n, H, W, 3) with n > 0. Received: shape=(8, 8, 3)"),
    ({}, {"images": IMAGES[:0]}, "`images` must have the shape (n, H, W, 3) with n > 0. Received: shape=(0, 8, 8, 3)"),
    (
        {},
        {"mask": np.ones((SIZE, 9, 1))},
        "`mask` must have the shape (8, 8, 1), the size of the images, or (masks, 8, 8, 1). Received: shape=(8, 9, 1)",
    ),
    (
        {},
        {"mask": MASK * 255},
        "`mask` must lie in [0, 1]. Received: values from 0 to 255. Divide an 8-bit mask by 255, or read it with "
        "`load_mask`.",
    ),
    ({}, {"mask": [MASK, 0 * MASK]}, "`mask` must be above 0 somewhere. Received: mask 1 of 2 is empty"),
    ({}, {"targets": None}, "`targets` must be a class index or several. Received: targets=None"),
    ({}, {"targets": [CLASSES]}, "`targets` must lie in 0..4, the outputs of the model. Received: [5]"),
    (
        {},
        {"labels": [TARGETS[0]] * 3},
        f"A target must differ from the label of every image. Received: target={TARGETS[0]}, the label of 3 of 3 "
        "images",
    ),
    ({}, {"labels": [0]}, "`labels` must be integers of shape (3,). Received: int64, shape=(1,)"),
    ({}, {"labels": [0, 0, 99]}, "`labels` must lie in 0..4, the outputs of the model. Received: values from 0 to 99"),
    ({"targeted": False}, {}, f"`targets` must be None when targeted=False. Received: targets={TARGETS}"),
    (
        {"nps": "original"},
        {},
        "`palette` must be given when the attack has an NPS term. Received: palette=None",
    ),
    (
        {},
        {"model": lambda x: {"a": linear(x)}},
        "`model` must return one tensor of logits. Received: a dict with the keys a. Pass a function that picks one, "
        "such as `lambda images: model(images)['logits']`.",
    ),
    (
        {},
        {"model": lambda x: tf.nn.softmax(linear(x))},
        "`model` must return logits. Received: probabilities, as if it ended in a softmax, which would flatten the "
        "gradients. Take the softmax off, or pass `lambda images: tf.math.log(model(images) + 1e-12)`.",
    ),
    (
        {},
        {"model": lambda x: linear(x) * np.nan},
        "`model` must return finite logits. Received: NaN or infinity for a clean image",
    ),
    *(
        (
            options,
            {"model": lambda x: tf.stop_gradient(linear(x))},
            "`model` must be differentiable. Received: no gradient from the logits to the images",
        )
        for options in ({}, {"norm": None}, {"tv_weight": 1.0})
    ),
]


@pytest.mark.parametrize(("options", "change", "expected"), BAD_CALLS)
def test_a_bad_call_is_an_error_before_the_first_step(
    options: dict[str, Any], change: dict[str, Any], expected: str
) -> None:
    arguments = {"model": linear, "images": IMAGES, "targets": TARGETS, "mask": MASK} | change
    received = sentence(lambda: RP2(steps=2, **options)(**arguments))
    if expected.endswith("values from "):
        expected += f"{255 * IMAGES.min():g} to {255 * IMAGES.max():g}"
    assert received == expected


def test_a_target_that_the_model_predicts_already_is_warned_of_where_the_attack_is_called() -> None:
    target = int(CLEAN[0])
    count = np.count_nonzero(target == CLEAN)
    with pytest.warns(UserWarning) as caught:
        RP2(steps=1)(linear, IMAGES, target, MASK)
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
    result = RP2(steps=300, penalty=0.002, seed=0)(released["baseline"], images, [12], mask, labels=[STOP] * 40)
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
