"""The filters of the image against Pillow, OpenCV and SciPy, and what an attack, a file and a policy see of them."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from blurnet_tf import lisa_cnn
from blurnet_tf.data import synthetic
from blurnet_tf.defenses import JPEG, BitDepth, MedianFilter
from blurnet_tf.models import INPUT_VARIANTS, VARIANTS

pytestmark = pytest.mark.slow
Array = NDArray[np.float32]
SIGNS = synthetic.test_split(1).images
NOISE = np.random.default_rng(0).random((3, 11, 8, 3)).astype(np.float32)
LEVEL = 1 / 255
FILTERS = [JPEG(30, name="it"), MedianFilter(5, name="it"), BitDepth(2, name="it")]
of_each = pytest.mark.parametrize("layer", FILTERS, ids=lambda layer: type(layer).__name__)


def levels(images: Array) -> NDArray[np.uint8]:
    return np.rint(images * 255).astype(np.uint8)


def by_pillow(images: Array, quality: int) -> NDArray[np.uint8]:
    """Store images as JPEG with colours at full size, and read them again."""
    read = []
    for image in levels(images):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=0)
        read.append(np.asarray(Image.open(file)))
    return np.stack(read)


# --- JPEG -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [1, 10, 30, 50, 75, 95, 100])
@pytest.mark.parametrize("size", [(32, 32), (29, 18), (8, 31), (13, 9)])
def test_jpeg_is_what_libjpeg_stores(size: tuple[int, int], quality: int) -> None:
    images = SIGNS[:, : size[0], : size[1]]
    result = np.asarray(JPEG(quality)(images)) * 255
    np.testing.assert_allclose(result, np.rint(result), atol=1e-3)  # whole levels, as a file has them
    difference = np.abs(result - by_pillow(images, quality))
    assert difference.mean() < 0.6
    if quality <= 75:  # and it is no accident: without the filter they are further apart
        assert difference.mean() < 0.2 * np.abs(levels(images).astype(float) - by_pillow(images, quality)).mean()


def test_a_lower_quality_loses_more_and_the_highest_hardly_anything() -> None:
    lost = [float(np.abs(np.asarray(JPEG(quality)(SIGNS)) - SIGNS).mean()) for quality in (1, 10, 50, 75, 100)]
    assert lost == sorted(lost, reverse=True)
    assert lost[-1] < LEVEL < 5 * LEVEL < lost[0]


def test_a_grey_image_stays_grey_and_in_its_range() -> None:
    grey = np.repeat(SIGNS.mean(axis=-1, keepdims=True), 3, axis=-1)
    extremes = np.rint(NOISE)  # black and white, which the waves overshoot
    result = np.asarray(JPEG(20)(grey))
    np.testing.assert_allclose(result, np.repeat(result[..., :1], 3, axis=-1), atol=1e-6)
    result = np.asarray(JPEG(20)(extremes))
    assert result.min() >= 0
    assert result.max() <= 1


def test_each_image_is_stored_alone() -> None:
    layer = JPEG(40)
    np.testing.assert_array_equal(layer(SIGNS)[2:3], layer(SIGNS[2:3]))


# --- the median -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("images", [SIGNS, NOISE], ids=["signs", "noise"])
def test_the_median_is_scipys_with_mirrored_edges(images: Array, size: int) -> None:
    expected = ndimage.median_filter(images, size=(1, size, size, 1), mode="reflect")  # SciPy's word for mirrored
    np.testing.assert_allclose(MedianFilter(size)(images), expected, atol=1e-6)


@pytest.mark.parametrize("size", [3, 5])
def test_away_from_the_edges_the_median_is_opencvs(size: int) -> None:
    inside = slice(size // 2, -(size // 2)) if size > 3 else slice(None)  # with a margin of 1 their edges are the same
    result = np.asarray(MedianFilter(size)(levels(SIGNS) / np.float32(255)))
    for image, filtered in zip(levels(SIGNS), result, strict=True):
        expected = cv2.medianBlur(image, size)
        np.testing.assert_allclose(filtered[inside, inside] * 255, expected[inside, inside], atol=1e-3)


def test_a_line_of_one_pixel_is_gone_and_an_edge_stays() -> None:
    image = np.zeros((1, 9, 9, 3), np.float32)
    image[:, :, 4:] = 1
    image[:, 2, :4] = 1
    result = np.asarray(MedianFilter(3)(image))
    expected = np.zeros_like(image)
    expected[:, :, 4:] = 1
    # Where the line meets the edge there is a majority of white.
    np.testing.assert_array_equal(np.delete(result, 3, axis=2), np.delete(expected, 3, axis=2))


# --- fewer colours ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", range(1, 9))
def test_the_colours_are_the_nearest_of_so_many_bits(bits: int) -> None:
    palette = np.linspace(0, 1, 2**bits)
    result = np.asarray(BitDepth(bits)(NOISE))
    nearest = palette[np.abs(NOISE[..., None] - palette).argmin(axis=-1)]
    np.testing.assert_allclose(result, nearest, atol=1e-6)
    assert len(np.unique(result.round(5))) == min(2**bits, len(np.unique(nearest)))
    np.testing.assert_allclose(BitDepth(bits)(result), result, atol=1e-6)  # what has few colours keeps them


# --- all of them ------------------------------------------------------------------------------------------------------


@of_each
def test_the_gradient_is_that_of_the_identity(layer: keras.layers.Layer) -> None:
    images = tf.constant(NOISE)
    weights = np.random.default_rng(1).normal(size=NOISE.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        result = layer(images)
        loss = tf.reduce_sum(weights * result)
    assert np.abs(result - images).max() > 0.05
    np.testing.assert_array_equal(tape.gradient(loss, images), weights)


@of_each
def test_a_file_gives_the_same_model(layer: keras.layers.Layer, tmp_path: Path) -> None:
    image = keras.Input((11, 8, 3))
    model = keras.Model(image, keras.layers.Flatten()(type(layer).from_config(layer.get_config())(image)))
    assert model.weights == []
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.get_layer("it")) is type(layer)
    np.testing.assert_array_equal(loaded(NOISE), model(NOISE))
    np.testing.assert_array_equal(model(NOISE), np.reshape(layer(NOISE), (len(NOISE), -1)))


@pytest.mark.parametrize(
    ("layer", "known"),
    [(JPEG(), {"quality": 75}), (JPEG(3), {"quality": 3}), (MedianFilter(), {"size": 3}), (BitDepth(), {"bits": 5})],
)
def test_the_configuration_is_exact_through_keras_and_json(layer: keras.layers.Layer, known: dict[str, int]) -> None:
    config = layer.get_config()
    assert known.items() <= config.items()
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    assert serialized["registered_name"] == f"blurnet_tf>{type(layer).__name__}"
    copy = keras.saving.deserialize_keras_object(serialized)
    assert copy.get_config() == config


@of_each
def test_under_a_mixed_policy_it_computes_in_float32_and_gives_what_the_policy_says(layer: keras.layers.Layer) -> None:
    config = layer.get_config() | {"dtype": "mixed_bfloat16"}
    mixed = type(layer).from_config(config)
    given = tf.cast(SIGNS, tf.bfloat16)
    result = mixed(given)
    assert result.dtype == tf.bfloat16
    expected = tf.cast(layer(tf.cast(given, tf.float32)), tf.bfloat16)
    np.testing.assert_array_equal(tf.cast(result, tf.float32), tf.cast(expected, tf.float32))
    assert layer(SIGNS).dtype == tf.float32


@of_each
def test_any_number_of_images_has_its_shape(layer: keras.layers.Layer) -> None:
    image = keras.Input((9, 13, 3))
    assert layer(image).shape == (None, 9, 13, 3)
    graph = tf.function(layer, input_signature=[tf.TensorSpec((None, 9, 13, 3))])
    for count in (1, 4):
        images = np.random.default_rng(count).random((count, 9, 13, 3)).astype(np.float32)
        # A graph may round a frequency that lies between two steps the other way.
        assert np.abs(graph(images) - layer(images)).mean() < 0.6 * LEVEL


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        *((lambda bits=bits: BitDepth(bits), "`bits` must be an integer of at least 1") for bits in (0, -1, 2.0, True)),
        (lambda: BitDepth(9), "`bits` must be at most 8. Received: bits=9"),
        *((lambda size=size: MedianFilter(size), "`size` must be a positive odd") for size in (0, 2, -3, 3.0, "3")),
        *((lambda q=q: JPEG(q), "`quality` must be an integer of at least 1") for q in (0, -5, 75.0, None)),
        (lambda: JPEG(101), "`quality` must be at most 100. Received: quality=101"),
    ],
)
def test_a_bad_argument_is_one_clear_error(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}") as error:
        make()
    assert "Received: " in str(error.value)
    assert len(str(error.value).splitlines()) == 1


# --- in front of a model ----------------------------------------------------------------------------------------------

IN_FRONT = {"input_jpeg": JPEG(75), "input_median": MedianFilter(3), "input_bits": BitDepth(4)}


def test_the_filters_of_section_5_are_variants() -> None:
    assert set(INPUT_VARIANTS) == set(IN_FRONT) <= set(VARIANTS)


@pytest.mark.parametrize("variant", INPUT_VARIANTS)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_such_a_variant_is_the_baseline_behind_its_filter(variant: str, dtype: str) -> None:
    plain = lisa_cnn("baseline", seed=0, dtype="float32")
    weights = {layer.name: layer.get_weights() for layer in plain.layers if layer.get_weights()}
    model = lisa_cnn(variant, weights=weights, dtype=dtype)
    _, first, second, *_ = model.layers
    assert (type(first), second.name) == (type(IN_FRONT[variant]), "conv1")
    assert first.dtype_policy.name == dtype
    assert model.count_params() == plain.count_params()
    expected = plain(IN_FRONT[variant](SIGNS))
    difference = np.abs(expected - plain(SIGNS))
    assert difference.max() > 5e-3
    np.testing.assert_allclose(model(SIGNS), expected, atol=1e-5 if dtype == "float32" else 0.5 * difference.max())


@pytest.mark.parametrize("variant", INPUT_VARIANTS)
def test_an_attack_sees_the_gradient_of_the_model_behind_the_filter(variant: str) -> None:
    model = lisa_cnn(variant, seed=0)
    plain = lisa_cnn("baseline", seed=0)

    def gradient(of: keras.Model, images: Any) -> Any:
        images = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(images)
            top = tf.reduce_max(of(images), axis=1)
        return tape.gradient(top, images)

    ours, theirs = gradient(model, SIGNS), gradient(plain, np.asarray(IN_FRONT[variant](SIGNS)))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ours).max() > 0
