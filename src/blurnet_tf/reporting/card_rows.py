"""What the tables say of the very weights of a model, for its model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blurnet_tf.models import TRANSFER_VARIANTS
from blurnet_tf.reporting.rows import TransferRow, WhiteBoxRow
from blurnet_tf.reporting.run_tables import Counted, attack_words, table_1, table_2
from blurnet_tf.reporting.tables import Cell, Table, flat, number_cell, share_cell, with_interval
from blurnet_tf.runs.run import StoredRun, find_run


def attack_paragraph(name: str, weights_sha256: str, results: Path) -> tuple[str, dict[str, Any] | None]:
    """Return what the runs in `results`/whitebox and `results`/blackbox say of a variant with these weights.

    A paragraph, and the row as columns; white box goes before transfer. Without a row it says how to make one.

    Raises:
        ValueError: A run with such a row is damaged.
    """
    if stored := _with_row(results / "whitebox", name, weights_sha256):
        attacked = table_2(stored)
        (row,) = (row for row in attacked.rows if row.name == name)
        return _white_box(attacked, row), flat(row)
    if stored := _with_row(results / "blackbox", name, weights_sha256):
        shown = table_1(stored)
        (victim,) = (row for row in shown.rows if row.name == name)
        return _transfer(shown, victim), flat(victim)
    if name in TRANSFER_VARIANTS and name != "baseline":
        way = (
            "`make blackbox` makes Table 1, of this filter in the model that it attacks; `make whitebox MODEL=` with "
            "this folder attacks this one."
        )
    else:
        way = (
            f"`make whitebox VARIANT={name}` with the settings of this export makes it, and `make export` puts it here."
        )
    return f"No table has a row for these weights yet: {way}", None


def _with_row(folder: Path, name: str, weights_sha256: str) -> StoredRun | None:
    stored = find_run(folder)
    rows = stored.run.rows if stored else ()
    return stored if (name, weights_sha256) in [(row.name, row.weights_sha256) for row in rows] else None


def _white_box(counted: Counted[WhiteBoxRow], row: WhiteBoxRow) -> str:
    caption = (
        f"Table 2, white box: RP2 with full knowledge of the model, on {row.n_images} signs "
        f"({counted.run.data['title']}), {row.n_targets} targets, {attack_words(counted.stored)}, preset "
        f"{counted.run.preset}. Dissimilarity (Eq. 1) {row.l2_dissimilarity.mean:.3f}."
    )
    lines = (
        ("accuracy on the test split", row.legitimate_accuracy, row.paper.legitimate_accuracy),
        ("average attack success", row.average_success, row.paper.average_success),
        (f"worst: {row.worst_target}", row.worst_success, row.paper.worst_success),
        ("all attacks together", row.union_success, None),
        ("plain white stickers, no attack", row.floor_white, None),
    )
    note = (
        "Per cent, with 95% Wilson intervals. Success: signs whose prediction changes, to whatever class. The paper's "
        "figures are of its own trainings (arXiv:1908.02256v1)."
    )
    cells = [(Cell(label), share_cell(share), number_cell(paper)) for label, share, paper in lines]
    return Table(caption=caption, header=("", "measured", "paper"), rows=cells, notes=[note]).markdown


def _transfer(counted: Counted[TransferRow], row: TransferRow) -> str:
    shown = "" if row.name == counted.rows[0].name else ", shown to this model, which the attack did not know"
    return (
        f"Table 1, transfer: RP2 on the baseline{shown}; {row.n} signs ({counted.run.data['title']}), "
        f"{attack_words(counted.stored)}: {with_interval(row.attack_success)}% of the attacked signs do not get "
        f"their label; {with_interval(row.accuracy)}% of the clean ones do. In brackets 95% Wilson intervals."
    )
