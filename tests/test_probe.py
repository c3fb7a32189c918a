"""Each flag of the probe on a model that deserves it, and none on ordinary ones."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf import lisa_cnn
from blurnet_tf.data import rp2_release
from blurnet_tf.evaluation.probe import answers, plain_pictures, probe, probe_flags
from blurnet_tf.signs import CLASS_NAMES

NAMES = ("red", "green", "blue")
SIZE = 8
LABELS = np.repeat(np.arange(3), 12)
RNG = np.random.default_rng(3)
# A bright patch of the class's colour at a random place, on grey.
IMAGES = RNG.uniform(0.3, 0.6, (36, SIZE, SIZE, 3)).astype(np.float32)
for one, label in zip(IMAGES, LABELS, strict=True):
    row, column = RNG.integers(0, SIZE - 3, 2)
    one[row : row + 3, column : column + 3, label] = 1


def ordinary(images: Any) -> Any:
    """Recognises the classes: the brightest of the three colours, in a smooth way."""
    return 5 * tf.math.log(tf.reduce_sum(tf.exp(8 * images), axis=(1, 2)))


def flags(model: Callable[[Any], Any], images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> dict[str, str]:
    return {flag.name: flag.sentence for flag in probe_flags(probe(model, images, labels), NAMES)}


def test_an_ordinary_model_raises_none() -> None:
    assert flags(ordinary) == {}


@pytest.mark.parametrize("label", range(3))
def test_nor_does_it_on_images_of_one_class(label: int) -> None:
    mine = slice(12 * label, 12 * label + 12)
    assert flags(ordinary, IMAGES[mine], LABELS[mine]) == {}


def test_nor_does_a_trained_network() -> None:
    kernel = tf.Variable(RNG.normal(size=(3, 3, 3, 16)) / 5, dtype=tf.float32)
    last = tf.Variable(RNG.normal(size=(16, 3)) / 4, dtype=tf.float32)

    def model(images: Any) -> Any:
        return tf.reduce_max(tf.nn.leaky_relu(tf.nn.conv2d(images, kernel, 1, "VALID")), axis=(1, 2)) @ last

    @tf.function
    def train() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, model(IMAGES)))
        for variable, slope in zip((kernel, last), tape.gradient(loss, (kernel, last)), strict=True):
            variable.assign_sub(0.3 * slope)

    for _ in range(150):
        train()
    assert (answers(model, IMAGES).argmax(axis=1) == LABELS).mean() > 0.9
    assert flags(model) == {}
    assert flags(model, IMAGES[:12], LABELS[:12]) == {}


def test_nor_does_one_that_divides_by_the_contrast_of_its_input() -> None:
    assert flags(lambda images: ordinary(tf.image.per_image_standardization(images) / 8)) == {}


def numpy_model(images: Any) -> Any:
    return tf.numpy_function(lambda x: ordinary(x).numpy(), [images], tf.float32)


@tf.custom_gradient
def masked_gradient(images: Any) -> Any:
    return ordinary(images), lambda upstream: tf.zeros_like(images)


@pytest.mark.parametrize(
    ("model", "phrase"),
    [
        (lambda images: ordinary(tf.round(images * 8) / 8), "gradient"),  # quantised
        (lambda images: ordinary(tf.stop_gradient(images)), "No gradient"),
        (lambda images: ordinary(images).numpy(), "No gradient"),
        (numpy_model, "No gradient"),
        (masked_gradient, "exactly 0 in 36 of 36"),
    ],
)
def test_a_model_that_hides_its_gradient(model: Any, phrase: str) -> None:
    found = flags(model)
    assert list(found) == ["zero_gradients"]
    assert phrase in found["zero_gradients"]


def test_a_gradient_that_some_images_have_is_counted() -> None:
    def partly(share: int) -> Any:
        return lambda images: ordinary(tf.where(np.arange(len(images))[:, None, None, None] < share, images, 0.5))

    def names(share: int) -> set[str]:
        return set(flags(partly(share))) & {"zero_gradients"}

    assert names(19) == set()
    assert names(18) == {"zero_gradients"}


def test_a_model_that_is_too_sure() -> None:
    assert flags(lambda images: 5 * ordinary(images)) == {}
    found = flags(lambda images: 1e4 * ordinary(images))
    assert list(found) == ["saturated_loss"]
    assert "36 of 36" in found["saturated_loss"]


def test_a_constant() -> None:
    def constant(images: Any) -> Any:
        return 0 * ordinary(images) + [0.0, 2.0, 0.0]

    assert "constant_predictions" in flags(constant)
    found = flags(constant, IMAGES[12:24], LABELS[12:24])
    assert set(found) == {"constant_predictions", "zero_gradients"}
    assert "green of 12 of 12 images" in found["constant_predictions"]
    assert "8 pictures that show nothing" in found["constant_predictions"]


def test_a_model_that_says_one_class_of_several() -> None:
    found = flags(lambda images: ordinary(images) + [1000.0, 0.0, 0.0])
    assert "red of 36 of 36 images, which are of 3 classes" in found["constant_predictions"]


def test_a_class_that_is_never_said() -> None:
    found = flags(lambda images: ordinary(images) - [0.0, 0.0, 1000.0])
    assert list(found) == ["low_class_recall"]
    assert "12 clean images of blue 0.0%" in found["low_class_recall"]
    few = np.r_[0:33]  # nine images of blue
    assert flags(lambda images: ordinary(images) - [0.0, 0.0, 1000.0], IMAGES[few], LABELS[few]) == {}


def test_a_model_with_noise() -> None:
    noise = tf.random.Generator.from_seed(1)
    found = flags(lambda images: ordinary(images + 0.05 * noise.normal(tf.shape(images))))
    assert list(found) == ["stochastic_model"]
    assert flags(lambda images: ordinary(images) + 1e-6 * noise.normal((len(images), 3))) == {}


def test_probabilities() -> None:
    assert "not_logits" in flags(lambda images: tf.nn.softmax(ordinary(images)))
    assert list(flags(lambda images: tf.nn.softmax(ordinary(images) / 20))) == ["not_logits"]
    assert flags(lambda images: tf.nn.log_softmax(ordinary(images))) == {}


@pytest.mark.parametrize(
    "model",
    [
        lambda images: ordinary(images) / tf.where(tf.range(len(images)) == 1, np.nan, 1.0)[:, None],  # one image
        lambda images: ordinary(images) + tf.where(images[:, 4, 4] == 1, np.inf, 0.0),  # bright pixels
        lambda images: ordinary(images) + tf.sqrt(0 * images[:, 0, 0]),  # the gradient alone
        lambda images: ordinary(images) + 1e-3 * tf.sqrt(images[:, 4, 4]),  # that of black paint
    ],
)
@pytest.mark.parametrize("single", [True, False])
def test_nan(model: Any, single: bool) -> None:
    part = slice(0, 12) if single else slice(None)
    assert "nan" in flags(model, IMAGES[part], LABELS[part])


def test_the_arrays_can_be_stored_and_read() -> None:
    arrays = probe(lambda images: tf.nn.softmax(ordinary(images)), IMAGES, LABELS)
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file) as stored:
        assert probe_flags(stored, NAMES) == probe_flags(arrays, NAMES)
    assert arrays["labels"].dtype == np.int32
    assert {array.dtype for array in arrays.values()} == {np.dtype(one) for one in (np.int32, np.float32, bool)}


def test_batches_are_bounded_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def model(images: Any) -> Any:
        seen.append(len(images))
        return ordinary(images)

    whole = probe(ordinary, IMAGES, LABELS)
    monkeypatch.setattr("blurnet_tf.attacks.batches.MOST_PIXELS", 10 * SIZE * SIZE)
    parts = probe(model, IMAGES, LABELS)
    assert max(seen) == 10
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-5, err_msg=name)


def test_the_gradients_are_those_of_the_losses() -> None:
    arrays = probe(ordinary, IMAGES, (LABELS + 1) % 3)  # wrong answers have gradients too
    pixels = tf.constant(IMAGES)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(pixels)
        logits = ordinary(pixels)
        chosen = tf.gather(logits, (LABELS + 1) % 3, batch_dims=1)
        margin = chosen - tf.reduce_max(logits, axis=1)  # of the right class, which is another
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits((LABELS + 1) % 3, logits)
    for name, loss in (("margin_gradient", margin), ("cross_entropy_gradient", entropy)):
        np.testing.assert_allclose(arrays[name], np.abs(tape.gradient(loss, pixels)).max(axis=(1, 2, 3)), rtol=1e-5)


def test_plain_pictures_show_nothing_twice() -> None:
    pictures = plain_pictures((5, 7))
    assert pictures.shape == (8, 5, 7, 3)
    assert pictures.dtype == np.float32
    assert len(np.unique(pictures.reshape(8, -1), axis=0)) == 8
    assert 0 <= pictures.min() <= pictures.max() <= 1
    np.testing.assert_array_equal(pictures, plain_pictures((5, 7)))


@pytest.mark.realdata
def test_the_released_network_raises_none_on_forty_stop_signs(rp2_folder: Path) -> None:
    model = lisa_cnn(weights=rp2_release.load_weights(rp2_folder))
    split = rp2_release.load_victims(rp2_folder)
    assert (answers(model, split.images).argmax(axis=1) == split.labels).all()
    assert probe_flags(probe(model, split.images, split.labels), CLASS_NAMES) == ()


@pytest.mark.parametrize(
    ("images", "labels", "names", "phrase"),
    [
        (IMAGES * 255, LABELS, NAMES, "`images` must lie in"),
        (IMAGES, LABELS[:3], NAMES, "`labels` must be integers of shape"),
        (IMAGES, LABELS + 1, NAMES, "`labels` must lie in 0..2"),
        (IMAGES, LABELS, NAMES[:2], "`class_names` must name the 3 outputs of the model. Received: 2 names"),
    ],
)
def test_a_bad_argument_is_an_error(images: Any, labels: Any, names: Any, phrase: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
        probe_flags(probe(ordinary, images, labels), names)
    assert phrase in str(error.value)
