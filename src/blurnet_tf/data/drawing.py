"""A small vector drawing kit: signs described as data, turned into pixels.

Coordinates are percent of the sign's square canvas, (0, 0) its upper left corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Colour = tuple[int, int, int]
Points = tuple[tuple[float, float], ...]
Bands = tuple[tuple[float, Colour], ...]

SUPERSAMPLING = 4  # signs are drawn this much larger and averaged down: smooth edges for fills and distance bands alike
_FRACTION_BITS = 6  # OpenCV takes points as integers with this many binary places


class Polygon(NamedTuple):
    points: Points
    colour: Colour


class Disc(NamedTuple):
    centre: tuple[float, float]
    radius: float
    colour: Colour


class Stroke(NamedTuple):
    """A line of constant width with flat ends. `smooth` turns its corners into curves; `cap` lengthens both ends."""

    points: Points
    width: float
    colour: Colour
    smooth: bool = False
    cap: float = 0.0


class Text(NamedTuple):
    """A word in the shapes of US road signs, fitted to the box (left, top, right, bottom)."""

    word: str
    box: tuple[float, float, float, float]
    width: float
    colour: Colour


class Smear(NamedTuple):
    """Blurs what was drawn before it within the box, by `amounts` (horizontal, vertical) standard deviations."""

    box: tuple[float, float, float, float]
    amounts: tuple[float, float]


Mark = Polygon | Disc | Stroke | Text | Smear


@dataclass(frozen=True, kw_only=True)
class Plate:
    """One metal plate of a sign."""

    outline: Points
    corner: float  # radius of its rounded corners
    bands: Bands  # (inset, colour): each colour fills what is further from the edge
    marks: tuple[Mark, ...]  # what stands on it, in the order of drawing


_ROUND = "~0.5,0 0.94,0 1,0.22 1,0.78 0.94,1 0.06,1 0,0.78 0,0.22 0.06,0 0.5,0"
GLYPHS: dict[str, tuple[float, str]] = {
    "C": (1.0, "~1,0.3 0.99,0 0.02,0 0,0.28 0,0.72 0.02,1 0.99,1 1,0.7"),
    "D": (1.0, "0,0 0,1 | ~0,0 0.9,0 1,0.3 1,0.7 0.9,1 0,1"),
    "E": (0.9, "0,0 0,1 | 0,0 1,0 | 0,0.5 0.85,0.5 | 0,1 1,1"),
    "H": (1.0, "0,0 0,1 | 1,0 1,1 | 0,0.5 1,0.5"),
    "I": (0.0, "0.5,0 0.5,1"),
    "L": (0.9, "0,0 0,1 | 0,1 1,1"),
    "M": (1.2, "0,0 0,1 | 1,0 1,1 | 0.02,0.05 0.5,0.7 0.98,0.05"),
    "O": (1.0, _ROUND),
    "P": (1.0, "0,0 0,1 | ~0,0 0.95,0 1,0.16 1,0.4 0.95,0.56 0,0.56"),
    "S": (1.0, "~1,0.25 0.97,0 0.05,0 0,0.12 0,0.42 0.2,0.47 0.8,0.53 1,0.6 1,0.88 0.95,1 0.03,1 0,0.75"),
    "T": (1.0, "0,0 1,0 | 0.5,0 0.5,1"),
    "Y": (1.1, "0.03,0.02 0.5,0.52 0.97,0.02 | 0.5,0.52 0.5,1"),
    "0": (1.0, _ROUND),
    "2": (1.0, "~0,0.28 0.02,0 0.95,0 1,0.14 1,0.4 0.6,0.62 0.1,0.86 0.02,1 | 0.02,1 1,1"),
    "3": (
        1.0,
        "~0,0.22 0.03,0 0.93,0 1,0.1 1,0.38 0.9,0.47 0.35,0.47 | "
        "~0.35,0.47 0.93,0.47 1,0.58 1,0.9 0.93,1 0.03,1 0,0.76",
    ),
    "4": (1.1, "0.72,0 0.72,1 | 0.6,0.15 0.13,0.6 | 0,0.7 1,0.7"),
    "5": (1.0, "0.08,0 0.95,0 | 0.08,0 0.02,0.48 | ~0.02,0.48 0.25,0.36 0.92,0.36 1,0.48 1,0.9 0.92,1 0.04,1 0,0.78"),
}
"""The letters as centre lines in a box of 1 x 1: relative width, and strokes of points "x,y"; "~" begins a curve."""


class Canvas:
    """An RGB picture and its coverage, at `SUPERSAMPLING` times the wanted size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.side = size * SUPERSAMPLING
        self.pixels = np.zeros((self.side, self.side, 3), np.uint8)
        self.cover = np.zeros((self.side, self.side), np.uint8)

    def plate(self, plate: Plate) -> None:
        depth = self._depth(plate.outline, plate.corner)
        for inset, colour in plate.bands:
            self.pixels[depth > inset] = colour
        self.cover[depth > 0] = 255
        for mark in plate.marks:
            self.mark(mark)

    def mark(self, mark: Mark) -> None:
        if isinstance(mark, Polygon):
            self._fill(mark.points, mark.colour)
        elif isinstance(mark, Disc):
            self._disc(mark.centre, mark.radius, mark.colour)
        elif isinstance(mark, Stroke):
            self._stroke(mark)
        elif isinstance(mark, Text):
            for stroke in _letters(mark):
                self._stroke(stroke)
        else:
            left, top, right, bottom = (round(value * self.side / 100) for value in mark.box)
            sigma_x, sigma_y = (value * self.side / 100 for value in mark.amounts)
            region = self.pixels[top:bottom, left:right]
            region[:] = cv2.GaussianBlur(region, (0, 0), sigma_x, sigmaY=sigma_y, borderType=cv2.BORDER_REPLICATE)

    def rgba(self) -> NDArray[np.uint8]:
        """Return the picture, uint8 (size, size, 4). Half covered pixels keep the plain colour of the sign's edge."""
        cover = cv2.resize(self.cover, (self.size, self.size), interpolation=cv2.INTER_AREA)
        weighted = self.pixels * (self.cover[..., None] > 0)
        weighted = cv2.resize(weighted, (self.size, self.size), interpolation=cv2.INTER_AREA).astype(np.float32)
        colour = np.clip(np.rint(weighted * 255 / np.maximum(cover, 1)[..., None]), 0, 255)
        return np.dstack([colour.astype(np.uint8), cover])

    def _depth(self, outline: Points, corner: float) -> NDArray[np.float32]:
        """Distance from the edge of the rounded plate, in percent; 0 outside."""
        mask = np.zeros((self.side, self.side), np.uint8)
        cv2.fillPoly(mask, [self._fixed(outline)], 255, cv2.LINE_8, _FRACTION_BITS)
        if corner > 0:  # opening by a disc: shrink by the radius, grow by the radius
            core = self._distance(mask) > corner
            mask = np.where(self._distance(~core) <= corner, 255, 0).astype(np.uint8)
        return self._distance(mask)

    def _distance(self, inside: NDArray[Any]) -> NDArray[np.float32]:
        pixels = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return pixels * np.float32(100 / self.side)

    def _fixed(self, points: ArrayLike) -> NDArray[np.int32]:
        # a point at percent p is the pixel edge p * side / 100; OpenCV counts from pixel centres, hence the half
        return np.rint((np.asarray(points) * self.side / 100 - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)

    def _fill(self, points: ArrayLike, colour: Colour) -> None:
        cv2.fillPoly(self.pixels, [self._fixed(points)], colour, cv2.LINE_AA, _FRACTION_BITS)

    def _disc(self, centre: ArrayLike, radius: float, colour: Colour) -> None:
        x, y = self._fixed(centre)
        scaled = round(radius * self.side / 100 * (1 << _FRACTION_BITS))
        cv2.circle(self.pixels, (int(x), int(y)), scaled, colour, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS)

    def _stroke(self, stroke: Stroke) -> None:
        # cv2.polylines rounds every end; signs have flat ones: one quadrilateral a segment, a disc at each inner joint
        points = _smoothed(stroke.points) if stroke.smooth else np.asarray(stroke.points, np.float64)
        steps = np.diff(points, axis=0)
        directions = steps / np.linalg.norm(steps, axis=1, keepdims=True)
        points[0] -= stroke.cap * directions[0]
        points[-1] += stroke.cap * directions[-1]
        sides = directions[:, ::-1] * (stroke.width / 2, -stroke.width / 2)
        for start, end, side in zip(points[:-1], points[1:], sides, strict=True):
            self._fill(np.array([start + side, end + side, end - side, start - side]), stroke.colour)
        for joint in points[1:-1]:
            if min(np.linalg.norm(joint - points[0]), np.linalg.norm(joint - points[-1])) >= stroke.width / 2:
                self._disc(joint, stroke.width / 2, stroke.colour)


def _smoothed(points: Points) -> NDArray[np.float64]:
    """Chaikin's corner cutting, four times: a smooth curve that keeps the ends of the line."""
    line = np.asarray(points, np.float64)
    for _ in range(4):
        start, end = line[:-1], line[1:]
        cut = np.stack([0.75 * start + 0.25 * end, 0.25 * start + 0.75 * end], axis=1).reshape(-1, 2)
        line = np.concatenate([line[:1], cut, line[-1:]])
    return line


def _letters(text: Text) -> list[Stroke]:
    """The strokes of a word, its letters scaled so that the word, width of line included, fills the box."""
    left, top, right, bottom = text.box
    gap = 0.75 * text.width
    shares = [GLYPHS[letter][0] for letter in text.word]
    # each letter takes one line width besides its share: an I is nothing but that line
    unit = (right - left - len(shares) * text.width - (len(shares) - 1) * gap) / sum(shares)
    strokes = []
    for letter, share in zip(text.word, shares, strict=True):
        origin = (left + text.width / 2, top + text.width / 2)
        scale = (share * unit, bottom - top - text.width)
        for line in GLYPHS[letter][1].split("|"):
            smooth = "~" in line
            pairs = (map(float, pair.split(",")) for pair in line.strip(" ~").split())
            points = tuple((origin[0] + x * scale[0], origin[1] + y * scale[1]) for x, y in pairs)
            cap = 0.0 if smooth else text.width / 2
            strokes.append(Stroke(points, text.width, text.colour, smooth, cap))
        left += share * unit + text.width + gap
    return strokes
