"""Cells as plain data: what the name of one depends on, and what `compute` makes of a specification."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from blurnet_tf.attacks import NPS, RP2, GradientAttack
from blurnet_tf.models import VARIANTS, lisa_cnn
from blurnet_tf.models.inspection import model_sha256
from blurnet_tf.runs import Setting
from blurnet_tf.runs.cells import CellSpec, ModelSpec, compute
from blurnet_tf.runs.experiments import attack_cell
from blurnet_tf.runs.store import fill, read_cell
from tests.examples import untrained

ATTACK = RP2(steps=3)
PALETTE = ((0.5, 0.5, 0.5), (0.0, 0.0, 0.0))
TARGETS = (12, 17)

pytestmark = pytest.mark.filterwarnings("ignore:The model takes")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return untrained(tmp_path_factory.mktemp("models"))


def cell(setting: Setting, model: ModelSpec, attack: Any = ATTACK, **more: Any) -> CellSpec:
    return attack_cell(setting, attack, model, targets=TARGETS, **more)


def test_a_specification_survives_json(setting: Setting, model: ModelSpec) -> None:
    for attack in (ATTACK, RP2(penalties=(NPS(PALETTE),)), GradientAttack(steps=2)):
        spec = cell(setting, model, attack)
        assert CellSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_the_name_says_the_model_and_the_attack(setting: Setting, model: ModelSpec) -> None:
    assert cell(setting, model).folder.startswith("tv_1e-4_lambda-0.002_seed-0-")


def test_places_do_not_matter(setting: Setting, model: ModelSpec) -> None:
    folder = cell(setting, model).folder
    elsewhere = dataclasses.replace(setting, mask_path=Path("elsewhere.png"), source={"name": "other"})
    assert cell(elsewhere, dataclasses.replace(model, path="elsewhere.keras")).folder == folder


@pytest.mark.parametrize(
    "attack",
    [
        RP2(steps=4),
        RP2(steps=3, penalty=0.1),
        RP2(steps=3, seed=1),
        RP2(steps=3, norm="l1"),
        RP2(steps=3, learning_rate=0.2),
        RP2(steps=3, penalties=(NPS(PALETTE),)),
        RP2(steps=3, penalties=(NPS(PALETTE[:1]),)),
        GradientAttack(steps=3),
    ],
)
def test_another_attack_is_another_cell(setting: Setting, model: ModelSpec, attack: Any) -> None:
    assert cell(setting, model, attack).folder != cell(setting, model).folder


def test_other_inputs_are_another_cell(setting: Setting, model: ModelSpec) -> None:
    mask, images = setting.mask.copy(), setting.images.images.copy()
    mask[0, 0] = 1
    images[0, 0, 0, 0] /= 2
    others = [
        cell(setting, dataclasses.replace(model, sha256="0" * 64)),
        cell(setting, dataclasses.replace(model, variant=VARIANTS["baseline"].settings())),
        cell(setting, dataclasses.replace(model, input_blur=3)),
        cell(setting, model, dtype="mixed_bfloat16"),
        cell(setting, model, keep_images=True),
        cell(setting, model, victims=(model, dataclasses.replace(model, name="b"))),
        cell(dataclasses.replace(setting, mask=mask), model),
        cell(dataclasses.replace(setting, images=dataclasses.replace(setting.images, images=images)), model),
        attack_cell(setting, ATTACK, model, targets=(12,)),
    ]
    assert len({other.folder for other in (*others, cell(setting, model))}) == len(others) + 1


@pytest.mark.slow
def test_an_attack_is_computed_from_plain_data(setting: Setting, model: ModelSpec) -> None:
    spec = CellSpec.from_json(json.loads(json.dumps(cell(setting, model, keep_images=True).to_json())))
    records, arrays = compute(spec)
    assert len(records) == len(TARGETS) * 40
    assert {(record.source, record.victim, record.attack) for record in records} == {("tv_1e-4", "tv_1e-4", "RP2")}
    result = ATTACK(
        lisa_cnn("tv_1e-4", seed=0, dtype="float32"),
        setting.images.images,
        targets=TARGETS,
        mask=setting.mask,
        labels=setting.images.labels,
    )
    np.testing.assert_array_equal(arrays["perturbation"], result.perturbation)
    np.testing.assert_array_equal(arrays["adversarial"], result.apply(setting.images.images))
    assert arrays["success"].shape == arrays["loss"].shape == (ATTACK.steps + 1, len(TARGETS))


def test_plain_stickers_need_no_attack(setting: Setting, model: ModelSpec) -> None:
    spec = CellSpec(name="floor", kind="plain", images=setting.images_spec, mask=setting.mask_spec, victims=(model,))
    records, arrays = compute(spec)
    assert arrays == {}
    assert len(records) == 22 * 40
    assert {record.attack for record in records} == {"white", "black", "random"}


@pytest.mark.slow
def test_a_victim_may_be_the_source_behind_a_blur(setting: Setting, model: ModelSpec, tmp_path: Path) -> None:
    lisa_cnn("baseline", seed=0, dtype="float32").save(tmp_path / "own.keras")
    own = ModelSpec(name="own", path=str(tmp_path / "own.keras"), sha256=model_sha256(tmp_path / "own.keras"))
    filtered = dataclasses.replace(own, name="behind", input_blur=5)
    records, _ = compute(cell(setting, own, victims=(own, filtered)))
    expected = np.asarray(lisa_cnn("input_5x5", seed=0, dtype="float32")(setting.images.images)).argmax(1)
    seen = [record.clean_prediction for record in records if record.victim == "behind" and record.target == TARGETS[0]]
    assert seen == expected.tolist()


@pytest.mark.parametrize("what", ["images", "mask", "model"])
def test_what_has_changed_since_is_refused(setting: Setting, model: ModelSpec, tmp_path: Path, what: str) -> None:
    spec = cell(setting, model)
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), np.full((32, 32), 255, np.uint8))
    wrong = "0" * 64
    changed = {
        "images": {"images": dataclasses.replace(spec.images, sha256=wrong)},
        "mask": {"mask": dataclasses.replace(spec.mask, path=str(mask))},
        "model": {"source": dataclasses.replace(model, sha256=wrong)},
    }
    with pytest.raises(ValueError, match="Run it anew"):
        compute(dataclasses.replace(spec, **changed[what]))


OTHER = """
import json, sys
from pathlib import Path
from blurnet_tf.runs.cells import CellSpec
from blurnet_tf.runs.store import fill

fill(Path(sys.argv[1]), [CellSpec.from_json(spec) for spec in json.load(sys.stdin)])
"""


@pytest.mark.slow
def test_another_process_shares_the_work_and_computes_the_same(
    setting: Setting, model: ModelSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs, cells = [cell(setting, model, dataclasses.replace(ATTACK, seed=seed)) for seed in range(3)], tmp_path / "c"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-u", "-c", OTHER, str(cells)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(json.dumps([spec.to_json() for spec in specs]))
        other.stdin.close()
        said = other.stdout.readline()
        fill(cells, specs)  # while the other one is at its first cell
        said += other.stdout.read()
    assert other.returncode == 0
    assert said.startswith("cell 1 of 3")
    assert sorted(re.findall(r"^cell (\d)", said + capsys.readouterr().out, re.MULTILINE)) == ["1", "2", "3"]
    records, arrays = compute(specs[0])
    theirs = read_cell(cells / specs[0].folder)
    assert theirs.records == records
    np.testing.assert_array_equal(theirs.arrays["perturbation"], arrays["perturbation"])
