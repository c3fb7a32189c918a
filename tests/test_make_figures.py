"""`experiments.figures` on what other experiments would have stored: untrained models and signs with a white bar."""

import csv
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from blurnet_tf import lisa_cnn
from blurnet_tf.data import synthetic
from blurnet_tf.evaluation.records import write_records
from blurnet_tf.evaluation.scoring import score
from blurnet_tf.files import write_json
from blurnet_tf.models import layer_weights, weights_sha256
from blurnet_tf.reporting import style
from blurnet_tf.signs import CLASS_NAMES
from experiments import figures
from experiments.attacked import load_attacked, trained_models

N = 3
PICTURES = ("figure1", "figure2", "figure3", "filters", "variants")


def save(model: keras.Model, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    write_json(path.with_suffix(".json"), {})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a transfer experiment in blackbox/, a white-box one in whitebox/, and checkpoints/."""
    folder = tmp_path_factory.mktemp("stored")
    model = lisa_cnn("baseline", seed=0)
    weights = layer_weights(model)
    save(model, folder / "checkpoints" / "smoke" / "baseline.keras")
    save(lisa_cnn("depthwise_3x3", seed=1), folder / "checkpoints" / "smoke" / "depthwise_3x3.keras")
    victims = synthetic.victim_split()
    adversarial = victims.images.copy()
    adversarial[:, 12:15, 8:24] = 1.0
    shared = {"source": "baseline", "target": 12, "penalty": 0.002, "seed": 0}
    records = score(model, victims, adversarial, victim="baseline", **shared)
    write_records(folder / "blackbox" / "records.csv", records[:N])
    np.savez(folder / "blackbox" / "signs.npz", clean=victims.images[:N], adversarial=adversarial[:N], mask=0)
    provenance = {
        "data": {"source": "synthetic"},
        "class_names": CLASS_NAMES,
        "attack": {"target": 12},
        "baseline": {"weights_sha256": weights_sha256(weights), "training": {"settings": {"seed": 0}}},
        "preset": "smoke",
    }
    write_json(folder / "blackbox" / "provenance.json", provenance)
    cell = folder / "whitebox" / "cells" / "one"
    write_records(cell / "records.csv", records)
    write_json(folder / "whitebox" / "run.json", {"rows": {"baseline": {"cells": ["one"]}}})
    return folder


def draw(stored: Path, results: Path, *, whitebox: str = "whitebox", preset: str = "smoke", data: str = "data") -> None:
    arguments = ["--blackbox", stored / "blackbox", "--whitebox", stored / whitebox, "--results", results]
    arguments += ["--checkpoints", stored / "checkpoints", "--data-dir", stored / data, "--preset", preset]
    figures.main([str(argument) for argument in arguments])


def test_everything_that_there_is_something_of_is_drawn(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_figure = style.save_figure  # with few dots, which saves seconds
    monkeypatch.setattr(style, "save_figure", lambda path, figure: save_figure(path, figure, dpi=40))
    draw(stored, tmp_path)
    said = capsys.readouterr().out
    pictures = [f"{name}{suffix}" for name in (*PICTURES, "figure4") for suffix in (".png", ".svg")]
    assert {path.name for path in tmp_path.iterdir()} == {*pictures, "figures.json", "high_frequency.csv"}
    content = json.loads((tmp_path / "figures.json").read_text())
    assert set(content["figures"]) == {*PICTURES, "figure4"}
    for name, figure in content["figures"].items():
        assert f"{name}: {figure['says']}" in said
        assert figure["caption"]
    assert list(content["models"]) == ["attacked weights", "trained on rendered signs"]
    assert list(content["models"]["trained on rendered signs"]) == ["depthwise_3x3"]
    assert list(content["models"]["attacked weights"]["feature_5x5"]["layers"]) == ["conv1", "feature_blur", "conv2"]
    absent = "depthwise_5x5, depthwise_7x7, tv_1e-4, tv_1e-5"
    assert content["left_out"] == [f"without a checkpoint: {absent}. `make whitebox` trains them."]
    assert said.splitlines()[-2:] == [f"Left out: {content['left_out'][0]}", f"Written to {tmp_path}/"]

    with (tmp_path / "high_frequency.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    maps = {"conv1": 64, "conv2": 128, "image": 3, "input_blur": 3, "feature_blur": 64, "depthwise": 64}
    layers = {"image": 1, "conv1": 6, "conv2": 6, "input_blur": 2, "feature_blur": 2, "depthwise": 1}
    counted = {layer: sum(row["layer"] == layer for row in rows) for layer in layers}
    assert counted == {layer: N * maps[layer] * count for layer, count in layers.items()}
    assert {row["image"] for row in rows} == {record.image for record in load_attacked(stored / "blackbox").records}


def test_what_is_absent_is_said_with_what_makes_it(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[str] = []
    monkeypatch.setattr(figures, "save_both", lambda folder, name, figure: saved.append(name))
    draw(stored, tmp_path, whitebox="none", preset="quick")
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "Left out: without a checkpoint: baseline, depthwise_3x3, depthwise_5x5, depthwise_7x7, tv_1e-4, tv_1e-5. "
        "`make whitebox` trains them.",
        f"Left out: Figure 4, for want of {stored / 'none'}/run.json. `make whitebox` makes it.",
        f"Written to {tmp_path}/",
    ]
    assert saved == sorted(PICTURES)


def test_without_attacked_signs_there_is_nothing_to_draw(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"^There are no attacked signs in .*/blackbox\. `make blackbox` makes them\.$"
    ):
        draw(tmp_path, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_other_weights_than_the_attacked_ones_are_refused(stored: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(stored, copy)
    path = copy / "checkpoints" / "smoke" / "baseline.keras"
    lisa_cnn("baseline", seed=9).save(path)
    with pytest.raises(
        ValueError, match=r"/baseline\.keras is not the model that was attacked\. `make blackbox` attacks it\.$"
    ):
        draw(copy, tmp_path / "figures")
    path.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"/baseline\.keras, has gone\. `make train .* VARIANT=baseline` trains it\.$"
    ):
        draw(copy, tmp_path / "figures")


def test_an_attacked_release_is_looked_for(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BLURNET_DATA", raising=False)
    copy = tmp_path / "copy"
    shutil.copytree(stored, copy)
    path = copy / "blackbox" / "provenance.json"
    path.write_text(path.read_text().replace('"source": "synthetic"', '"source": "rp2"'))
    with pytest.raises(
        FileNotFoundError, match=r"^The attacked model is that of the RP2 release\. `make data` fetches it\.$"
    ):
        draw(copy, tmp_path / "figures")


def test_the_defences_are_those_of_the_wanted_training_seed(stored: Path, tmp_path: Path) -> None:
    attacked = load_attacked(stored / "blackbox")
    save(lisa_cnn("tv_1e-4", seed=2), tmp_path / "smoke" / "seed-3" / "tv_1e-4.keras")
    wanted = {"preset": "smoke", "split": "track", "init": "random"}
    assert list(trained_models(attacked, tmp_path, **wanted, seed=3)[1]) == ["tv_1e-4"]
    assert trained_models(attacked, tmp_path, **wanted)[1] == {}
