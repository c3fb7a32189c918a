"""What `experiments.report` reads beyond the paper's experiments: models of one's own, and runs that vary one thing."""

from __future__ import annotations

from pathlib import Path

from blurnet_tf.evaluation.records import Record, read_records
from blurnet_tf.files import read_json
from blurnet_tf.reporting.model_tables import model_row, model_transfer_rows
from blurnet_tf.reporting.report.stored import OwnModel, Rows
from blurnet_tf.runs.store import RECORDS
from experiments.report_inputs import is_counted

_AGAIN = "{}: its table is not what the cells of its run count. `make {} MODEL=...` counts them again."


def read_models(folder: Path) -> tuple[list[OwnModel], list[str]]:
    """Return the models that have results in a folder, and a sentence for each table that is not taken."""
    models, left_out = [], []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []:
        parts = _white_box(place), _transfer(place)
        left_out += [part for part in parts if isinstance(part, str)]
        white_box, transfer = (None if isinstance(part, str) else part for part in parts)
        if white_box or transfer:
            models.append(OwnModel(name=place.name, white_box=white_box, transfer=transfer))
    if not models and not left_out:
        left_out.append(
            "No model of your own was attacked: `make whitebox MODEL=...` and `make blackbox MODEL=...` do."
        )
    return models, left_out


def _white_box(place: Path) -> Rows | str | None:
    table, run = place / "whitebox" / "table.json", place / "whitebox" / "run.json"
    if not (table.is_file() and run.is_file()):
        return None
    found = Rows(rows=read_json(table), provenance=read_json(run))
    attacks = _records(place / "whitebox", found.provenance["cells"])
    floor = _records(place / "whitebox", [found.provenance["floor"]])
    if attacks and floor:
        again = model_row(place.name, attacks, floor, class_names=found.provenance["class_names"])
        if is_counted(found.rows, [again]):
            return found
    return _AGAIN.format(place.name, "whitebox")


def _transfer(place: Path) -> Rows | str | None:
    table, provenance = place / "blackbox" / "table.json", place / "blackbox" / "provenance.json"
    if not (table.is_file() and provenance.is_file()):
        return None
    found = Rows(rows=read_json(table), provenance=read_json(provenance))
    records = _records(place / "blackbox", [found.provenance["cell"]])
    titles = {row["row"]: row["title"] for row in found.rows}
    if records and is_counted(found.rows, model_transfer_rows(records, titles)):
        return found
    return _AGAIN.format(place.name, "blackbox")


def _records(folder: Path, cells: list[str]) -> list[Record]:
    """Return the records of all cells; none if one is not there."""
    paths = [folder / "cells" / cell / RECORDS for cell in cells]
    if not all(path.is_file() for path in paths):
        return []
    return [record for path in paths for record in read_records(path)]


def read_studies(folder: Path) -> Rows | str:
    """Read the runs that vary one thing, and what they came from."""
    table, provenance = folder / "runs.json", folder / "provenance.json"
    if not (table.is_file() and provenance.is_file()):
        return "There are no runs that vary one thing yet: `make reproduction` makes them, which takes hours."
    return Rows(rows=read_json(table), provenance=read_json(provenance))
