"""The row of a table that was made on the very weights of a model, for its model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blurnet_tf.files import read_json
from blurnet_tf.models import TRANSFER_VARIANTS
from blurnet_tf.reporting.tables import markdown_table, per_cent


def table_row(name: str, weights_sha256: str, results: Path) -> tuple[str, dict[str, Any] | None]:
    """Return what the tables in `results` say of a variant with these weights: a paragraph, and the row.

    A table that is older than the run beside it does not count. Without any row the paragraph says how to make one.
    """
    folder = results / "whitebox"
    run, row = _read(folder / "run.json", folder / "table2.json", name)
    if row and name in run["rows"] and run["rows"][name]["training"]["weights_sha256"] == weights_sha256:
        return _white_box(run, row), row
    folder = results / "blackbox"
    run, row = _read(folder / "provenance.json", folder / "table1.json", name)
    if row and run["baseline"]["weights_sha256"] == weights_sha256:
        return _transfer(run, row), row
    none = "No table has a row for these weights yet: "
    if name in TRANSFER_VARIANTS and name != "baseline":
        return (
            f"{none}`make blackbox` makes Table 1, of this filter in the model that it attacks; `make whitebox MODEL=` "
            "with this folder attacks this one.",
            None,
        )
    return (
        f"{none}`make whitebox VARIANT={name}` with the settings of this export makes it, and `make export` puts it "
        "here.",
        None,
    )


def _read(run: Path, table: Path, name: str) -> tuple[Any, dict[str, Any] | None]:
    if not (run.is_file() and table.is_file() and table.stat().st_mtime >= run.stat().st_mtime):
        return None, None
    return read_json(run), next((row for row in read_json(table) if row["row"] == name), None)


def _white_box(run: dict[str, Any], row: dict[str, Any]) -> str:
    table = markdown_table(
        ("", "measured", "paper"),
        [
            ("accuracy on the test split", per_cent(row, "legitimate_accuracy"), _paper(row, "legitimate_accuracy")),
            ("average attack success", per_cent(row, "average_success"), _paper(row, "average_success")),
            (f"worst: {row['worst_target']}", per_cent(row, "worst_success"), _paper(row, "worst_success")),
            ("all attacks together", per_cent(row, "union_success"), "-"),
            ("plain white stickers, no attack", per_cent(row, "floor_white"), "-"),
        ],
    )
    lambdas, seeds = (", ".join(f"{one:g}" for one in row[key]) for key in ("lambdas", "seeds"))
    return (
        f"Table 2, white box: RP2 with full knowledge of the model, on {row['n_images']} stop signs "
        f"({run['data']['source']}), {row['n_targets']} targets, lambda {lambdas}, {run['attack']['steps']} steps, "
        f"seeds {seeds}, preset {run['preset']}. L2 dissimilarity {row['l2_dissimilarity']:.3f}.\n\n{table}\n\n"
        "Per cent, with 95% Wilson intervals. Success: signs whose prediction changes, to whatever class. The paper's "
        "figures are of its own trainings (arXiv:1908.02256v1)."
    )


def _transfer(run: dict[str, Any], row: dict[str, Any]) -> str:
    shown = "" if row["row"] == "baseline" else ", shown to this model, which the attack did not know"
    return (
        f"Table 1, transfer: RP2 on the baseline{shown}; {row['n']} stop signs "
        f"({run['data']['source']}), target {run['attack']['target_name']}, lambda {run['attack']['penalty']:g}, "
        f"{run['attack']['steps']} steps, seed {run['attack']['seed']}: {per_cent(row, 'attack_success')}% of the "
        f"attacked signs are not classified as stop; {per_cent(row, 'accuracy')}% of the clean ones are. In brackets "
        "95% Wilson intervals."
    )


def _paper(row: dict[str, Any], key: str) -> str:
    value = row[f"paper_{key}"]
    return "-" if value is None else f"{100 * value:.1f}"
