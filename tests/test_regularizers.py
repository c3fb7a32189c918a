"""The penalties of Eq. 3 and Eq. 5, and that on kernels, as Keras adds them to a loss."""

from __future__ import annotations

import json
import re
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.defenses import regularizers
from blurnet_tf.defenses.regularizers import FORMS, ChannelLInf, KernelTotalVariation, TotalVariation

REGULARIZERS = [ChannelLInf, KernelTotalVariation, TotalVariation]


def images(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(0, 1, (count, 10, 12, 3)).astype(np.float32)


def equation_5(alpha: float, maps: NDArray[Any]) -> float:
    maps = np.asarray(maps, np.float64)
    count, _, _, channels = maps.shape
    total = np.abs(np.diff(maps, axis=1)).sum() + np.abs(np.diff(maps, axis=2)).sum()
    return float(alpha / (count * channels) * total)


def penalty_of(form: str, alpha: float, maps: NDArray[Any]) -> float:
    """What `TotalVariation` adds to a loss, by NumPy in float64."""
    maps = np.asarray(maps, np.float64)
    differences = np.concatenate([np.diff(maps, axis=axis).ravel() for axis in (1, 2)])
    if form == "relative":
        return float(alpha * np.abs(differences).sum() / np.abs(maps).sum())
    summed = {
        "absolute": np.abs(differences),
        "smooth": np.sqrt(differences**2 + 1e-6) - 1e-3,
        "squared": differences**2,
    }[form]
    return float(alpha * summed.sum() / (len(maps) * maps.shape[-1]))


def variation_of(kernel: NDArray[Any]) -> float:
    kernel = np.asarray(kernel, np.float64)
    return float(np.abs(np.diff(kernel, axis=0)).sum() + np.abs(np.diff(kernel, axis=1)).sum())


def conv(alpha: float, dtype: str = "float32", form: str = "absolute") -> keras.layers.Layer:
    return keras.layers.Conv2D(
        5,
        3,
        activation="relu",
        activity_regularizer=TotalVariation(alpha, form),
        kernel_initializer=keras.initializers.GlorotUniform(seed=0),
        dtype=dtype,
    )


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_loss_of_a_layer_is_equation_5_whatever_the_batch_size(count: int, dtype: str) -> None:
    layer = conv(0.25, dtype)
    maps = layer(images(count))
    assert keras.backend.standardize_dtype(maps.dtype) == dtype.removeprefix("mixed_")
    (loss,) = layer.losses
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert float(loss) == pytest.approx(equation_5(0.25, tf.cast(maps, tf.float64).numpy()), rel=1e-5)


def test_the_loss_in_a_compiled_step_is_equation_5() -> None:
    layer = conv(0.25)
    model = keras.Sequential([keras.Input((10, 12, 3)), layer, keras.layers.GlobalAveragePooling2D()])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=lambda y, outputs: 0.0 * outputs)
    expected = equation_5(0.25, layer(images(6)).numpy())
    history = model.fit(images(6), np.zeros((6, 5)), batch_size=6, verbose=0)
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keras_divides", [True, False])
def test_a_call_leaves_the_division_by_the_batch_to_a_keras_that_makes_it(
    monkeypatch: pytest.MonkeyPatch, keras_divides: bool, form: str
) -> None:
    monkeypatch.setattr(regularizers, "KERAS_DIVIDES_BY_BATCH", keras_divides)
    maps = images(4) - np.float32(0.5)
    factor = 4 if keras_divides else 1
    assert float(TotalVariation(0.5, form)(maps)) == pytest.approx(factor * penalty_of(form, 0.5, maps), rel=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("form", FORMS)
def test_the_loss_of_a_layer_is_of_the_form_that_was_asked_for(form: str, count: int, dtype: str) -> None:
    layer = conv(0.25, dtype, form)
    maps = layer(images(count))
    (loss,) = layer.losses
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert float(loss) == pytest.approx(penalty_of(form, 0.25, tf.cast(maps, tf.float64).numpy()), rel=1e-5)


def test_the_forms_differ() -> None:
    maps = images(3)
    assert penalty_of("absolute", 1.0, maps) == pytest.approx(equation_5(1.0, maps))
    assert len({float(TotalVariation(1.0, form)(maps)) for form in FORMS}) == len(FORMS) == 4


@pytest.mark.parametrize("factor", [1e-6, 0.1, 1e4])
def test_the_relative_form_does_not_care_how_large_the_maps_are(factor: float) -> None:
    maps = images(3) - np.float32(0.5)
    relative, absolute = TotalVariation(0.5, "relative"), TotalVariation(0.5)
    assert float(relative(np.float32(factor) * maps)) == pytest.approx(float(relative(maps)), rel=1e-4)
    assert float(absolute(np.float32(factor) * maps)) == pytest.approx(factor * float(absolute(maps)), rel=1e-4)


@pytest.mark.parametrize("copies", [2, 5])
@pytest.mark.parametrize("form", FORMS)
def test_more_of_the_same_images_have_the_same_loss(form: str, copies: int) -> None:
    one, more = (conv(0.25, form=form) for _ in range(2))
    one(images(2))
    more(np.tile(images(2), (copies, 1, 1, 1)))
    assert float(one.losses[0]) == pytest.approx(float(more.losses[0]), rel=1e-5)


def test_maps_of_nothing_have_no_relative_variation_and_no_nan() -> None:
    maps = tf.zeros((2, 4, 4, 3))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        loss = TotalVariation(0.5, "relative")(maps)
    assert float(loss) == 0
    np.testing.assert_array_equal(tape.gradient(loss, maps), 0)


def test_the_gradient_of_the_relative_form_does_not_pull_the_maps_to_0() -> None:
    maps = tf.constant(images(2))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(maps)
        relative, absolute = TotalVariation(1.0, "relative")(maps), TotalVariation(1.0)(maps)
    # along the maps themselves, which is where they shrink
    assert float(tf.reduce_sum(maps * tape.gradient(relative, maps))) == pytest.approx(0, abs=1e-4 * float(relative))
    assert float(tf.reduce_sum(maps * tape.gradient(absolute, maps))) == pytest.approx(float(absolute), rel=1e-4)


@pytest.mark.parametrize("form", ["Absolute", "huber", "", None])
def test_another_form_is_an_error(form: Any) -> None:
    with pytest.raises(ValueError, match=rf"^`form` must be one of 'absolute', .*Received: form={form!r}$"):
        TotalVariation(form=form)


def test_a_call_of_the_kernel_penalty_is_equation_4_of_each_window() -> None:
    kernel = np.random.default_rng(1).normal(size=(5, 4, 3, 6)).astype(np.float32)
    assert float(KernelTotalVariation(0.5)(kernel)) == pytest.approx(0.5 * variation_of(kernel), rel=1e-5)
    assert float(KernelTotalVariation(0.0)(kernel)) == 0


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_the_loss_of_a_kernel_in_a_compiled_step_is_that_penalty_and_training_lowers_it(dtype: str) -> None:
    layer = keras.layers.Conv2D(5, 3, kernel_regularizer=KernelTotalVariation(0.25), dtype=dtype)
    model = keras.Sequential([keras.Input((10, 12, 3)), layer, keras.layers.GlobalAveragePooling2D()])
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=lambda y, outputs: 0.0 * outputs)
    before = variation_of(layer.kernel)
    losses = model.fit(images(6), np.zeros((6, 5)), epochs=3, batch_size=6, verbose=0).history["loss"]
    assert losses[0] == pytest.approx(0.25 * before, rel=1e-5)
    assert losses[0] > losses[1] > losses[2]
    assert variation_of(layer.kernel) < before


@pytest.mark.parametrize("shape", [(3, 3, 4, 1), (3, 3, 4)])
def test_a_call_of_channel_linf_is_equation_3(shape: tuple[int, ...]) -> None:
    kernel = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    assert float(ChannelLInf(0.1)(kernel)) == pytest.approx(0.1 * np.abs(kernel).max((0, 1)).sum(), rel=1e-6)


def test_channel_linf_is_the_loss_of_a_keras_depthwise_layer() -> None:
    layer = keras.layers.DepthwiseConv2D(3, depthwise_regularizer=ChannelLInf(0.1))
    layer(images(2))
    expected = 0.1 * np.abs(np.asarray(layer.kernel)).max((0, 1)).sum()
    assert float(layer.losses[0]) == pytest.approx(expected, rel=1e-6)


def test_the_defaults_are_those_of_the_paper() -> None:
    assert ChannelLInf().alpha == 0.1
    assert TotalVariation().alpha == 1e-4
    assert TotalVariation().form == "absolute"


@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("alpha", [0, 0.0, 1, 0.1, 1e-5, 1e-30])
def test_the_configuration_is_exact_through_keras_and_json(regularizer: type[keras.Regularizer], alpha: float) -> None:
    original = regularizer(alpha)
    assert original.get_config() == {"alpha": alpha} | ({"form": "absolute"} if regularizer is TotalVariation else {})
    assert type(original.get_config()["alpha"]) is type(alpha)
    serialized = json.loads(json.dumps(keras.regularizers.serialize(original)))
    assert serialized["registered_name"] == f"blurnet_tf>{regularizer.__name__}"
    copy = keras.regularizers.deserialize(serialized)
    assert type(copy) is regularizer
    assert copy.alpha == alpha


@pytest.mark.parametrize("form", FORMS)
def test_the_form_is_kept_and_an_older_configuration_has_the_absolute_one(form: str) -> None:
    serialized = json.loads(json.dumps(keras.regularizers.serialize(TotalVariation(0.5, form))))
    copy = keras.regularizers.deserialize(serialized)
    assert (copy.alpha, copy.form) == (0.5, form)
    del serialized["config"]["form"]
    assert keras.regularizers.deserialize(serialized).form == "absolute"


@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("alpha", [-1, -1e-9, float("nan"), float("inf"), True, False, "0.1", None])
def test_an_alpha_that_is_no_finite_number_of_at_least_0_is_an_error(
    regularizer: type[keras.Regularizer], alpha: Any
) -> None:
    sentence = f"`alpha` must be a finite number of at least 0. Received: alpha={alpha!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        regularizer(alpha)


@pytest.mark.parametrize("alpha", [np.float64(0.25), np.float32(0.25), np.int64(2)])
def test_a_numpy_number_is_kept_as_a_plain_one(alpha: Any) -> None:
    config = TotalVariation(alpha).get_config()
    assert config["alpha"] == alpha
    assert json.loads(json.dumps(config)) == config


def test_a_schedule_takes_the_weight_from_one_variable_and_settling_gives_it_back() -> None:
    regularizer, maps = TotalVariation(0.5), images(1)
    unit = equation_5(1.0, maps)
    variable = regularizer.schedule(0.5)
    assert float(regularizer(maps)) == pytest.approx(0.5 * unit, rel=1e-5)
    variable.assign(0.125)
    assert float(regularizer(maps)) == pytest.approx(0.125 * unit, rel=1e-5)
    assert regularizer.get_config()["alpha"] == 0.5
    regularizer.settle()
    assert float(variable) == 0.5  # for a step that was compiled meanwhile
    variable.assign(7.0)
    assert float(regularizer(maps)) == pytest.approx(0.5 * unit, rel=1e-5)
    assert regularizer.schedule(0.1) is variable
    assert regularizer.get_config()["alpha"] == 0.1


def test_scheduling_a_bad_weight_is_an_error() -> None:
    sentence = "`alpha` must be a finite number of at least 0. Received: alpha=-2"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        TotalVariation().schedule(-2)
