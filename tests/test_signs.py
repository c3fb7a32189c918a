"""The classes and their order, which the released weights fix, and those of other models."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

from blurnet_tf import signs
from blurnet_tf.checks import shown
from blurnet_tf.signs import CLASS_NAMES, STOP, class_index, find_class_names, read_class_names


def test_the_18_names_stand_in_alphabetical_order_with_output_3_unused() -> None:
    assert len(CLASS_NAMES) == 18
    assert len(set(CLASS_NAMES)) == 18
    assert CLASS_NAMES[3] == "unused"
    assert CLASS_NAMES.index("unused") == 3
    used = [name for name in CLASS_NAMES if name != "unused"]
    assert used == sorted(used)


@pytest.mark.parametrize(
    ("name", "index"),
    [("addedLane", 0), ("laneEnds", 2), ("merge", 4), ("speedLimit45", 12), ("stop", 14), ("yield", 17)],
)
def test_a_name_is_the_index_of_the_released_weights(name: str, index: int) -> None:
    assert class_index(name, CLASS_NAMES) == index
    assert CLASS_NAMES[index] == name


def test_stop_is_14() -> None:
    assert STOP == 14


@pytest.mark.parametrize("index", range(18))
def test_an_index_may_be_a_number_digits_or_a_name(index: int) -> None:
    for name in (index, str(index), CLASS_NAMES[index]):
        assert class_index(name, CLASS_NAMES) == index


def test_other_class_names_may_be_given() -> None:
    assert class_index("b", ("a", "b")) == class_index(1, ("a", "b")) == 1
    with pytest.raises(ValueError, match=r"^A class must be an index from 0 to 1 or one of a, b\. Received: 2$"):
        class_index(2, ("a", "b"))


def test_a_name_wins_over_an_index_and_what_is_both_is_refused() -> None:
    names = ("1", "00001", "7", "3")
    assert [class_index(name, names) for name in ("00001", "7", "3", 1, "2")] == [1, 2, 3, 1, 2]
    with pytest.raises(ValueError, match=r"a name or an index, not both.*'1', the name of class 0 and the index of"):
        class_index("1", names)


@pytest.mark.parametrize(
    "name", ["Stop", "speed", "", "18", "02", "٣", "1" * 5000, "-1", 18, -1, 14.0, True, None, " stop"]
)
def test_an_unknown_class_is_an_error(name: Any) -> None:
    sentence = (
        "A class must be an index from 0 to 17 or one of addedLane, keepRight, laneEnds, unused, merge, "
        "pedestrianCrossing, school, schoolSpeedLimit25, signalAhead, speedLimit25, speedLimit30, speedLimit35, "
        f"speedLimit45, speedLimitUrdbl, stop, stopAhead, turnRight, yield. Received: {shown(name)}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        class_index(name, CLASS_NAMES)


def test_class_names_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("cat\nbig dog \r\ncow\n", encoding="utf-8-sig")
    assert read_class_names(path) == ("cat", "big dog", "cow")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cat\n\ncow\n", "Class names {path}, line 2, must be another name. Received: an empty line"),
        (b"cat\ncow\ncat\n", "Class names {path}, line 3, must be another name. Received: 'cat' again"),
        (b"cat\n", "Class names {path} must hold at least two names, one a line. Received: 1"),
    ],
)
def test_class_names_that_are_none_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(path=path))}$"):
        read_class_names(path)


def test_class_names_that_are_no_text_or_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    with pytest.raises(FileNotFoundError) as missing:
        read_class_names(path)
    assert str(missing.value) == f"Class names {path} are no file. Give a text file with one name a line."
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"must be text in UTF-8\. Received: "):
        read_class_names(path)


def test_class_names_are_found_in_the_file_then_beside_the_model_then_they_are_those_of_lisa(tmp_path: Path) -> None:
    own, export, file = tmp_path / "own.txt", tmp_path / "export", tmp_path / "small.keras"
    own.write_text("a\nb\n")
    (export / "assets").mkdir(parents=True)
    assert find_class_names(export, outputs=18) == CLASS_NAMES
    assert find_class_names(export, outputs=2) is None
    assert find_class_names(export, outputs=None) is None
    (export / "assets" / "labels.txt").write_text("c\nd\n")
    assert find_class_names(export, outputs=2) == find_class_names(export, outputs=None) == ("c", "d")
    assert find_class_names(export / "small.keras", outputs=2) == ("c", "d")  # what `make export` writes beside it
    assert find_class_names(export, own, outputs=2) == ("a", "b")
    assert find_class_names(file, own, outputs=None) == ("a", "b")
    with pytest.raises(ValueError, match="Class names") as error:
        find_class_names(export, own, outputs=18)
    assert str(error.value) == f"Class names {own} must hold a line for each of 18 outputs of {export}. Received: 2"


def test_the_examples_of_the_docstrings_run() -> None:
    results = doctest.testmod(signs)
    assert results.attempted >= 1
    assert results.failed == 0
