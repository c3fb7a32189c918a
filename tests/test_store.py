"""Cells of a sweep: whole or absent, computed once, shared by runs."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from blurnet_tf.evaluation.records import read_records
from blurnet_tf.runs.cells import CellSpec, Content, ImagesSpec, MaskSpec
from blurnet_tf.runs.locks import locked
from blurnet_tf.runs.store import ABSENT, ARRAYS, PROVENANCE, RECORDS, damage, fill, read_cell
from tests.examples import RECORD


def spec(number: int, name: str = "") -> CellSpec:
    images = ImagesSpec(source={}, class_names=("stop", "yield"), sha256=f"{number}")
    return CellSpec(name=name or f"cell-{number}", images=images, mask=MaskSpec(path="m.png", sha256="0"), victims=())


CELLS = [spec(number) for number in range(3)]


def content(cell: CellSpec) -> Content:
    record = dataclasses.replace(RECORD, adversarial_prediction=int(cell.images.sha256))
    return [record], {"perturbation": np.full((2, 2), int(cell.images.sha256), np.float32)}


class Count:
    """Computes cells and notes which."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, cell: CellSpec) -> Content:
        self.names.append(cell.name)
        return content(cell)


def visible(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if not path.name.startswith(".")}


def test_a_cell_holds_its_records_its_arrays_and_where_they_are_from(tmp_path: Path) -> None:
    fill(tmp_path, CELLS, content)
    assert visible(tmp_path) == {cell.folder for cell in CELLS}
    folder = tmp_path / CELLS[2].folder
    assert {path.name for path in folder.iterdir()} == {RECORDS, ARRAYS, PROVENANCE}
    (record,) = read_records(folder / RECORDS)
    assert record.adversarial_prediction == 2
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["perturbation"], np.full((2, 2), 2, np.float32))
    provenance = json.loads((folder / PROVENANCE).read_text())
    assert provenance["inputs"] == CELLS[2].inputs()
    assert set(provenance["files"]) == {RECORDS, ARRAYS}


def test_a_second_run_computes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, CELLS, content)
    capsys.readouterr()
    count = Count()
    fill(tmp_path, CELLS, count)
    assert count.names == []
    assert "3 of 3 cells" in capsys.readouterr().out


def test_only_a_cell_with_other_inputs_is_computed_and_the_older_one_stays(tmp_path: Path) -> None:
    fill(tmp_path, CELLS, content)
    changed = [CELLS[0], spec(7, "cell-1"), CELLS[2]]
    count = Count()
    fill(tmp_path, changed, count)
    assert count.names == ["cell-1"]
    assert visible(tmp_path) == {cell.folder for cell in (*CELLS, changed[1])}


def test_a_computation_that_fails_leaves_nothing_and_keeps_the_others(tmp_path: Path) -> None:
    def fail(cell: CellSpec) -> Content:
        if cell is CELLS[1]:
            raise OSError("disk full")
        return content(cell)

    with pytest.raises(OSError, match="disk full"):
        fill(tmp_path, CELLS, fail)
    assert visible(tmp_path) == {CELLS[0].folder}
    count = Count()
    fill(tmp_path, CELLS, count)
    assert count.names == ["cell-1", "cell-2"]


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        (RECORDS, lambda path: path.write_bytes(path.read_bytes()[:-5])),
        (ARRAYS, lambda path: path.unlink()),
        (PROVENANCE, lambda path: path.write_text('{"inputs": ')),
        (PROVENANCE, lambda path: path.write_text("{}")),
    ],
)
def test_a_damaged_cell_is_named_and_computed_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, damage: object
) -> None:
    fill(tmp_path, CELLS, content)
    damage(tmp_path / CELLS[1].folder / file)  # type: ignore[operator]
    capsys.readouterr()
    count = Count()
    fill(tmp_path, CELLS, count)
    assert count.names == ["cell-1"]
    assert f"\n{tmp_path / CELLS[1].folder}: damaged (" in capsys.readouterr().out


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / f".{CELLS[0].folder}.0123").mkdir()
    (tmp_path / f".{CELLS[0].folder}.0123" / RECORDS).write_text("image,lab")
    fill(tmp_path, CELLS, content)
    assert {path.name for path in tmp_path.iterdir()} == {".locks", *(cell.folder for cell in CELLS)}


def test_a_cell_that_another_run_is_at_is_left_to_it_first(tmp_path: Path) -> None:
    count = Count()

    def compute(cell: CellSpec) -> Content:
        if len(count.names) == 1:  # the other run lets go once this one has gone on to the last cell
            lock.__exit__(None, None, None)
        return count(cell)

    lock = locked(tmp_path / ".locks" / CELLS[0].folder, waiting=None)
    assert lock.__enter__()
    fill(tmp_path, CELLS, compute)
    assert count.names == ["cell-1", "cell-2", "cell-0"]


def test_a_cell_is_read_only_if_it_is_as_it_was_written(tmp_path: Path) -> None:
    fill(tmp_path, CELLS[2:], content)
    path = tmp_path / CELLS[2].folder
    cell = read_cell(path)
    assert (cell.folder, cell.inputs) == (path.name, CELLS[2].inputs())
    assert cell.records[0].adversarial_prediction == 2
    np.testing.assert_array_equal(cell.arrays["perturbation"], np.full((2, 2), 2, np.float32))
    (path / ARRAYS).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{ARRAYS} changed"):
        read_cell(path)
    assert damage(tmp_path / "elsewhere") == ABSENT
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_cell(tmp_path / "elsewhere")
