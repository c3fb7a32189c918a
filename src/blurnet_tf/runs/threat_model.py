"""The threat model: which signs wear stickers, where, of which colours, and what the attacker has seen of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.attacks import Expectation, load_mask
from blurnet_tf.attacks.bases import check_colours
from blurnet_tf.attacks.inputs import check_masks
from blurnet_tf.attacks.masks import bundled, resize_mask
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.split import Split, read_split, save_split
from blurnet_tf.files import atomic_path
from blurnet_tf.reading import read_array
from blurnet_tf.runs.cells import ImagesSpec, MaskSpec, mask_sha256
from blurnet_tf.runs.setting import Setting
from blurnet_tf.signs import class_index

SHARINGS: tuple[str, ...] = ("both", "shared", "per_image")
INPUTS = "inputs"
OWN: Mapping[str, Any] = {
    "name": "images", "key": "images", "title": "own images", "split": "none", "leaks": False, "photographs": False,
    "licence": "",
}  # fmt: skip
"""The facts about images that come from no data set."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ThreatModel:
    """What an attacker may do. By default: paint RP2's stickers, or ours, in any colour, on the victims of a data set.

    Attributes:
        mask: Where stickers may be: an image file, or float32 (H, W, 1), or several, (masks, H, W, 1), whose union
            counts. `None`: the mask of the data set, else the bundled one, scaled to the images.
        images: What wears the stickers: "victims" or "test" of the data set, or images of your own, a `Split`.
        label: The class whose images are taken alone, a name or an index; `None`: all.
        scored: A `Split` of other images, onto which the shared stickers are put to be scored: the attacker has not
            seen those. `None`: the same ones.
        sharing: "shared", one sticker for all images; "per_image", one for each; "both", with attacks of both kinds.
        colours: (colours, 3) in [0, 1], the only ones that can be printed; `None`: any.
        expectation: How else the signs are seen, while the attack runs and when it is scored; `None`: as they are.

    Raises:
        ValueError: An attribute is none of these.

    Example:
        >>> ThreatModel(images="test", label="stop", colours=[(0, 0, 0), (1, 1, 1)]).sharing
        'both'
    """

    mask: ArrayLike | str | os.PathLike[str] | None = None
    images: Split | str = "victims"
    label: str | int | None = None
    scored: Split | None = None
    sharing: str = "both"
    colours: ArrayLike | None = None
    expectation: Expectation | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.images, Split) and self.images not in ("victims", "test"):
            raise ValueError(f"`images` must be 'victims', 'test' or a Split. Received: images={self.images!r}")
        if not isinstance(self.scored, Split | None):
            raise ValueError(f"`scored` must be None or a Split. Received: scored={self.scored!r}")
        for name, one in (("images", self.images), ("scored", self.scored)):
            if isinstance(one, Split) and not len(one):
                raise ValueError(f"`{name}` must hold at least one image. Received: a Split without any")
        if self.sharing not in SHARINGS:
            raise ValueError(
                f"`sharing` must be one of {', '.join(map(repr, SHARINGS))}. Received: sharing={self.sharing!r}"
            )
        if self.scored is not None and self.sharing != "shared":
            raise ValueError(
                "`sharing` must be 'shared' for other images to be scored: a sticker of its own belongs to one image. "
                f"Received: sharing={self.sharing!r}"
            )
        if self.colours is not None:
            object.__setattr__(self, "colours", check_colours(self.colours))
        if not isinstance(self.expectation, Expectation | None):
            raise ValueError(f"`expectation` must be None or an Expectation. Received: {self.expectation!r}")

    def load(
        self, dataset: Dataset | None, *, class_names: tuple[str, ...] | None, folder: Path
    ) -> tuple[Setting, ImagesSpec | None]:
        """Load what is attacked, and the images that are scored in its place, if they are others.

        Arrays are written into `folder`, so that cells, which are plain data, find them.

        Args:
            dataset: Where "victims" and "test" come from, and the default of the mask; `None` for images of your own.
            class_names: The classes of the model; labels are found by name. `None`: those of the images.
            folder: Of the results.

        Raises:
            FileNotFoundError: A file is not there.
            ValueError: There are no images, the model lacks their class, or the mask has another size.
        """
        source: Mapping[str, Any]
        owner = None if dataset is None else dataset.attacked or dataset  # of mask and palette
        if isinstance(self.images, Split):
            images, source, part, facts = self.images, {"file": str(_stored(folder, self.images))}, "victims", OWN
        elif dataset is None or owner is None:
            raise ValueError(f"A data set is needed for images={self.images!r}. Received: None")
        else:
            part, given = self.images, owner if self.images == "victims" else dataset
            source, facts, images = given.source, given.facts(), getattr(given, part)()
        images = images.with_class_names(class_names or images.class_names)
        label = None if self.label is None else class_index(str(self.label), images.class_names)
        if label is not None:
            images = images.select(images.labels == label)
            facts = {**facts, "title": f"{facts['title']}, {part}: {images.class_names[label]}"}
        if not len(images):
            raise ValueError(f"The threat model must have images. Received: none of label={self.label!r}")
        mask, path = self._mask(owner, images.images.shape[1:3], folder)
        setting = Setting(
            facts=facts,
            source=source,
            images=images,
            mask_path=path,
            mask=mask,
            palette_path=(owner and owner.palette) or bundled("palette.csv"),
            authentic=owner is not None and owner.authentic and path == owner.mask and part == "victims",
            part=part,
            label=label,
        )
        return setting, self._scored(images, folder)

    def _scored(self, images: Split, folder: Path) -> ImagesSpec | None:
        if self.scored is None:
            return None
        others = self.scored.with_class_names(images.class_names)
        if others.images.shape[1:] != images.images.shape[1:]:
            raise ValueError(
                f"`scored` must have images of the size of the attacked ones, {images.images.shape[1:3]}. "
                f"Received: {others.images.shape[1:3]}"
            )
        source = {"file": str(_stored(folder, self.scored))}
        return ImagesSpec(source=source, class_names=others.class_names, sha256=others.sha256())

    def _mask(self, owner: Dataset | None, size: tuple[int, int], folder: Path) -> tuple[NDArray[np.float32], Path]:
        """Return the mask, and the file that holds it."""
        given = self.mask
        if given is None:
            path = (owner and owner.mask) or bundled("sticker.png")
            mask = load_mask(path)
            if mask.shape[:2] == size:
                return mask, path
            given = resize_mask(mask, size)
        if isinstance(given, str | os.PathLike):
            mask, path = load_mask(given), Path(given)
            if mask.shape[:2] != size:
                wanted, found = ("x".join(map(str, one)) for one in (size, mask.shape[:2]))
                raise ValueError(
                    f"`mask` must have the size of the images, {wanted} (height x width). Received: {path}, {found}"
                )
            return mask, path
        mask = check_masks(given, size).max(axis=0)
        return mask, Path(store_mask(folder, mask).path)


def store_mask(folder: Path, mask: NDArray[np.float32]) -> MaskSpec:
    """Write a mask into the folder of the results, and return where it is."""
    digest = mask_sha256(mask)
    path = folder / INPUTS / f"mask-{digest[:12]}.npy"
    if not _holds(digest, lambda: mask_sha256(read_array(path))):
        with atomic_path(path) as temporary:
            np.save(temporary, mask, allow_pickle=False)
    return MaskSpec(path=str(path), sha256=digest)


def _stored(folder: Path, split: Split) -> Path:
    digest = split.sha256()
    path = folder / INPUTS / f"images-{digest[:12]}.npz"
    if not _holds(digest, lambda: read_split(path).sha256()):
        save_split(path, split)
    return path


def _holds(digest: str, read: Callable[[], str]) -> bool:
    """Return whether a file is there, whole, and of this checksum, which `read` finds."""
    try:
        return read() == digest
    except (OSError, ValueError, EOFError):
        return False
