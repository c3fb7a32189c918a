"""What the report says in words: its headline, what differs from the paper, and where everything comes from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from report_results import (
    ATTACK,
    ENVIRONMENT,
    EVIL,
    LISA,
    OWN,
    write_ablation,
    write_blackbox,
    write_models,
    write_studies,
    write_whitebox,
)

from blurnet_tf.reporting.report.blocks import Cards, Text
from blurnet_tf.reporting.report.words import UNKNOWN, differences, headline, provenance
from blurnet_tf.reporting.rows import TransferRow, WhiteBoxRow
from blurnet_tf.reporting.run_tables import Counted, ablation_table, model_table, study_table, table_1, table_2

Transfer = Counted[TransferRow]
WhiteBox = Counted[WhiteBoxRow]


@pytest.fixture(scope="module")
def transfer(tmp_path_factory: pytest.TempPathFactory) -> Transfer:
    return table_1(write_blackbox(tmp_path_factory.mktemp("blackbox")))


@pytest.fixture(scope="module")
def white_box(tmp_path_factory: pytest.TempPathFactory) -> WhiteBox:
    return table_2(write_whitebox(tmp_path_factory.mktemp("whitebox")))


def changed(counted: Counted[Any], **changes: Any) -> Counted[Any]:
    """The same, of a run that differs in some fields."""
    run = dataclasses.replace(counted.run, **changes)
    return dataclasses.replace(counted, stored=dataclasses.replace(counted.stored, run=run))


def test_the_headline_has_the_numbers_of_both_tables(transfer: Transfer, white_box: WhiteBox) -> None:
    cards, text = headline(transfer, white_box)
    assert isinstance(cards, Cards)
    assert [(card.number, card.beside) for card in cards.cards] == [
        ("100.0% → 25.0%", "paper 90.0% → 17.5%"),  # 4 and 1 of 4 signs
        ("5 of 5", "arXiv:1908.02256v1"),
        ("41.7% / 75.0%", "paper 49.2% / 90.0%"),  # 0, 2 and 3 of 4
        ("41.7%", "paper's lowest of these: TV 1e-4, 7.9%"),
        ("1 of 2", "outside: TV 1e-4"),
    ]
    assert isinstance(text, Text)
    assert all("does not follow the paper's protocol" in sentence for sentence in text.sentences)
    *_, text = headline(changed(transfer, papers_protocol=True), None)
    assert list(text.sentences) == ["Table 1 follows the paper's protocol, as far as the paper states it."]
    assert headline(None, None) == []


def test_what_always_differs_is_always_said(transfer: Transfer, white_box: WhiteBox) -> None:
    assert differences(None, None) == list(UNKNOWN)
    assert differences(transfer, white_box)[-len(UNKNOWN) :] == list(UNKNOWN)


NPS = {"kind": "NPS", "mode": "original"}
PHOTOGRAPHS = {"name": "rp2", "title": "RP2's photographs", "photographs": True, "n": 40}


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({}, "trained and tested on rendered signs, not on LISA", "leaks"),
        ({"training_data": LISA | {"leaks": True}}, "The random split leaks", "not on LISA"),
        ({"training_data": LISA | {"leaks": True}}, "it is too narrow", "No track"),
        ({"training_data": LISA}, "no track of LISA is on both sides of the split", "leaks"),
        ({"training_data": LISA | {"title": "it leaks"}}, "no track of LISA", "split leaks"),
        ({}, "the attacked signs are rendered signs, not photographs", "trainings start from"),
        ({"data": PHOTOGRAPHS}, "trained for 1 epochs; the paper trains for 2000", "not photographs"),
        ({}, "without the paper's rows 3x3 conv, 5x5 conv, 7x7 conv, TV 1e-5.", "TV 1e-4"),
        ({"init": "rp2_release"}, "the trainings start from the weights of rp2_release", "bfloat16"),
        ({"attack": ATTACK | {"penalties": [NPS]}}, "lambda 0.002 and attack seed 0", "non-printability"),
        ({"attack": ATTACK | {"steps": 20}}, "20 steps of the attack; the paper has 300", "bfloat16"),
        ({"precision": "float32, not bfloat16"}, "one training a row, seed 0", "in bfloat16"),
    ],
)
def test_what_differs_is_said_of_the_run_that_is_there(
    white_box: WhiteBox, changes: dict[str, Any], said: str, unsaid: str
) -> None:
    sentences = " ".join(differences(None, changed(white_box, **changes)))
    assert said.lower() in sentences.lower()
    assert unsaid.lower() not in sentences.lower()


def test_what_differs_of_the_trainings_is_said(white_box: WhiteBox) -> None:
    def with_training(training: dict[str, Any]) -> str:
        rows = tuple(dataclasses.replace(row, training=training) for row in white_box.run.rows)
        return " ".join(differences(None, changed(white_box, rows=rows)))

    halves = {"settings": {"epochs": 1, "seed": 0, "precision": "mixed_bfloat16"}}
    assert "Table 2: trained in bfloat16, scored in float32." in with_training(halves)
    assert "RP2's released weights that the paper has not" in with_training({"checkpoint": "RP2 release"})


def test_the_transfer_of_the_paper_does_not_differ_in_its_data(transfer: Transfer) -> None:
    first, second, *_ = differences(transfer, None)
    assert first.startswith("Table 1: the signs are rendered signs, not RP2's 40 photographs")
    assert second == "Table 1: the model is our own training, not RP2's released weights."
    (first, *_) = differences(changed(transfer, data=PHOTOGRAPHS), None)
    assert first == second
    rows = tuple(dataclasses.replace(row, training={"checkpoint": "RP2 release"}) for row in transfer.run.rows)
    released = changed(transfer, data=PHOTOGRAPHS, rows=rows)
    (first, *_) = differences(released, None)
    assert first == "Table 1: the mask, the target or a setting of the attack is not RP2's."
    (first, *_) = differences(changed(released, papers_protocol=True), None)
    assert first.startswith("Table 1: without the non-printability score")


def test_every_experiment_says_where_it_comes_from(transfer: Transfer, white_box: WhiteBox, tmp_path: Path) -> None:
    ablation = ablation_table(write_ablation(tmp_path / "ablation"))
    studies = study_table(write_studies(tmp_path / "studies"))
    models = [model_table(stored) for stored in write_models(tmp_path / "models")]
    runs: list[Counted[Any]] = [transfer, white_box, ablation, studies, *models]
    facts = {block.title: dict(block.facts) for counted in runs for block in provenance(counted)}
    assert list(facts) == [
        "Table 1", "Table 2", "The models of Table 2", "Ablation", "What moves the numbers", f"{OWN}, white box",
        f"{OWN}, transfer",
    ]  # fmt: skip
    for title in set(facts) - {"The models of Table 2"}:
        assert facts[title]["commit"] == f"{ENVIRONMENT['git']['commit']}, with changed files"
        assert "tensorflow 2.21.0" in facts[title]["versions"]
        assert facts[title]["attacked signs, SHA-256"] == "d" * 64
        assert facts[title]["mask, SHA-256"] == "e" * 64
    assert facts["Table 1"]["attack"].endswith(f"target=17, target_name={EVIL}")
    second = facts["Table 2"]
    assert (second["training images, SHA-256"], second["test images, SHA-256"]) == ("b" * 64, "c" * 64)
    assert (second["lambda"], second["seeds of the attack"]) == ("0.002", "0")
    assert "steps=5, " in second["attack"]
    assert "image_clip=0 to 1" in second["attack"]
    assert facts["The models of Table 2"]["Baseline"] == (
        f"epochs=1, seed=0, precision=float32; weights, SHA-256: {'f' * 64}"
    )
    assert facts["Ablation"]["attacked weights, SHA-256"] == "a" * 64
    assert facts[f"{OWN}, transfer"]["model"] == f"{OWN}, output logits"
