"""The resizing in the graph, against Pillow itself."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL import __version__ as pillow_version

from blurnet_tf.data import folder, lisa_official
from blurnet_tf.export import resize

SIDES = st.integers(1, 150)
SIZE = (32, 32)
in_graph = tf.function(
    lambda images: resize(images, SIZE), input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)]
)


def difference(image: NDArray[np.uint8]) -> int:
    """The largest difference to Pillow, in levels of 255."""
    result = in_graph(image[None]).numpy()[0]
    assert result.dtype == np.uint8
    return int(np.abs(result.astype(int) - folder.resize(image)).max())


# Before Pillow 13 the two directions of some narrow crops came in the other order.
LIMIT = 0 if int(pillow_version.split(".")[0]) >= 13 else 1


@settings(deadline=None, max_examples=60)
@given(height=SIDES, width=SIDES, two_levels=st.booleans(), seed=st.integers(0, 2**32 - 1))
@example(height=32, width=32, two_levels=False, seed=0)
@example(height=1, width=1, two_levels=False, seed=0)
@example(height=149, width=20, two_levels=True, seed=0)  # the height first
@example(height=20, width=149, two_levels=True, seed=0)
def test_noise_gives_the_bytes_of_pillow(height: int, width: int, two_levels: bool, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert difference((image // 128 * 255).astype(np.uint8) if two_levels else image) <= LIMIT


@pytest.mark.parametrize("size", [(48, 20), (20, 48), (1, 7)])
def test_any_size_gives_the_bytes_of_pillow(size: tuple[int, int]) -> None:
    for seed, (height, width) in enumerate([(90, 31), (31, 90), (20, 20), (150, 149)]):
        image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        assert np.abs(resize(image[None], size)[0].numpy().astype(int) - expected).max() <= LIMIT


def test_an_image_of_32_pixels_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(in_graph(image), image)


def test_the_images_of_a_batch_do_not_meet() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 50, 21, 3), dtype=np.uint8)
    alone = np.concatenate([resize(image[None], SIZE) for image in images])
    np.testing.assert_array_equal(in_graph(images), alone)


def test_white_stays_white() -> None:
    for side in range(1, 80):
        assert (np.asarray(in_graph(np.full((1, side, 200 - side, 3), 255, np.uint8))) == 255).all()


@pytest.mark.parametrize("shape", [(1, 0, 5, 3), (1, 5, 0, 3)])
def test_images_without_pixels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="`images` must have pixels"):
        in_graph(np.zeros(shape, np.uint8))


@pytest.mark.realdata
def test_the_crops_of_lisa_are_the_prepared_ones(lisa_sample: Path) -> None:
    prepared, _ = lisa_official.read_official(lisa_sample)
    rows = [line.split(";") for line in (lisa_sample / "allAnnotations.csv").read_text().splitlines()[1:]]
    assert len(rows) == len(prepared) == 151
    off = 0
    for fields, image in zip(rows, prepared.images, strict=True):
        x0, y0, x1, y1 = map(int, fields[2:6])
        crop = cv2.imread(str(lisa_sample / fields[0]))[y0:y1, x0:x1, ::-1]
        off = max(off, int(np.abs(in_graph(crop[None]).numpy()[0].astype(int) - image).max()))
    assert off <= LIMIT
