"""The gradient attacks stay in their ball, in range and inside the mask, and do lower the accuracy."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf.attacks import batches
from blurnet_tf.attacks.digital import METHODS, NORMS, GradientAttack

SIZE, CLASSES = 8, 3
RNG = np.random.default_rng(2)
WEIGHTS = RNG.normal(size=(SIZE * SIZE * 3, CLASSES)).astype(np.float32)
IMAGES = RNG.uniform(0, 1, (6, SIZE, SIZE, 3)).astype(np.float32)
IMAGES[:, 0] = 0  # with colours at both ends of the range, so that clipping has something to do
IMAGES[:, 1] = 1
MASK = np.zeros((SIZE, SIZE, 1), np.float32)
MASK[:5, 2:6] = 1


def linear(images: Any) -> Any:
    return tf.reshape(images, [-1, SIZE * SIZE * 3]) @ WEIGHTS


def adversarial_of(attack: GradientAttack, model: Any, images: np.ndarray = IMAGES, **how: Any) -> np.ndarray:
    """The adversarial images, (runs, n, H, W, 3)."""
    return attack(model, images, **how).apply(images)


LABELS = np.argmax(IMAGES.reshape(6, -1) @ WEIGHTS, axis=1)


@pytest.fixture(scope="module")
def conv() -> keras.Model:
    keras.utils.set_random_seed(3)
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu")(image)
    return keras.Model(image, keras.layers.Dense(CLASSES)(keras.layers.Flatten()(x)))


def loss_of(model: Any, images: np.ndarray, classes: Any) -> np.ndarray:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(classes, model(tf.constant(images))).numpy()


def sentence(call: Callable[[], Any]) -> str:
    """The whole sentence of the ValueError that a call raises."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the callers compare the whole sentence
        call()
    return str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", METHODS)
def test_images_stay_in_the_ball_in_range_and_inside_the_mask(
    conv: keras.Model, method: str, norm: str, mask: np.ndarray | None
) -> None:
    epsilon = 0.1 if norm == "linf" else 0.9
    attack = GradientAttack(method=method, norm=norm, epsilon=epsilon, step_size=epsilon / 3, steps=5)
    labels = np.argmax(conv(IMAGES), axis=1)
    adversarial = adversarial_of(attack, conv, mask=mask, labels=labels)
    assert adversarial.shape == (1, *IMAGES.shape)
    assert adversarial.dtype == np.float32
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    change = (adversarial[0] - IMAGES).reshape(6, -1)
    lengths = np.linalg.norm(change, ord=np.inf if norm == "linf" else 2, axis=1)
    assert lengths.max() <= epsilon * (1 + 1e-5)
    assert lengths.min() > 0.3 * epsilon
    if mask is not None:
        outside = mask[..., 0] == 0
        np.testing.assert_array_equal(adversarial[0][:, outside], IMAGES[:, outside])
    assert (loss_of(conv, adversarial[0], labels) > loss_of(conv, IMAGES, labels)).all()


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", METHODS)
def test_a_targeted_attack_lowers_the_loss_of_each_target(conv: keras.Model, method: str, norm: str) -> None:
    targets = sorted(set(range(CLASSES)) - set(np.argmax(conv(IMAGES[:1]), axis=1).tolist()))
    epsilon = 0.1 if norm == "linf" else 0.9
    attack = GradientAttack(method=method, norm=norm, epsilon=epsilon, step_size=epsilon / 4, steps=6)
    together = adversarial_of(attack, conv, IMAGES[:1], targets=targets)
    assert together.shape == (len(targets), 1, SIZE, SIZE, 3)
    for index, target in enumerate(targets):
        assert loss_of(conv, together[index], [target])[0] < loss_of(conv, IMAGES[:1], [target])[0] - 0.05
        alone = adversarial_of(attack, conv, IMAGES[:1], targets=target)
        np.testing.assert_array_equal(alone[0], together[index])


@pytest.mark.parametrize("method", METHODS)
def test_the_attack_takes_the_accuracy_of_a_linear_model_down(method: str) -> None:
    attack = GradientAttack(method=method, epsilon=0.3, step_size=0.05, steps=10)
    adversarial = adversarial_of(attack, linear, labels=LABELS)
    predictions = np.argmax(linear(adversarial[0]), axis=1)
    assert np.mean(predictions == LABELS) == 0


def two_classes(images: Any) -> Any:
    """A model whose gradient is the same everywhere up to a positive factor: the weights' difference."""
    return tf.reshape(images, [-1, SIZE * SIZE * 3]) @ WEIGHTS[:, :2]


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_fgm_is_one_step_along_the_gradient(norm: str, targeted: bool) -> None:
    images = np.full((1, SIZE, SIZE, 3), 0.5, np.float32)
    label = int(np.argmax(two_classes(images)[0]))
    away = (WEIGHTS[:, 1 - label] - WEIGHTS[:, label]).reshape(SIZE, SIZE, 3)
    expected = images[0] + 0.02 * (np.sign(away) if norm == "linf" else away / np.linalg.norm(away))
    attack = GradientAttack(method="fgm", norm=norm, epsilon=0.02)
    adversarial = adversarial_of(attack, two_classes, images, targets=1 - label if targeted else None)
    np.testing.assert_allclose(adversarial[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("method", ["bim", "mim"])
def test_iterated_steps_add_up_until_the_ball_ends(method: str) -> None:
    images = np.full((1, SIZE, SIZE, 3), 0.5, np.float32)
    label = int(np.argmax(two_classes(images)[0]))
    away = np.sign(WEIGHTS[:, 1 - label] - WEIGHTS[:, label]).reshape(SIZE, SIZE, 3)
    for steps, length in ((1, 0.02), (3, 0.06), (9, 0.1)):
        attack = GradientAttack(method=method, epsilon=0.1, step_size=0.02, steps=steps)
        np.testing.assert_allclose(
            adversarial_of(attack, two_classes, images)[0, 0], images[0] + length * away, atol=1e-6
        )


def test_the_model_sees_the_clean_image_outside_the_mask(conv: keras.Model) -> None:
    seen = []

    def model(images: Any) -> Any:
        if tf.executing_eagerly():
            seen.append(images.numpy())
        return conv(images)

    tf.config.run_functions_eagerly(True)
    try:
        GradientAttack(steps=3)(model, IMAGES, mask=MASK)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(seen) == 4  # the clean images, then one for each step
    outside = MASK[..., 0] == 0
    for images in seen:
        np.testing.assert_array_equal(images[:, outside], IMAGES[:, outside])
    assert not np.array_equal(seen[0], seen[-1])


def test_a_mask_of_parts_moves_a_pixel_by_its_part() -> None:
    images = np.full((1, SIZE, SIZE, 3), 0.5, np.float32)
    whole = adversarial_of(GradientAttack(method="fgm", epsilon=0.1), two_classes, images, mask=MASK)
    half = adversarial_of(GradientAttack(method="fgm", epsilon=0.1), two_classes, images, mask=MASK / 2)
    np.testing.assert_allclose(half - images, (whole - images) / 2, atol=1e-6)


def test_several_masks_act_as_their_union(conv: keras.Model) -> None:
    first, second = MASK.copy(), MASK.copy()
    first[:2], second[2:] = 0, 0
    attack = GradientAttack(steps=2)
    both, union = (adversarial_of(attack, conv, mask=mask) for mask in ([first, second], MASK))
    np.testing.assert_array_equal(both, union)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_same_attack_twice_gives_the_same_bytes(conv: keras.Model, method: str) -> None:
    attack = GradientAttack(method=method)
    assert adversarial_of(attack, conv).tobytes() == adversarial_of(attack, conv).tobytes()


def test_labels_default_to_the_predictions_and_given_ones_are_used() -> None:
    attack = GradientAttack(method="fgm", epsilon=0.05)
    np.testing.assert_array_equal(adversarial_of(attack, linear), adversarial_of(attack, linear, labels=LABELS))
    other = (LABELS + 1) % CLASSES
    moved = adversarial_of(attack, linear, labels=other)[0]
    assert (loss_of(linear, moved, other) > loss_of(linear, IMAGES, other)).all()


def test_a_ball_wider_than_the_range_is_the_whole_range() -> None:
    adversarial = adversarial_of(GradientAttack(epsilon=2.0, step_size=1.5, steps=2), linear)
    assert (adversarial.min(), adversarial.max()) == (0, 1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", METHODS)
def test_a_vanishing_gradient_gives_finite_images(method: str, norm: str) -> None:
    adversarial = adversarial_of(GradientAttack(method=method, norm=norm), lambda x: 0 * linear(x))
    if method != "pgd":  # it stays at its random start
        np.testing.assert_allclose(adversarial[0], IMAGES, atol=1e-6)
    assert np.abs(adversarial[0] - IMAGES).max() <= 8 / 255 + 1e-6


GREY = np.full((50, SIZE, SIZE, 3), 0.5, np.float32)


def flat(images: Any) -> Any:
    """A model without a preference: nothing but the start moves an image."""
    return 0 * linear(images)


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("norm", NORMS)
def test_pgd_starts_anywhere_in_the_ball_of_the_masked_pixels(norm: str, mask: np.ndarray | None) -> None:
    epsilon = 0.4
    change = (
        adversarial_of(GradientAttack(method="pgd", norm=norm, epsilon=epsilon, steps=1), flat, GREY, mask=mask)[0]
        - GREY
    )
    inside = change[:, np.ones((SIZE, SIZE), bool) if mask is None else mask[..., 0] > 0].reshape(len(GREY), -1)
    if norm == "linf":
        assert 0.99 * epsilon < np.abs(inside).max() <= epsilon * (1 + 1e-6)
        assert inside.std() == pytest.approx(epsilon / 3**0.5, rel=0.05)  # uniform
    else:  # of many dimensions, so that nearly all of the ball lies at its surface
        lengths = np.linalg.norm(inside, axis=1)
        assert 0.9 * epsilon < lengths.min() <= lengths.max() <= epsilon * (1 + 1e-5)
    assert abs(inside.mean()) < 0.05 * epsilon


def test_pgd_with_the_widest_ball_paints_the_mask_with_any_colour() -> None:
    attack = GradientAttack(method="pgd", epsilon=1.0, step_size=0.25, steps=4)
    adversarial = adversarial_of(attack, two_classes, mask=MASK)[0]
    away = WEIGHTS[:, 0] - WEIGHTS[:, 1]
    signs = np.where(np.argmax(two_classes(IMAGES), axis=1)[:, None] == 1, away, -away).reshape(IMAGES.shape)
    inside = MASK[..., 0] > 0
    np.testing.assert_array_equal(adversarial[:, inside], (signs > 0)[:, inside])


@pytest.mark.slow
def test_pgd_is_of_its_seed_alone_and_leaves_the_global_generator_alone(conv: keras.Model) -> None:
    attack = GradientAttack(method="pgd", seed=3)
    found = []
    for global_seed in (1, 2):
        tf.random.set_seed(global_seed)
        expected = [tf.random.uniform([3]).numpy() for _ in range(2)]
        tf.random.set_seed(global_seed)
        drawn = [tf.random.uniform([3]).numpy()]
        found += [adversarial_of(attack, conv).tobytes() for _ in range(2)]
        drawn.append(tf.random.uniform([3]).numpy())
        np.testing.assert_array_equal(drawn, expected)
    assert len(set(found)) == 1
    assert adversarial_of(GradientAttack(method="pgd", seed=4), conv).tobytes() != found[0]


def test_pgd_starts_each_target_and_each_image_elsewhere() -> None:
    labels = np.zeros(len(GREY), np.int32)
    attack = GradientAttack(method="pgd", steps=1)
    forth, back = (adversarial_of(attack, flat, GREY, targets=targets, labels=labels) for targets in ([1, 2], [2, 1]))
    np.testing.assert_array_equal(forth, back[::-1])
    assert len(np.unique(forth.reshape(2 * len(GREY), -1), axis=0)) == 2 * len(GREY)


@pytest.mark.parametrize("targets", [None, [1, 2]], ids=["untargeted", "targeted"])
def test_small_batches_find_the_same(monkeypatch: pytest.MonkeyPatch, targets: list[int] | None) -> None:
    images, seen = IMAGES[LABELS == 0][:2], []
    attack = GradientAttack(method="mim", steps=2)
    whole = attack(linear, images, targets=targets, mask=MASK)
    monkeypatch.setattr(batches, "MOST_PIXELS", SIZE * SIZE)

    def watched(images: Any) -> Any:
        seen.append(len(images))
        return linear(images)

    parts = attack(watched, images, targets=targets, mask=MASK)
    np.testing.assert_allclose(parts.perturbation, whole.perturbation, atol=1e-6)
    assert parts.best_step.tolist() == whole.best_step.tolist()
    assert (len(images), set(seen)) == (2, {1})


def test_pgd_starts_each_batch_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    attack = GradientAttack(method="pgd", steps=1)
    first = adversarial_of(attack, flat, GREY[:20])[0]
    monkeypatch.setattr(batches, "MOST_PIXELS", 20 * SIZE * SIZE)
    found = adversarial_of(attack, flat, GREY)[0]
    np.testing.assert_array_equal(found[:20], first)
    assert len(np.unique(found.reshape(len(GREY), -1), axis=0)) == len(GREY)


BAD_SETTINGS = [
    ({"method": "cw"}, "`method` must be one of 'fgm', 'bim', 'mim', 'pgd'. Received: method='cw'"),
    ({"norm": "l1"}, "`norm` must be one of 'linf', 'l2'. Received: norm='l1'"),
    ({"epsilon": 0.0}, "`epsilon` must be a positive number. Received: epsilon=0.0"),
    ({"epsilon": float("nan")}, "`epsilon` must be a positive number. Received: epsilon=nan"),
    ({"epsilon": float("inf")}, "`epsilon` must be a positive number. Received: epsilon=inf"),
    ({"step_size": 0.0}, f"`step_size` must lie above 0 and not above epsilon={8 / 255}. Received: step_size=0.0"),
    (
        {"epsilon": 0.1, "step_size": 0.2},
        "`step_size` must lie above 0 and not above epsilon=0.1. Received: step_size=0.2",
    ),
    ({"steps": 0}, "`steps` must be an integer of at least 1. Received: steps=0"),
    ({"steps": 2.5}, "`steps` must be an integer of at least 1. Received: steps=2.5"),
    ({"seed": 2**31}, "`seed` must be an integer of 32 bits. Received: seed=2147483648"),
]


@pytest.mark.parametrize(("options", "expected"), BAD_SETTINGS)
def test_a_bad_setting_is_an_error(options: dict[str, Any], expected: str) -> None:
    assert sentence(lambda: GradientAttack(**options)) == expected


def test_one_step_needs_no_step_size() -> None:
    assert GradientAttack(method="fgm", epsilon=1 / 255).epsilon == 1 / 255
