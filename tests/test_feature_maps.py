import re
from collections.abc import Sequence

import keras
import numpy as np
import pytest

from blurnet_tf import lisa_cnn
from blurnet_tf.evaluation.feature_maps import layer_maps, map_layers, roughness

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
