"""A data set: its facts as fields, and its images when they are asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blurnet_tf.data.split import Split

PARTS: Mapping[str, str] = {"train": "to train on", "test": "to test on", "victims": "to attack"}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What is known of a data set, and how to load its parts.

    Attributes:
        name: What `load_dataset` calls it: "lisa", "folder:signs".
        key: A name for folders, which also tells apart the splits of one data set: "lisa", "lisa_random".
        title: The data and its split in a few words, for people. Checkpoints know their data by it.
        class_names: The classes, in the order of the labels and of a model's outputs.
        image_size: Height and width of every image, in pixels.
        split: How test images were chosen: "track" (whole tracks), "random" (single images of tracks), "image" (single
            images, tracks unknown), "given" (as the folders are), "drawn" (from other random streams), "none" (not at
            all).
        leaks: Whether a test image may have a near duplicate among the training images, because single images were
            drawn: the accuracy may be too high.
        photographs: Whether the images are photographs; those of a folder count as such.
        licence: Whose the images are, and what may be done with them.
        reason: Why this data set is used, for the reader of a log.
        loaders: What loads each part that there is: "train", "test", "victims". Each is called at most once.
        source: JSON-able arguments with which `load_dataset` gives this data set again.
        attacked: The data set that the victims are of; None: they are its own.
        mask: File of the sticker mask that belongs to the victims; None: a bundled one.
        palette: File of their printable colours; None: the bundled ones.
        authentic: Whether the victims, their mask and palette are files of the RP2 release as its authors published it.
        release: Folder of the RP2 release, if the victims come with a model that was trained by its authors.

    Example:
        >>> from blurnet_tf.data.registry import load_dataset
        >>> data = load_dataset("synthetic", per_class=2, test_per_class=1)
        >>> data.title, data.leaks, len(data.class_names), data.train().images.shape
        ('rendered signs', False, 18, (34, 32, 32, 3))
    """

    name: str
    key: str
    title: str
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    split: str
    leaks: bool
    photographs: bool
    licence: str
    reason: str
    loaders: Mapping[str, Callable[[], Split]] = field(repr=False, compare=False)
    source: Mapping[str, Any] = field(default_factory=dict)
    attacked: Dataset | None = None
    mask: Path | None = None
    palette: Path | None = None
    authentic: bool = False
    release: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "loaders", {part: functools.cache(load) for part, load in self.loaders.items()})

    def train(self) -> Split:
        """Load the images to train on; ValueError if there are none."""
        return self._load("train")

    def test(self) -> Split:
        """Load the images that are held out; ValueError if there are none."""
        return self._load("test")

    def victims(self) -> Split:
        """Load the images to attack; ValueError if there are none."""
        return self._load("victims")

    def facts(self) -> dict[str, Any]:
        """Return what a table must say of its data, JSON-able."""
        names = ("name", "key", "title", "split", "leaks", "photographs", "licence")
        return {name: getattr(self, name) for name in names} | {"image_size": list(self.image_size)}

    def _load(self, part: str) -> Split:
        if part not in self.loaders:
            others = " and ".join(f"images {PARTS[other]}" for other in self.loaders)
            raise ValueError(f"The data set {self.name} has no images {PARTS[part]}, only {others}.")
        return self.loaders[part]()


@dataclass(frozen=True, kw_only=True)
class Query:
    """The arguments of `load_dataset`, as a data set gets them. `path` is what follows the colon of `name`, else ""."""

    name: str
    path: str
    roots: tuple[Path, ...]
    split: str
    per_class: int
    test_per_class: int
    label: str | int | None
    image_size: tuple[int, int] | None
    class_names: tuple[str, ...] | None

    def places(self, name: str) -> list[Path]:
        """Return `<root>/<name>` for each root; ValueError if there is no root."""
        if not self.roots:
            raise ValueError("`roots` must hold at least one folder to look in. Received: roots=[]")
        return [root / name for root in self.roots]

    def refuse(self, *arguments: str) -> None:
        """Raise ValueError if one of these was given: the data set has no use for it."""
        for argument in arguments:
            if (value := getattr(self, argument)) is not None:
                raise ValueError(
                    f"`{argument}` must be left out for the data set {self.name}. Received: {argument}={value!r}"
                )


class DataNotFoundError(FileNotFoundError):
    """The files of a data set are not there. `because` says it as half a sentence, for what is used instead."""

    def __init__(self, message: str, because: str) -> None:
        super().__init__(message)
        self.because = because


def join(names: Iterable[str]) -> str:
    """Return names for a sentence, each in quotation marks."""
    return ", ".join(map(repr, names))
