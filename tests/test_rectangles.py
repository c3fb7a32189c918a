"""Random stickers: how many, how large, where, of which colours, and always the same for the same seed."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.attacks import from_config
from blurnet_tf.training import Rectangles

Array = NDArray[np.float32]
ONE = {"count": (1, 1), "short": (2, 4), "long": (6, 9)}


def draw(
    n: int = 1, size: tuple[int, int] = (32, 32), seed: tuple[int, int] = (0, 1), **settings: Any
) -> tuple[Array, Array]:
    masks, paint = Rectangles(**settings).draw(n, size, seed)
    return masks.numpy(), paint.numpy()


def box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """First row, first column, height and width of the smallest box around what is true."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


@pytest.fixture(scope="module")
def alone() -> tuple[Array, Array]:
    """One sticker on each of many images, half of them of noise."""
    return draw(2000, **ONE)


def colours_of(mask: Array, paint: Array) -> Array:
    """The different colours on an image."""
    return np.unique(paint[mask[..., 0] > 0], axis=0)


def test_masks_are_0_or_1_and_colours_lie_in_the_range() -> None:
    masks, paint = draw(50)
    assert (masks.shape, masks.dtype) == ((50, 32, 32, 1), np.float32)
    assert (paint.shape, paint.dtype) == ((50, 32, 32, 3), np.float32)
    assert set(np.unique(masks)) == {0, 1}
    assert 0 <= paint.min() < 0.01 < 0.99 < paint.max() <= 1


def test_one_sticker_is_a_full_rectangle_of_the_allowed_sides_both_upright_and_not(alone: tuple[Array, Array]) -> None:
    sizes = set()
    for mask in alone[0][..., 0] > 0:
        top, left, height, width = box_of(mask)
        assert mask[top : top + height, left : left + width].all()
        sizes.add((int(height), int(width)))
    flat = {(short, long) for short in (2, 3, 4) for long in (6, 7, 8, 9)}
    assert sizes == flat | {(height, width) for width, height in flat}


def test_all_sides_and_both_directions_are_as_likely(alone: tuple[Array, Array]) -> None:
    sizes = [box_of(mask)[2:] for mask in alone[0][..., 0] > 0]
    shares = [
        np.mean([height > width for height, width in sizes]),
        *(np.mean([min(one) == short for one in sizes]) * 3 / 2 for short in (2, 3, 4)),
        *(np.mean([max(one) == long for one in sizes]) * 4 / 2 for long in (6, 7, 8, 9)),
    ]
    np.testing.assert_allclose(shares, 0.5, atol=0.08)


def test_a_sticker_is_anywhere_on_the_image_up_to_its_edges(alone: tuple[Array, Array]) -> None:
    boxes = [box_of(mask) for mask in alone[0][..., 0] > 0]
    for first, length in ((0, 2), (1, 3)):
        for side in (2, 7):
            places = {int(box[first]) for box in boxes if box[length] == side}
            assert places == set(range(32 - side + 1))
    tops, lefts, *_ = np.transpose(boxes)
    assert abs(np.corrcoef(tops, lefts)[0, 1]) < 0.08


@pytest.mark.parametrize("count", [(1, 1), (2, 4), (5, 5)])
def test_there_are_as_many_stickers_as_was_asked_for(count: tuple[int, int]) -> None:
    # of one pixel of 32, and of one colour each, on a large image: seldom does one hide another
    masks, paint = draw(300, (96, 96), count=count, short=(1, 1), long=(1, 1), noise=0.0)
    seen = [len(colours_of(*one)) for one in zip(masks, paint, strict=True)]
    least, most = count
    shares = [np.mean([one == number for one in seen]) for number in range(least, most + 1)]
    assert max(seen) == most
    assert sum(shares) > 0.97
    np.testing.assert_allclose(shares, 1 / len(shares), atol=0.1)


def test_without_noise_a_sticker_has_one_colour_of_its_own() -> None:
    masks, paint = draw(200, noise=0.0, **ONE)
    colours = np.concatenate([colours_of(*one) for one in zip(masks, paint, strict=True)])
    assert len(colours) == len(np.unique(colours, axis=0)) == 200
    np.testing.assert_allclose(colours.mean(axis=0), 0.5, atol=0.08)
    np.testing.assert_allclose(colours.std(axis=0), 12**-0.5, atol=0.05)


def test_with_noise_alone_every_pixel_has_a_colour_of_its_own() -> None:
    masks, paint = draw(50, noise=1.0)
    colours = paint[masks[..., 0] > 0]
    assert len(np.unique(colours, axis=0)) == len(colours)
    np.testing.assert_allclose(colours.mean(axis=0), 0.5, atol=0.05)
    np.testing.assert_allclose(np.corrcoef(colours.T), np.eye(3), atol=0.1)


@pytest.mark.parametrize("noise", [0.25, 0.5])
def test_the_share_of_noise_is_that_of_stickers(noise: float) -> None:
    masks, paint = draw(800, noise=noise, **ONE)
    speckled = [len(colours_of(*one)) > 1 for one in zip(masks, paint, strict=True)]
    assert np.mean(speckled) == pytest.approx(noise, abs=0.06)


def test_where_stickers_overlap_one_lies_on_top_whole() -> None:
    masks, paint = draw(200, count=(3, 3), short=(6, 6), long=(12, 12), noise=0.0)
    overlaps = 0
    for mask, colours in zip(masks[..., 0] > 0, paint, strict=True):
        parts = [mask & (colours == colour).all(axis=-1) for colour in np.unique(colours[mask], axis=0)]
        assert len(parts) <= 3
        assert any(part.sum() == 72 and np.prod(box_of(part)[2:]) == 72 for part in parts)
        assert all(set(box_of(part)[2:]) <= set(range(13)) for part in parts)
        overlaps += mask.sum() < 3 * 72
    assert overlaps > 50


def test_the_same_seed_gives_the_same_draw_and_another_seed_another() -> None:
    first, again = draw(20, seed=(3, 4)), draw(20, seed=(3, 4))
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for seed in ((3, 5), (4, 4), (4, 3)):
        for ours, theirs in zip(first, draw(20, seed=seed), strict=True):
            assert not np.array_equal(ours, theirs)


def test_each_image_has_a_draw_of_its_own() -> None:
    masks, paint = draw(40)
    assert len({mask.tobytes() for mask in masks}) == 40
    assert len({one.tobytes() for one in paint}) == 40


@pytest.mark.parametrize(("size", "scale"), [((64, 64), (2, 2)), ((32, 96), (1, 3)), ((16, 32), (0.5, 1))])
def test_stickers_are_as_large_as_the_image_is(size: tuple[int, int], scale: tuple[float, float]) -> None:
    masks, paint = draw(300, size, count=(1, 1), short=(2, 2), long=(8, 8))
    assert masks.shape == (300, *size, 1)
    assert paint.shape == (300, *size, 3)
    down, across = scale
    assert {tuple(map(int, box_of(mask)[2:])) for mask in masks[..., 0] > 0} == {
        (round(2 * down), round(8 * across)),
        (round(8 * down), round(2 * across)),
    }


def test_a_sticker_has_a_pixel_at_least_and_may_be_the_whole_image() -> None:
    masks, _ = draw(20, (8, 8), count=(1, 1), short=(1, 1), long=(1, 1))
    np.testing.assert_array_equal(masks.sum(axis=(1, 2, 3)), 1)
    for size in ((32, 32), (20, 50)):
        masks, _ = draw(5, size, count=(1, 1), short=(32, 32), long=(32, 32))
        np.testing.assert_array_equal(masks, 1)


def test_a_graph_draws_the_same_for_any_number_of_images() -> None:
    traced = []

    @tf.function(input_signature=[tf.TensorSpec([None, 24, 32, 3]), tf.TensorSpec([2], tf.int32)])
    def drawn(images: Any, seed: Any) -> Any:
        traced.append(1)
        return Rectangles().draw(tf.shape(images)[0], (24, 32), seed)

    for n in (1, 5):
        in_graph, outside = drawn(np.zeros((n, 24, 32, 3), np.float32), (7, n)), draw(n, (24, 32), (7, n))
        for ours, theirs in zip(in_graph, outside, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len(traced) == 1


@pytest.mark.parametrize(
    ("settings", "phrase"),
    [
        ({"count": 2}, "`count` must be the least and the most. Received: count=2"),
        ({"short": (1, 2, 3)}, "`short` must be the least and the most. Received: short=(1, 2, 3)"),
        ({"count": (0, 2)}, "`count` must be an integer of at least 1. Received: count=0"),
        ({"count": (3, 2)}, "`count` must be an integer of at least 3. Received: count=2"),
        ({"count": (1, 2.5)}, "`count` must be an integer of at least 1. Received: count=2.5"),
        ({"short": (0, 2)}, "`short` must be an integer of at least 1. Received: short=0"),
        ({"long": (5, 4)}, "`long` must be an integer of at least 5. Received: long=4"),
        ({"long": (5, 33)}, "`long` must be at most 32 pixels. Received: long=(5, 33)"),
        ({"short": (5, 40)}, "`short` must be at most 32 pixels. Received: short=(5, 40)"),
        ({"noise": 1.5}, "`noise` must be a share, at most 1. Received: noise=1.5"),
        ({"noise": -0.1}, "`noise` must be a finite number of at least 0. Received: noise=-0.1"),
        ({"noise": float("nan")}, "`noise` must be a finite number of at least 0. Received: noise=nan"),
    ],
)
def test_a_bad_setting_is_an_error(settings: dict[str, Any], phrase: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(phrase)}"):
        Rectangles(**settings)


@pytest.mark.parametrize("settings", [{}, {"count": [2, 40], "short": [1, 1], "long": [32, 32], "noise": 0}])
def test_the_settings_come_back_from_json(settings: dict[str, Any]) -> None:
    rectangles = Rectangles(**settings)
    config = json.loads(json.dumps(rectangles.to_config()))
    assert config["kind"] == "Rectangles"
    again = from_config(config)
    assert again == rectangles
    assert hash(again) == hash(rectangles)
    assert again != Rectangles(count=(7, 7))
