"""Masks, which say where a perturbation may be, and palettes, which say what a printer can print."""

from __future__ import annotations

import os
import warnings
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.checks import printable
from blurnet_tf.pictures import decode

THRESHOLD: int = 127  # grey levels above this are inside a mask; RP2's sticker mask has pixels of level 1 and 2

STICKERS: tuple[tuple[int, int, int, int], ...] = (
    (15, 4, 17, 7), (9, 6, 12, 8), (20, 7, 23, 9), (10, 24, 12, 27), (18, 24, 21, 26),
)  # fmt: skip
"""What `draw_stickers` draws at size 32: left, top, right, bottom in pixels, right and bottom excluded."""

BUNDLED: tuple[str, ...] = ("octagon.png", "palette.csv", "sticker.png")
"""The files of `masks/`, which are inside the package too; `masks/README.md` says what each is."""

PICTURES: tuple[str, ...] = ("stop.png",)
"""Pictures for examples, inside the package."""


def bundled(name: str) -> Path:
    """Return the path of a file in the package: the masks "sticker.png" and "octagon.png", 32x32 pixels; "palette.csv";
    "stop.png", a rendered stop sign for examples.

    Raises:
        ValueError: No file of that name is bundled.

    Example:
        >>> int(load_mask(bundled("sticker.png")).sum())
        30
        >>> load_palette(bundled("palette.csv")).shape
        (30, 3)
    """
    known = BUNDLED + PICTURES
    if name not in known:
        raise ValueError(f"`name` must be one of {', '.join(map(repr, known))}. Received: name={name!r}")
    return Path(str(resources.files("blurnet_tf") / ("masks" if name in BUNDLED else "data") / name))


def load_mask(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read a mask from an 8-bit image, grey or colour: float32 (H, W, 1), 1 where any channel is above 127, else 0.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no readable image, has more pixels than `BLURNET_MOST_PIXELS`, or none above 127.

    Warns:
        UserWarning: Some pixels are neither 0 nor 255. They are thresholded; their number is named.

    Example:
        >>> load_mask("masks/sticker.png").shape
        (32, 32, 1)
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Mask {path} is no file. Give the path of an image.")
    brightest = decode(path.read_bytes(), f"Mask {path}").max(axis=2, keepdims=True)
    mask = (brightest > THRESHOLD).astype(np.float32)
    stray = int(np.count_nonzero((brightest > 0) & (brightest < 255)))
    if not mask.any():
        raise ValueError(f"Mask {path} is empty: no pixel is above {THRESHOLD}, so the attack could change nothing.")
    if stray:
        text = f"Mask {path} has {stray} stray pixels, neither 0 nor 255; those above {THRESHOLD} count as inside."
        warnings.warn(text, stacklevel=2)
    return mask


def resize_mask(mask: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a mask (H, W, 1) at another size, the nearest pixel each: it covers the same share of the image.

    Args:
        mask: float32 (H, W, 1).
        size: Height and width.

    Raises:
        ValueError: Nothing of the mask is left at a size so small.

    Example:
        >>> int(resize_mask(load_mask(bundled("sticker.png")), (64, 64)).sum())
        120
    """
    resized = cv2.resize(mask[..., 0], size[::-1], interpolation=cv2.INTER_NEAREST)[..., None]
    if not resized.any():
        raise ValueError(f"`size` must leave something of the mask. Received: size={size}, at which it is empty")
    return resized


def regions(mask: NDArray[np.float32]) -> tuple[tuple[int, int, int, int], ...]:
    """Return the box of each connected part of a mask, corners included: left, top, right, bottom in pixels.

    Right and bottom are excluded; the uppermost part stands first, of two at one height the left one.

    Example:
        >>> regions(load_mask(bundled("sticker.png")))
        ((15, 4, 17, 7), (9, 6, 12, 8), (20, 7, 23, 9), (10, 24, 12, 27), (18, 24, 21, 26))
    """
    _, _, statistics, _ = cv2.connectedComponentsWithStats((mask[..., 0] > 0).astype(np.uint8), connectivity=8)
    boxes = [(int(x), int(y), int(x + width), int(y + height)) for x, y, width, height, _ in statistics[1:]]
    return tuple(sorted(boxes, key=lambda box: (box[1], box[0])))


def label_parts(mask: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return which connected part of a mask (H, W, 1) each pixel is of, int32 (H, W): 0, 1, ...; outside the last one.

    Example:
        >>> label_parts(np.array([[[1.0], [0.0], [1.0]]])).tolist()
        [[0, 2, 1]]
    """
    count, labels = cv2.connectedComponents((mask[..., 0] > 0).astype(np.uint8), connectivity=8)
    return np.where(labels > 0, labels - 1, count - 1).astype(np.int32)


def load_palette(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read the colours that a printer can print: float32 (colours, 3).

    Args:
        path: A text file of one `red,green,blue` line a colour, in [0, 1], such as RP2's `npstriplets.txt` or
            `masks/palette.csv`. Lines that start with # are comments.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line does not hold three numbers in [0, 1], or there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Palette {path} is no file. Give a text file of red,green,blue lines.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip() and line[0] != "#"]
        palette = np.array([[float(value) for value in line.split(",")] for line in lines], np.float32)
    except ValueError as error:  # no text, not a number, or lines of different lengths
        raise ValueError(
            f"Palette {path} must hold three numbers a line, red,green,blue. Received: {printable(str(error), 200)}"
        ) from error
    if palette.ndim != 2 or palette.shape[1] != 3 or not (palette.min() >= 0 and palette.max() <= 1):
        raise ValueError(f"Palette {path} must hold red,green,blue lines in [0, 1]. Received: shape={palette.shape}")
    return palette


def draw_stickers(size: int = 32) -> NDArray[np.uint8]:
    """Draw five small stickers on the red around the word STOP of a sign that fills the frame: three above, two below.

    Like RP2's sticker mask they cover 30 of 1024 pixels, and are as small as its parts; the places are the project's
    own, `STICKERS`. The mask is uint8 (size, size), 0 or 255; `size` is at least 16.

    Example:
        >>> int((draw_stickers(64) > 0).sum())
        120
    """
    mask = _blank(size)
    for box in STICKERS:
        # Halves go up: rounded to even, a sticker of two pixels could vanish at half the size.
        left, top, right, bottom = (int(edge * size / 32 + 0.5) for edge in box)
        mask[top:bottom, left:right] = 255
    return mask


def draw_octagon(size: int = 32) -> NDArray[np.uint8]:
    """Draw the whole face of a stop sign that fills the frame: a regular octagon."""
    mask = _blank(size)
    centre = (size - 1) / 2
    angles = np.pi / 8 + np.arange(8) * np.pi / 4
    # The flat sides touch the frame: the circumscribed radius is half the side over cos(22.5 degrees).
    corners = centre + centre / np.cos(np.pi / 8) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 255)
    return mask


def process_ink_palette() -> NDArray[np.float32]:
    """Return colours of four-colour printing, float32 (30, 3): inks, overprints, and tints with paper and black.

    The solids are common sRGB values of the SWOP process inks on coated paper. A real printer differs: print a chart,
    photograph it, and write its colours to a file of your own for `load_palette`.
    """
    paper, black = np.array([255, 255, 255.0]), np.array([35, 31, 32.0])
    # Cyan, magenta, yellow; red, green, blue as overprints.
    solids = np.array([[0, 174, 239], [236, 0, 140], [255, 242, 0], [237, 28, 36], [0, 166, 81], [46, 49, 146.0]])
    greys = [paper + share * (black - paper) for share in np.linspace(0, 1, 6)]
    ends = [(paper, 0.0), (paper, 0.35), (paper, 0.7), (black, 0.5)]
    tints = [solid + share * (end - solid) for solid in solids for end, share in ends]
    return (np.array([*greys, *tints]) / 255).astype(np.float32)


def _blank(size: int) -> NDArray[np.uint8]:
    if size < 16:
        raise ValueError(f"`size` must be at least 16. Received: size={size}")
    return np.zeros((size, size), np.uint8)
