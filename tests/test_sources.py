"""A source is chosen by name, and the reason is a sentence."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from blurnet_tf.data import rp2_release, sources


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


def test_names() -> None:
    assert sources.SOURCES == ("auto", "rp2", "synthetic")


def test_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="foo") as caught:
        sources.resolve("foo", [Path("data")])
    assert str(caught.value) == "`name` must be one of 'auto', 'rp2', 'synthetic'. Received: 'foo'"


@pytest.mark.parametrize("name", ["auto", "rp2"])
def test_no_roots(name: str) -> None:
    with pytest.raises(ValueError, match="roots") as caught:
        sources.resolve(name, [])
    assert str(caught.value) == "`roots` must hold at least one folder to look in. Received: roots=[]"


def test_synthetic_needs_no_roots_and_ignores_a_release(root: Path) -> None:
    expected = sources.Resolved(name="synthetic", folder=None, reason="DATA=synthetic: drawn signs, no files needed")
    assert sources.resolve("synthetic", []) == expected
    assert sources.resolve("synthetic", [root]) == expected


@pytest.mark.parametrize(("name", "words"), [("auto", "rp2, found in"), ("rp2", "found in")])
def test_a_release_is_found(root: Path, tmp_path: Path, name: str, words: str) -> None:
    expected = sources.Resolved(name="rp2", folder=root / "rp2", reason=f"DATA={name}: {words} {root / 'rp2'}")
    assert sources.resolve(name, [tmp_path / "absent", root]) == expected


def test_auto_falls_back_where_there_is_none(tmp_path: Path) -> None:
    resolved = sources.resolve("auto", [tmp_path / "a", tmp_path / "b"])
    assert resolved == sources.Resolved(
        name="synthetic",
        folder=None,
        reason=(
            f"DATA=auto: synthetic, because no RP2 release was found in {tmp_path / 'a/rp2'}, {tmp_path / 'b/rp2'} "
            "(`make data` fetches it)"
        ),
    )


def test_auto_says_that_a_release_is_incomplete(partial: Path, tmp_path: Path) -> None:
    resolved = sources.resolve("auto", [tmp_path / "absent", partial])
    assert resolved == sources.Resolved(
        name="synthetic",
        folder=None,
        reason=f"DATA=auto: synthetic, because {partial / 'rp2'} {LACKS}; `make data` fetches what is missing",
    )


def test_an_incomplete_release_before_a_complete_one_is_mentioned(partial: Path, root: Path) -> None:
    resolved = sources.resolve("auto", [partial, root])
    assert resolved.folder == root / "rp2"
    assert resolved.reason == f"DATA=auto: rp2, found in {root / 'rp2'}; not used: {partial / 'rp2'} {LACKS}"


def test_rp2_not_found_names_every_place(partial: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        sources.resolve("rp2", [tmp_path / "absent", partial])
    assert str(caught.value) == (
        f"DATA=rp2 needs the RP2 release. Looked at: {tmp_path / 'absent/rp2'} (not there), "
        f"{partial / 'rp2'} ({LACKS}). Run `make data` to fetch it, or use DATA=synthetic."
    )


def test_training_names() -> None:
    assert sources.TRAINING_SOURCES == ("auto", "lisa", "synthetic")
    with pytest.raises(ValueError, match="rp2") as caught:
        sources.resolve_training("rp2", [Path("data")])
    assert str(caught.value) == "`name` must be one of 'auto', 'lisa', 'synthetic'. Received: 'rp2'"


@pytest.mark.parametrize("name", ["auto", "lisa"])
def test_training_needs_roots(name: str) -> None:
    with pytest.raises(ValueError, match="roots") as caught:
        sources.resolve_training(name, [])
    assert str(caught.value) == "`roots` must hold at least one folder to look in. Received: roots=[]"


@pytest.mark.parametrize(("name", "words"), [("auto", "lisa, found in"), ("lisa", "found in")])
def test_training_finds_the_prepared_file(tmp_path: Path, name: str, words: str) -> None:
    path = tmp_path / "second" / "lisa" / "lisa32.npz"
    path.parent.mkdir(parents=True)
    path.touch()
    resolved = sources.resolve_training(name, [tmp_path / "first", tmp_path / "second"])
    assert resolved == sources.Resolved(
        name="lisa", folder=path.parent, reason=f"DATA={name}: {words} {tmp_path / 'second/lisa'}"
    )
    assert sources.resolve_training("synthetic", [tmp_path / "second"]).folder is None


def test_training_without_the_prepared_file(tmp_path: Path) -> None:
    roots = [tmp_path / "a", tmp_path / "b"]
    places = f"{tmp_path / 'a/lisa/lisa32.npz'} or {tmp_path / 'b/lisa/lisa32.npz'}"
    assert sources.resolve_training("auto", roots) == sources.Resolved(
        name="synthetic",
        folder=None,
        reason=f"DATA=auto: synthetic, because there is no {places} (`make data LISA_ROOT=...` prepares it)",
    )
    with pytest.raises(FileNotFoundError) as caught:
        sources.resolve_training("lisa", roots)
    assert str(caught.value) == (
        f"DATA=lisa needs the prepared file: there is no {places}. "
        "`make data LISA_ROOT=<the official download>` prepares it, or use DATA=synthetic."
    )


def test_load_victims_of_the_release(root: Path) -> None:
    split = sources.load_victims(sources.resolve("rp2", [root]))
    assert split.sha256() == rp2_release.load_victims(root / "rp2").sha256()


def test_load_victims_that_are_drawn() -> None:
    synthetic = pytest.importorskip("blurnet_tf.data.synthetic")
    resolved = sources.resolve("synthetic", [])
    assert sources.load_victims(resolved, seed=3).sha256() == synthetic.victim_split(seed=3).sha256()
    assert sources.load_victims(resolved).sha256() == synthetic.victim_split(seed=0).sha256()


@pytest.mark.realdata
def test_real_release_is_found(rp2_folder: Path) -> None:
    resolved = sources.resolve("auto", [rp2_folder.parent])
    assert (resolved.name, resolved.folder) == ("rp2", rp2_folder)
    assert len(sources.load_victims(resolved)) == 40
