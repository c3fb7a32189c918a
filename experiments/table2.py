"""Table 2 of the paper and its Figure 4, from the cells of the white-box experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.records import Record, read_records
from blurnet_tf.files import read_json
from blurnet_tf.reporting.figures import dissimilarity_figure
from blurnet_tf.reporting.style import save_both
from blurnet_tf.reporting.tables import write_table
from blurnet_tf.reporting.white_box import lambda_markdown, row_titles, white_box_markdown, white_box_table
from blurnet_tf.runs.store import RECORDS
from experiments import cli


def main(arguments: list[str] | None) -> None:
    """Draw the figure, write the tables, print Table 2."""
    parser = cli.parser(__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/whitebox"), help="what the experiment wrote")
    results: Path = parser.parse_args(arguments).results
    run = read_run(results)
    records = read_attacks(results)
    counted, alone = count(run, records, _read(results, [row["floor"] for row in run["rows"].values()]))
    which = {"training_data": run["training_data"], "preset": run["preset"]}
    rows = [row | which for row in counted]
    markdown = white_box_markdown(rows, _caption(run, rows), notes=_notes(run))
    if alone:
        by_lambda = [row | which for row in alone]
        write_table(results, "table2_by_lambda", by_lambda, lambda_markdown(by_lambda, _caption(run, rows)))
    else:  # none may stay that is of another run
        for suffix in ("csv", "md", "json"):
            (results / f"table2_by_lambda.{suffix}").unlink(missing_ok=True)
    save_both(results, "figure4", dissimilarity_figure(records, titles=row_titles(records)))
    write_table(results, "table2", rows, markdown)
    print(f"\n{markdown}\nWritten to {results}/")


def count(
    run: Mapping[str, Any], records: Sequence[Record], floor: Sequence[Record]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of Table 2 and, if there are several lambdas, those of each lambda alone."""
    legitimate = {name: Rate(row["legitimate"]["correct"], row["legitimate"]["n"]) for name, row in run["rows"].items()}

    def table(some: Sequence[Record]) -> list[dict[str, Any]]:
        return white_box_table(some, floor, legitimate, class_names=run["class_names"])

    penalties = sorted({record.penalty for record in records})
    parts = {penalty: [record for record in records if record.penalty == penalty] for penalty in penalties}
    alone = [{"lambda": penalty, **row} for penalty, part in parts.items() for row in table(part)]
    return table(records), alone if len(parts) > 1 else []


def read_run(results: Path) -> dict[str, Any]:
    """Return what the run that `results` holds was.

    Raises:
        FileNotFoundError: There is none.
        ValueError: Its file is damaged.
    """
    path = results / "run.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Run `make whitebox`, which writes it.")
    run = read_json(path)
    if not (isinstance(run, dict) and run.get("rows")):
        raise ValueError(f"{path} must say which rows the run has. Received: no rows. Run `make whitebox` again.")
    return run


def read_attacks(results: Path) -> list[Record]:
    """Return the records of all attacks of the run that `results` holds."""
    rows = read_run(results)["rows"].values()
    return _read(results, [folder for row in rows for folder in row["cells"]])


def _read(results: Path, folders: list[str]) -> list[Record]:
    return [record for folder in folders for record in read_records(results / "cells" / folder / RECORDS)]


def _caption(run: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    first = rows[0]
    return (
        f"Table 2: {run['training_data']}; {first['n_images']} stop signs ({run['data']['source']}), "
        f"{first['n_targets']} targets, lambda {', '.join(f'{one:g}' for one in first['lambdas'])}, "
        f"{run['attack']['steps']} steps, seeds {', '.join(map(str, first['seeds']))}, preset {run['preset']}"
    )


def _notes(run: dict[str, Any]) -> list[str]:
    """Return what a reader must know of this run to compare it."""
    notes = []
    if "leaks" in run["training_data"]:
        notes.append(
            "The random split leaks: near duplicates of the test images are among the training images, so that the "
            "legitimate accuracy is too high."
        )
    if run["init"] != "random":
        notes.append(f"The trainings started from the weights of {run['init']}.")
    if "rp2_release" in run["rows"]:
        notes.append(
            "RP2's released weights were trained by their authors, on a part of LISA that is not known: their "
            "legitimate accuracy may count images that they were trained on. The paper has no such row."
        )
    if run["attack"]["nps"]:
        notes.append(f"With the {run['attack']['nps']} non-printability score.")
    if run["training_data"].startswith("LISA"):
        notes.append(
            "The interval of the accuracy counts each test image as independent, which frames of one track are not: it "
            "is too narrow."
        )
    if not run["papers_protocol"]:
        notes.append(
            "This run is not the paper's protocol (2000 epochs on LISA, RP2's photographs and mask): the paper's "
            "figures are here for orientation."
        )
    return notes


if __name__ == "__main__":
    cli.run(main)
