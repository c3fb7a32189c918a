"""The verdicts: complete sentences about commands that exist, in the docs as in the module."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from blurnet_tf.evaluation.suites import SUITES
from blurnet_tf.reporting import verdicts
from blurnet_tf.reporting.paper import PAPER_TABLE_1, PAPER_TABLE_2
from blurnet_tf.reporting.verdicts import VERDICTS, Verdict
from blurnet_tf.runs.studies import STUDIES
from blurnet_tf.training.recipes import find_row

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()


def test_the_docs_are_what_the_module_says() -> None:
    assert (ROOT / "docs/verdicts.md").read_text() == verdicts.page(), "`make assets` writes docs/verdicts.md"


@pytest.mark.parametrize("one", VERDICTS, ids=lambda one: one.where)
def test_each_verdict_is_whole(one: Verdict) -> None:
    assert one.verdict in {"reproduced", "partly", "not reproduced", "not testable"}
    assert one.sure in {"sure", "fairly sure", "not sure"}
    for text in (one.claim, one.measured, one.belief):
        assert text.strip().endswith(".")
        assert "|" not in text
    assert re.search(r"\d", one.measured)  # a figure, not an opinion


@pytest.mark.parametrize("one", VERDICTS, ids=lambda one: one.where)
def test_each_command_can_be_given(one: Verdict) -> None:
    for command in one.command.split(";"):
        make, target, *variables = shlex.split(command)
        assert make == "make"
        assert re.search(rf"^{target}: ", MAKEFILE, re.MULTILINE)
        given = dict(word.split("=", 1) for word in variables)
        assert all(re.search(rf"^{name} +\?=", MAKEFILE, re.MULTILINE) for name in given)
        for name in given.get("RUN", "").split():
            assert name in STUDIES
        for row in given.get("VARIANT", "").split():
            find_row(row)
        assert given.get("SUITE", "quick") in SUITES
        assert given.get("DATA", "lisa") in {"lisa", "rp2"}


def test_the_papers_figures_are_those_of_the_tables() -> None:
    (first,) = [one.claim for one in VERDICTS if one.where == "Table 1"]
    assert numbers(first) == [100 * success for _, success in PAPER_TABLE_1.values()]
    table = [one.claim for one in VERDICTS if one.where == "Table 2"]
    average = {name: round(100 * row.average_success, 1) for name, row in PAPER_TABLE_2.items() if row.average_success}
    claimed = [set(numbers(claim)) for claim in table]
    assert {average["baseline"], 90.0} in claimed
    assert any({average[f"depthwise_{size}x{size}"] for size in (3, 5, 7)} <= found for found in claimed)
    assert any({average["tv_1e-4"], average["tv_1e-5"]} <= found for found in claimed)


def numbers(text: str) -> list[float]:
    return [float(one) for one in re.findall(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w.-]*\d)", text)]


def test_the_summary_counts_every_claim() -> None:
    total, *parts = (int(one) for one in re.findall(r"\d+", verdicts.summary()))
    assert total == sum(parts) == len(VERDICTS)
    assert len({(one.where, one.claim) for one in VERDICTS}) == len(VERDICTS)
