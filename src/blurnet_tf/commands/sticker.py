"""A sticker as it is printed: colours instead of differences, at a physical size, with marks where to cut."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.data.folder import levels

MILLIMETRES = 25.4
"""To an inch."""

LEAST_MILLIMETRES, MOST_MILLIMETRES, MOST_PIXELS = 1, 5000, 10000
"""A shorter or longer side of a page than these is taken for a slip."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, right and bottom excluded."""


def page_size(shape: tuple[int, ...], width: float, dpi: float) -> tuple[tuple[float, float], tuple[int, int]]:
    """Return width and height of the page, in millimetres and in pixels.

    Args:
        shape: Height and width of the perturbation, which fix the proportions.
        width: Of the page, in millimetres.
        dpi: Pixels to an inch.

    Raises:
        ValueError: A side is shorter than 1 mm, longer than 5 m or 10000 pixels, or shorter than the perturbation in
            pixels.

    Example:
        >>> page_size((32, 32), 600, 150)
        ((600, 600.0), (3543, 3543))
    """
    height = width * shape[0] / shape[1]
    if not LEAST_MILLIMETRES <= min(width, height) <= max(width, height) <= MOST_MILLIMETRES:
        raise ValueError(
            f"A page must be from {LEAST_MILLIMETRES} to {MOST_MILLIMETRES} mm a side: change --width-mm. "
            f"Received: {width:g} x {height:g} mm (width x height)"
        )
    exact = width / MILLIMETRES * dpi, height / MILLIMETRES * dpi
    if max(exact) > MOST_PIXELS + 0.5:  # before it is rounded: it may be infinite
        raise ValueError(
            f"A page must have at most {MOST_PIXELS} pixels a side: lower --dpi. Received: {exact[0]:g} x {exact[1]:g}"
        )
    pixels = round(exact[0]), round(exact[1])
    if pixels[0] < shape[1] or pixels[1] < shape[0]:
        raise ValueError(
            f"A page must have a pixel for each of the perturbation, {shape[1]} x {shape[0]} (width x height). "
            f"Received: {pixels[0]} x {pixels[1]}"
        )
    return (width, height), pixels


def compose(
    surface: NDArray[np.float32], perturbation: NDArray[np.float32], mask: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return the colours of the sticker, clip(x + M.d), as RGBA levels that are transparent outside the mask.

    Args:
        surface: float32 (H, W, 3) in [0, 1], x, what the sticker is put on.
        perturbation: float32 (H, W, 3), d.
        mask: float32 (H, W, 1), M, 0 or 1.
    """
    inside = mask > 0
    colours = levels(surface + mask * perturbation)
    return np.concatenate([np.where(inside, colours, 255), np.where(inside, 255, 0)], axis=2).astype(np.uint8)


def enlarge(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Enlarge a picture to (width, height), each pixel to a rectangle of one colour.

    Not bilinearly: between two pixels of the sticker that would print colours that the attack did not choose, and at
    its rim it would mix them with the sign, and blur where to cut.
    """
    rows, columns = (np.arange(new) * old // new for new, old in zip(size[::-1], picture.shape[:2], strict=True))
    return picture[rows][:, columns]


def draw_cut_marks(page: NDArray[np.uint8], boxes: tuple[Box, ...], dpi: float) -> None:
    """Draw two black lines outwards from each corner of each box, in place: 5 mm long, 1 mm away from the box.

    Nothing is drawn on a sticker, and nothing beyond the page: a corner at its very edge has fewer lines.

    Args:
        page: uint8 (H, W, 4), opaque where a sticker is.
        boxes: In pixels of the page.
        dpi: Pixels to an inch.
    """
    gap, long, thick = (max(1, round(size / MILLIMETRES * dpi)) for size in (1, 5, 0.25))
    marks = np.zeros(page.shape[:2], bool)

    def line(x: int, y: int, width: int, height: int) -> None:
        marks[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = True

    for left, top, right, bottom in boxes:
        for y in (top, bottom - thick):
            line(left - gap - long, y, long, thick)
            line(right + gap, y, long, thick)
        for x in (left, right - thick):
            line(x, top - gap - long, thick, long)
            line(x, bottom + gap, thick, long)
    page[marks & (page[..., 3] == 0)] = (0, 0, 0, 255)


def flatten(page: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGBA as RGB on white; what is not opaque is wholly transparent."""
    return np.where(page[..., 3:] > 0, page[..., :3], 255).astype(np.uint8)
