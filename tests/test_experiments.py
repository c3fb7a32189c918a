"""The programs as a user runs them: through make, in a process of their own."""

import csv
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from blurnet_tf.data import sources
from blurnet_tf.evaluation.records import read_records
from blurnet_tf.runs import checkpoints
from blurnet_tf.runs.checkpoints import checkpoint_path
from blurnet_tf.training import fit as training
from blurnet_tf.training import recipes as presets
from blurnet_tf.training.recipes import PRESETS
from experiments import blackbox, cli, table1
from experiments import train as train_program

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
    assert names == {
        ".settings",
        "adversarial.png",
        "perturbation.npy",
        "perturbation.png",
        "provenance.json",
        "records.csv",
        "signs.npz",
        "table1.csv",
        "table1.json",
        "table1.md",
    }
    names = {path.name for path in (folder / "checkpoints" / "smoke").iterdir()}
    assert names >= {"baseline.json", "baseline.keras", "baseline.best.keras", "baseline.csv"}


def test_the_table_is_printed_as_it_is_written(smoke: tuple[Path, str]) -> None:
    folder, output = smoke
    assert (folder / "results" / "blackbox" / "table1.md").read_text() in output


def test_the_table_is_what_the_records_say(smoke: tuple[Path, str]) -> None:
    results = smoke[0] / "results" / "blackbox"
    rows = json.loads((results / "table1.json").read_text())
    records = read_records(results / "records.csv")
    assert len(records) == 5 * 40
    assert [row["row"] for row in rows] == ROWS
    for row in rows:
        mine = [record for record in records if record.victim == row["row"]]
        assert row["n"] == len(mine) == 40
        assert row["accuracy"] == np.mean([record.clean_prediction == 14 for record in mine])
        assert row["attack_success"] == np.mean([record.adversarial_prediction != 14 for record in mine])
        assert row["target_reached"] == np.mean([record.adversarial_prediction == 12 for record in mine])
        assert row["l2_dissimilarity"] == pytest.approx(np.mean([record.dissimilarity for record in mine]))
    with (results / "table1.csv").open(newline="") as file:
        assert [line["row"] for line in csv.DictReader(file)] == ROWS


def test_the_perturbation_stays_inside_the_mask(smoke: tuple[Path, str]) -> None:
    perturbation = np.load(smoke[0] / "results" / "blackbox" / "perturbation.npy", allow_pickle=False)
    mask = cv2.imread(str(ROOT / "masks" / "sticker.png"), cv2.IMREAD_GRAYSCALE) > 127
    assert perturbation.shape == (32, 32, 3)
    assert perturbation.dtype == np.float32
    assert not perturbation[~mask].any()
    assert perturbation[mask].any(axis=-1).all()


def test_the_provenance_says_what_was_run(smoke: tuple[Path, str]) -> None:
    provenance = json.loads((smoke[0] / "results" / "blackbox" / "provenance.json").read_text())
    assert provenance["data"]["source"] == "synthetic"
    assert provenance["attack"]["steps"] == PRESETS["smoke"].steps
    assert provenance["attack"]["penalty"] == 0.002
    assert provenance["attack"]["target_name"] == "speedLimit45"
    assert provenance["mask"]["pixels"] == 48
    assert provenance["preset"] == "smoke"
    assert provenance["papers_protocol"] is False
    training = provenance["baseline"]["training"]["settings"]
    assert (training["epochs"], training["learning_rate"], training["batch_size"]) == (
        PRESETS["smoke"].epochs,
        1e-3,
        128,
    )
    assert provenance["baseline"]["weights_sha256"] == provenance["baseline"]["training"]["weights_sha256"]
    assert provenance["seconds"]["total"] >= provenance["seconds"]["attack"] > 0
    for part in (provenance["data"], provenance["mask"]):
        assert re.fullmatch("[0-9a-f]{64}", part["sha256"])


def test_a_second_run_takes_up_the_checkpoint_and_gives_the_same_bytes(smoke: tuple[Path, str]) -> None:
    folder, _ = smoke
    again = folder / "again"
    result = make(
        "blackbox",
        "PRESET=smoke",
        f"RESULTS={again}",
        f"CHECKPOINTS={folder / 'checkpoints'}",
        f"DATA_DIR={folder / 'data'}",
    )
    assert result.returncode == 0, result.stderr
    assert f"{folder}/checkpoints/smoke/baseline.keras: taken as it is" in result.stdout
    for path in sorted((folder / "results" / "blackbox").iterdir()):
        if path.name not in ("provenance.json", ".settings"):  # the seconds, and the folder's own name
            assert path.read_bytes() == (again / "blackbox" / path.name).read_bytes(), path.name


PROGRAM = """
import dataclasses, pathlib, sys
from blurnet_tf.data import scenes, sources
from blurnet_tf.runs import checkpoints
from blurnet_tf.training import recipes as presets
from experiments import cli
folder, epochs, scenes.GREY_SHARE = pathlib.Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
data = sources.load_training(sources.resolve_training("synthetic", []), per_class=30, test_per_class=10)
recipe = dataclasses.replace(presets.recipe("smoke", "tv_1e-4"), epochs=epochs, schedule="late_cosine")
cli.run(lambda _: checkpoints.trained_model(recipe, data, path=folder / "tv.keras"))
"""
KEPT = {"tv.keras", "tv.best.keras", "tv.json", "tv.csv", ".tv.lock", "tensorboard"}


def train(folder: Path, epochs: int, *, grey: float = 0.5, kill_at: int | None = None) -> str:
    """Train a small model in a process of its own, and kill that when it has begun an epoch; return what it said."""
    command = [sys.executable, "-u", "-c", PROGRAM, str(folder), str(epochs), str(grey)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith(f"Epoch {kill_at}/"):
                process.send_signal(signal.SIGKILL)
                return said
    assert process.returncode == 0, said
    return said


def epochs_in(said: str) -> list[str]:
    return [line.split()[1] for line in said.splitlines() if line.startswith("Epoch ")]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("straight")
    train(folder, 5)
    return folder


def test_a_training_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path, straight: Path) -> None:
    train(tmp_path, 5, kill_at=4)
    assert not (tmp_path / "tv.keras").exists()
    (state,) = tmp_path.glob(".tv-*.training")
    # A kill between the two files of Keras's backup: the weights of one epoch with the number of another.
    (state / "work" / "backup" / "training_metadata.json").write_text('{"epoch": 0, "batch": 0}')
    resumed = train(tmp_path, 5)
    assert epochs_in(resumed)[0] in ("3/5", "4/5", "5/5")  # the kill comes a moment after the line
    assert epochs_in(resumed)[-1] == "5/5"
    assert {path.name for path in tmp_path.iterdir()} == KEPT
    ours, theirs = (json.loads((folder / "tv.json").read_text()) for folder in (tmp_path, straight))
    for key in ("weights_sha256", "test_accuracy", "best_test_accuracy", "settings"):
        assert ours[key] == theirs[key], key
    assert (tmp_path / "tv.csv").read_bytes() == (straight / "tv.csv").read_bytes()


def test_a_damaged_state_is_given_up_and_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = sources.load_training(sources.resolve_training("synthetic", []), per_class=2, test_per_class=1)
    recipe = dataclasses.replace(presets.recipe("smoke", "baseline"), epochs=2)
    arguments = {"recipe": recipe, "data": data, "dtype": "float32", "start": None, "board": tmp_path / "board"}
    training.fit(**arguments, state=tmp_path / "state")
    (epoch,) = (tmp_path / "state").glob("epoch-*")
    assert epoch.name == "epoch-000002"
    capsys.readouterr()
    training.fit(**arguments, state=tmp_path / "state")
    assert epochs_in(capsys.readouterr().out) == []  # everything is there
    (weights,) = epoch.rglob("latest.weights.h5")
    weights.write_bytes(weights.read_bytes()[:1000])
    (tmp_path / "state" / ".DS_Store").touch()  # no folder, and not ours
    training.fit(**arguments, state=tmp_path / "state")
    said = capsys.readouterr().out
    assert said.startswith(f"{epoch}: damaged, and not gone on from\n")
    assert epochs_in(said) == ["1/2", "2/2"]


def test_a_training_leaves_its_log_and_its_best_weights(straight: Path) -> None:
    with (straight / "tv.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "tv_weight", "total_variation"} <= set(rows[0])
    provenance = json.loads((straight / "tv.json").read_text())
    assert provenance["best_test_accuracy"] == pytest.approx(max(float(row["val_accuracy"]) for row in rows), abs=0.02)
    assert provenance["best_test_accuracy"] >= provenance["test_accuracy"] - 0.02
    assert provenance["settings"]["precision"] in provenance["precision"]
    for name in ("tv.keras", "tv.best.keras"):
        model = keras.saving.load_model(straight / name)
        assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert list((straight / "tensorboard" / "tv").rglob("events.*"))


def test_a_checkpoint_is_taken_if_it_was_trained_just_so(
    straight: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def would_train(*_: object) -> None:
        raise RuntimeError("would train")

    monkeypatch.setattr(checkpoints, "_train", would_train)
    data = sources.load_training(sources.resolve_training("synthetic", []), per_class=30, test_per_class=10)
    recipe = dataclasses.replace(presets.recipe("smoke", "tv_1e-4"), epochs=5, schedule="late_cosine")
    path = straight / "tv.keras"
    model, provenance = checkpoints.trained_model(recipe, data, path=path)
    assert capsys.readouterr().out == f"{path}: taken as it is\n"
    assert provenance == json.loads((straight / "tv.json").read_text())
    assert model.name == "tv_1e-4"
    # Another precision counts only where it was asked for.
    settings = provenance["settings"] | {"precision": "float32"}
    other = provenance | {"settings": settings}
    (straight / "tv.json").write_text(json.dumps(other))
    assert checkpoints.trained_model(recipe, data, path=path)[1] == other
    assert checkpoints.trained_model(recipe, data, path=path, precision="float32")[1] == other
    for changed in (
        {"recipe": dataclasses.replace(recipe, seed=1)},
        {"data": dataclasses.replace(data, train=data.test)},
        {"precision": "mixed_bfloat16"},
    ):
        with pytest.raises(RuntimeError, match="would train"):
            checkpoints.trained_model(**({"recipe": recipe, "data": data, "path": path} | changed))
        assert "tv.keras: made anew, because tv.json says that it was made otherwise" in capsys.readouterr().out


def test_the_release_must_be_there_to_start_from_it(tmp_path: Path) -> None:
    recipe = presets.recipe("smoke", "tv_1e-4", init="rp2_release")
    data = sources.load_training(sources.resolve_training("synthetic", []), per_class=1, test_per_class=1)
    for one, what in ((recipe, "INIT"), (presets.recipe("smoke", "rp2_release"), "VARIANT")):
        sentence = rf"^{what}=rp2_release needs the RP2 release\. Run `make data` to fetch it\.$"
        with pytest.raises(FileNotFoundError, match=sentence):
            checkpoints.trained_model(one, data, path=tmp_path / "tv.keras")


def test_other_test_images_are_scored_and_nothing_is_trained(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_train", None)
    for name in ("tv.keras", "tv.json"):
        shutil.copyfile(straight / name, tmp_path / name)
    data = sources.load_training(sources.resolve_training("synthetic", []), per_class=30, test_per_class=3)
    recipe = dataclasses.replace(presets.recipe("smoke", "tv_1e-4"), epochs=5, schedule="late_cosine")
    model, provenance = checkpoints.trained_model(recipe, data, path=tmp_path / "tv.keras")
    assert provenance["test_images"] == len(data.test) == 51
    expected = (np.asarray(model(data.test.images)).argmax(1) == data.test.labels).sum()
    assert provenance["test_correct"] == expected
    assert json.loads((tmp_path / "tv.json").read_text()) == provenance
    assert "% of 51 held-out images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "content"),
    [("tv.keras", "no archive"), ("tv.json", "{"), ("tv.json", "{}"), ("tv.json", "[]")],
)
def test_a_damaged_checkpoint_is_named_and_made_anew(
    straight: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    content: str,
) -> None:
    monkeypatch.setattr(checkpoints, "_train", lambda *_: ("trained", {}))
    for name in ("tv.keras", "tv.json"):
        shutil.copyfile(straight / name, tmp_path / name)
    (tmp_path / file).write_text(content)
    data = sources.load_training(sources.resolve_training("synthetic", []), per_class=30, test_per_class=10)
    recipe = dataclasses.replace(presets.recipe("smoke", "tv_1e-4"), epochs=5, schedule="late_cosine")
    assert checkpoints.trained_model(recipe, data, path=tmp_path / "tv.keras")[0] == "trained"
    assert f"{tmp_path}/tv.keras: made anew, because it is damaged (" in capsys.readouterr().out


def test_only_the_states_and_the_remains_of_this_very_model_are_removed(tmp_path: Path) -> None:
    remains = [
        ".tv-0123456789ab.training",
        f".tv.{'0' * 32}.keras",
        f".tv.best.{'1' * 32}.keras",
        f".tv.{'2' * 32}.csv",
    ]
    others = [".tv-more-0123456789ab.training", ".tv.lock", "tv.keras", f".tv-more.{'0' * 32}.keras"]
    for name in (*remains, *others):
        if name.endswith(".training"):
            (tmp_path / name / "epoch-000001").mkdir(parents=True)
        else:
            (tmp_path / name).touch()
    checkpoints._tidy(tmp_path / "tv.keras", but=tmp_path / ".tv-0123456789ab.training")
    assert {path.name for path in tmp_path.iterdir()} == {remains[0], *others}
    checkpoints._tidy(tmp_path / "tv.keras")
    assert {path.name for path in tmp_path.iterdir()} == set(others)


@pytest.mark.parametrize("installed", [True, False])
def test_tensorboard_is_used_if_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: object() if installed else None)
    data = sources.load_training(sources.resolve_training("synthetic", []), per_class=1, test_per_class=1)
    callbacks = training._callbacks(presets.recipe("smoke", "baseline"), data, tmp_path, tmp_path / "w", tmp_path / "b")
    assert any(isinstance(one, keras.callbacks.TensorBoard) for one in callbacks) == installed


@pytest.mark.slow
def test_a_baseline_knows_its_held_out_signs_after_a_third_of_the_quick_epochs(tmp_path: Path) -> None:
    work = PRESETS["quick"]
    source = sources.resolve_training("synthetic", [])
    data = sources.load_training(source, per_class=work.per_class, test_per_class=work.test_per_class)
    recipe = dataclasses.replace(presets.recipe("quick", "baseline"), epochs=work.epochs // 3)
    _, provenance = checkpoints.trained_model(recipe, data, path=tmp_path / "baseline.keras")
    assert provenance["test_images"] == 17 * 60
    assert provenance["test_accuracy"] >= 0.95


@pytest.mark.realdata
def test_a_release_with_another_picture_is_used_with_a_note(
    rp2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BLURNET_DATA", raising=False)
    copy = tmp_path / "rp2"
    shutil.copytree(rp2_folder, copy, copy_function=shutil.copyfile)
    shutil.copyfile(copy / "victim-set" / "2.png", copy / "victim-set" / "1.png")
    results = tmp_path / "results"
    with pytest.warns(UserWarning, match="21 stray pixels|differ from the authors' release") as caught:
        blackbox.main(["--data", "rp2", "--data-dir", str(tmp_path), "--results", str(results), "--steps", "2"])
    assert f"{copy}: victim-set/1.png differ from the authors' release." in [str(one.message) for one in caught]
    assert json.loads((results / "provenance.json").read_text())["papers_protocol"] is False


@pytest.mark.realdata
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_table_1_on_the_release_is_within_one_image_of_the_paper(rp2_folder: Path, tmp_path: Path, seed: int) -> None:
    with pytest.warns(UserWarning, match="21 stray pixels"):
        blackbox.main(
            ["--data", "rp2", "--data-dir", str(rp2_folder.parent), "--results", str(tmp_path), "--seed", str(seed)]
        )
    table1.main(["--results", str(tmp_path)])
    assert "for orientation only" not in (tmp_path / "table1.md").read_text()
    assert json.loads((tmp_path / "provenance.json").read_text())["papers_protocol"] is True
    rows = json.loads((tmp_path / "table1.json").read_text())
    one_image = 0.025 + 1e-9
    for row in rows:
        assert abs(row["accuracy"] - row["paper_accuracy"]) <= one_image, row
        assert abs(row["attack_success"] - row["paper_attack_success"]) <= one_image, row
    assert rows[0]["l2_dissimilarity"] <= 0.318


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "lisa"], "`name` must be one of 'auto', 'rp2', 'synthetic'. Received: 'lisa'"),
        (["--data", "rp2"], "DATA=rp2 needs the RP2 release. Looked at: nowhere/rp2 (not there)."),
        (["--mask", "Makefile"], "Mask Makefile is not an image that OpenCV can read. Give a PNG file."),
        (["--mask", "none.png"], "Mask none.png is no file. Give the path of an image."),
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


def test_a_program_says_a_mistake_without_a_traceback(tmp_path: Path) -> None:
    result = make("blackbox", "DATA=lisa", f"RESULTS={tmp_path}")
    assert result.returncode != 0
    assert "error: `name` must be one of 'auto', 'rp2', 'synthetic'. Received: 'lisa'\n" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "blackbox" / "table1.json").exists()


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


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = make("blackbox", "DATA=lisa", "ARGS=--debug", f"RESULTS={tmp_path}")
    assert "Traceback" in result.stderr


def test_fetching_from_nowhere_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    result = make("data", f"DATA_DIR={tmp_path / 'data'}", "ARGS=--base-url http://127.0.0.1:9/")
    assert result.returncode != 0
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "http://127.0.0.1:9/" in line
    assert "Traceback" not in result.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_drawn_assets_are_those_in_the_repository(tmp_path: Path) -> None:
    result = make("assets", f"ARGS=--root {tmp_path}")
    assert result.returncode == 0, result.stderr
    for name in ("masks/sticker.png", "masks/octagon.png"):
        kept, drawn = (cv2.imread(str(root / name), cv2.IMREAD_UNCHANGED) for root in (ROOT, tmp_path))
        np.testing.assert_array_equal(kept, drawn, err_msg=name)
    assert (ROOT / "masks/palette.csv").read_text() == (tmp_path / "masks/palette.csv").read_text()
    # Not pixel for pixel: OpenCV's releases draw letters and warp a little differently.
    assert cv2.imread(str(ROOT / "docs/images/synthetic.png")).shape == (
        cv2.imread(str(tmp_path / "docs/images/synthetic.png")).shape
    )


def test_data_and_presets_keep_their_checkpoints_apart() -> None:
    paths = {checkpoint_path(Path("c"), data, preset, "tv") for data in ("synthetic", "lisa") for preset in PRESETS}
    assert paths == {
        Path("c/tv.keras"),
        Path("c/smoke/tv.keras"),
        Path("c/paper/tv.keras"),
        Path("c/lisa/tv.keras"),
        Path("c/lisa/smoke/tv.keras"),
        Path("c/lisa/paper/tv.keras"),
    }
    assert checkpoint_path(Path("c"), "lisa_random", "quick", "tv") == Path("c/lisa_random/tv.keras")
    assert checkpoint_path(Path("c"), "lisa", "paper", "tv", "rp2_release") == Path(
        "c/lisa/paper/from_rp2_release/tv.keras"
    )
    assert checkpoint_path(Path("c"), "lisa", "paper", "rp2_release") == Path("c/lisa/rp2_release.keras")
    assert checkpoint_path(Path("c"), "synthetic", "quick", "tv", seed=2) == Path("c/seed-2/tv.keras")


@pytest.mark.realdata
def test_a_defence_is_trained_on_lisa(lisa_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BLURNET_DATA", raising=False)
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
