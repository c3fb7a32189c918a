"""Files that several commands read and write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from blurnet_tf.files import atomic_path


def check_out(path: Path, suffixes: tuple[str, ...], *, force: bool) -> None:
    """Raise an error, before any work is done, unless a result can be written to `path`.

    Raises:
        ValueError: Its suffix is another.
        FileExistsError: There is something already, and nobody said that it may go.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"--out must end in {' or '.join(suffixes)}. Received: {path}")
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder. Name a file.")
    if path.exists() and not force:
        raise FileExistsError(f"{path} is there already. Add --force to replace it, or name another file.")


def load_perturbation(path: Path) -> NDArray[np.float32]:
    """Read a perturbation that `blurnet attack` or `make blackbox` saved.

    Returns:
        float32 (H, W, 3), masked; 1.0 is the full range.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no finite floating array (H, W, 3), nor one such.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Perturbation {path} is no file. Give a .npy file, such as `blurnet attack` writes.")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"Perturbation {path} must be a .npy file that NumPy can read. Received: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"Perturbation {path} must hold one array. Received: an archive of {len(array.files)}")
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim != 3 or array.shape[2] != 3 or not array.size or not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"Perturbation {path} must be a floating array (H, W, 3). Received: {array.dtype}, shape={array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"Perturbation {path} must be finite. Received: NaN or infinity")
    return array.astype(np.float32)


def levels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image in [0, 1] as levels of 8 bits."""
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def save_image(path: Path, pixels: NDArray[np.uint8], **settings: Any) -> None:
    """Write an image atomically, RGB or RGBA, as PNG or JPEG. The same pixels give the same bytes."""
    if path.suffix.lower() != ".png":
        settings |= {"quality": 95, "subsampling": 0}
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, **settings)


def check_same_size(what: str, shape: tuple[int, ...], perturbation: NDArray[np.float32]) -> None:
    """Raise ValueError unless something has the height and width of a perturbation."""
    height, width = perturbation.shape[:2]
    if shape[:2] != (height, width):
        raise ValueError(
            f"{what} must have the size of the perturbation, {height}x{width} (height x width). "
            f"Received: {shape[0]}x{shape[1]}"
        )
