"""Families of sticker masks: the same stickers at any area, so that an attack can be tried on more and more pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.attacks.inputs import check_seed
from blurnet_tf.attacks.masks import draw_octagon
from blurnet_tf.checks import check_integer

SIDE = 32  # of the image that areas are counted on
BAR_WIDTH = 12  # as wide as the octagon is in its top row
MARGIN = 2  # how far the middle of a scattered sticker stays from the edge of the octagon
SETS = 64  # of places that `scattered` draws, to take the one that is spread best


def bars(area: int, size: tuple[int, int] = (SIDE, SIDE)) -> NDArray[np.float32]:
    """Return two horizontal bars, above and below the word of a stop sign that fills the frame: float32 (H, W, 1).

    They are centred on the lines between the rows 7 and 8 and the rows 23 and 24, and at most 12 pixels wide: 24 pixels
    are a row of each, 48, 96 and 144 two, four and six. Each bar has half of the area, the upper one an odd pixel more.
    It is filled from its middle row outwards, the inner side of the sign last, and each row from its centre outwards.
    So the masks are nested: one of a larger area holds all smaller ones.

    Args:
        area: Pixels of an image of 32x32, 2 to 384. Another size is covered to the same share.
        size: H, W.

    Raises:
        ValueError: The area is none of these, or less than a pixel a bar at this size.

    Example:
        >>> [int(bars(area).sum()) for area in (10, 30, 48, 144)]
        [10, 30, 48, 144]
        >>> np.flatnonzero(bars(48)[:, 16, 0]).tolist()
        [7, 8, 23, 24]
    """
    height, width = size
    across = round(BAR_WIDTH * width / SIDE)
    pixels = _scaled(area, size, least=2, most=BAR_WIDTH * SIDE, of="two bars of 12x16", room=height // 2 * across * 2)
    # Half a pixel beyond a row's own centre, so that of two rows equally far the outer one comes first.
    rows = np.argsort(np.abs(np.arange(height // 2) + 0.75 - height / 4), kind="stable")
    columns = np.argsort(np.abs(np.arange(width) + 0.75 - width / 2), kind="stable")[:across]
    order = (rows[:, None] * width + columns).ravel()
    mask = np.zeros((height, width, 1), np.float32)
    for share, upright in ((pixels - pixels // 2, mask), (pixels // 2, mask[::-1])):
        filled = np.zeros(height * width, np.float32)
        filled[order[:share]] = 1
        upright += filled.reshape(mask.shape)
    return mask


def scattered(
    area: int, size: tuple[int, int] = (SIDE, SIDE), *, stickers: int = 5, seed: int = 0
) -> NDArray[np.float32]:
    """Return small rectangles spread over the face of a stop sign that fills the frame: float32 (H, W, 1).

    Their middles are drawn on the octagon, `MARGIN` pixels away from its edge, 64 times; the set whose nearest two are
    farthest apart is taken. Then the stickers grow in turn, a pixel each, from one pixel to 2x1, 2x2, 3x2 and so on,
    around each other and inside the octagon, until the area is covered to the pixel. So the masks are nested: of one
    seed and number of stickers, one of a larger area holds all smaller ones.

    Args:
        area: Pixels of an image of 32x32, at least one a sticker, at most the octagon's 844. Another size is covered to
            the same share.
        size: H, W, at least 16 each.
        stickers: How many; they may come to touch at a large area.
        seed: Of the places.

    Raises:
        ValueError: The area or the number of stickers is none of these, or the image is too small.

    Example:
        >>> [int(scattered(area, stickers=3).sum()) for area in (10, 30, 144)]
        [10, 30, 144]
    """
    check_integer("stickers", stickers, 1)
    check_seed("seed", seed)
    most = int(np.count_nonzero(draw_octagon(SIDE)))
    inner = np.argwhere(cv2.erode(draw_octagon(SIDE), np.ones((2 * MARGIN + 1,) * 2, np.uint8)) > 0)
    if stickers > len(inner):
        raise ValueError(f"`stickers` must be at most {len(inner)}, the pixels for them. Received: stickers={stickers}")
    height, width = size
    if min(size) < SIDE // 2:
        raise ValueError(f"`size` must be at least 16 each. Received: size={size}")
    random = np.random.default_rng(seed % 2**32)
    sets = [inner[random.choice(len(inner), stickers, replace=False)] for _ in range(SETS)]
    places = max(sets, key=_nearest)
    octagon = cv2.resize(draw_octagon(max(size)), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    room = int(np.count_nonzero(octagon))
    pixels = _scaled(area, size, least=stickers, most=most, of="the octagon", room=room)
    middles = np.minimum((places + 0.5) * np.array(size) / SIDE, np.array(size) - 1).astype(int)
    growths = [iter(_growth(row, column, octagon)) for row, column in middles.tolist()]
    mask = np.zeros((height, width, 1), np.float32)
    flat, covered = mask.reshape(-1), 0
    while covered < pixels:
        for growth in growths:
            free = next((pixel for pixel in growth if not flat[pixel]), None)
            if free is not None and covered < pixels:
                flat[free] = 1
                covered += 1
    return mask


def _scaled(area: int, size: tuple[int, int], *, least: int, most: int, of: str, room: int) -> int:
    """Check an area of a 32x32 image and return the pixels that are the same share of an image of `size`.

    These are at most `room`, what all of it is at this size: rounding may make it a few pixels less.
    """
    check_integer("area", area, least)
    if area > most:
        raise ValueError(f"`area` must be at most {most}, all of {of}. Received: area={area}")
    pixels = min(round(area * size[0] * size[1] / SIDE**2), room)
    if pixels < least:
        raise ValueError(
            f"`area` must be at least {least} pixels of the image. Received: area={area} of 32x32, {pixels} of "
            f"{size[0]}x{size[1]}"
        )
    return pixels


def _nearest(places: NDArray[np.int64]) -> float:
    """Return the smallest distance between two places, infinite for one alone."""
    distances = np.linalg.norm(places[:, None] - places, axis=-1)
    return float(distances[~np.eye(len(places), dtype=bool)].min(initial=np.inf))


def _growth(row: int, column: int, inside: NDArray[np.bool_]) -> list[int]:
    """Return flat indices of the pixels inside in the order in which a rectangle grows over them from (row, column)."""
    # How many rows, or columns, a rectangle must have to reach that far: it grows to the right, left, right, ...
    down, across = (
        np.where(distance > 0, 2 * distance - 1, -2 * distance)
        for distance in (np.arange(inside.shape[0]) - row, np.arange(inside.shape[1]) - column)
    )
    # A column more, then a row more; along that side one pixel after the other.
    stage = np.maximum(2 * down[:, None], 2 * across - 1)
    along = np.minimum(2 * down[:, None], 2 * across - 1)
    order = np.lexsort((along.ravel(), stage.ravel()))
    return order[inside.ravel()[order]].tolist()
