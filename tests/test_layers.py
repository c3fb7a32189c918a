"""The blur layers against SciPy and OpenCV, under every precision, and through configuration and files."""

from __future__ import annotations

import doctest
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import cv2
import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from blurnet_tf.defenses import layers
from blurnet_tf.defenses.kernels import WINDOWS, blur_kernel
from blurnet_tf.defenses.layers import PADDINGS, FixedBlur, LearnableBlur

Array = NDArray[np.float32]
SCIPY_MODE = {"same": "constant", "reflect": "mirror"}
OPENCV_BORDER = {"same": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101}
BLURS = [FixedBlur, LearnableBlur]


def random_maps(*shape: int) -> Array:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def exactly(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"


def blur_by_scipy(maps: Array, kernel: Array, padding: str) -> Array:
    """Correlate each channel with its slice of a (k, k, K) kernel."""
    result = np.empty_like(maps)
    for item in range(maps.shape[0]):
        for channel in range(maps.shape[3]):
            result[item, :, :, channel] = ndimage.correlate(
                maps[item, :, :, channel], kernel[:, :, channel], mode=SCIPY_MODE[padding]
            )
    return result


@pytest.fixture(scope="module", params=[(2, 11, 8, 3), (1, 16, 16, 64)], ids=["images", "64 maps"])
def maps(request: pytest.FixtureRequest) -> Array:
    return random_maps(*request.param)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("window", WINDOWS)
def test_fixed_blur_equals_scipy_and_opencv(maps: Array, window: str, size: int, padding: str) -> None:
    result = FixedBlur(size, window=window, padding=padding)(maps).numpy()
    assert result.dtype == np.float32
    plane = blur_kernel(window, size)
    by_scipy = ndimage.convolve(maps, plane[None, :, :, None], mode=SCIPY_MODE[padding])
    np.testing.assert_allclose(result, by_scipy, atol=2e-6)
    by_opencv = [cv2.filter2D(item, -1, plane, borderType=OPENCV_BORDER[padding]) for item in maps]
    np.testing.assert_allclose(result, by_opencv, atol=2e-6)


def test_fixed_blur_uses_sigma() -> None:
    maps = random_maps(1, 9, 9, 2)
    result = FixedBlur(5, window="gaussian", padding="reflect", sigma=0.7)(maps)
    by_opencv = cv2.GaussianBlur(maps[0], (5, 5), 0.7, borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(result[0], by_opencv, atol=2e-6)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_kernel_larger_than_the_map_sees_zeros_outside(window: str) -> None:
    maps = random_maps(2, 4, 3, 2)
    expected = ndimage.convolve(maps, blur_kernel(window, 7)[None, :, :, None], mode="constant")
    np.testing.assert_allclose(FixedBlur(7, window=window)(maps), expected, atol=2e-6)


def test_size_1_changes_nothing() -> None:
    maps = random_maps(2, 5, 5, 3)
    for padding in PADDINGS:
        np.testing.assert_array_equal(FixedBlur(1, padding=padding)(maps), maps)


@settings(max_examples=25, deadline=None)
@given(
    value=st.floats(-4, 4, width=32),
    half=st.integers(0, 3),
    window=st.sampled_from(WINDOWS),
    height=st.integers(4, 9),
    width=st.integers(4, 9),
)
def test_reflect_keeps_a_constant_image(value: float, half: int, window: str, height: int, width: int) -> None:
    image = np.full((1, height, width, 3), value, np.float32)
    result = FixedBlur(2 * half + 1, window=window, padding="reflect")(image)
    np.testing.assert_allclose(result, image, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("window", WINDOWS)
def test_zero_padding_darkens_the_margin_only(window: str) -> None:
    result = FixedBlur(3, window=window)(np.ones((1, 6, 6, 1), np.float32)).numpy()[0, :, :, 0]
    np.testing.assert_allclose(result[1:-1, 1:-1], 1, rtol=1e-6)
    margin = result.copy()
    margin[1:-1, 1:-1] = 0
    assert margin.max() < 0.9


def test_the_kernel_of_a_fixed_blur_stays_frozen() -> None:
    layer = FixedBlur(5)
    layer(random_maps(1, 8, 8, 3))
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    for one in (layer, model):
        one.trainable = False
        one.trainable = True
        assert layer.trainable_weights == []
        assert [weight.trainable for weight in layer.weights] == [False]
    assert layer.losses == []


@pytest.mark.parametrize("blur", BLURS)
def test_the_gradient_reaches_the_input(blur: type[keras.layers.Layer]) -> None:
    maps = tf.constant(random_maps(1, 6, 6, 2))
    layer = blur(3)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        loss = tf.reduce_sum(layer(maps) * maps)
    # the derivative of x.Bx is (B + B^T)x, and a symmetric kernel with zero padding has B = B^T
    np.testing.assert_allclose(tape.gradient(loss, maps), 2 * layer(maps), atol=1e-5)


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("padding", PADDINGS)
def test_batch_height_and_width_may_be_unknown(blur: type[keras.layers.Layer], padding: str) -> None:
    inputs = keras.Input((None, None, 2))
    outputs = blur(5, padding=padding)(inputs)
    assert outputs.shape == (None, None, None, 2)
    model = keras.Model(inputs, outputs)
    for shape in [(1, 8, 6, 2), (3, 5, 9, 2)]:
        maps = random_maps(*shape)
        expected = blur_by_scipy(maps, np.full((5, 5, 2), 1 / 25), padding)
        np.testing.assert_allclose(model(maps), expected, atol=2e-6)


@pytest.mark.parametrize("blur", BLURS)
def test_the_output_shape_is_the_input_shape(blur: type[keras.layers.Layer]) -> None:
    layer = blur(7)
    assert layer.compute_output_shape((None, 32, None, 64)) == (None, 32, None, 64)
    assert layer(keras.Input((32, 16, 3), batch_size=4)).shape == (4, 32, 16, 3)
    assert layer(keras.KerasTensor((2, 9, 9, 3), dtype="float32")).shape == (2, 9, 9, 3)


@pytest.mark.parametrize("blur", BLURS)
def test_a_tf_function_gives_the_eager_values(blur: type[keras.layers.Layer]) -> None:
    layer, maps = blur(5, padding="reflect"), random_maps(2, 8, 8, 3)
    compiled = tf.function(layer, input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    first = compiled(tf.constant(maps))  # the kernel is made within the graph
    np.testing.assert_allclose(first, layer(maps), atol=1e-6)


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize(
    ("policy", "dtype", "tolerance"),
    [
        ("mixed_bfloat16", "bfloat16", 0.03),
        ("mixed_float16", "float16", 0.003),
        ("float32", "float32", 1e-6),
        ("float64", "float64", 1e-7),
    ],
)
@pytest.mark.parametrize("padding", PADDINGS)
def test_the_output_has_the_compute_dtype(
    blur: type[keras.layers.Layer], policy: str, dtype: str, tolerance: float, padding: str
) -> None:
    maps = random_maps(1, 8, 8, 4)
    layer = blur(3, padding=padding, dtype=policy)
    result = layer(maps)
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    expected = blur_by_scipy(maps, np.full((3, 3, 4), 1 / 9), padding)
    np.testing.assert_allclose(tf.cast(result, "float64"), expected, atol=tolerance)
    assert keras.backend.standardize_dtype(layer(keras.KerasTensor(maps.shape)).dtype) == dtype


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 3, "window": "box", "padding": "same", "sigma": None},
        {"size": 7, "window": "gaussian", "padding": "reflect", "sigma": 0.1},
    ],
)
def test_the_configuration_of_fixed_blur_is_exact(arguments: dict[str, Any]) -> None:
    layer = FixedBlur(**arguments, name="blur")
    config = layer.get_config()
    assert set(config) == {"name", "trainable", "dtype", *arguments}
    assert {name: config[name] for name in arguments} == arguments
    assert {name: getattr(layer, name) for name in arguments} == arguments
    assert FixedBlur.from_config(config).get_config() == config
    assert keras.layers.deserialize(json.loads(json.dumps(keras.layers.serialize(layer)))).get_config() == config


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 3, "alpha": 0.0, "start": "box", "padding": "same", "seed": None},
        {"size": 5, "alpha": 0.1, "start": "random", "padding": "reflect", "seed": 7},
    ],
)
def test_the_configuration_of_learnable_blur_is_exact(arguments: dict[str, Any]) -> None:
    layer = LearnableBlur(**arguments, name="blur")
    config = layer.get_config()
    assert set(config) == {"name", "trainable", "dtype", *arguments}
    assert {name: config[name] for name in arguments} == arguments
    assert {name: getattr(layer, name) for name in arguments} == arguments
    assert LearnableBlur.from_config(config).get_config() == config
    assert keras.layers.deserialize(json.loads(json.dumps(keras.layers.serialize(layer)))).get_config() == config


def test_the_defaults_are_a_3x3_box_with_zero_padding() -> None:
    fixed, learned = FixedBlur(), LearnableBlur()
    assert (fixed.size, fixed.window, fixed.padding, fixed.sigma) == (3, "box", "same", None)
    assert (learned.size, learned.alpha, learned.start, learned.padding, learned.seed) == (3, 0.0, "box", "same", None)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[keras.Model, Array, Path]:
    inputs = keras.Input((8, 8, 3))
    x = FixedBlur(5, window="gaussian", padding="reflect", sigma=0.9, name="fixed")(inputs)
    x = LearnableBlur(3, alpha=0.1, start="random", seed=1, name="learned")(x)
    model = keras.Model(inputs, x)
    path = tmp_path / "model.keras"
    model.save(path)
    return model, random_maps(2, 8, 8, 3), path


def test_a_keras_file_gives_equal_outputs(saved: tuple[keras.Model, Array, Path]) -> None:
    model, maps, path = saved
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(loaded(maps), model(maps))
    for name in ("fixed", "learned"):
        assert loaded.get_layer(name).get_config() == model.get_layer(name).get_config()
    assert float(loaded.losses[0]) == float(model.losses[0])


OLD_CONFIGS: dict[type[keras.layers.Layer], dict[str, Any]] = {
    FixedBlur: {"name": "f", "size": 5, "kernel": "gaussian", "padding": "zero", "sigma": 0.9},
    LearnableBlur: {"name": "l", "size": 3, "alpha": 0.1, "start": "random", "padding": "zero", "seed": 7},
}
"""As older files have them."""


def test_older_configurations_are_read() -> None:
    fixed, learned = (blur.from_config(config) for blur, config in OLD_CONFIGS.items())
    assert (fixed.name, fixed.size, fixed.window, fixed.padding, fixed.sigma) == ("f", 5, "gaussian", "same", 0.9)
    assert (learned.size, learned.alpha, learned.start, learned.padding) == (3, 0.1, "random", "same")
    assert FixedBlur.from_config({"padding": "reflect"}).padding == "reflect"


def test_an_older_file_gives_equal_outputs(saved: tuple[keras.Model, Array, Path], tmp_path: Path) -> None:
    """Such a file has other words in its configuration, and no kernel of the fixed blur."""
    model, maps, path = saved
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    for layer in config["config"]["layers"]:
        if "window" in layer["config"]:
            layer["config"]["kernel"] = layer["config"].pop("window")
        if layer["config"].get("padding") == "same":
            layer["config"]["padding"] = "zero"
    (tmp_path / "weights.h5").write_bytes(parts["model.weights.h5"])
    with h5py.File(tmp_path / "weights.h5", "r+") as weights:
        assert len(weights["layers/fixed_blur/vars"]) == len(weights["layers/learnable_blur/vars"]) == 1
        del weights["layers/fixed_blur/vars/0"]
    parts |= {"config.json": json.dumps(config).encode(), "model.weights.h5": (tmp_path / "weights.h5").read_bytes()}
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    loaded = keras.saving.load_model(tmp_path / "old.keras")
    np.testing.assert_array_equal(loaded(maps), model(maps))
    assert float(loaded.losses[0]) == float(model.losses[0])


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("blur", BLURS)
def test_a_blur_is_a_depthwise_convolution_of_keras(blur: type[keras.layers.Layer], padding: str) -> None:
    layer = blur(5, padding=padding)
    maps = random_maps(2, 9, 8, 3)
    result = layer(maps)
    assert isinstance(layer, keras.layers.DepthwiseConv2D)
    assert (layer.kernel_size, layer.strides, layer.use_bias, layer.bias) == ((5, 5), (1, 1), False, None)
    plain = keras.layers.DepthwiseConv2D(5, padding="same" if padding == "same" else "valid", use_bias=False)
    plain.build(maps.shape)
    plain.set_weights(layer.get_weights())
    margin = ((0, 0), (2, 2), (2, 2), (0, 0))
    np.testing.assert_array_equal(result, plain(maps if padding == "same" else np.pad(maps, margin, "reflect")))


def test_the_summary_counts_the_kernels(saved: tuple[keras.Model, Array, Path]) -> None:
    model, _, _ = saved
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert re.search(r"fixed \(FixedBlur\).* 75 .*\n(.*\n)*.*learned \(LearnableBlur\).* 27 ", text)
    assert "Trainable params: 27 " in text
    assert "Non-trainable params: 75 " in text


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_quantising_does_what_it_does_to_a_depthwise_convolution() -> None:
    def quantised(*layers: keras.layers.Layer) -> keras.Model:
        model = keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Flatten(), keras.layers.Dense(2)])
        model.quantize("int8")
        return model

    model = quantised(FixedBlur(3, name="fixed"), LearnableBlur(3, name="learned"))
    plain = quantised(keras.layers.DepthwiseConv2D(3, name="plain"))
    assert "int8" in [weight.dtype for weight in model.layers[-1].weights]  # the dense layer
    names = {layer.dtype_policy.name for layer in (*model.layers[:2], plain.layers[0])}
    assert names == {"float32"}
    assert [layer.kernel.dtype for layer in (*model.layers[:2], plain.layers[0])] == ["float32"] * 3
    assert np.isfinite(model(random_maps(2, 8, 8, 3))).all()


def test_keras_exports_a_model_with_blurs(saved: tuple[keras.Model, Array, Path], tmp_path: Path) -> None:
    model, maps, _ = saved
    model.export(tmp_path / "export", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    np.testing.assert_allclose(loaded.serve(tf.constant(maps)), model(maps), atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("padding", PADDINGS)
def test_the_box_start_equals_the_fixed_box(size: int, padding: str) -> None:
    maps = random_maps(2, 9, 9, 4)
    expected = FixedBlur(size, padding=padding)(maps)
    np.testing.assert_allclose(LearnableBlur(size, padding=padding)(maps), expected, atol=1e-6)


@pytest.mark.parametrize("padding", PADDINGS)
def test_each_channel_is_correlated_with_its_own_filter(padding: str) -> None:
    maps = random_maps(2, 8, 7, 5)
    layer = LearnableBlur(3, start="random", padding=padding, seed=3)
    result = layer(maps)
    kernel = np.asarray(layer.kernel)[:, :, :, 0]
    assert kernel.shape == (3, 3, 5)
    np.testing.assert_allclose(result, blur_by_scipy(maps, kernel, padding), atol=2e-6)


def test_the_random_start_follows_its_seed() -> None:
    def start(seed: int) -> Array:
        layer = LearnableBlur(3, start="random", seed=seed)
        layer.build((None, 8, 8, 4))
        return np.asarray(layer.kernel)

    np.testing.assert_array_equal(start(5), start(5))
    assert np.abs(start(5) - start(6)).max() > 0
    assert start(5).std() > 0


def test_the_random_start_without_a_seed_follows_the_global_seed() -> None:
    def start() -> Array:
        keras.utils.set_random_seed(11)
        layer = LearnableBlur(3, start="random")
        layer.build((None, 8, 8, 4))
        return np.asarray(layer.kernel)

    np.testing.assert_array_equal(start(), start())


def test_the_penalty_is_equation_3() -> None:
    layer = LearnableBlur(5, alpha=0.1, start="random", seed=2)
    layer(random_maps(2, 8, 8, 6))
    kernel = np.asarray(layer.kernel)
    assert len(layer.losses) == 1
    assert float(layer.losses[0]) == pytest.approx(0.1 * np.abs(kernel).max((0, 1)).sum(), rel=1e-6)


def test_alpha_0_adds_no_loss() -> None:
    layer = LearnableBlur(5)
    layer(random_maps(1, 8, 8, 6))
    assert layer.losses == []


@pytest.mark.slow
def test_training_moves_the_filter_and_the_penalty_shrinks_its_largest_weight() -> None:
    def largest(alpha: float) -> float:
        model = keras.Sequential([keras.Input((8, 8, 2)), LearnableBlur(3, alpha=alpha, start="random", seed=0)])
        start = np.asarray(model.layers[0].kernel).copy()
        model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse")
        maps = random_maps(8, 8, 8, 2)
        model.fit(maps, maps, epochs=20, verbose=0)
        assert np.abs(np.asarray(model.layers[0].kernel) - start).max() > 0.01
        return float(np.abs(model.layers[0].kernel).max())

    assert largest(alpha=1.0) < 0.9 * largest(alpha=0.0)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_float32_weights_and_a_float32_penalty(policy: str) -> None:
    layer = LearnableBlur(3, alpha=0.1, dtype=policy)
    layer(random_maps(1, 8, 8, 64))
    assert layer.kernel.dtype == "float32"
    assert keras.backend.standardize_dtype(layer.losses[0].dtype) == "float32"
    assert float(layer.losses[0]) == pytest.approx(0.1 * 64 / 9, rel=1e-6)


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("shape", [(1, 2, 8, 3), (1, 8, 2, 3), (None, None, 2, 3)])
def test_maps_too_small_to_reflect_are_an_error(blur: type[keras.layers.Layer], shape: tuple[int | None, ...]) -> None:
    sentence = (
        f"{blur.__name__} with size=5 and padding='reflect' needs a height and width above 2. Received: shape={shape}"
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        blur(5, padding="reflect").build(shape)


@pytest.mark.parametrize("blur", BLURS)
def test_the_smallest_maps_that_reflect(blur: type[keras.layers.Layer]) -> None:
    maps = random_maps(1, 3, 3, 2)
    expected = blur_by_scipy(maps, np.full((5, 5, 2), 1 / 25), "reflect")
    np.testing.assert_allclose(blur(5, padding="reflect")(maps), expected, atol=1e-6)


@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("shape", [(8, 8, 3), (1, 8, 8, 3, 1), (None, 8, 8, None)])
def test_another_rank_or_unknown_channels_are_an_error(
    blur: type[keras.layers.Layer], shape: tuple[int | None, ...]
) -> None:
    sentence = (
        f"{blur.__name__} expects images or feature maps (n, H, W, channels) with known channels. "
        f"Received: shape={shape}"
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        blur(3).build(shape)


def test_a_call_with_another_rank_is_an_error() -> None:
    with pytest.raises(ValueError, match=re.escape("FixedBlur expects images or feature maps (n, H, W, channels)")):
        FixedBlur(3)(random_maps(8, 8, 3))


@pytest.mark.parametrize(
    ("blur", "arguments", "sentence"),
    [
        (FixedBlur, {"size": 4}, "`size` must be a positive odd integer. Received: size=4"),
        (LearnableBlur, {"size": True}, "`size` must be a positive odd integer. Received: size=True"),
        (FixedBlur, {"padding": "zero"}, "`padding` must be one of 'same', 'reflect'. Received: padding='zero'"),
        (LearnableBlur, {"padding": None}, "`padding` must be one of 'same', 'reflect'. Received: padding=None"),
        (LearnableBlur, {"start": "zeros"}, "`start` must be one of 'box', 'random'. Received: start='zeros'"),
        (
            LearnableBlur,
            {"strides": 2, "activation": "relu"},
            "LearnableBlur must have no other arguments of DepthwiseConv2D than `activity_regularizer`. "
            "Received: activation='relu', strides=2",
        ),
        (LearnableBlur, {"alpha": -1}, "`alpha` must be a finite number of at least 0. Received: alpha=-1"),
        (
            FixedBlur,
            {"window": "median"},
            "`window` must be one of 'box', 'gaussian', 'binomial'. Received: window='median'",
        ),
        (
            FixedBlur,
            {"sigma": 1.0},
            "`sigma` must be a positive number, given only with window='gaussian'. Received: sigma=1.0, window='box'",
        ),
    ],
)
def test_an_argument_outside_what_is_listed_is_an_error(
    blur: type[keras.layers.Layer], arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=exactly(sentence)):
        blur(**arguments)


def test_the_examples_of_the_docstrings_run() -> None:
    results = doctest.testmod(layers, extraglobs={"np": np}, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.attempted >= 3
    assert results.failed == 0
