"""Files that several commands read and write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurnet_tf.files import atomic_path
from blurnet_tf.reading import read_array


def check_out(path: Path, suffixes: tuple[str, ...], *, force: bool) -> None:
    """Raise ValueError or OSError, before any work is done, unless a result can be written to `path`."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"--out must end in {' or '.join(suffixes)}. Received: {path}")
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder. Name a file.")
    if path.exists() and not force:
        raise FileExistsError(f"{path} is there already. Add --force to replace it, or name another file.")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Raise ValueError or OSError unless `path` has a name, and lies in a folder that may be written to, or be made."""
    if path.name in ("", ".."):
        raise ValueError(f"--out must name a file or folder to make. Received: {path}")
    nearest = next(parent for parent in path.absolute().parents if parent.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"--out must lie in a folder. Received: {path}, where {nearest.name} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"--out must lie in a folder that may be written to. Received: {path}")


def load_perturbation(path: Path) -> NDArray[np.float32]:
    """Read a perturbation, float32 (H, W, 3), that `blurnet attack` or `make blackbox` saved."""
    if not path.is_file():
        raise FileNotFoundError(f"Perturbation {path} is no file. Give a .npy file, such as `blurnet attack` writes.")
    try:
        array = read_array(path)
    except ValueError as error:
        raise ValueError(f"Perturbation {error}") from error
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim != 3 or array.shape[2] != 3 or not array.size or not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"Perturbation {path} must be a floating array (H, W, 3). Received: {array.dtype}, shape={array.shape}"
        )
    with np.errstate(over="ignore"):  # what is too large for float32 is infinite now, and refused
        perturbation = array.astype(np.float32)
    if not np.isfinite(perturbation).all():
        raise ValueError(f"Perturbation {path} must be finite in float32. Received: NaN or infinity")
    return perturbation


def save_image(path: Path, pixels: NDArray[np.uint8], *, colours: int | None = None, **settings: Any) -> None:
    """Write an image atomically, grey, RGB or RGBA, as PNG or JPEG. The same pixels give the same bytes.

    `colours` makes a small PNG file of the so many colours that fit an RGB image best.
    """
    if path.suffix.lower() != ".png":
        settings |= {"quality": 95, "subsampling": 0}
    with atomic_path(path) as temporary:
        image = Image.fromarray(pixels)
        if colours is not None:
            image = image.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        image.save(temporary, **settings)


def check_same_size(what: str, image: NDArray[Any], other: str, wanted: NDArray[Any]) -> None:
    """Raise ValueError unless an image has the height and width of another; `what` and `other` name them."""
    if image.shape[:2] != wanted.shape[:2]:
        expected, received = ("x".join(map(str, one.shape[:2])) for one in (wanted, image))
        raise ValueError(f"{what} must have the size of {other}, {expected} (height x width). Received: {received}")
