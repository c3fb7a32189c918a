"""The white-box experiment as a user runs it, killed and undisturbed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from blurnet_tf.evaluation.records import read_records
from blurnet_tf.runs import read_run
from experiments import chaos, killed, whitebox

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
KEYS = {
    "row", "alpha", "legitimate_accuracy", "average_success", "worst_success", "l2_dissimilarity", "union_success",
    "n_targets", "n_images",
}  # fmt: skip
WRITTEN = ["figure4.png", "figure4.svg", "table2.csv", "table2.json", "table2.md"]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "BLURNET_DATA"}
    return subprocess.run(
        [
            "make",
            "--no-print-directory",
            "whitebox",
            "VENV=",
            f"PYTHON={sys.executable}",
            "PRESET=smoke",
            "DATA=synthetic",
            "VARIANT=baseline tv_1e-4",
            "SEEDS=0 1",
            "STEPS=1",
            f"RESULTS={folder / 'results'}",
            f"CHECKPOINTS={folder / 'checkpoints'}",
            *arguments,
        ],
        cwd=ROOT,
        env=inherited,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Results and output of a small sweep without any data."""
    folder = tmp_path_factory.mktemp("whitebox")
    result = make(folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


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
        assert (row["n_targets"], row["n_images"], row["lambdas"], row["seeds"]) == (17, 40, [0.002], [0, 1])


def test_the_table_is_what_the_records_say(smoke: tuple[Path, str]) -> None:
    results = smoke[0] / "results" / "whitebox"
    for row in json.loads((results / "table2.json").read_text()):
        averages, attacks = [], []
        for seed in (0, 1):
            (cell,) = results.glob(f"cells/{row['row']}_lambda-0.002_seed-{seed}-*")
            records = read_records(cell / "records.csv")
            changed = np.array([record.adversarial_prediction != record.clean_prediction for record in records])
            averages.append(changed.mean())
            attacks.append(changed.reshape(17, 40).mean(1))
        assert row["average_success"] == pytest.approx(np.mean(averages))
        assert row["worst_success"] == pytest.approx(np.mean(attacks, axis=0).max())
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
    arguments += ["--steps", "1", "--checkpoints", str(folder / "checkpoints"), "--results", str(results)]
    (results / "table2_by_lambda.md").write_text("of another run")
    whitebox.main(arguments)
    said = capsys.readouterr().out
    assert not (results / "table2_by_lambda.md").exists()
    assert said.count("trained already") == 2
    assert f"{results}/cells: 6 of 6 cells are there already" in said
    assert {name: (results / name).read_bytes() for name in WRITTEN} == before


def test_a_table_of_several_lambdas_comes_with_a_table_for_each(
    smoke: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    arguments = ["--preset", "smoke", "--data", "synthetic", "--variant", "baseline", "--penalties", "0", "0.5"]
    arguments += ["--steps", "1", "--checkpoints", str(smoke[0] / "checkpoints"), "--results", str(tmp_path)]
    whitebox.main(arguments)
    (row,) = json.loads((tmp_path / "table2.json").read_text())
    parts = json.loads((tmp_path / "table2_by_lambda.json").read_text())
    assert row["lambdas"] == [0.0, 0.5]
    assert [part["lambda"] for part in parts] == [0.0, 0.5]
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


def test_chaos_does_not_wait_for_kills_that_come_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The undisturbed sweep may have been slow, on a loaded machine: later ones say how long a sweep takes now."""
    clock = [0.0]
    runs = []

    def sweep(folder: Path, extra: list[str], kill_after: float | None = None) -> bool:
        takes = 10.0 if runs else 100000.0
        runs.append(kill_after)
        killed = kill_after is not None and kill_after < takes
        clock[0] += kill_after if killed and kill_after is not None else takes
        folder.mkdir(exist_ok=True)
        for name in chaos.TABLES:
            (folder / name).write_text("{}")
        return killed

    monkeypatch.setattr(chaos, "sweep", sweep)
    monkeypatch.setattr(chaos.time, "perf_counter", lambda: clock[0])
    chaos.main(["--kills", "20", "--results", str(tmp_path / "chaos")])
    assert "20 kills in" in capsys.readouterr().out.splitlines()[-1]
    assert len(runs) < 50
    assert runs[0] is None
    assert runs[-1] is None  # the last sweep ends undisturbed


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
