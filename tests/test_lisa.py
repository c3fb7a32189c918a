"""The prepared file of LISA and its splits: what is written is read again, what is damaged is named."""

import re
from pathlib import Path

import numpy as np
import pytest

from blurnet_tf.data import lisa
from blurnet_tf.data.lisa import Prepared
from blurnet_tf.signs import CLASS_NAMES

WAY_OUT = "`make data LISA_ROOT=<the official download>` prepares it."
ORDER = "images, labels, split, track, csv_row, source"


def make(**changes: object) -> Prepared:
    """Ten tracks of stop signs, ten of yield, one of a class that the model does not have; three images a track."""
    labels = ["stop"] * 30 + ["yield"] * 30 + ["dip"] * 3
    tracks = [f"vid0/{label}_{index // 3}.avi" for index, label in enumerate(labels)]
    fields: dict[str, object] = {
        "images": np.random.default_rng(0).integers(0, 256, (63, 32, 32, 3), np.uint8),
        "labels": np.array(labels),
        "split": np.array(["test" if index % 30 < 6 else "train" for index in range(63)]),
        "track": np.array(tracks),
        "csv_row": np.arange(63) * 2,
        "source": np.array(["native"] * 63),
    }
    return Prepared(**(fields | changes))  # type: ignore[arg-type]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    prepared, path = make(), tmp_path / "data" / "lisa" / "lisa32.npz"
    lisa.write_prepared(path, prepared)
    for again in (lisa.read_prepared(path), lisa.read_prepared(path.parent)):
        assert len(again) == 63
        for name in lisa.ARRAYS:
            np.testing.assert_array_equal(getattr(again, name), getattr(prepared, name))
            assert getattr(again, name).dtype == getattr(prepared, name).dtype
    assert [entry.name for entry in path.parent.iterdir()] == ["lisa32.npz"]


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        lisa.write_prepared(tmp_path / name, make())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_error_while_writing_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lisa32.npz"
    lisa.write_prepared(path, make())
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="no space"):
        lisa.write_prepared(path, make())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_take() -> None:
    some = make().take(np.array([2, 0]))
    assert some.csv_row.tolist() == [4, 0]
    assert len(make().take(make().labels == "dip")) == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"images": np.zeros((63, 32, 32, 3))},
            "`images` must be uint8 with the shape (n, 32, 32, 3). Received: float64, shape=(63, 32, 32, 3)",
        ),
        (
            {"images": np.zeros((63, 16, 16, 3), np.uint8)},
            "`images` must be uint8 with the shape (n, 32, 32, 3). Received: uint8, shape=(63, 16, 16, 3)",
        ),
        (
            {"labels": np.zeros(63, np.int64)},
            "`labels` must hold 63 strings, one for each image. Received: int64, shape=(63,)",
        ),
        (
            {"track": np.array(["a", "b"])},
            "`track` must hold 63 strings, one for each image. Received: str32, shape=(2,)",
        ),
        (
            {"csv_row": np.zeros(63)},
            "`csv_row` must hold 63 integers, one for each image. Received: float64, shape=(63,)",
        ),
        ({"csv_row": np.zeros(63, np.int64)}, "`csv_row` must hold different numbers. Received: 1 different of 63"),
        (
            {"split": np.array(["train"] * 62 + ["validation"])},
            "`split` must hold 'train' and 'test' only. Received: 'validation'",
        ),
    ],
)
def test_arrays_that_do_not_fit(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        make(**changes)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        lisa.read_prepared(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'lisa32.npz'} is not there. {WAY_OUT}"


def arrays(prepared: Prepared) -> dict[str, np.ndarray]:
    return {name: getattr(prepared, name) for name in lisa.ARRAYS}


def test_a_file_without_some_arrays(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    content = arrays(make())
    del content["track"], content["source"]
    np.savez(path, **content)
    with pytest.raises(ValueError, match="arrays") as caught:
        lisa.read_prepared(path)
    assert str(caught.value) == (f"{path} must hold the arrays {ORDER}. Received: none named track, source. {WAY_OUT}")


def test_a_file_with_an_array_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **(arrays(make()) | {"csv_row": np.arange(5)}))
    with pytest.raises(ValueError, match="csv_row") as caught:
        lisa.read_prepared(path)
    assert str(caught.value) == (
        f"{path}: `csv_row` must hold 63 integers, one for each image. Received: int64, shape=(5,). {WAY_OUT}"
    )


def test_a_file_with_pickles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **(arrays(make()) | {"labels": np.array(["stop"] * 63, object)}))
    with pytest.raises(ValueError, match="another kind of file"):
        lisa.read_prepared(path)


@pytest.mark.parametrize("damage", ["empty", "text", "npy", "cut", "flipped"])
def test_a_damaged_file(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.npz"
    lisa.write_prepared(path, make())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    if damage == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        path.write_bytes({"empty": b"", "text": b"hello", "cut": bytes(data[:-5000]), "flipped": bytes(data)}[damage])
    with pytest.raises(ValueError, match="must be a readable") as caught:
        lisa.read_prepared(path)
    assert str(caught.value).startswith(f"{path} must be a readable .npz file. Received: ")
    assert str(caught.value).endswith(WAY_OUT)


def test_find(tmp_path: Path) -> None:
    assert lisa.find([tmp_path]) is None
    path = tmp_path / "b" / "lisa" / "lisa32.npz"
    path.parent.mkdir(parents=True)
    path.touch()
    assert lisa.find([tmp_path / "a", tmp_path / "b"]) == path


def test_the_files_own_split_is_taken_as_it_stands(tmp_path: Path) -> None:
    lisa.write_prepared(tmp_path / "lisa32.npz", make())
    splits = lisa.make_splits(lisa.read_prepared(tmp_path))
    assert (len(splits.train), len(splits.test)) == (48, 12)
    assert splits.test.ids[0] == "vid0/stop_0.avi#0"
    assert splits.test.ids[-1] == "vid0/yield_11.avi#70"
    assert splits.train.class_names == CLASS_NAMES
    assert set(splits.train.labels.tolist()) == {CLASS_NAMES.index("stop"), CLASS_NAMES.index("yield")}
    np.testing.assert_array_equal(splits.test.images[0], make().images[0].astype(np.float32) / np.float32(255))
    assert splits.dropped == {"dip": 3}
    assert (splits.kind, splits.seed, splits.shared_tracks) == ("track", None, 0)
    assert str(splits) == (
        "LISA, track split, as the file holds it: 48 training and 12 test images; 3 images of 1 other classes left out"
    )


@pytest.mark.parametrize("arguments", [{"seed": 1}, {"test_share": 0.4}, {"seed": 1, "test_share": 0.4}])
def test_a_seed_or_a_share_draws_another_split_by_track(arguments: dict[str, float]) -> None:
    splits = lisa.make_splits(make(), **arguments)  # type: ignore[arg-type]
    tracks = [{name.split("#")[0] for name in side.ids} for side in (splits.train, splits.test)]
    assert not tracks[0] & tracks[1]
    assert len(splits.test) == 60 * arguments.get("test_share", 0.2)
    assert splits.seed == arguments.get("seed", 0)


def test_the_same_seed_gives_the_same_split() -> None:
    same, other = lisa.make_splits(make(), seed=1), lisa.make_splits(make(), seed=2)
    assert lisa.make_splits(make(), seed=1).test.sha256() == same.test.sha256()
    assert set(same.test.ids) != set(other.test.ids)


def test_a_random_split_says_that_it_leaks() -> None:
    splits = lisa.make_splits(make(), split="random")
    assert (len(splits.train), len(splits.test)) == (48, 12)
    assert (splits.kind, splits.seed) == ("random", 0)
    assert splits.shared_tracks > 0
    assert f"random split (leaks), seed 0: 48 training and 12 test images; {splits.shared_tracks} tracks" in str(splits)


def test_classes_on_one_side_only_are_named() -> None:
    split = np.array(["test"] * 30 + ["train"] * 33)
    splits = lisa.make_splits(make(split=split))
    assert splits.one_sided == ("stop", "yield")
    assert "on one side only: stop, yield" in str(splits)


def test_a_track_on_both_sides_is_refused() -> None:
    split = make().split
    split[0] = "train"
    with pytest.raises(ValueError, match="one side only") as caught:
        lisa.make_splits(make(split=split))
    assert str(caught.value) == (
        "`split` of the file must have each track on one side only. "
        "Received: 1 on both, such as 'vid0/stop_0.avi'; a `seed` draws another split"
    )
    assert len(lisa.make_splits(make(split=split), seed=0).test) == 12


def test_a_side_without_images_is_refused() -> None:
    prepared = make().take(make().track == "vid0/stop_0.avi")
    with pytest.raises(ValueError, match="Both sides") as caught:
        lisa.make_splits(prepared, seed=0)
    assert str(caught.value) == (
        "Both sides of the split must have images of the model's classes. "
        "Received: 3 training and 0 test images in 1 tracks"
    )


def test_an_unknown_split() -> None:
    with pytest.raises(ValueError, match="frame") as caught:
        lisa.make_splits(make(), split="frame")
    assert str(caught.value) == "`split` must be 'track' or 'random'. Received: split='frame'"


def test_the_split_of_a_new_file_is_that_of_seed_0() -> None:
    prepared = make()
    column = lisa.split_column(prepared.labels, prepared.track)
    own = lisa.make_splits(make(split=column))
    drawn = lisa.make_splits(prepared, seed=0)
    assert own.test.ids == drawn.test.ids
    assert set(column[prepared.labels == "dip"]) == {"train"}  # one track only


def test_the_split_of_a_new_file_keeps_tracks_with_foreign_signs_whole() -> None:
    labels = np.array(["stop", "dip"] * 10 + ["dip"] * 10)
    tracks = np.array([f"t{index // 2}" for index in range(30)])
    column = lisa.split_column(labels, tracks)
    assert not set(tracks[column == "test"]) & set(tracks[column == "train"])
    assert {"test", "train"} == set(column[20:])


@pytest.mark.realdata
def test_the_reference_split(lisa_folder: Path) -> None:
    splits = lisa.make_splits(lisa.read_prepared(lisa_folder))
    assert (len(splits.train), len(splits.test)) == (4902, 1334)
    tracks = [{name.rsplit("#", 1)[0] for name in side.ids} for side in (splits.train, splits.test)]
    assert not tracks[0] & tracks[1]
    assert splits.one_sided == ()
    assert sum(splits.dropped.values()) == 846
    assert len(splits.dropped) == 30
    counts = [np.bincount(side.labels, minlength=18).tolist() for side in (splits.train, splits.test)]
    assert counts[0] == [213, 218, 159, 0, 207, 804, 86, 63, 578, 252, 73, 410, 116, 105, 1242, 117, 78, 181]
    assert counts[1] == [55, 66, 39, 0, 46, 184, 33, 28, 207, 71, 39, 77, 23, 20, 374, 35, 14, 23]


@pytest.mark.realdata
def test_drawn_splits_of_the_real_data(lisa_folder: Path) -> None:
    prepared = lisa.read_prepared(lisa_folder)
    for seed in range(3):
        splits = lisa.make_splits(prepared, seed=seed)
        tracks = [{name.rsplit("#", 1)[0] for name in side.ids} for side in (splits.train, splits.test)]
        assert not tracks[0] & tracks[1]
        assert splits.one_sided == ()
        counts = [np.bincount(side.labels, minlength=18) for side in (splits.train, splits.test)]
        share = counts[1] / np.maximum(counts[0] + counts[1], 1)
        assert share[3] == 0
        assert np.delete(share, 3).min() > 0.15  # turnRight has five tracks
        assert share.max() < 0.22
    leaking = lisa.make_splits(prepared, split="random")
    assert len(leaking.test) == 1248
    assert leaking.shared_tracks > 300
