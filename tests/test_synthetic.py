"""The `synthetic` source: balance, determinism, held-out streams, victims, sheets."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from blurnet_tf.attacks.masks import STICKERS
from blurnet_tf.data import synthetic
from blurnet_tf.data.split import Split
from blurnet_tf.data.synthetic import class_sheet, train_split, victim_split
from blurnet_tf.signs import CLASS_NAMES, STOP

held_out_split = synthetic.test_split
SPLITS = pytest.mark.parametrize("render", [train_split, held_out_split], ids=["train", "test"])
EMPTY = Split(images=np.zeros((0, 32, 32, 3), np.float32), labels=np.zeros(0, np.int32), ids=(), class_names=())


@pytest.fixture(scope="module")
def small() -> Split:
    return train_split(per_class=12)


@pytest.fixture(scope="module")
def victims() -> Split:
    return victim_split()


def test_balance_and_names(small: Split) -> None:
    assert small.images.shape == (17 * 12, 32, 32, 3)
    counts = np.bincount(small.labels, minlength=len(CLASS_NAMES))
    assert counts[CLASS_NAMES.index("unused")] == 0
    assert (np.delete(counts, CLASS_NAMES.index("unused")) == 12).all()
    assert small.class_names == CLASS_NAMES
    for name, label in zip(small.ids, small.labels, strict=True):
        assert name.startswith(f"train-{CLASS_NAMES[label]}-")


def test_order_is_shuffled(small: Split) -> None:
    assert (np.diff(small.labels) < 0).sum() > 40


def test_about_half_of_the_pictures_are_grey(small: Split) -> None:
    grey = (small.images == small.images[..., :1]).all(axis=(1, 2, 3))
    assert 0.4 < grey.mean() < 0.6


def test_pictures_are_varied(small: Split) -> None:
    assert len({image.tobytes() for image in small.images}) == len(small)
    assert small.images.mean(axis=(1, 2, 3)).std() > 0.08
    assert small.images.std(axis=(1, 2, 3)).min() > 0.02  # none is blank


@SPLITS
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(render: Callable[..., Split]) -> None:
    assert render(per_class=2, seed=3).sha256() == render(per_class=2, seed=3).sha256()
    assert render(per_class=2, seed=3).sha256() != render(per_class=2, seed=4).sha256()


def test_victims_are_the_same_bytes_for_the_same_seed(victims: Split) -> None:
    assert victim_split().sha256() == victims.sha256()
    assert victim_split(seed=1).sha256() != victims.sha256()


def test_a_larger_split_holds_the_smaller_one(small: Split) -> None:
    place = {name: index for index, name in enumerate(small.ids)}
    few = train_split(per_class=2)
    np.testing.assert_array_equal(few.images, small.images[[place[name] for name in few.ids]])


def test_no_picture_is_in_both_splits() -> None:
    seen = [
        {image.tobytes() for image in render(per_class=3, seed=seed).images}
        for render in (train_split, held_out_split)
        for seed in (0, 1)
    ]
    assert len(set.union(*seen)) == sum(len(pictures) for pictures in seen) == 4 * 51


def test_pytest_does_not_take_the_test_split_for_a_test() -> None:
    assert held_out_split.__name__ == "test_split"
    assert getattr(held_out_split, "__test__", True) is False


def test_victims_are_40_stop_signs_named_by_distance_and_angle(victims: Split) -> None:
    assert victims.images.shape == (40, 32, 32, 3)
    assert (victims.labels == STOP).all()
    distances = ("05", "10", "15", "20", "25", "30", "35", "40")
    assert victims.ids == tuple(
        f"d{distance}_a{angle}" for distance in distances for angle in ("-30", "-15", "+00", "+15", "+30")
    )


def redness(images: np.ndarray) -> np.ndarray:
    """Red beyond green, as a share of red: 0 for grey and white, near 1 for the face of a stop sign."""
    return (images[..., 0] - images[..., 1]) / np.maximum(images[..., 0], 0.05)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_victim_is_red_where_the_stickers_go_and_has_its_word_between(seed: int) -> None:
    images = victim_split(seed=seed).images
    bars = np.concatenate([images[:, 5:9, 10:22], images[:, 23:27, 10:22]], axis=1)
    assert redness(bars).mean(axis=(1, 2)).min() > 0.35
    word = images[:, 11:21, 8:24]
    for image_bars, image_word in zip(redness(bars), redness(word), strict=True):
        assert image_word.min() < 0.6 * image_bars.mean()  # white strokes
    for left, top, right, bottom in STICKERS:
        assert redness(images[:, top:bottom, left:right]).mean(axis=(1, 2)).min() > 0.35


def test_victims_fill_the_frame(victims: Split) -> None:
    frontal = [index for index, name in enumerate(victims.ids) if name.endswith("+00")]
    middle = redness(victims.images[frontal])[:, 16]
    # the word crosses the middle row, so only the outermost red columns count
    for row in middle:
        red = np.flatnonzero(row > 0.3)
        assert red.min() <= 4
        assert red.max() >= 27


def test_distance_costs_sharpness(victims: Split) -> None:
    sharpness = [
        cv2.Laplacian(image[8:24, 8:24], cv2.CV_32F).std() / image[8:24, 8:24].std() for image in victims.images
    ]
    by_distance = np.reshape(sharpness, (8, 5)).mean(axis=1)
    assert by_distance[:3].min() > by_distance[-3:].max()


def test_class_sheet_has_a_row_for_each_class(small: Split) -> None:
    sheet = class_sheet(small, samples=3, scale=2)
    assert sheet.shape == (17 * 70, 230 + 4 * 70, 3)
    first_stop = np.rint(small.images[small.labels == STOP][0] * 255)
    top = 70 * sorted(set(small.labels)).index(STOP)
    np.testing.assert_array_equal(sheet[top : top + 64 : 2, 300:364:2], first_stop)
    assert (sheet[top : top + 64, :230] < 128).any()  # the name


@SPLITS
@pytest.mark.parametrize("per_class", [0, -3, 1.5, True])
def test_bad_per_class(render: Callable[..., Split], per_class: int) -> None:
    with pytest.raises(ValueError, match="`per_class` must be") as caught:
        render(per_class=per_class)
    assert str(caught.value) == f"`per_class` must be an integer of at least 1. Received: per_class={per_class!r}"


@pytest.mark.parametrize("render", [train_split, held_out_split, victim_split], ids=["train", "test", "victim"])
def test_bad_seed(render: Callable[..., Split]) -> None:
    with pytest.raises(ValueError, match="`seed` must be") as caught:
        render(seed=-1)
    assert str(caught.value) == "`seed` must be an integer of at least 0. Received: seed=-1"


@pytest.mark.parametrize("name", ["samples", "scale"])
def test_bad_class_sheet(victims: Split, name: str) -> None:
    with pytest.raises(ValueError, match="must be an integer") as caught:
        class_sheet(victims, **{name: 0})
    assert str(caught.value) == f"`{name}` must be an integer of at least 1. Received: {name}=0"


def test_sheet_of_nothing() -> None:
    with pytest.raises(ValueError, match="`split` must hold") as caught:
        class_sheet(EMPTY)
    assert str(caught.value) == "`split` must hold at least one image. Received: 0 images"
