"""Tables about a model of one's own, counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from blurnet_tf.evaluation.metrics import wilson
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.model_tables import (
    model_markdown,
    model_row,
    model_transfer_markdown,
    model_transfer_rows,
)

NAMES = ("cat", "dog", "cow")


def images(said: Sequence[int], *, source: str = "zoo", victim: str = "zoo", **values: Any) -> list[Record]:
    """Four cats, the last of which is taken for a dog as it is."""
    settings = {"target": 1, "penalty": 0.002, "seed": 0} | values
    return [
        Record(
            image=image,
            label=0,
            source=source,
            victim=victim,
            clean_prediction=1 if image == "d" else 0,
            adversarial_prediction=prediction,
            dissimilarity=0.25,
            **settings,
        )
        for image, prediction in zip("abcd", said, strict=True)
    ]


def stickers() -> list[Record]:
    plain: dict[str, Any] = {"target": None, "penalty": 0.0}
    return [
        *images([2, 0, 0, 1], source="white", **plain),
        *images([0, 0, 0, 1], source="black", **plain),
        *images([2, 2, 0, 1], source="random", **plain),
    ]


ATTACKS = [*images([1, 0, 0, 1]), *images([2, 1, 0, 1], target=2)]


def test_the_row_of_a_model_counted_by_hand() -> None:
    row = model_row("zoo", ATTACKS, stickers(), class_names=NAMES)
    assert row["row"] == "zoo"
    assert (row["victim_accuracy"], row["floor_white"], row["floor_black"], row["floor_random"]) == (0.75, 0.25, 0, 0.5)
    assert (row["average_success"], row["worst_success"], row["union_success"]) == (0.375, 0.5, 0.5)
    assert (row["average_success_low"], row["average_success_high"]) == wilson(0.375, 4)
    assert (row["worst_target"], row["n_targets"], row["n_images"]) == ("cow", 2, 4)
    assert (row["target_reached_average"], row["l2_dissimilarity"]) == (0.375, 0.25)
    assert not [key for key in row if "paper" in key or "legitimate" in key or key == "alpha"]


def test_the_row_reads_well() -> None:
    row = model_row("zoo", ATTACKS, stickers(), class_names=NAMES)
    lines = model_markdown(row, "A zoo").splitlines()
    assert lines[0] == "A zoo"
    assert lines[2].split() == ["|", "zoo", "|", "measured", "|"]
    assert next(" ".join(line.split()) for line in lines if "worst" in line) == (
        "| worst attack success: cow | 50.0 [15.0, 85.0] |"
    )
    assert "paper" not in "\n".join(lines).lower()
    several = [*ATTACKS, *images([1, 1, 1, 1], penalty=0.1), *images([0, 0, 0, 1], penalty=0.1, target=2)]
    row = model_row("zoo", several, stickers(), class_names=NAMES)
    assert "worst attack success: dog, lambda 0.1 " in model_markdown(row, "A zoo")


def test_a_row_that_is_not_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="needs each of its 4 images once"):
        model_row("zoo", ATTACKS[:-1], stickers(), class_names=NAMES)


def test_the_rows_of_a_transfer_counted_by_hand() -> None:
    records = [*images([1, 2, 0, 1]), *images([1, 0, 0, 1], victim="zoo_input_3x3")]
    rows = model_transfer_rows(records, {"zoo": "zoo", "zoo_input_3x3": "Input filter 3x3"})
    assert [row["title"] for row in rows] == ["zoo", "Input filter 3x3"]
    assert [row["accuracy"] for row in rows] == [0.75, 0.75]
    assert [row["attack_success"] for row in rows] == [0.75, 0.5]
    assert [row["prediction_changed"] for row in rows] == [0.5, 0.25]
    assert [row["target_reached"] for row in rows] == [0.5, 0.5]
    lines = model_transfer_markdown(rows, "A zoo").splitlines()
    assert [line.split("|")[1].strip() for line in lines[4:6]] == ["zoo", "Input filter 3x3"]
    with pytest.raises(ValueError, match=r"^A table of transfer needs records of the victim 'ape'\. Received: none$"):
        model_transfer_rows(records, {"ape": "Ape"})
