import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from blurnet_tf import CLASS_NAMES
from blurnet_tf.data import synthetic
from blurnet_tf.data.split import Split, read_split, save_split


def make(**changes: object) -> Split:
    fields: dict[str, object] = {"images": np.full((2, 4, 4, 3), 0.5, np.float64), "labels": [14, 1], "ids": ("a", "b")}
    fields["class_names"] = CLASS_NAMES
    return Split(**(fields | changes))  # type: ignore[arg-type]


def test_a_split_converts_its_arrays_once() -> None:
    split = make()
    assert split.images.dtype == np.float32
    assert split.labels.dtype == np.int32
    assert len(split) == 2
    assert split.class_names == CLASS_NAMES


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": np.zeros((4, 4, 3))}, "`images` must have the shape (n, H, W, 3). Received: shape=(4, 4, 3)"),
        ({"labels": [1]}, "`labels` must have the shape (2,), one for each image. Received: shape=(1,)"),
        ({"ids": ("a", "a")}, "`ids` must hold 2 different names. Received: 1 different"),
        ({"images": np.full((2, 4, 4, 3), 255.0)}, "`images` must lie in [0, 1]. Received: values from 255 to 255"),
        ({"images": np.full((2, 4, 4, 3), np.nan)}, "`images` must lie in [0, 1]. Received: values from nan to nan"),
        ({"labels": [1, 18]}, "`labels` must lie in 0..17. Received: values from 1 to 18"),
    ],
)
def test_what_does_not_fit_is_an_error(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        make(**changes)


def test_the_checksum_changes_with_each_part() -> None:
    split = make()
    others = [
        make(images=np.full((2, 4, 4, 3), 0.25)),
        make(labels=[14, 2]),
        make(ids=("a", "c")),
        dataclasses.replace(split, class_names=tuple(f"class{index}" for index in range(18))),
    ]
    assert make().sha256() == split.sha256()
    assert len({split.sha256(), *(other.sha256() for other in others)}) == 5


def test_a_stored_split_is_the_same(tmp_path: Path) -> None:
    victims = synthetic.victim_split()
    some = victims.select(victims.labels == victims.labels[0]).select([2, 0])
    assert some.ids == (victims.ids[2], victims.ids[0])
    save_split(tmp_path / "some.npz", some)
    assert read_split(tmp_path / "some.npz").sha256() == some.sha256()
    for damaged in (b"", (tmp_path / "some.npz").read_bytes()[:200], b"no archive"):
        (tmp_path / "some.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"some\.npz must hold images"):
            read_split(tmp_path / "some.npz")
