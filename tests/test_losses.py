"""The terms of RP2's objective against NumPy and plain loops, with gradients that are finite everywhere."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf.attacks import CrossEntropy, MeanSquaredError, penalties

RNG = np.random.default_rng(7)
LOGITS = RNG.normal(0, 3, (2, 3, 5)).astype(np.float32)
CLASSES = np.array([[0, 4, 2], [1, 1, 3]], np.int32)
PERTURBATION = RNG.uniform(-1, 1, (2, 3, 4, 3)).astype(np.float32)
ADVERSARIAL = RNG.uniform(0, 1, (2, 3, 3, 4, 3)).astype(np.float32)
MASK = np.zeros((3, 4, 1), np.float32)
MASK[0, 1:3] = 1
MASK[2, 3] = 0.5
PALETTE = RNG.uniform(0, 1, (4, 3)).astype(np.float32)


def probabilities(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(-1, keepdims=True)


def pixel_score(colour: Any, palette: Any) -> float:
    """The non-printability score of one pixel, colour by colour."""
    product = 1.0
    for printable in palette:
        product *= math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(colour, printable, strict=True)))
    return product


def gradient(function: Callable[[Any], Any], at: Any) -> tuple[np.ndarray, np.ndarray]:
    x = tf.constant(at, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return value.numpy(), tape.gradient(value, x).numpy()


def test_cross_entropy_is_the_mean_over_the_images_for_each_target() -> None:
    expected = [
        -np.mean([np.log(probabilities(LOGITS[t, i])[CLASSES[t, i]]) for i in range(3)]) for t in range(len(CLASSES))
    ]
    np.testing.assert_allclose(CrossEntropy()(LOGITS, CLASSES), expected, rtol=1e-5)


def test_mse_is_the_root_of_the_sum_over_images_and_classes() -> None:
    expected = [
        math.sqrt(sum(float(np.sum((probabilities(LOGITS[t, i]) - np.eye(5)[CLASSES[t, i]]) ** 2)) for i in range(3)))
        for t in range(len(CLASSES))
    ]
    np.testing.assert_allclose(MeanSquaredError()(LOGITS, CLASSES), expected, rtol=1e-5)


def test_nps_original_is_the_sum_over_all_pixels_of_the_product_over_the_palette() -> None:
    expected = [sum(pixel_score(colour, PALETTE) for colour in one.reshape(-1, 3)) for one in PERTURBATION]
    np.testing.assert_allclose(penalties.nps_original(PERTURBATION, PALETTE), expected, rtol=1e-5)


def test_nps_original_counts_each_pixel_outside_the_mask_as_the_product_of_the_palettes_norms() -> None:
    outside = math.prod(float(np.linalg.norm(colour)) for colour in PALETTE)
    expected = [
        sum(pixel_score(one[y, x], PALETTE) if MASK[y, x, 0] else outside for y in range(3) for x in range(4))
        for one in PERTURBATION
    ]
    binary = (MASK > 0).astype(np.float32)
    np.testing.assert_allclose(penalties.nps_original(binary * PERTURBATION, PALETTE), expected, rtol=1e-5)


def test_nps_corrected_scores_the_printed_colours_inside_the_mask_averaged_over_the_images() -> None:
    expected = []
    for one in ADVERSARIAL:
        scores = [
            sum(MASK[y, x, 0] * pixel_score(image[y, x], PALETTE) for y in range(3) for x in range(4)) for image in one
        ]
        expected.append(sum(scores) / len(scores))
    np.testing.assert_allclose(penalties.nps_corrected(ADVERSARIAL, MASK, PALETTE), expected, rtol=1e-5)


def test_nps_corrected_ignores_what_lies_outside_the_mask() -> None:
    other = np.where(MASK > 0, ADVERSARIAL, 1 - ADVERSARIAL)
    assert not np.array_equal(other, ADVERSARIAL)
    np.testing.assert_array_equal(
        penalties.nps_corrected(other, MASK, PALETTE), penalties.nps_corrected(ADVERSARIAL, MASK, PALETTE)
    )


@pytest.mark.parametrize("nps", ["original", "corrected"])
def test_a_printable_colour_scores_zero(nps: str) -> None:
    colours = np.broadcast_to(PALETTE[2], ADVERSARIAL.shape).astype(np.float32)
    if nps == "original":
        score = penalties.nps_original(colours[:, 0], PALETTE)
    else:
        score = penalties.nps_corrected(colours, MASK, PALETTE)
    np.testing.assert_allclose(score, 0, atol=1e-4)


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "cross_entropy": (lambda x: CrossEntropy()(x, CLASSES), LOGITS),
    "mse": (lambda x: MeanSquaredError()(x, CLASSES), LOGITS),
    "nps_original": (lambda x: penalties.nps_original(x, PALETTE), PERTURBATION),
    "nps_corrected": (lambda x: penalties.nps_corrected(x, MASK, PALETTE), ADVERSARIAL),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_equals_finite_differences(name: str) -> None:
    function, at = FUNCTIONS[name]
    _, exact = gradient(function, at)
    step = 1e-2
    for index in RNG.choice(at.size, 12, replace=False):
        shift = np.zeros(at.size, np.float32)
        shift[index] = step
        shift = shift.reshape(at.shape)
        numeric = (float(tf.reduce_sum(function(at + shift))) - float(tf.reduce_sum(function(at - shift)))) / (2 * step)
        assert exact.ravel()[index] == pytest.approx(numeric, abs=2e-3, rel=1e-2)


@pytest.mark.parametrize("name", ["cross_entropy", "mse"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4, 1e30])
def test_loss_and_gradient_are_finite_for_any_size_of_logits(name: str, scale: float) -> None:
    value, slope = gradient(FUNCTIONS[name][0], LOGITS * np.float32(scale))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


def test_mse_has_a_finite_gradient_where_every_image_is_on_the_target_with_certainty() -> None:
    value, slope = gradient(lambda x: MeanSquaredError()(x, CLASSES), 1e4 * np.eye(5, dtype=np.float32)[CLASSES])
    np.testing.assert_allclose(value, 0, atol=1e-5)
    np.testing.assert_array_equal(slope, np.zeros_like(LOGITS))


@pytest.mark.parametrize("name", ["nps_original", "nps_corrected"])
@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), tuple(PALETTE[0]), (1.0, 1.0, 1.0), (20.0, 20.0, 20.0)])
@pytest.mark.parametrize("palette", [PALETTE, np.zeros((1, 3), np.float32), np.repeat(PALETTE[:1], 30, axis=0)])
def test_nps_and_gradient_are_finite_at_every_colour(
    name: str, colour: tuple[float, float, float], palette: np.ndarray
) -> None:
    if name == "nps_original":
        value, slope = gradient(
            lambda x: penalties.nps_original(x, palette), np.broadcast_to(colour, PERTURBATION.shape)
        )
    else:
        value, slope = gradient(
            lambda x: penalties.nps_corrected(x, MASK, palette),
            np.clip(np.broadcast_to(colour, ADVERSARIAL.shape), 0, 1),
        )
    if name == "nps_original" and colour[0] == 20.0 and len(palette) == 30:
        # 34 to the 30th power is beyond float32; RP2 warns of it.
        assert np.isinf(value).all()
    else:
        assert np.isfinite(value).all()
        assert np.isfinite(slope).all()


def test_nps_gradient_is_zero_at_a_palette_colour_and_points_away_from_it_nearby() -> None:
    at = np.zeros((1, 1, 2, 3), np.float32)
    at[0, 0, 1] = (0.1, 0, 0)
    palette = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    _, slope = gradient(lambda x: penalties.nps_original(x, palette), at)
    np.testing.assert_allclose(slope[0, 0, 0], 0, atol=1e-5)  # the tiny constant under the root leaves a trace
    assert slope[0, 0, 1, 0] > 0
