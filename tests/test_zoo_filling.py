"""Filling a zoo: rounded weights, the figures of these very weights, and what is copied into the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from test_controls import TRIALS, figures, make_cheap

from blurnet_tf import load_model
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.registry import load_dataset
from blurnet_tf.models import layer_weights, weights_sha256, zoo
from blurnet_tf.models.zoo import ZooEntry, read_index
from blurnet_tf.reporting.zoo import add_model, copy_models
from blurnet_tf.runs import read_run
from blurnet_tf.signs import STOP

pytestmark = pytest.mark.slow
ROWS = ("baseline", "depthwise_3x3+stickers")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset("synthetic", per_class=4, test_per_class=1)


@pytest.fixture(autouse=True, scope="module")
def cheap() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        yield


def add(data: Dataset, folder: Path, row: str, seed: int = 0) -> ZooEntry:
    places = {name: folder / name for name in ("checkpoints", "results")}
    given = {"preset": "smoke", "precision": "float32", "areas": (48,)}
    return add_model(row, data, seed=seed, folder=folder / "zoo", suite=TRIALS, **places, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(cheap: None, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    for row in ROWS:
        add(data, folder, row)
    add(data, folder, "baseline", seed=1)
    return folder


@pytest.fixture(autouse=True)
def own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLURNET_ZOO", str(folder / "zoo"))


def test_the_index_knows_each_model(folder: Path) -> None:
    found = read_index(folder / "zoo")
    assert [(one.name, one.seed, one.title) for one in found] == [
        ("baseline", 0, "Baseline"), ("baseline", 1, "Baseline"), ("depthwise_3x3+stickers", 0, "3x3 conv + stickers"),
    ]  # fmt: skip
    for one in found:
        path = folder / "zoo" / one.file
        assert (path.stat().st_size, zoo.sha256(path)) == (one.bytes, one.sha256)
        assert one.training["settings"]["seed"] == one.seed
        assert one.data["licence"].startswith("The rendered signs are this project's")


@pytest.mark.parametrize("row", ROWS)
def test_a_loaded_model_is_the_rounded_checkpoint(folder: Path, row: str) -> None:
    trained = keras.saving.load_model(folder / "checkpoints" / "smoke" / f"{row}.keras")
    loaded = load_model(row, dataset="synthetic")
    for name, arrays in layer_weights(trained).items():
        for array, kept in zip(arrays, layer_weights(loaded)[name], strict=True):
            np.testing.assert_allclose(kept, array, rtol=2.0**-8, atol=2.0**-24)


def test_the_figures_are_of_the_weights_that_are_in_the_zoo(folder: Path, data: Dataset) -> None:
    test = data.test()
    for one in read_index(folder / "zoo"):
        model = load_model(one.name, dataset="synthetic", seed=one.seed)
        assert weights_sha256(layer_weights(model)) == one.weights_sha256
        right = int((np.asarray(model(test.images)).argmax(axis=1) == test.labels).sum())
        assert (one.test_correct, one.test_images) == (right, len(test))
    place = folder / "results" / "synthetic" / "seed-1" / "baseline"
    victims, signs = read_run(place), read_run(place / "signs")
    last = next(one for one in read_index(folder / "zoo") if (one.name, one.seed) == ("baseline", 1))
    assert victims.run.rows[0].weights_sha256 == last.weights_sha256
    for run, measured in zip((victims, signs), last.measured, strict=True):
        counted = figures(run, "baseline")
        for field in ("per_image", "union", "floor_white"):
            assert measured[field] == counted[field]
        assert measured["of"]["mask_pixels"] == 30
    assert {record.label for record in signs.records} == {STOP}
    assert [row["area"] for row in last.measured[0]["curve"]] == [48, 844]  # bars, and the octagon


def test_a_second_filling_computes_nothing_and_changes_nothing(
    folder: Path, data: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path: path.read_bytes() for path in (folder / "zoo").rglob("*") if path.is_file()}
    capsys.readouterr()
    add(data, folder, "baseline", seed=1)
    said = capsys.readouterr().out
    assert "trained already" in said
    assert "cell 1 of" not in said
    assert {path: path.read_bytes() for path in (folder / "zoo").rglob("*") if path.is_file()} == files


def test_the_package_gets_the_whole_index_and_some_of_the_weights(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "package"
    copy_models(folder / "zoo", target, ["synthetic/baseline.npz", "synthetic/depthwise_3x3+stickers.npz"])
    copy_models(folder / "zoo", target, ["synthetic/baseline.npz"])
    assert [path.relative_to(target).as_posix() for path in target.rglob("*.npz")] == ["synthetic/baseline.npz"]
    assert (target / "index.json").read_bytes() == (folder / "zoo" / "index.json").read_bytes()
    assert len(json.loads((target / "index.json").read_text())["models"]) == 3
