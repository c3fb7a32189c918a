"""The official download of LISA, read where it lies, and made into the prepared file of `blurnet_tf.data.lisa`.

The download is a folder, or its zip, with `allAnnotations.csv` and one PNG image a frame. Each row of the annotations
gives one 32x32 image: the pixels [y0:y1, x0:x1] of its frame, resized. A row that gives none is left out and reported
with its line, its frame and the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import cv2
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.data.dataset import join
from blurnet_tf.data.folder import resize
from blurnet_tf.data.lisa import SIZE, Prepared, split_column, write_prepared
from blurnet_tf.data.lisa_archive import ANNOTATIONS, READ_ERRORS, Folder, Zip, opened
from blurnet_tf.data.lisa_report import Fault, Report
from blurnet_tf.files import atomic_path, read_json, sha256, write_text
from blurnet_tf.pictures import check_pixels

_CORNERS = ("Upper left corner X", "Upper left corner Y", "Lower right corner X", "Lower right corner Y")
_COLUMNS = ("Filename", "Annotation tag", *_CORNERS, "Origin track")  # the file has others
_FORMAT = 1  # of the prepared file: a change of the pixels or of the split needs another number
_DELIMITERS = {",": "commas", "\t": "tabs", "|": "bars"}
_PNG = b"\x89PNG\r\n\x1a\n"

Progress = Callable[[int, int, str], None]


def read_official(root: str | os.PathLike[str], *, progress: Progress | None = None) -> tuple[Prepared, Report]:
    """Read the official download: all its classes, and the split of `lisa.split_column`.

    The label of an image is the row's `Annotation tag`, whatever the file is called.

    Args:
        root: The folder as unpacked, or the zip, which is read in place. The annotations lie at its top or in one
            folder there, and the frames at the relative paths that the annotations name.
        progress: Called after each frame, with the number read so far, the number to read, and the frame's name.

    Returns:
        The images, in the order of the annotations, and the report.

    Raises:
        FileNotFoundError: `root` or its annotations are not there.
        ValueError: The zip or the annotations as a whole cannot be read, or no row gives an image.
    """
    with opened(Path(root)) as archive:
        return _cut(archive, _parse(archive), progress)


def prepare(
    root: str | os.PathLike[str], path: str | os.PathLike[str], *, progress: Progress | None = None
) -> tuple[Report, bool]:
    """Make the prepared file, unless it is there already and was made from the same download.

    A `.json` file of the same name beside `path` has the report with every fault, a checksum of the prepared file, and
    one of its sources: the annotations, and the size with the time of change (in a zip: the checksum) of each frame. If
    all of that still holds, nothing is read or written.

    Args:
        root: The download, as in `read_official`, whose errors this function has too.
        path: The prepared file, such as ``data/lisa/lisa32.npz``.
        progress: As in `read_official`.

    Returns:
        The report, and whether the file was made now.

    Raises:
        FileExistsError: `path` is there without its `.json`, so another program wrote it.
    """
    path = Path(path)
    notes = path.with_suffix(".json")
    if path.exists() and not notes.exists():
        raise FileExistsError(
            f"{path} was not prepared here: there is no {notes.name} beside it. Move it away to prepare another."
        )
    with opened(Path(root)) as archive:
        table = _parse(archive)
        stamps = [(name, archive.stamp(name)) for name in sorted(table.frames)]
        made_from = hashlib.sha256(repr(stamps).encode() + archive.read(ANNOTATIONS)).hexdigest()
        if (report := _up_to_date(path, notes, made_from)) is not None:
            return report, False
        prepared, report = _cut(archive, table, progress)
    with atomic_path(path) as temporary:
        write_prepared(temporary, prepared)
        # The notes first: if only one of the two is replaced, the checksum does not fit, and both are made again.
        content = {"format": _FORMAT, "made_from": made_from, "sha256": sha256(temporary), "report": asdict(report)}
        write_text(notes, json.dumps(content, indent=1) + "\n")
    return report, True


@dataclass(frozen=True)
class _Row:
    number: int
    line: int
    frame: str
    label: str
    box: tuple[int, int, int, int]  # x0, y0, x1, y1
    track: str


@dataclass(frozen=True)
class _Table:
    count: int
    frames: dict[str, list[_Row]]
    faults: list[Fault]


def _parse(archive: Folder | Zip) -> _Table:
    """Read the annotations. Split by hand: a stray quotation mark must not swallow the lines after it."""
    try:
        content = archive.read(ANNOTATIONS)
    except READ_ERRORS as error:
        raise ValueError(
            f"{archive.annotations} must be readable. Received: {type(error).__name__}: {error}"
        ) from error
    text = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    header, *lines = text.split("\n")
    names = [name.strip() for name in header.split(";")]
    if missing := [name for name in _COLUMNS if name not in names]:
        raise ValueError(
            f"{archive.annotations} must begin with the names of its columns, separated by semicolons. "
            f"Received: no {join(missing)} in {header[:200]!r}{_separated(header, len(_COLUMNS))}"
        )
    frames: dict[str, list[_Row]] = {}
    faults = []
    filled = [(number, line) for number, line in enumerate(lines, start=2) if line.strip()]
    for number, (line_number, line) in enumerate(filled):
        cells = [cell.strip() for cell in line.split(";")]
        try:
            row = _parse_row(number, line_number, names, cells)
        except ValueError as error:
            faults.append(Fault("garbled row", line_number, cells[0][:200] if len(cells) > 1 else "", str(error)))
        else:
            frames.setdefault(row.frame, []).append(row)
    return _Table(len(filled), frames, faults)


def _separated(line: str, fields: int) -> str:
    """Say by what the fields of a line seem to be separated, for a message; "" if it is hard to say."""
    words = [words for delimiter, words in _DELIMITERS.items() if line.count(delimiter) >= fields - 1]
    return f", separated by {words[0]}" if words else ""


def _parse_row(number: int, line: int, names: list[str], cells: list[str]) -> _Row:
    if len(cells) != len(names):
        guess = _separated(";".join(cells), len(names))
        raise ValueError(f"must have {len(names)} fields separated by semicolons. Received: {len(cells)}{guess}")
    fields = dict(zip(names, cells, strict=True))
    frame = fields["Filename"].replace("\\", "/")
    parts = PurePosixPath(frame).parts
    if not parts or parts[0].startswith("/") or ".." in parts or PureWindowsPath(frame).drive or "\0" in frame:
        raise ValueError(f"`Filename` must be a path inside the download. Received: {frame!r}")
    label, track = fields["Annotation tag"], fields["Origin track"]
    if not re.fullmatch("[A-Za-z][A-Za-z0-9]*", label):
        raise ValueError(f"`Annotation tag` must be a word. Received: {label!r}")
    for name in _CORNERS:
        if not re.fullmatch("-?[0-9]{1,9}", fields[name]):
            raise ValueError(f"`{name}` must be an integer. Received: {fields[name]!r}")
    if not track:
        raise ValueError("`Origin track` must not be empty")
    x0, y0, x1, y1 = (int(fields[name]) for name in _CORNERS)
    track = f"{parts[0]}/{track}" if len(parts) > 1 else track
    return _Row(number, line, "/".join(parts), label, (x0, y0, x1, y1), track)


def _cut(archive: Folder | Zip, table: _Table, progress: Progress | None) -> tuple[Prepared, Report]:
    """Decode each frame once and cut all that is annotated in it."""
    cut: list[tuple[_Row, NDArray[np.uint8]]] = []
    faults = list(table.faults)
    for done, (name, rows) in enumerate(table.frames.items(), start=1):
        try:
            frame = _decode(archive.read(name))
        except (FileNotFoundError, NotADirectoryError):
            faults += [Fault("missing frame", row.line, name, "is not there") for row in rows]
        except READ_ERRORS as error:
            words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            faults += [Fault("damaged frame", row.line, name, words) for row in rows]
        else:
            height, width = frame.shape[:2]
            for row in rows:
                x0, y0, x1, y1 = row.box
                box = f"the box from ({x0}, {y0}) to ({x1}, {y1})"
                if x1 <= x0 or y1 <= y0:
                    faults.append(Fault("empty box", row.line, name, f"{box} is empty"))
                elif x0 < 0 or y0 < 0 or x1 > width or y1 > height:
                    words = f"{box} is not inside the frame of {width} x {height} pixels"
                    faults.append(Fault("box outside the frame", row.line, name, words))
                else:
                    cut.append((row, resize(frame[y0:y1, x0:x1], (SIZE, SIZE))))
        if progress is not None:
            progress(done, len(table.frames), name)
    faults.sort(key=lambda fault: fault.line)
    if not cut:
        first = f", the first because of {faults[0]}" if faults else ""
        raise ValueError(
            f"{archive.annotations} must have a row that gives an image. "
            f"Received: {table.count} rows, all of them left out{first}"
        )
    cut.sort(key=lambda pair: pair[0].number)
    labels, tracks = (np.array([getattr(row, name) for row, _ in cut]) for name in ("label", "track"))
    prepared = Prepared(
        images=np.stack([image for _, image in cut]),
        labels=labels,
        split=split_column(labels, tracks),
        track=tracks,
        csv_row=np.array([row.number for row, _ in cut], np.int64),
        source=np.full(len(cut), "native"),
    )
    classes = dict(sorted(Counter(labels.tolist()).items()))
    report = Report(
        rows=table.count, frames=len(table.frames), tracks=len(np.unique(tracks)), classes=classes, faults=tuple(faults)
    )
    return prepared, report


def _decode(data: bytes) -> NDArray[np.uint8]:
    """Decode a PNG image to RGB. Damage is found here: a decoder may give half an image, or write to the terminal."""
    if not data.startswith(_PNG):
        raise ValueError("is no PNG image" if data else "is an empty file")
    place, kind = len(_PNG), b""
    while kind != b"IEND":
        kind = data[place + 4 : place + 8]
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if end > len(data):
            raise ValueError("is cut short")
        if zlib.crc32(data[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError(f"has a wrong checksum at byte {place}")
        place = end
    check_pixels("a frame", int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
    try:
        # As stored: the boxes are in the pixels of the file, whatever its orientation tag says.
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        frame = None
    if frame is None:
        raise ValueError("cannot be decoded")
    return frame[..., ::-1]  # OpenCV reads BGR


def _up_to_date(path: Path, notes: Path, made_from: str) -> Report | None:
    """Return the report of the prepared file if it is the one that would be made."""
    try:
        content = read_json(notes)
        if (content["format"], content["made_from"], content["sha256"]) != (_FORMAT, made_from, sha256(path)):
            return None
        report = content["report"]
        return Report(**{**report, "faults": tuple(Fault(**fault) for fault in report["faults"])})
    except (OSError, ValueError, KeyError, TypeError):  # one of the two is not there, or the notes are damaged
        return None
