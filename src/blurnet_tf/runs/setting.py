"""What is attacked, and where: the victims of a source with their mask and palette."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.attacks.masks import bundled, load_mask, load_palette
from blurnet_tf.data import download, rp2_release, sources
from blurnet_tf.data.split import Split
from blurnet_tf.files import sha256


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """The victims and what goes with them.

    Attributes:
        source: Where they are from.
        victims: The images to attack.
        mask_path, mask: Where the sticker may be.
        palette_path, palette: Printable colours. The palette is None unless it is needed.
        authentic: Whether the release is there and is what its authors published, mask included.
    """

    source: sources.Resolved
    victims: Split
    mask_path: Path
    mask: NDArray[np.float32]
    palette_path: Path
    palette: Any
    authentic: bool

    @property
    def mask_sha256(self) -> str:
        """The checksum of the mask as it is used; the file that it was read from may have other bytes."""
        return hashlib.sha256(self.mask.tobytes()).hexdigest()

    @property
    def palette_sha256(self) -> str:
        """The checksum of the palette as it is used."""
        return hashlib.sha256(self.palette.tobytes()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return the provenance of everything here."""
        palette = {"path": str(self.palette_path), "sha256": sha256(self.palette_path)}
        return {
            "data": {
                "source": self.source.name,
                "reason": self.source.reason,
                "sha256": self.victims.sha256(),
                "n": len(self.victims),
            },
            "class_names": self.victims.class_names,
            "mask": {
                "path": str(self.mask_path),
                "sha256": sha256(self.mask_path),
                "pixels": int(self.mask.sum()),
            },
            "palette": None if self.palette is None else palette,
        }


def load_setting(
    source: sources.Resolved, *, mask: Path | None = None, palette: Path | None = None, printable: bool = False
) -> Setting:
    """Load the victims of a source.

    Args:
        source: As `sources.resolve` gives it.
        mask: An image of the mask; by default the source's own sticker mask.
        palette: A file of colours; by default the source's own.
        printable: Whether the palette is needed.

    Warns:
        UserWarning: A file of the release differs from the authors'.
    """
    release = source.folder
    victims = sources.load_victims(source)
    own_mask = release / rp2_release.STICKER_MASK if release else bundled("sticker.png")
    mask_path = mask or own_mask
    palette_path = palette or (release / rp2_release.PALETTE if release else bundled("palette.csv"))
    loaded_mask = load_mask(mask_path)
    colours = load_palette(palette_path) if printable else None
    damaged = download.damaged_files(release) if release else ()
    if damaged:
        warnings.warn(f"{release}: {', '.join(damaged)} differ from the authors' release.", stacklevel=1)
    return Setting(
        source=source,
        victims=victims,
        mask_path=mask_path,
        mask=loaded_mask,
        palette_path=palette_path,
        palette=colours,
        authentic=release is not None and not damaged and mask_path == own_mask,
    )
