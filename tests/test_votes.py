"""The head of bounded votes, and the network that it ends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf import lisa_cnn
from blurnet_tf.defenses import BoundedVotes
from blurnet_tf.models import VARIANTS, Defense, Variant, build_network

RNG = np.random.default_rng(3)
MAPS = RNG.normal(0, 3, (4, 5, 6, 7)).astype(np.float32)


def head(**settings: Any) -> BoundedVotes:
    layer = BoundedVotes(3, **{"seed": 1, **settings})
    layer.build(MAPS.shape)
    layer.bias.assign(RNG.normal(size=(5, 6, 3)))
    return layer


@pytest.mark.parametrize("bound", [0.5, 1.0, 4.0])
def test_the_logits_are_the_sum_of_what_each_place_says(bound: float) -> None:
    layer = head(bound=bound)
    said = np.einsum("nhwc,hwck->nhwk", MAPS.astype(np.float64), layer.kernel.numpy()) + layer.bias.numpy()
    votes = bound * np.tanh(said / bound)
    np.testing.assert_allclose(layer.votes(tf.constant(MAPS)), votes, rtol=0, atol=1e-5 * bound)
    np.testing.assert_allclose(layer(MAPS), 0.1 * votes.sum(axis=(1, 2)), rtol=0, atol=1e-5 * bound)


def test_no_place_says_more_than_the_bound_whatever_its_maps_are() -> None:
    layer, changed = head(bound=0.5), MAPS.copy()
    changed[:, 2, 3] = 1e6
    difference = np.asarray(layer(changed)) - np.asarray(layer(MAPS))
    assert np.abs(difference).max() <= 0.1 * 2 * 0.5 + 1e-6
    assert np.abs(difference).max() > 0.01


def test_it_is_saved_whole_and_gives_float32_under_a_mixed_policy(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input(MAPS.shape[1:]), BoundedVotes(3, bound=2.0, seed=1, name="votes")])
    model.save(tmp_path / "votes.keras")
    loaded = keras.saving.load_model(tmp_path / "votes.keras")
    np.testing.assert_array_equal(loaded(MAPS), model(MAPS))
    config = loaded.get_layer("votes").get_config()
    assert (config["classes"], config["bound"], config["seed"]) == (3, 2.0, 1)
    mixed = BoundedVotes(3, dtype="mixed_bfloat16")
    assert mixed(MAPS).dtype == "float32"
    assert mixed.kernel.dtype == "float32"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": 0}, "`classes` must be an integer of at least 1"),
        ({"classes": 3, "bound": 0.0}, "`bound` must be a finite number above 0"),
        ({"classes": 3, "bound": float("inf")}, "`bound` must be a finite number above 0"),
        ({"classes": 3, "bound": True}, "`bound` must be a finite number above 0"),
    ],
)
def test_a_wrong_setting_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoundedVotes(**settings)


@pytest.mark.parametrize("shape", [(4, 7), (None, None, 6, 7), (None, 5, 6, None)])
def test_maps_of_an_unknown_size_are_an_error(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(ValueError, match="expects maps"):
        BoundedVotes(3).build(shape)


def test_a_sticker_reaches_only_the_places_that_see_it() -> None:
    model = build_network("vote_cnn", seed=0)
    votes = keras.Model(model.input, model.get_layer("logits").input)
    clean = RNG.uniform(0, 1, (1, 32, 32, 3)).astype(np.float32)
    painted = clean.copy()
    painted[:, 16:18, 16:18] = 1 - painted[:, 16:18, 16:18]
    maps = [model.get_layer("logits").votes(votes(one)).numpy() for one in (clean, painted)]
    rows, columns = np.nonzero(np.abs(maps[1] - maps[0]).max(axis=(0, 3)) > 1e-6)
    # A place sees 8x8 pixels and the next one begins 2 further, so that 2x2 pixels are seen from at most 5x5 places.
    assert 0 < np.ptp(rows) + 1 <= 5
    assert 0 < np.ptp(columns) + 1 <= 5


def test_the_network_is_built_with_defences_and_from_the_weights_of_another() -> None:
    variant = Variant(
        name="mine",
        title="mine",
        network="vote_cnn",
        defenses=(Defense(after="conv1", layer="FixedBlur", settings={"size": 3, "name": "blur"}),),
    )
    assert Variant.from_settings(variant.settings(), title="mine") == variant
    model = build_network(variant, classes=5, image_size=(40, 24), seed=2, dtype="mixed_bfloat16")
    assert [layer.name for layer in model.layers] == ["image", "conv1", "blur", "conv2", "conv3", "logits"]
    assert model(np.zeros((2, 40, 24, 3), np.float32)).dtype == "float32"
    assert VARIANTS["vote_cnn"].settings() == {"name": "vote_cnn", "network": "vote_cnn"}


def test_what_is_no_lisa_cnn_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="build_network"):
        lisa_cnn("vote_cnn")
    with pytest.raises(ValueError, match=re.escape("`network` must be one of lisa_cnn, vote_cnn")):
        build_network(Variant(name="x", title="x", network="resnet"))
