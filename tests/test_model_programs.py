"""`make whitebox MODEL=` and `make blackbox MODEL=` as a user runs them, on somebody else's model and images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from blurnet_tf import CLASS_NAMES, RP2, VARIANTS, export_model, lisa_cnn
from blurnet_tf.data import rp2_release, sources
from blurnet_tf.evaluation.records import read_records
from blurnet_tf.runs.setting import load_setting
from blurnet_tf.runs.store import RECORDS
from blurnet_tf.runs.sweep import Sweep
from experiments import blackbox_model, whitebox_model
from tests import foreign

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.filterwarnings("ignore:The model takes", "ignore:Mask")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with somebody's model, class names, images and mask."""
    folder = tmp_path_factory.mktemp("own")
    foreign.save(folder / "zoo")
    foreign.keras_model().save(folder / "small.keras")
    (folder / "classes.txt").write_text("\n".join(foreign.CLASSES))
    (folder / "images").mkdir()
    draw = np.random.default_rng(0)
    for index in range(3):
        assert cv2.imwrite(str(folder / "images" / f"{index}.png"), draw.integers(0, 256, (12, 12, 3), np.uint8))
    mask = np.zeros((12, 12), np.uint8)
    mask[2:9, 2:9] = 255
    assert cv2.imwrite(str(folder / "mask.png"), mask)
    return folder


def arguments(own: Path, results: Path, **changes: str | None) -> list[str]:
    settings: dict[str, str | None] = {
        "model": str(own / "zoo"),
        "labels": str(own / "classes.txt"),
        "victims": str(own / "images"),
        "label": "owl",
        "mask": str(own / "mask.png"),
        "steps": "3",
        "results": str(results),
    }
    chosen = {name.replace("_", "-"): value for name, value in (settings | changes).items() if value is not None}
    return [text for name, value in chosen.items() for text in (f"--{name}", value)]


def test_make_attacks_a_model_of_ones_own(own: Path, tmp_path: Path) -> None:
    inherited = {key: value for key, value in os.environ.items() if key != "BLURNET_DATA"}
    settings = {
        "MODEL": own / "zoo",
        "SIGNATURE": "softmax",
        "OUTPUT": "probabilities",
        "LABELS": own / "classes.txt",
        "VICTIMS": own / "images",
        "LABEL": "owl",
        "MASK": own / "mask.png",
        "STEPS": 3,
        "SEEDS": "0 1",
        "RESULTS": tmp_path,
    }
    result = subprocess.run(
        ["make", "--no-print-directory", "whitebox", "VENV=", f"PYTHON={sys.executable}"]
        + [f"{name}={value}" for name, value in settings.items()],
        cwd=ROOT,
        env=inherited,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    results = tmp_path / "models" / "zoo" / "whitebox"
    written = ["cells", "figure4.png", "run.json", "table.csv", "table.json", "table.md"]
    assert sorted(path.name for path in results.iterdir()) == written
    assert (results / "table.md").read_text() in result.stdout
    (row,) = json.loads((results / "table.json").read_text())
    assert (row["row"], row["n_targets"], row["n_images"], row["seeds"]) == ("zoo", 4, 3, [0, 1])
    run = json.loads((results / "run.json").read_text())
    assert run["model"]["signature"] == "softmax"
    assert run["attack"]["targets"] == ["cat", "dog", "cow", "eel"]
    assert run["data"]["source"] == "folder"


def test_a_second_run_attacks_nothing(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = arguments(own, tmp_path, model=str(own / "small.keras"))
    whitebox_model.main([*given, "--targets", "cat", "4"])
    results = tmp_path / "small" / "whitebox"
    before = (results / "table.json").read_bytes()
    (row,) = json.loads(before)
    assert row["n_targets"] == 2
    capsys.readouterr()
    whitebox_model.main([*given, "--targets", "cat", "4"])
    assert "2 of 2 cells taken as they are" in capsys.readouterr().out
    assert (results / "table.json").read_bytes() == before
    whitebox_model.main([*given, "--targets", "cat"])
    assert "1 of 2 cells taken as they are" in capsys.readouterr().out


def test_the_transfer_puts_filters_in_front_of_the_model(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*arguments(own, tmp_path), "--target", "eel"]
    blackbox_model.main(given)
    results = tmp_path / "zoo" / "blackbox"
    written = ["adversarial.png", "cells", "perturbation.png", "provenance.json", "table.csv", "table.json", "table.md"]
    assert sorted(path.name for path in results.iterdir()) == written
    rows = json.loads((results / "table.json").read_text())
    assert [row["title"] for row in rows] == ["zoo", "Input filter 3x3", "Input filter 5x5"]
    assert (results / "table.md").read_text() in capsys.readouterr().out
    before = (results / "table.json").read_bytes()
    blackbox_model.main(given)
    assert "1 of 1 cells taken as they are" in capsys.readouterr().out
    assert (results / "table.json").read_bytes() == before


def test_an_export_is_attacked_on_the_signs_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BLURNET_DATA", raising=False)
    names = ("stop", *(name for name in CLASS_NAMES if name != "stop"))  # another order: labels are found by name
    model = lisa_cnn("baseline", seed=0)
    folder = export_model(model, tmp_path / "input_3x3", layer="conv1", class_names=names, card="", provenance={})
    given = ["--model", str(folder), "--data", "synthetic", "--steps", "2", "--results", str(tmp_path)]
    blackbox_model.main([*given, "--target", "yield"])
    rows = json.loads((tmp_path / "input_3x3" / "blackbox" / "table.json").read_text())
    assert [row["n"] for row in rows] == [40, 40, 40]
    (cell,) = (tmp_path / "input_3x3" / "blackbox" / "cells").glob("input*")
    assert {(record.label, record.target) for record in read_records(cell / RECORDS)} == {(0, 17)}
    with pytest.raises(ValueError, match="must be the label of no victim") as error:
        blackbox_model.main([*given, "--target", "stop"])
    assert str(error.value) == "A target must be the label of no victim. Received: stop, the label of 40 of 40"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": None, "label": None},
            "LABELS= must name a file with the classes of {own}/zoo, which has none beside it.",
        ),
        (
            {"victims": None},
            "LABEL= needs a folder of images, VICTIMS=. Received: LABEL=owl, no VICTIMS",
        ),
        (
            {"victims": None, "label": None, "data": "synthetic"},
            "VICTIMS= must name a folder of images for a model without the class 'stop', which is that of the victims "
            "of DATA=. Received: {own}/zoo",
        ),
        (
            {"mask": None},
            "MASK= must name an image of 12x12 pixels (height x width), the size of the victims. "
            "Received: {masks}/sticker.png, 32x32, the default",
        ),
        (
            {"mask": "{masks}/octagon.png"},
            "MASK= must name an image of 12x12 pixels (height x width), the size of the victims. "
            "Received: {masks}/octagon.png, 32x32",
        ),
        (
            {"signature": "softmax"},
            "`output` must be 'probabilities' for a model that ends in a softmax. Received: output='logits', and "
            "answers of {own}/zoo that lie in [0, 1] and sum to 1",
        ),
        (
            {"targets": "owl"},
            "A target must be the label of no victim. Received: owl, the label of 3 of 3",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(
    changes: dict[str, Any], message: str, own: Path, tmp_path: Path
) -> None:
    places = {"own": own, "masks": ROOT / "masks"}
    changes = {name: value and value.format(**places) for name, value in changes.items()}
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        whitebox_model.main(arguments(own, tmp_path, **changes))
    assert str(error.value) == message.format(**places)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_many_classes_needs_targets(own: Path, tmp_path: Path) -> None:
    foreign.keras_model(102).save(tmp_path / "many.keras")
    (tmp_path / "names.txt").write_text("\n".join(f"class {index}" for index in range(102)))
    changes = {"model": str(tmp_path / "many.keras"), "labels": str(tmp_path / "names.txt"), "label": "3"}
    with pytest.raises(ValueError, match="TARGETS=") as error:
        whitebox_model.main(arguments(own, tmp_path / "results", **changes))
    assert str(error.value) == (
        "TARGETS= must name the classes to attack towards where not 1 to 100 are left. "
        "Received: 102 classes, 101 of them no label of a victim"
    )


@pytest.mark.realdata
def test_the_exported_release_is_attacked_as_the_release_itself(
    rp2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLURNET_DATA", str(rp2_folder.parent))
    model = lisa_cnn("rp2_release", weights=rp2_release.load_weights(rp2_folder))
    folder = tmp_path / "rp2_release"
    export_model(model, folder, layer="conv1", class_names=CLASS_NAMES, card="", provenance={})
    given = {"victims": rp2_folder / rp2_release.VICTIMS, "mask": rp2_folder / rp2_release.STICKER_MASK}
    options = [text for name, path in given.items() for text in (f"--{name}", str(path))]
    options += ["--label", "stop", "--targets", "12", "17", "--steps", "5", "--results", str(tmp_path)]
    whitebox_model.main(["--model", str(folder), *options])

    sweep = Sweep(load_setting(sources.resolve("rp2", [rp2_folder.parent])), "float32", targets=[12, 17])
    sweep.add_model(VARIANTS["rp2_release"], model)
    cells = {"floor": sweep.floor("rp2_release"), "lambda-0.002_seed-0": sweep.attack("rp2_release", RP2(steps=5))}
    sweep.run(tmp_path / "own")
    for name, cell in cells.items():
        (found,) = (tmp_path / "rp2_release" / "whitebox" / "cells").glob(f"rp2_release_{name}-*")
        records, expected = read_records(found / RECORDS), read_records(tmp_path / "own" / cell.folder / RECORDS)
        assert len(records) == len(expected) in (22 * 40, 2 * 40)
        for record, other in zip(records, expected, strict=True):
            assert record.dissimilarity == pytest.approx(other.dissimilarity, abs=1e-5)
            assert (record.image, record.label, record.target) == (other.image, other.label, other.target)
            assert record.clean_prediction == other.clean_prediction
            assert record.adversarial_prediction == other.adversarial_prediction
