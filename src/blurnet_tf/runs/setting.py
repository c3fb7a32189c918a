"""What is attacked, and where: images with their mask and palette."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.attacks.masks import bundled, load_mask, load_palette
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.split import Split
from blurnet_tf.files import sha256
from blurnet_tf.runs.cells import ImagesSpec, MaskSpec, mask_sha256


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """The images to attack and what goes with them; `load_setting` makes one."""

    facts: Mapping[str, Any]  # `Dataset.facts` of the images
    source: Mapping[str, Any]  # where they are, as `ImagesSpec` has it
    images: Split
    mask_path: Path
    mask: NDArray[np.float32]
    palette_path: Path
    authentic: bool  # whether images and mask are what RP2's authors published
    part: str = "victims"  # of the data set
    label: int | None = None  # the class that was taken alone

    @functools.cached_property
    def images_spec(self) -> ImagesSpec:
        return self.chosen()

    def chosen(self, every: tuple[int, int] = (1, 0)) -> ImagesSpec:
        """Return the images, or every so manieth, from the first one on that the second number says."""
        step, first = every
        images = self.images if step == 1 else self.images.select(slice(first, None, step))
        return ImagesSpec(
            source=self.source,
            class_names=images.class_names,
            sha256=images.sha256(),
            part=self.part,
            label=self.label,
            every=every,
        )

    @functools.cached_property
    def mask_spec(self) -> MaskSpec:
        return MaskSpec(path=str(self.mask_path), sha256=mask_sha256(self.mask))

    @property
    def palette(self) -> NDArray[np.float32]:
        """The printable colours, float32 (colours, 3)."""
        return load_palette(self.palette_path)

    def describe(self, *, palette: bool) -> dict[str, Any]:
        """Return the fields of a `Run` about what is attacked; `palette`: whether an attack uses it."""
        colours = {"path": str(self.palette_path), "sha256": sha256(self.palette_path)}
        return {
            "data": {
                **self.facts,
                **{name: getattr(self, name) for name in ("source", "part", "label")},
                "n": len(self.images),
                "sha256": self.images_spec.sha256,
            },
            "class_names": self.images.class_names,
            "mask": {"path": str(self.mask_path), "sha256": sha256(self.mask_path), "pixels": int(self.mask.sum())},
            "palette": colours if palette else None,
        }


def load_setting(
    dataset: Dataset,
    *,
    mask: Path | None = None,
    palette: Path | None = None,
    class_names: tuple[str, ...] | None = None,
) -> Setting:
    """Load the images of a data set to attack.

    Args:
        dataset: It must have victims.
        mask: An image of the mask; by default that of the data set, else the bundled sticker.
        palette: A file of colours; by default that of the data set, else the bundled one.
        class_names: The classes of a model, if they are not those of the data set. Labels are found by name.

    Raises:
        FileNotFoundError: A file is not there.
        ValueError: A file is damaged, there is nothing to attack, the model lacks a class, or the mask does not fit.
    """
    dataset = dataset.attacked or dataset
    if not dataset.source:
        raise ValueError(f"`dataset` must come from `load_dataset`: `register` yours. Received: {dataset.title}")
    images = dataset.victims().with_class_names(class_names or dataset.class_names)
    mask_path = mask or dataset.mask or bundled("sticker.png")
    loaded = load_mask(mask_path)
    (height, width), (mask_height, mask_width) = images.images.shape[1:3], loaded.shape[:2]
    if (height, width) != (mask_height, mask_width):
        raise ValueError(
            f"MASK= must name an image of {height}x{width} pixels (height x width), the size of the images. "
            f"Received: {mask_path}, {mask_height}x{mask_width}" + ("" if mask else ", the default")
        )
    return Setting(
        facts=dataset.facts(),
        source=dataset.source,
        images=images,
        mask_path=mask_path,
        mask=loaded,
        palette_path=palette or dataset.palette or bundled("palette.csv"),
        authentic=dataset.authentic and mask_path == dataset.mask,
    )
