"""Reading images of one's own and their labels."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurnet_tf.checks import printable, shown
from blurnet_tf.data.split import Split
from blurnet_tf.pictures import check_picture, decode_checked
from blurnet_tf.reading import rows_of
from blurnet_tf.signs import class_index

LABELS = "labels.csv"
SUFFIXES: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".ppm")


def load_folder(path: str | os.PathLike[str], *, class_names: Sequence[str], label: str | int | None = None) -> Split:
    """Read the PNG, JPEG and PPM files of a folder. Nothing is resized, because masks are drawn for pixels.

    Args:
        path: The folder. Folders in it and files of other kinds are left out.
        class_names: The names of the classes, in the order of the model's outputs; `CLASS_NAMES` for a LISA-CNN.
        label: The class of all images, by name or index; by default `labels.csv` in the folder says it for each, in
            lines of `file,label`, where the label is a name or an index.

    Returns:
        Images float32 (n, H, W, 3), RGB in [0, 1], by file name with numbers in their order (2.png before 10.png); the
        ids are the file names. Grey images become RGB, an alpha channel that is opaque everywhere is dropped.

    Raises:
        FileNotFoundError: There is no such folder, no image in it, or no `labels.csv` where one is needed.
        ValueError: A file is no readable image of 8 bits, or is transparent; the images have different sizes; a label
            is missing, unknown or of no image.

    Example:
        >>> from blurnet_tf import CLASS_NAMES
        >>> load_folder("masks", label="stop", class_names=CLASS_NAMES).ids  # masks are images too
        ('octagon.png', 'sticker.png')
    """
    path, class_names = Path(path), tuple(class_names)
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is no folder. Give a folder of PNG, JPEG or PPM files.")
    files = image_files(path)
    if not files:
        raise FileNotFoundError(f"Folder {path} holds no PNG, JPEG or PPM file.")
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


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder, by name with numbers in their order; the folders in it are left out."""

    def order(path: Path) -> tuple[list[str | int], str]:
        parts = re.split(r"(\d+)", path.name.lower())  # text and numbers alternate, so that like meets like
        return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name

    return sorted((file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()), key=order)


def read_image(path: str | os.PathLike[str], *, size: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """Read one PNG, JPEG or PPM file as float32 (H, W, 3), RGB in [0, 1], a photograph upright as its EXIF data says.

    Args:
        path: The file.
        size: Height and width in pixels that it is resized to, as the training images were; `None`: its own.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no readable image of 8 bits, is transparent, or has more pixels than `BLURNET_MOST_PIXELS`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Image {path} is no file. Give the path of a PNG, JPEG or PPM image.")
    data = path.read_bytes()
    check_picture(data, str(path))
    raw = decode_checked(data, str(path), cv2.IMREAD_UNCHANGED)
    # Decoded again: this mode makes grey images RGB, drops alpha and turns a photograph as its EXIF data says.
    colours = decode_checked(data, str(path))
    if raw.dtype != np.uint8:
        raise ValueError(f"{path} must have 8 bits a channel. Received: {raw.dtype}")
    if raw.ndim == 3 and raw.shape[2] == 4 and raw[..., 3].min() < 255:
        raise ValueError(f"{path} must be opaque: put it onto a background first. Received: an alpha channel below 255")
    image = colours[..., ::-1]  # OpenCV reads BGR
    if size is not None:
        image = resize(image, size)
    return image.astype(np.float32) / np.float32(255)


def levels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image in [0, 1] as levels of 8 bits, uint8 of the same shape; what is beyond is clipped.

    Example:
        >>> levels(np.array([0, 0.5, 2])).tolist()
        [0, 128, 255]
    """
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def resize(image: NDArray[np.uint8], size: tuple[int, int] = (32, 32)) -> NDArray[np.uint8]:
    """Resize uint8 (H, W, 3) to a height and width, uint8 (*size, 3), with Pillow's bilinear filter.

    It looks at every pixel that it leaves out; OpenCV's looks at four, however much an image is shrunk. The bytes are
    those of Pillow 13; an earlier one differs by a level here and there, for it takes the two directions of some narrow
    crops in another order.
    """
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def read_lines(
    path: Path, columns: Sequence[str], files: Sequence[str], *, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL
) -> Iterator[tuple[str, list[str]]]:
    """Yield where each line of a table of images stands, for messages, and its cells, of which the first is the file.

    Raises:
        ValueError: A line has more or fewer cells than `columns`, or each of `files` has not exactly one.
    """
    known, seen = set(files), set()
    with rows_of(path, delimiter=delimiter, quoting=quoting) as reader:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells == list(columns):
                continue
            where, name = f"{path}, line {reader.line_num},", cells[0]
            if len(cells) != len(columns):
                raise ValueError(f"{where} must hold {delimiter.join(columns)}. Received: {shown(delimiter.join(row))}")
            if name not in known or name in seen:
                received = (
                    f"{printable(name, 120)} again" if name in seen else f"{printable(name, 120)}, which is not there"
                )
                raise ValueError(f"{where} must name another image of the folder. Received: {received}")
            seen.add(name)
            yield where, cells
    if missing := [name for name in files if name not in seen]:
        raise ValueError(
            f"{path} must have a line for each of {len(files)} images. Received: {len(seen)}; the first without one is "
            f"{missing[0]}"
        )


def _read_labels(path: Path, ids: Sequence[str], class_names: tuple[str, ...]) -> list[int]:
    """Return the label of each image, in the order of `ids`."""
    if not path.is_file():
        raise FileNotFoundError(
            f"Labels {path} do not exist. Write lines of file,label, or give one label for all images."
        )
    labels: dict[str, int] = {}
    for where, (name, label) in read_lines(path, ("file", "label"), ids):
        try:
            labels[name] = class_index(label, class_names)
        except ValueError as error:
            raise ValueError(f"{where} must name a class. {error}") from error
    return [labels[name] for name in ids]
