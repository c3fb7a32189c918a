"""The white-box experiment as a user runs it, killed and undisturbed."""

import contextlib
import dataclasses
import io
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blurnet_tf.evaluation.records import read_records
from blurnet_tf.runs import read_run
from blurnet_tf.training.recipes import PRESETS
from experiments import whitebox
from tests.chaos import __main__ as chaos
from tests.chaos import killed
from tests.makefile import told

pytestmark = pytest.mark.slow

KEYS = {
    "row", "alpha", "legitimate_accuracy", "average_success", "worst_success", "l2_dissimilarity", "union_success",
    "n_targets", "n_images",
}  # fmt: skip
WRITTEN = ["figure4.png", "figure4.svg", "table2.csv", "table2.json", "table2.md"]


SETTINGS = ("PRESET=smoke", "DATA=synthetic", "VARIANT=baseline tv_1e-4", "SEEDS=0 1", "STEPS=2")
DISTANCES, ANGLES = (15, 30, 40), (-30, 0, 15)
N = len(DISTANCES) * len(ANGLES)


@pytest.fixture(scope="module")
def _few_signs() -> Iterator[None]:
    """Nine signs to attack, which fall to some targets, and few to train on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", DISTANCES)
        patch.setattr("blurnet_tf.data.synthetic.VICTIM_ANGLES", ANGLES)
        patch.setitem(PRESETS, "smoke", dataclasses.replace(PRESETS["smoke"], per_class=16, test_per_class=5))
        yield


@pytest.fixture(scope="module")
def smoke(_few_signs: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Results and output of a small sweep without any data, by the program with what make gives it."""
    folder, printed = tmp_path_factory.mktemp("whitebox"), io.StringIO()
    given = told("whitebox", *SETTINGS, f"RESULTS={folder / 'results'}", f"CHECKPOINTS={folder / 'checkpoints'}")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        patch.delenv("BLURNET_DATA", raising=False)
        patch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)
        whitebox.main(given)
    return folder, printed.getvalue()


def test_every_result_is_written_and_the_table_printed(smoke: tuple[Path, str]) -> None:
    folder, output = smoke
    results = folder / "results" / "whitebox"
    assert sorted(path.name for path in results.iterdir()) == sorted(["cells", "run.json", ".lock", *WRITTEN])
    assert (results / "table2.md").read_text() in output
    assert len([path for path in (results / "cells").iterdir() if not path.name.startswith(".")]) == 6
    rows = json.loads((results / "table2.json").read_text())
    assert [row["row"] for row in rows] == ["baseline", "tv_1e-4"]
    for row in rows:
        assert set(row) >= KEYS
        assert (row["n_targets"], row["n_images"], row["lambdas"], row["seeds"]) == (17, N, [0.002], [0, 1])


def test_the_table_is_what_the_records_say(smoke: tuple[Path, str]) -> None:
    results = smoke[0] / "results" / "whitebox"
    for row in json.loads((results / "table2.json").read_text()):
        averages, attacks = [], []
        for seed in (0, 1):
            (cell,) = results.glob(f"cells/{row['row']}_lambda-0.002_seed-{seed}-*")
            records = read_records(cell / "records.csv")
            changed = np.array([record.adversarial_prediction != record.clean_prediction for record in records])
            averages.append(changed.mean())
            attacks.append(changed.reshape(17, N).mean(1))
        assert row["average_success"] == pytest.approx(np.mean(averages))
        assert row["worst_success"] == pytest.approx(np.mean(attacks, axis=0).max())
        assert row["worst_success"] > row["average_success"] > 0
        training = json.loads((smoke[0] / "checkpoints" / "smoke" / f"{row['row']}.json").read_text())
        assert row["legitimate_accuracy"] == training["test_accuracy"]


def test_a_second_run_attacks_nothing_and_gives_the_same_bytes(
    smoke: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = smoke
    results = folder / "results" / "whitebox"
    before = {name: (results / name).read_bytes() for name in WRITTEN}
    for name in WRITTEN:
        (results / name).unlink()
    arguments = ["--preset", "smoke", "--data", "synthetic", "--variant", "baseline", "tv_1e-4", "--seeds", "0", "1"]
    arguments += ["--steps", "2", "--checkpoints", str(folder / "checkpoints"), "--results", str(results)]
    (results / "table2_by_lambda.md").write_text("of another run")
    whitebox.main(arguments)
    said = capsys.readouterr().out
    assert not (results / "table2_by_lambda.md").exists()
    assert said.count("trained already") == 2
    assert f"{results}/cells: 6 of 6 cells are there already" in said
    assert {name: (results / name).read_bytes() for name in WRITTEN} == before


def test_a_table_of_several_lambdas_comes_with_a_table_for_each(
    smoke: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)
    arguments = ["--preset", "smoke", "--data", "synthetic", "--variant", "baseline", "--lambdas", "0", "0.5"]
    arguments += ["--steps", "2", "--checkpoints", str(smoke[0] / "checkpoints"), "--results", str(tmp_path)]
    whitebox.main(arguments)
    (row,) = json.loads((tmp_path / "table2.json").read_text())
    parts = json.loads((tmp_path / "table2_by_lambda.json").read_text())
    assert row["lambdas"] == [0.0, 0.5]
    assert [part["lambda"] for part in parts] == [0.0, 0.5]
    assert parts[0]["average_success"] > parts[1]["average_success"]
    assert row["average_success"] == pytest.approx(np.mean([part["average_success"] for part in parts]))
    assert row["worst_success"] == max(part["worst_success"] for part in parts)
    lines = (tmp_path / "table2_by_lambda.md").read_text().splitlines()
    assert [line.split("|")[2].strip() for line in lines[4:6]] == ["0", "0.5"]


@pytest.mark.parametrize(
    ("content", "phrase"), [(None, "does not exist"), ("{}", "must describe a run"), ("[", "JSON")]
)
def test_a_run_that_is_absent_or_damaged_is_named(tmp_path: Path, content: str | None, phrase: str) -> None:
    path = tmp_path / "run.json"
    if content:
        path.write_text(content)
    with pytest.raises((FileNotFoundError, ValueError), match=f"^{re.escape(str(path))} .*{phrase}"):
        read_run(tmp_path)


def test_chaos_empties_no_folder_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ValueError, match="was not made by this program"):
        chaos.main(["--results", str(tmp_path)])
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("workers", [False, True])
def test_chaos_does_not_wait_for_kills_that_come_too_late(
    workers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The undisturbed sweep may have been slow, on a loaded machine: later ones say how long a sweep takes now."""
    clock = [0.0]
    runs = []

    def sweep(folder: Path, extra: list[str], kill_after: float | None = None, *, worker: bool = False) -> str:
        takes = 10.0 if runs else 100000.0
        runs.append(kill_after)
        killed = ("worker" if worker and workers else "sweep") * (kill_after is not None and kill_after < takes)
        clock[0] += kill_after if killed == "sweep" and kill_after is not None else takes
        folder.mkdir(exist_ok=True)
        for name in chaos.TABLES:
            (folder / name).write_text("{}")
        return killed

    stopped: list[tuple[Any, ...]] = []
    monkeypatch.setattr(chaos, "interrupt", lambda *given: stopped.append(given))
    monkeypatch.setattr(chaos, "sweep", sweep)
    monkeypatch.setattr(chaos.time, "perf_counter", lambda: clock[0])
    chaos.main(["--kills", "20", "--results", str(tmp_path / "chaos")])
    said = capsys.readouterr().out
    assert "20 kills in" in said.splitlines()[-2]
    root = (tmp_path / "chaos").resolve()
    assert stopped == [(root, root / "reference", 20, 0)]
    assert ("of a worker" in said) == workers
    assert len(runs) < 50
    assert runs[0] is None
    assert workers or runs[-1] is None  # the last sweep ends undisturbed


def test_chaos_notices_a_lost_and_a_damaged_file(smoke: tuple[Path, str], tmp_path: Path) -> None:
    folder = smoke[0] / "results" / "whitebox"
    cells = killed.check(folder, {})
    assert len(cells) == 6
    with pytest.raises(killed.DamageError, match="none was lost or written again"):
        killed.check(folder, {folder / "cells" / "none": 0})
    copy = tmp_path / "cells" / "one"
    copy.mkdir(parents=True)
    (copy / "records.csv").write_text("image\n")
    (copy / "provenance.json").write_text('{"files": {"records.csv": "0"}}')
    with pytest.raises(killed.DamageError, match="is damaged: "):
        killed.check(tmp_path, {})


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:Mask")
def test_the_released_weights_are_as_weak_as_an_independent_implementation_found_them(
    rp2_folder: Path, lisa_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLURNET_DATA", str(rp2_folder.parent))
    arguments = ["--data", "lisa", "--variant", "rp2_release", "--checkpoints", str(tmp_path / "checkpoints")]
    whitebox.main([*arguments, "--results", str(tmp_path)])
    (row,) = json.loads((tmp_path / "table2.json").read_text())
    assert row["row"] == "rp2_release"
    assert (row["n_targets"], row["n_images"]) == (17, 40)
    assert row["victim_accuracy"] == 1.0
    assert row["average_success"] == pytest.approx(0.538, abs=0.03)
    assert row["worst_success"] == pytest.approx(0.925, abs=0.05)
    assert row["l2_dissimilarity"] == pytest.approx(0.252, abs=0.01)
    # Without any attack, in 40 images: plain white stickers change 37.5% of the predictions, black ones none.
    assert (row["floor_white"], row["floor_black"]) == (0.375, 0.0)
    assert 0.1 <= row["floor_random"] <= row["floor_random_worst"] <= 0.375
