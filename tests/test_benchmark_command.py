"""`blurnet benchmark` and `make check` as a user runs them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from planted import short

from blurnet_tf import lisa_cnn
from blurnet_tf.commands.files import save_image
from blurnet_tf.commands.main import main
from blurnet_tf.data import synthetic
from blurnet_tf.data.folder import levels
from blurnet_tf.training.recipes import PRESETS
from experiments import check

pytestmark = pytest.mark.filterwarnings("ignore:The model takes")


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("quick", "standard"):
        monkeypatch.setitem(check.SUITES, name, (short("shared", 2), short("per image", 2, sharing="per_image")))
    monkeypatch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", (5, 40))
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)  # random plain stickers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lisa_cnn("baseline", seed=0).save(tmp_path / "mine.keras")
    for index, image in enumerate(synthetic.victim_split().images[:3]):
        save_image(tmp_path / "photos" / f"{index}.png", levels(image))
    return tmp_path


@pytest.mark.slow
def test_it_prints_the_table_and_writes_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["benchmark", "--model", str(folder / "mine.keras"), "--images", str(folder / "photos"),
                 "--label", "stop", "--results", str(folder / "out")]  # fmt: skip
    assert main(arguments) == 0
    assert "| shared " in capsys.readouterr().out
    assert "| shared " in (folder / "out" / "mine" / "benchmark.md").read_text()
    assert main([*arguments, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((folder / "out" / "mine" / "benchmark.json").read_text())
    assert shown["images"] == 3


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--label", "stop"], "--label needs a folder of images"),
        (["--mask", "nowhere.png"], "Mask nowhere.png is no file"),
        (["--data", "cifar"], "`name` must be one of"),
    ],
)
def test_a_mistake_gets_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], sentence: str
) -> None:
    assert main(["benchmark", "--model", str(folder / "mine.keras"), "--results", str(folder / "out"), *more]) == 1
    assert sentence in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.slow
def test_the_program_checks_a_model_of_ones_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model", str(folder / "mine.keras"), "--victims", str(folder / "photos"), "--label", "stop"]
    check.main([*model, "--suite", "quick", "--results", str(folder / "check")])
    assert "per image" in capsys.readouterr().out
    assert (folder / "check" / "mine" / "check" / "check.md").is_file()


@pytest.mark.slow
def test_the_program_trains_and_checks_variants(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "smoke", dataclasses.replace(PRESETS["smoke"], per_class=3, test_per_class=1))
    places = ["--checkpoints", str(folder / "checkpoints"), "--results", str(folder / "check")]
    check.main(["--data", "synthetic", "--preset", "smoke", "--variant", "baseline", "--suite", "quick", *places])
    (row,) = json.loads((folder / "check" / "check.json").read_text())
    assert row["row"] == "baseline"
    assert row["test_accuracy"] is not None
