"""Choosing test images: whole tracks, balanced classes, and the leaking choice of single images."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurnet_tf.data.splitting import choose_images, choose_tracks, one_sided

SHARE = 0.2


def images_of(tracks: list[tuple[str, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and tracks of images: each track is a class and a number of images."""
    labels = [label for label, count in tracks for _ in range(count)]
    names = [f"t{index}" for index, (_, count) in enumerate(tracks) for _ in range(count)]
    return np.array(labels, np.str_), np.array(names, np.str_)


tracks_of_one_class = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 30)), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(tracks=tracks_of_one_class, seed=st.integers(0, 5))
def test_tracks_stay_whole_and_classes_stand_on_both_sides(tracks: list[tuple[str, int]], seed: int) -> None:
    labels, names = images_of(tracks)
    test = choose_tracks(labels, names, seed=seed)
    assert test.shape == labels.shape
    assert test.dtype == np.bool_
    assert not set(names[test]) & set(names[~test])
    for label in np.unique(labels):
        mine = labels == label
        if len(set(names[mine])) == 1:
            assert not test[mine].any()
        else:
            assert test[mine].any()
            assert not test[mine].all()


def test_the_share_is_kept_as_well_as_tracks_allow() -> None:
    labels, names = images_of([("a", 10)] * 20 + [("b", 7)] * 30 + [("c", 25), ("c", 25), ("c", 25), ("c", 25)])
    for seed in range(5):
        test = choose_tracks(labels, names, seed=seed, test_share=SHARE)
        assert test[labels == "a"].mean() == 0.2
        assert test[labels == "b"].mean() == 0.2
        assert test[labels == "c"].mean() == 0.25


def test_tracks_that_show_several_classes() -> None:
    labels = np.array(["a", "b", "a", "b", "a", "b"])
    names = np.array(["t", "t", "u", "u", "v", "v"])
    test = choose_tracks(labels, names)
    assert test.sum() == 2
    assert not set(names[test]) & set(names[~test])


def test_tracks_that_exclude_one_another_leave_a_class_on_one_side() -> None:
    labels = np.array(["a", "b", "b", "c", "c", "a"])  # three classes, each in two of three tracks
    names = np.array(["t", "t", "u", "u", "v", "v"])
    assert len(one_sided(labels, choose_tracks(labels, names))) == 1


@pytest.mark.parametrize("choose", [choose_tracks, choose_images])
def test_the_seed_decides(choose) -> None:  # type: ignore[no-untyped-def]
    labels, names = images_of([("a", 5), ("b", 6)] * 20)
    np.testing.assert_array_equal(choose(labels, names, seed=3), choose(labels, names, seed=3))
    assert not np.array_equal(choose(labels, names, seed=3), choose(labels, names, seed=4))
    np.testing.assert_array_equal(choose(labels, names), choose(labels, names, seed=0, test_share=0.2))


def test_no_images_at_all() -> None:
    assert choose_tracks(np.array([], np.str_), np.array([], np.str_)).shape == (0,)
    assert choose_images(np.array([], np.str_), np.array([], np.str_)).shape == (0,)


def test_single_images_are_drawn_from_every_class_alike() -> None:
    labels, names = images_of([("a", 50), ("b", 20), ("c", 2), ("d", 1)])
    test = choose_images(labels, names, seed=1)
    assert {label: int(test[labels == label].sum()) for label in "abcd"} == {"a": 10, "b": 4, "c": 1, "d": 0}
    assert set(names[test]) & set(names[~test])


def test_one_sided() -> None:
    labels = np.array(["b", "a", "c", "c"])
    assert one_sided(labels, np.array([True, False, True, False])) == ("a", "b")


@pytest.mark.parametrize("choose", [choose_tracks, choose_images])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": -1}, "`seed` must be an integer of at least 0. Received: seed=-1"),
        ({"seed": True}, "`seed` must be an integer of at least 0. Received: seed=True"),
        ({"test_share": 0}, "`test_share` must be a number above 0 and below 1. Received: test_share=0"),
        ({"test_share": 1.0}, "`test_share` must be a number above 0 and below 1. Received: test_share=1.0"),
        ({"test_share": "1"}, "`test_share` must be a number above 0 and below 1. Received: test_share='1'"),
    ],
)
def test_arguments_outside_their_range(choose, changes: dict[str, object], sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        choose(np.array(["a"]), np.array(["t"]), **changes)


def test_labels_and_tracks_belong_together() -> None:
    sentence = "`labels` and `tracks` must have the same shape, (n,). Received: shapes (2,) and (1,)"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        choose_tracks(np.array(["a", "b"]), np.array(["t"]))
