"""US traffic signs as data: outlines, bands of colour and marks, after the shapes of the MUTCD (FHWA).

The designs of the Manual on Uniform Traffic Control Devices are in the public domain. They are simplified here to what
is left of them at 32 x 32 pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.checks import check_integer
from blurnet_tf.data.drawing import Bands, Canvas, Colour, Disc, Mark, Plate, Points, Polygon, Smear, Stroke, Text
from blurnet_tf.signs import SIGN_NAMES

_BLACK: Colour = (22, 22, 24)
_WHITE: Colour = (246, 246, 244)
_RED: Colour = (190, 22, 38)
_YELLOW: Colour = (252, 198, 12)
_LIME: Colour = (204, 232, 26)
_GREEN: Colour = (0, 150, 84)

_DIAMOND: Points = ((50, 0.5), (99.5, 50), (50, 99.5), (0.5, 50))


def _rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def _octagon(centre: tuple[float, float], apothem: float) -> Points:
    x, y = centre
    a, b = apothem, apothem * 0.41421356  # half a side is the apothem times tan(22.5 degrees)
    corners = ((-a, -b), (-b, -a), (b, -a), (a, -b), (a, b), (b, a), (-b, a), (-a, b))
    return tuple((x + dx, y + dy) for dx, dy in corners)


def _arrow(shaft: Points, width: float, head: float, smooth: bool = True) -> tuple[Mark, ...]:
    """A line with a triangular head `head` wide beyond its last point, in the direction of its last segment."""
    end = np.asarray(shaft[-1], np.float64)
    along = end - np.asarray(shaft[-2])
    along /= np.linalg.norm(along)
    across = along[::-1] * (1, -1) * head / 2
    corners = (end + across, end + 0.8 * head * along, end - across)
    tip = Polygon(tuple((float(x), float(y)) for x, y in corners), _BLACK)
    return (Stroke(shaft, width, _BLACK, smooth, cap=0.5), tip)


def _walker(x: float, top: float, height: float) -> tuple[Mark, ...]:
    """A person walking to the left: `x` is the middle of the figure, `height` reaches from the head to the soles."""

    def at(*points: tuple[float, float]) -> Points:
        return tuple((x + px * height, top + py * height) for px, py in points)

    def limb(width: float, *points: tuple[float, float]) -> Stroke:
        return Stroke(at(*points), width * height, _BLACK, cap=0.02 * height)

    return (
        Disc(at((-0.08, 0.09))[0], 0.095 * height, _BLACK),
        Polygon(at((-0.14, 0.21), (0.06, 0.19), (0.13, 0.3), (0.13, 0.58), (-0.07, 0.58), (-0.08, 0.36)), _BLACK),
        limb(0.075, (-0.09, 0.25), (-0.17, 0.38), (-0.28, 0.48)),
        limb(0.075, (0.06, 0.24), (0.21, 0.36), (0.22, 0.5)),
        limb(0.11, (-0.01, 0.55), (-0.07, 0.74), (-0.17, 0.96), (-0.24, 0.96)),
        limb(0.11, (0.07, 0.55), (0.13, 0.74), (0.25, 0.95), (0.2, 0.98)),
    )


def _plate(outline: Points, corner: float, bands: Bands, *marks: Mark) -> tuple[Plate, ...]:
    return (Plate(outline=outline, corner=corner, bands=bands, marks=marks),)


def _warning(*marks: Mark) -> tuple[Plate, ...]:
    return _plate(_DIAMOND, 6, ((0, _YELLOW), (1.6, _BLACK), (3.2, _YELLOW)), *marks)


def _speed_limit(*number: Mark, left: float = 10, top: float = 0.5) -> tuple[Plate, ...]:
    """SPEED LIMIT over a number, on a white plate that reaches down to the bottom of the canvas."""
    right, height = 100 - left, 99.5 - top

    def rows(start: float, end: float) -> tuple[float, float, float, float]:
        return (left + 11, top + start * height, right - 11, top + end * height)

    speed, limit = rows(0.09, 0.235), rows(0.29, 0.435)
    line = 0.029 * height
    return _plate(
        _rectangle(left, top, right, 99.5),
        5,
        ((0, _WHITE), (1.4, _BLACK), (3.6, _WHITE)),
        Text("SPEED", speed, line, _BLACK),
        Text("LIMIT", (limit[0] + 5, limit[1], limit[2] - 5, limit[3]), line, _BLACK),
        *number,
    )


def _number(digits: str, box: tuple[float, float, float, float] = (20, 50, 80, 92)) -> Text:
    return Text(digits, box, 0.19 * (box[3] - box[1]), _BLACK)


SIGNS: dict[str, tuple[Plate, ...]] = {
    "addedLane": _warning(
        *_arrow(((34, 70), (34, 40)), 8, 19),
        *_arrow(((78, 64), (65, 56), (61, 50), (61, 40)), 8, 19),
        Stroke(((47.5, 84), (47.5, 52)), 2.8, _BLACK),
        Stroke(((51, 80), (66, 68)), 2.8, _BLACK),
        Stroke(((47.5, 44), (47.5, 36)), 2.8, _BLACK),
        Stroke(((47.5, 28), (47.5, 20)), 2.8, _BLACK),
    ),
    "keepRight": _plate(
        _rectangle(8, 0.5, 92, 99.5),
        5,
        ((0, _WHITE), (1.4, _BLACK), (3.4, _WHITE)),
        Polygon(((16, 14), (46, 14), (44, 34), (37, 50), (31, 54), (25, 50), (18, 34)), _BLACK),
        *_arrow(((43, 88), (43, 66), (67, 58), (67, 36)), 15, 33),
    ),
    "laneEnds": _warning(
        Stroke(((36, 73), (36, 27)), 7.5, _BLACK),
        Stroke(((66, 73), (66, 56), (56, 46), (56, 23)), 7.5, _BLACK, smooth=True),
        Stroke(((49, 82), (49, 72)), 3, _BLACK),
        Stroke(((49, 66), (49, 56)), 3, _BLACK),
    ),
    "merge": _warning(
        *_arrow(((47, 82), (47, 40)), 11, 28), Stroke(((69, 70), (63, 58), (47, 57), (47, 44)), 11, _BLACK, smooth=True)
    ),
    "pedestrianCrossing": _warning(*_walker(50, 17, 62)),
    "school": _plate(
        ((50, 0.5), (99.5, 46), (99.5, 99.5), (0.5, 99.5), (0.5, 46)),
        4,
        ((0, _LIME), (1.6, _BLACK), (3.2, _LIME)),
        *_walker(29, 43, 47),
        *_walker(62, 27, 64),
    ),
    "schoolSpeedLimit25": (
        *_speed_limit(_number("25", (26, 60, 74, 94)), left=15, top=21.5),
        *_plate(
            _rectangle(15, 0.5, 85, 20.5),
            3,
            ((0, _LIME), (1.2, _BLACK), (2.6, _LIME)),
            Text("SCHOOL", (21, 5.5, 79, 15.5), 2.4, _BLACK),
        ),
    ),
    "signalAhead": _warning(
        Polygon(_rectangle(38, 17, 62, 83), _BLACK),
        Disc((50, 28.5), 8.6, (214, 26, 36)),
        Disc((50, 50), 8.6, (255, 214, 40)),
        Disc((50, 71.5), 8.6, _GREEN),
    ),
    "speedLimit25": _speed_limit(_number("25")),
    "speedLimit30": _speed_limit(_number("30")),
    "speedLimit35": _speed_limit(_number("35")),
    "speedLimit45": _speed_limit(_number("45")),
    "speedLimitUrdbl": _speed_limit(_number("00", (24, 52, 76, 90)), Smear((14, 45, 86, 95), (10, 6))),
    "stop": _plate(
        _octagon((50, 50), 49.5), 1.5, ((0, _WHITE), (2.6, _RED)), Text("STOP", (11, 33, 89, 67), 5.6, _WHITE)
    ),
    "stopAhead": _warning(
        *_arrow(((50, 46), (50, 27)), 9, 24),
        Polygon(_octagon((50, 67), 19.5), _WHITE),
        Polygon(_octagon((50, 67), 17.2), _RED),
    ),
    "turnRight": _warning(*_arrow(((35, 77), (35, 44), (60, 44)), 11, 30, smooth=False)),
    "yield": _plate(
        ((-1.5, 4), (101.5, 4), (50, 97)),
        4.5,
        ((0, _WHITE), (1.2, _RED), (14, _WHITE)),
        Text("YIELD", (32, 21, 68, 32), 2.6, _RED),
    ),
}
"""The plates of each sign, in the order of drawing. Index 3 of the classes, "unused", has no sign."""


def draw_sign(name: str, size: int = 128) -> NDArray[np.uint8]:
    """Draw a traffic sign, seen squarely from the front.

    Args:
        name: One of the 17 names of `blurnet_tf.signs.CLASS_NAMES` that stand for a sign: all but "unused".
        size: Side of the square picture in pixels, at least 16.

    Returns:
        uint8 (size, size, 4): red, green, blue and cover (0 outside the sign, 255 inside), not premultiplied.

    Raises:
        ValueError: The name has no sign, or the size is too small.

    Example:
        >>> art = draw_sign("stop", size=64)
        >>> art.shape, art[0, 0, 3].item(), art[8, 32, :3].tolist()
        ((64, 64, 4), 0, [190, 22, 38])
    """
    if name not in SIGNS:
        raise ValueError(f"`name` must be one of {', '.join(SIGN_NAMES)}. Received: name={name!r}")
    check_integer("size", size, 16)
    canvas = Canvas(size)
    for plate in SIGNS[name]:
        canvas.plate(plate)
    return canvas.rgba()
