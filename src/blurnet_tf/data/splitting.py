"""Choosing the test images of a dataset of tracks: whole tracks, or single images as is common practice.

A track is one sign that a car drives up to: its frames are near duplicates. A test set that shares tracks with the
training set measures memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.checks import check_integer

_TRACKS, _RANDOM = 1, 2  # the first word of each random stream
_STARTS = 10


def choose_tracks(
    labels: NDArray[np.str_], tracks: NDArray[np.str_], *, seed: int = 0, test_share: float = 0.2
) -> NDArray[np.bool_]:
    r"""Choose whole tracks for the test set, with the classes in balance.

    The best of ten searches. Each begins with a random choice; single tracks change sides, the most useful one first,
    as long as that lowers

        sum_c (t_c / n_c - test_share)^2 + #{c : on one side only, though in two tracks or more} * (number of classes),

    where class ``c`` has ``n_c`` images, ``t_c`` of them in the test set. A class in one track only is trained on. A
    class in two tracks or more is on both sides, unless its tracks show other signs too and those forbid it.

    Args:
        labels: The class of each image, (n,).
        tracks: The track of each image, (n,). A track may show signs of several classes.
        seed: Not negative. The same seed gives the same choice.
        test_share: The share of each class that the test set should have, above 0 and below 1.

    Returns:
        bool (n,): whether an image belongs to the test set. The images of a track all have the same value.

    Raises:
        ValueError: An argument is outside its range.

    Example:
        >>> choose_tracks(np.array(["stop"] * 4), np.array(["a", "a", "b", "c"]), test_share=0.5).tolist()
        [False, False, True, True]
    """
    _check(labels, tracks, seed, test_share)
    _, which_track = np.unique(tracks, return_inverse=True)
    names, which_class = np.unique(labels, return_inverse=True)
    if not names.size:
        return np.zeros(0, np.bool_)
    counts = np.zeros((which_track.max() + 1, len(names)), np.int64)
    np.add.at(counts, (which_track, which_class), 1)
    total, present = counts.sum(0), counts > 0
    shared = present.sum(0) > 1

    def cost(images: NDArray[np.int64], in_test: NDArray[np.int64]) -> NDArray[np.float64]:
        alone = shared & ((in_test == 0) | (in_test == present.sum(0)))
        result: NDArray[np.float64] = ((images / total - test_share) ** 2).sum(-1) + alone.sum(-1) * len(names)
        return result

    rng = np.random.default_rng([_TRACKS, seed])
    best, chosen = np.inf, np.zeros(len(counts), np.bool_)
    for _ in range(_STARTS):
        test = rng.random(len(counts)) < test_share
        now = float(cost(counts[test].sum(0), present[test].sum(0)))
        while True:
            sign = np.where(test, -1, 1)[:, None]  # of what the test set gains, should the track change sides
            costs = cost(counts[test].sum(0) + sign * counts, present[test].sum(0) + sign * present)
            change = int(np.argmin(costs))
            if not costs[change] < now - 1e-9:
                break
            now = float(costs[change])
            test[change] = not test[change]
        if now < best - 1e-9:
            best, chosen = now, test
    return chosen[which_track]


def choose_images(
    labels: NDArray[np.str_], tracks: NDArray[np.str_], *, seed: int = 0, test_share: float = 0.2
) -> NDArray[np.bool_]:
    """Choose single images for the test set, the same share of each class, without a look at their tracks.

    Common practice, and it leaks: a test image has its neighbours in the training set. Arguments, result and errors are
    those of `choose_tracks`. A class of two images or more has at least one on either side.

    Example:
        >>> choose_images(np.array(["stop"] * 4), np.array(["a", "a", "b", "c"]), test_share=0.5).sum()
        np.int64(2)
    """
    _check(labels, tracks, seed, test_share)
    rng = np.random.default_rng([_RANDOM, seed])
    test = np.zeros(len(labels), np.bool_)
    for name in np.unique(labels):
        (places,) = np.nonzero(labels == name)
        wanted = round(test_share * len(places))
        if len(places) > 1:
            wanted = min(max(wanted, 1), len(places) - 1)
        test[rng.permutation(places)[:wanted]] = True
    return test


def one_sided(labels: NDArray[np.str_], test: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the classes that have no image on one of the two sides, in alphabetical order."""
    return tuple(np.setxor1d(labels[test], labels[~test]).tolist())


def _check(labels: NDArray[np.str_], tracks: NDArray[np.str_], seed: Any, test_share: Any) -> None:
    if labels.ndim != 1 or labels.shape != tracks.shape:
        raise ValueError(
            f"`labels` and `tracks` must have the same shape, (n,). Received: shapes {labels.shape} and {tracks.shape}"
        )
    check_integer("seed", seed, 0)
    if isinstance(test_share, bool) or not isinstance(test_share, (int, float)) or not 0 < test_share < 1:
        raise ValueError(f"`test_share` must be a number above 0 and below 1. Received: test_share={test_share!r}")
