import csv
import dataclasses
import json
from pathlib import Path

import pytest

from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.records import Record
from blurnet_tf.models import TRANSFER_VARIANTS
from blurnet_tf.reporting.tables import transfer_markdown, transfer_table, write_table
from tests.examples import RECORD


def attack_records() -> list[Record]:
    """Ten images a victim; victim k loses k + 1 of them to the target, and has a clean error on the last."""
    records = []
    for row, victim in enumerate(TRANSFER_VARIANTS):
        for image in range(10):
            record = dataclasses.replace(RECORD, image=str(image), victim=victim)
            if image <= row:
                record = dataclasses.replace(record, adversarial_prediction=12)
            if image == 9:
                record = dataclasses.replace(record, clean_prediction=1, adversarial_prediction=1)
            records.append(record)
    return records


def test_the_rows_are_counted_from_the_records() -> None:
    rows = transfer_table(attack_records())
    assert [row["row"] for row in rows] == ["baseline", "input_3x3", "input_5x5", "feature_3x3", "feature_5x5"]
    for index, row in enumerate(rows):
        assert row["n"] == 10
        assert row["accuracy"] == 0.9
        assert row["attack_success"] == (index + 2) / 10  # the clean error is no stop sign either
        assert row["prediction_changed"] == (index + 1) / 10
        assert row["target_reached"] == (index + 1) / 10
        assert row["l2_dissimilarity"] == 0.25
        assert (row["attack_success_low"], row["attack_success_high"]) == Rate(index + 2, 10).interval()


def test_the_papers_figures_stand_beside() -> None:
    rows = transfer_table(attack_records())
    assert [(row["paper_accuracy"], row["paper_attack_success"]) for row in rows] == [
        (1.0, 0.9),
        (1.0, 0.875),
        (1.0, 0.675),
        (1.0, 0.65),
        (0.875, 0.175),
    ]


def test_a_missing_victim_is_an_error() -> None:
    records = [record for record in attack_records() if record.victim != "feature_3x3"]
    with pytest.raises(ValueError, match=r"^Table 1 needs records of the victim 'feature_3x3'\. Received: none$"):
        transfer_table(records)


def test_records_of_two_attacks_are_an_error() -> None:
    records = attack_records()
    records[0] = dataclasses.replace(records[0], seed=1)
    with pytest.raises(ValueError, match=r"^Table 1 is about one attack\. Received: records of 2$"):
        transfer_table(records)


def test_the_three_files_say_the_same(tmp_path: Path) -> None:
    rows = transfer_table(attack_records())
    markdown = transfer_markdown(rows, "A caption", comparable=True)
    write_table(tmp_path, "table1", rows, markdown)
    assert json.loads((tmp_path / "table1.json").read_text()) == rows
    with (tmp_path / "table1.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [{key: type(row[key])(line[key]) for key in row} for row, line in zip(rows, lines, strict=True)] == rows
    assert (tmp_path / "table1.md").read_text() == markdown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table1.csv", "table1.json", "table1.md"]


def test_the_markdown_is_a_table_of_equal_columns() -> None:
    markdown = transfer_markdown(transfer_table(attack_records()), "A caption", comparable=True)
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert markdown.startswith("A caption\n\n")
    assert len(lines) == 7
    assert len({len(line) for line in lines}) == 1
    assert {line.count("|") for line in lines} == {9}
    assert "| Baseline                      | 90.0 [59.6, 98.2] | 100.0 |" in markdown


def test_a_run_that_is_not_the_papers_says_so() -> None:
    rows = transfer_table(attack_records())
    sentence = "This run is not the paper's, which attacked RP2's released model"
    assert sentence not in transfer_markdown(rows, "A caption", comparable=True)
    assert sentence in transfer_markdown(rows, "A caption", comparable=False)
