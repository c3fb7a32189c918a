"""What an attack refuses, and with which sentence."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf import RP2, checks
from blurnet_tf.attacks import Expectation, batches, inputs
from blurnet_tf.attacks.starts import Colour
from blurnet_tf.defenses import BoundedVotes, ChannelLInf

RNG = np.random.default_rng(1)
IMAGES = RNG.uniform(0, 1, (3, 4, 5, 3)).astype(np.float32)
WEIGHTS = RNG.normal(size=(60, 6)).astype(np.float32)
PREDICTIONS = np.array([2, 0, 2], np.int32)


def linear(images: Any) -> Any:
    return tf.reshape(images, [-1, 60]) @ WEIGHTS


def sentence(function: Callable[..., Any], *arguments: Any) -> str:
    """The whole sentence of the ValueError that a call raises."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the callers compare the whole sentence
        function(*arguments)
    return str(error.value)


@pytest.mark.parametrize("images", [IMAGES, IMAGES.astype(np.float64), IMAGES.tolist(), tf.constant(IMAGES)])
def test_images_come_out_as_float32(images: Any) -> None:
    checked = checks.check_images(images)
    assert isinstance(checked, np.ndarray)
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, IMAGES)


@pytest.mark.parametrize("shape", [(4, 5, 3), (3, 4, 5), (3, 4, 5, 1), (3, 4, 5, 4), (0, 4, 5, 3), (1, 3, 4, 5, 3), ()])
def test_images_of_another_shape_are_an_error(shape: tuple[int, ...]) -> None:
    assert sentence(checks.check_images, np.zeros(shape)) == (
        f"`images` must have the shape (n, H, W, 3) with n > 0. Received: shape={shape}"
    )


@pytest.mark.parametrize(
    ("low", "high", "received"),
    [(0, 255, "0 to 255"), (-0.5, 1, "-0.5 to 1"), (0, np.nan, "nan to nan"), (0, np.inf, "0 to inf")],
)
def test_images_of_another_range_are_an_error(low: float, high: float, received: str) -> None:
    images = np.full((2, 4, 5, 3), low, np.float32)
    images[1, 2, 3, 0] = high
    assert sentence(checks.check_images, images) == (f"`images` must lie in [0, 1]. Received: values from {received}")


def test_one_mask_and_several_come_out_with_four_axes() -> None:
    mask = np.zeros((4, 5, 1), np.uint8)
    mask[1, 2] = 1
    one = inputs.check_masks(mask, (4, 5))
    several = inputs.check_masks([mask, mask / 2], (4, 5))
    assert (one.shape, several.shape) == ((1, 4, 5, 1), (2, 4, 5, 1))
    assert one.dtype == several.dtype == np.float32
    np.testing.assert_array_equal(several, [mask, mask / 2])


@pytest.mark.parametrize("shape", [(4, 5), (5, 4, 1), (4, 5, 3), (4, 6, 1), (1, 1, 1), (1, 1, 4, 5, 1), (0, 4, 5, 1)])
def test_a_mask_of_another_size_is_an_error(shape: tuple[int, ...]) -> None:
    assert sentence(inputs.check_masks, np.ones(shape), (4, 5)) == (
        f"`mask` must have the shape (4, 5, 1), the size of the images, or (masks, 4, 5, 1). Received: shape={shape}"
    )


@pytest.mark.parametrize(("value", "received"), [(255, "0 to 255"), (-1, "-1 to 0"), (np.nan, "nan to nan")])
def test_a_mask_of_another_range_is_an_error(value: float, received: str) -> None:
    mask = np.zeros((4, 5, 1), np.float32)
    mask[0, 0] = value
    assert sentence(inputs.check_masks, mask, (4, 5)) == (
        f"`mask` must lie in [0, 1]. Received: values from {received}. "
        "Divide an 8-bit mask by 255, or read it with `load_mask`."
    )


def test_an_empty_mask_is_an_error_also_among_others() -> None:
    masks = np.ones((3, 4, 5, 1))
    masks[1] = 0
    assert sentence(inputs.check_masks, masks[1], (4, 5)) == (
        "`mask` must be above 0 somewhere. Received: mask 0 of 1 is empty"
    )
    assert sentence(inputs.check_masks, masks, (4, 5)) == (
        "`mask` must be above 0 somewhere. Received: mask 1 of 3 is empty"
    )


@pytest.mark.parametrize("targets", [3, [3], (3,), np.array([3]), np.int64(3)])
def test_one_target_comes_out_as_an_array(targets: Any) -> None:
    checked = inputs.check_targets(targets, 6)
    assert checked.dtype == np.int32
    assert checked.tolist() == [3]


@pytest.mark.parametrize("targets", [None, [], 1.0, [True], "3", [[1, 2]]])
def test_targets_that_are_no_class_indices_are_an_error(targets: Any) -> None:
    assert sentence(inputs.check_targets, targets, 6) == (
        f"`targets` must be a class index or several. Received: targets={targets!r}"
    )


@pytest.mark.parametrize("targets", [6, -1, [0, 6], [-1, 5]])
def test_a_target_that_is_no_output_is_an_error(targets: Any) -> None:
    assert sentence(inputs.check_targets, targets, 6) == (
        f"`targets` must lie in 0..5, the outputs of the model. Received: {targets!r}"
    )
    assert inputs.check_targets([0, 5], 6).tolist() == [0, 5]


def test_labels_come_out_as_int32_and_default_to_the_predictions() -> None:
    labels = inputs.check_labels([1, 2, 5], PREDICTIONS, 6)
    assert labels.dtype == np.int32
    assert labels.tolist() == [1, 2, 5]
    assert inputs.check_labels(None, PREDICTIONS, 6) is PREDICTIONS


@pytest.mark.parametrize(
    ("labels", "received"),
    [
        ([1, 2], "int64, shape=(2,)"),
        ([[1], [2], [3]], "int64, shape=(3, 1)"),
        (14, "int64, shape=()"),
        ([1.0, 2.0, 3.0], "float64, shape=(3,)"),
    ],
)
def test_labels_of_another_shape_or_type_are_an_error(labels: Any, received: str) -> None:
    assert sentence(
        inputs.check_labels, np.array(labels, np.int64) if "int" in received else labels, PREDICTIONS, 6
    ) == (f"`labels` must be integers of shape (3,). Received: {received}")


@pytest.mark.parametrize(("labels", "received"), [([0, 6, 1], "0 to 6"), ([-1, 0, 5], "-1 to 5")])
def test_labels_that_are_no_outputs_are_an_error(labels: list[int], received: str) -> None:
    assert sentence(inputs.check_labels, labels, PREDICTIONS, 6) == (
        f"`labels` must lie in 0..5, the outputs of the model. Received: values from {received}"
    )


def test_a_target_that_is_a_label_is_an_error() -> None:
    targets, labels = np.array([1, 4], np.int32), np.array([4, 3, 4], np.int32)
    assert sentence(inputs.check_targets_differ, targets, labels, PREDICTIONS, True) == (
        "A target must differ from the label of every image. Received: target=4, the label of 2 of 3 images"
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_a_target_that_is_predicted_already_is_warned_of(labelled: bool) -> None:
    labels = np.array([1, 1, 1], np.int32) if labelled else PREDICTIONS
    with pytest.warns(UserWarning) as caught:
        inputs.check_targets_differ(np.array([2, 5], np.int32), labels, PREDICTIONS, labelled)
    assert [str(one.message) for one in caught] == [
        "The model takes 2 of 3 clean images for the target 2 already; they count as reached without any attack."
    ]


def test_targets_that_differ_from_all_pass_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs.check_targets_differ(np.array([1, 5], np.int32), PREDICTIONS, PREDICTIONS, False)


def test_the_logits_of_the_clean_images_are_returned_in_float32() -> None:
    for model in (linear, lambda x: tf.cast(linear(x), tf.float16), lambda x: tf.cast(linear(x), tf.float64)):
        logits = inputs.check_model(model, IMAGES)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, IMAGES.reshape(3, 60) @ WEIGHTS, rtol=2e-3, atol=1e-2)


@pytest.mark.parametrize("differentiable", [True, False])
def test_a_model_is_asked_in_batches(monkeypatch: pytest.MonkeyPatch, differentiable: bool) -> None:
    whole = inputs.check_model(linear, IMAGES)
    monkeypatch.setattr(batches, "MOST_PIXELS", 2 * 4 * 5)
    seen = []

    def watched(images: Any) -> Any:
        seen.append(len(images))
        return linear(images)

    logits = inputs.check_model(watched, IMAGES, differentiable=differentiable)
    np.testing.assert_allclose(logits, whole, atol=1e-5)
    assert seen == [2, 1]
    nowhere_else = IMAGES[2, 0, 0, 0]
    broken = lambda x: tf.where(x[:, :1, 0, 0] == nowhere_else, np.nan, linear(x))  # noqa: E731
    assert "must return finite logits" in sentence(inputs.check_model, broken, IMAGES)


def test_a_dict_is_an_error_that_names_its_keys() -> None:
    assert sentence(inputs.check_model, lambda x: {"logits": linear(x), "features": x}, IMAGES) == (
        "`model` must return one tensor of logits. Received: a dict with the keys features, logits. "
        "Pass a function that picks one, such as `lambda images: model(images)['logits']`."
    )


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (lambda x: linear(x)[:, :1], (3, 1)),
        (lambda x: linear(x)[0], (6,)),
        (lambda x: linear(x)[:2], (2, 6)),
        (lambda x: x, (3, 4, 5, 3)),
    ],
)
def test_an_output_that_is_no_table_of_logits_is_an_error(model: Any, shape: tuple[int, ...]) -> None:
    assert sentence(inputs.check_model, model, IMAGES) == (
        f"`model` must return logits (3, classes). Received: shape={shape}"
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_an_error(bad: float) -> None:
    assert sentence(inputs.check_model, lambda x: linear(x) * np.float32(bad), IMAGES) == (
        "`model` must return finite logits. Received: NaN or infinity for a clean image"
    )


def test_probabilities_are_an_error_and_the_way_out_works() -> None:
    def softmax(images: Any) -> Any:
        return tf.nn.softmax(linear(images))

    assert sentence(inputs.check_model, softmax, IMAGES) == (
        "`model` must return logits. Received: probabilities, as if it ended in a softmax, which would flatten the "
        "gradients. Take the softmax off, or pass `lambda images: tf.math.log(model(images) + 1e-12)`."
    )
    logits = inputs.check_model(lambda images: tf.math.log(softmax(images) + 1e-12), IMAGES)
    np.testing.assert_array_equal(logits.argmax(1), (IMAGES.reshape(3, 60) @ WEIGHTS).argmax(1))


@pytest.mark.parametrize(
    "model",
    [
        lambda x: tf.stop_gradient(linear(x)),
        lambda x: tf.one_hot(tf.argmax(linear(x), 1), 6) * 3,
        lambda x: tf.argsort(linear(x)),
        lambda x: linear(tf.round(x * 255) / 255),
        lambda x: x.numpy().reshape(-1, 60) @ WEIGHTS,
        lambda x: tf.numpy_function(lambda y: y.reshape(-1, 60) @ WEIGHTS, [x], tf.float32),
        lambda x: tf.zeros((3, 6)) + [1.0, 2, 3, 4, 5, 6],
    ],
    ids=["stop_gradient", "argmax", "integers", "rounding", "numpy", "numpy_function", "constant"],
)
def test_a_model_without_a_gradient_is_an_error(model: Any) -> None:
    assert sentence(inputs.check_model, model, IMAGES) == (
        "`model` must be differentiable. Received: no gradient from the logits to the images"
    )


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf"), "1", None, 1j])
def test_what_is_no_finite_number_of_a_floats_size(value: Any) -> None:
    assert not checks.is_finite(value)
    for make in (
        lambda: RP2(penalty=value), lambda: Expectation(blur=value), lambda: ChannelLInf(value),
        lambda: BoundedVotes(3, value), lambda: Colour(red=value, green=0.0, blue=0.0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"must be|must lie"):
            make()
