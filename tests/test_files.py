"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from blurnet_tf.files import atomic_folder, atomic_path, read_json, replaced_folder, sha256, write_text


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_path_is_hidden_beside_the_file_with_its_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "model.keras") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".model.")
        assert temporary.suffix == ".keras"
        temporary.write_text("")


def test_two_writers_of_one_path_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with atomic_path(path) as first, atomic_path(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "text")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "text"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_older_file_stays_and_nothing_is_left_behind(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_before_anything_was_written_is_the_one_that_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "table.csv"):
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_of_a_file_is_removed_a_day_later(tmp_path: Path) -> None:
    digits = "0123456789abcdef" * 2
    old, new = tmp_path / f".table.{digits}.csv", tmp_path / f".table.{digits[::-1]}.csv"
    others = [tmp_path / name for name in (".table.csv", f".table.{digits}.json", f".tables.{digits}.csv", "table.csv")]
    yesterday = time.time() - 25 * 60 * 60
    for left in (old, new, *others):
        left.write_text("half")
        if left != new:
            os.utime(left, (yesterday, yesterday))
    write_text(tmp_path / "table.csv", "new")
    assert not old.exists()
    assert sorted(tmp_path.iterdir()) == sorted([new, *others])


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "table.csv"):
        pass


def test_a_path_may_be_a_string_and_replaces_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old, and longer")
    write_text(str(path), "new")
    assert path.read_text() == "new"


def test_text_is_utf_8_with_the_newlines_it_has(tmp_path: Path) -> None:
    write_text(tmp_path / "text.md", "é\nλ\n")
    assert (tmp_path / "text.md").read_bytes() == b"\xc3\xa9\n\xce\xbb\n"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sha256_equals_hashlib_on_both_sides_of_its_chunk(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "file"
    path.write_bytes(content[:size])
    assert sha256(path) == sha256(str(path)) == hashlib.sha256(content[:size]).hexdigest()


def test_sha256_of_the_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_sha256_of_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sha256(tmp_path / "absent")


def test_a_folder_appears_whole_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "cells" / "one"
    with atomic_folder(path) as temporary:
        (temporary / "a").write_text("a")
        assert temporary.name.startswith(".one.")
        assert not path.exists()
    assert (path / "a").read_text() == "a"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_came_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "one"
    with atomic_folder(path) as first, atomic_folder(path) as second:
        (first / "a").write_text("first")
        (second / "a").write_text("second")
    assert (path / "a").read_text() == "second"  # the inner block ended first
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_there_is_no_folder(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with atomic_folder(tmp_path / "one") as temporary:
            (temporary / "a").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_cannot_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a file")
    with pytest.raises(OSError, match="one"), atomic_folder(tmp_path / "one"):
        pass
    assert (tmp_path / "one").read_text() == "a file"
    assert len(list(tmp_path.iterdir())) == 1


def fill(folder: Path, text: str) -> None:
    (folder / "marker").write_text("")
    (folder / "content").write_text(text)


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "export"
    for text in ("old", "new"):
        with replaced_folder(path, marker="marker") as temporary:
            assert temporary.parent == path.parent
            fill(temporary, text)
            (temporary / text).touch()
        assert sorted(one.name for one in path.iterdir()) == sorted(["content", "marker", text])
        assert list(path.parent.iterdir()) == [path]
    assert (path / "content").read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_older_folder_stays(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "export"
    path.mkdir()
    fill(path, "old")

    def write() -> None:
        with replaced_folder(path, marker="marker") as temporary:
            fill(temporary, "half")
            raise error

    with pytest.raises(error):
        write()
    assert (path / "content").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_older_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "export"
    path.mkdir()
    fill(path, "old")
    rename = Path.rename

    def stubborn(self: Path, target: Path) -> Path:
        if target == path and not self.name.endswith(".older"):
            raise PermissionError("not now")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    with pytest.raises(PermissionError, match="not now"), replaced_folder(path, marker="marker") as temporary:
        fill(temporary, "new")
    assert (path / "content").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_has_no_marker_is_not_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "export"
    if kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / "content").write_text("mine")
    with pytest.raises(FileExistsError) as error, replaced_folder(path, marker="marker"):
        pass
    assert str(error.value) == (f"{path} was not written here: it has no marker. Move it away, or name another folder.")
    assert (path if kind == "file" else path / "content").read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    with replaced_folder(tmp_path / "export", marker="marker") as temporary:
        fill(temporary, "new")
    assert (tmp_path / "export" / "content").read_text() == "new"


def test_of_a_link_what_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "marker").write_text("old")
    (tmp_path / "link").symlink_to("disk")
    with replaced_folder(tmp_path / "link", marker="marker") as temporary:
        (temporary / "marker").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "marker").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]


def test_what_a_killed_process_left_is_removed_or_put_back(tmp_path: Path) -> None:
    stale = tmp_path / f".one.{'0' * 32}"
    older = tmp_path / f".one.{'1' * 32}.older"
    other = tmp_path / f".one.two.{'2' * 32}"
    for folder in (stale, older, other):
        folder.mkdir()
        (folder / "marker").write_text(folder.name, encoding="utf-8")
    with contextlib.suppress(KeyError), replaced_folder(tmp_path / "one", marker="marker"):
        assert not stale.exists()
        raise KeyError
    assert (tmp_path / "one" / "marker").read_text(encoding="utf-8") == older.name  # it stood between two names
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "one"]


def test_of_two_who_write_a_folder_the_second_is_refused(tmp_path: Path) -> None:
    with replaced_folder(tmp_path / "one", marker="marker") as first:
        (first / "marker").write_text("first", encoding="utf-8")
        with (
            pytest.raises(FileExistsError, match="written by another process"),
            replaced_folder(tmp_path / "one", marker="marker"),
        ):
            pass
    assert (tmp_path / "one" / "marker").read_text(encoding="utf-8") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("writer", [atomic_path, atomic_folder, lambda path: replaced_folder(path, marker="x")])
def test_whatever_a_full_disk_causes_is_said_to_be_one(
    writer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(OSError, match=r"No space is left on the disk.*one\b") as caught, writer(tmp_path / "one" / "x"):
        raise RuntimeError("3072 requested and 992 written")
    monkeypatch.undo()
    with pytest.raises(OSError, match="No space is left on the disk"), writer(tmp_path / "one" / "x"):
        raise RuntimeError("SaveV2: /x; No space left on device [Op:SaveV2]")
    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / "one").iterdir()) == []


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "device", "none"):
        for read in (sha256, read_json):
            with pytest.raises(FileNotFoundError, match=name):
                read(tmp_path / name)
    for content in ("[" * 200_000, "9" * 5000, '{"a": '):
        write_text(tmp_path / "deep.json", content)
        with pytest.raises(ValueError, match="is not a JSON file"):
            read_json(tmp_path / "deep.json")


@pytest.mark.parametrize("killed", [False, True])
def test_an_older_folder_stays_unless_it_may_be_replaced(killed: bool, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "marker").write_text("old")
    if killed:  # between the two renames of a folder that is replaced
        path.rename(tmp_path / f".out.{'0' * 32}.older")
    with (
        pytest.raises(FileExistsError, match=r"out is there already\. Add --force"),
        replaced_folder(path, marker="marker", kept="Add --force."),
    ):
        pass
    assert (path / "marker").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
