"""Files of others, read so that a damaged or hostile one ends in one sentence: limits, archives, arrays, tables."""

from __future__ import annotations

import contextlib
import csv
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.checks import first_line
from blurnet_tf.files import check_file

LIMITS: dict[str, int] = {"BLURNET_MOST_BYTES": 4 << 30, "BLURNET_MOST_PIXELS": 1 << 26}
"""Environment variables, and what holds where they are not set: how many bytes one archive may unpack to, and how many
pixels a picture may have. A file of a few kilobytes can claim a thousand times as many."""


def most(variable: str) -> int:
    """Return a limit of `LIMITS`.

    Raises:
        ValueError: The variable is set to something else than a positive integer.
    """
    text = os.environ.get(variable, "")
    if not text:
        return LIMITS[variable]
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ValueError(f"{variable} must be a positive integer. Received: {text}")
    return int(text)


def check_unpacked(path: Path, size: int) -> None:
    """Raise ValueError if `path` unpacks to more bytes than `BLURNET_MOST_BYTES`."""
    if size > (limit := most("BLURNET_MOST_BYTES")):
        raise ValueError(
            f"{path} must unpack to at most {limit} bytes. Received: {size}. Set BLURNET_MOST_BYTES to allow more."
        )


def check_archive(path: Path, kind: str) -> None:
    """Raise ValueError unless a file is a zip archive that unpacks to no more than the limit; `kind` is what it is."""
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except Exception as error:  # of many kinds, as the archive is damaged in many ways
        raise ValueError(f"{path} must be a readable {kind}. Received: {_said(error)}") from error
    check_unpacked(path, size)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of an `.npz` file by name. Nothing is unpickled.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, holds something else than arrays, or unpacks to more than the limit.
    """
    path = Path(path)
    check_archive(path, ".npz file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # NumPy, zlib, lzma and Python's parser each have errors of their own
        raise ValueError(f"{path} must be a readable .npz file. Received: {_said(error)}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{path} must hold arrays alone. Received: {name!r}, which is none")
    return arrays


def read_array(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the array of an `.npy` file. Nothing is unpickled. Errors as in `read_arrays`."""
    path = Path(path)
    check_file(path)
    try:
        with path.open("rb") as file:  # NumPy leaves it open if it makes no sense of it
            array = np.load(file, allow_pickle=False)
            if not isinstance(array, np.ndarray):
                raise ValueError(f"an archive of {len(array.files)}")
            return array
    except Exception as error:  # as above
        must = f"{path} must be a .npy file that holds an array of numbers"
        raise ValueError(f"{must}. Received: {_said(error)}") from error


@contextlib.contextmanager
def rows_of(path: Path, **settings: Any) -> Iterator[Any]:
    """Give the reader of a CSV file in UTF-8; what it cannot read is a ValueError that names the file."""
    check_file(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, **settings)
        try:
            yield reader
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path} must be a table in UTF-8. Received: line {reader.line_num + 1}, {error}"
            ) from error


def _said(error: Exception) -> str:
    """Return what kind of error it is, and the first line of what it says, but not NumPy's advice to unpickle."""
    if "pickle" in str(error):
        return "another kind of file"
    return f"{type(error).__name__}: {first_line(error)[:300]}"
