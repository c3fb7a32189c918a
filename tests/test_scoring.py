import json
import re

import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf.attacks import RP2, batches
from blurnet_tf.data.split import Split
from blurnet_tf.evaluation.records import Record
from blurnet_tf.evaluation.scoring import predict, recall, score

ATTACK = RP2(penalty=0.25, seed=7)


def brightest_channel(images: tf.Tensor) -> tf.Tensor:
    """A classifier of three classes: the channel with the largest mean."""
    return tf.reduce_mean(images, axis=(1, 2))


def coloured(channel: int, level: float = 0.5) -> np.ndarray:
    image = np.zeros((4, 4, 3), np.float32)
    image[..., channel] = level
    return image


CLEAN = Split(
    images=np.stack([coloured(0), coloured(1)]),
    labels=np.array([0, 0]),
    ids=("red", "green"),
    class_names=("r", "g", "b"),
)


def test_a_record_holds_what_the_victim_says() -> None:
    adversarial = np.stack([coloured(2, 1.0), coloured(1)])
    records = score(brightest_channel, CLEAN, adversarial, attack=ATTACK, source="s", victim="v", target=2)
    common = {"label": 0, "source": "s", "victim": "v", "target": 2, "penalty": 0.25, "seed": 7}
    common |= {"attack": "RP2", "attack_digest": ATTACK.digest}
    # ||red at 0.5 - blue at 1|| / ||blue at 1||, 16 pixels each
    distance = np.sqrt(16 * (0.25 + 1.0)) / np.sqrt(16.0)
    assert records[0] == Record(
        image="red", clean_prediction=0, adversarial_prediction=2, dissimilarity=pytest.approx(distance), **common
    )
    assert records[1] == Record(
        image="green", clean_prediction=1, adversarial_prediction=1, dissimilarity=pytest.approx(0, abs=1e-5), **common
    )


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100, None])
def test_predictions_do_not_depend_on_the_batch(batch_size: int | None) -> None:
    images = np.random.default_rng(0).random((7, 4, 4, 3)).astype(np.float32)
    expected = images.mean(axis=(1, 2)).argmax(axis=1)
    predictions = predict(brightest_channel, images, batch_size=batch_size)
    assert predictions.dtype == np.int32
    np.testing.assert_array_equal(predictions, expected)


def test_a_batch_is_bounded_by_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_PIXELS", 3 * 4 * 4)
    seen = []

    def watched(images: tf.Tensor) -> tf.Tensor:
        seen.append(len(images))
        return brightest_channel(images)

    predict(watched, np.zeros((7, 4, 4, 3), np.float32))
    assert seen == [3, 3, 1]


def test_no_images_give_no_predictions() -> None:
    assert predict(brightest_channel, np.zeros((0, 4, 4, 3), np.float32)).shape == (0,)


def test_another_number_of_attacked_images_is_an_error() -> None:
    sentence = "`adversarial` must have the shape (2, 4, 4, 3) of the clean images. Received: shape=(1, 4, 4, 3)"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        score(brightest_channel, CLEAN, CLEAN.images[:1], attack=ATTACK, source="s", victim="v", target=2)


@pytest.mark.parametrize(
    ("predictions", "labels", "expected"),
    [
        ([0, 0, 1, 2], [0, 0, 1, 2], (1.0, 3, 3)),
        ([0, 0, 0, 2], [0, 0, 1, 2], (0.0, 2, 3)),  # a class that nothing is taken for
        ([0, 5, 5, 1, 1, 1], [0, 0, 0, 1, 1, 1], (1 / 3, 3, 2)),  # and one that no image has
        ([7, 7], [7, 7], (1.0, 1, 1)),
    ],
)
def test_the_recall_is_that_of_the_class_that_is_found_worst(
    predictions: list[int], labels: list[int], expected: tuple[float, int, int]
) -> None:
    found = recall(np.array(predictions, np.int32), np.array(labels, np.int32))
    assert tuple(found) == ("least_recall", "classes_predicted", "classes")
    assert tuple(found.values()) == pytest.approx(expected)
    assert json.loads(json.dumps(found)) == found


def test_a_rare_class_counts_as_much_as_a_frequent_one() -> None:
    labels = np.array([0] * 99 + [1], np.int32)
    assert recall(np.zeros(100, np.int32), labels)["least_recall"] == 0
    assert recall(labels[::-1], labels)["least_recall"] == 0
    assert recall(labels, labels)["least_recall"] == 1
