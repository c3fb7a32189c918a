"""The binarization test: attacks that see the gradient pass, those from which it is hidden fail."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from traces import counted

from blurnet_tf import lisa_cnn
from blurnet_tf.attacks import RP2, GradientAttack, SquareAttack, load_mask
from blurnet_tf.data import rp2_release
from blurnet_tf.evaluation.binarization import BinarizationResult, binarization_test

SIZE, N = 8, 6
RNG = np.random.default_rng(5)
IMAGES = RNG.uniform(0.1, 0.9, (N, SIZE, SIZE, 3)).astype(np.float32)
MASK = np.zeros((SIZE, SIZE, 1), np.float32)
MASK[2:6, 2:7] = 1
FIRST = (RNG.normal(size=(SIZE * SIZE * 3, 24)) / 8).astype(np.float32)
LAST = (RNG.normal(size=(24, 10)) / 4).astype(np.float32)
STICKERS = RP2(steps=60, sharing="per_image", basis="paint", norm=None, loss="margin")


def features(images: Any) -> Any:
    return tf.nn.tanh(tf.reshape(images, [-1, SIZE * SIZE * 3]) @ FIRST)


def model(images: Any) -> Any:
    return features(images) @ LAST


def run(model: Any, attack: Any = STICKERS, **settings: Any) -> BinarizationResult:
    return binarization_test(model, IMAGES, MASK, attack, **{"samples": 60, **settings})


def test_an_attack_that_sees_the_gradient_passes() -> None:
    result = run(model)
    assert (result.n, result.skipped, result.attack, result.samples) == (N, 0, "RP2", 60)
    assert result.attack_success == 1
    assert result.random_success <= 0.5
    assert result.flag() is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack",
    [
        GradientAttack(method="pgd", epsilon=1.0, step_size=0.2, steps=12),
        SquareAttack(steps=400, sharing="per_image"),
        RP2(steps=60, sharing="per_image", basis="paint", norm=None, loss="margin", restarts=2),
    ],
    ids=["pgd", "square", "restarts"],
)
def test_so_do_other_attacks_that_are_able(attack: Any) -> None:
    assert run(model, attack).attack_success == 1


@pytest.mark.slow
def test_features_may_be_given() -> None:
    result = run(model, features=features)
    assert result.n == N
    assert result.attack_success == 1
    maps = run(model, features=lambda images: tf.reshape(features(images), [-1, 2, 3, 4]))
    assert maps == result


@tf.custom_gradient
def without_gradient(images: Any) -> Any:
    return model(images), lambda upstream: tf.zeros_like(images)


@pytest.mark.parametrize(
    "hidden",
    [without_gradient, lambda x: model(tf.round(x * 16) / 16), lambda x: model(tf.stop_gradient(x))],
    ids=["zero", "quantised", "none"],
)
def test_a_hidden_gradient_fails(hidden: Any) -> None:
    result = run(hidden)
    assert result.n == N
    assert result.attack_success < 0.5
    flag = result.flag()
    assert flag is not None
    assert flag.name == "attack_fails_binarization"
    assert f"on {result.attack_success:.1%} of 6 images, 60 random stickers on" in flag.sentence


@pytest.mark.slow
def test_an_attack_without_gradients_passes_where_the_gradient_is_hidden() -> None:
    assert run(without_gradient, SquareAttack(steps=400, sharing="per_image")).attack_success == 1


@pytest.mark.slow
def test_a_saturated_model_fails_with_the_cross_entropy_and_passes_with_the_margin() -> None:
    def sure(images: Any) -> Any:
        return 1e4 * model(images)

    entropy = RP2(steps=60, sharing="per_image", basis="paint", norm=None)
    assert run(model, entropy).attack_success == 1
    assert run(sure, entropy).attack_success < 0.5
    assert run(sure).attack_success == 1


def test_a_weak_attack_fails() -> None:
    assert run(model, RP2(steps=1, sharing="per_image", basis="paint", norm=None)).flag() is not None


def test_the_same_seed_gives_the_same_result_and_another_one_other_stickers() -> None:
    weak = GradientAttack(method="fgm", epsilon=1.0)
    results = [run(model, weak, seed=seed, samples=20) for seed in (2, 2, 3)]
    assert results[0] == results[1]
    assert results[0] != results[2]


@pytest.mark.parametrize(
    "dull", [lambda images: 0 * model(images) + LAST[0], lambda images: model(images) * np.nan], ids=["constant", "nan"]
)
def test_a_model_that_no_sticker_changes_has_no_adversarial_example(dull: Any) -> None:
    result = run(dull)
    assert (result.n, result.skipped, result.attack_success, result.random_success) == (0, N, 0, 0)
    flag = result.flag()
    assert flag is not None
    assert "For none of 6 images" in flag.sentence


def test_the_attack_is_compiled_once_for_all_images() -> None:
    network = counted(model)
    run(network)
    assert network.traced <= 2


@pytest.mark.slow
def test_more_images_than_fit_into_a_batch_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blurnet_tf.evaluation.binarization.batch_of", lambda size: 4)
    result = run(model, SquareAttack(steps=400, sharing="per_image"))
    assert (result.n, result.attack_success) == (N, 1)


@pytest.mark.parametrize(("rate", "flagged"), [(0.94, True), (0.95, False), (1.0, False)])
def test_the_papers_threshold_is_95_per_cent(rate: float, flagged: bool) -> None:
    assert (BinarizationResult("RP2", 100, 0, rate, 0.1, 100).flag() is not None) == flagged


@pytest.mark.slow
@pytest.mark.realdata
def test_on_the_released_network_the_attack_passes_and_without_a_gradient_fails(rp2_folder: Path) -> None:
    network = lisa_cnn(weights=rp2_release.load_weights(rp2_folder))
    images = rp2_release.load_victims(rp2_folder).images[::5]
    with pytest.warns(UserWarning, match="stray pixels"):
        mask = load_mask(rp2_folder / rp2_release.STICKER_MASK)
    attack = RP2(steps=60, sharing="per_image", basis="paint", norm=None, loss="margin")
    result = binarization_test(network, images, mask, attack)
    assert (result.n, result.flag()) == (8, None)
    last = keras.Model(network.input, network.get_layer("flatten").output)
    assert binarization_test(network, images[:4], mask, attack, features=last).flag() is None
    hidden = binarization_test(lambda x: network(tf.stop_gradient(x)), images, mask, attack)
    assert hidden.attack_success == 0


@pytest.mark.parametrize(
    ("settings", "phrase"),
    [
        ({"attack": RP2()}, "`attack` must find a sticker for each image. Received: RP2("),
        ({"samples": 9}, "`samples` must be an integer of at least 10. Received: samples=9"),
        ({"seed": 0.5}, "`seed` must be an integer of 32 bits"),
        ({"mask": 0 * MASK}, "`mask` must be above 0 somewhere"),
        ({"images": 2 * IMAGES}, "`images` must lie in [0, 1]"),
    ],
)
def test_a_bad_argument_is_an_error(settings: dict[str, Any], phrase: str) -> None:
    arguments = {"images": IMAGES, "mask": MASK, "attack": STICKERS, **settings}
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
        binarization_test(model, **arguments)
    assert phrase in str(error.value)
