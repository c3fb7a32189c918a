"""The `lisa` source: crops of the LISA traffic sign dataset, prepared as one file, and their split.

LISA: Mogelmose, Trivedi and Moeslund, "Vision-Based Traffic Sign Detection and Analysis for Intelligent Driver
Assistance Systems", IEEE T-ITS 13(4), 2012. It is for research use and never redistributed with this project:
`blurnet_tf.data.lisa_official` makes the prepared file from the official download.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.data.dataset import DataNotFoundError, Dataset, Query, join
from blurnet_tf.data.registry import choose_victims
from blurnet_tf.data.split import Split
from blurnet_tf.data.splitting import choose_images, choose_tracks, one_sided
from blurnet_tf.files import atomic_path
from blurnet_tf.reading import read_arrays
from blurnet_tf.signs import CLASS_NAMES, SIGN_NAMES

FOLDER, FILE = "lisa", "lisa32.npz"
"""The prepared file is `<root>/lisa/lisa32.npz`."""

SIZE = 32
_LABELS = {"track": "track split", "random": "random split (leaks)"}
_WAY_OUT = "`make data LISA_ROOT=<the official download>` prepares it."


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """The arrays of the prepared file: every class of LISA, in the order of its annotation file.

    Attributes:
        images: uint8 (n, 32, 32, 3), RGB.
        labels: str (n,), the names of the classes.
        split: str (n,), "train" or "test": a split by track.
        track: str (n,), "video/track". Images of one track show the same scene a few frames apart.
        csv_row: int64 (n,), unique: the row in the annotation file, counted from 0 without the header.
        source: str (n,): "native" is cut from a lossless frame, "png32" lossless at 32x32, "jpeg32" lossy at 32x32.

    Raises:
        ValueError: The arrays do not fit together, or a value is none of those above.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.str_]
    split: NDArray[np.str_]
    track: NDArray[np.str_]
    csv_row: NDArray[np.int64]
    source: NDArray[np.str_]

    def __post_init__(self) -> None:
        images = self.images
        if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3):
            raise ValueError(
                f"`images` must be uint8 with the shape (n, {SIZE}, {SIZE}, 3). "
                f"Received: {images.dtype.name}, shape={images.shape}"
            )
        for name in ARRAYS[1:]:
            array, (kind, words) = getattr(self, name), ("i", "integers") if name == "csv_row" else ("U", "strings")
            if array.dtype.kind != kind or array.shape != images.shape[:1]:
                raise ValueError(
                    f"`{name}` must hold {len(images)} {words}, one for each image. "
                    f"Received: {array.dtype.name}, shape={array.shape}"
                )
        if (different := len(np.unique(self.csv_row))) != len(images):
            raise ValueError(f"`csv_row` must hold different numbers. Received: {different} different of {len(images)}")
        if unknown := set(self.split.tolist()) - {"train", "test"}:
            raise ValueError(f"`split` must hold 'train' and 'test' only. Received: {join(sorted(unknown))}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, where: NDArray[np.bool_] | NDArray[np.intp]) -> Prepared:
        """Return the images chosen by a mask or by their places."""
        return Prepared(**{name: getattr(self, name)[where] for name in ARRAYS})


ARRAYS: tuple[str, ...] = tuple(field.name for field in fields(Prepared))


@dataclass(frozen=True, kw_only=True, eq=False)
class LisaSplits:
    """Training and test images, with what a reader of a table must know about their split.

    Attributes:
        train: The training images; ids ``"<track>#<csv_row>"``.
        test: The test images.
        kind: "track", or "random": that leaks, for test images have neighbours of their track in the training set.
        seed: The seed that the split was drawn with; None for the one that the file holds.
        dropped: Images of LISA's other classes that were left out, by class name.
        shared_tracks: Tracks with images on both sides; 0 for "track".
        one_sided: Classes that have images on one side only, in alphabetical order.
    """

    train: Split
    test: Split
    kind: str
    seed: int | None
    dropped: Mapping[str, int]
    shared_tracks: int
    one_sided: tuple[str, ...]

    def __str__(self) -> str:
        drawn = "as the file holds it" if self.seed is None else f"seed {self.seed}"
        leak = f"; {self.shared_tracks} tracks have images on both sides" if self.kind == "random" else ""
        alone = f"; on one side only: {', '.join(self.one_sided)}" if self.one_sided else ""
        return (
            f"LISA, {_LABELS[self.kind]}, {drawn}: {len(self.train)} training and {len(self.test)} test images"
            f"{leak}{alone}; {sum(self.dropped.values())} images of {len(self.dropped)} other classes left out"
        )


def find(roots: Iterable[Path]) -> Path | None:
    """Return the first `<root>/lisa/lisa32.npz` that is there, or None. Its contents are not looked at.

    Example:
        >>> find([Path("data")])
        PosixPath('data/lisa/lisa32.npz')
    """
    paths = (Path(root) / FOLDER / FILE for root in roots)
    return next((path for path in paths if path.is_file()), None)


def dataset(query: Query) -> Dataset:
    """Return LISA as a data set. Its victims are RP2's photographs where the release is there, else rendered signs."""
    places = " or ".join(str(place / FILE) for place in query.places(FOLDER))
    path = find(query.roots)
    if path is None:
        raise DataNotFoundError(
            f"DATA=lisa needs the prepared file: there is no {places}. "
            "`make data LISA_ROOT=<the official download>` prepares it, or use DATA=synthetic.",
            because=f"there is no {places} (`make data LISA_ROOT=...` prepares it)",
        )
    attacked = choose_victims("auto", query.roots)
    splits = functools.cache(lambda: make_splits(read_prepared(path), split=query.split))
    return Dataset(
        name="lisa",
        key="lisa" if query.split == "track" else f"lisa_{query.split}",
        title=f"LISA, {_LABELS[query.split]}",
        class_names=CLASS_NAMES,
        image_size=(SIZE, SIZE),
        split=query.split,
        leaks=query.split == "random",
        photographs=True,
        licence="LISA is for research use, and is not redistributed.",
        reason=f"found in {path.parent}",
        attacked=attacked,
        loaders={"train": lambda: splits().train, "test": lambda: splits().test, "victims": attacked.victims},
    )


def write_prepared(path: str | os.PathLike[str], prepared: Prepared) -> None:
    """Write the prepared file: compressed, atomically, the same bytes for the same arrays."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{name: getattr(prepared, name) for name in ARRAYS})


def read_prepared(path: str | os.PathLike[str]) -> Prepared:
    """Read a prepared file, given itself or by the folder that holds it as `lisa32.npz`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, lacks an array, or holds one that does not fit.

    Example:
        >>> read_prepared("data/lisa").images.shape[1:]
        (32, 32, 3)
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there. {_WAY_OUT}")
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        raise ValueError(f"{error}. {_WAY_OUT}") from error
    if missing := [name for name in ARRAYS if name not in arrays]:
        raise ValueError(
            f"{path} must hold the arrays {', '.join(ARRAYS)}. Received: none named {', '.join(missing)}. {_WAY_OUT}"
        )
    try:
        return Prepared(**{name: arrays[name] for name in ARRAYS})
    except ValueError as error:
        raise ValueError(f"{path}: {error}. {_WAY_OUT}") from error


def make_splits(
    prepared: Prepared, *, split: str = "track", seed: int | None = None, test_share: float | None = None
) -> LisaSplits:
    """Split the images of the model's classes into training and test images; the other classes are left out.

    Args:
        prepared: The images.
        split: "track": no track has images on both sides. "random": single images are drawn, as is common practice;
            that leaks.
        seed: Not negative; None is 0. By track without a seed and a share, the split is the one that the file holds,
            so that results on the same file compare; `lisa_official` writes the one that 0 draws.
        test_share: The share of each class to test on, above 0 and below 1; None is 0.2.

    Raises:
        ValueError: An argument is outside its range, a track of the file's split is on both sides, or a side has no
            image.

    Example:
        >>> splits = make_splits(read_prepared("data/lisa"), split="random")
        >>> splits.kind, splits.train.images.shape[1:]
        ('random', (32, 32, 3))
    """
    if split not in ("track", "random"):
        raise ValueError(f"`split` must be 'track' or 'random'. Received: split={split!r}")
    known = np.isin(prepared.labels, SIGN_NAMES)
    ours, others = prepared.take(known), Counter(prepared.labels[~known].tolist())
    if split == "track" and seed is None and test_share is None:
        test = ours.split == "test"
    else:
        seed, test_share = 0 if seed is None else seed, 0.2 if test_share is None else test_share
        choose = choose_tracks if split == "track" else choose_images
        test = choose(ours.labels, ours.track, seed=seed, test_share=test_share)
    shared = sorted(set(ours.track[test].tolist()) & set(ours.track[~test].tolist()))
    if split == "track" and shared:
        raise ValueError(
            "`split` of the file must have each track on one side only. "
            f"Received: {len(shared)} on both, such as {shared[0]!r}; a `seed` draws another split"
        )
    if test.all() or not test.any():
        raise ValueError(
            "Both sides of the split must have images of the model's classes. "
            f"Received: {np.sum(~test)} training and {np.sum(test)} test images in {len(np.unique(ours.track))} tracks"
        )
    train_side, test_side = (
        Split(
            images=side.images.astype(np.float32) / np.float32(255),
            labels=np.array([CLASS_NAMES.index(name) for name in side.labels.tolist()], np.int32),
            ids=tuple(f"{track}#{row}" for track, row in zip(side.track, side.csv_row, strict=True)),
            class_names=CLASS_NAMES,
        )
        for side in (ours.take(~test), ours.take(test))
    )
    return LisaSplits(
        train=train_side,
        test=test_side,
        kind=split,
        seed=seed,
        dropped=dict(sorted(others.items())),
        shared_tracks=len(shared),
        one_sided=one_sided(ours.labels, test),
    )


def split_column(labels: NDArray[np.str_], tracks: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return "train" or "test" for each image, by track: the `split` array of a new prepared file.

    The classes of the model come first, so that this is the split which `make_splits(seed=0)` draws; tracks that show
    other signs only are split by themselves.

    Example:
        >>> split_column(np.array(["stop", "stop"]), np.array(["a", "b"])).tolist()
        ['test', 'train']
    """
    ours = np.isin(labels, SIGN_NAMES)
    first = np.isin(tracks, tracks[ours])
    in_test = np.isin(tracks, tracks[ours][choose_tracks(labels[ours], tracks[ours])])
    in_test[~first] = choose_tracks(labels[~first], tracks[~first])
    return np.where(in_test, "test", "train")
