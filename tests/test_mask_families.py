"""Families of masks have exactly the asked area, grow in place, and stay on the sign."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurnet_tf.attacks.mask_families import bars, scattered
from blurnet_tf.attacks.masks import draw_octagon, regions

AREAS = [10, 20, 30, 48, 72, 96, 144]
OCTAGON = draw_octagon() > 0


@pytest.mark.parametrize("family", [bars, scattered])
def test_the_area_is_exact_and_masks_are_nested_on_the_sign(family: Any) -> None:
    masks = [family(area) for area in AREAS]
    for area, mask in zip(AREAS, masks, strict=True):
        assert (mask.shape, mask.dtype, mask.sum()) == ((32, 32, 1), np.float32, area)
        assert set(np.unique(mask)) == {0, 1}
        assert OCTAGON[mask[..., 0] > 0].all()
    for smaller, larger in pairwise(masks):
        assert (smaller <= larger).all()


@pytest.mark.parametrize(("area", "thickness"), [(24, 1), (48, 2), (72, 3), (96, 4), (144, 6)])
def test_whole_bars_are_twelve_wide_rectangles_mirrored_above_and_below_the_word(area: int, thickness: int) -> None:
    mask = bars(area)
    upper, lower = regions(mask)
    assert upper[0::2] == lower[0::2] == (10, 22)
    assert upper[3] - upper[1] == lower[3] - lower[1] == thickness
    np.testing.assert_array_equal(mask, mask[::-1])
    assert abs(upper[1] + upper[3] - 16) <= 1  # round the line above row 8
    if thickness <= 4:
        assert upper[3] <= 10  # the word STOP is in the rows 10 to 21
        assert lower[1] >= 22


@given(area=st.integers(2, 384))
@settings(max_examples=60, deadline=None)
def test_bars_of_any_area_differ_by_a_pixel_at_most(area: int) -> None:
    mask = bars(area)[..., 0]
    assert mask.sum() == area
    assert mask[:16].sum() - mask[16:].sum() == area % 2
    upper = (area + 1) // 2
    assert (mask[:16].sum(axis=1) > 0).sum() == (upper + 11) // 12  # no row is begun before one is full


@given(area=st.integers(5, 844), stickers=st.integers(1, 5), seed=st.integers(-(2**31), 2**31 - 1))
@settings(max_examples=40, deadline=None)
def test_scattered_stickers_of_any_area(area: int, stickers: int, seed: int) -> None:
    mask = scattered(area, stickers=stickers, seed=seed)
    assert mask.sum() == area
    assert OCTAGON[mask[..., 0] > 0].all()
    assert 1 <= len(regions(mask)) <= stickers
    assert (mask <= scattered(min(area + 7, 844), stickers=stickers, seed=seed)).all()


def test_scattered_stickers_are_apart_rectangles_and_spread() -> None:
    for stickers in (3, 5, 8):
        boxes = regions(scattered(6 * stickers, stickers=stickers))
        assert len(boxes) == stickers
        for left, top, right, bottom in boxes:
            assert sorted((right - left, bottom - top)) == [2, 3]
        middles = np.array([((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in boxes])
        distances = np.linalg.norm(middles[:, None] - middles, axis=-1)[~np.eye(stickers, dtype=bool)]
        assert distances.min() > 30 / (stickers + 1)
    whole = scattered(844)
    np.testing.assert_array_equal(whole[..., 0], OCTAGON)
    assert scattered(30, seed=1).tobytes() == scattered(30, seed=1).tobytes() != scattered(30, seed=2).tobytes()


@pytest.mark.parametrize("scale", [2, 7])
def test_masks_of_other_sizes_cover_the_same_share(scale: int) -> None:
    size = (32 * scale, 32 * scale)
    for area in (24, 48, 96, 144):
        enlarged = bars(area).repeat(scale, axis=0).repeat(scale, axis=1)
        if area > 24:  # a single row lies off the middle line, where a larger image has a finer one
            np.testing.assert_array_equal(bars(area, size), enlarged)
        assert bars(area, size).sum() == scattered(area, size).sum() == area * scale**2
    tall = scattered(48, (64, 32))
    assert (tall.shape, tall.sum()) == ((64, 32, 1), 96)
    assert bars(48, (64, 32)).sum() == 96
    assert draw_octagon(299)[scattered(844, (299, 299))[..., 0] > 0].all()


@pytest.mark.parametrize(
    ("call", "phrase"),
    [
        (lambda: bars(1), "`area` must be an integer of at least 2. Received: area=1"),
        (lambda: bars(24.0), "`area` must be an integer of at least 2"),
        (lambda: bars(385), "`area` must be at most 384"),
        (lambda: bars(10, (8, 8)), "Received: area=10 of 32x32, 1 of 8x8"),
        (lambda: scattered(4), "`area` must be an integer of at least 5"),
        (lambda: scattered(845), "`area` must be at most 844, all of the octagon. Received: area=845"),
        (lambda: scattered(30, (15, 32)), "`size` must be at least 16 each. Received: size=(15, 32)"),
        (lambda: scattered(5, (16, 16)), "Received: area=5 of 32x32, 1 of 16x16"),
        (lambda: scattered(30, stickers=0), "`stickers` must be an integer of at least 1"),
        (lambda: scattered(800, stickers=790), "`stickers` must be at most"),
        (lambda: scattered(30, seed=0.5), "`seed` must be an integer of 32 bits"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(call: Any, phrase: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
        call()
    assert phrase in str(error.value)
