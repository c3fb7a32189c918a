"""The one container in which every data source gives its images."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.checks import numbers_of, shown
from blurnet_tf.files import atomic_path
from blurnet_tf.reading import read_arrays


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Labelled images, with a name for each.

    Attributes:
        images: float32 (n, H, W, 3), RGB in [0, 1].
        labels: int32 (n,), indices into `class_names`.
        ids: n names, unique: a file name or a number of the source.
        class_names: The names of the classes, in the order of the model's outputs.

    Raises:
        ValueError: The arrays do not fit together, or a value is outside its range.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int32]
    ids: tuple[str, ...]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        images = np.ascontiguousarray(numbers_of("images", self.images))
        labels = np.ascontiguousarray(numbers_of("labels", self.labels, np.int32))
        for name in ("ids", "class_names"):
            value = getattr(self, name)
            if not isinstance(value, (tuple, list)) or not all(isinstance(one, str) for one in value):
                raise ValueError(f"`{name}` must be a tuple of names. Received: {name}={shown(value)}")
        if images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"`images` must have the shape (n, H, W, 3). Received: shape={images.shape}")
        if labels.shape != images.shape[:1]:
            raise ValueError(
                f"`labels` must have the shape {images.shape[:1]}, one for each image. Received: shape={labels.shape}"
            )
        if len(self.ids) != len(images) or len(set(self.ids)) != len(images):
            raise ValueError(f"`ids` must hold {len(images)} different names. Received: {len(set(self.ids))} different")
        if images.size and not (images.min() >= 0.0 and images.max() <= 1.0):  # also catches NaN
            raise ValueError(f"`images` must lie in [0, 1]. Received: values from {images.min():g} to {images.max():g}")
        if labels.size and not (labels.min() >= 0 and labels.max() < len(self.class_names)):
            raise ValueError(
                f"`labels` must lie in 0..{len(self.class_names) - 1}. "
                f"Received: values from {labels.min()} to {labels.max()}"
            )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.ids)

    def with_class_names(self, class_names: Sequence[str]) -> Split:
        """Return the same images with the classes of a model, which are found by name.

        Raises:
            ValueError: The model has no class of the name of a label.

        Example:
            >>> victims.with_class_names(("yield", "stop")).labels[:2]
            array([1, 1], dtype=int32)
        """
        names = tuple(class_names)
        if names == self.class_names:
            return self
        for label in sorted(set(self.labels.tolist())):
            if self.class_names[label] not in names:
                raise ValueError(
                    f"A model that is attacked on these images must have the class '{self.class_names[label]}'. "
                    f"Received: the classes {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}. "
                    "VICTIMS= names a folder of other images"
                )
        labels = np.array([names.index(self.class_names[label]) for label in self.labels], np.int32)
        return dataclasses.replace(self, labels=labels, class_names=names)

    def select(self, chosen: slice | Sequence[int] | NDArray[Any]) -> Split:
        """Return some of the images: a slice, indices, or a boolean for each.

        Example:
            >>> len(victims.select(slice(0, None, 2)))
            20
        """
        places = np.arange(len(self))[chosen]
        ids = tuple(self.ids[place] for place in places.tolist())
        return dataclasses.replace(self, images=self.images[places], labels=self.labels[places], ids=ids)

    def sha256(self) -> str:
        """Return a checksum of everything in the split: pixels, labels, names. 64 hexadecimal digits."""
        digest = hashlib.sha256(repr((self.images.shape, self.ids, self.class_names)).encode())
        digest.update(self.images.tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()


def save_split(path: Path, split: Split) -> None:
    """Write a split as one `.npz` file, atomically; `read_split` reads it."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **split_arrays(split))  # type: ignore[arg-type]


def split_arrays(split: Split) -> dict[str, NDArray[Any]]:
    """Return the arrays of the file of a split, by name."""
    names = {name: np.array(getattr(split, name), np.str_) for name in ("ids", "class_names")}
    return {"images": split.images, "labels": split.labels, **names}


def read_split(path: Path) -> Split:
    """Read the file of `save_split`; ValueError if it is damaged."""
    try:
        arrays = read_arrays(path)
        names = {name: tuple(arrays[name].tolist()) for name in ("ids", "class_names")}
        return Split(images=arrays["images"], labels=arrays["labels"], **names)
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path} must hold images that `save_split` wrote. Received: {error}") from error
