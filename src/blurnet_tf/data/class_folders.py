"""The `folder:PATH` data set: images of one's own, in a folder for each class.

Three layouts are known. The classes are the names of the folders, sorted as by Keras' `image_dataset_from_directory`,
unless `class_names` gives them in another order, such as that of a model.

- ``PATH/<class>/*.png`` (or jpg, jpeg, ppm): a fifth of each class is drawn for the test. Nothing is known of tracks,
  so such a split may leak.
- ``PATH/train/<class>/`` and ``PATH/test/<class>/``: the split is given.
- GTSRB's training set: ``PATH/00014/00003_00012.ppm`` is frame 12 of track 3, and ``PATH/00014/GT-00014.csv`` holds
  ``Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId``. Images are cut to their region of interest, and the
  split is by track: a class in one track only is trained on. GTSRB's own test set, `Final_Test`, is not read.

The victims are up to 40 test images of one class, evenly spaced in the order of their names: the class `label`, else
the one with the most test images, the first of several. A folder without class folders has victims only; it is read by
`blurnet_tf.data.folder.load_folder` and needs `class_names`.

Stallkamp, Schlipsing, Salmen and Igel, "Man vs. computer: Benchmarking machine learning algorithms for traffic sign
recognition", Neural Networks 32, 2012.
"""

from __future__ import annotations

import csv
import functools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.data.dataset import Dataset, Query, join
from blurnet_tf.data.folder import image_files, levels, load_folder, read_image, read_lines, resize
from blurnet_tf.data.split import Split
from blurnet_tf.data.splitting import choose_images, choose_tracks
from blurnet_tf.signs import class_index

COLUMNS: tuple[str, ...] = ("Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId")

_SIZE = (32, 32)
_MOST_VICTIMS = 40
_WORDS = {
    "given": "given split",
    "track": "track split",
    "random": "random split (leaks)",
    "image": "split by image (may leak)",
    "none": "images to attack",
}


@dataclass(frozen=True)
class _Sign:
    path: Path
    id: str
    label: int
    box: tuple[int, int, int, int] | None = None  # x1, y1, x2, y2; the last two are outside
    track: str = ""


def dataset(query: Query) -> Dataset:
    """Return a folder as a data set. Its layout is looked at now, its images are read when they are asked for.

    Raises:
        FileNotFoundError: There is no such folder, or no image in the folder of a class.
        ValueError: There are fewer than two classes, names collide, a class has too few images to draw from, or a
            `GT-*.csv` is damaged. An image that cannot be read or is too small is named when it is asked for.
    """
    root = Path(query.path)
    if not root.is_dir():
        raise FileNotFoundError(f"DATA={query.name} must name a folder. Received: {root}, which is none")
    given = (root / "train").is_dir() and (root / "test").is_dir()
    folders = _class_folders(root / "train" if given else root)
    if not folders and query.class_names is not None:
        return _victims_only(query, root)
    names = query.class_names or tuple(folder.name for folder in folders)
    if len(names) < 2:
        raise ValueError(f"{root} must hold a folder for each of two classes or more. Received: {len(names)}")
    for name, count in Counter(name.strip().casefold() for name in names).items():
        if count > 1:
            alike = [other for other in names if other.strip().casefold() == name]
            raise ValueError(f"The class folders of {root} must differ in more than capitals. Received: {join(alike)}")
    label = None if query.label is None else class_index(query.label, names)
    train = [sign for folder in folders for sign in _signs(folder, names, root)]
    _check_tables(folders, train)
    if given:
        kind = "given"
        test = [sign for folder in _class_folders(root / "test") for sign in _signs(folder, names, root)]
    else:
        kind, train, test = _draw(query, root, names, train)
    if not test:
        raise ValueError(f"{root} must have images to test on. Received: {len(train)} images, all of them to train on")
    size = query.image_size or _SIZE
    sides = {"train": train, "test": test, "victims": _victims(test, names, label)}
    loaders = {side: functools.partial(_load, signs, names, size) for side, signs in sides.items()}
    reason = f"{len(names)} classes, {len(train)} images to train and {len(test)} to test on"
    return _dataset(query, kind, class_names=names, image_size=size, reason=reason, loaders=loaders)


def _victims_only(query: Query, root: Path) -> Dataset:
    query.refuse("image_size")
    names = query.class_names or ()
    split = load_folder(root, label=query.label, class_names=names)
    _, height, width, _ = split.images.shape
    loaders, reason = {"victims": lambda: split}, f"{len(split)} images"
    return _dataset(query, "none", class_names=names, image_size=(height, width), reason=reason, loaders=loaders)


def _dataset(query: Query, kind: str, **fields: Any) -> Dataset:
    folder = Path(query.path).resolve().name
    return Dataset(
        name=query.name,
        key=f"folder-{folder}" + "_random" * (kind == "random"),
        title=f"{folder}, {_WORDS[kind]}",
        split=kind,
        leaks=kind in ("random", "image"),
        photographs=True,
        licence="The images belong to their owner.",
        **fields,
    )


def _class_folders(parent: Path) -> list[Path]:
    return sorted(folder for folder in parent.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def _signs(folder: Path, names: tuple[str, ...], root: Path) -> list[_Sign]:
    """Return the images of a class, by name with numbers in their order."""
    if folder.name not in names:
        raise ValueError(
            f"{folder.parent} must hold folders of these classes only: {join(names)}. Received: {folder.name}"
        )
    files = image_files(folder)
    if not files:
        raise FileNotFoundError(f"Class folder {folder} holds no PNG, JPEG or PPM file.")
    tables = sorted(folder.glob("GT-*.csv"))
    boxes = _read_table(tables[0], [file.name for file in files]) if tables else {}
    label, signs = names.index(folder.name), []
    for file in files:
        sign = _Sign(file, file.relative_to(root).as_posix(), label)
        if tables:
            track = re.fullmatch(r"(.+)_[0-9]+", file.stem)
            if track is None:
                raise ValueError(f"{file} must be named by its track and frame, as 00003_00012.ppm is.")
            sign = replace(sign, box=boxes[file.name], track=f"{folder.name}/{track[1]}")
        signs.append(sign)
    return signs


def _check_tables(folders: Sequence[Path], signs: Sequence[_Sign]) -> None:
    with_table = {sign.path.parent for sign in signs if sign.box is not None}
    lacking = [folder for folder in folders if folder not in with_table]
    if with_table and lacking:
        raise ValueError(f"Class folder {lacking[0]} must have a GT-*.csv, as {min(with_table)} has. Received: none")


def _read_table(path: Path, files: Sequence[str]) -> dict[str, tuple[int, int, int, int]]:
    """Return the region of interest of each image of a class."""
    boxes = {}
    for where, cells in read_lines(path, COLUMNS, files, delimiter=";", quoting=csv.QUOTE_NONE):
        if not all(re.fullmatch("[0-9]{1,9}", cell) for cell in cells[1:]):
            raise ValueError(f"{where} must hold {';'.join(COLUMNS)}. Received: {';'.join(cells)!r}")
        x1, y1, x2, y2 = map(int, cells[3:7])
        if x1 >= x2 or y1 >= y2:
            raise ValueError(f"{where} must hold a region with pixels. Received: ({x1}, {y1}) to ({x2}, {y2})")
        boxes[cells[0]] = (x1, y1, x2, y2)
    return boxes


def _draw(query: Query, root: Path, names: tuple[str, ...], signs: list[_Sign]) -> tuple[str, list[_Sign], list[_Sign]]:
    """Draw the test images, a fifth of each class; return the kind of split, training and test images."""
    labels = np.array([names[sign.label] for sign in signs])
    tracks = np.array([sign.track for sign in signs])
    kind = query.split if signs[0].track else "image"
    if kind != "track" and (single := [name for name, count in Counter(labels.tolist()).items() if count < 2]):
        raise ValueError(f"Class folder {root / single[0]} must hold two images or more: one to test on. Received: 1")
    chosen = (choose_tracks if kind == "track" else choose_images)(labels, tracks)
    train, test = ([sign for sign, out in zip(signs, chosen, strict=True) if out == side] for side in (False, True))
    return kind, train, test


def _victims(test: Sequence[_Sign], names: tuple[str, ...], label: int | None) -> list[_Sign]:
    counts = np.bincount([sign.label for sign in test], minlength=len(names))
    label = int(counts.argmax()) if label is None else label
    if not counts[label]:
        raise ValueError(f"`label` must be a class with test images. Received: {names[label]!r}, which has none")
    victims = [sign for sign in test if sign.label == label]
    return [victims[index] for index in np.linspace(0, len(victims) - 1, min(_MOST_VICTIMS, len(victims))).astype(int)]


def _load(signs: Sequence[_Sign], names: tuple[str, ...], size: tuple[int, int]) -> Split:
    images = []
    for sign in signs:
        image = levels(read_image(sign.path))
        if sign.box is not None:
            # X2 and Y2 are the first column and row outside: GTSRB leaves at least 5 pixels around each sign, and its
            # tables have X2 = Width - 5 at the least.
            x1, y1, x2, y2 = sign.box
            height, width = image.shape[:2]
            if x2 > width or y2 > height:
                raise ValueError(
                    f"{sign.path} must hold its region of interest, ({x1}, {y1}) to ({x2}, {y2}). "
                    f"Received: {width}x{height} pixels (width x height)"
                )
            image = image[y1:y2, x1:x2]
        images.append(resize(image, size))
    return Split(
        images=np.stack(images).astype(np.float32) / np.float32(255),
        labels=np.array([sign.label for sign in signs], np.int32),
        ids=tuple(sign.id for sign in signs),
        class_names=names,
    )
