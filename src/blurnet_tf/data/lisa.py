"""The `lisa` source: crops of the LISA traffic sign dataset, prepared as one file, and their split.

LISA: Mogelmose, Trivedi and Moeslund, "Vision-Based Traffic Sign Detection and Analysis for Intelligent Driver
Assistance Systems", IEEE T-ITS 13(4), 2012. It is for research use and never redistributed with this project:
`blurnet_tf.data.lisa_official` makes the prepared file from the official download.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.data.split import Split
from blurnet_tf.data.splitting import choose_images, choose_tracks, one_sided
from blurnet_tf.files import atomic_path
from blurnet_tf.signs import CLASS_NAMES, SIGN_NAMES

FOLDER, FILE = "lisa", "lisa32.npz"
"""The prepared file is `<root>/lisa/lisa32.npz`."""

SIZE = 32
_SIDES = ("train", "test")
_WAY_OUT = "`make data LISA_ROOT=<the official download>` prepares it."


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """The arrays of the prepared file: every class of LISA, in the order of its annotation file.

    Attributes:
        images: uint8 (n, 32, 32, 3), RGB.
        labels: str (n,), the names of the classes.
        split: str (n,), "train" or "test": a split by track.
        track: str (n,), "video/track". Images of one track show the same scene a few frames apart.
        csv_row: int64 (n,), the number of the row in the annotation file, counted from 0 without the header. Unique.
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
        images, rows = self.images, self.csv_row
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (SIZE, SIZE, 3):
            raise ValueError(
                f"`images` must be uint8 with the shape (n, {SIZE}, {SIZE}, 3). "
                f"Received: {images.dtype.name}, shape={images.shape}"
            )
        for name, kind, words in (*((name, "U", "strings") for name in _TEXTS), ("csv_row", "i", "integers")):
            array = getattr(self, name)
            if array.dtype.kind != kind or array.shape != images.shape[:1]:
                raise ValueError(
                    f"`{name}` must hold {len(images)} {words}, one for each image. "
                    f"Received: {array.dtype.name}, shape={array.shape}"
                )
        if len(np.unique(rows)) != len(rows):
            raise ValueError(
                f"`csv_row` must hold different numbers. Received: {len(np.unique(rows))} different of {len(rows)}"
            )
        if strange := sorted(set(self.split.tolist()) - set(_SIDES)):
            raise ValueError(f"`split` must hold 'train' and 'test' only. Received: {', '.join(map(repr, strange))}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, where: NDArray[np.bool_] | NDArray[np.intp]) -> Prepared:
        """Return the images chosen by a mask or by their places.

        Example:
            >>> prepared = read_prepared("data/lisa/lisa32.npz")
            >>> lossless = prepared.take(prepared.source != "jpeg32")
        """
        return Prepared(**{name: getattr(self, name)[where] for name in ARRAYS})


ARRAYS: tuple[str, ...] = tuple(field.name for field in fields(Prepared))
_TEXTS = tuple(name for name in ARRAYS if name not in ("images", "csv_row"))


@dataclass(frozen=True, kw_only=True, eq=False)
class LisaSplits:
    """Training and test images, with what a reader of a table must know about their split.

    Attributes:
        train: The training images; ids ``"<track>#<csv_row>"``.
        test: The test images.
        kind: "track" or "random".
        leaks: True for "random": test images have neighbours of their track in the training set. Say so in every
            table: `label` does.
        seed: The seed that the split was drawn with; None for the one that the file holds.
        dropped: Images of LISA's other classes that were left out, by class name.
        shared_tracks: Tracks with images on both sides; 0 for "track".
        one_sided: Classes that have images on one side only, in alphabetical order.
    """

    train: Split
    test: Split
    kind: str
    leaks: bool
    seed: int | None
    dropped: Mapping[str, int]
    shared_tracks: int
    one_sided: tuple[str, ...]

    @property
    def label(self) -> str:
        """The split in a few words, for the head of a table."""
        return "random split (leaks)" if self.leaks else "track split"

    def __str__(self) -> str:
        drawn = "as the file holds it" if self.seed is None else f"seed {self.seed}"
        leak = f"; {self.shared_tracks} tracks have images on both sides" if self.leaks else ""
        alone = f"; on one side only: {', '.join(self.one_sided)}" if self.one_sided else ""
        return (
            f"LISA, {self.label}, {drawn}: {len(self.train)} training and {len(self.test)} test images{leak}{alone}; "
            f"{sum(self.dropped.values())} images of {len(self.dropped)} other classes left out"
        )


def find(roots: Iterable[Path]) -> Path | None:
    """Return the first `<root>/lisa/lisa32.npz` that is there, or None. Its contents are not looked at.

    Example:
        >>> find([Path("data")])
        PosixPath('data/lisa/lisa32.npz')
    """
    paths = (Path(root) / FOLDER / FILE for root in roots)
    return next((path for path in paths if path.is_file()), None)


def write_prepared(path: str | os.PathLike[str], prepared: Prepared) -> None:
    """Write the prepared file: compressed, atomically, the same bytes for the same arrays.

    Example:
        >>> write_prepared("data/lisa/lisa32.npz", prepared)  # doctest: +SKIP
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{name: getattr(prepared, name) for name in ARRAYS})


def read_prepared(path: str | os.PathLike[str]) -> Prepared:
    """Read a prepared file.

    Args:
        path: The file, or the folder that holds it as `lisa32.npz`.

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
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            with archive:
                arrays = {name: archive[name] for name in ARRAYS if name in archive.files}
    except (ValueError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} must be a readable .npz file. Received: {type(error).__name__}: {error}. {_WAY_OUT}"
        ) from error
    if missing := [name for name in ARRAYS if name not in arrays]:
        raise ValueError(
            f"{path} must hold the arrays {', '.join(ARRAYS)}. Received: none named {', '.join(missing)}. {_WAY_OUT}"
        )
    try:
        return Prepared(**arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}. {_WAY_OUT}") from error


def load_splits(
    path: str | os.PathLike[str], *, split: str = "track", seed: int | None = None, test_share: float | None = None
) -> LisaSplits:
    """Read a prepared file and split it: `make_splits` of `read_prepared`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, or an argument is outside its range.

    Example:
        >>> splits = load_splits("data/lisa")
        >>> splits.label, splits.train.images.shape[1:]
        ('track split', (32, 32, 3))
    """
    return make_splits(read_prepared(path), split=split, seed=seed, test_share=test_share)


def make_splits(
    prepared: Prepared, *, split: str = "track", seed: int | None = None, test_share: float | None = None
) -> LisaSplits:
    """Split the images of the model's classes into training and test images.

    By track, the file's own split is taken as it stands if neither `seed` nor `test_share` is given, so that results
    on the same file compare. If either is given, the split is drawn anew by `splitting.choose_tracks`. In a file that
    `lisa_official` prepared, its own split is the one that `seed=0` draws.

    Args:
        prepared: The images. Classes that the model has no output for are left out and counted.
        split: "track": no track has images on both sides. "random": single images are drawn, as is common practice;
            that leaks, and the result says so.
        seed: Not negative; None is the file's own split, or 0 if there is none to take.
        test_share: The share of each class to test on, above 0 and below 1; None is 0.2.

    Raises:
        ValueError: An argument is outside its range, a track of the file's own split stands on both sides, or a side
            has no image.

    Example:
        >>> splits = make_splits(read_prepared("data/lisa"), split="random")
        >>> splits.label
        'random split (leaks)'
    """
    if split not in ("track", "random"):
        raise ValueError(f"`split` must be 'track' or 'random'. Received: split={split!r}")
    ours = prepared.take(np.isin(prepared.labels, SIGN_NAMES))
    others = Counter(prepared.labels[~np.isin(prepared.labels, SIGN_NAMES)].tolist())
    own = split == "track" and seed is None and test_share is None
    seed = 0 if seed is None and not own else seed
    if seed is None:
        test = ours.split == "test"
    else:
        choose = choose_tracks if split == "track" else choose_images
        test = choose(ours.labels, ours.track, seed=seed, test_share=0.2 if test_share is None else test_share)
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
    return LisaSplits(
        train=_to_split(ours.take(~test)),
        test=_to_split(ours.take(test)),
        kind=split,
        leaks=split == "random",
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


def _to_split(prepared: Prepared) -> Split:
    return Split(
        images=prepared.images.astype(np.float32) / np.float32(255),
        labels=np.array([CLASS_NAMES.index(name) for name in prepared.labels.tolist()], np.int32),
        ids=tuple(f"{track}#{row}" for track, row in zip(prepared.track, prepared.csv_row, strict=True)),
    )
