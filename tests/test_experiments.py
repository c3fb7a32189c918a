"""The programs as a user runs them: through make in a process of its own, or in this one with what make gives them."""

import csv
import dataclasses
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from blurnet_tf.data import synthetic
from blurnet_tf.data.registry import load_dataset
from blurnet_tf.evaluation.records import read_records
from blurnet_tf.models import build_network
from blurnet_tf.reporting import doc_pictures
from blurnet_tf.runs import read_run
from blurnet_tf.training.recipes import PRESETS
from experiments import assets, blackbox, cli, data
from experiments import train as train_program
from tests.makefile import told

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
ROWS = ["baseline", "input_3x3", "input_5x5", "feature_3x3", "feature_5x5"]


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "BLURNET_DATA"}
    return subprocess.run(
        ["make", "--no-print-directory", "VENV=", f"PYTHON={sys.executable}", *arguments],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Results and output of a smoke run without any data."""
    folder = tmp_path_factory.mktemp("smoke")
    result = make(
        "blackbox",
        "PRESET=smoke",
        f"RESULTS={folder / 'results'}",
        f"CHECKPOINTS={folder / 'checkpoints'}",
        f"DATA_DIR={folder / 'data'}",
    )
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_the_first_line_says_which_data_and_why(smoke: tuple[Path, str]) -> None:
    folder, output = smoke
    assert output.splitlines()[0] == (
        f"DATA=auto: synthetic, because no RP2 release was found in {folder / 'data' / 'rp2'} (`make data` fetches it)"
    )


def test_every_result_is_written(smoke: tuple[Path, str]) -> None:
    folder, _ = smoke
    names = {path.name for path in (folder / "results" / "blackbox").iterdir()}
    pictures = {"adversarial.png", "perturbation.npy", "perturbation.png"}
    assert names == {".lock", "cells", "run.json", "table1.csv", "table1.json", "table1.md", *pictures}
    names = {path.name for path in (folder / "checkpoints" / "smoke").iterdir()}
    assert names >= {"baseline.json", "baseline.keras", "baseline.best.keras", "baseline.csv"}


def test_the_table_is_printed_as_it_is_written(smoke: tuple[Path, str]) -> None:
    folder, output = smoke
    assert (folder / "results" / "blackbox" / "table1.md").read_text() in output


def test_the_table_is_what_the_records_say(smoke: tuple[Path, str]) -> None:
    results = smoke[0] / "results" / "blackbox"
    rows = json.loads((results / "table1.json").read_text())
    records = read_run(results).records
    (cell,) = results.glob("cells/baseline_target-*_lambda-0.002_seed-0-*")
    assert records == read_records(cell / "records.csv")
    assert len(records) == 5 * 40
    assert [row["row"] for row in rows] == ROWS
    for row in rows:
        mine = [record for record in records if record.victim == row["row"]]
        assert row["n"] == len(mine) == 40
        assert row["accuracy"] == np.mean([record.clean_prediction == 14 for record in mine])
        assert row["attack_success"] == np.mean([record.adversarial_prediction != 14 for record in mine])
        assert row["target_reached"] == np.mean([record.adversarial_prediction == record.target for record in mine])
        assert row["l2_dissimilarity"] == pytest.approx(np.mean([record.dissimilarity for record in mine]))
    with (results / "table1.csv").open(newline="") as file:
        assert [line["row"] for line in csv.DictReader(file)] == ROWS


def test_the_confidence_is_the_probability_of_the_predicted_class(smoke: tuple[Path, str]) -> None:
    rows = json.loads((smoke[0] / "results" / "blackbox" / "table1.json").read_text())
    baseline = keras.saving.load_model(smoke[0] / "checkpoints" / "smoke" / "baseline.keras")
    images = load_dataset("synthetic").victims().images
    logits = np.asarray(baseline(images), np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert rows[0]["confidence"] == pytest.approx((powers.max(axis=1) / powers.sum(axis=1)).mean(), abs=1e-5)
    assert len({row["confidence"] for row in rows}) == len(ROWS)  # of each network, not of the baseline


def test_the_perturbation_stays_inside_the_mask(smoke: tuple[Path, str]) -> None:
    perturbation = np.load(smoke[0] / "results" / "blackbox" / "perturbation.npy", allow_pickle=False)
    mask = cv2.imread(str(ROOT / "masks" / "sticker.png"), cv2.IMREAD_GRAYSCALE) > 127
    assert perturbation.shape == (32, 32, 3)
    assert perturbation.dtype == np.float32
    assert not perturbation[~mask].any()
    assert perturbation[mask].any(axis=-1).all()


def test_the_run_says_what_was_done(smoke: tuple[Path, str]) -> None:
    run = read_run(smoke[0] / "results" / "blackbox").run
    assert run.kind == "transfer"
    assert (run.data["name"], run.data["photographs"], run.data["n"]) == ("synthetic", False, 40)
    assert (run.attack["attack"], run.attack["steps"], run.attack["penalty"]) == ("RP2", PRESETS["smoke"].steps, 0.002)
    assert run.attack["target_name"] == run.class_names[run.attack["target"]]
    assert (run.preset, run.papers_protocol, run.palette) == ("smoke", False, None)
    assert [row.name for row in run.rows] == ROWS
    training = run.rows[0].training["settings"]
    assert (training["epochs"], training["learning_rate"], training["batch_size"]) == (2, 1e-3, 128)
    assert {row.weights_sha256 for row in run.rows} == {run.rows[0].training["weights_sha256"]}
    for part in (run.data, run.mask):
        assert re.fullmatch("[0-9a-f]{64}", part["sha256"])


def run_again(folder: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the program once more in this process, with what make gives it."""
    monkeypatch.delenv("BLURNET_DATA", raising=False)
    places = ["--data-dir", str(folder / "data"), "--checkpoints", str(folder / "checkpoints")]
    blackbox.main(["--preset", "smoke", *places, "--results", str(results)])


def test_another_run_with_the_same_checkpoint_gives_the_same_bytes(
    smoke: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = smoke
    again = folder / "again"
    run_again(folder, again / "blackbox", monkeypatch)
    assert f"{folder}/checkpoints/smoke/baseline.keras: trained already" in capsys.readouterr().out
    first = folder / "results" / "blackbox"
    for path in sorted(path for path in first.rglob("*") if path.is_file() and path.name != "provenance.json"):
        assert path.read_bytes() == (again / "blackbox" / path.relative_to(first)).read_bytes(), path.name


def test_a_second_run_attacks_nothing(
    smoke: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = smoke
    run_again(folder, folder / "results" / "blackbox", monkeypatch)
    said = capsys.readouterr().out
    assert "6 of 6 cells are there already" in said
    assert "\ncell " not in said


@pytest.mark.realdata
def test_a_release_with_another_picture_is_used_with_a_note(
    rp2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BLURNET_DATA", raising=False)
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)  # random plain stickers
    copy = tmp_path / "rp2"
    shutil.copytree(rp2_folder, copy, copy_function=shutil.copyfile)
    shutil.copyfile(copy / "victim-set" / "2.png", copy / "victim-set" / "1.png")
    results = tmp_path / "results"
    with pytest.warns(UserWarning, match="21 stray pixels|differ from the authors' release") as caught:
        blackbox.main(["--data", "rp2", "--data-dir", str(tmp_path), "--results", str(results), "--steps", "2"])
    assert f"{copy}: victim-set/1.png differ from the authors' release." in [str(one.message) for one in caught]
    assert read_run(results).run.papers_protocol is False


@pytest.mark.realdata
def test_table_1_on_the_release_is_within_one_image_of_the_paper(
    rp2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)  # random plain stickers
    seed = 1  # seed 0 is attacked in tests/test_rp2.py
    with pytest.warns(UserWarning, match="21 stray pixels"):
        blackbox.main(
            ["--data", "rp2", "--data-dir", str(rp2_folder.parent), "--results", str(tmp_path), "--seeds", str(seed)]
        )
    assert "for orientation only" not in (tmp_path / "table1.md").read_text()
    assert read_run(tmp_path).run.papers_protocol is True
    rows = json.loads((tmp_path / "table1.json").read_text())
    one_image = 0.025 + 1e-9
    for row in rows:
        assert abs(row["accuracy"] - row["paper_accuracy"]) <= one_image, row
        assert abs(row["attack_success"] - row["paper_attack_success"]) <= one_image, row
    assert rows[0]["l2_dissimilarity"] <= 0.318
    sure = {row["row"]: row["confidence"] for row in rows}
    assert sure["feature_5x5"] < 0.5 * sure["baseline"]  # section 4: confidence is what a fixed filter costs


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "mars"], "`name` must be one of 'auto', "),
        (["--data", "rp2"], "DATA=rp2 needs the RP2 release. Looked at: nowhere/rp2 (not there)."),
        (["--mask", "Makefile"], "Mask Makefile must be a readable PNG, JPEG or PPM image"),
        (["--mask", "none.png"], "Mask none.png is no file. Give the path of an image."),
        (["--seeds", "0", "1"], "SEED= and LAMBDA= must be one value each here. Received: 2 attacks"),
        (["--target", "speedLimit99"], "A class must be an index from 0 to 17 or one of addedLane, keepRight,"),
    ],
)
def test_a_users_mistake_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("BLURNET_DATA", raising=False)
    with pytest.raises((ValueError, FileNotFoundError), match=f"^{re.escape(sentence)}"):
        blackbox.main(["--data-dir", "nowhere", "--results", str(tmp_path), *arguments])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def mistaken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the results of a program whose command line, in this process, has a mistake."""
    monkeypatch.setattr(sys, "argv", ["blackbox", "--data", "mars", "--results", str(tmp_path / "blackbox")])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # as it is again after the test
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return tmp_path


def test_a_program_says_a_mistake_without_a_traceback(mistaken: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: `name` must be one of 'auto', "):
        cli.run(blackbox.main)
    assert list(mistaken.iterdir()) == []


def test_the_help_names_each_default_once() -> None:
    parser = cli.parser("About.")
    parser.add_argument("--seed", type=int, default=0, help="seed of the attack")
    parser.add_argument("--mask", help="image of the mask (default: that of the victims)")
    parser.add_argument("--model", help="which one")
    said = " ".join(parser.format_help().split())
    assert "seed of the attack (default: 0) --mask" in said
    assert "image of the mask (default: that of the victims) --model" in said
    assert said.endswith("which one")
    assert "show the traceback of an error --seed" in said


@pytest.mark.usefixtures("mistaken")
def test_debug_shows_the_traceback() -> None:
    sys.argv.append("--debug")
    with pytest.raises(ValueError, match=r"^`name` must be one of 'auto', "):
        cli.run(blackbox.main)


def test_fetching_from_nowhere_is_one_sentence_and_leaves_nothing(
    mistaken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = told("data", f"DATA_DIR={mistaken / 'data'}", "ARGS=--base-url http://127.0.0.1:9/")
    monkeypatch.setattr(sys, "argv", ["data", *given])
    with pytest.raises(SystemExit, match=r"^error: .*http://127\.0\.0\.1:9/.*$"):
        cli.run(data.main)
    assert [path for path in mistaken.rglob("*") if path.is_file()] == []


def test_the_drawn_assets_are_those_in_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blurnet_tf.data.synthetic.test_split", functools.partial(synthetic.test_split, 10))
    monkeypatch.setattr("experiments.assets.load_model", lambda name: build_network(name.partition("+")[0], seed=0))
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "zoo.md", tmp_path / "docs")
    few = {"total_variation": doc_pictures.PICTURES["total_variation"]}  # tests/test_doc_pictures.py draws more
    monkeypatch.setattr(doc_pictures, "PICTURES", few)
    assets.main(told("assets", f"ARGS=--root {tmp_path}"))
    assert cv2.imread(str(tmp_path / "docs/images/pages/total_variation.png")).shape[1] == 700
    for name in ("masks/sticker.png", "masks/octagon.png"):
        kept, drawn = (cv2.imread(str(root / name), cv2.IMREAD_UNCHANGED) for root in (ROOT, tmp_path))
        np.testing.assert_array_equal(kept, drawn, err_msg=name)
    assert (ROOT / "docs/zoo.md").read_text() == (tmp_path / "docs/zoo.md").read_text()
    assert (ROOT / "masks/palette.csv").read_text() == (tmp_path / "masks/palette.csv").read_text()
    # Not pixel for pixel: OpenCV's releases draw letters and warp a little differently. The sheet shows 10 of a class.
    assert cv2.imread(str(ROOT / "docs/images/synthetic.png")).shape == (
        cv2.imread(str(tmp_path / "docs/images/synthetic.png")).shape
    )


@pytest.mark.realdata
def test_a_defence_is_trained_on_lisa(lisa_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BLURNET_DATA", raising=False)
    monkeypatch.setitem(PRESETS, "smoke", dataclasses.replace(PRESETS["smoke"], epochs=1))
    arguments = ["--data", "lisa", "--data-dir", str(lisa_folder.parent), "--split", "random", "--variant", "tv_1e-4"]
    train_program.main([*arguments, "--preset", "smoke", "--checkpoints", str(tmp_path)])
    provenance = json.loads((tmp_path / "lisa_random" / "smoke" / "tv_1e-4.json").read_text())
    assert provenance["settings"]["data"] == "LISA, random split (leaks)"
    assert provenance["settings"]["train_images"] + provenance["test_images"] == 6236
    assert 0.5 < provenance["test_accuracy"] < 1
    model = keras.saving.load_model(tmp_path / "lisa_random" / "smoke" / "tv_1e-4.keras")
    assert model.get_layer("conv1").activity_regularizer.alpha == 1e-4


def test_blurnet_data_is_looked_at_before_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLURNET_DATA", "/first")
    assert cli.data_roots(Path("second")) == [Path("/first"), Path("second")]
    monkeypatch.setenv("BLURNET_DATA", "")
    assert cli.data_roots(Path("second")) == [Path("second")]
