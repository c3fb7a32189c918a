"""Masks, which say where a perturbation may be, and palettes, which say what a printer can print."""

from __future__ import annotations

import os
import warnings
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

THRESHOLD: int = 127
"""Grey levels above this are inside a mask. RP2's sticker mask has stray pixels of level 1 and 2."""


BUNDLED: tuple[str, ...] = ("octagon.png", "palette.csv", "sticker.png")
"""The files of `masks/`, which travel inside the package; `masks/README.md` says what each is."""


def bundled(name: str) -> Path:
    """Return the path of a mask or palette that comes with the package, wherever that is installed.

    Args:
        name: "sticker.png" or "octagon.png", masks of 32x32 pixels; or "palette.csv".

    Returns:
        The path of the file, for `load_mask` or `load_palette`. `draw_sticker_bars` and `draw_octagon` draw the masks
        in any size.

    Raises:
        ValueError: No file of that name is bundled.

    Example:
        >>> int(load_mask(bundled("sticker.png")).sum())
        48
        >>> load_palette(bundled("palette.csv")).shape
        (30, 3)
    """
    if name not in BUNDLED:
        raise ValueError(f"`name` must be one of {', '.join(map(repr, BUNDLED))}. Received: name={name!r}")
    return Path(str(resources.files("blurnet_tf") / "masks" / name))


def load_mask(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read a mask from an image file: inside where any channel is above 127.

    Args:
        path: A file that OpenCV reads. Grey or colour, 8 bit.

    Returns:
        float32 (H, W, 1), 0 or 1.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no readable 8-bit image, or no pixel of it is above 127.

    Warns:
        UserWarning: Some pixels are neither 0 nor 255. They are thresholded; their number is named.

    Example:
        >>> load_mask("masks/sticker.png").shape
        (32, 32, 1)
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Mask {path} is no file. Give the path of an image.")
    levels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
    if levels is None:
        raise ValueError(f"Mask {path} is not an image that OpenCV can read. Give a PNG file.")
    brightest = levels.max(axis=2, keepdims=True)
    mask = (brightest > THRESHOLD).astype(np.float32)
    stray = int(np.count_nonzero((brightest > 0) & (brightest < 255)))
    if not mask.any():
        raise ValueError(f"Mask {path} is empty: no pixel is above {THRESHOLD}, so the attack could change nothing.")
    if stray:
        warnings.warn(
            f"Mask {path} has {stray} stray pixels, neither 0 nor 255; those above {THRESHOLD} count as inside.",
            stacklevel=2,
        )
    return mask


def regions(mask: NDArray[np.float32]) -> tuple[tuple[int, int, int, int], ...]:
    """Return the box of each part of a mask that hangs together, corners included: left, top, right, bottom in pixels.

    Args:
        mask: float32 (H, W, 1), inside where above 0.

    Returns:
        Right and bottom are excluded; the uppermost part stands first, of two at one height the left one.

    Example:
        >>> regions(load_mask(bundled("sticker.png")))
        ((10, 6, 22, 8), (10, 24, 22, 26))
    """
    _, _, statistics, _ = cv2.connectedComponentsWithStats((mask[..., 0] > 0).astype(np.uint8), connectivity=8)
    boxes = [(int(x), int(y), int(x + width), int(y + height)) for x, y, width, height, _ in statistics[1:]]
    return tuple(sorted(boxes, key=lambda box: (box[1], box[0])))


def load_palette(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read the colours that a printer can print: one `red,green,blue` line each, in [0, 1].

    Args:
        path: A text file, such as RP2's `npstriplets.txt` or `masks/palette.csv`. Lines that start with # are comments.

    Returns:
        float32 (colours, 3).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line does not hold three numbers in [0, 1], or there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Palette {path} is no file. Give a text file of red,green,blue lines.")
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and line[0] != "#"]
        palette = np.array([[float(value) for value in line.split(",")] for line in lines], np.float32)
    except ValueError as error:  # no text, not a number, or lines of different lengths
        raise ValueError(f"Palette {path} must hold three numbers a line, red,green,blue. Received: {error}") from error
    if palette.ndim != 2 or palette.shape[1] != 3 or not (palette.min() >= 0 and palette.max() <= 1):
        raise ValueError(f"Palette {path} must hold red,green,blue lines in [0, 1]. Received: shape={palette.shape}")
    return palette


def draw_sticker_bars(size: int = 32) -> NDArray[np.uint8]:
    """Draw two sticker bars, one above and one below the word STOP of a sign that fills the frame.

    Args:
        size: Side of the mask in pixels. At 32 each bar is 12 wide and 2 high.

    Returns:
        uint8 (size, size), 0 or 255.

    Raises:
        ValueError: `size` is below 16.
    """
    mask = _blank(size)
    unit = size / 32
    for top in (6, 24):
        rows = slice(round(top * unit), round((top + 2) * unit))
        mask[rows, round(10 * unit) : round(22 * unit)] = 255
    return mask


def draw_octagon(size: int = 32) -> NDArray[np.uint8]:
    """Draw the whole face of a stop sign that fills the frame: a regular octagon.

    Args:
        size: Side of the mask in pixels.

    Returns:
        uint8 (size, size), 0 or 255.

    Raises:
        ValueError: `size` is below 16.
    """
    mask = _blank(size)
    centre = (size - 1) / 2
    angles = np.pi / 8 + np.arange(8) * np.pi / 4
    # The flat sides touch the frame: the circumscribed radius is half the side over cos(22.5 degrees).
    corners = centre + centre / np.cos(np.pi / 8) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 255)
    return mask


def process_ink_palette() -> NDArray[np.float32]:
    """Colours that four-colour printing reaches: the inks, their overprints, and tints of each with paper and black.

    The solids are common sRGB values of the SWOP process inks on coated paper. A real printer differs: print a chart,
    photograph it, and write its colours to a file of your own for `load_palette`.

    Returns:
        float32 (30, 3) in [0, 1], paper white and black among them.
    """
    paper, black = np.array([255, 255, 255.0]), np.array([35, 31, 32.0])
    solids = np.array(
        [[0, 174, 239], [236, 0, 140], [255, 242, 0], [237, 28, 36], [0, 166, 81], [46, 49, 146]], np.float64
    )  # cyan, magenta, yellow; red, green, blue as overprints
    greys = [paper + share * (black - paper) for share in np.linspace(0, 1, 6)]
    ends = [(paper, 0.0), (paper, 0.35), (paper, 0.7), (black, 0.5)]
    tints = [solid + share * (end - solid) for solid in solids for end, share in ends]
    return (np.array([*greys, *tints]) / 255).astype(np.float32)


def _blank(size: int) -> NDArray[np.uint8]:
    if size < 16:
        raise ValueError(f"`size` must be at least 16. Received: size={size}")
    return np.zeros((size, size), np.uint8)
