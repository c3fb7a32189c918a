"""What the name of a cell depends on, and what is in it."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from blurnet_tf.attacks import RP2
from blurnet_tf.data import sources
from blurnet_tf.data.split import Split
from blurnet_tf.evaluation.records import read_records
from blurnet_tf.models import VARIANTS, layer_weights, lisa_cnn
from blurnet_tf.runs.setting import Setting
from blurnet_tf.runs.store import ARRAYS, RECORDS
from blurnet_tf.runs.sweep import Sweep

ATTACK = RP2(steps=3)


@pytest.fixture(scope="module")
def setting() -> Setting:
    mask = np.zeros((32, 32, 1), np.float32)
    mask[8:12, 8:12] = 1
    victims = Split(
        images=np.random.default_rng(0).uniform(0, 1, (3, 32, 32, 3)).astype(np.float32),
        labels=np.full(3, 14, np.int32),
        ids=("a", "b", "c"),
    )
    return Setting(
        source=sources.resolve("synthetic", []),
        victims=victims,
        mask_path=Path("mask.png"),
        mask=mask,
        palette_path=Path("palette.csv"),
        palette=np.full((2, 3), 0.5, np.float32),
        authentic=False,
    )


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return lisa_cnn("tv_1e-4", seed=0)


def cell(setting: Setting, model: keras.Model, attack: RP2 = ATTACK, dtype: str = "float32") -> str:
    sweep = Sweep(setting, dtype)
    sweep.add_model(VARIANTS["tv_1e-4"], model)
    return sweep.attack("tv_1e-4", attack).folder


def test_a_cell_keeps_its_name_as_long_as_nothing_changes(setting: Setting, model: keras.Model, tmp_path: Path) -> None:
    name = cell(setting, model)
    assert name.startswith("tv_1e-4_lambda-0.002_seed-0-")
    model.save(tmp_path / "model.keras")
    assert cell(setting, keras.saving.load_model(tmp_path / "model.keras")) == name
    # Where the mask lies and what it is called do not matter, only its pixels.
    assert cell(dataclasses.replace(setting, mask_path=Path("elsewhere.png")), model) == name


@pytest.mark.parametrize(
    "change",
    [{"steps": 4}, {"penalty": 0.1}, {"seed": 1}, {"nps": "original"}, {"norm": "l1"}, {"learning_rate": 0.2}],
)
def test_another_attack_is_another_cell(setting: Setting, model: keras.Model, change: dict[str, Any]) -> None:
    assert cell(setting, model, dataclasses.replace(ATTACK, **change)) != cell(setting, model)


def test_other_inputs_are_another_cell(setting: Setting, model: keras.Model) -> None:
    name = cell(setting, model)
    weights = layer_weights(model)
    weights["conv2"][1][0] += 1e-6
    assert cell(setting, lisa_cnn("tv_1e-4", weights=weights)) != name
    assert cell(setting, model, dtype="mixed_bfloat16") != name
    mask = setting.mask.copy()
    mask[0, 0] = 1
    assert cell(dataclasses.replace(setting, mask=mask), model) != name
    images = setting.victims.images.copy()
    images[0, 0, 0, 0] /= 2
    victims = dataclasses.replace(setting.victims, images=images)
    assert cell(dataclasses.replace(setting, victims=victims), model) != name


def test_the_palette_matters_to_a_printable_attack_alone(setting: Setting, model: keras.Model) -> None:
    other = dataclasses.replace(setting, palette=np.zeros((2, 3), np.float32))
    assert cell(other, model) == cell(setting, model)
    printable = dataclasses.replace(ATTACK, nps="corrected")
    assert cell(other, model, printable) != cell(setting, model, printable)


@pytest.mark.filterwarnings("ignore:The model takes")
def test_the_cells_hold_the_attack_and_the_floor(setting: Setting, model: keras.Model, tmp_path: Path) -> None:
    sweep = Sweep(setting, "mixed_bfloat16")
    sweep.add_model(VARIANTS["tv_1e-4"], model)
    floor, attack = sweep.floor("tv_1e-4"), sweep.attack("tv_1e-4", ATTACK)
    sweep.run(tmp_path)
    records = read_records(tmp_path / attack.folder / RECORDS)
    assert len(records) == 17 * 3
    assert {record.target for record in records} == set(range(18)) - {14}
    assert {record.victim for record in records} == {"tv_1e-4"}
    with np.load(tmp_path / attack.folder / ARRAYS, allow_pickle=False) as arrays:
        assert arrays["perturbation"].shape == (17, 32, 32, 3)
        assert not arrays["perturbation"][:, setting.mask[..., 0] == 0].any()
        assert arrays["success"].shape == arrays["loss"].shape == (ATTACK.steps + 1, 17)
    plain = read_records(tmp_path / floor.folder / RECORDS)
    assert len(plain) == 22 * 3
    assert {record.source for record in plain} == {"white", "black", "random"}
