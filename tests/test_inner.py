"""Attacks inside a training step: against a plain loop in NumPy, CleverHans, and the same attack by its contract."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent
from numpy.typing import NDArray

from blurnet_tf.attacks import NPS, RP2, GradientAttack, LowFrequency, Paint, Palette, TotalVariation, from_config
from blurnet_tf.attacks.inner import check_inner, worsen

Array = NDArray[np.float32]
SIZE, CLASSES, N, HIDDEN = 8, 4, 5, 12
RNG = np.random.default_rng(7)
IMAGES = RNG.uniform(0, 1, (N, SIZE, SIZE, 3)).astype(np.float32)
LABELS = np.array([0, 3, 1, 2, 1], np.int32)
FIRST = (RNG.normal(size=(SIZE * SIZE * 3, HIDDEN)) / 5).astype(np.float32)
LAST = RNG.normal(size=(HIDDEN, CLASSES)).astype(np.float32)
PAINT = RNG.uniform(0, 1, IMAGES.shape).astype(np.float32)
MASKS = np.zeros((N, SIZE, SIZE, 1), np.float32)  # another one on each image
for index, mask in enumerate(MASKS):
    mask[index % 3 : index % 3 + 3, index : index + 3] = 1
    mask[6:, :2] = index % 2
EVERYWHERE = np.ones_like(MASKS)

PER_IMAGE = RP2(steps=5, learning_rate=0.07, optimizer="sign", basis="paint", norm=None, sharing="per_image")
SHARED = dataclasses.replace(PER_IMAGE, sharing="shared")


def model(images: Any) -> Any:
    return tf.tanh(tf.reshape(images, [-1, SIZE * SIZE * 3]) @ FIRST) @ LAST


def slope(images: NDArray[Any], labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """The gradient of the cross-entropy of each image, written out in float64."""
    hidden = np.tanh(images.astype(np.float64).reshape(len(images), -1) @ FIRST)
    logits = hidden @ LAST
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = probabilities - np.eye(CLASSES)[labels]
    return ((error @ LAST.T * (1 - hidden**2)) @ FIRST.T).reshape(images.shape)


def by_hand(
    masks: Array, paint: Array, *, steps: int, length: float, reach: float | None = None, shared: bool = False
) -> NDArray[np.float64]:
    """Steps along the sign of the gradient in the colours of the stickers, one after the other."""
    images = IMAGES.astype(np.float64)
    low, high = (0.0, 1.0) if reach is None else (np.maximum(images - reach, 0), np.minimum(images + reach, 1))
    colours = np.clip(paint.astype(np.float64), low, high)
    for _ in range(steps):
        gradient = masks * slope(np.where(masks > 0, colours, images), LABELS)
        if shared:
            gradient = gradient.mean(axis=0, keepdims=True)
        colours = np.clip(colours + length * np.sign(gradient), low, high)
    return np.where(masks > 0, colours, images)


def worse(attack: RP2, masks: Array, paint: Array, reach: float | None = None, images: Array = IMAGES) -> Array:
    labels = LABELS[: len(images)]
    return worsen(
        attack, model, tf.constant(images), tf.constant(labels), masks=masks, paint=paint, reach=reach, seed=0
    ).numpy()  # fmt: skip


def losses(images: Any) -> Array:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, model(tf.cast(images, tf.float32))).numpy()


@pytest.mark.parametrize("reach", [None, 0.1])
@pytest.mark.parametrize("masks", [MASKS, MASKS[:1], EVERYWHERE], ids=["each its own", "one for all", "everywhere"])
def test_sign_steps_on_each_image_are_those_of_a_plain_loop(masks: Array, reach: float | None) -> None:
    found = worse(PER_IMAGE, masks, PAINT, reach)
    np.testing.assert_allclose(found, by_hand(masks, PAINT, steps=5, length=0.07, reach=reach), atol=1e-5)
    start = by_hand(masks, PAINT, steps=0, length=0, reach=reach)
    assert (losses(found) > 1.2 * losses(start)).all()


@pytest.mark.parametrize("steps", [1, 6])
def test_within_a_reach_it_is_the_projected_gradient_descent_of_cleverhans(steps: int) -> None:
    theirs = projected_gradient_descent(
        model, IMAGES, 0.1, 0.03, steps, np.inf, clip_min=0.0, clip_max=1.0, y=LABELS, rand_init=False
    )
    attack = dataclasses.replace(PER_IMAGE, steps=steps, learning_rate=0.03)
    ours = worse(attack, EVERYWHERE, IMAGES, reach=0.1)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.abs(ours - IMAGES).max() == pytest.approx(min(0.1, 0.03 * steps), rel=1e-4)


@pytest.mark.parametrize("steps", [1, 5])
def test_the_steps_of_a_shared_sticker_follow_the_mean_over_the_images(steps: int) -> None:
    masks, paint = MASKS[1:2], PAINT[:1]
    found = worse(dataclasses.replace(SHARED, steps=steps), masks, paint)
    np.testing.assert_allclose(found, by_hand(masks, paint, steps=steps, length=0.07, shared=True), atol=1e-5)
    inside = masks[0, ..., 0] > 0
    for image in found:
        np.testing.assert_allclose(image[inside], found[0][inside], atol=1e-6)
    assert losses(found).mean() > losses(by_hand(masks, paint, steps=0, length=0)).mean() + 0.01 * steps


@pytest.mark.parametrize("optimizer", ["sign", "adam"])
@pytest.mark.parametrize("attack", [PER_IMAGE, SHARED], ids=["per image", "shared"])
def test_nothing_changes_outside_the_masks_and_no_colour_leaves_the_range(attack: RP2, optimizer: str) -> None:
    masks, paint = (MASKS[:1], PAINT[:1]) if attack == SHARED else (MASKS, PAINT)
    found = worse(dataclasses.replace(attack, optimizer=optimizer, learning_rate=0.6), masks, paint)
    outside = np.broadcast_to(masks == 0, IMAGES.shape)
    np.testing.assert_array_equal(found[outside], IMAGES[outside])
    assert (found.min(), found.max()) == (0, 1)  # steps this long do reach the ends
    assert np.abs(found - IMAGES)[~outside].mean() > 0.2


def test_paint_outside_the_range_or_the_reach_is_brought_in_before_the_first_step() -> None:
    wild = (3 * PAINT - 1).astype(np.float32)
    for reach in (None, 0.1):
        expected = by_hand(MASKS, wild, steps=5, length=0.07, reach=reach)
        np.testing.assert_allclose(worse(PER_IMAGE, MASKS, wild, reach), expected, atol=1e-5)


def test_one_graph_serves_any_number_of_images() -> None:
    traced = []
    alone, together = (dataclasses.replace(attack, steps=2) for attack in (PER_IMAGE, SHARED))
    images, masks = tf.TensorSpec([None, SIZE, SIZE, 3]), tf.TensorSpec([None, SIZE, SIZE, 1])

    @tf.function(input_signature=[images, tf.TensorSpec([None], tf.int32), masks, images])
    def in_graph(images: Any, labels: Any, masks: Any, paint: Any) -> Any:
        traced.append(1)
        return (
            worsen(alone, model, images, labels, masks=masks, paint=paint, reach=0.3, seed=0),
            worsen(together, model, images, labels, masks=masks[:1], paint=paint[:1], seed=0),
        )

    for n in (2, 5):
        found = in_graph(IMAGES[:n], LABELS[:n], MASKS[:n], PAINT[:n])
        np.testing.assert_allclose(found[0], worse(alone, MASKS[:n], PAINT[:n], 0.3, IMAGES[:n]), atol=1e-5)
        np.testing.assert_allclose(found[1], worse(together, MASKS[:1], PAINT[:1], None, IMAGES[:n]), atol=1e-5)
    assert len(traced) == 1


@pytest.mark.parametrize("optimizer", ["sign", "adam"])
@pytest.mark.parametrize("attack", [PER_IMAGE, SHARED], ids=["per image", "shared"])
def test_the_same_attack_by_its_contract_finds_the_same(attack: RP2, optimizer: str) -> None:
    attack = dataclasses.replace(attack, start="white", optimizer=optimizer)
    mask = MASKS[2]
    result = attack(model, IMAGES, labels=LABELS, mask=mask)
    white = np.ones((1 if attack.sharing == SHARED.sharing else N, SIZE, SIZE, 3), np.float32)
    found = worse(attack, mask[None], white)
    np.testing.assert_allclose(found, result.apply(IMAGES)[0], atol=1e-5)
    assert np.abs(found - np.where(mask > 0, 1, IMAGES)).max() > 0.2


def test_the_loss_is_that_of_the_attack() -> None:
    margin = dataclasses.replace(PER_IMAGE, loss="margin", steps=1)
    logits = model(IMAGES).numpy()
    leads = logits.argmax(axis=1) == LABELS
    assert set(leads) == {False, True}
    change = np.abs(worse(margin, EVERYWHERE, IMAGES) - IMAGES).max(axis=(1, 2, 3))
    np.testing.assert_allclose(change, np.where(leads, 0.07, 0), atol=1e-6)  # nothing pulls where the class has lost


# --- RP2 with sign steps, by its contract --------------------------------------------------------------------------


def test_sign_steps_of_rp2_are_those_of_a_plain_loop_with_its_norm_and_its_target() -> None:
    attack = RP2(steps=6, learning_rate=0.05, optimizer="sign", penalty=0.3, start="random_colour")
    mask = MASKS[3]
    target = int(np.setdiff1d(np.arange(CLASSES), np.argmax(model(IMAGES), axis=1))[0])
    result = attack(model, IMAGES, targets=[target], mask=mask)
    d = tf.broadcast_to(tf.random.stateless_uniform((1, 1, 1, 3), (0, target + 1), -1.0), (1, SIZE, SIZE, 3))
    rows = []
    for _ in range(7):
        with tf.GradientTape() as tape:
            tape.watch(d)
            logits = model(tf.clip_by_value(IMAGES + mask * d, 0.0, 1.0))
            entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits([target] * N, logits))
            loss = entropy + 0.3 * tf.sqrt(tf.reduce_sum(tf.square(mask * d)) + 1e-12)
        rows.append(float(loss))
        before, d = d, d - 0.05 * tf.sign(tape.gradient(loss, d))
    np.testing.assert_allclose(result.history["loss"][:, 0], rows, rtol=1e-4)
    np.testing.assert_allclose(result.perturbation[0], mask * before[0], atol=1e-5)
    assert rows[-1] < rows[0] - 0.1


def test_a_sign_step_moves_every_pixel_of_the_mask_by_its_length() -> None:
    attack = dataclasses.replace(PER_IMAGE, start="uniform", steps=1)
    colours = attack(model, IMAGES, labels=LABELS, mask=MASKS[3]).apply(IMAGES)[0]
    start = tf.random.stateless_uniform(IMAGES.shape, (attack.seed, 0)).numpy()
    inside = (MASKS[3] > 0) & (start > 0.07) & (start < 0.93)
    np.testing.assert_allclose(np.abs(colours - start)[inside], 0.07, atol=1e-5)


def test_adam_is_the_optimizer_unless_another_one_is_named() -> None:
    assert RP2().optimizer == "adam"


@pytest.mark.parametrize("optimizer", ["Adam", "sgd", "", None, ["sign"]])
def test_another_optimizer_is_an_error(optimizer: Any) -> None:
    with pytest.raises(ValueError, match=r"^`optimizer` must be one of 'adam', 'sign'\. Received: optimizer="):
        RP2(optimizer=optimizer)


def test_the_optimizer_comes_back_from_json_and_settings_from_before_mean_adam() -> None:
    config = json.loads(json.dumps(PER_IMAGE.to_config()))
    assert from_config(config) == PER_IMAGE != dataclasses.replace(PER_IMAGE, optimizer="adam")
    del config["optimizer"]
    assert from_config(config) == dataclasses.replace(PER_IMAGE, optimizer="adam")


# --- which attacks a training step can make -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    [PER_IMAGE, SHARED, dataclasses.replace(SHARED, optimizer="adam", loss="margin", basis=Paint(), restarts=3)],
)
def test_opaque_stickers_without_norm_and_penalties_will_do(attack: RP2) -> None:
    check_inner(attack)


@pytest.mark.parametrize(
    "attack",
    [
        RP2(),
        RP2(norm=None),
        RP2(basis="paint"),
        RP2(basis="paint", norm="l1"),
        RP2(basis="paint", norm=None, penalties=(TotalVariation(weight=0.1),)),
        RP2(basis="paint", norm=None, penalties=(NPS(PAINT[0, 0]),)),
        RP2(basis="paint", norm=None, gradient="spsa"),
        RP2(basis=LowFrequency(4), norm=None),
        RP2(basis=Palette(PAINT[0, 0]), norm=None),
    ],
)
def test_other_stickers_are_an_error(attack: RP2) -> None:
    with pytest.raises(
        ValueError, match=r"^`attack` must have basis='paint', norm=None, no penalties and gradient='exact'"
    ):
        check_inner(attack)


@pytest.mark.parametrize("attack", [GradientAttack(), "sign", None])
def test_what_is_no_rp2_is_an_error(attack: Any) -> None:
    with pytest.raises(ValueError, match=r"^`attack` must be an RP2\. Received: attack="):
        check_inner(attack)
