"""`draw_figures` on a stored attack: untrained models and signs with a white bar."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from report_results import clean_signs, run_of, store, write_whitebox

from blurnet_tf import RP2, lisa_cnn
from blurnet_tf.data import synthetic
from blurnet_tf.data.split import Split
from blurnet_tf.evaluation.scoring import score
from blurnet_tf.models import TRANSFER_VARIANTS, layer_weights, weights_sha256
from blurnet_tf.reporting import style
from blurnet_tf.reporting.gallery import draw_figures
from blurnet_tf.runs.run import RunRow, StoredRun
from blurnet_tf.signs import CLASS_NAMES

pytestmark = pytest.mark.slow

PICTURES = ("figure1", "figure2", "figure3", "filters", "variants")
LEFT_OUT = "without a checkpoint: tv_1e-4. `make whitebox` trains it."


@pytest.fixture(autouse=True, scope="module")
def signs_are_there() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredRun, "clean", property(lambda self: clean_signs()))
        patch.setattr(style, "save_figure", lambda path, figure, save=style.save_figure: save(path, figure, dpi=40))
        yield


@pytest.fixture(scope="module")
def attacked() -> dict[str, keras.Model]:
    weights = layer_weights(lisa_cnn("baseline", seed=0))
    return {name: lisa_cnn(name, weights=weights) for name in TRANSFER_VARIANTS}


@pytest.fixture(scope="module")
def attack(attacked: dict[str, keras.Model], tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    victims = synthetic.victim_split()
    count = len(clean_signs())
    split = Split(
        images=victims.images[:count],
        labels=victims.labels[:count],
        ids=victims.ids[:count],
        class_names=victims.class_names,
    )
    adversarial = split.images.copy()
    adversarial[:, 12:15, 8:24] = 1.0
    shared = {"attack": RP2(), "source": "baseline", "target": 12}
    records = [
        one for name, model in attacked.items() for one in score(model, split, adversarial, victim=name, **shared)
    ]
    weights = weights_sha256(layer_weights(attacked["baseline"]))
    rows = [RunRow(name=name, title=name, weights_sha256=weights) for name in attacked]
    run = run_of("transfer", rows, ["one"], class_names=CLASS_NAMES)
    folder = tmp_path_factory.mktemp("blackbox")
    return store(folder, run, {"one": records}, adversarial=adversarial[None], perturbation=np.zeros((1, 32, 32, 3)))


def test_everything_that_there_is_something_of_is_drawn(
    attack: StoredRun, attacked: dict[str, keras.Model], tmp_path: Path
) -> None:
    trained = {"depthwise_3x3": lisa_cnn("depthwise_3x3", seed=1)}
    folder = tmp_path / "figures"
    said = draw_figures(
        attack, attacked, trained, folder=folder, trained_on="rendered signs",
        white_box=write_whitebox(tmp_path / "whitebox"), left_out=[LEFT_OUT],
    )  # fmt: skip
    pictures = [f"{name}{suffix}" for name in (*PICTURES, "figure4") for suffix in (".png", ".svg")]
    assert {path.name for path in folder.iterdir()} == {*pictures, "figures.json", "high_frequency.csv"}
    content = json.loads((folder / "figures.json").read_text())
    assert set(content["figures"]) == {*PICTURES, "figure4"}
    assert all(figure["caption"] for figure in content["figures"].values())
    assert said == [
        *(f"{name}: {figure['says']}" for name, figure in content["figures"].items()), f"Left out: {LEFT_OUT}",
    ]  # fmt: skip
    assert content["left_out"] == [LEFT_OUT]
    assert (content["attack"], content["data_sha256"]) == (attack.run.attack, attack.run.data["sha256"])
    assert list(content["models"]) == ["attacked weights", "trained on rendered signs"]
    assert list(content["models"]["trained on rendered signs"]) == ["depthwise_3x3"]
    assert list(content["models"]["attacked weights"]["feature_5x5"]["layers"]) == ["conv1", "feature_blur", "conv2"]

    with (folder / "high_frequency.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    maps = {"conv1": 64, "conv2": 128, "image": 3, "input_blur": 3, "feature_blur": 64, "depthwise": 64}
    layers = {"image": 1, "conv1": 6, "conv2": 6, "input_blur": 2, "feature_blur": 2, "depthwise": 1}
    counted = {layer: sum(row["layer"] == layer for row in rows) for layer in layers}
    assert counted == {layer: len(clean_signs()) * maps[layer] * count for layer, count in layers.items()}
    assert {row["image"] for row in rows} == set(clean_signs())


def test_without_a_white_box_figure_4_is_left_out(
    attack: StoredRun, attacked: dict[str, keras.Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(style, "save_figure", lambda *_: None)  # the pictures are those of the test above
    said = draw_figures(attack, attacked, {}, folder=tmp_path, trained_on="LISA")
    assert [sentence.split(":")[0] for sentence in said] == [*sorted(PICTURES), "Left out"]
    assert "`make whitebox` makes them" in said[-1]
    assert "figure4" not in json.loads((tmp_path / "figures.json").read_text())["figures"]


def test_other_weights_than_the_attacked_ones_are_refused(
    attack: StoredRun, attacked: dict[str, keras.Model], tmp_path: Path
) -> None:
    others = attacked | {"baseline": lisa_cnn("baseline", seed=9)}
    with pytest.raises(ValueError, match=r"must hold the model that .* attacked"):
        draw_figures(attack, others, {}, folder=tmp_path / "figures", trained_on="LISA")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredRun, "clean", property(lambda self: {}))
        with pytest.raises(FileNotFoundError, match="are not there any more"):
            draw_figures(attack, attacked, {}, folder=tmp_path / "figures", trained_on="LISA")
    assert not (tmp_path / "figures").exists()
