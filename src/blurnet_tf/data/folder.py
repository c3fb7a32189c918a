"""A folder of one's own images, with their labels."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.data.split import Split
from blurnet_tf.signs import CLASS_NAMES, class_index

LABELS = "labels.csv"
"""The file in a folder of images that gives each its class: lines of `file,label`."""

SUFFIXES: tuple[str, ...] = (".png", ".jpg", ".jpeg")


def load_folder(
    path: str | os.PathLike[str], *, label: str | int | None = None, class_names: Sequence[str] = CLASS_NAMES
) -> Split:
    """Read the PNG and JPEG files of a folder, as they are: nothing is resized, because masks are drawn for pixels.

    Args:
        path: The folder. Folders in it and files of other kinds are left out.
        label: The class of all images, by name or index; by default `labels.csv` in the folder says it for each, in
            lines of `file,label`, where the label is a name or an index.
        class_names: The names of the classes, in the order of the model's outputs.

    Returns:
        Images float32 (n, H, W, 3), RGB in [0, 1], by file name with numbers in their order (2.png before 10.png); the
        ids are the file names. Grey images become RGB, an alpha channel that is opaque everywhere is dropped.

    Raises:
        FileNotFoundError: There is no such folder, no image in it, or no `labels.csv` where one is needed.
        ValueError: A file is no readable image of 8 bits, or is transparent; the images have different sizes; a label
            is missing, unknown or of no image.

    Example:
        >>> load_folder("masks", label="stop").ids  # masks are images too
        ('octagon.png', 'sticker.png')
    """
    path, class_names = Path(path), tuple(class_names)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is no folder. Give a folder of PNG or JPEG files.")
    files = sorted((file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()), key=_order)
    if not files:
        raise FileNotFoundError(f"Folder {path} holds no PNG or JPEG file.")
    ids = tuple(file.name for file in files)
    if label is None:
        labels = _read_labels(path / LABELS, ids, class_names)
    else:
        labels = [class_index(label, class_names)] * len(ids)
    images = [read_image(file) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            (height, width), (first_height, first_width) = image.shape[:2], images[0].shape[:2]
            raise ValueError(
                f"The images of {path} must all have the same size. Received: {files[0].name} is "
                f"{first_height}x{first_width} (height x width), {file.name} is {height}x{width}"
            )
    return Split(images=np.stack(images), labels=np.array(labels, np.int32), ids=ids, class_names=class_names)


def read_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read the names of classes from a text file: one a line, in the order of the model's outputs.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no text, a line is empty, a name stands twice, or there are fewer than two.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Class names {path} are no file. Give a text file with one name a line.")
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    except UnicodeDecodeError as error:
        raise ValueError(f"Class names {path} must be text in UTF-8. Received: {error}") from error
    for number, name in enumerate(names, 1):
        if not name or name in names[: number - 1]:
            received = f"{name!r} again" if name else "an empty line"
            raise ValueError(f"Class names {path}, line {number}, must be another name. Received: {received}")
    if len(names) < 2:
        raise ValueError(f"Class names {path} must hold at least two names, one a line. Received: {len(names)}")
    return names


def find_class_names(
    model: str | os.PathLike[str], labels: str | os.PathLike[str] | None = None, *, outputs: int | None
) -> tuple[str, ...] | None:
    """Return the names of a model's classes: from a file, else from beside the model, else those of LISA if they fit.

    Args:
        model: The SavedModel folder or `.keras` file. Beside it, or in it, `assets/labels.txt` is looked for, which
            exports have.
        labels: A text file with a name a line, or `None`.
        outputs: How many outputs the model has, or `None` if that is not known.

    Returns:
        The names, or `None` if there are none.

    Raises:
        FileNotFoundError: `labels` is no file.
        ValueError: The file is damaged, or has more or fewer names than the model has outputs.

    Example:
        >>> find_class_names("exports/baseline", outputs=18)[14]
        'stop'
    """
    model = Path(model)
    beside = (model if model.is_dir() else model.parent) / "assets" / "labels.txt"
    path = beside if labels is None and beside.is_file() else labels
    if path is None:
        return CLASS_NAMES if outputs == len(CLASS_NAMES) else None
    names = read_class_names(path)
    if outputs not in (None, len(names)):
        raise ValueError(
            f"Class names {path} must hold a line for each of {outputs} outputs of {model}. Received: {len(names)}"
        )
    return names


def read_image(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read one PNG or JPEG file as float32 (H, W, 3), RGB in [0, 1], a photograph upright as its EXIF data says.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no readable image of 8 bits, or is transparent.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Image {path} is no file. Give the path of a PNG or JPEG image.")
    data = np.frombuffer(path.read_bytes(), np.uint8)
    raw = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    # Decoded again: this mode makes grey images RGB, drops alpha and turns a photograph as its EXIF data says.
    colours = None if raw is None else cv2.imdecode(data, cv2.IMREAD_COLOR)
    if raw is None or colours is None:
        raise ValueError(f"{path} must be a readable PNG or JPEG image.")
    if raw.dtype != np.uint8:
        raise ValueError(f"{path} must have 8 bits a channel. Received: {raw.dtype}")
    if raw.ndim == 3 and raw.shape[2] == 4 and raw[..., 3].min() < 255:
        raise ValueError(f"{path} must be opaque: put it onto a background first. Received: an alpha channel below 255")
    return colours[..., ::-1].astype(np.float32) / np.float32(255)  # OpenCV reads BGR


def levels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image in [0, 1] as levels of 8 bits, uint8 of the same shape; what is beyond is clipped.

    Example:
        >>> levels(np.array([0, 0.5, 2])).tolist()
        [0, 128, 255]
    """
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _order(path: Path) -> tuple[list[str | int], str]:
    """Sort by name, with numbers in their order. Text and numbers alternate, so that like meets like."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name


def _read_labels(path: Path, ids: Sequence[str], class_names: tuple[str, ...]) -> list[int]:
    """Return the label of each image, in the order of `ids`."""
    if not path.is_file():
        raise FileNotFoundError(
            f"Labels {path} do not exist. Write lines of file,label, or give one label for all images."
        )
    labels: dict[str, int] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or (not labels and cells == ["file", "label"]):
                continue
            where = f"Labels {path}, line {reader.line_num},"
            if len(cells) != 2:
                raise ValueError(f"{where} must hold file,label. Received: {','.join(row)!r}")
            name, label = cells
            if name not in ids or name in labels:
                received = f"{name} again" if name in labels else f"{name}, which is not there"
                raise ValueError(f"{where} must name another image of the folder. Received: {received}")
            try:
                labels[name] = class_index(label, class_names)
            except ValueError as error:
                raise ValueError(f"{where} must name a class. {error}") from error
    missing = [name for name in ids if name not in labels]
    if missing:
        raise ValueError(
            f"Labels {path} must have a line for each of {len(ids)} images. Received: {len(labels)}; the first without "
            f"one is {missing[0]}"
        )
    return [labels[name] for name in ids]
