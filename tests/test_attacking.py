"""The white-box evaluation on small models."""

import keras
import numpy as np
import pytest

from blurnet_tf.attacks import RP2, Expectation, GradientAttack
from blurnet_tf.data.split import Split
from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.attacking import VIEWS, attack_and_score, cover, other_classes
from blurnet_tf.evaluation.scoring import predict
from blurnet_tf.models import layer_weights, lisa_cnn
from blurnet_tf.signs import CLASS_NAMES

RNG = np.random.default_rng(0)
MASK = np.zeros((32, 32, 1), np.float32)
MASK[10:20, 8:24] = 1


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return lisa_cnn("depthwise_3x3", seed=0)


@pytest.fixture(scope="module")
def split(model: keras.Model) -> Split:
    images = RNG.uniform(0, 1, (5, 32, 32, 3)).astype(np.float32)
    return Split(images=images, labels=predict(model, images), ids=tuple("abcde"), class_names=CLASS_NAMES)


def test_the_targets_are_all_classes_but_the_labels() -> None:
    split = Split(
        images=np.zeros((2, 4, 4, 3), np.float32), labels=np.array([2, 0], np.int32), ids=("a", "b"),
        class_names=("zero", "one", "two", "three"),
    )  # fmt: skip
    assert other_classes(split) == (1, 3)


def test_every_target_and_image_has_a_record_of_what_the_model_says(model: keras.Model, split: Split) -> None:
    targets = other_classes(split)[:3]
    attack = RP2(steps=4, penalty=0.5, seed=3)
    records, result = attack_and_score(attack, model, split, targets=targets, mask=MASK, source="mine")
    adversarial = result.apply(split.images)
    assert [(record.target, record.image) for record in records] == [
        (target, image) for target in targets for image in split.ids
    ]
    expected = np.concatenate([predict(model, one) for one in adversarial])
    assert [record.adversarial_prediction for record in records] == expected.tolist()
    assert {(record.source, record.victim, record.penalty, record.seed) for record in records} == {
        ("mine", "mine", 0.5, 3)
    }
    assert {(record.attack, record.attack_digest) for record in records} == {("RP2", attack.digest)}
    # What the attack itself counted after its last step is what is found in the records.
    for index, target in enumerate(targets):
        mine = [record for record in records if record.target == target]
        assert metrics.prediction_changed(mine).value == pytest.approx(result.history["success"][-1, index])


def test_an_attack_in_bfloat16_is_scored_by_the_model_in_float32(model: keras.Model, split: Split) -> None:
    coarse = lisa_cnn("depthwise_3x3", weights=layer_weights(model), dtype="mixed_bfloat16")
    targets = other_classes(split)[:2]
    records, result = attack_and_score(
        RP2(steps=3), coarse, split, targets=targets, mask=MASK, source="mine", victims={"mine": model}
    )
    expected = np.concatenate([predict(model, one) for one in result.apply(split.images)])
    assert [record.adversarial_prediction for record in records] == expected.tolist()
    assert [record.clean_prediction for record in records[:5]] == predict(model, split.images).tolist()


def test_any_attack_is_scored_on_several_victims(model: keras.Model, split: Split) -> None:
    victims = {"itself": model, "other": lisa_cnn("baseline", seed=1)}
    attack = GradientAttack(method="bim", steps=2)
    records, result = attack_and_score(attack, model, split, targets=None, mask=None, source="mine", victims=victims)
    assert [(record.victim, record.image) for record in records] == [
        (victim, image) for victim in victims for image in split.ids
    ]
    (adversarial,) = result.apply(split.images)
    expected = np.concatenate([predict(victim, adversarial) for victim in victims.values()])
    assert [record.adversarial_prediction for record in records] == expected.tolist()
    assert {(one.source, one.target, one.attack, one.penalty, one.seed) for one in records} == {
        ("mine", None, "bim", 0.0, 0)
    }


def test_plain_stickers_cover_the_mask_and_nothing_else(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)
    seen: list[np.ndarray] = []

    def model(images: object) -> np.ndarray:
        seen.append(np.asarray(images))
        return np.eye(18, dtype=np.float32)[np.zeros(len(seen[-1]), int)]

    records = cover(model, split, MASK, name="mine")
    stickers = [one for one in seen if np.abs(one - split.images).max() > 0]
    assert len(stickers) == 4
    inside = MASK[..., 0] > 0
    for sticker in stickers:
        np.testing.assert_array_equal(sticker[:, ~inside], split.images[:, ~inside])
    white, black, first, second = (sticker[:, inside] for sticker in stickers)
    assert (white == 1).all()
    assert (black == 0).all()
    for random in (first, second):
        np.testing.assert_array_equal(random, np.broadcast_to(random[:1], random.shape))  # the same on all images
        assert len(np.unique(random[0], axis=0)) == 1  # one colour
    assert np.abs(first - second).max() > 0
    assert [(record.attack, record.seed) for record in records[::5]] == [
        ("white", 0), ("black", 0), ("random", 0), ("random", 1),
    ]  # fmt: skip
    others = {(one.target, one.penalty, one.source, one.victim, one.attack_digest) for one in records}
    assert others == {(None, 0.0, "", "mine", "")}


def test_the_draws_are_the_same_each_time(model: keras.Model, split: Split) -> None:
    assert cover(model, split, MASK, name="mine") == cover(model, split, MASK, name="mine")


def test_plain_stickers_keep_to_the_colours_that_there_are(model: keras.Model, split: Split) -> None:
    colours = [(1.0, 1.0, 1.0), (0.2, 0.4, 0.6), (0.0, 0.0, 0.0)]
    records = cover(model, split, MASK, name="mine", colours=colours)
    assert [(record.attack, record.seed) for record in records[:: len(split)]] == [
        ("white", 0), ("random", 1), ("black", 2),
    ]  # fmt: skip
    assert records[: len(split)] == cover(model, split, MASK, name="mine")[: len(split)]


def test_under_a_view_clean_and_covered_images_are_seen_alike(model: keras.Model, split: Split) -> None:
    view = Expectation(brightness=0.2)
    nothing = np.zeros_like(MASK)
    records = cover(model, split, nothing, name="mine", colours=[(1.0, 1.0, 1.0)], view=view)
    assert {record.image for record in records} == {f"{one}@{draw}" for one in split.ids for draw in range(VIEWS)}
    assert all(one.clean_prediction == one.adversarial_prediction and one.dissimilarity == 0 for one in records)


def test_a_sticker_may_be_scored_on_other_images(model: keras.Model, split: Split) -> None:
    first, others = split.select(slice(0, 2)), split.select(slice(2, None))
    known = {"targets": [3], "mask": MASK, "source": "mine"}
    records, _ = attack_and_score(RP2(steps=2), model, first, scored=others, iterates=("last", "best"), **known)
    assert [record.image for record in records] == [*others.ids, *others.ids]
    assert [record.iterate for record in records] == ["last"] * len(others) + ["best"] * len(others)
    with pytest.raises(ValueError, match="`scored` must be left out"):
        attack_and_score(RP2(steps=2, sharing="per_image"), model, first, scored=others, **known)
