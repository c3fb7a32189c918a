"""The drawn signs: shapes, colours and lettering."""

from __future__ import annotations

import math

import numpy as np
import pytest

from blurnet_tf.data.drawing import GLYPHS, Canvas, Disc, Plate, Stroke, Text
from blurnet_tf.data.sign_art import SIGNS, draw_sign
from blurnet_tf.signs import CLASS_NAMES, SIGN_NAMES

NAMES = tuple(name for name in CLASS_NAMES if name != "unused")
RED, YELLOW, LIME, WHITE = (190, 22, 38), (252, 198, 12), (204, 232, 26), (246, 246, 244)


def test_every_class_but_the_unused_one_has_a_sign() -> None:
    assert SIGN_NAMES == NAMES
    assert set(SIGNS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_picture_contract(name: str) -> None:
    art = draw_sign(name, 48)
    assert art.shape == (48, 48, 4)
    assert art.dtype == np.uint8
    assert art[0, 0, 3] == art[-1, -1, 3] == 0 or name == "school"
    assert art[24, 24, 3] == 255
    np.testing.assert_array_equal(art, draw_sign(name, 48))


@pytest.mark.parametrize(
    ("name", "colour", "least"),
    [
        *((name, YELLOW, 0.25) for name in ("addedLane", "laneEnds", "merge", "pedestrianCrossing", "turnRight")),
        *((name, YELLOW, 0.2) for name in ("signalAhead", "stopAhead")),
        *((name, WHITE, 0.25) for name in ("keepRight", "speedLimit25", "speedLimit45")),
        ("school", LIME, 0.4),
        ("schoolSpeedLimit25", WHITE, 0.2),
        ("schoolSpeedLimit25", LIME, 0.03),
        ("stop", RED, 0.5),
        ("stopAhead", RED, 0.07),
        ("yield", RED, 0.25),
    ],
)
def test_colours(name: str, colour: tuple[int, int, int], least: float) -> None:
    art = draw_sign(name, 96)
    share = ((art[..., :3] == colour).all(axis=-1) & (art[..., 3] == 255)).mean()
    assert share >= least


def test_stop_is_a_regular_octagon() -> None:
    cover = draw_sign("stop", 128)[..., 3] / 255
    side = 0.99  # the octagon reaches to half a percent of the canvas
    assert cover.mean() == pytest.approx(2 * (math.sqrt(2) - 1) * side**2, abs=0.01)
    np.testing.assert_allclose(cover, cover.T, atol=0.3)
    np.testing.assert_allclose(cover, cover[::-1], atol=0.3)


def test_stop_keeps_its_word_in_the_middle_third() -> None:
    art = draw_sign("stop", 96)
    # the white border stays outside a smaller octagon: look at the middle columns only
    white_rows = np.flatnonzero((art[8:88, 24:72, 1] > 128).any(axis=1)) + 8
    assert 96 * 0.31 <= white_rows.min() < white_rows.max() <= 96 * 0.69


def test_speed_limits_differ_in_their_numbers_only() -> None:
    arts = [draw_sign(f"speedLimit{number}", 96) for number in ("25", "30", "35", "45")]
    for i, first in enumerate(arts):
        for second in arts[:i]:
            different = (first != second).any(axis=(1, 2))
            assert not different[:46].any()
            assert different[46:].sum() > 20


def test_unreadable_speed_limit_has_no_sharp_edge_where_the_number_stands() -> None:
    def steepest(name: str) -> int:
        number = draw_sign(name, 96)[50:88, 20:76, 0].astype(int)
        return int(abs(np.diff(number, axis=1)).max())

    assert steepest("speedLimitUrdbl") < 20
    assert steepest("speedLimit30") > 150


def test_the_alphabet_covers_every_word() -> None:
    words = [
        mark.word for plates in SIGNS.values() for plate in plates for mark in plate.marks if isinstance(mark, Text)
    ]
    assert {"STOP", "YIELD", "SPEED", "LIMIT", "SCHOOL", "45"} <= set(words)
    assert set("".join(words)) <= set(GLYPHS)


def test_a_word_fills_its_box() -> None:
    white, black = (255, 255, 255), (0, 0, 0)
    canvas = Canvas(100)
    square = ((0, 0), (100, 0), (100, 100), (0, 100))
    canvas.plate(Plate(outline=square, corner=0, bands=((0, white),), marks=(Text("HEH", (20, 30, 80, 60), 5, black),)))
    rows, columns = np.nonzero(canvas.rgba()[..., 0] < 128)
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (20, 80, 30, 60)


def test_strokes_end_flat_and_discs_are_round() -> None:
    canvas = Canvas(100)
    canvas.mark(Stroke(((20, 50), (80, 50)), 10, (9, 9, 9)))
    drawn = canvas.pixels[..., 0] == 9
    assert drawn.mean() == pytest.approx(0.6 * 0.1, abs=0.002)
    canvas = Canvas(100)
    canvas.mark(Disc((50, 50), 20, (9, 9, 9)))
    assert (canvas.pixels[..., 0] == 9).mean() == pytest.approx(math.pi * 0.04, abs=0.003)


def test_rounding_takes_the_corners_off() -> None:
    square = ((10, 10), (90, 10), (90, 90), (10, 90))

    def area(corner: float) -> float:
        canvas = Canvas(64)
        canvas.plate(Plate(outline=square, corner=corner, bands=((0, WHITE),), marks=()))
        return float((canvas.cover > 0).mean())

    assert area(0) == pytest.approx(0.64, abs=0.01)
    assert area(0) - area(20) == pytest.approx((4 - math.pi) * 0.04, abs=0.005)


def test_edge_pixels_keep_the_colour_of_the_edge() -> None:
    art = draw_sign("yield", 96)
    partial = (art[..., 3] > 0) & (art[..., 3] < 255)
    assert partial.any()
    assert art[partial][:, 0].min() >= 190  # white or red, never mixed with the black around the sign


@pytest.mark.parametrize("name", ["unused", "Stop", ""])
def test_unknown_name(name: str) -> None:
    with pytest.raises(ValueError, match="`name` must be") as caught:
        draw_sign(name)
    assert str(caught.value) == f"`name` must be one of {', '.join(NAMES)}. Received: name={name!r}"


@pytest.mark.parametrize("size", [4, 0, -32, 20.5, True])
def test_bad_size(size: int) -> None:
    with pytest.raises(ValueError, match="`size` must be") as caught:
        draw_sign("stop", size)
    assert str(caught.value) == f"`size` must be an integer of at least 16. Received: size={size!r}"
