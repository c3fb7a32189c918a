"""What the tables say of a model's weights, for its card."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_results import EVIL, write_blackbox, write_whitebox

from blurnet_tf.reporting.card_rows import attack_paragraph
from blurnet_tf.reporting.rows import transfer_rows, white_box_rows
from blurnet_tf.reporting.tables import flat

WHITE, TRANSFER = "f" * 64, "a" * 64
"""The weights of the rows that are stored."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    write_whitebox(folder / "whitebox", penalties=(0.002, 0.02), seeds=(0, 1))
    write_blackbox(folder / "blackbox")
    return folder


def test_the_white_box_row_of_these_weights_is_found(results: Path) -> None:
    text, row = attack_paragraph("tv_1e-4", WHITE, results)
    stored = write_whitebox(results / "whitebox", penalties=(0.002, 0.02), seeds=(0, 1))
    assert row == flat(white_box_rows(stored.run, stored.records, stored.floor)[1])
    assert text.startswith("Table 2, white box: ")
    assert "on 4 signs (rendered signs), 3 targets, lambda 0.002, 0.02, 5 steps, seeds 0, 1, preset smoke" in text
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert lines[2] == ["accuracy on the test split", "91.0 [83.8, 95.2]", "85.6"]
    assert lines[4][0] == "worst: " + EVIL.replace("<", r"\<")
    assert lines[6] == ["plain white stickers, no attack", "25.0 [4.6, 69.9]", "-"]


def test_the_transfer_row_of_these_weights_is_found(results: Path) -> None:
    text, row = attack_paragraph("feature_5x5", TRANSFER, results)
    stored = write_blackbox(results / "blackbox")
    assert row == flat(transfer_rows(stored.run, stored.records)[-1])
    assert text.startswith("Table 1, transfer: RP2 on the baseline, shown to this model, which the attack did not know")
    assert "4 signs (rendered signs)" in text
    assert "25.0 [4.6, 69.9]% of the attacked signs do not get their label" in text
    assert "shown to this model" not in attack_paragraph("baseline", TRANSFER, results)[0]


@pytest.mark.parametrize(
    ("name", "way"), [("tv_1e-4", "`make whitebox VARIANT=tv_1e-4`"), ("feature_5x5", "`make blackbox` makes Table 1")]
)
def test_without_a_row_of_these_weights_the_card_says_how_to_make_it(results: Path, name: str, way: str) -> None:
    for weights, folder in (("cd" * 32, results), (WHITE, results / "nothing")):
        text, row = attack_paragraph(name, weights, folder)
        assert row is None
        assert text.startswith("No table has a row for these weights yet: ")
        assert way in text


def test_a_damaged_run_with_the_row_is_an_error(tmp_path: Path) -> None:
    stored = write_whitebox(tmp_path / "whitebox")
    (tmp_path / "whitebox" / "cells" / stored.run.cells[0] / "records.csv").unlink()
    with pytest.raises(ValueError, match="cell-0-0-0"):
        attack_paragraph("baseline", WHITE, tmp_path)
