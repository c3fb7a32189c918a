"""What the report says in words: its headline, what differs from the paper, and where everything comes from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from report_results import ENVIRONMENT, EVIL, OWN, write_ablation, write_blackbox, write_model, write_whitebox

from blurnet_tf.reporting.report.blocks import Cards, Facts, Text
from blurnet_tf.reporting.report.differences import UNKNOWN, differences
from blurnet_tf.reporting.report.headline import headline
from blurnet_tf.reporting.report.provenance import provenance
from blurnet_tf.reporting.report.stored import Rows, WhiteBox
from experiments.report_inputs import read_ablation, read_transfer, read_white_box
from experiments.report_own import read_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("words")


@pytest.fixture(scope="module")
def transfer(folder: Path) -> Rows:
    write_blackbox(folder / "blackbox")
    found = read_transfer(folder / "blackbox")
    assert isinstance(found, Rows)
    return found


@pytest.fixture(scope="module")
def white_box(folder: Path) -> WhiteBox:
    write_whitebox(folder / "whitebox", "f" * 64)
    found = read_white_box(folder / "whitebox")
    assert isinstance(found, WhiteBox)
    return found


def test_the_headline_has_the_numbers_of_both_tables(transfer: Rows, white_box: WhiteBox) -> None:
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
    authentic = dataclasses.replace(transfer, provenance={**transfer.provenance, "papers_protocol": True})
    *_, text = headline(authentic, None)
    assert list(text.sentences) == ["Table 1 follows the paper's protocol, as far as the paper states it."]
    assert headline(None, None) == []


def test_what_always_differs_is_always_said(transfer: Rows, white_box: WhiteBox) -> None:
    assert differences(None, None) == list(UNKNOWN)
    assert differences(transfer, white_box)[-len(UNKNOWN) :] == list(UNKNOWN)


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({}, "trained and tested on rendered signs, not on LISA", "leaks"),
        ({"training_data": "LISA, random split (leaks)"}, "The random split leaks", "not on LISA"),
        ({"training_data": "LISA, random split (leaks)"}, "it is too narrow", "No track"),
        ({"training_data": "LISA, track split"}, "no track of LISA is on both sides of the split", "leaks"),
        ({}, "the attacked signs are synthetic, not photographs", "trainings start from"),
        ({"data": {"source": "rp2", "n": 40}}, "trained for 1 epochs; the paper trains for 2000", "not photographs"),
        ({}, "without the paper's rows 3x3 conv, 5x5 conv, 7x7 conv, TV 1e-5.", "TV 1e-4"),
        ({"init": "rp2_release"}, "the trainings start from the weights of rp2_release", "bfloat16"),
        ({"attack": {"steps": 300, "nps": "original"}}, "lambda 0.002 and attack seed 0", "non-printability"),
        ({"attack": {"steps": 20, "nps": None}}, "20 steps of the attack; the paper has 300", "bfloat16"),
        ({"precision": "mixed_bfloat16"}, "trained and attacked in bfloat16, scored in float32", "leaks"),
    ],
)
def test_what_differs_is_said_of_the_run_that_is_there(
    white_box: WhiteBox, changes: dict[str, Any], said: str, unsaid: str
) -> None:
    sentences = " ".join(differences(None, dataclasses.replace(white_box, run={**white_box.run, **changes})))
    assert said.lower() in sentences.lower()
    assert unsaid.lower() not in sentences.lower()


def test_the_transfer_of_the_paper_does_not_differ_in_its_data(transfer: Rows) -> None:
    (first, _), own = differences(transfer, None)[:2], transfer.provenance
    assert first.startswith("Table 1: the signs are synthetic, not RP2's 40 photographs")
    run = {**own, "data": {**own["data"], "source": "rp2"}}
    (first, *_) = differences(dataclasses.replace(transfer, provenance=run), None)
    assert first == "Table 1: the mask, the target or a setting of the attack is not RP2's."
    (first, *_) = differences(dataclasses.replace(transfer, provenance=run | {"papers_protocol": True}), None)
    assert first.startswith("Table 1: without the non-printability score")


def test_every_experiment_says_where_it_comes_from(transfer: Rows, white_box: WhiteBox, folder: Path) -> None:
    write_ablation(folder / "ablation")
    write_model(folder / "models" / OWN)
    ablation = read_ablation(folder / "ablation", transfer)
    models, left_out = read_models(folder / "models")
    assert isinstance(ablation, Rows)
    assert left_out == []
    found = provenance(transfer, white_box, ablation=ablation, studies=ablation_like(), models=models)
    facts = {block.title: dict(block.facts) for block in found if isinstance(block, Facts)}
    assert list(facts) == [
        "Table 1", "Table 2", "The models of Table 2", "Ablation", "What moves the numbers", f"{OWN}, white box",
        f"{OWN}, transfer",
    ]  # fmt: skip
    for title in set(facts) - {"The models of Table 2"}:
        assert facts[title]["commit"] == f"{ENVIRONMENT['git']['commit']}, with changed files"
        assert "tensorflow 2.21.0" in facts[title]["versions"]
    for title in ("Table 1", "Table 2", f"{OWN}, white box", f"{OWN}, transfer"):
        assert facts[title]["attacked signs, SHA-256"] == "d" * 64
        assert facts[title]["mask, SHA-256"] == "e" * 64
    assert facts["Table 1"]["attack"].endswith(f"seed=0, target=17, target_name={EVIL}")
    second = facts["Table 2"]
    assert (second["training images, SHA-256"], second["test images, SHA-256"]) == ("b" * 64, "c" * 64)
    assert (second["attack"], second["lambda"]) == ("steps=5, image_clip=0 to 1", "0.002")
    assert facts["The models of Table 2"]["Baseline"] == f"epochs=1, seed=0; weights, SHA-256: {'f' * 64}"
    assert facts["Ablation"]["attacked weights, SHA-256"] == "a" * 64
    assert facts[f"{OWN}, transfer"]["model"] == f"{OWN}, output logits"


def ablation_like() -> Rows:
    return Rows(rows=[], provenance={"precision": "float32", "environment": ENVIRONMENT})
