"""Tables: rows counted from records, the paper's figures beside them, written as CSV, JSON and Markdown."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.records import Record
from blurnet_tf.files import write_json, write_text
from blurnet_tf.models.lisa_cnn import TRANSFER_VARIANTS, VARIANTS

PAPER_TABLE_1: dict[str, tuple[float, float]] = {
    "baseline": (1.0, 0.9),
    "input_3x3": (1.0, 0.875),
    "input_5x5": (1.0, 0.675),
    "feature_3x3": (1.0, 0.65),
    "feature_5x5": (0.875, 0.175),
}
"""Accuracy and attack success of the rows of Table 1, arXiv:1908.02256v1."""


def transfer_table(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the rows of Table 1: how an attack on one model carries over to the others.

    Args:
        records: One attack (source, target, lambda, seed), scored on each victim of `TRANSFER_VARIANTS`.

    Returns:
        A dict a row with `row`, `title`, `accuracy`, `attack_success` (share not classified as the label),
        `prediction_changed` (share whose prediction differs from the clean one), `target_reached`, each in [0, 1] and
        with its 95% Wilson interval as `<name>_low` and `<name>_high`; `l2_dissimilarity` (Eq. 1), `n`, and the paper's
        `paper_accuracy` and `paper_attack_success`.

    Raises:
        ValueError: A victim has no records, or the records are of several attacks.
    """
    attacks = {(record.source, record.target, record.penalty, record.seed) for record in records}
    if len(attacks) > 1:
        raise ValueError(f"Table 1 is about one attack. Received: records of {len(attacks)}")
    rows = []
    for name in TRANSFER_VARIANTS:
        mine = [record for record in records if record.victim == name]
        if not mine:
            raise ValueError(f"Table 1 needs records of the victim '{name}'. Received: none")
        row: dict[str, Any] = {"row": name, "title": VARIANTS[name].title, **transfer_columns(mine)}
        row["paper_accuracy"], row["paper_attack_success"] = PAPER_TABLE_1[name]
        rows.append(row)
    return rows


def transfer_columns(records: Sequence[Record]) -> dict[str, Any]:
    """Return `accuracy` to `n` of `transfer_table`, counted from the records of one attack on one victim."""
    rates = {
        "accuracy": metrics.accuracy(records),
        "attack_success": metrics.misclassified(records),
        "prediction_changed": metrics.prediction_changed(records),
        "target_reached": metrics.target_reached(records),
    }
    columns: dict[str, Any] = {}
    for key, rate in rates.items():
        columns |= with_interval(key, rate.value, rate.n)
    return columns | {"l2_dissimilarity": metrics.mean_dissimilarity(records), "n": len(records)}


def transfer_markdown(rows: Sequence[dict[str, Any]], caption: str, *, comparable: bool) -> str:
    """Return Table 1 as Markdown that also reads well as plain text, in per cent, under `caption`.

    Args:
        rows: As `transfer_table` returns them.
        caption: Stands above.
        comparable: Whether data, model and settings are those of the paper; if not, a note says so.
    """
    header = ("", "accuracy", "paper", "attack success", "paper", "target reached", "L2 dissimilarity", "n")
    lines = [
        (
            row["title"],
            per_cent(row, "accuracy"),
            f"{100 * row['paper_accuracy']:.1f}",
            per_cent(row, "attack_success"),
            f"{100 * row['paper_attack_success']:.1f}",
            f"{100 * row['target_reached']:.1f}",
            f"{row['l2_dissimilarity']:.3f}",
            str(row["n"]),
        )
        for row in rows
    ]
    note = (
        "Per cent, in brackets the 95% Wilson interval. Attack success: attacked signs that are not classified as what "
        "they are. Paper: arXiv:1908.02256v1, Table 1."
    )
    if not comparable:
        note += (
            " This run is not the paper's, which attacked RP2's released model and photographs with the settings and "
            "the mask of its authors: its figures are here for orientation only."
        )
    return f"{caption}\n\n{markdown_table(header, lines)}\n\n{note}\n"


def write_table(folder: str | os.PathLike[str], name: str, rows: Sequence[dict[str, Any]], markdown: str) -> None:
    """Write `<name>.csv`, `<name>.md` and, last, `<name>.json` into a folder, each atomically.

    In the CSV file the values of a list stand in one field with spaces between them, and `None` is an empty field.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {key: " ".join(map(str, value)) if isinstance(value, list) else value for key, value in row.items()}
        )
    folder = Path(folder)
    write_text(folder / f"{name}.csv", text.getvalue())
    write_text(folder / f"{name}.md", markdown)
    write_json(folder / f"{name}.json", list(rows))


def with_interval(key: str, share: float, n: int) -> dict[str, float]:
    """Return a share of `n` images as the columns `<key>`, `<key>_low` and `<key>_high`: its 95% Wilson interval."""
    low, high = metrics.wilson(share, n)
    return {key: share, f"{key}_low": low, f"{key}_high": high}


def per_cent(row: Mapping[str, Any], key: str) -> str:
    """Return what `with_interval` put into a row, in per cent.

    Example:
        >>> per_cent(with_interval("accuracy", 0.9, 40), "accuracy")
        '90.0 [76.9, 96.0]'
    """
    return f"{100 * row[key]:.1f} [{100 * row[f'{key}_low']:.1f}, {100 * row[f'{key}_high']:.1f}]"


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown whose columns are even in plain text too: the first left, the others right.

    Example:
        >>> print(markdown_table(("", "n"), [("Baseline", "40")]))
        |          |  n |
        |----------|---:|
        | Baseline | 40 |
    """
    widths = [max(len(line[column]) for line in (header, *lines)) for column in range(len(header))]

    def row(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    return "\n".join([row(header), f"|{rule}|", *(row(line) for line in lines)])
