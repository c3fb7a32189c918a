"""The flow of all experiments from Python, on models of a user's own."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from blurnet_tf import RP2, load_classifier, load_dataset
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.models.classifier import Classifier
from blurnet_tf.reporting import write_tables
from blurnet_tf.runs import Setting, load_setting, transfer, white_box


@pytest.fixture(scope="module")
def setting() -> Iterator[Setting]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)  # random plain stickers
        yield load_setting(load_dataset("synthetic"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Classifier]:
    folder, found = tmp_path_factory.mktemp("models"), []
    for seed, name in enumerate(("one", "other")):
        keras.utils.set_random_seed(seed)
        layers = [keras.layers.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(18)]
        keras.Sequential(layers).save(folder / f"{name}.keras")
        found.append(load_classifier(folder / f"{name}.keras"))
    return found


@pytest.mark.filterwarnings("ignore:The model takes")
def test_several_models_from_files_have_a_table_each(
    models: list[Classifier], setting: Setting, tmp_path: Path
) -> None:
    stored = white_box(models, setting, attacks=[RP2(steps=1)], targets=[1, 2], results=tmp_path)
    assert stored.run.kind == "model_white_box"
    markdown = write_tables(stored)
    assert "one, white box: 40 images" in markdown
    assert "other, white box: 40 images" in markdown
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 3


@pytest.mark.filterwarnings("ignore:The model takes")
def test_victims_may_be_any_model_and_need_not_hold_the_source(
    models: list[Classifier], setting: Setting, tmp_path: Path
) -> None:
    stored = transfer(models[0], models[1:], setting, attack=RP2(steps=1), target=1, results=tmp_path)
    assert [row.name for row in stored.run.rows] == ["other"]
    (tmp_path / "perturbation.npy").write_bytes(b"of another run")
    assert "other, transfer: 40 images" in write_tables(stored)
    assert (tmp_path / "perturbation.npy").stat().st_size > 1000
    assert not (tmp_path / "adversarial.png").exists()  # it shows what the source sees


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"models": 0}, "Models must be at least one, each with a name of its own. Received: "),
        ({"models": 2}, "Models must be at least one, each with a name of its own. Received: one, one"),
        ({"attacks": []}, "`attacks` must be one attack with each of some lambdas"),
        ({"attacks": [RP2(steps=1), RP2(steps=2)]}, "`attacks` must be one attack with each of some lambdas"),
        ({"attacks": [RP2(seed=0), RP2(seed=1, penalty=1.0)]}, "`attacks` must be one attack with each"),
        ({"attacks": [RP2(seed=0), RP2(seed=1, loss="margin")]}, "`attacks` must be one attack with each"),
        ({"targets": ()}, "`targets` must hold a class that is the label of no image. Received: none"),
    ],
)
def test_what_no_table_could_hold_is_refused_before_any_work(
    models: list[Classifier], setting: Setting, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    given: dict[str, Any] = {"models": 1, "attacks": [RP2()], "targets": [1], **change}
    given["models"] = models[:1] * given["models"]
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        white_box(given.pop("models"), setting, results=tmp_path, **given)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_that_no_cell_could_load_again_is_refused() -> None:
    made: Dataset = dataclasses.replace(load_dataset("synthetic"), source={})
    with pytest.raises(ValueError, match="must come from `load_dataset`"):
        load_setting(made)
