"""`make whitebox MODEL=` and `make blackbox MODEL=` as a user runs them, on somebody else's model and images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from blurnet_tf import CLASS_NAMES, RP2, VARIANTS, export_model, lisa_cnn
from blurnet_tf.data import rp2_release
from blurnet_tf.data.registry import load_dataset
from blurnet_tf.models import weights_sha256
from blurnet_tf.runs import RunRow, Subject, read_run, white_box
from blurnet_tf.runs.cells import ModelSpec
from experiments import blackbox, whitebox
from tests import foreign
from tests.makefile import told

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The model takes", "ignore:Mask")]


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


def test_make_attacks_a_model_of_ones_own(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BLURNET_DATA", raising=False)
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
    whitebox.main(told("whitebox", *(f"{name}={value}" for name, value in settings.items())))
    results = tmp_path / "models" / "zoo" / "whitebox"
    written = {".lock", "cells", "figure4.png", "figure4.svg", "run.json", "table.csv", "table.json", "table.md"}
    assert {path.name for path in results.iterdir()} == written
    assert (results / "table.md").read_text() in capsys.readouterr().out
    (row,) = json.loads((results / "table.json").read_text())
    assert (row["row"], row["n_targets"], row["n_images"], row["seeds"]) == ("zoo", 4, 3, [0, 1])
    stored = read_run(results)
    assert stored.run.kind == "model_white_box"
    assert stored.run.rows[0].extra["model"]["signature"] == "softmax"
    assert {stored.run.class_names[record.target] for record in stored.records} == {"cat", "dog", "cow", "eel"}


def test_a_second_run_attacks_nothing(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = arguments(own, tmp_path, model=str(own / "small.keras"))
    whitebox.main([*given, "--targets", "cat", "4"])
    results = tmp_path / "small" / "whitebox"
    before = (results / "table.json").read_bytes()
    (row,) = json.loads(before)
    assert row["n_targets"] == 2
    capsys.readouterr()
    whitebox.main([*given, "--targets", "cat", "4"])
    assert "2 of 2 cells are there already" in capsys.readouterr().out
    assert (results / "table.json").read_bytes() == before
    whitebox.main([*given, "--targets", "cat"])
    assert "1 of 2 cells are there already" in capsys.readouterr().out


def test_the_transfer_puts_filters_in_front_of_the_model(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*arguments(own, tmp_path), "--target", "eel"]
    blackbox.main(given)
    results = tmp_path / "zoo" / "blackbox"
    tables = {"table.csv", "table.json", "table.md"}
    pictures = {"adversarial.png", "perturbation.npy", "perturbation.png"}
    assert {path.name for path in results.iterdir()} == {".lock", "cells", "run.json", *tables, *pictures}
    rows = json.loads((results / "table.json").read_text())
    assert [row["title"] for row in rows] == ["zoo", "Input filter 3x3", "Input filter 5x5"]
    assert (results / "table.md").read_text() in capsys.readouterr().out
    before = (results / "table.json").read_bytes()
    blackbox.main(given)
    assert "4 of 4 cells are there already" in capsys.readouterr().out
    assert (results / "table.json").read_bytes() == before


def test_an_export_is_attacked_on_the_signs_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BLURNET_DATA", raising=False)
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)  # random plain stickers
    monkeypatch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", (5, 40))
    names = ("stop", *(name for name in CLASS_NAMES if name != "stop"))  # another order: labels are found by name
    model = lisa_cnn("baseline", seed=0)
    folder = export_model(model, tmp_path / "input_3x3", layer="conv1", class_names=names, card="", provenance={})
    given = ["--model", str(folder), "--data", "synthetic", "--steps", "2", "--results", str(tmp_path)]
    blackbox.main([*given, "--target", "yield"])
    rows = json.loads((tmp_path / "input_3x3" / "blackbox" / "table.json").read_text())
    assert [row["n"] for row in rows] == [10, 10, 10]
    records = read_run(tmp_path / "input_3x3" / "blackbox").records
    assert {(record.label, record.target) for record in records} == {(0, 17)}
    with pytest.raises(ValueError, match=r"must be the label of no image\. Received: stop, the label of 10 of 10"):
        blackbox.main([*given, "--target", "stop"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": None, "label": None},
            "LABELS= must name a file with the classes of {own}/zoo, which has none beside it.",
        ),
        ({"victims": None}, "LABEL= needs a folder of images, VICTIMS=. Received: LABEL=owl, no VICTIMS"),
        ({"victims": None, "label": None, "data": "synthetic"}, "the class 'stop'"),
        ({"mask": None}, "sticker.png, 32x32, the default"),
        (
            {"mask": "{masks}/octagon.png"},
            "MASK= must name an image of 12x12 pixels (height x width), the size of the images. "
            "Received: {masks}/octagon.png, 32x32",
        ),
        (
            {"signature": "softmax"},
            "`output` must be 'probabilities' for a model that ends in a softmax. Received: output='logits', and "
            "answers of {own}/zoo that lie in [0, 1] and sum to 1",
        ),
        ({"targets": "owl"}, "A target must be the label of no image. Received: owl, the label of 3 of 3"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(
    changes: dict[str, Any], message: str, own: Path, tmp_path: Path
) -> None:
    places = {"own": own, "masks": ROOT / "masks"}
    changes = {name: value and value.format(**places) for name, value in changes.items()}
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        whitebox.main(arguments(own, tmp_path, **changes))
    assert message.format(**places) in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_many_classes_needs_targets(own: Path, tmp_path: Path) -> None:
    foreign.keras_model(102).save(tmp_path / "many.keras")
    (tmp_path / "names.txt").write_text("\n".join(f"class {index}" for index in range(102)))
    changes = {"model": str(tmp_path / "many.keras"), "labels": str(tmp_path / "names.txt"), "label": "3"}
    with pytest.raises(ValueError, match=r"TARGETS= must name the classes .* Received: 102 classes, 101 of them"):
        whitebox.main(arguments(own, tmp_path / "results", **changes))


@pytest.mark.realdata
def test_the_exported_release_is_attacked_as_the_release_itself(
    rp2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLURNET_DATA", str(rp2_folder.parent))
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)  # random plain stickers
    model = lisa_cnn("rp2_release", weights=rp2_release.load_weights(rp2_folder))
    folder = tmp_path / "rp2_release"
    export_model(model, folder, layer="conv1", class_names=CLASS_NAMES, card="", provenance={})
    given = {"victims": rp2_folder / rp2_release.VICTIMS, "mask": rp2_folder / rp2_release.STICKER_MASK}
    options = [text for name, path in given.items() for text in (f"--{name}", str(path))]
    options += ["--label", "stop", "--targets", "12", "17", "--steps", "5", "--results", str(tmp_path)]
    whitebox.main(["--model", str(folder), *options])

    weights = rp2_release.load_weights(rp2_folder)
    spec = ModelSpec(
        name="rp2_release",
        path=str(rp2_folder),
        sha256=weights_sha256(weights),
        variant=VARIANTS["rp2_release"].settings(),
    )
    release = white_box(
        [Subject(spec=spec, row=RunRow(name="rp2_release", title="release"))],
        load_dataset("rp2", roots=[rp2_folder.parent]),
        attacks=[RP2(steps=5)],
        targets=[12, 17],
        results=tmp_path / "own",
        precision="float32",
    )
    exported = read_run(tmp_path / "rp2_release" / "whitebox")
    for records, expected in ((exported.records, release.records), (exported.floor, release.floor)):
        assert len(records) == len(expected) in (4 * 40, 2 * 40)
        for record, other in zip(records, expected, strict=True):
            assert record.dissimilarity == pytest.approx(other.dissimilarity, abs=1e-5)
            assert (record.image, record.label, record.target) == (other.image, other.label, other.target)
            assert record.clean_prediction == other.clean_prediction
            assert record.adversarial_prediction == other.adversarial_prediction
