"""The tables, files and figure of `make check` and `make curve`, and their sections of the report."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from planted import MASK, bright, hidden, short, split

from blurnet_tf import ThreatModel
from blurnet_tf.reporting import write_report, write_tables
from blurnet_tf.reporting.benchmark_rows import curve_rows, half_area, half_rows
from blurnet_tf.runs import read_run
from blurnet_tf.runs.benchmarks import check

pytestmark = pytest.mark.slow
THREAT = ThreatModel(mask=MASK, images=split())
TRIALS = (short("shared", 12), short("per image", 12, sharing="per_image", transfer=True))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A check of two models, and the curve of one of them."""
    folder = tmp_path_factory.mktemp("results")
    write_tables(check([bright, hidden], None, results=folder / "check", threat_model=THREAT, suite=TRIALS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blurnet_tf.runs.benchmarks.CURVE", (short("shared", 4), TRIALS[1]))
        curve = check(
            [bright], None, results=folder / "curve", threat_model=THREAT, suite="", areas=(48, 144), kind="curve"
        )
    write_tables(curve)
    return folder


def table(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.with_suffix(".json").read_text())
    with path.with_suffix(".csv").open(newline="") as file:
        assert [row["row"] for row in csv.DictReader(file)] == [row["row"] for row in rows]
    return rows


def test_a_row_for_each_model(results: Path) -> None:
    first, second = table(results / "check" / "check")
    assert (first["row"], second["row"]) == ("bright", "hidden")
    assert (first["shared"], first["per_image"], first["union"]) == (1.0, 1.0, 1.0)
    assert (second["shared"], second["per_image"], second["union"], second["transfer"]) == (0.0, 0.0, 1.0, 1.0)
    assert first["flags"] == []
    assert second["flags"] == ["attack_below_floor", "transfer_wins", "zero_gradients"]


def test_the_trials_stand_beside_it(results: Path) -> None:
    rows = json.loads((results / "check" / "trials.json").read_text())
    assert [(row["model"], row["trial"]) for row in rows] == [
        ("bright", "shared"), ("bright", "per image"), ("bright", "per image, of hidden"),
        ("hidden", "shared"), ("hidden", "per image"), ("hidden", "per image, of bright"),
    ]  # fmt: skip
    markdown = (results / "check" / "check.md").read_text()
    assert "* hidden: transfer_wins. Stickers of other models break 8 of 8 images" in markdown


def test_a_stored_check_counts_the_same(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results / "check", tmp_path / "check")
    before = (tmp_path / "check" / "check.md").read_bytes()
    write_tables(read_run(tmp_path / "check"))
    assert (tmp_path / "check" / "check.md").read_bytes() == before


def test_the_curve_is_a_table_and_a_figure(results: Path) -> None:
    rows = json.loads((results / "curve" / "curve.json").read_text())
    assert [(row["family"], row["area"]) for row in rows] == [
        ("bars", 48), ("bars", 144), ("scattered", 48), ("scattered", 144), ("octagon", 844),
    ]  # fmt: skip
    assert all(row["floor_white"] in (0.0, 1.0) for row in rows)
    for suffix in ("png", "svg", "md"):
        assert (results / "curve" / f"curve.{suffix}").stat().st_size > 500
    assert "The area at which half of the signs fall" in (results / "curve" / "curve.md").read_text()


def test_half_of_the_signs_fall_somewhere(results: Path) -> None:
    halves = half_rows(curve_rows(read_run(results / "curve")))
    assert [row.family for row in halves] == ["bars", "scattered"]
    assert all(row.per_image is None or 48 <= row.per_image <= 144 for row in halves)
    assert [half_area(one) for one in ({30: 0.25, 48: 0.75}, {10: 0.9, 20: 1.0}, {10: 0.2})] == [39.0, 10.0, None]


def test_the_report_shows_both(results: Path, tmp_path: Path) -> None:
    write_report(results, tmp_path)
    page = (results / "report.html").read_text()
    assert "transfer_wins" in page
    assert "Success by sticker area" in page
    assert "The area at which half of the signs fall" in page


def test_without_them_it_says_what_to_run(tmp_path: Path) -> None:
    absent = " ".join(write_report(tmp_path, tmp_path))
    assert "`make check` runs it" in absent
    assert "`make curve` makes it" in absent


def test_a_damaged_cell_costs_its_section(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    run = read_run(tmp_path / "results" / "check").run
    (tmp_path / "results" / "check" / "cells" / run.trials[0].cell / "records.csv").write_text("damaged")
    absent = " ".join(write_report(tmp_path / "results", tmp_path))
    assert "check cannot be shown: Cell" in absent
