"""The table of each kind of run: its text, its facts, its files."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import report_results
from report_results import (
    ATTACK,
    EVIL,
    LISA,
    OWN,
    RENDERED,
    clean_signs,
    run_of,
    store,
    write_ablation,
    write_blackbox,
    write_models,
    write_studies,
    write_whitebox,
)
from test_rows import one_seed, runs_of, stickers, two_seeds

from blurnet_tf import CLASS_NAMES
from blurnet_tf.reporting import write_tables
from blurnet_tf.reporting.rows import transfer_row
from blurnet_tf.reporting.run_tables import (
    ablation_table,
    attack_table,
    attack_words,
    model_table,
    study_table,
    table_1,
    table_2,
    table_2_by_lambda,
)
from blurnet_tf.reporting.tables import flat
from blurnet_tf.runs.run import StoredRun, read_run

SHOWN = EVIL.replace("<", r"\<")  # in Markdown


@pytest.fixture(autouse=True)
def signs_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoredRun, "clean", property(lambda self: clean_signs()))


def white_box(folder: Path, *models: Any, **more: Any) -> StoredRun:
    """A white-box run whose models have the records that the functions give, and an accuracy of 9 of 10."""
    cells = {f"{name}-cell": records(name) for name, records in models}
    floors = {f"{name}-floor": stickers(name) for name, _ in models}
    rows = runs_of([name for name, _ in models]).rows
    rows = tuple(dataclasses.replace(row, alpha=None if row.name == "mine" else 1e-4) for row in rows)
    run = run_of("white_box", rows, list(cells), list(floors), class_names=CLASS_NAMES, **more)
    return store(folder, run, cells | floors)


def cells_of(markdown: str) -> list[list[str]]:
    """The cells of all lines of a table."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_table_1_as_markdown(tmp_path: Path) -> None:
    counted = table_1(write_blackbox(tmp_path))
    assert counted.markdown.startswith(
        f"Table 1: 4 signs (rendered signs), target {SHOWN}, lambda 0.002, 5 steps, seed 0\n\n|"
    )
    lines = [line for line in counted.markdown.splitlines() if line.startswith("|")]
    assert len(lines) == 7
    assert len({len(line) for line in lines}) == 1
    assert cells_of(counted.markdown)[0] == [
        "", "accuracy", "paper", "attack success", "paper", "confidence", "target reached",
        "dissimilarity", "n", "white paint",
    ]  # fmt: skip
    assert cells_of(counted.markdown)[6] == [
        "5x5 filter on L1 feature maps", "100.0 [51.0, 100.0]", "87.5", "25.0 [4.6, 69.9]", "17.5", "-", "25.0",
        "0.222", "4", "-",
    ]  # fmt: skip
    sentence = "This run is not the paper's"
    assert sentence in counted.markdown
    assert sentence not in table_1(write_blackbox(tmp_path, papers_protocol=True)).markdown


MARKDOWN = """\
<caption>

Beside the paper: accuracy on the test split, average and worst attack success, dissimilarity.

|         |  alpha | accuracy | paper | diff. | average | paper | diff. | worst | paper | diff. | dissimilarity | paper |  diff. |
|---------|-------:|---------:|------:|------:|--------:|------:|------:|------:|------:|------:|--------------:|------:|-------:|
| TV 1e-4 | 0.0001 |     90.0 |  85.6 |  +4.4 |    37.5 |   7.9 | +29.6 |  50.0 |  17.5 | +32.5 |         0.250 | 0.224 | +0.026 |
| mine    |      - |     90.0 |     - |     - |    37.5 |     - |     - |  50.0 |     - |     - |         0.250 |     - |      - |

The attacks, with their intervals: average and worst success, all of them together, and the target reached.

|         |          average |  std |             worst | worst attack |             union | target reached |             at most |
|---------|-----------------:|-----:|------------------:|-------------:|------------------:|---------------:|--------------------:|
| TV 1e-4 | 37.5 [9.2, 78.1] | 12.5 | 50.0 [15.0, 85.0] |        yield | 50.0 [15.0, 85.0] |           25.0 | 25.0 (speedLimit45) |
| mine    | 37.5 [9.2, 78.1] | 12.5 | 50.0 [15.0, 85.0] |        yield | 50.0 [15.0, 85.0] |           25.0 | 25.0 (speedLimit45) |

Without an attack: accuracy on the test split and on the signs that are attacked, and the floor.

|         |              test |  n |    attacked signs | n | confidence |      white paint |           black | random | at most |
|---------|------------------:|---:|------------------:|--:|-----------:|-----------------:|----------------:|-------:|--------:|
| TV 1e-4 | 90.0 [59.6, 98.2] | 10 | 75.0 [30.1, 95.4] | 4 |          - | 25.0 [4.6, 69.9] | 0.0 [0.0, 49.0] |   25.0 |    50.0 |
| mine    | 90.0 [59.6, 98.2] | 10 | 75.0 [30.1, 95.4] | 4 |          - | 25.0 [4.6, 69.9] | 0.0 [0.0, 49.0] |   25.0 |    50.0 |

<note>

<notes>
"""  # noqa: E501

OVER_SEEDS = """\
Figures above are means over the seeds of the attack. From the least to the most of them:

|          |      average |        worst |        union |  dissimilarity | seeds |
|----------|-------------:|-------------:|-------------:|---------------:|------:|
| Baseline | 25.0 to 31.2 | 25.0 to 75.0 | 75.0 to 75.0 | 0.100 to 0.200 |     2 |
"""


def test_table_2_as_markdown(tmp_path: Path) -> None:
    markdown = table_2(white_box(tmp_path, ("tv_1e-4", one_seed), ("mine", one_seed))).markdown
    caption, *_, note, notes = markdown.split("\n\n")
    assert caption == (
        "Table 2: rendered signs; 4 signs (rendered signs), 2 targets, lambda 0.002, 5 steps, seed 0, preset smoke"
    )
    shown = markdown.replace(caption, "<caption>").replace(note, "<note>").replace(notes, "<notes>\n")
    assert shown == MARKDOWN
    for told in (
        "differs from that of the clean sign",
        "95% Wilson interval",
        "Floor: ",
        "arXiv:1908.02256v1, Table 2",
    ):
        assert told in note


def test_several_seeds_and_lambdas_are_told_apart(tmp_path: Path) -> None:
    stored = white_box(tmp_path, ("baseline", two_seeds))
    markdown = table_2(stored).markdown
    assert f"\n\n{OVER_SEEDS}\nPer cent; " in markdown
    assert "lambda 0.002, 0.02, 5 steps, seeds 3, 4, preset smoke" in markdown
    assert "| speedLimit45, lambda 0.002 |" in markdown
    by_lambda = table_2_by_lambda(stored)
    assert [line[:2] for line in cells_of(by_lambda.markdown)[2:]] == [["Baseline", "0.002"], ["Baseline", "0.02"]]
    assert cells_of(by_lambda.markdown)[2][2:4] == ["37.5 [9.2, 78.1]", "50.0 [15.0, 85.0]"]  # 1, 2, 3, 0 of 4
    one = white_box(tmp_path / "one", ("baseline", one_seed))
    assert OVER_SEEDS.splitlines()[0] not in table_2(one).markdown
    assert table_2_by_lambda(one).rows == []


NPS = {"kind": "NPS", "mode": "corrected", "weight": 1.0}
RELEASED = {"checkpoint": "RP2 release", "settings": {"format": 1}}


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({}, "This run is not the paper's protocol", "leaks"),
        ({"papers_protocol": True, "training_data": LISA}, "it is too narrow", "not the paper's protocol"),
        ({"training_data": LISA | {"leaks": True}}, "The split leaks", "released weights"),
        ({"training_data": RENDERED | {"title": "LISA that leaks"}}, "LISA that leaks;", "too narrow"),
        ({"init": "rp2_release"}, "started from the weights of rp2_release", "leaks"),
        ({"attack": ATTACK | {"penalties": [NPS]}}, "With the corrected non-printability score", "leaks"),
        ({"training": RELEASED}, "RP2's released weights were trained by their authors", "leaks"),
    ],
)
def test_the_notes_are_facts_of_the_run(tmp_path: Path, changes: dict[str, Any], said: str, unsaid: str) -> None:
    stored = white_box(tmp_path, ("baseline", one_seed))
    changes = dict(changes)
    rows = tuple(dataclasses.replace(row, training=changes.pop("training", {})) for row in stored.run.rows)
    stored = dataclasses.replace(stored, run=dataclasses.replace(stored.run, rows=rows, **changes))
    markdown = table_2(stored).markdown
    assert said in markdown
    assert unsaid not in markdown


def test_the_words_of_an_attack_are_those_that_it_has(tmp_path: Path) -> None:
    run = run_of("transfer", [], ["one"], attack={"attack": "GradientAttack", "epsilon": 0.1})
    stored = store(tmp_path, run, {"one": report_results.records("baseline", 17, 1, attack="bim")})
    assert attack_words(stored) == "bim, seed 0"


def test_the_ablation_says_where_the_blur_is(tmp_path: Path) -> None:
    counted = ablation_table(write_ablation(tmp_path))
    assert "tested on 10 images (rendered signs); 4 signs attacked on the baseline" in counted.markdown
    lines = cells_of(counted.markdown)
    assert lines[0] == ["blur", "test split", "n", "attacked signs", "attack success", "n"]
    assert [line[:3] for line in lines[2:]] == [
        ["none", "90.0 [59.6, 98.2]", "10"], ["3x3 after layer 1", "90.0 [59.6, 98.2]", "10"],
    ]  # fmt: skip


def measured(stored: StoredRun, **extra: Any) -> StoredRun:
    """The same run, with more measured of the first row."""
    first, *others = stored.run.rows
    first = dataclasses.replace(first, extra={**first.extra, **extra})
    return dataclasses.replace(stored, run=dataclasses.replace(stored.run, rows=(first, *others)))


def test_the_table_of_studies(tmp_path: Path) -> None:
    more = {"kernel_relative_total_variation": 2.3456, "kernel_high_pass": 0.8125, "least_recall": 0.4}
    stored = measured(write_studies(tmp_path), **more, classes_predicted=17, l2_stacked=0.25, accuracy_as_trained=0.5)
    counted = study_table(stored)
    success, model = (cells_of(table.markdown) for table in counted.tables)
    assert success[0] == [
        "run", "change", "accuracy", "average", "worst", "worst target", "union", "dissimilarity", "white paint", "TV",
        "TV/F",
    ]  # fmt: skip
    assert success[2] == [
        "run__first", "none", "96.0", "50.0 [15.0, 85.0]", "75.0 [30.1, 95.4]", SHOWN, "75.0", "0.235", "25.0", "26.8",
        "0.625",
    ]  # fmt: skip
    assert model[0] == [
        "run",
        "average",
        "kernel TV/W",
        "high-pass",
        "recall",
        "classes",
        "as trained",
        "dissimilarity, stacked",
    ]
    assert model[2] == ["run__first", "50.0", "2.346", "81.2", "40.0", "17", "50.0", "0.250"]
    assert model[3][2:] == ["-"] * 6  # of an older release, which measured less
    for told in ("Kernel TV/W", "high-pass", "Recall", "classes", "Dissimilarity, stacked"):
        assert told in " ".join(counted.tables[1].notes)
    first, second = (flat(row) for row in counted.rows)
    assert {name: first[name] for name in more} == more
    assert (first["classes_predicted"], first["l2_stacked"]) == (17, 0.25)
    assert {second[name] for name in (*more, "classes_predicted", "l2_stacked")} == {None}


def test_a_users_own_model(tmp_path: Path) -> None:
    white, shown = write_models(tmp_path)
    markdown = model_table(white).markdown
    lines = dict(cells_of(markdown))
    assert markdown.startswith(f"{OWN}, white box: 4 images (rendered signs), 3 targets, lambda 0.002, 5 steps, seed 0")
    assert (lines[OWN], lines["average attack success"]) == ("measured", "50.0 [15.0, 85.0]")
    assert lines[f"worst attack success: {SHOWN}"] == "75.0 [30.1, 95.4]"
    assert (lines["target reached, average"], lines["dissimilarity (Eq. 1, no per cent)"]) == ("50.0", "0.235")
    assert "paper" not in markdown.lower()
    markdown = model_table(shown).markdown
    assert [line[0] for line in cells_of(markdown)[2:]] == [OWN, "Input filter 3x3"]
    assert cells_of(markdown)[3][2:4] == ["25.0 [4.6, 69.9]", "25.0 [4.6, 69.9]"]
    assert "paper" not in markdown.lower()
    two = [dataclasses.replace(row, test_correct=9, test_images=10) for row in runs_of(["baseline"]).rows]
    run = run_of("model_white_box", two, ["cell"], ["floor"], class_names=CLASS_NAMES)
    stored = store(tmp_path / "two", run, {"cell": two_seeds("baseline"), "floor": stickers("baseline")})
    assert "worst attack success: speedLimit45, lambda 0.002 " in model_table(stored).markdown


def test_one_attack_as_a_table_of_two_columns() -> None:
    row = transfer_row("zoo", "zoo", report_results.records("zoo", 17, 3))
    markdown = attack_table(row, "yield", "A zoo").markdown
    assert markdown.startswith("A zoo\n\n| zoo ")
    assert dict(cells_of(markdown))["target reached: yield"] == "75.0 [30.1, 95.4]"


# --- the files ------------------------------------------------------------------------------------------------------


def parsed(text: str, value: Any) -> Any:
    if isinstance(value, list):
        return [type(value[0])(part) for part in text.split()]
    return None if value is None else type(value)(text)


def test_the_files_of_a_table_say_the_same(tmp_path: Path) -> None:
    stored = white_box(tmp_path, ("baseline", two_seeds), ("mine", two_seeds))
    printed = write_tables(stored)
    assert printed == f"\n{(tmp_path / 'table2.md').read_text()}\nWritten to {tmp_path}/"
    for name, counted in (("table2", table_2(stored)), ("table2_by_lambda", table_2_by_lambda(stored))):
        rows = json.loads((tmp_path / f"{name}.json").read_text())
        which = {"training_data": "rendered signs", "preset": "smoke"}
        assert rows == [flat(row) | which for row in counted.rows]
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert [
            {key: parsed(line[key], row[key]) for key in row} for row, line in zip(rows, lines, strict=True)
        ] == rows
        assert (tmp_path / f"{name}.md").read_text() == counted.markdown
    assert (lines[0]["lambdas"], lines[0]["seeds"], lines[2]["alpha"]) == ("0.002", "3 4", "")


FILES = {
    "blackbox": {"table1.csv", "table1.json", "table1.md", "adversarial.png", "perturbation.npy", "perturbation.png"},
    "whitebox": {"table2.csv", "table2.json", "table2.md", "figure4.png", "figure4.svg"},
    "ablation": {"ablation.csv", "ablation.json", "ablation.md", "ablation.png", "ablation.svg"},
    "studies": {"runs.csv", "runs.json", "runs.md"},
    "models/whitebox": {"table.csv", "table.json", "table.md", "figure4.png", "figure4.svg"},
    "models/blackbox": {
        "table.csv",
        "table.json",
        "table.md",
        "adversarial.png",
        "perturbation.npy",
        "perturbation.png",
    },
}


@pytest.mark.slow
def test_each_kind_of_run_has_its_files(tmp_path: Path) -> None:
    write_blackbox(tmp_path / "blackbox")
    write_whitebox(tmp_path / "whitebox")
    write_ablation(tmp_path / "ablation")
    write_studies(tmp_path / "studies")
    write_models(tmp_path / "models")
    for folder, names in FILES.items():
        stored = read_run(tmp_path / folder)
        write_tables(stored)
        assert {path.name for path in (tmp_path / folder).iterdir()} == names | {"run.json", ".lock", "cells"}
        assert read_run(tmp_path / folder).run == stored.run


def test_a_table_by_lambda_of_another_run_does_not_stay(tmp_path: Path) -> None:
    write_tables(write_whitebox(tmp_path, penalties=(0.002, 0.5)))
    assert len(list(tmp_path.glob("table2_by_lambda.*"))) == 3
    write_tables(write_whitebox(tmp_path))
    assert list(tmp_path.glob("table2_by_lambda.*")) == []


def test_without_the_clean_signs_there_is_no_picture_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = write_blackbox(tmp_path)
    write_tables(stored)
    monkeypatch.setattr(StoredRun, "clean", property(lambda self: {}))
    write_tables(stored)
    assert not (tmp_path / "adversarial.png").exists()
    assert (tmp_path / "perturbation.png").exists()


def test_a_run_whose_records_are_not_whole_writes_no_table(tmp_path: Path) -> None:
    stored = white_box(tmp_path, ("baseline", lambda name: one_seed(name)[:-1]))
    with pytest.raises(ValueError, match="each of its 4 images once"):
        write_tables(stored)
    assert not (tmp_path / "table2.json").exists()
