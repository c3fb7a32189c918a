"""The classes and their order, which the released weights fix."""

from __future__ import annotations

import doctest
import re
from typing import Any

import pytest

from blurnet_tf import signs
from blurnet_tf.signs import CLASS_NAMES, STOP, UNUSED, class_index


def test_the_18_names_stand_in_alphabetical_order_with_output_3_unused() -> None:
    assert len(CLASS_NAMES) == 18
    assert len(set(CLASS_NAMES)) == 18
    assert CLASS_NAMES[3] == "unused"
    assert UNUSED == 3
    used = [name for name in CLASS_NAMES if name != "unused"]
    assert used == sorted(used)


@pytest.mark.parametrize(
    ("name", "index"),
    [("addedLane", 0), ("laneEnds", 2), ("merge", 4), ("speedLimit45", 12), ("stop", 14), ("yield", 17)],
)
def test_a_name_is_the_index_of_the_released_weights(name: str, index: int) -> None:
    assert class_index(name) == index
    assert CLASS_NAMES[index] == name


def test_stop_is_14() -> None:
    assert STOP == 14


@pytest.mark.parametrize("index", range(18))
def test_an_index_may_be_a_number_digits_or_a_name(index: int) -> None:
    assert class_index(index) == class_index(str(index)) == class_index(CLASS_NAMES[index]) == index


def test_other_class_names_may_be_given() -> None:
    assert class_index("b", ("a", "b")) == class_index(1, ("a", "b")) == 1
    with pytest.raises(ValueError, match=r"^A class must be an index from 0 to 1 or one of a, b\. Received: 2$"):
        class_index(2, ("a", "b"))


@pytest.mark.parametrize("name", ["Stop", "speed", "", "18", "-1", 18, -1, 14.0, True, None, " stop"])
def test_an_unknown_class_is_an_error(name: Any) -> None:
    sentence = (
        "A class must be an index from 0 to 17 or one of addedLane, keepRight, laneEnds, unused, merge, "
        "pedestrianCrossing, school, schoolSpeedLimit25, signalAhead, speedLimit25, speedLimit30, speedLimit35, "
        f"speedLimit45, speedLimitUrdbl, stop, stopAhead, turnRight, yield. Received: {name!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        class_index(name)


def test_the_examples_of_the_docstrings_run() -> None:
    results = doctest.testmod(signs)
    assert results.attempted >= 1
    assert results.failed == 0
