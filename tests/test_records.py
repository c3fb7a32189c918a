import dataclasses
import re
from pathlib import Path

import pytest

from blurnet_tf.evaluation.records import read_records, write_records
from tests import examples

RECORD = dataclasses.replace(
    examples.RECORD, image="1, with a comma.png", victim="feature_5x5", seed=3, dissimilarity=0.1 + 0.2
)


def test_records_read_back_exactly(tmp_path: Path) -> None:
    records = [RECORD, dataclasses.replace(RECORD, target=None, dissimilarity=1e-9)]
    write_records(tmp_path / "records.csv", records)
    assert read_records(tmp_path / "records.csv") == records
    assert [path.name for path in tmp_path.iterdir()] == ["records.csv"]


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write_records(tmp_path / name, [RECORD])
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()


def test_an_error_while_writing_keeps_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    write_records(path, [RECORD])
    before = path.read_bytes()

    def broken() -> object:
        yield RECORD
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_records(path, broken())  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["records.csv"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    sentence = f"Records {tmp_path / 'none.csv'} do not exist. Run the experiment that writes them."
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(sentence)}$"):
        read_records(tmp_path / "none.csv")


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    write_records(path, [RECORD, RECORD])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2][:-30]]))
    with pytest.raises(
        ValueError, match=r"^Records .*records\.csv, line 3, must hold 13 values\. Received: '.*Run the"
    ):
        read_records(path)


def test_another_header_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"must have the columns image, label, .*\. Received: a, b$"):
        read_records(path)
