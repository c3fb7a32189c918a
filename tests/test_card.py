"""The model card, and the rows of tables that go into it."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.export import model_card
from blurnet_tf.models import VARIANTS
from blurnet_tf.training.recipes import recipe
from experiments.table_rows import table_row

SHA = "ab" * 32


def training(variant: str = "tv_1e-4", data: str = "LISA, track split", init: str = "random") -> dict[str, Any]:
    settings = dataclasses.asdict(recipe("quick", variant, seed=3, init=init))
    settings |= {"data": data, "train_images": 5170, "precision": "mixed_bfloat16"}
    return {"settings": settings, "weights_sha256": SHA}


def card(name: str = "tv_1e-4", provenance: dict[str, Any] | None = None, data: str = "LISA, track split") -> str:
    return model_card(name, VARIANTS[name], provenance or training(), Rate(93, 100), data=data, attacked="THE ROW.")


# As `checkpoints.trained_model` writes it: nothing about data or a training.
RELEASED = {"settings": {"format": 1, "variant": {"name": "rp2_release"}, "start_sha256": SHA}, "weights_sha256": SHA}
RELEASED |= {"checkpoint": "RP2 release"}


def test_the_card_has_its_sections_in_order() -> None:
    titles = [line for line in card().splitlines() if line.startswith("#")]
    assert titles == [
        "# tv_1e-4: TV 1e-4",
        "## Use",
        "## Data and training",
        "## Accuracy",
        "## Under attack",
        "## Limits",
        "## Licence",
    ]


def test_the_card_says_what_is_in_the_provenance() -> None:
    text = card()
    assert (
        "Trained on 5170 images (LISA, track split) for 24 epochs with Adam, learning rate 0.001 (late cosine), "
        f"batches of 128, seed 3, in mixed_bfloat16. SHA-256 of the weights: `{SHA}`."
    ) in text
    assert (
        "93.0% [86.3, 96.6] of 100 held-out images (LISA, track split) are classified right; in brackets the 95% "
        "Wilson interval.\n"
    ) in text
    assert "THE ROW." in text
    assert 'tf.saved_model.load("tv_1e-4")' in text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("baseline", "It has no defence."),
        ("input_3x3", "Its defence is a 3x3 box blur of the image."),
        ("feature_5x5", "Its defence is a 5x5 box blur of the first layer's feature maps."),
        (
            "depthwise_7x7",
            "Its defence is a learned 7x7 depthwise filter on the first layer's feature maps, trained with the "
            "L-infinity penalty of Eq. 3, alpha = 0.1.",
        ),
        (
            "tv_1e-5",
            "Its defence is a training with the total variation of the first layer's feature maps as a penalty "
            "(Eq. 5), alpha_TV = 1e-05.",
        ),
    ],
)
def test_the_card_names_the_defence(name: str, sentence: str) -> None:
    assert sentence in card(name, training(name))


def test_the_card_says_where_the_weights_come_from() -> None:
    assert "the filter was put in afterwards" in card("feature_5x5", training("baseline"))
    assert "put in afterwards" not in card("baseline", training("baseline"))
    released = card("rp2_release", RELEASED, data="rendered signs")
    assert "Not trained here: these are the weights that RP2's authors released." in released
    assert "Trained on" not in released
    assert "of 100 held-out images (rendered signs) are classified right" in released
    started = card(provenance=training(init="rp2_release"))
    assert "The training started from the weights of rp2_release." in started


def test_the_card_says_what_becomes_of_photographs_from_a_telephone() -> None:
    assert "turned by its EXIF data, as telephones do, is\n  seen unturned" in card()


def test_the_card_says_that_a_split_leaks() -> None:
    sentence, data = "The split leaks: near duplicates", "LISA, random split (leaks)"
    assert sentence not in card()
    assert sentence in card(provenance=training(data=data), data=data)
    assert sentence not in card("rp2_release", RELEASED, data=data)  # which nobody split for that model


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Tables with a row for each of two models."""
    shares = ("legitimate_accuracy", "average_success", "worst_success", "union_success", "floor_white")
    row: dict[str, Any] = {key: 0.5 for share in shares for key in (share, f"{share}_low", f"{share}_high")}
    row |= {"worst_target": "yield", "l2_dissimilarity": 0.2, "n_images": 40, "n_targets": 17}
    row |= {"lambdas": [0.002, 0.02], "seeds": [0, 1]}
    row |= {f"paper_{key}": 0.1 for key in ("legitimate_accuracy", "average_success", "worst_success")}
    run = {"data": {"source": "rp2"}, "attack": {"steps": 300}, "preset": "quick"}
    run |= {"rows": {"tv_1e-4": {"training": {"weights_sha256": SHA}}}}
    write(tmp_path / "whitebox", run, "run.json", [{"row": "tv_1e-4", **row}], "table2.json")
    transfer: dict[str, Any] = {"row": "feature_5x5", "n": 40}
    transfer |= {f"{key}{end}": 0.25 for key in ("attack_success", "accuracy") for end in ("", "_low", "_high")}
    attack = {"target_name": "speedLimit45", "penalty": 0.002, "steps": 300, "seed": 0}
    run = {"data": {"source": "rp2"}, "attack": attack, "baseline": {"weights_sha256": SHA}}
    write(tmp_path / "blackbox", run, "provenance.json", [transfer], "table1.json")
    return tmp_path


def write(folder: Path, run: Any, run_name: str, rows: Any, rows_name: str) -> None:
    folder.mkdir()
    (folder / run_name).write_text(json.dumps(run))
    (folder / rows_name).write_text(json.dumps(rows))


def test_the_row_of_these_weights_is_found(results: Path) -> None:
    text, row = table_row("tv_1e-4", SHA, results)
    assert row is not None
    assert row["row"] == "tv_1e-4"
    assert text.startswith(
        "Table 2, white box: RP2 with full knowledge of the model, on 40 stop signs (rp2), 17 targets, lambda 0.002, "
        "0.02, 300 steps, seeds 0, 1, preset quick. L2 dissimilarity 0.200.\n\n|"
    )
    assert "| worst: yield                    | 50.0 [50.0, 50.0] |  10.0 |" in text
    text, row = table_row("feature_5x5", SHA, results)
    assert row is not None
    assert row["row"] == "feature_5x5"
    assert text.startswith(
        "Table 1, transfer: RP2 on the baseline, shown to this model, which the attack did not know; 40 stop signs "
        "(rp2), target speedLimit45, lambda 0.002, 300 steps, seed 0: 25.0 [25.0, 25.0]% of the attacked signs"
    )


@pytest.mark.parametrize(
    ("name", "way"),
    [
        (
            "tv_1e-4",
            "`make whitebox VARIANT=tv_1e-4` with the settings of this export makes it, and `make export` puts it "
            "here.",
        ),
        (
            "feature_5x5",
            "`make blackbox` makes Table 1, of this filter in the model that it attacks; `make whitebox MODEL=` with "
            "this folder attacks this one.",
        ),
    ],
)
def test_without_a_row_of_these_weights_the_card_says_how_to_make_it(results: Path, name: str, way: str) -> None:
    for sha, folder in (("cd" * 32, results), (SHA, results / "nothing")):
        text, row = table_row(name, sha, folder)
        assert row is None
        assert text == f"No table has a row for these weights yet: {way}"


def test_a_table_that_is_older_than_its_run_does_not_count(results: Path) -> None:
    os.utime(results / "whitebox" / "table2.json", (0, 0))
    assert table_row("tv_1e-4", SHA, results)[1] is None
