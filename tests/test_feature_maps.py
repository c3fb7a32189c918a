import re
from collections.abc import Sequence

import keras
import numpy as np
import pytest

from blurnet_tf import lisa_cnn
from blurnet_tf.evaluation.feature_maps import kernel_roughness, layer_maps, map_layers, roughness
from blurnet_tf.evaluation.spectra import RADIUS

IMAGES = np.random.default_rng(0).random((5, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("variant", "layers"),
    [
        ("baseline", ("conv1", "conv2", "conv3")),
        ("input_3x3", ("input_blur", "conv1", "conv2", "conv3")),
        ("depthwise_5x5", ("conv1", "depthwise", "conv2", "conv3")),
    ],
)
def test_the_layers_with_maps_are_named_in_order(variant: str, layers: tuple[str, ...]) -> None:
    assert map_layers(lisa_cnn(variant)) == layers


def test_maps_are_what_leaves_the_layers() -> None:
    model = lisa_cnn("feature_5x5", seed=0)
    maps = layer_maps(model, IMAGES)
    assert {name: value.shape for name, value in maps.items()} == {
        "conv1": (5, 16, 16, 64),
        "feature_blur": (5, 16, 16, 64),
        "conv2": (5, 6, 6, 128),
        "conv3": (5, 2, 2, 128),
    }
    np.testing.assert_array_equal(maps["conv1"], model.get_layer("conv1")(IMAGES))
    np.testing.assert_array_equal(maps["feature_blur"], model.get_layer("feature_blur")(maps["conv1"]))


def test_the_size_of_the_batches_changes_nothing() -> None:
    model = lisa_cnn(seed=0)
    maps = layer_maps(model, IMAGES, ["conv2"], batch_size=2)
    assert list(maps) == ["conv2"]
    np.testing.assert_allclose(maps["conv2"], layer_maps(model, IMAGES, ["conv2"])["conv2"], atol=1e-6)


def test_maps_are_float32_whatever_the_model_computes_in() -> None:
    assert layer_maps(lisa_cnn(dtype="mixed_bfloat16"), IMAGES, ["conv1"])["conv1"].dtype == np.float32


def test_a_sequential_model_has_maps_too() -> None:
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, name="only"), keras.layers.Flatten()])
    assert layer_maps(model, IMAGES[:, :8, :8, :1])["only"].shape == (5, 6, 6, 2)


@pytest.mark.parametrize(
    ("layers", "received"), [(["conv1", "conv9"], "conv1, conv9"), (["logits"], "logits"), ([], "none")]
)
def test_a_layer_without_maps_is_an_error(layers: Sequence[str], received: str) -> None:
    sentence = f"`layers` must be some of conv1, conv2, conv3. Received: {received}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        layer_maps(lisa_cnn(), IMAGES, layers)


def test_roughness_relative_to_their_size_is_that_of_maps_however_they_are_scaled() -> None:
    images = np.random.default_rng(0).uniform(0, 1, (3, 32, 32, 3)).astype(np.float32)
    model, scaled = lisa_cnn(seed=0, dtype="float32"), lisa_cnn(seed=0, dtype="float32")
    kernel, bias = scaled.get_layer("conv1").get_weights()
    scaled.get_layer("conv1").set_weights([3 * kernel, 3 * bias])
    one, three = roughness(model, images), roughness(scaled, images)
    assert three["total_variation"] == pytest.approx(3 * one["total_variation"], rel=1e-4)
    assert three["relative_total_variation"] == pytest.approx(one["relative_total_variation"], rel=1e-4)


def with_kernel(kernel: np.ndarray, variant: str = "baseline") -> keras.Model:
    """A model whose first layer has this kernel (h, w) in all of its windows, or kernels (h, w, 3, 64)."""
    model = lisa_cnn(variant, seed=0, dtype="float32")
    shape = model.get_layer("conv1").kernel.shape
    model.get_layer("conv1").kernel.assign(
        np.broadcast_to(kernel.reshape(*kernel.shape, *[1] * (4 - kernel.ndim)), shape)
    )
    return model


def high_pass(kernel: np.ndarray) -> float:
    """The share of the energy of windows beyond `RADIUS`, from a sum over all waves by hand."""
    frequencies = np.fft.fftfreq(32)
    places = np.arange(kernel.shape[0])
    waves = np.exp(-2j * np.pi * np.outer(frequencies, places))
    power = (np.abs(np.einsum("fu,gv,uvio->fgio", waves, waves, kernel.astype(np.float64))) ** 2).sum(axis=(2, 3))
    radius = np.hypot(frequencies[:, None], frequencies[None, :])
    return float(power[radius > RADIUS].sum() / power.sum())


@pytest.mark.parametrize("variant", ["baseline", "depthwise_3x3", "tvk_1"])
def test_the_roughness_of_the_kernels_is_numpys(variant: str) -> None:
    model = lisa_cnn(variant, seed=3)
    kernel = np.asarray(model.get_layer("conv1").kernel, np.float64)
    total = np.abs(np.diff(kernel, axis=0)).sum() + np.abs(np.diff(kernel, axis=1)).sum()
    found = kernel_roughness(model)
    assert found == {
        "kernel_total_variation": pytest.approx(total, rel=1e-5),
        "kernel_relative_total_variation": pytest.approx(total / np.abs(kernel).sum(), rel=1e-5),
        "kernel_high_pass": pytest.approx(high_pass(kernel), rel=1e-6),
    }
    assert all(type(value) is float for value in found.values())


def test_windows_of_one_value_are_smooth_and_checkerboards_are_rough() -> None:
    side = lisa_cnn().get_layer("conv1").kernel.shape[0]
    box = with_kernel(np.full((side, side), 0.25, np.float32))
    by_hand = high_pass(box.get_layer("conv1").kernel.numpy())
    assert list(kernel_roughness(box).values()) == [0, 0, pytest.approx(by_hand)]
    assert kernel_roughness(box)["kernel_high_pass"] < 0.1
    board = (-1.0) ** np.indices((side, side)).sum(axis=0)
    rough = kernel_roughness(with_kernel(board.astype(np.float32)))
    assert rough["kernel_high_pass"] == pytest.approx(1, abs=0.01)
    assert rough["kernel_relative_total_variation"] == pytest.approx(2 * 2 * side * (side - 1) / side**2)
    wave = np.tile(np.cos(2 * np.pi * np.arange(side) / side), (side, 1))  # one period over the window
    assert kernel_roughness(with_kernel(wave.astype(np.float32)))["kernel_high_pass"] < 0.2
    # A mean is a box filter: rounding beside it makes no kernel rough.
    noise = np.random.default_rng(0).normal(5, 1e-6, (side, side)).astype(np.float32)
    assert kernel_roughness(with_kernel(noise))["kernel_high_pass"] < 0.1


def test_the_shares_of_the_kernels_do_not_depend_on_their_size() -> None:
    kernel = np.asarray(lisa_cnn(seed=1).get_layer("conv1").kernel)
    one, three = kernel_roughness(with_kernel(kernel)), kernel_roughness(with_kernel(3 * kernel))
    assert three["kernel_total_variation"] == pytest.approx(3 * one["kernel_total_variation"], rel=1e-4)
    for name in ("kernel_relative_total_variation", "kernel_high_pass"):
        assert three[name] == pytest.approx(one[name], rel=1e-4)
