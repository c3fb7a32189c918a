"""The tables of the report: the paper beside what was measured, with intervals drawn."""

from __future__ import annotations

from collections.abc import Sequence

from blurnet_tf.reporting.report.blocks import Cell, Table, number_cell, share_cell
from blurnet_tf.reporting.report.stored import Row, Transfer, WhiteBox

_DRAWN = (
    "Per cent, in brackets and as a bar from 0 to 100 the 95% Wilson interval for the number of images. Dot: measured; "
    "diamond: the paper."
)


def table_1(transfer: Transfer) -> Table:
    """Return Table 1: an attack on the undefended model, shown to its filtered versions."""
    attack, run = transfer.provenance["attack"], transfer.provenance
    rows = [
        (
            Cell(text=row["title"]),
            share_cell(row, "accuracy", paper=row["paper_accuracy"]),
            number_cell(row["paper_accuracy"]),
            share_cell(row, "attack_success", paper=row["paper_attack_success"]),
            number_cell(row["paper_attack_success"]),
            number_cell(row["target_reached"]),
            number_cell(row["l2_dissimilarity"], scale=1, digits=3),
            number_cell(row["n"], scale=1, digits=0),
        )
        for row in transfer.rows
    ]
    caption = (
        f"{run['data']['n']} stop signs ({run['data']['source']}), target {attack['target_name']}, "
        f"lambda {attack['penalty']:g}, {attack['steps']} steps, seed {attack['seed']}"
    )
    header = ("", "accuracy", "paper", "attack success", "paper", "target reached", "L2 dissimilarity", "n")
    notes = [
        _DRAWN,
        "Attack success: attacked signs that are not classified as what they are, so that errors on clean signs count "
        "too. The attack saw the baseline alone. Paper: arXiv:1908.02256v1, Table 1.",
    ]
    return Table(caption=caption, header=header, rows=rows, notes=notes)


def table_2(white_box: WhiteBox) -> list[Table]:
    """Return Table 2: each model attacked with full knowledge, and what there is without an attack."""
    first, run = white_box.rows[0], white_box.run
    seeds, penalties = ", ".join(map(str, first["seeds"])), ", ".join(f"{one:g}" for one in first["lambdas"])
    caption = (
        f"{run['training_data']}; {first['n_images']} stop signs ({run['data']['source']}), {first['n_targets']} "
        f"targets, lambda {penalties}, {run['attack']['steps']} steps, seeds {seeds}, preset {run['preset']}"
    )
    header = (
        "", "accuracy", "paper", "average success", "paper", "worst success", "paper", "worst target", "any target",
        "L2 dissimilarity", "paper",
    )  # fmt: skip
    rows = [
        (
            Cell(text=row["title"]),
            share_cell(row, "legitimate_accuracy", paper=row["paper_legitimate_accuracy"]),
            number_cell(row["paper_legitimate_accuracy"]),
            share_cell(row, "average_success", paper=row["paper_average_success"]),
            number_cell(row["paper_average_success"]),
            share_cell(row, "worst_success", paper=row["paper_worst_success"]),
            number_cell(row["paper_worst_success"]),
            Cell(text=row["worst_target"]),
            share_cell(row, "union_success"),
            number_cell(row["l2_dissimilarity"], scale=1, digits=3),
            number_cell(row["paper_l2_dissimilarity"], scale=1, digits=3),
        )
        for row in white_box.rows
    ]
    notes = [
        _DRAWN,
        "Accuracy: on the test split. Success: attacked signs whose prediction differs from that of the clean sign; "
        "the mean over the attacks (target, lambda), the highest of them, and signs that at least one attack changes. "
        "The interval of the worst attack does not allow for its being chosen on these very signs. "
        "Paper: arXiv:1908.02256v1, Table 2.",
    ]
    return [Table(caption=caption, header=header, rows=rows, notes=notes), _floor(white_box.rows)]


def _floor(rows: Sequence[Row]) -> Table:
    lines = [
        (
            Cell(text=row["title"]),
            share_cell(row, "victim_accuracy"),
            share_cell(row, "floor_white"),
            share_cell(row, "floor_black"),
            number_cell(row["floor_random"]),
            number_cell(row["floor_random_worst"]),
            number_cell(row["target_reached_average"]),
            number_cell(row["target_reached_worst"]),
        )
        for row in rows
    ]
    return Table(
        caption="Without an attack, and what the attacks reach of their targets",
        header=(
            "", "accuracy on the signs", "white sticker", "black sticker", "random", "at most", "target reached",
            "at most",
        ),
        rows=lines,
        notes=[
            "Plain stickers in the place of the attack: predictions that they change; random ones, the mean over their "
            "draws and the most. An attack that does no more than these found nothing in the model."
        ],
    )  # fmt: skip


def ablation(rows: Sequence[Row], provenance: Row) -> Table:
    """Return the table of the blur after each layer."""
    attack = provenance["attack"]["attack"]
    lines = [
        (
            Cell(text=f"{row['size']}x{row['size']} after layer {row['layer']}" if row["size"] else "no blur"),
            share_cell(row, "legitimate_accuracy"),
            share_cell(row, "victim_accuracy"),
            share_cell(row, "attack_success"),
        )
        for row in rows
    ]
    return Table(
        caption=(
            f"Tested on {rows[0]['n_test']} images ({provenance['test']}); {rows[0]['n']} stop signs attacked on the "
            f"baseline, target {attack['target_name']}, lambda {attack['penalty']:g}, seed {attack['seed']}"
        ),
        header=("box blur", "accuracy, test split", "accuracy, signs", "attack success"),
        rows=lines,
        notes=[
            "Per cent, in brackets and as a bar the 95% Wilson interval. Nothing is trained for the blur. A model that "
            "errs on clean signs gains nothing from a low success here."
        ],
    )
