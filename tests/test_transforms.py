"""A perturbation lands on images and photographs where it should, and nowhere else."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from blurnet_tf.attacks.transforms import apply_to_photograph, place

RNG = np.random.default_rng(3)
IMAGES = RNG.uniform(0, 1, (3, 4, 5, 3)).astype(np.float32)
PERTURBATIONS = RNG.uniform(-1.5, 1.5, (2, 4, 5, 3)).astype(np.float32)
MASK = np.zeros((4, 5, 1), np.float32)
MASK[1:3, 1:4] = 1
PHOTOGRAPH = RNG.integers(0, 256, (60, 80, 3), dtype=np.uint8)


def test_place_adds_each_perturbation_to_each_image_and_clips() -> None:
    placed = place(IMAGES, PERTURBATIONS).numpy()
    assert placed.shape == (2, 3, 4, 5, 3)
    assert placed.dtype == np.float32
    for t in range(2):
        for i in range(3):
            np.testing.assert_array_equal(placed[t, i], np.clip(IMAGES[i] + PERTURBATIONS[t], 0, 1))


def test_place_clips_to_another_range_or_not_at_all() -> None:
    placed = place(IMAGES, PERTURBATIONS, image_clip=(-0.5, 0.75)).numpy()
    assert (placed.min(), placed.max()) == (-0.5, 0.75)
    np.testing.assert_array_equal(place(IMAGES, PERTURBATIONS, image_clip=None), IMAGES + PERTURBATIONS[:, None])


@pytest.mark.parametrize("setpoint", [0.0, 0.5, 1.0])
def test_inverse_mask_paints_the_images_before_the_perturbation_is_added(setpoint: float) -> None:
    perturbations = MASK * PERTURBATIONS
    placed = place(IMAGES, perturbations, inverse_mask=MASK, setpoint=setpoint).numpy()
    inside = MASK[..., 0] > 0
    for t in range(2):
        painted = np.clip(np.float32(setpoint) + perturbations[t][inside], 0, 1)
        for i in range(3):
            np.testing.assert_array_equal(placed[t, i][inside], painted)
            np.testing.assert_array_equal(placed[t, i][~inside], IMAGES[i][~inside])


def test_inverse_mask_paints_the_whole_pixel_also_where_the_mask_is_partly_open() -> None:
    placed = place(IMAGES, np.zeros_like(PERTURBATIONS), inverse_mask=MASK / 4, setpoint=0.25).numpy()
    np.testing.assert_array_equal(placed, np.stack([np.where(MASK > 0, np.float32(0.25), IMAGES)] * 2))


def test_inverse_mask_paints_with_a_middle_grey_unless_told_otherwise() -> None:
    placed = place(IMAGES, np.zeros_like(PERTURBATIONS), inverse_mask=np.ones_like(MASK)).numpy()
    np.testing.assert_array_equal(placed, np.full((2, 3, 4, 5, 3), 0.5, np.float32))


def test_place_has_a_gradient_only_where_nothing_is_clipped() -> None:
    perturbation = tf.constant(PERTURBATIONS)
    with tf.GradientTape() as tape:
        tape.watch(perturbation)
        total = tf.reduce_sum(place(IMAGES, perturbation))
    unclipped = (IMAGES + PERTURBATIONS[:, None] >= 0) & (IMAGES + PERTURBATIONS[:, None] <= 1)
    np.testing.assert_array_equal(tape.gradient(total, perturbation), unclipped.sum(axis=1).astype(np.float32))


def test_photograph_is_unchanged_bit_for_bit_outside_the_box_and_is_not_written_to() -> None:
    before = PHOTOGRAPH.copy()
    result = apply_to_photograph(PHOTOGRAPH, np.full((4, 4, 3), 0.5, np.float32), box=(10, 20, 50, 45))
    np.testing.assert_array_equal(PHOTOGRAPH, before)
    outside = np.ones((60, 80), bool)
    outside[20:45, 10:50] = False
    np.testing.assert_array_equal(result[outside], before[outside])
    assert (result[20:45, 10:50] != before[20:45, 10:50]).any(axis=2).mean() > 0.9


def test_photograph_is_unchanged_where_the_enlarged_mask_is_zero() -> None:
    perturbation = np.zeros((6, 8, 3), np.float32)
    perturbation[2:4, 3:5] = 0.8
    result = apply_to_photograph(PHOTOGRAPH, perturbation)
    assert result.dtype == np.uint8
    changed = np.argwhere((result != PHOTOGRAPH).any(axis=2))
    # The four coarse pixels cover rows 20..39 and columns 30..49; bilinear enlargement reaches half a pixel further.
    assert (changed.min(axis=0) <= (20, 30)).all()
    assert (changed.max(axis=0) >= (39, 49)).all()
    untouched = np.ones((60, 80), bool)
    untouched[15:45, 25:55] = False
    np.testing.assert_array_equal(result[untouched], PHOTOGRAPH[untouched])


def test_photograph_keeps_its_colours_under_an_empty_perturbation() -> None:
    dull = np.full((30, 30, 3), (90, 100, 110), np.uint8)  # a program that stretches the contrast would change it
    np.testing.assert_array_equal(apply_to_photograph(dull, np.zeros((8, 8, 3), np.float32)), dull)


@given(level=st.integers(-300, 300), rest=st.floats(-0.45, 0.45), value=st.integers(0, 255))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_uniform_perturbation_adds_its_rounded_levels(level: int, rest: float, value: int) -> None:
    amount = np.float32((level + rest) / 255)  # off the ties, where the direction of rounding is open
    photograph = np.full((20, 30, 3), value, np.uint8)
    result = apply_to_photograph(photograph, np.full((4, 4, 3), amount, np.float32), box=(3, 2, 25, 17))
    expected = photograph.copy()
    expected[2:17, 3:25] = min(max(value + level, 0), 255)
    np.testing.assert_array_equal(result, expected)


def test_channels_stay_red_green_blue() -> None:
    perturbation = np.zeros((2, 2, 3), np.float32)
    perturbation[..., 0] = 10 / 255
    perturbation[..., 2] = -20 / 255
    result = apply_to_photograph(np.full((9, 9, 3), 100, np.uint8), perturbation)
    np.testing.assert_array_equal(result, np.full((9, 9, 3), (110, 100, 80), np.uint8))


def test_no_box_is_the_whole_photograph_and_an_array_serves_as_a_box() -> None:
    perturbation = PERTURBATIONS[0]
    whole = apply_to_photograph(PHOTOGRAPH, perturbation)
    np.testing.assert_array_equal(apply_to_photograph(PHOTOGRAPH, perturbation, box=(0, 0, 80, 60)), whole)
    np.testing.assert_array_equal(apply_to_photograph(PHOTOGRAPH, perturbation, box=np.array([0, 0, 80, 60])), whole)


def test_a_perturbation_of_the_boxs_size_is_added_pixel_by_pixel() -> None:
    photograph = np.full((10, 12, 3), 100, np.uint8)
    perturbation = (np.arange(4 * 5 * 3).reshape(4, 5, 3) / 255).astype(np.float32)
    result = apply_to_photograph(photograph, perturbation, box=(6, 3, 11, 7))
    np.testing.assert_array_equal(result[3:7, 6:11], 100 + np.arange(60).reshape(4, 5, 3))


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 81, 60), (0, 0, 80, 61), (5, 5, 5, 9), (9, 5, 4, 9)])
def test_a_box_outside_the_photograph_is_an_error(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole sentence is compared
        apply_to_photograph(PHOTOGRAPH, PERTURBATIONS[0], box=box)
    assert str(error.value) == (
        f"`box` must be (left, top, right, bottom) inside a photograph of 80x60. Received: box={box}"
    )


@pytest.mark.parametrize(
    ("photograph", "received"),
    [
        (PHOTOGRAPH.astype(np.float32), "float32 with shape (60, 80, 3)"),
        (PHOTOGRAPH[..., 0], "uint8 with shape (60, 80)"),
        (PHOTOGRAPH[None], "uint8 with shape (1, 60, 80, 3)"),
        (PHOTOGRAPH[..., :1], "uint8 with shape (60, 80, 1)"),
    ],
)
def test_a_photograph_must_be_8_bit_with_three_channels(photograph: np.ndarray, received: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        apply_to_photograph(photograph, PERTURBATIONS[0])
    assert str(error.value) == f"`photograph` must be uint8 (H, W, 3). Received: {received}"


def test_all_perturbations_of_a_result_at_once_are_an_error() -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        apply_to_photograph(PHOTOGRAPH, PERTURBATIONS)
    assert str(error.value) == "`perturbation` must have the shape (h, w, 3). Received: shape=(2, 4, 5, 3)"
