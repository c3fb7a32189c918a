"""The runs that vary one thing at a time."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from blurnet_tf.attacks import RP2
from blurnet_tf.runs.studies import STUDIES, Study
from blurnet_tf.training.recipes import recipe
from experiments import reproduction

BASES = ("baseline", "tv_1e-4", "depthwise_7x7")


def settings(study: Study) -> dict[str, Any]:
    """Everything that a study sets, but names."""
    flat = {f"defence.{key}": value for key, value in study.recipe.variant.settings().items() if key != "name"}
    flat |= {f"training.{key}": value for key, value in study.recipe.settings().items()}
    flat |= {f"attack.{key}": value for key, value in dataclasses.asdict(study.attack).items()}
    return flat | {"split": study.split, "nps": study.nps}


@pytest.mark.parametrize("base", BASES)
def test_the_first_run_of_a_variant_is_the_quick_preset(base: str) -> None:
    study = STUDIES[base]
    assert study.recipe.variant.name == base
    expected = recipe("quick", base)
    assert dataclasses.replace(study.recipe, variant=expected.variant) == expected
    assert (study.attack, study.split) == (RP2(), "track")


@pytest.mark.parametrize("name", [name for name in STUDIES if name not in BASES])
def test_every_other_run_changes_one_thing_or_those_that_it_names(name: str) -> None:
    base, other = settings(STUDIES[name.partition("__")[0]]), settings(STUDIES[name])
    changed = {key for key in base | other if base.get(key) != other.get(key)}
    several = {
        "alpha-0.1-before-relu": {"defence.alpha_tv", "defence.tv_before_relu"},
        "fixed-box": {"defence.alpha", "defence.depthwise", "defence.feature_blur"},
        "random-start-seed-1": {"defence.depthwise_start", "training.seed"},
        "constant-100": {"training.epochs", "training.schedule"},
        "constant-400": {"training.epochs", "training.schedule"},
        "constant-2000": {"training.epochs", "training.schedule"},
    }
    expected = several.get(name.partition("__")[2])
    assert changed == expected if expected else len(changed) == 1


@pytest.mark.parametrize("variant", ["baseline", "tv_1e-4"])
def test_the_longest_run_is_the_training_of_the_paper_preset(variant: str) -> None:
    study = STUDIES[f"{variant}__constant-2000"]
    assert (study.recipe, study.preset) == (recipe("paper", variant), "paper")  # its checkpoint, too


def test_runs_share_a_training_only_if_it_is_the_same() -> None:
    trainings: dict[str, set[str]] = {}
    for study in STUDIES.values():
        what = repr(
            (
                dataclasses.replace(study.recipe.variant, title=""),
                study.recipe.init,
                study.recipe.seed,
                study.recipe.epochs,
            )
        )
        checkpoint = f"{study.preset} {study.recipe.variant.name}"
        trainings.setdefault(checkpoint, set()).add(what + study.split + study.recipe.schedule)
    assert all(len(different) == 1 for different in trainings.values())


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:Mask", "ignore:The model takes")
def test_the_runs_are_made_on_the_real_data(
    rp2_folder: Path, lisa_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLURNET_DATA", str(rp2_folder.parent))
    small = {
        name: dataclasses.replace(
            STUDIES[name],
            recipe=dataclasses.replace(STUDIES[name].recipe, epochs=1),
            attack=dataclasses.replace(STUDIES[name].attack, steps=1),
        )
        for name in ("tv_1e-4__before-relu",)
    }
    monkeypatch.setattr(reproduction, "STUDIES", small)
    folders = {"--data-dir": tmp_path, "--checkpoints": tmp_path / "c", "--results": tmp_path / "r"}
    reproduction.main([str(word) for flag in folders.items() for word in flag])
    rows = json.loads((tmp_path / "r" / "runs.json").read_text())
    assert [row["run"] for row in rows] == list(small)
    for row in rows:
        assert row["alpha"] == 1e-4
        assert row["total_variation"] > 0
        assert 0 < row["relative_total_variation"] < 4  # each of the four neighbours can differ by its whole height
    assert (tmp_path / "c" / "studies" / "tv_1e-4__before-relu.keras").exists()
