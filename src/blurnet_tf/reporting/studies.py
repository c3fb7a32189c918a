"""The table of runs that vary one thing at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blurnet_tf.reporting.tables import markdown_table, per_cent

_NOTE = (
    "Per cent, in brackets the 95% Wilson interval for the number of signs. Success: attacked signs whose prediction "
    "differs from that of the clean sign; average and worst over the targets; union: signs that at least one target "
    "changes. white: predictions that a plain white sticker changes. TV: Eq. 4 on the first layer's maps of the test "
    "images, the mean over images and channels; TV/F: the same divided by the mean sum of |F|, which no scaling of the "
    "maps changes."
)


def study_markdown(rows: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Return the table of runs as Markdown, in per cent, under `caption`.

    Args:
        rows: Rows of `white_box_table`, each with `run`, `change`, `total_variation` and `relative_total_variation`.
        caption: Stands above.
    """
    header = ("run", "change", "accuracy", "average", "worst", "worst target", "union", "L2", "white", "TV", "TV/F")
    lines = [
        (
            row["run"],
            row["change"],
            f"{100 * row['legitimate_accuracy']:.1f}",
            per_cent(row, "average_success"),
            per_cent(row, "worst_success"),
            row["worst_target"],
            f"{100 * row['union_success']:.1f}",
            f"{row['l2_dissimilarity']:.3f}",
            f"{100 * row['floor_white']:.1f}",
            f"{row['total_variation']:.1f}",
            f"{row['relative_total_variation']:.3f}",
        )
        for row in rows
    ]
    return f"{caption}\n\n{markdown_table(header, lines)}\n\n{_NOTE}\n"
