"""The official download of LISA, read where it lies, and made into the prepared file of `blurnet_tf.data.lisa`.

The download is a folder, or its zip, with `allAnnotations.csv` and one PNG image a frame. Each row of the annotations
gives one 32x32 image: the pixels [y0:y1, x0:x1] of its frame, resized. A row that gives none is left out and reported
with its line, its frame and the reason; it never keeps the others from being read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurnet_tf.data.lisa import SIZE, Prepared, split_column, write_prepared
from blurnet_tf.data.lisa_archive import ANNOTATIONS, READ_ERRORS, Folder, Zip, opened
from blurnet_tf.data.lisa_report import Fault, Report
from blurnet_tf.files import atomic_path, sha256, write_text

CORNERS: tuple[str, ...] = (
    "Upper left corner X",
    "Upper left corner Y",
    "Lower right corner X",
    "Lower right corner Y",
)
COLUMNS: tuple[str, ...] = ("Filename", "Annotation tag", *CORNERS, "Origin track")
"""The columns that are read; the file has others."""

_FORMAT = 1  # of the prepared file: a change of the pixels or of the split needs another number
_DELIMITERS = {",": "commas", "\t": "tabs", "|": "bars"}
_PNG = b"\x89PNG\r\n\x1a\n"

Progress = Callable[[int, int, str], None]


def read_official(root: str | os.PathLike[str], *, progress: Progress | None = None) -> tuple[Prepared, Report]:
    """Read the official download.

    The label of an image is the row's `Annotation tag`, whatever the file is called. All classes are kept. The split is
    `lisa.split_column`. Each frame is decoded once.

    Args:
        root: The folder as unpacked, or the zip, which is read in place. The annotations lie at its top or in one
            folder there, and the frames at the relative paths that the annotations name.
        progress: Called after each frame, with the number read so far, the number to read, and the frame's name.
            Nothing is printed here.

    Returns:
        The images, in the order of the annotations, and the report.

    Raises:
        FileNotFoundError: `root` or its annotations are not there.
        ValueError: The zip or the annotations as a whole cannot be read, or no row gives an image.

    Example:
        >>> prepared, report = read_official("lisa.zip")  # doctest: +SKIP
        >>> print(report)  # doctest: +SKIP
    """
    with opened(Path(root)) as archive:
        return _cut(archive, _parse(archive), progress)


def resize(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize a crop to 32x32 with Pillow's bilinear filter, which looks at every pixel that it leaves out.

    OpenCV's bilinear interpolation looks at four pixels however much an image is shrunk. The bytes are those of Pillow
    13; an earlier Pillow takes the two directions of some narrow crops in another order, and differs there by a level
    here and there.

    Args:
        image: uint8 (H, W, 3), RGB.

    Returns:
        uint8 (32, 32, 3).
    """
    return np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def prepare(
    root: str | os.PathLike[str], path: str | os.PathLike[str], *, progress: Progress | None = None
) -> tuple[Report, bool]:
    """Make the prepared file, unless it is there already and was made from the same download.

    Beside `path` stands the same name with `.json`: the report with every fault, a checksum of the prepared file, and
    one of what it was made from: the annotations, and the size with the time of change (in a zip: the checksum) of each
    frame. If all of that still holds, nothing is read or written.

    Args:
        root: As in `read_official`.
        path: The prepared file, such as ``data/lisa/lisa32.npz``.
        progress: As in `read_official`.

    Returns:
        The report, and whether the file was made now.

    Raises:
        FileExistsError: `path` is there without its `.json`: it is not ours to overwrite.
        FileNotFoundError: As in `read_official`.
        ValueError: As in `read_official`.

    Example:
        >>> report, made = prepare("lisa.zip", "data/lisa/lisa32.npz")  # doctest: +SKIP
    """
    path = Path(path)
    notes = path.with_suffix(".json")
    if path.exists() and not notes.exists():
        raise FileExistsError(
            f"{path} was not prepared here: there is no {notes.name} beside it. Move it away to prepare another."
        )
    with opened(Path(root)) as archive:
        table = _parse(archive)
        made_from = _checksum(archive, table)
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
    if missing := [name for name in COLUMNS if name not in names]:
        guess = [
            f", separated by {words}"
            for delimiter, words in _DELIMITERS.items()
            if set(COLUMNS) <= {name.strip(' "') for name in header.split(delimiter)}
        ]
        raise ValueError(
            f"{archive.annotations} must begin with the names of its columns, separated by semicolons. "
            f"Received: no {', '.join(map(repr, missing))} in {header[:200]!r}{''.join(guess)}"
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


def _parse_row(number: int, line: int, names: list[str], cells: list[str]) -> _Row:
    if len(cells) != len(names):
        text = ";".join(cells)
        words = [words for delimiter, words in _DELIMITERS.items() if text.count(delimiter) >= len(names) - 1]
        guess = f", separated by {words[0]}" if words else ""
        raise ValueError(f"must have {len(names)} fields separated by semicolons. Received: {len(cells)}{guess}")
    fields = dict(zip(names, cells, strict=True))
    frame = fields["Filename"].replace("\\", "/")
    parts = PurePosixPath(frame).parts
    if not parts or parts[0] == "/" or ".." in parts or PureWindowsPath(frame).drive or "\0" in frame:
        raise ValueError(f"`Filename` must be a path inside the download. Received: {frame!r}")
    label, track = fields["Annotation tag"], fields["Origin track"]
    if not re.fullmatch("[A-Za-z][A-Za-z0-9]*", label):
        raise ValueError(f"`Annotation tag` must be a word. Received: {label!r}")
    for name in CORNERS:
        if not re.fullmatch("-?[0-9]{1,9}", fields[name]):
            raise ValueError(f"`{name}` must be an integer. Received: {fields[name]!r}")
    if not track:
        raise ValueError("`Origin track` must not be empty")
    x0, y0, x1, y1 = (int(fields[name]) for name in CORNERS)
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
        except (*READ_ERRORS, ValueError) as error:
            words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            faults += [Fault("damaged frame", row.line, name, words) for row in rows]
        else:
            for row in rows:
                if fault := _check_box(row, *frame.shape[:2]):
                    faults.append(fault)
                else:
                    x0, y0, x1, y1 = row.box
                    cut.append((row, resize(frame[y0:y1, x0:x1])))
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
        rows=table.count,
        frames=len(table.frames),
        tracks=len(np.unique(tracks)),
        classes=classes,
        faults=tuple(faults),
    )
    return prepared, report


def _check_box(row: _Row, height: int, width: int) -> Fault | None:
    x0, y0, x1, y1 = row.box
    words = f"the box from ({x0}, {y0}) to ({x1}, {y1})"
    if x1 <= x0 or y1 <= y0:
        return Fault("empty box", row.line, row.frame, f"{words} is empty")
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        reason = f"{words} is not inside the frame of {width} x {height} pixels"
        return Fault("box outside the frame", row.line, row.frame, reason)
    return None


def _decode(data: bytes) -> NDArray[np.uint8]:
    """Decode a PNG image to RGB. Damage is found here: a decoder may give half an image, or write to the terminal."""
    if not data.startswith(_PNG):
        raise ValueError("is no PNG image" if data else "is an empty file")
    view, place, kind = memoryview(data), len(_PNG), b""
    while kind != b"IEND":
        if place + 12 > len(data):
            raise ValueError("is cut short")
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if end > len(data):
            raise ValueError("is cut short")
        if zlib.crc32(view[place + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ValueError(f"has a wrong checksum at byte {place}")
        place = end
    try:
        # As stored: the boxes are in the pixels of the file, however a viewer is told to turn it.
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        frame = None
    if frame is None:
        raise ValueError("cannot be decoded")
    return frame[..., ::-1]  # OpenCV reads BGR


def _checksum(archive: Folder | Zip, table: _Table) -> str:
    stamps = [(name, archive.stamp(name)) for name in sorted(table.frames)]
    return hashlib.sha256(repr(stamps).encode() + archive.read(ANNOTATIONS)).hexdigest()


def _up_to_date(path: Path, notes: Path, made_from: str) -> Report | None:
    """Return the report of the prepared file if it is the one that would be made."""
    try:
        content = json.loads(notes.read_text(encoding="utf-8"))
        if (content["format"], content["made_from"], content["sha256"]) != (_FORMAT, made_from, sha256(path)):
            return None
        report = content["report"]
        return Report(**{**report, "faults": tuple(Fault(**fault) for fault in report["faults"])})
    except (OSError, ValueError, KeyError, TypeError):  # one of the two is not there, or the notes are damaged
        return None
