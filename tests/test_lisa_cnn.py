"""The classifier of the paper: its shape, its variants, its weights, its files."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from blurnet_tf.defenses.layers import FixedBlur, LearnableBlur
from blurnet_tf.defenses.regularizers import KernelTotalVariation, TotalVariation
from blurnet_tf.models import (
    TRAINED_VARIANTS,
    TRANSFER_VARIANTS,
    VARIANTS,
    Defense,
    Variant,
    layer_weights,
    lisa_cnn,
    set_layer_weights,
    weights_sha256,
)
from blurnet_tf.models.variants import KERNEL_VARIANTS, depthwise, feature_blur, input_blur, kernel_tv, tv

Array = NDArray[np.float32]
IMAGES: Array = np.random.default_rng(0).uniform(0, 1, (3, 32, 32, 3)).astype(np.float32)


def names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


@pytest.fixture(scope="module")
def built() -> Callable[[str], keras.Model]:
    """Each variant, built once with seed 0. Tests leave the weights alone."""
    models: dict[str, keras.Model] = {}

    def build(variant: str) -> keras.Model:
        if variant not in models:
            models[variant] = lisa_cnn(variant, seed=0)
        return models[variant]

    return build


@contextlib.contextmanager
def mixed_bfloat16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def test_the_baseline_has_the_published_shape(built: Callable[[str], keras.Model]) -> None:
    model = built("baseline")
    assert model.count_params() == 726_354
    assert model.input_shape == (None, 32, 32, 3)
    assert names(model) == ["image", "conv1", "conv2", "conv3", "flatten", "logits"]
    shapes = [model.get_layer(name).output.shape[1:] for name in names(model)]
    assert shapes == [(32, 32, 3), (16, 16, 64), (6, 6, 128), (2, 2, 128), (512,), (18,)]
    for name in ("conv1", "conv2", "conv3"):
        assert model.get_layer(name).activation is keras.activations.relu
    paddings = [model.get_layer(name).padding for name in ("conv1", "conv2", "conv3")]
    assert paddings == ["same", "valid", "valid"]


def test_the_model_ends_without_softmax(built: Callable[[str], keras.Model]) -> None:
    model = built("baseline")
    assert model.get_layer("logits").activation is keras.activations.linear
    assert (np.asarray(model(IMAGES)) < 0).any()


@pytest.mark.parametrize(
    ("variant", "layers", "parameters"),
    [
        ("baseline", ["conv1", "conv2"], 0),
        ("input_3x3", ["input_blur", "conv1", "conv2"], 0),
        ("input_5x5", ["input_blur", "conv1", "conv2"], 0),
        ("feature_3x3", ["conv1", "feature_blur", "conv2"], 0),
        ("feature_5x5", ["conv1", "feature_blur", "conv2"], 0),
        ("depthwise_3x3", ["conv1", "depthwise", "conv2"], 64 * 9),
        ("depthwise_5x5", ["conv1", "depthwise", "conv2"], 64 * 25),
        ("depthwise_7x7", ["conv1", "depthwise", "conv2"], 64 * 49),
        ("tv_1e-4", ["conv1", "conv2"], 0),
        ("tv_1e-5", ["conv1", "conv2"], 0),
        ("fixed_3x3", ["conv1", "feature_blur", "conv2"], 0),
        ("fixed_5x5", ["conv1", "feature_blur", "conv2"], 0),
        ("tvk_1e-2", ["conv1", "conv2"], 0),
        ("rp2_release", ["conv1", "conv2"], 0),
    ],
)
def test_each_variant_adds_its_layer_and_nothing_else(
    built: Callable[[str], keras.Model], variant: str, layers: list[str], parameters: int
) -> None:
    model = built(variant)
    assert model.name == variant
    assert names(model) == ["image", *layers, "conv3", "flatten", "logits"]
    assert sum(weight.shape.num_elements() for weight in model.trainable_weights) == 726_354 + parameters


def test_the_table_of_variants_is_complete(built: Callable[[str], keras.Model]) -> None:
    assert all(variant.name == name for name, variant in VARIANTS.items())
    assert len({variant.title for variant in VARIANTS.values()}) == len(VARIANTS)
    assert {*TRAINED_VARIANTS, *TRANSFER_VARIANTS, *KERNEL_VARIANTS, "fixed_3x3", "fixed_5x5"} <= set(VARIANTS)
    for name in TRANSFER_VARIANTS:
        assert weights_sha256(layer_weights(built(name))) == weights_sha256(layer_weights(built("baseline")))


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [
        ("input_3x3", "input_blur", 3),
        ("input_5x5", "input_blur", 5),
        ("feature_3x3", "feature_blur", 3),
        ("feature_5x5", "feature_blur", 5),
        ("fixed_3x3", "feature_blur", 3),
        ("fixed_5x5", "feature_blur", 5),
    ],
)
def test_the_fixed_blurs_are_zero_padded_boxes(
    built: Callable[[str], keras.Model], name: str, layer: str, size: int
) -> None:
    blur = built(name).get_layer(layer)
    assert type(blur) is FixedBlur
    assert (blur.size, blur.window, blur.padding) == (size, "box", "same")


@pytest.mark.parametrize(
    ("name", "size", "alpha"), [("depthwise_3x3", 3, 1e-5), ("depthwise_5x5", 5, 0.1), ("depthwise_7x7", 7, 0.1)]
)
def test_the_depthwise_variants_have_the_penalty_of_table_2(
    built: Callable[[str], keras.Model], name: str, size: int, alpha: float
) -> None:
    blur = built(name).get_layer("depthwise")
    assert type(blur) is LearnableBlur
    assert (blur.size, blur.alpha) == (size, alpha)
    assert [float(loss) for loss in built(name).losses] == pytest.approx([alpha * 64 / size**2], rel=1e-5)


@pytest.mark.parametrize(("name", "alpha"), [("tv_1e-4", 1e-4), ("tv_1e-5", 1e-5)])
def test_the_tv_variants_have_the_penalty_of_table_2_on_conv1_alone(
    built: Callable[[str], keras.Model], name: str, alpha: float
) -> None:
    regularizers = {layer.name: layer.activity_regularizer for layer in built(name).layers}
    assert type(regularizers["conv1"]) is TotalVariation
    assert regularizers["conv1"].alpha == alpha
    assert [layer for layer, regularizer in regularizers.items() if regularizer] == ["conv1"]


@pytest.mark.parametrize("name", [KERNEL_VARIANTS[0], KERNEL_VARIANTS[-1]])
def test_the_kernel_variants_have_their_penalty_on_conv1_alone(name: str) -> None:
    model = lisa_cnn(name, seed=0)
    regularizers = {layer.name: getattr(layer, "kernel_regularizer", None) for layer in model.layers}
    assert type(regularizers["conv1"]) is KernelTotalVariation
    assert [layer for layer, regularizer in regularizers.items() if regularizer] == ["conv1"]
    kernel = np.asarray(model.get_layer("conv1").kernel, np.float64)
    total = np.abs(np.diff(kernel, axis=0)).sum() + np.abs(np.diff(kernel, axis=1)).sum()
    assert [float(loss) for loss in model.losses] == pytest.approx([float(name.removeprefix("tvk_")) * total], rel=1e-5)


@pytest.mark.parametrize("variant", ["baseline", *TRANSFER_VARIANTS[1:], "fixed_3x3", "fixed_5x5"])
def test_the_variants_of_table_1_and_those_with_fixed_filters_have_no_penalty(
    built: Callable[[str], keras.Model], variant: str
) -> None:
    model = built(variant)
    model(IMAGES)
    assert model.losses == []


@pytest.mark.parametrize(
    "variant", [name for name, one in VARIANTS.items() if one.network == "lisa_cnn" and name not in KERNEL_VARIANTS[1:]]
)
def test_a_keras_file_of_a_variant_gives_equal_logits(
    built: Callable[[str], keras.Model], variant: str, tmp_path: Path
) -> None:
    model = built(variant)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert names(loaded) == names(model)
    for ours, theirs in zip(model.layers, loaded.layers, strict=True):
        assert ours.get_config() == theirs.get_config()
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
    np.testing.assert_array_equal([float(x) for x in loaded.losses], [float(x) for x in model.losses])


def test_the_same_seed_gives_the_same_model_and_another_seed_another(built: Callable[[str], keras.Model]) -> None:
    first, again, other = (layer_weights(model) for model in (built("baseline"), lisa_cnn(seed=0), lisa_cnn(seed=1)))
    for name, arrays in first.items():
        for ours, theirs in zip(arrays, again[name], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert np.abs(arrays[0] - other[name][0]).max() > 0


def test_without_a_seed_the_global_one_counts() -> None:
    def logits() -> Array:
        keras.utils.set_random_seed(3)
        return np.asarray(lisa_cnn()(IMAGES))

    np.testing.assert_array_equal(logits(), logits())


def test_classes_sets_the_number_of_outputs() -> None:
    assert lisa_cnn(classes=43).output_shape == (None, 43)


@pytest.mark.parametrize("variant", ["depthwise_5x5", "tv_1e-4", "feature_5x5"])
def test_under_a_mixed_policy_weights_and_logits_stay_float32(
    variant: str, built: Callable[[str], keras.Model]
) -> None:
    full = np.asarray(built(variant)(IMAGES))
    with mixed_bfloat16():
        model = lisa_cnn(variant, seed=0)
    assert model.get_layer("conv2").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    mixed = np.asarray(model(IMAGES))
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed, full, atol=0.05 * np.abs(full).max())
    assert np.abs(mixed - full).max() > 0


def conv1_before_and_after_relu(model: keras.Model) -> tuple[Array, Array]:
    kernel, bias = model.get_layer("conv1").get_weights()
    before = np.asarray(keras.ops.conv(IMAGES, kernel, strides=2, padding="same")) + bias
    return before, np.maximum(before, 0)


def tail(model: keras.Model, maps: Array) -> Array:
    x = maps
    for name in ("conv2", "conv3", "flatten", "logits"):
        x = model.get_layer(name)(x)
    return np.asarray(x)


def box(maps: Array, size: int) -> Array:
    return np.asarray(ndimage.uniform_filter(maps, (1, size, size, 1), mode="constant"))


@pytest.mark.parametrize(("variant", "size"), [("feature_3x3", 3), ("feature_5x5", 5), ("depthwise_7x7", 7)])
def test_the_feature_blur_acts_after_the_relu_of_conv1(
    built: Callable[[str], keras.Model], variant: str, size: int
) -> None:
    logits = np.asarray(built(variant)(IMAGES))
    before, after = conv1_before_and_after_relu(built("baseline"))
    np.testing.assert_allclose(logits, tail(built("baseline"), box(after, size)), atol=2e-6)
    blurred_first = tail(built("baseline"), np.maximum(box(before, size), 0))
    assert np.abs(logits - blurred_first).max() > 1e-3


@pytest.mark.parametrize(("variant", "size"), [("input_3x3", 3), ("input_5x5", 5)])
def test_the_input_blur_acts_on_the_image(built: Callable[[str], keras.Model], variant: str, size: int) -> None:
    logits = np.asarray(built(variant)(IMAGES))
    np.testing.assert_allclose(logits, built("baseline")(box(IMAGES, size)), atol=2e-6)
    assert np.abs(logits - np.asarray(built("baseline")(IMAGES))).max() > 1e-3


def test_a_variant_of_ones_own_joins_all_parts() -> None:
    parts = (input_blur(3), feature_blur(5), depthwise(7, 0.5), tv(0.25))
    variant = Variant(name="all", title="All", defenses=parts)
    model = lisa_cnn(variant, seed=0)
    assert model.name == "all"
    assert names(model)[:6] == ["image", "input_blur", "conv1", "feature_blur", "depthwise", "conv2"]
    sizes = [model.get_layer(name).size for name in ("input_blur", "feature_blur", "depthwise")]
    assert sizes == [3, 5, 7]
    assert model.get_layer("depthwise").alpha == 0.5
    assert model.get_layer("conv1").activity_regularizer.alpha == 0.25


def test_a_variant_is_frozen_and_keyword_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        VARIANTS["baseline"].name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Variant("baseline", "Baseline")  # type: ignore[misc]


@pytest.mark.parametrize("variant", ["Baseline", "tv", ""])
def test_an_unknown_variant_is_an_error(variant: str) -> None:
    sentence = f"`variant` must be one of {', '.join(VARIANTS)}. Received: variant={variant!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        lisa_cnn(variant)


@pytest.mark.parametrize("variant", TRANSFER_VARIANTS)
def test_the_weights_of_the_baseline_fit_every_row_of_table_1(
    built: Callable[[str], keras.Model], variant: str
) -> None:
    weights = layer_weights(lisa_cnn(seed=9))
    model = lisa_cnn(variant, weights=weights)
    copied = layer_weights(model)
    assert list(copied) == ["conv1", "conv2", "conv3", "logits"]
    for name, arrays in weights.items():
        for ours, theirs in zip(arrays, copied[name], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_layers_that_weights_do_not_name_keep_their_start(built: Callable[[str], keras.Model]) -> None:
    start = layer_weights(built("depthwise_5x5"))
    weights = {"conv1": [np.zeros((8, 8, 3, 64), np.float32), np.ones(64, np.float32)]}
    changed = layer_weights(lisa_cnn("depthwise_5x5", weights=weights, seed=0))
    np.testing.assert_array_equal(changed["conv1"][0], 0)
    np.testing.assert_array_equal(changed["conv1"][1], 1)
    for name in ("depthwise", "conv2", "conv3", "logits"):
        np.testing.assert_array_equal(changed[name][0], start[name][0])


def test_layer_weights_is_a_copy() -> None:
    model = lisa_cnn(seed=0)
    weights = layer_weights(model)
    weights["conv1"][0][:] = 0
    assert np.abs(layer_weights(model)["conv1"][0]).max() > 0


ZEROS = [np.zeros((8, 8, 3, 64), np.float32), np.zeros(64, np.float32)]


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (
            {"conv1": ZEROS, "conv9": [np.zeros(3)]},
            "Model 'baseline' expects arrays of shapes [] for a layer 'conv9'. Received: [(3,)]",
        ),
        (
            {"conv1": ZEROS, "conv9": []},
            "Model 'baseline' expects arrays of shapes [] for a layer 'conv9'. Received: []",
        ),
        (
            {"conv1": ZEROS, "logits": [np.zeros((512, 17)), np.zeros(17)]},
            "Model 'baseline' expects arrays of shapes [(512, 18), (18,)] for a layer 'logits'. "
            "Received: [(512, 17), (17,)]",
        ),
        (
            {"conv1": ZEROS, "logits": [np.zeros((512, 18))]},
            "Model 'baseline' expects arrays of shapes [(512, 18), (18,)] for a layer 'logits'. Received: [(512, 18)]",
        ),
        (
            {"conv1": ZEROS, "flatten": [np.zeros(1)]},
            "Model 'baseline' expects arrays of shapes [] for a layer 'flatten'. Received: [(1,)]",
        ),
    ],
    ids=["unknown layer", "unknown layer without arrays", "wrong shape", "too few", "layer without weights"],
)
def test_weights_that_do_not_fit_are_an_error_and_nothing_is_copied(weights: Any, sentence: str) -> None:
    model = lisa_cnn(seed=0)
    before = layer_weights(model)
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        set_layer_weights(model, weights)
    for name, arrays in layer_weights(model).items():
        for ours, theirs in zip(arrays, before[name], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_dtype_is_the_policy_of_every_layer_but_the_logits(built: Callable[[str], keras.Model]) -> None:
    weights = layer_weights(built("depthwise_5x5"))
    model = lisa_cnn("depthwise_5x5", weights=weights, dtype="mixed_bfloat16")
    policies = {layer.name: layer.dtype_policy.name for layer in model.layers if layer.name != "image"}
    assert policies.pop("logits") == "float32"
    assert set(policies.values()) == {"mixed_bfloat16"}
    assert keras.config.dtype_policy().name == "float32"
    with mixed_bfloat16():
        model = lisa_cnn("depthwise_5x5", weights=weights, dtype="float32")
    np.testing.assert_array_equal(model(IMAGES), built("depthwise_5x5")(IMAGES))


@pytest.mark.slow
def test_the_penalty_before_the_relu_sees_what_the_relu_takes_away() -> None:
    after = lisa_cnn(Variant(name="after", title="", defenses=(tv(0.5),)), seed=0)
    before = lisa_cnn(Variant(name="before", title="", defenses=(tv(0.5, before_relu=True),)), seed=0)
    assert names(before) == ["image", "conv1", "conv1_relu", "conv2", "conv3", "flatten", "logits"]
    np.testing.assert_array_equal(before(IMAGES), after(IMAGES))
    maps = np.asarray(before.get_layer("conv1")(IMAGES))
    assert (maps < 0).any()
    for model, seen in ((before, maps), (after, np.maximum(maps, 0))):
        variation = np.abs(np.diff(seen, axis=1)).sum() + np.abs(np.diff(seen, axis=2)).sum()
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        plain = lisa_cnn(seed=0)
        plain.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        labels = np.zeros(len(IMAGES), np.int32)
        added = model.evaluate(IMAGES, labels, verbose=0) - plain.evaluate(IMAGES, labels, verbose=0)
        assert added == pytest.approx(0.5 * variation / (len(IMAGES) * 64), rel=1e-4)


def test_the_depthwise_filter_starts_as_the_variant_says() -> None:
    box = lisa_cnn(Variant(name="box", title="", defenses=(depthwise(3, 0.0),)), seed=0).get_layer("depthwise")
    variant = Variant(name="random", title="", defenses=(depthwise(3, 0.0, start="random"),))
    random = lisa_cnn(variant, seed=0)
    np.testing.assert_array_equal(box.kernel, np.full((3, 3, 64, 1), 1 / 9, np.float32))
    kernel = np.asarray(random.get_layer("depthwise").kernel)
    assert np.unique(kernel).size > 500
    again = lisa_cnn(variant, seed=0)
    np.testing.assert_array_equal(kernel, again.get_layer("depthwise").kernel)


@pytest.mark.parametrize(("after", "place"), [(1, "conv1"), (2, "conv2"), (3, "conv3")])
def test_the_blur_stands_after_the_layer_that_is_named(
    built: Callable[[str], keras.Model], after: int, place: str
) -> None:
    weights = layer_weights(built("baseline"))
    blurred = lisa_cnn(Variant(name="b", title="", defenses=(feature_blur(3, after=after),)), weights=weights)
    layers = ["image", "conv1", "conv2", "conv3", "flatten", "logits"]
    layers.insert(layers.index(place) + 1, "feature_blur")
    assert names(blurred) == layers
    maps = np.asarray(keras.Model(built("baseline").input, built("baseline").get_layer(place).output)(IMAGES))
    expected = ndimage.uniform_filter(maps, (0, 3, 3, 0), mode="constant")
    seen = keras.Model(blurred.input, blurred.get_layer("feature_blur").output)(IMAGES)
    np.testing.assert_allclose(seen, expected, atol=1e-5)


@keras.saving.register_keras_serializable("test_lisa_cnn")
class Doubled(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return 2 * inputs


def one(after: str = "conv1", layer: str = "FixedBlur", **settings: Any) -> Variant:
    return several(Defense(after=after, layer=layer, settings=settings))


def several(*defenses: Defense) -> Variant:
    return Variant(name="several", title="", defenses=defenses)


@pytest.mark.parametrize(
    ("variant", "phrase"),
    [
        (one(after="conv4"), "`after` must be one of input, conv1, conv1_linear, conv2,"),
        (one(layer="NoSuch"), "`layer` must name a registered layer, regularizer or constraint, or one of Keras."),
        (one(layer="deserialize"), "`layer` must name a registered layer, regularizer or constraint, or one of Keras."),
        (one(after="input", layer="TotalVariation"), "`after` of a penalty must be a convolution"),
        (one(after="input", layer="KernelTotalVariation"), "`after` of a penalty must be a convolution"),
        (one(after="conv1_linear", layer="KernelTotalVariation"), "`after` of a penalty must be a convolution"),
        (one(after="conv1_linear", layer="UnitNorm"), "`after` of a penalty must be a convolution"),
        (several(tv(1.0), tv(2.0)), "`after` of a penalty must be a convolution without another one"),
        (several(kernel_tv(1.0), kernel_tv(2.0)), "`after` of a penalty must be a convolution without another one"),
    ],
)
def test_a_defence_without_a_place_is_an_error(variant: Variant, phrase: str) -> None:
    with pytest.raises(ValueError, match=re.escape(phrase)):
        lisa_cnn(variant)


def test_any_registered_layer_or_one_of_keras_is_a_defence() -> None:
    own = one(window="gaussian", size=5, padding="reflect", name="soft")
    assert names(lisa_cnn(own))[1:3] == ["conv1", "soft"]
    doubled = one(after="conv2_linear", layer="test_lisa_cnn>Doubled", name="doubled")
    assert names(lisa_cnn(doubled))[2:5] == ["conv2", "doubled", "conv2_relu"]
    noisy = lisa_cnn(one(layer="GaussianNoise", stddev=0.1, name="noise"), seed=7).get_layer("noise")
    assert (noisy.stddev, noisy.seed) == (0.1, 11)


@pytest.mark.parametrize("place", ["conv1", "conv2", "conv3"])
def test_a_penalty_or_a_constraint_of_the_weights_is_that_of_the_convolution_that_is_named(place: str) -> None:
    parts = [("KernelTotalVariation", {"alpha": 0.5}), ("UnitNorm", {"axis": [0, 1, 2]})]
    variant = several(*(Defense(after=place, layer=layer, settings=settings) for layer, settings in parts))
    model = lisa_cnn(variant, seed=0)
    assert names(model) == ["image", "conv1", "conv2", "conv3", "flatten", "logits"]
    for name in ("conv1", "conv2", "conv3"):
        layer = model.get_layer(name)
        assert (type(layer.kernel_regularizer) is KernelTotalVariation) == (name == place)
        assert (type(layer.kernel_constraint) is keras.constraints.UnitNorm) == (name == place)
        assert layer.activity_regularizer is None
    np.testing.assert_array_equal(model(IMAGES), lisa_cnn(seed=0)(IMAGES))


def test_the_weights_of_a_convolution_obey_its_constraint_after_a_step() -> None:
    model = lisa_cnn(one(layer="UnitNorm", axis=[0, 1, 2]), seed=0)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def lengths() -> Array:
        return np.sqrt((np.asarray(model.get_layer("conv1").kernel) ** 2).sum((0, 1, 2)))

    assert np.abs(lengths() - 1).max() > 0.01
    model.train_on_batch(IMAGES, np.zeros(len(IMAGES), np.int32))
    np.testing.assert_allclose(lengths(), 1, atol=1e-5)


def test_the_penalty_on_the_kernel_stays_with_the_convolution_whose_relu_is_apart() -> None:
    noise = Defense(after="conv1_linear", layer="GaussianNoise", settings={"stddev": 0.1, "name": "noise"})
    model = lisa_cnn(several(noise, kernel_tv(0.5), tv(0.25)), seed=0)
    assert names(model)[1:5] == ["conv1", "noise", "conv1_relu", "conv2"]
    assert model.get_layer("conv1").kernel_regularizer.alpha == 0.5
    assert model.get_layer("conv1").activity_regularizer is None
    assert model.get_layer("conv1_relu").activity_regularizer.alpha == 0.25


def test_a_regularizer_of_keras_is_one_of_the_maps() -> None:
    conv1 = lisa_cnn(one(layer="L2", l2=0.25)).get_layer("conv1")
    assert type(conv1.activity_regularizer) is keras.regularizers.L2
    assert conv1.kernel_regularizer is None
    relative = lisa_cnn(one(layer="TotalVariation", alpha=0.5, form="relative")).get_layer("conv1")
    assert relative.activity_regularizer.form == "relative"


@pytest.mark.parametrize("size", [(27, 27), (48, 64)])
def test_images_and_classes_of_another_data_set(size: tuple[int, int]) -> None:
    for variant in ("baseline", "depthwise_5x5"):
        model = lisa_cnn(variant, classes=43, image_size=size)
        assert (model.input_shape, model.output_shape) == ((None, *size, 3), (None, 43))
        assert np.isfinite(model(np.ones((1, *size, 3), np.float32))).all()


@pytest.mark.parametrize("size", [(26, 32), (32, 26), (32,)])
def test_images_that_the_convolutions_take_away_are_an_error(size: Any) -> None:
    with pytest.raises(ValueError, match=r"^`image_size` must be .* of at least 27"):
        lisa_cnn(image_size=size)
