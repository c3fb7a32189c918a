"""The models that come with the package: their files, what is said of them, and the figures, measured again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import blurnet_tf
from blurnet_tf import list_models, load_dataset, load_model, predict
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.evaluation.suites import SUITES
from blurnet_tf.export import zoo_card
from blurnet_tf.files import sha256
from blurnet_tf.models import layer_weights, weights_sha256
from blurnet_tf.models.zoo import PACKAGED, ZooEntry, is_packaged, read_index
from blurnet_tf.reporting.zoo_page import with_table
from blurnet_tf.runs import subject
from blurnet_tf.runs.checkpoints import zoo_checkpoint

PAGE = Path(__file__).resolve().parent.parent / "docs" / "zoo.md"
ENTRIES = read_index(PACKAGED)
SHIPPED = [entry for entry in ENTRIES if is_packaged(entry)]
MOST_BYTES = 10_000_000
TRIALS = [trial for trial in SUITES["quick"] if trial.name == "per image"]


def name(entry: ZooEntry) -> str:
    return entry.file


@pytest.fixture(autouse=True)
def without_a_zoo_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BLURNET_ZOO", raising=False)


def test_the_package_has_what_a_newcomer_needs() -> None:
    assert {"baseline", "baseline+stickers"} <= {entry.name for entry in SHIPPED if entry.dataset == "lisa"}
    assert "baseline" in {entry.name for entry in SHIPPED if entry.dataset == "synthetic"}
    assert set(list_models()) == {entry.name for entry in ENTRIES}
    assert sum(path.stat().st_size for path in PACKAGED.rglob("*") if path.is_file()) < MOST_BYTES
    assert {path.relative_to(PACKAGED).as_posix() for path in PACKAGED.rglob("*.npz")} == {one.file for one in SHIPPED}


@pytest.mark.parametrize("entry", SHIPPED, ids=name)
def test_a_model_is_the_one_that_the_index_describes(entry: ZooEntry) -> None:
    path = PACKAGED / entry.file
    assert (sha256(path), path.stat().st_size) == (entry.sha256, entry.bytes)
    model = load_model(entry.name, dataset=entry.dataset, seed=entry.seed)
    assert weights_sha256(layer_weights(model)) == entry.weights_sha256
    assert subject(zoo_checkpoint(entry, model)).row.title == entry.title
    card = zoo_card(entry)
    assert card.startswith(f"# {entry.name}: {entry.title}\n")
    assert entry.data["licence"] in card
    assert os.fspath(Path.home()) not in card


@pytest.mark.parametrize("entry", ENTRIES, ids=name)
def test_every_model_was_measured_on_victims_with_areas_and_on_held_out_signs(entry: ZooEntry) -> None:
    victims, signs = entry.measured
    assert victims["of"]["suite"] == "standard"
    assert victims["n"] == 40
    assert [row["area"] for row in victims["curve"] if row["family"] == "bars"] == [48, 96, 144]
    assert len(victims["trials"]) > 10
    assert signs["n"] > 100 or entry.dataset == "synthetic"
    assert victims["union_low"] <= victims["union"] <= victims["union_high"]


def test_the_page_has_the_table_of_the_index() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page, ENTRIES), "`make assets` writes the table of docs/zoo.md"


def count_correct(entry: ZooEntry, data: Dataset) -> None:
    test = data.test()
    model = load_model(entry.name, dataset=entry.dataset, seed=entry.seed)
    assert len(test) == entry.test_images
    correct = int((predict(model, test.images) == test.labels).sum())
    assert abs(correct - entry.test_correct) <= 1  # another processor may round otherwise


@pytest.mark.slow
@pytest.mark.realdata
def test_the_accuracies_on_lisa_are_those_of_these_weights(lisa_folder: Path) -> None:
    data = load_dataset("lisa", roots=[lisa_folder.parent])
    for entry in SHIPPED:
        if entry.dataset == "lisa":
            count_correct(entry, data)


@pytest.mark.slow
def test_the_accuracies_on_rendered_signs_are_those_of_these_weights() -> None:
    data = load_dataset("synthetic")
    for entry in SHIPPED:
        if entry.dataset == "synthetic":
            count_correct(entry, data)


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:Mask .* has 21 stray pixels")  # that of RP2's authors
def test_what_a_sticker_for_each_breaks_is_what_the_index_says(rp2_folder: Path, tmp_path: Path) -> None:
    entry = blurnet_tf.find_model("baseline+stickers")
    data = load_dataset("rp2", roots=[rp2_folder.parent])
    found = blurnet_tf.benchmark(blurnet_tf.load_classifier(entry.place), data, suite=TRIALS, results=tmp_path)
    stored = {row["trial"]: row for row in entry.measured[0]["trials"]}
    assert found.rows
    for row in found.rows:
        assert row.n == stored[row.trial]["n"] == 40
        assert row.union.value == pytest.approx(stored[row.trial]["union"], abs=2.5 / row.n)  # two signs
    assert found.floor.white is not None
    assert found.floor.white.value == pytest.approx(entry.measured[0]["floor_white"], abs=1.5 / 40)


@pytest.mark.parametrize("entry", [one for one in SHIPPED if one.dataset == "lisa"], ids=name)
def test_a_model_reads_the_picture_that_comes_with_the_package(entry: ZooEntry) -> None:
    sign = blurnet_tf.read_image(blurnet_tf.bundled("stop.png"), size=entry.image_size)
    seen = predict(load_model(entry.name, seed=entry.seed), sign[np.newaxis])
    assert entry.class_names[seen[0]] == "stop"
