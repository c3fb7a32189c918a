"""The tables of the report beside Tables 1 and 2: the ablation, models of one's own, runs that vary one thing."""

from __future__ import annotations

from collections.abc import Sequence

from blurnet_tf.reporting.report.blocks import Cell, Table, number_cell, share_cell
from blurnet_tf.reporting.report.stored import OwnModel, Row, Rows

_INTERVAL = "Per cent, in brackets and as a bar from 0 to 100 the 95% Wilson interval"


def ablation(found: Rows) -> Table:
    """Return the table of the blur after each layer."""
    attack, first = found.provenance["attack"]["attack"], found.rows[0]
    lines = [
        (
            Cell(text=f"{row['size']}x{row['size']} after layer {row['layer']}" if row["size"] else "no blur"),
            share_cell(row, "legitimate_accuracy"),
            share_cell(row, "victim_accuracy"),
            share_cell(row, "attack_success"),
        )
        for row in found.rows
    ]
    return Table(
        caption=(
            f"Tested on {first['n_test']} images ({found.provenance['test']}); {first['n']} stop signs attacked on the "
            f"baseline, target {attack['target_name']}, lambda {attack['penalty']:g}, seed {attack['seed']}"
        ),
        header=("box blur", "accuracy, test split", "accuracy, clean signs", "attack success"),
        rows=lines,
        notes=[
            f"{_INTERVAL}. The weights are those of the baseline, nothing is trained for the blur. Attack success: "
            "attacked signs that are not classified as what they are, so that a model that errs on clean signs gains "
            "nothing from a low figure here. The maps of layer 3 are 2x2: any blur there is their sum, at three scales."
        ],
    )


def own_model(model: OwnModel) -> list[Table]:
    """Return the tables of somebody's own model: attacked with full knowledge, and behind filters."""
    tables = []
    if model.white_box:
        tables.append(_own_white_box(model.name, model.white_box))
    if model.transfer:
        tables.append(_own_transfer(model.name, model.transfer))
    return tables


def _own_white_box(name: str, found: Rows) -> Table:
    (row,), run = found.rows, found.provenance
    seeds, penalties = _listed(row["seeds"]), _listed(row["lambdas"])
    line = (
        Cell(text=name),
        share_cell(row, "victim_accuracy"),
        share_cell(row, "average_success"),
        share_cell(row, "worst_success"),
        Cell(text=row["worst_target"]),
        share_cell(row, "union_success"),
        number_cell(row["target_reached_average"]),
        number_cell(row["l2_dissimilarity"], scale=1, digits=3),
        number_cell(row["floor_white"]),
        number_cell(row["floor_random_worst"]),
    )
    return Table(
        caption=(
            f"{name}, white box: {row['n_images']} images ({run['data']['source']}), {row['n_targets']} targets, "
            f"lambda {penalties}, {run['attack']['steps']} steps, attack seed {seeds}"
        ),
        header=(
            "model", "accuracy, clean", "average success", "worst success", "worst target", "any target",
            "target reached", "L2 dissimilarity", "white sticker", "random sticker, at most",
        ),
        rows=[line],
        notes=[f"{_INTERVAL} for the number of images. Success: images whose prediction the attack changes."],
    )  # fmt: skip


def _own_transfer(name: str, found: Rows) -> Table:
    run = found.provenance
    attack = run["attack"]
    lines = [
        (
            Cell(text=row["title"]),
            *(share_cell(row, key) for key in ("accuracy", "attack_success", "prediction_changed", "target_reached")),
            number_cell(row["l2_dissimilarity"], scale=1, digits=3),
            number_cell(row["n"], scale=1, digits=0),
        )
        for row in found.rows
    ]
    return Table(
        caption=(
            f"{name}, transfer: {run['data']['n']} images ({run['data']['source']}), target {attack['target_name']}, "
            f"lambda {attack['penalty']:g}, {attack['steps']} steps, seed {attack['seed']}"
        ),
        header=(
            "model", "accuracy", "attack success", "prediction changed", "target reached", "L2 dissimilarity", "n",
        ),
        rows=lines,
        notes=[
            f"{_INTERVAL}. Attack success: attacked images that are not classified as what they are. The attack saw "
            "the model alone; the filters stand in front of it."
        ],
    )  # fmt: skip


def studies(found: Rows) -> Table:
    """Return the table of runs that vary one thing each."""
    lines = [
        (
            Cell(text=row["run"]),
            Cell(text=row["change"], left=True),
            number_cell(row["legitimate_accuracy"]),
            share_cell(row, "average_success"),
            share_cell(row, "worst_success"),
            Cell(text=row["worst_target"]),
            number_cell(row["union_success"]),
            number_cell(row["l2_dissimilarity"], scale=1, digits=3),
            number_cell(row["floor_white"]),
            number_cell(row["total_variation"], scale=1, digits=1),
            number_cell(row["relative_total_variation"], scale=1, digits=3),
        )
        for row in found.rows
    ]
    return Table(
        caption=_studied(found.rows),
        header=(
            "run", "change", "accuracy", "average success", "worst success", "worst target", "any target",
            "L2 dissimilarity", "white sticker", "TV", "TV/F",
        ),
        rows=lines,
        notes=[
            f"{_INTERVAL} for the number of images. Each run changes one thing against the first of its variant. "
            "TV: Eq. 4 on the first layer's maps of the test images, the mean over images and channels; TV/F: the same "
            "divided by the mean sum of |F|, which no scaling of the maps changes. docs/reproduction.md reads them."
        ],
    )  # fmt: skip


def _studied(rows: Sequence[Row]) -> str:
    return f"{len(rows)} runs: LISA, {rows[0]['n_images']} of RP2's photographs, {rows[0]['n_targets']} targets"


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
