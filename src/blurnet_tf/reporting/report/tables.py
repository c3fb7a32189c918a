"""The tables of the report: the paper beside what was measured, with intervals drawn."""

from __future__ import annotations

from collections.abc import Sequence

from blurnet_tf.reporting.report.blocks import Cell, Table, number_cell, share_cell
from blurnet_tf.reporting.report.stored import Row, Transfer, WhiteBox

_INTERVAL = "Per cent, in brackets and as a bar from 0 to 100 the 95% Wilson interval for the number of images."
_DRAWN = f"{_INTERVAL} Dot: measured; diamond: the paper."


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
    header = ("model", "accuracy", "paper", "attack success", "paper", "target reached", "L2 dissimilarity", "n")
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
        f"targets, lambda {penalties}, {run['attack']['steps']} steps, attack seed {seeds}, preset {run['preset']}"
    )
    header = (
        "model", "accuracy", "paper", "average success", "paper", "worst success", "paper", "worst target",
        "any target", "L2 dissimilarity", "paper",
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
    tables = [Table(caption=caption, header=header, rows=rows, notes=notes)]
    if len(first["seeds"]) > 1:
        tables.append(_over_the_seeds(white_box.rows))
    if white_box.by_lambda:
        tables.append(_by_lambda(white_box))
    return [*tables, _floor(white_box.rows)]


def _over_the_seeds(rows: Sequence[Row]) -> Table:
    keys = ("average_success", "worst_success", "union_success")
    lines = [
        (
            Cell(text=row["title"]),
            *(number_cell(row[f"{key}_seed_{end}"]) for key in keys for end in ("min", "max")),
            *(number_cell(row[f"l2_dissimilarity_seed_{end}"], scale=1, digits=3) for end in ("min", "max")),
        )
        for row in rows
    ]
    names = ("average success", "worst success", "any target", "L2 dissimilarity")
    return Table(
        caption=f"The least and the most over the {len(rows[0]['seeds'])} seeds of the attack",
        header=("model", *(text for name in names for text in (f"{name}, least", "most"))),
        rows=lines,
        notes=["Per cent. The table above has the means over the seeds."],
    )


def _by_lambda(white_box: WhiteBox) -> Table:
    titles = [row["title"] for row in white_box.rows]
    lines = [
        (
            Cell(text=row["title"]),
            Cell(text=f"{row['lambda']:g}", value=row["lambda"]),
            share_cell(row, "average_success"),
            share_cell(row, "worst_success"),
            Cell(text=row["worst_target"]),
            share_cell(row, "union_success"),
            number_cell(row["l2_dissimilarity"], scale=1, digits=3),
        )
        for row in sorted(white_box.by_lambda, key=lambda row: (titles.index(row["title"]), row["lambda"]))
    ]
    return Table(
        caption="Each lambda alone",
        header=(
            "model",
            "lambda",
            "average success",
            "worst success",
            "worst target",
            "any target",
            "L2 dissimilarity",
        ),
        rows=lines,
        notes=[_INTERVAL],
    )


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
            "model", "accuracy on the signs", "white sticker", "black sticker", "random", "at most", "target reached",
            "at most",
        ),
        rows=lines,
        notes=[
            "Plain stickers in the place of the attack: predictions that they change; random ones, the mean over their "
            "draws and the most. An attack that does no more than these found nothing in the model."
        ],
    )  # fmt: skip
