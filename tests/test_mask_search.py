"""Stickers are put where a model is weak: exactly the asked area, inside the allowed region, in few parts."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from blurnet_tf.attacks import RP2, GradientAttack, MaskSearch, place_stickers
from blurnet_tf.attacks.masks import draw_octagon, regions

OCTAGON = (draw_octagon(16) > 0).astype(np.float32)[..., None]


def check(mask: np.ndarray, allowed: np.ndarray, area: int, stickers: int) -> None:
    assert (mask.shape, mask.dtype, mask.sum()) == (allowed.shape, np.float32, area)
    assert (mask <= (allowed > 0)).all()
    assert 1 <= len(regions(mask)) <= stickers


@given(seed=st.integers(0, 10**6), area=st.integers(1, int(OCTAGON.sum())), stickers=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_stickers_on_an_octagon_cover_the_area_in_few_parts(seed: int, area: int, stickers: int) -> None:
    importance = np.random.default_rng(seed).exponential(size=(16, 16))
    area = max(area, stickers)
    mask = place_stickers(importance, OCTAGON, area=area, stickers=stickers)
    check(mask, OCTAGON, area, stickers)
    assert mask.tobytes() == place_stickers(importance, OCTAGON, area=area, stickers=stickers).tobytes()


@given(allowed=arrays.arrays(bool, (7, 9, 1)), area=st.integers(1, 63), stickers=st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_in_any_region_they_cover_it_or_say_why_not(allowed: np.ndarray, area: int, stickers: int) -> None:
    importance = np.arange(63.0).reshape(7, 9) % 11
    try:
        mask = place_stickers(importance, allowed, area=area, stickers=stickers)
    except ValueError as error:
        reasons = {
            f"an integer of at least {stickers}": area < stickers,
            f"at most {allowed.sum()}, the pixels": area > allowed.sum(),
            "must fit into": area <= allowed.sum() and len(regions(allowed)) > 1,
        }
        assert [reason for reason, holds in reasons.items() if holds and reason in str(error)]  # noqa: PT017
    else:
        check(mask, allowed, area, stickers)


def test_the_best_rectangles_are_found_one_after_the_other() -> None:
    importance = np.full((12, 12), 0.01)
    for rows, columns, worth in ((slice(2, 4), slice(3, 6), 5.0), (slice(8, 11), slice(7, 9), 4.0)):
        importance[rows, columns] = worth
    mask = place_stickers(importance, np.ones((12, 12, 1)), area=12, stickers=2)
    assert regions(mask) == ((3, 2, 6, 4), (7, 8, 9, 11))
    only = place_stickers(importance, np.ones((12, 12, 1)), area=6, stickers=1)
    assert regions(only) == ((3, 2, 6, 4),)
    allowed = np.ones((12, 12, 1))
    allowed[:6] = 0
    assert regions(place_stickers(importance, allowed, area=6, stickers=1)) == ((7, 8, 9, 11),)


def test_equal_places_go_to_the_upper_left_and_long_strips_are_no_stickers() -> None:
    flat = place_stickers(np.zeros((9, 9)), np.ones((9, 9, 1)), area=6, stickers=1)
    assert regions(flat) == ((0, 0, 3, 2),)
    strip = np.zeros((20, 20))
    strip[5] = 1
    (box,) = regions(place_stickers(strip, np.ones((20, 20, 1)), area=16, stickers=1))
    assert (box[2] - box[0], box[3] - box[1]) == (8, 2)


def test_what_rectangles_leave_over_grows_at_the_most_important_edge() -> None:
    importance = np.zeros((9, 9))
    importance[3:5, 3:6], importance[5, 4] = 1, 0.5
    mask = place_stickers(importance, np.ones((9, 9, 1)), area=7, stickers=1)
    np.testing.assert_array_equal(mask[..., 0], importance > 0)
    whole = place_stickers(importance, OCTAGON[:9, :9], area=int(OCTAGON[:9, :9].sum()), stickers=2)
    np.testing.assert_array_equal(whole, OCTAGON[:9, :9])


ONES = np.ones((4, 4, 1))


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ({"area": 17}, "`area` must be at most 16, the pixels where stickers may lie. Received: area=17"),
        ({"area": 1}, "`area` must be an integer of at least 2. Received: area=1"),
        ({"stickers": 0}, "`stickers` must be an integer of at least 1"),
        ({"importance": -ONES[..., 0]}, "`importance` must be (H, W), finite and at least 0"),
        ({"importance": np.full((4, 4), np.nan)}, "finite and at least 0"),
        ({"importance": ONES}, "`importance` must be (H, W)"),
        ({"allowed": np.ones((4, 5, 1))}, "`allowed` must have the shape (4, 4, 1). Received: shape=(4, 5, 1)"),
        ({"allowed": np.indices((4, 4, 1)).sum(axis=0) % 2, "area": 3}, "Allow larger parts, or more stickers"),
    ],
)
def test_stickers_that_cannot_be_placed_are_an_error(arguments: dict[str, Any], phrase: str) -> None:
    good = {"importance": ONES[..., 0], "allowed": ONES, "area": 4, "stickers": 2}
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
        place_stickers(**(good | arguments))
    assert phrase in str(error.value)


# --- the attack -------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(4)
IMAGES = RNG.uniform(0.3, 0.7, (5, 16, 16, 3)).astype(np.float32)
WEIGHTS = np.zeros((16, 16, 3, 4), np.float32)
WEIGHTS[5:7, 6:9] = RNG.normal(size=(2, 3, 3, 4))
WEIGHTS[10:13, 3:5] = RNG.normal(size=(3, 2, 3, 4))
SEARCH = MaskSearch(
    first=RP2(norm="l1", penalty=0.02, steps=60, learning_rate=0.05), final=RP2(steps=20), area=12, stickers=2
)


def two_spots(images: Any) -> Any:
    """A model that looks at two rectangles alone."""
    return tf.einsum("nhwc,hwck->nk", images, WEIGHTS)


@pytest.mark.slow
@pytest.mark.parametrize("targeted", [True, False])
def test_the_search_finds_what_the_model_looks_at(targeted: bool) -> None:
    said = set(np.argmax(two_spots(IMAGES), axis=1).tolist())
    targets = sorted(set(range(4)) - said) if targeted else None
    result = SEARCH(two_spots, IMAGES, targets=targets, mask=OCTAGON)
    assert regions(result.mask) == ((6, 5, 9, 7), (3, 10, 5, 13))
    assert result.attack is SEARCH
    assert result.history["success"].shape == (21, result.runs)
    adversarial = result.apply(IMAGES)
    np.testing.assert_array_equal((adversarial != IMAGES).any(axis=(0, 1, 4)), result.mask[..., 0] > 0)
    alone = SEARCH.final(two_spots, IMAGES, targets=targets, mask=result.mask)
    np.testing.assert_array_equal(alone.perturbation, result.perturbation)


@pytest.mark.slow
def test_the_seed_is_that_of_both_attacks_and_records_see_the_final_penalty() -> None:
    seven = dataclasses.replace(SEARCH, seed=7)
    result = seven(two_spots, IMAGES, mask=OCTAGON)
    alone = dataclasses.replace(SEARCH.final, seed=7)(two_spots, IMAGES, mask=result.mask)
    np.testing.assert_array_equal(alone.perturbation, result.perturbation)
    assert seven.digest == SEARCH.digest
    assert (SEARCH.penalty, MaskSearch(final=GradientAttack()).penalty) == (0.002, 0.0)


@pytest.mark.parametrize(
    ("settings_", "phrase"),
    [
        ({"area": 4}, "`area` must be at least a pixel for each of 5 stickers. Received: area=4"),
        ({"area": 5.0}, "`area` must be an integer"),
        ({"stickers": 0}, "`stickers` must be an integer of at least 1"),
        ({"first": "RP2"}, "`first` must be an Attack. Received: first='RP2'"),
        ({"final": RP2(seed=2)}, "`final` must leave its seed at 0"),
        ({"seed": None}, "`seed` must be an integer of 32 bits"),
    ],
)
def test_a_bad_setting_is_an_error(settings_: dict[str, Any], phrase: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
        MaskSearch(**settings_)
    assert phrase in str(error.value)


def test_an_area_larger_than_the_allowed_region_is_an_error() -> None:
    small = np.zeros((16, 16, 1), np.float32)
    small[4:7, 4:7] = 1
    with pytest.raises(ValueError, match="`area` must be at most 9, the pixels where stickers may lie"):
        SEARCH(two_spots, IMAGES, mask=small)
