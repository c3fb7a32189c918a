"""Tables about a model of somebody's own: the measures of Tables 1 and 2, without the paper's rows and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.tables import markdown_table, per_cent, transfer_columns
from blurnet_tf.reporting.white_box_checks import check_each, check_row
from blurnet_tf.reporting.white_box_columns import attack_columns, floor_columns


def model_row(
    name: str, records: Sequence[Record], floor: Sequence[Record], *, class_names: Sequence[str]
) -> dict[str, Any]:
    """Return what Table 2 says of one model, but for what only the paper's models have.

    Args:
        name: The model, as source and victim of the records.
        records: White-box attacks on it: every target with every lambda and seed, all on the same images.
        floor: What plain stickers do, as for `white_box_table`.
        class_names: The names of the classes, in the order of the outputs.

    Returns:
        `row`, and `victim_accuracy` to `seeds` of `white_box_table`.

    Raises:
        ValueError: A record is not of a targeted white-box attack or of a plain sticker, or something is missing.
    """
    check_each(records, floor, len(class_names))
    check_row(name, records, floor, {name}, class_names)
    return {"row": name, **floor_columns(floor), **attack_columns(records, class_names)}


def model_markdown(row: Mapping[str, Any], caption: str) -> str:
    """Return the row of `model_row` as a table of two columns, in per cent, under `caption`."""
    several = f", lambda {row['worst_lambda']:g}" if len(row["lambdas"]) > 1 else ""
    lines = [
        ("accuracy on the images, clean", per_cent(row, "victim_accuracy")),
        ("average attack success", per_cent(row, "average_success")),
        (f"worst attack success: {row['worst_target']}{several}", per_cent(row, "worst_success")),
        ("union of all attacks", per_cent(row, "union_success")),
        ("target reached, average", f"{100 * row['target_reached_average']:.1f}"),
        (
            f"target reached, at most: {row['target_reached_worst_target']}",
            f"{100 * row['target_reached_worst']:.1f}",
        ),
        ("L2 dissimilarity (Eq. 1, no per cent)", f"{row['l2_dissimilarity']:.3f}"),
        ("plain white stickers, no attack", per_cent(row, "floor_white")),
        ("plain black stickers", per_cent(row, "floor_black")),
        ("random stickers, mean", f"{100 * row['floor_random']:.1f}"),
        ("random stickers, at most", f"{100 * row['floor_random_worst']:.1f}"),
    ]
    return f"{caption}\n\n{markdown_table((row['row'], 'measured'), lines)}\n\n{_WHITE_BOX_NOTE}\n"


def model_transfer_rows(records: Sequence[Record], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a row for each victim of one attack, with the columns of Table 1 but for the paper's.

    Args:
        records: One attack (source, target, lambda, seed), scored on each victim.
        titles: The victims by name, in the order of the rows, each with what it is called.

    Raises:
        ValueError: A victim has no records.
    """
    rows = []
    for name, title in titles.items():
        mine = [record for record in records if record.victim == name]
        if not mine:
            raise ValueError(f"A table of transfer needs records of the victim '{name}'. Received: none")
        rows.append({"row": name, "title": title, **transfer_columns(mine)})
    return rows


def model_transfer_markdown(rows: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Return the rows of `model_transfer_rows` as Markdown, in per cent, under `caption`."""
    header = ("", "accuracy", "attack success", "prediction changed", "target reached", "L2 dissimilarity", "n")
    lines = [
        (
            row["title"],
            *(per_cent(row, key) for key in ("accuracy", "attack_success", "prediction_changed", "target_reached")),
            f"{row['l2_dissimilarity']:.3f}",
            str(row["n"]),
        )
        for row in rows
    ]
    return f"{caption}\n\n{markdown_table(header, lines)}\n\n{_TRANSFER_NOTE}\n"


def attack_markdown(row: Mapping[str, Any], caption: str) -> str:
    """Return one row of `model_transfer_rows`, with the name of its `target`, as a table of two columns."""
    lines = [
        ("accuracy on the images, clean", per_cent(row, "accuracy")),
        ("attack success", per_cent(row, "attack_success")),
        ("prediction changed", per_cent(row, "prediction_changed")),
        (f"target reached: {row['target']}", per_cent(row, "target_reached")),
        ("L2 dissimilarity (Eq. 1, no per cent)", f"{row['l2_dissimilarity']:.3f}"),
    ]
    return f"{caption}\n\n{markdown_table((row['row'], 'measured'), lines)}\n\n{_ATTACK_NOTE}\n"


_WHITE_BOX_NOTE = (
    "Per cent, in brackets the 95% Wilson interval for the number of images. Success: images whose prediction differs "
    "from that of the clean image. An attack is one target with one lambda; union: images that at least one attack "
    "changes. The worst attack was chosen on these images, for which its interval does not allow."
)
_TRANSFER_NOTE = (
    "Per cent, in brackets the 95% Wilson interval. Attack success: attacked images that are not classified as what "
    "they are. The attack saw the model alone. The filters stand in front of it: those of BlurNet, on feature maps, "
    "cannot be put into a model that comes as a file."
)
_ATTACK_NOTE = (
    "Per cent, in brackets the 95% Wilson interval. Attack success: attacked images that are not classified as what "
    "they are; prediction changed: those whose prediction differs from that of the clean image."
)
