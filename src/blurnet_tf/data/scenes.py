"""A sign photographed at the roadside: pose, background, light and camera, from an explicit random generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.data.folder import levels

FRAME = 32  # side of a finished picture
_CANVAS = 64  # pictures are composed at twice the frame, then averaged down
_CAMERA_DISTANCE = 4.0  # from the sign, in half widths of it: what makes the far edge of a turned sign shorter

Image = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class View:
    """How one picture of a sign is taken. The defaults are a sharp, frontal picture in neutral light.

    Raises:
        ValueError: `resolution` or `fill` is outside its range.
    """

    yaw: float = 0.0  # turn about the upright axis, degrees; positive: the right edge is further away
    pitch: float = 0.0  # turn about the level axis, degrees
    roll: float = 0.0  # turn in the plane of the picture, degrees, clockwise
    fill: float = 0.96  # width or height of the sign, whichever is larger, as a share of the frame
    shift: tuple[float, float] = (0.0, 0.0)  # from the middle (right, down), as a share of the frame
    stretch: float = 1.0  # 0: the sign keeps its proportions; 1: stretched to a square, as datasets of crops do
    resolution: int = FRAME  # side in pixels of the crop before it was resized to the frame, 8 to 64: small is far away
    defocus: float = 0.0  # standard deviation of the blur, pixels of the frame
    motion: tuple[float, float] = (0.0, 0.0)  # motion blur: length in pixels of the frame, direction in degrees
    exposure: float = 1.0  # factor on the light that the sign reflects
    gamma: float = 1.0  # exponent of the tone curve; above 1 darkens the middle tones
    haze: float = 0.0  # share of flat bright grey mixed in, 0 to 1
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)  # factors on red, green and blue
    shadow: float = 0.0  # depth of a shadow that falls on part of the picture, 0 to 1
    gloss: float = 0.0  # strength of the reflection of the sky on the plate
    noise: float = 0.0  # standard deviation of the sensor noise
    grey: bool = False  # whether the camera is a grey-scale one

    def __post_init__(self) -> None:
        if not 8 <= self.resolution <= _CANVAS:
            raise ValueError(f"`resolution` must lie in 8..{_CANVAS}. Received: resolution={self.resolution}")
        if not 0 < self.fill <= 2:
            raise ValueError(f"`fill` must lie in (0, 2]. Received: fill={self.fill:g}")


def random_view(rng: np.random.Generator) -> View:
    """Draw the circumstances of one picture, as varied as a car's camera meets them but with the sign still legible."""
    warmth, tint = rng.normal(0, 0.09), rng.normal(0, 0.035)
    hazy, shaded, shaken = rng.random(3) < (0.3, 0.35, 0.3)
    return View(
        yaw=float(rng.uniform(-30, 30)),
        pitch=float(rng.uniform(-8, 8)),
        roll=float(np.clip(rng.normal(0, 3), -8, 8)),
        fill=float(rng.uniform(0.88, 1.04)),
        shift=(float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.03, 0.03))),
        stretch=float(rng.uniform(0.6, 1)),
        # small crops are the most frequent ones: a sign grows slowly until the car has reached it
        resolution=int(rng.triangular(18, 24, 56)),
        defocus=float(rng.uniform(0, 0.7)),
        motion=(float(rng.uniform(0.5, 2.2)) if shaken else 0.0, float(rng.uniform(0, 180))),
        exposure=float(rng.triangular(0.3, 0.85, 1.25)),
        gamma=float(rng.uniform(0.75, 1.35)),
        haze=float(rng.uniform(0.05, 0.4)) if hazy else 0.0,
        cast=(float(np.exp(warmth)), float(np.exp(tint)), float(np.exp(-warmth))),
        shadow=float(rng.uniform(0.2, 0.5)) if shaded else 0.0,
        gloss=float(rng.uniform(0, 0.2)),
        noise=float(rng.uniform(0.004, 0.03)),
        # about half of LISA's pictures come from grey-scale cameras
        grey=bool(rng.random() < 0.5),
    )


def photograph(sign: NDArray[np.uint8], view: View, rng: np.random.Generator) -> Image:
    """Take one picture of a sign in front of a random background.

    Args:
        sign: uint8 (size, size, 4), as `draw_sign` gives it.
        view: Pose, light and camera.
        rng: Source of the background, of the place of the shadow and the reflection, and of the noise.

    Returns:
        float32 (32, 32, 3), RGB in [0, 1], in steps of 1/255 as a camera stores them.

    Raises:
        ValueError: `sign` is not such a picture, or nothing of it is covered.

    Example:
        >>> from blurnet_tf.data.sign_art import draw_sign
        >>> photograph(draw_sign("stop"), View(yaw=20), np.random.default_rng(0)).shape
        (32, 32, 3)
    """
    if sign.dtype != np.uint8 or sign.ndim != 3 or sign.shape[-1] != 4 or not sign[..., 3].any():
        raise ValueError(
            "`sign` must be a uint8 picture of the shape (size, size, 4) with something to see. "
            f"Received: dtype={sign.dtype}, shape={sign.shape}"
        )
    plate, cover = project(sign, view)
    plate = plate * np.float32(view.exposure)
    if view.gloss > 0:
        plate += np.float32(view.gloss) * _ramp(rng) ** 2
    image = background(rng) * (1 - cover) + plate * cover
    if view.shadow > 0:
        image *= 1 - np.float32(view.shadow) * _shade(rng)
    image *= np.asarray(view.cast, np.float32)
    image = np.clip(image, 0, 1) ** np.float32(view.gamma)
    image = image * np.float32(1 - view.haze) + np.float32(0.72 * view.haze)
    return _expose(image, view, rng)


def background(rng: np.random.Generator) -> Image:
    """Draw sky, leaves, a wall, bare branches or a street, with the post of a sign: float32 (64, 64, 3) in [0, 1]."""
    kinds: tuple[Callable[[np.random.Generator], Image], ...] = (_sky, _leaves, _wall, _branches, _street)
    image = kinds[rng.choice(len(kinds), p=(0.12, 0.28, 0.15, 0.15, 0.3))](rng)
    image *= np.float32(rng.uniform(0.55, 1.15))
    steel = np.float32(rng.uniform(0.2, 0.65))
    middle, half = _CANVAS // 2 + int(rng.integers(-2, 3)), int(rng.integers(1, 3))
    image[_CANVAS // 2 :, middle - half : middle + half] = steel
    return np.clip(image, 0, 1)


def project(sign: NDArray[np.uint8], view: View) -> tuple[Image, Image]:
    """Return the sign in perspective: its colours, float32 (64, 64, 3) in [0, 1], and its cover, (64, 64, 1)."""
    left, top, width, height = cv2.boundingRect(sign[..., 3])
    flat = np.array([(left, top), (left + width, top), (left + width, top + height), (left, top + height)], np.float32)
    larger = max(width, height)
    x = np.array([-1, 1, 1, -1]) * width / larger
    y = np.array([-1, -1, 1, 1]) * height / larger
    yaw, pitch, roll = np.radians((view.yaw, view.pitch, view.roll))
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    x, z = x * np.cos(yaw), x * np.sin(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    depth = 1 + z / _CAMERA_DISTANCE
    seen = np.stack([x / depth, y / depth], axis=1)
    extent = np.ptp(seen, axis=0)
    seen -= seen.min(axis=0) + extent / 2
    # stretch interpolates, on a logarithmic scale, between one common factor and one factor for each axis
    seen *= view.fill / (extent**view.stretch * extent.max() ** (1 - view.stretch))
    corners = ((seen + 0.5 + np.asarray(view.shift)) * _CANVAS).astype(np.float32)
    # corners are edges of pixels, warpPerspective counts from their centres
    matrix = cv2.getPerspectiveTransform(flat - np.float32(0.5), corners - np.float32(0.5))
    warped = cv2.warpPerspective(sign, matrix, (_CANVAS, _CANVAS))  # bilinear, nothing beyond the sign
    picture = warped.astype(np.float32) / 255
    return picture[..., :3], picture[..., 3:]


def _expose(image: Image, view: View, rng: np.random.Generator) -> Image:
    """Lens, sensor and resizing: a picture on the canvas becomes one of the frame's size."""
    per_pixel = _CANVAS / FRAME
    length, direction = view.motion
    if length > 0:
        kernel = np.zeros((15, 15), np.float32)
        reach = np.array([np.cos(np.radians(direction)), np.sin(np.radians(direction))]) * length * per_pixel / 2
        ends = [tuple(np.rint((7 + way * reach) * 256).astype(int).tolist()) for way in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 8)
        image = cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    if view.defocus > 0:
        image = cv2.GaussianBlur(image, (0, 0), view.defocus * per_pixel)
    side = view.resolution
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    if view.noise > 0:
        image = image + np.float32(view.noise) * rng.standard_normal(image.shape, dtype=np.float32)
    if view.grey:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if side != FRAME:
        kind = cv2.INTER_AREA if side > FRAME else cv2.INTER_CUBIC
        image = cv2.resize(image, (FRAME, FRAME), interpolation=kind)
    return levels(image).astype(np.float32) / np.float32(255)


def _texture(rng: np.random.Generator, octaves: tuple[int, ...], channels: int = 1) -> Image:
    """Smooth noise in about [-1, 1], the sum of random grids of the given numbers of cells, finer ones weaker."""
    total = np.zeros((_CANVAS, _CANVAS, channels), np.float32)
    for rank, cells in enumerate(octaves):
        grid = rng.random((cells, cells, channels), dtype=np.float32) * 2 - 1
        fine = cv2.resize(grid, (_CANVAS, _CANVAS), interpolation=cv2.INTER_CUBIC)
        total += fine.reshape(total.shape) * np.float32(0.75**rank)
    return total


def _ramp(rng: np.random.Generator) -> Image:
    """A straight gradient from 0 to 1 across the canvas, in any direction. (64, 64, 1)."""
    axis = np.linspace(-0.5, 0.5, _CANVAS, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = axis * np.float32(np.cos(angle)) + axis[:, None] * np.float32(np.sin(angle))
    return np.clip(ramp + np.float32(0.5), 0, 1)[..., None]


def _shade(rng: np.random.Generator) -> Image:
    """Where a shadow falls, 0 to 1: the soft edge of a building, or the blotches of a tree. (64, 64, 1)."""
    field = _ramp(rng) - 0.5 if rng.random() < 0.5 else 0.25 * _texture(rng, (5, 10))
    return 1 / (1 + np.exp(np.float32(-rng.uniform(10, 40)) * (field + np.float32(rng.uniform(-0.1, 0.1)))))


def _pick(rng: np.random.Generator, *colours: tuple[float, float, float]) -> Image:
    """One of the colours, a little varied."""
    return (np.asarray(colours[rng.integers(len(colours))]) * rng.uniform(0.85, 1.15, 3)).astype(np.float32)


def _sky(rng: np.random.Generator) -> Image:
    high = _pick(rng, (0.3, 0.52, 0.85), (0.55, 0.68, 0.85), (0.75, 0.77, 0.8), (0.92, 0.94, 0.97), (0.75, 0.6, 0.5))
    low = high * 0.5 + np.float32(0.45)
    height = np.linspace(0, 1, _CANVAS, dtype=np.float32)[:, None, None]
    clouds = np.clip(_texture(rng, (3, 6, 12)), 0, 1) * np.float32(rng.uniform(0, 0.3))
    return high * (1 - height) + low * height + clouds


def _leaves(rng: np.random.Generator) -> Image:
    colour = _pick(rng, (0.2, 0.31, 0.11), (0.3, 0.4, 0.2), (0.12, 0.17, 0.09), (0.42, 0.33, 0.2), (0.5, 0.5, 0.42))
    light = 1 + np.float32(rng.uniform(0.3, 0.7)) * _texture(rng, (4, 9, 18, 36))
    holes = np.clip(_texture(rng, (6, 14)) - np.float32(rng.uniform(0.4, 1.4)), 0, 0.25) * 3  # sky through the leaves
    return colour * np.clip(light, 0.1, 3) * (1 - holes) + np.float32(0.85) * holes


def _wall(rng: np.random.Generator) -> Image:
    colour = _pick(rng, (0.56, 0.33, 0.27), (0.75, 0.7, 0.6), (0.55, 0.55, 0.56), (0.8, 0.8, 0.78), (0.35, 0.4, 0.45))
    image = colour * (1 + np.float32(0.08) * _texture(rng, (8, 32)))
    row, column = rng.integers(6, 20, size=2)
    joint = np.float32(rng.uniform(0.7, 1.2))
    image[rng.integers(row) :: row] *= joint
    image[:, rng.integers(column) :: column] *= joint
    for _ in range(rng.integers(3)):  # windows and doors
        y, x, tall, wide = rng.integers((0, 0, 10, 8), (50, 56, 34, 26))
        image[y : y + tall, x : x + wide] = _pick(rng, (0.12, 0.14, 0.18), (0.45, 0.55, 0.65), (0.85, 0.85, 0.8))
    return image


def _branches(rng: np.random.Generator) -> Image:
    image = _sky(rng)
    bark = tuple(float(value) for value in _pick(rng, (0.18, 0.15, 0.13), (0.35, 0.3, 0.27)))
    starts = rng.integers(-10, _CANVAS + 10, size=(rng.integers(4, 14), 2))
    for x, y in starts.tolist():
        dx, dy = rng.integers(-45, 46, size=2).tolist()
        cv2.line(image, (x, y), (x + dx, y + dy), bark, int(rng.integers(1, 4)), cv2.LINE_8)
    return image


def _street(rng: np.random.Generator) -> Image:
    image = _sky(rng)
    horizon = int(rng.integers(24, 58))
    skyline = horizon - rng.integers(4, 26)
    middle = _leaves(rng) if rng.random() < 0.6 else _wall(rng)
    edge = np.full(_CANVAS, skyline)
    if rng.random() < 0.5:  # the tops of trees or roofs are not level
        edge += np.repeat(rng.integers(-6, 7, size=8), _CANVAS // 8)
    rows = np.arange(_CANVAS)[:, None]
    image = np.where((rows >= edge)[..., None], middle, image)
    ground = _pick(rng, (0.36, 0.36, 0.38), (0.5, 0.49, 0.47), (0.3, 0.38, 0.18), (0.55, 0.5, 0.36))
    ground = ground * (1 + np.float32(0.1) * _texture(rng, (6, 24)))
    return np.where((rows >= horizon)[..., None], ground, image).astype(np.float32)
