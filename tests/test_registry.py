"""A data set is chosen by name, the reason is a sentence, and its facts are fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from blurnet_tf import CLASS_NAMES, STOP
from blurnet_tf.data import lisa, registry, rp2_release, synthetic
from blurnet_tf.data.dataset import Dataset, Query
from blurnet_tf.data.registry import choose_training, choose_victims, load_dataset
from blurnet_tf.data.split import Split

# The releases here are made up, so that none of their files has its sum.
pytestmark = pytest.mark.filterwarnings("ignore:.*differ from the authors' release:UserWarning")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a release: the victims are black images, the other files are empty."""
    folder = tmp_path / "full" / "rp2"
    for name in rp2_release.REQUIRED_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for name in rp2_release.VICTIM_FILES:
        assert cv2.imwrite(str(folder / name), np.zeros((32, 32, 3), np.uint8))
    return folder.parent


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    """A data root with one file of the release."""
    path = tmp_path / "partial" / "rp2" / rp2_release.VICTIM_FILES[0]
    path.parent.mkdir(parents=True)
    path.touch()
    return tmp_path / "partial"


LACKS = "lacks 44 of 45 files (victim-set/2.png, victim-set/3.png, victim-set/4.png, ...)"
NAMES = "'lisa', 'synthetic', 'rp2', 'folder:PATH'"


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A data root with an empty file in place of the prepared one."""
    path = tmp_path / "prepared" / "lisa" / "lisa32.npz"
    path.parent.mkdir(parents=True)
    path.touch()
    return tmp_path / "prepared"


def test_the_names() -> None:
    assert registry.names()[:4] == ("lisa", "synthetic", "rp2", "folder:PATH")  # a test below adds one


@pytest.mark.parametrize("choose", [choose_victims, choose_training])
@pytest.mark.parametrize("name", ["foo", "", "Lisa", "lisa:here", "rp2:", "folder", "folder:", "synthetic:x"])
def test_an_unknown_name(choose: Any, name: str) -> None:
    with pytest.raises(ValueError, match=rf"`name` must be one of .*{NAMES}.* Received: {name!r}$"):
        choose(name, [Path("data")])


@pytest.mark.parametrize("name", ["auto", "rp2"])
def test_victims_need_roots(name: str) -> None:
    with pytest.raises(ValueError, match=r"`roots` must hold at least one folder to look in. Received: roots=\[\]"):
        choose_victims(name, [])


def test_synthetic_needs_no_roots_and_ignores_a_release(root: Path) -> None:
    for roots in ([], [root]):
        data = choose_victims("synthetic", roots)
        assert (data.name, data.reason) == ("synthetic", "DATA=synthetic: drawn signs, no files needed")
        assert (data.mask, data.palette, data.authentic) == (None, None, False)


@pytest.mark.parametrize(("name", "words"), [("auto", "rp2, found in"), ("rp2", "found in")])
def test_a_release_is_found(root: Path, tmp_path: Path, name: str, words: str) -> None:
    data = choose_victims(name, [tmp_path / "absent", root])
    assert (data.name, data.reason) == ("rp2", f"DATA={name}: {words} {root / 'rp2'}")
    assert (data.mask, data.palette) == (root / "rp2" / rp2_release.STICKER_MASK, root / "rp2" / rp2_release.PALETTE)


def test_auto_falls_back_where_there_is_none(tmp_path: Path) -> None:
    data = choose_victims("auto", [tmp_path / "a", tmp_path / "b"])
    assert data.name == "synthetic"
    assert data.reason == (
        f"DATA=auto: synthetic, because no RP2 release was found in {tmp_path / 'a/rp2'}, {tmp_path / 'b/rp2'} "
        "(`make data` fetches it)"
    )


def test_auto_says_that_a_release_is_incomplete(partial: Path, tmp_path: Path) -> None:
    data = choose_victims("auto", [tmp_path / "absent", partial])
    assert data.name == "synthetic"
    assert data.reason == (
        f"DATA=auto: synthetic, because {partial / 'rp2'} {LACKS}; `make data` fetches what is missing"
    )


def test_an_incomplete_release_before_a_complete_one_is_mentioned(partial: Path, root: Path) -> None:
    data = choose_victims("auto", [partial, root])
    assert data.mask == root / "rp2" / rp2_release.STICKER_MASK
    assert data.reason == f"DATA=auto: rp2, found in {root / 'rp2'}; not used: {partial / 'rp2'} {LACKS}"


def test_rp2_not_found_names_every_place(partial: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset("rp2", roots=[tmp_path / "absent", partial])
    assert str(caught.value) == (
        f"DATA=rp2 needs the RP2 release. Looked at: {tmp_path / 'absent/rp2'} (not there), "
        f"{partial / 'rp2'} ({LACKS}). Run `make data` to fetch it, or use DATA=synthetic."
    )


def test_what_has_victims_only_is_not_trained_on(root: Path) -> None:
    with pytest.raises(ValueError, match="DATA=rp2 has no images to train on"):
        choose_training("rp2", [root])
    data = load_dataset("rp2", roots=[root])
    for load in (data.train, data.test):
        with pytest.raises(ValueError, match=r"rp2 has no images to .* on, only images to attack"):
            load()


@pytest.mark.parametrize("name", ["auto", "lisa"])
def test_training_needs_roots(name: str) -> None:
    with pytest.raises(ValueError, match="`roots` must hold at least one folder to look in"):
        choose_training(name, [])


@pytest.mark.parametrize(("name", "words"), [("auto", "lisa, found in"), ("lisa", "found in")])
def test_training_finds_the_prepared_file(prepared: Path, tmp_path: Path, name: str, words: str) -> None:
    data = choose_training(name, [tmp_path / "first", prepared])
    assert (data.name, data.reason) == ("lisa", f"DATA={name}: {words} {prepared / 'lisa'}")
    assert choose_training("synthetic", [prepared]).name == "synthetic"


def test_training_without_the_prepared_file(tmp_path: Path) -> None:
    roots = [tmp_path / "a", tmp_path / "b"]
    places = f"{tmp_path / 'a/lisa/lisa32.npz'} or {tmp_path / 'b/lisa/lisa32.npz'}"
    data = choose_training("auto", roots, per_class=3)
    assert (data.name, len(data.train())) == ("synthetic", 51)
    assert data.reason == (
        f"DATA=auto: synthetic, because there is no {places} (`make data LISA_ROOT=...` prepares it)"
    )
    with pytest.raises(FileNotFoundError) as caught:
        choose_training("lisa", roots)
    assert str(caught.value) == (
        f"DATA=lisa needs the prepared file: there is no {places}. "
        "`make data LISA_ROOT=<the official download>` prepares it, or use DATA=synthetic."
    )


@pytest.mark.parametrize(
    ("split", "key", "title", "leaks"),
    [("track", "lisa", "LISA, track split", False), ("random", "lisa_random", "LISA, random split (leaks)", True)],
)
def test_the_facts_of_lisa_are_fields(prepared: Path, split: str, key: str, title: str, leaks: bool) -> None:
    data = load_dataset("lisa", roots=[prepared], split=split)
    assert (data.key, data.title, data.class_names) == (key, title, CLASS_NAMES)
    assert data.facts() == {
        "name": "lisa",
        "key": key,
        "title": title,
        "split": split,
        "leaks": leaks,
        "photographs": True,
        "licence": data.licence,
        "image_size": [32, 32],
    }
    json.dumps(data.facts())


def test_the_victims_of_lisa_are_the_releases_or_drawn(prepared: Path, root: Path) -> None:
    drawn, real = load_dataset("lisa", roots=[prepared]), load_dataset("lisa", roots=[prepared, root])
    assert drawn.victims().sha256() == synthetic.victim_split().sha256()
    assert real.victims().sha256() == rp2_release.load_victims(root / "rp2").sha256()
    assert drawn.attacked is not None
    assert real.attacked is not None
    assert (drawn.attacked.mask, real.attacked.mask) == (None, root / "rp2" / rp2_release.STICKER_MASK)


def test_the_parts_of_drawn_signs_are_loaded_once() -> None:
    data = load_dataset("synthetic", per_class=2, test_per_class=1)
    assert (data.key, data.title, data.split, data.leaks) == ("synthetic", "rendered signs", "drawn", False)
    assert data.train().sha256() == synthetic.train_split(2).sha256()
    assert data.test().sha256() == synthetic.test_split(1).sha256()
    assert data.train() is data.train()


@pytest.mark.parametrize("name", ["synthetic", "lisa", "rp2"])
def test_the_source_gives_the_data_set_again(name: str, prepared: Path, root: Path) -> None:
    data = load_dataset(name, roots=[prepared, root], split="random", per_class=5)
    assert load_dataset(**json.loads(json.dumps(data.source))) == data


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"split": "frame"}, "`split` must be 'track' or 'random'. Received: split='frame'"),
        ({"image_size": (32,)}, "`image_size` must be two positive integers"),
        ({"image_size": (32, 0)}, "`image_size` must be two positive integers"),
        ({"image_size": (64, 64)}, "`image_size` must be left out for the data set synthetic"),
        ({"label": "stop"}, "`label` must be left out for the data set synthetic"),
        ({"class_names": ["a", "b"]}, "`class_names` must be left out for the data set synthetic"),
    ],
)
def test_an_argument_out_of_place_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load_dataset("synthetic", **arguments)


def test_a_data_set_of_ones_own_is_registered_with_a_line() -> None:
    def grey(query: Query) -> Dataset:
        images = np.full((2, 8, 8, 3), float(query.path), np.float32)
        split = Split(images=images, labels=np.array([0, 1]), ids=("a", "b"), class_names=("dark", "light"))
        return Dataset(
            name=query.name,
            key="grey",
            title="grey images",
            class_names=split.class_names,
            image_size=(8, 8),
            split="drawn",
            leaks=False,
            photographs=False,
            licence="none",
            reason="they are simple",
            loaders={"train": lambda: split, "test": lambda: split, "victims": lambda: split},
        )

    registry.register("grey:LEVEL", grey)
    data = choose_training("grey:0.5", [])
    assert data.reason == "DATA=grey:0.5: they are simple"
    assert data.train().images.max() == 0.5
    with pytest.raises(ValueError, match="must be new"):
        registry.register("grey", grey)


@pytest.mark.realdata
def test_the_real_release_is_found_and_authentic(rp2_folder: Path) -> None:
    data = choose_victims("auto", [rp2_folder.parent])
    assert (data.name, data.authentic, len(data.victims())) == ("rp2", True, 40)
    assert (data.victims().labels == STOP).all()


@pytest.mark.realdata
def test_the_images_are_those_that_stored_checkpoints_and_cells_know(rp2_folder: Path, lisa_folder: Path) -> None:
    roots = [rp2_folder.parent, lisa_folder.parent]
    victims = load_dataset("rp2", roots=roots).victims()
    assert victims.sha256() == "e4dde3ab1f41585112f6a1dd731c7c063d9605688b8afe691b6fbbc0a2cc13a9"
    for split in ("track", "random"):
        data = load_dataset("lisa", roots=roots, split=split)
        splits = lisa.make_splits(lisa.read_prepared(lisa_folder), split=split)
        assert data.train().sha256() == splits.train.sha256()
        assert data.test().sha256() == splits.test.sha256()
        assert str(splits).startswith(data.title)
