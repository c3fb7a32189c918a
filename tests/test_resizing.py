"""The triangle filter against Pillow, byte for byte, and what it must keep."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL import __version__ as pillow_version

from blurnet_tf.data.resizing import height_first, resize

sides = st.integers(1, 200)


@settings(max_examples=150, deadline=None)
@given(height=sides, width=sides, size=st.sampled_from([1, 7, 32, 33]), seed=st.integers(0, 2**32 - 1))
def test_the_bytes_are_those_of_pillow(height: int, width: int, size: int, seed: int) -> None:
    assume(int(pillow_version.split(".")[0]) >= 13 or not height_first(height, width, size))
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    if seed % 2:  # only black and white: where rounding up could pass 255
        image = np.where(image > 127, np.uint8(255), np.uint8(0))
    expected = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(image, size), expected)


@settings(max_examples=50, deadline=None)
@given(height=sides, width=sides, value=st.integers(0, 255))
def test_a_constant_image_stays_what_it_is(height: int, width: int, value: int) -> None:
    result = resize(np.full((height, width, 3), value, np.uint8))
    assert result.shape == (32, 32, 3)
    assert result.dtype == np.uint8
    assert (result == value).all()


def test_an_image_of_the_right_size_stays_what_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(resize(image), image)


@pytest.mark.parametrize(
    ("image", "received"),
    [
        (np.zeros((4, 4, 3)), "float64, shape=(4, 4, 3)"),
        (np.zeros((4, 4), np.uint8), "uint8, shape=(4, 4)"),
        (np.zeros((0, 4, 3), np.uint8), "uint8, shape=(0, 4, 3)"),
    ],
)
def test_what_is_no_image_is_an_error(image: np.ndarray, received: str) -> None:
    sentence = f"`image` must be uint8 with the shape (H, W, channels), not empty. Received: {received}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        resize(image)


@pytest.mark.parametrize("size", [0, -1, True, 2.5])
def test_a_size_is_a_positive_integer(size: int) -> None:
    sentence = f"`size` must be an integer of at least 1. Received: size={size!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        resize(np.zeros((4, 4, 3), np.uint8), size)
