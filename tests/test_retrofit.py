"""A defence in a model of somebody else: where it acts, what it keeps, what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy import ndimage

import blurnet_tf
from blurnet_tf import FixedBlur, LearnableBlur, TotalVariation, TVLossCallback, defend
from blurnet_tf.defenses import KernelTotalVariation
from blurnet_tf.training import train

pytestmark = pytest.mark.slow

Array = NDArray[np.float32]
IMAGES: Array = np.random.default_rng(0).uniform(0, 1, (4, 32, 32, 3)).astype(np.float32)
LABELS: NDArray[np.int32] = np.arange(4, dtype=np.int32)


def residual_cnn() -> keras.Model:
    """A residual block on CIFAR-size images: `relu1` is read by a convolution and by the sum."""
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.Conv2D(8, 3, padding="same", kernel_regularizer=keras.regularizers.L2(0.01), name="conv1")(image)
    x = keras.layers.BatchNormalization(trainable=False, name="norm1")(x)
    x = keras.layers.ReLU(name="relu1")(x)
    y = keras.layers.Conv2D(8, 3, padding="same", dtype="mixed_bfloat16", name="conv2")(x)
    y = keras.ops.relu(y)
    x = keras.layers.Add(name="sum")([x, y])
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(10, name="logits")(x), name="residual")
    rng = np.random.default_rng(1)
    for weight in model.weights:  # no weight is what an initialiser would give
        weight.assign(np.asarray(weight) + rng.uniform(0, 0.3, weight.shape))
    return model


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return residual_cnn()


@pytest.fixture(scope="module")
def mobile_net() -> keras.Model:
    """The beginning of a MobileNetV2, up to its first residual sum."""
    keras.utils.set_random_seed(0)
    whole = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, include_top=False)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(whole.get_layer("block_2_add").output)
    return keras.Model(whole.input, keras.layers.Dense(10, name="logits")(pooled))


def seen(model: keras.Model, layer: str, images: Array = IMAGES) -> Array:
    return np.asarray(keras.Model(model.input, model.get_layer(layer).output)(images))


def box(maps: Array, size: int) -> Array:
    return np.asarray(ndimage.uniform_filter(maps, (1, size, size, 1), mode="constant"))


def state(model: keras.Model, without: str = "") -> list[Any]:
    """Every weight with its layer, its flag and its values; `without` leaves the layer of a defence out."""
    return [
        (layer.name, layer.trainable, weight.name, weight.trainable, weight.dtype, np.asarray(weight).tolist())
        for layer in model.layers
        if layer.name != without
        for weight in layer.weights
    ]


def variation(maps: Array) -> float:
    total = np.abs(np.diff(maps, axis=1)).sum() + np.abs(np.diff(maps, axis=2)).sum()
    return float(total / (maps.shape[0] * maps.shape[3]))


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


@pytest.mark.parametrize("defense", [FixedBlur(1), LearnableBlur(1)], ids=["fixed", "learnable"])
@pytest.mark.parametrize("layer", ["conv1", "relu1", "sum"])
def test_a_blur_of_size_1_changes_nothing(model: keras.Model, layer: str, defense: keras.layers.Layer) -> None:
    np.testing.assert_allclose(defend(model, layer, defense)(IMAGES), model(IMAGES), atol=1e-6)


@keras.saving.register_keras_serializable(package="test_retrofit")
class Shifted(keras.layers.Layer):
    """Adds a second image, if there is one."""

    def call(self, inputs: Any, shift: Any = None) -> Any:
        return inputs if shift is None else inputs + shift


def test_inputs_keep_their_names_and_may_stay_optional() -> None:
    image, shift = keras.Input((32, 32, 3)), keras.Input((32, 32, 3), name="shift", optional=True)
    maps = keras.layers.Conv2D(4, 3, name="conv")(Shifted()(image, shift))
    model = keras.Model([image, shift], keras.layers.GlobalAveragePooling2D()(maps))
    defended = defend(model, "conv", FixedBlur(1, name="blur"))
    assert [layer.name for layer in defended.layers if layer.name != "blur"] == [layer.name for layer in model.layers]
    for second in (None, IMAGES):
        np.testing.assert_allclose(defended([IMAGES, second]), model([IMAGES, second]), atol=1e-6)


def test_every_reader_of_the_maps_sees_the_blurred_ones(model: keras.Model) -> None:
    defended = defend(model, "relu1", FixedBlur(5, name="blur"))
    maps = box(seen(model, "relu1"), 5)
    np.testing.assert_allclose(seen(defended, "blur"), maps, atol=1e-5)
    summed = maps + np.maximum(np.asarray(model.get_layer("conv2")(maps), np.float32), 0)
    by_hand = model.get_layer("logits")(summed.mean(axis=(1, 2)))
    np.testing.assert_allclose(defended(IMAGES), by_hand, atol=0.02)
    assert np.abs(np.asarray(defended(IMAGES)) - np.asarray(model(IMAGES))).max() > 0.05


def test_all_is_kept_and_nothing_is_shared(model: keras.Model) -> None:
    before = state(model)
    names = [layer.name for layer in model.layers]
    defended = defend(model, "relu1", LearnableBlur(3, name="blur"))
    assert state(defended, without="blur") == before
    assert [layer.name for layer in defended.layers if layer.name != "blur"] == names
    assert defended.name == "residual"
    for ours, theirs in zip([one for one in defended.layers if one.name != "blur"], model.layers, strict=True):
        assert ours is not theirs
        assert ours.get_config() == theirs.get_config()
    assert defended.get_layer("conv2").compute_dtype == "bfloat16"
    assert len(defended.losses) == len(model.losses) == 1
    for weight in defended.weights:
        weight.assign(np.zeros(weight.shape))
    assert state(model) == before
    assert [layer.name for layer in model.layers] == names


def test_the_blur_is_a_copy_with_its_weights(model: keras.Model) -> None:
    blur = LearnableBlur(3, start="random", seed=3)
    one = defend(model, "relu1", blur)
    assert not blur.built
    learnt = one.get_layer(blur.name)
    learnt.kernel.assign(np.full((3, 3, 8, 1), 0.5))
    other = defend(model, "relu1", learnt)
    np.testing.assert_array_equal(other.get_layer(blur.name).kernel, learnt.kernel)
    assert other.get_layer(blur.name).kernel is not learnt.kernel


def test_a_fixed_blur_that_is_built_already_is_copied(model: keras.Model) -> None:
    blur = FixedBlur(3, window="binomial", name="blur")
    blur.build((None, 32, 32, 8))
    defended = defend(model, "conv1", blur)
    np.testing.assert_array_equal(defended.get_layer("blur").kernel, blur.kernel)
    defended.trainable = True
    assert [weight.path for weight in defended.trainable_weights if "blur" in weight.path] == []
    np.testing.assert_array_equal(defended(IMAGES), defend(model, "conv1", FixedBlur(3, window="binomial"))(IMAGES))


def test_a_compiled_model_gives_one_that_is_not(model: keras.Model) -> None:
    compiled = defend(model, "conv1", FixedBlur(1))
    compiled.compile(loss=lambda labels, logits: keras.ops.sum(logits))  # of which Keras cannot make a copy
    defended = defend(compiled, "relu1", FixedBlur(1))
    assert not defended.compiled
    assert compiled.compiled


def test_a_frozen_model_stays_frozen_and_the_filter_learns(model: keras.Model) -> None:
    frozen = defend(model, "conv1", FixedBlur(1))
    frozen.trainable = False
    defended = defend(frozen, "relu1", LearnableBlur(3, name="blur"))
    assert [weight.path for weight in defended.trainable_weights] == ["blur/kernel"]
    kernel = np.asarray(defended.get_layer("blur").kernel).copy()
    history = train(defended, IMAGES, LABELS, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.abs(np.asarray(defended.get_layer("blur").kernel) - kernel).max() > 0
    assert state(defended, without="blur") == state(frozen)


@pytest.mark.parametrize(
    "defense",
    [FixedBlur(3, name="d"), LearnableBlur(3, alpha=0.1, name="d"), TotalVariation(1e-3), KernelTotalVariation(1e-3)],
    ids=["fixed", "learned", "penalty", "penalty on the kernel"],
)
def test_a_defended_mobile_net_trains_and_is_saved_and_loaded(
    mobile_net: keras.Model, defense: Any, tmp_path: Path
) -> None:
    before = state(mobile_net)
    layer = "Conv1" if isinstance(defense, KernelTotalVariation) else "Conv1_relu"
    defended = defend(mobile_net, layer, defense)
    assert state(defended, without="d") == before
    images = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(images)
        entropy = keras.losses.sparse_categorical_crossentropy(
            LABELS, defended(images, training=True), from_logits=True
        )
        loss = tf.reduce_mean(entropy) + sum(defended.losses)
    assert np.isfinite(loss)
    gradient, *gradients = tape.gradient(loss, [images, *defended.trainable_weights])
    assert np.abs(gradient).max() > 0
    keras.optimizers.SGD(1e-3).apply(gradients, defended.trainable_weights)
    assert np.isfinite(defended(images)).all()
    defended.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(IMAGES), defended(IMAGES))
    for ours, theirs in zip(loaded.losses, defended.losses, strict=True):
        assert float(ours) == pytest.approx(float(theirs), rel=1e-6)
    assert len(loaded.losses) == (not isinstance(defense, FixedBlur))
    assert state(mobile_net) == before


def test_mobile_net_of_224_pixels_is_blurred_after_its_first_relu() -> None:
    model = keras.applications.MobileNetV2(weights=None)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    defended = defend(model, "Conv1_relu", FixedBlur(7, padding="reflect", name="blur"))
    assert defended.output_shape == (None, 1000)
    maps = seen(model, "Conv1_relu", image)
    assert maps.shape == (1, 112, 112, 32)
    np.testing.assert_allclose(
        seen(defended, "blur", image), ndimage.uniform_filter(maps, (1, 7, 7, 1), mode="mirror"), atol=1e-5
    )
    rest = keras.Model(model.get_layer("Conv1_relu").output, model.output)
    np.testing.assert_allclose(defended(image), rest(seen(defended, "blur", image)), atol=1e-6)


@pytest.mark.parametrize("layer", ["conv1", "norm1", "relu1", "sum"])
def test_the_penalty_is_equation_5_on_a_layer_of_any_class(model: keras.Model, layer: str) -> None:
    defended = defend(model, layer, TotalVariation(0.5))
    np.testing.assert_array_equal(defended(IMAGES), model(IMAGES))
    assert state(defended) == state(model)
    assert model.get_layer(layer).activity_regularizer is None
    for one in (defended, model):
        one.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    added = defended.evaluate(IMAGES, LABELS, verbose=0) - model.evaluate(IMAGES, LABELS, verbose=0)
    assert added == pytest.approx(0.5 * variation(seen(model, layer)), rel=1e-4)


def test_the_penalty_on_a_kernel_is_equation_4_of_its_windows(model: keras.Model) -> None:
    defended = defend(model, "conv2", KernelTotalVariation(0.5))
    np.testing.assert_array_equal(defended(IMAGES), model(IMAGES))
    assert state(defended) == state(model)
    assert model.get_layer("conv2").kernel_regularizer is None
    kernel = np.asarray(model.get_layer("conv2").kernel, np.float64)
    total = np.abs(np.diff(kernel, axis=0)).sum() + np.abs(np.diff(kernel, axis=1)).sum()
    added = sum(map(float, defended.losses)) - sum(map(float, model.losses))
    assert added == pytest.approx(0.5 * total, rel=1e-4)
    assert defended.get_layer("conv2").get_config()["kernel_regularizer"]["config"] == {"alpha": 0.5}


def test_the_penalties_on_the_maps_and_on_the_kernel_of_one_layer_may_be_joined() -> None:
    penalty = KernelTotalVariation(0.5)
    both = defend(defend(small(conv()), "conv", penalty), "conv", PENALTY).get_layer("conv")
    assert (both.kernel_regularizer.alpha, both.activity_regularizer.alpha) == (0.5, 0.5)
    assert both.kernel_regularizer is not penalty


def test_the_callback_sets_and_measures_the_penalty_of_a_relu(model: keras.Model) -> None:
    defended = defend(model, "relu1", TotalVariation(0.5))
    callback = TVLossCallback(IMAGES, alpha=0.25, ramp_epochs=1, layer="relu1")
    logs = train(defended, IMAGES, LABELS, epochs=2, callbacks=[callback], verbose=0).history
    assert logs["tv_weight"] == [0, 0.25]
    assert logs["total_variation"][-1] == pytest.approx(variation(seen(defended, "relu1")), rel=1e-4)


def test_blur_and_penalty_may_be_joined(model: keras.Model) -> None:
    defended = defend(defend(model, "relu1", FixedBlur(3, name="blur")), "blur", TotalVariation(0.5))
    assert isinstance(defended.get_layer("blur").activity_regularizer, TotalVariation)
    np.testing.assert_allclose(seen(defended, "blur"), box(seen(model, "relu1"), 3), atol=1e-5)


def test_the_layer_may_be_an_output_and_the_structure_stays() -> None:
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    maps = keras.layers.Conv2D(4, 3, name="conv")(left + right)
    outputs = {"maps": maps, "pooled": keras.layers.GlobalAveragePooling2D(name="pool")(maps)}
    model = keras.Model({"left": left, "right": right}, outputs)
    defended = defend(model, "conv", FixedBlur(3))
    images = {"left": IMAGES[:, :8, :8], "right": IMAGES[:, 8:16, 8:16]}
    expected, result = model(images), defended(images)
    assert list(result) == list(expected)
    blurred = box(np.asarray(expected["maps"]), 3)
    np.testing.assert_allclose(result["maps"], blurred, atol=1e-5)
    np.testing.assert_allclose(result["pooled"], blurred.mean(axis=(1, 2)), atol=1e-5)


def test_a_sequential_model_becomes_a_functional_one() -> None:
    model = keras.Sequential(
        [
            keras.layers.Normalization(name="norm"),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.Dropout(0.5, seed=1, name="drop"),
            keras.layers.GlobalMaxPooling2D(name="pool"),
        ],
        name="seq",
    )
    model.layers[0].adapt(IMAGES)
    sentence = (
        "`model` must be a functional or a built Sequential model: a defence is put into the graph of its layers. "
        "Received: a model of class Sequential"
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        defend(model, "conv", FixedBlur(3))
    model(IMAGES)
    np.testing.assert_allclose(defend(model, "conv", FixedBlur(1))(IMAGES), model(IMAGES), atol=1e-6)
    defended = defend(model, "conv", FixedBlur(3))
    maps = model.layers[1](model.layers[0](IMAGES))
    np.testing.assert_allclose(defended(IMAGES), box(np.asarray(maps), 3).max(axis=(1, 2)), atol=1e-5)


def backbone() -> list[keras.layers.Layer]:
    return [
        keras.Input((32, 32, 3), name="inner_image"),
        keras.layers.Conv2D(4, 3, activation="relu", trainable=False, name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.GlobalAveragePooling2D(name="pool"),
    ]


@pytest.fixture(params=["functional", "sequential"])
def siamese(request: pytest.FixtureRequest) -> keras.Model:
    """An inner model that sees two images, and a layer that is shared between the outer model and another inner one."""
    keras.utils.set_random_seed(0)
    base = keras.Sequential(backbone(), name="base")
    if request.param == "functional":
        image, *layers = backbone()
        x = image
        for layer in layers:
            x = layer(x)
        base = keras.Model(image, x, name="base")
    tail, features = keras.layers.Dense(4, name="tail"), keras.Input((4,), name="features")
    head = keras.Model(features, tail(features), name="head")
    images = [keras.Input((32, 32, 3), name=name) for name in ("left", "right")]
    joined = keras.layers.Add(name="joined")([tail(base(images[0])), head(base(images[1]))])
    return keras.Model(images, joined, name="siamese")


def test_a_layer_of_an_inner_model_is_named_by_its_path(siamese: keras.Model) -> None:
    images = [IMAGES, IMAGES[::-1]]
    np.testing.assert_allclose(defend(siamese, "base/conv", FixedBlur(1))(images), siamese(images), atol=1e-6)
    defended = defend(siamese, "base/conv", FixedBlur(5))
    base = siamese.get_layer("base")
    maps = box(np.asarray(base.get_layer("conv")(IMAGES)), 5)
    pooled = np.asarray(base.get_layer("norm")(maps)).mean(axis=(1, 2))
    np.testing.assert_allclose(defended(images), siamese.get_layer("tail")(pooled + pooled[::-1]), atol=1e-5)
    penalised = defend(siamese, "base/conv", TotalVariation(0.5)).get_layer("base").get_layer("conv")
    assert penalised.activity_regularizer.alpha == 0.5


@pytest.mark.parametrize("layer", ["base/conv", "first"])
def test_inner_models_keep_their_flags_and_what_they_share(siamese: keras.Model, layer: str) -> None:
    image = keras.Input((32, 32, 3), name="image")
    maps = keras.layers.Conv2D(3, 3, padding="same", name="first")(image)
    outer = keras.Model(image, siamese([maps, keras.ops.flip(maps, 2)]), name="outer")
    layer = f"siamese/{layer}" if "/" in layer else layer
    defended = defend(outer, layer, FixedBlur(1, name="blur"))
    np.testing.assert_allclose(defended(IMAGES), outer(IMAGES), atol=1e-6)
    names = [[weight.path.split("/")[-2:] for weight in one.trainable_weights] for one in (defended, outer)]
    assert names[0] == names[1]
    kept = [weight for weight in defended.weights if "blur/" not in weight.path]
    assert [weight.shape for weight in kept] == [weight.shape for weight in outer.weights]
    assert not {id(weight) for weight in defended.weights} & {id(weight) for weight in outer.weights}
    inner = defended.get_layer("siamese")
    assert inner.get_layer("tail") is inner.get_layer("head").get_layer("tail")


@keras.saving.register_keras_serializable(package="test_retrofit")
class Deaf(keras.layers.Layer):
    """Does not pass an activity_regularizer on."""

    def __init__(self, name: str | None = None, trainable: bool = True, dtype: Any = None) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)

    def call(self, inputs: Any) -> Any:
        return 2 * inputs


class Subclassed(keras.Model):
    def call(self, inputs: Any) -> Any:
        return inputs


class Doubling(keras.Model):
    """Built like a functional model, but its graph does not say what it computes."""

    def call(self, inputs: Any) -> Any:
        return 2 * super().call(inputs)


def small(*layers: keras.layers.Layer) -> keras.Model:
    image = keras.Input((8, 8, 3), name="image")
    x = image
    for layer in layers:
        x = layer(x)
    return keras.Model(image, x, name="small")


def conv(**arguments: Any) -> keras.layers.Layer:
    return keras.layers.Conv2D(3, 3, padding="same", name="conv", **arguments)


MODEL = small(conv())
SHARED = keras.layers.Conv2D(3, 3, padding="same", name="shared")
BLUR = FixedBlur(3, name="blur")
PENALTY = TotalVariation(0.5)
ON_KERNEL = KernelTotalVariation(0.5)


@pytest.mark.parametrize(
    ("build", "layer", "defense", "phrase"),
    [
        (lambda: small(conv()), "conv", "blur", "a TotalVariation or a KernelTotalVariation. Received: defense='blur'"),
        (
            Subclassed,
            "conv",
            BLUR,
            "`model` must be a functional or a built Sequential model: a defence is put into the graph of its layers. "
            "Received: a model of class Subclassed",
        ),
        (
            lambda: Doubling(MODEL.input, MODEL.output),
            "conv",
            BLUR,
            "`model` must be a functional or a built Sequential model: a defence is put into the graph of its layers. "
            "Received: a model of class Doubling",
        ),
        (
            lambda: small(conv()),
            "conv1",
            BLUR,
            "`layer` must name a layer of the model. Received: layer='conv1'. Close names: conv",
        ),
        (
            lambda: small(small(conv())),
            "conv",
            BLUR,
            "`layer` must name a layer of the model. Received: layer='conv'. Close names: small/conv",
        ),
        (
            lambda: small(conv()),
            "x",
            BLUR,
            "`layer` must name a layer of the model. Received: layer='x'. `model.summary()` lists its layers",
        ),
        (
            lambda: small(conv()),
            "image",
            BLUR,
            "`layer` must name a layer that is no input. Received: layer='image'. To filter the images, put the model "
            "behind a blur: keras.Sequential([keras.Input(shape), FixedBlur(3), model])",
        ),
        (
            lambda: small(SHARED, SHARED),
            "shared",
            BLUR,
            "`layer` must name a layer that is called once. Received: layer='shared', which is called more often",
        ),
        (
            lambda: small(SHARED, small(SHARED)),
            "shared",
            PENALTY,
            "`layer` must name a layer that is called once. Received: layer='shared', which is called more often",
        ),
        (
            lambda: small(keras.layers.Flatten(name="flat")),
            "flat",
            PENALTY,
            "`layer` must name a layer that gives maps (n, H, W, channels) with known channels. "
            "Received: layer='flat', which gives shape=(None, 192)",
        ),
        (
            lambda: small(keras.layers.UnitNormalization(name="unit"), keras.layers.Flatten(name="blur")),
            "unit",
            BLUR,
            "`defense` must have a name that is free in the model. Received: name='blur'. "
            "Give it another: FixedBlur(..., name=...)",
        ),
        (
            lambda: small(conv()),
            "conv",
            keras.layers.MaxPooling2D(),
            "`defense` must keep the shape of the maps. "
            "Received: MaxPooling2D, which makes (None, 4, 4, 3) of (None, 8, 8, 3)",
        ),
        (
            lambda: small(
                keras.layers.ReLU(name="relu"), keras.layers.MaxPool2D(data_format="channels_first", name="p")
            ),
            "relu",
            BLUR,
            "`model` must have channels last throughout. Received: layer 'p' with data_format='channels_first'",
        ),
        (
            lambda: small(conv(activity_regularizer="l2")),
            "conv",
            PENALTY,
            "activity_regularizer. Received: layer='conv', which has one: L2",
        ),
        (
            lambda: small(Deaf(name="deaf")),
            "deaf",
            PENALTY,
            "activity_regularizer. Received: layer='deaf' of class Deaf. "
            "Put a keras.layers.Identity after it with `defend`, and the penalty on that",
        ),
        (
            lambda: small(conv(kernel_regularizer="l2")),
            "conv",
            ON_KERNEL,
            "kernel_regularizer. Received: layer='conv', which has one: L2",
        ),
        (
            lambda: small(keras.layers.ReLU(name="relu")),
            "relu",
            ON_KERNEL,
            "kernel_regularizer. Received: layer='relu' of class ReLU. Name a Conv2D",
        ),
        (
            lambda: small(keras.layers.DepthwiseConv2D(3, name="depthwise")),
            "depthwise",
            ON_KERNEL,
            "kernel_regularizer. Received: layer='depthwise' of class DepthwiseConv2D",
        ),
    ],
)
def test_what_cannot_be_defended_is_an_error(
    build: Callable[[], keras.Model], layer: str, defense: Any, phrase: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(phrase)):
        defend(build(), layer, defense)


def test_the_way_out_of_a_layer_that_cannot_have_a_penalty() -> None:
    model = small(Deaf(name="deaf"))
    defended = defend(defend(model, "deaf", keras.layers.Identity(name="maps")), "maps", PENALTY)
    defended.compile(loss="mse")
    images = IMAGES[:, :8, :8]
    added = defended.evaluate(images, 2 * images, verbose=0)
    assert added == pytest.approx(0.5 * variation(2 * images), rel=1e-5)


def test_the_package_offers_it() -> None:
    assert blurnet_tf.defend is defend
