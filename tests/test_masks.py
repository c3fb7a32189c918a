"""Masks and palettes are read right, bad files are named, and the project's own are what they say."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from blurnet_tf.attacks.masks import (
    BUNDLED,
    STICKERS,
    bundled,
    draw_octagon,
    draw_stickers,
    load_mask,
    load_palette,
    process_ink_palette,
    regions,
)

ROOT = Path(__file__).resolve().parent.parent


def write(path: Path, levels: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), levels)
    return path


@pytest.fixture
def clean_levels() -> np.ndarray:
    levels = np.zeros((6, 9), np.uint8)
    levels[2:4, 3:7] = 255
    return levels


def test_a_clean_grey_mask_is_read_without_a_warning(tmp_path: Path, clean_levels: np.ndarray) -> None:
    mask = load_mask(write(tmp_path / "mask.png", clean_levels))
    assert mask.shape == (6, 9, 1)
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask[..., 0], clean_levels / 255)


def test_the_bundled_files_are_those_of_the_masks_folder() -> None:
    assert sorted(path.name for path in (ROOT / "masks").iterdir()) == ["README.md", *BUNDLED]
    for name in BUNDLED:
        assert bundled(name).read_bytes() == (ROOT / "masks" / name).read_bytes()
    np.testing.assert_array_equal(load_mask(bundled("sticker.png"))[..., 0] * 255, draw_stickers())
    np.testing.assert_array_equal(load_mask(bundled("octagon.png"))[..., 0] * 255, draw_octagon())
    np.testing.assert_allclose(load_palette(bundled("palette.csv")), process_ink_palette(), atol=1e-5)


@pytest.mark.parametrize("name", ["sticker", "README.md", "../py.typed"])
def test_a_file_that_is_not_bundled_is_an_error(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^`name` must be one of .*'stop.png'. Received: name={re.escape(repr(name))}"
    ):
        bundled(name)


def test_a_path_may_be_a_string(tmp_path: Path, clean_levels: np.ndarray) -> None:
    assert load_mask(str(write(tmp_path / "mask.png", clean_levels))).sum() == 8


def test_a_colour_mask_is_inside_where_any_channel_is(tmp_path: Path) -> None:
    levels = np.zeros((4, 4, 3), np.uint8)
    for channel in range(3):
        levels[channel, channel, channel] = 255
    mask = load_mask(write(tmp_path / "mask.png", levels))
    np.testing.assert_array_equal(mask[..., 0], np.diag([1, 1, 1, 0]).astype(np.float32))


def test_levels_above_127_are_inside_and_stray_ones_are_counted(tmp_path: Path, clean_levels: np.ndarray) -> None:
    clean_levels[0, :5] = (1, 2, 127, 128, 254)
    path = write(tmp_path / "mask.png", clean_levels)
    with pytest.warns(UserWarning) as caught:
        mask = load_mask(path)
    assert [str(one.message) for one in caught] == [
        f"Mask {path} has 5 stray pixels, neither 0 nor 255; those above 127 count as inside."
    ]
    assert caught[0].filename == __file__
    assert mask[0, :, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert mask.sum() == 8 + 2
    assert set(np.unique(mask)) == {0, 1}


def test_a_missing_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        load_mask(tmp_path / "none.png")
    assert str(error.value) == f"Mask {tmp_path / 'none.png'} is no file. Give the path of an image."


@pytest.mark.parametrize("kind", ["empty", "text", "cut"])
def test_a_damaged_mask_is_named(tmp_path: Path, clean_levels: np.ndarray, kind: str) -> None:
    path = write(tmp_path / "mask.png", clean_levels)
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"no image", "cut": whole[: len(whole) // 2]}[kind])
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole sentence is compared
        load_mask(path)
    assert str(error.value).startswith(f"Mask {path} must be a readable PNG, JPEG or PPM image. Received: ")


@pytest.mark.parametrize("level", [0, 127])
def test_a_mask_without_a_pixel_inside_is_named(tmp_path: Path, level: int) -> None:
    path = write(tmp_path / "mask.png", np.full((5, 5), level, np.uint8))
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_mask(path)
    assert str(error.value) == f"Mask {path} is empty: no pixel is above 127, so the attack could change nothing."


def test_a_palette_is_read_in_order_without_comments_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "palette.csv"
    path.write_text("# red,green,blue\n0.25,0.5,1\n\n# more\n0, 1e-1 ,0.125\r\n", encoding="utf-8")
    palette = load_palette(path)
    assert palette.dtype == np.float32
    np.testing.assert_array_equal(palette, np.array([[0.25, 0.5, 1], [0, 0.1, 0.125]], np.float32))


def test_a_palette_of_one_colour_keeps_two_axes(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("0,0,0")
    assert load_palette(str(tmp_path / "one.csv")).shape == (1, 3)


def test_a_missing_palette_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        load_palette(tmp_path / "none.csv")
    assert str(error.value) == (
        f"Palette {tmp_path / 'none.csv'} is no file. Give a text file of red,green,blue lines."
    )


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("", "(0,)"),
        ("# nothing\n", "(0,)"),
        ("0.1,0.2\n0.3,0.4\n", "(2, 2)"),
        ("0.1,0.2,0.3,0.4\n", "(1, 4)"),
        ("0.1,0.2,1.01\n", "(1, 3)"),
        ("0.1,0.2,-0.01\n", "(1, 3)"),
        ("0.1,0.2,nan\n", "(1, 3)"),
    ],
)
def test_a_palette_of_another_shape_or_range_is_named(tmp_path: Path, text: str, shape: str) -> None:
    path = tmp_path / "palette.csv"
    path.write_text(text)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_palette(path)
    assert str(error.value) == f"Palette {path} must hold red,green,blue lines in [0, 1]. Received: shape={shape}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"red,green,blue\n", "could not convert string to float: 'red'"),
        (b"0.1,0.2,\n", "could not convert string to float: ''"),
        (b"0.1,0.2,0.3\n0.1,0.2\n", "setting an array element with a sequence"),
        (b"\x89PNG\r\n\x1a\n", "'utf-8' codec can't decode byte 0x89 in position 0: invalid start byte"),
    ],
)
def test_a_palette_that_holds_no_numbers_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "palette.csv"
    path.write_bytes(content)
    sentence = f"Palette {path} must hold three numbers a line, red,green,blue. Received: {reason}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        load_palette(path)


@pytest.mark.parametrize("size", [*range(16, 34), 64, 299])
def test_stickers_are_five_apart_above_and_below_the_word_on_the_face(size: int) -> None:
    stickers = draw_stickers(size)
    assert stickers.shape == (size, size)
    assert stickers.dtype == np.uint8
    assert set(np.unique(stickers)) == {0, 255}
    boxes = regions(stickers[..., None].astype(np.float32))
    assert len(boxes) == len(STICKERS) == 5  # apart, corners included
    for left, top, right, bottom in boxes:
        assert (stickers[top:bottom, left:right] == 255).all()  # a rectangle
        # the word STOP is in the rows 10 to 21 of 32
        assert bottom <= round(10 * size / 32) or top >= round(22 * size / 32)
    assert sum(bottom <= size // 2 for _, _, _, bottom in boxes) == 3
    assert not stickers[draw_octagon(size) == 0].any()


@pytest.mark.parametrize("scale", [1, 2, 7])
def test_stickers_are_6_pixels_each_at_the_models_size_and_grow_with_it(scale: int) -> None:
    stickers = draw_stickers(32 * scale)
    np.testing.assert_array_equal(stickers, draw_stickers().repeat(scale, axis=0).repeat(scale, axis=1))
    assert regions(draw_stickers()[..., None].astype(np.float32)) == STICKERS
    for left, top, right, bottom in STICKERS:
        assert sorted((right - left, bottom - top)) == [2, 3]
    assert np.count_nonzero(stickers) == 30 * scale**2


@pytest.mark.parametrize("size", [16, 17, 31, 32, 33, 64, 299])
def test_octagon_has_the_symmetry_and_area_of_a_regular_one(size: int) -> None:
    octagon = draw_octagon(size)
    assert octagon.shape == (size, size)
    assert octagon.dtype == np.uint8
    assert set(np.unique(octagon)) == {0, 255}
    for other in (octagon.T, octagon[::-1], octagon[:, ::-1]):
        np.testing.assert_array_equal(octagon, other)
    area = np.count_nonzero(octagon)
    assert area == pytest.approx(2 * (2**0.5 - 1) * size**2, rel=1.5 / size)
    assert octagon[0, size // 2] == octagon[size // 2, 0] == 255  # the sides touch the frame
    assert octagon[0, 0] == 0


@pytest.mark.parametrize("draw", [draw_octagon, draw_stickers])
def test_a_mask_too_small_to_draw_is_an_error(draw: object) -> None:
    assert callable(draw)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        draw(15)
    assert str(error.value) == "`size` must be at least 16. Received: size=15"


def test_drawn_masks_survive_a_file(tmp_path: Path) -> None:
    for draw in (draw_octagon, draw_stickers):
        np.testing.assert_array_equal(load_mask(write(tmp_path / "mask.png", draw())), draw()[..., None] / 255)


def test_process_inks_are_30_distinct_colours_with_white_and_nearly_black() -> None:
    palette = process_ink_palette()
    assert palette.shape == (30, 3)
    assert palette.dtype == np.float32
    assert palette.min() >= 0
    assert palette.max() <= 1
    distances = np.linalg.norm(palette[:, None] - palette[None], axis=-1)
    assert distances[~np.eye(30, dtype=bool)].min() > 0.05
    assert (palette == 1).all(axis=1).any()
    assert (palette < 0.15).all(axis=1).any()
    # The inks and overprints themselves: for each of the six corners of the cube one colour is on its side.
    for corner in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]:
        assert ((palette > palette.mean(axis=1, keepdims=True)) == np.array(corner, bool)).all(axis=1).any()


@pytest.mark.realdata
def test_the_released_sticker_mask_has_30_pixels_and_21_stray_ones(rp2_folder: Path) -> None:
    path = rp2_folder / "masks/mask_l1loss_uniform_rectangles.png"
    with pytest.warns(UserWarning) as caught:
        mask = load_mask(path)
    assert [str(one.message) for one in caught] == [
        f"Mask {path} has 21 stray pixels, neither 0 nor 255; those above 127 count as inside."
    ]
    assert mask.sum() == 30


@pytest.mark.realdata
def test_the_released_octagon_and_palette(rp2_folder: Path) -> None:
    assert load_mask(rp2_folder / "masks/octagon.png").sum() == 844
    palette = load_palette(rp2_folder / "npstriplets.txt")
    assert palette.shape == (30, 3)
    assert palette.max() < 1  # it has no white
