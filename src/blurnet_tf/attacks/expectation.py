"""Expectation over transformations: a sticker that holds where the sign is seen otherwise, drawn anew in each step."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from blurnet_tf.attacks.config import Part, register
from blurnet_tf.attacks.elementwise import clip
from blurnet_tf.attacks.sampling import gaussian_blur, quadrilateral, warp
from blurnet_tf.checks import is_finite

LIMITS: dict[str, float] = {
    "brightness": 1.0,
    "contrast": 1.0,
    "shift": 1.0,
    "scale": 1.0,
    "rotation": 360.0,
    "perspective": 0.25,  # from here on three corners can stand on one line, and the picture folds
    "blur": math.inf,
    "noise": 1.0,
}
"""Each range of `Expectation` must lie in [0, limit)."""


@register
@dataclass(frozen=True, kw_only=True)
class Expectation(Part):
    """Random changes of light, place, angle and focus, drawn for each image.

    Athalye et al., "Synthesizing Robust Adversarial Examples", ICML 2018, arXiv:1707.07397, section 2.1. RP2 takes the
    mean over such changes too (Eykholt et al., CVPR 2018, section 3.1), its ImageNet program over brightness, crops and
    perspective.

    Each attribute but `noise` is the half-range of a uniform draw. One of 0 is left out and costs nothing. They act in
    the order of the light: contrast, brightness, geometry, blur, noise, then the clip to [0, 1]. All geometry is one
    homography and one bilinear sampling; outside the picture the pixels of its edge go on.

    Attributes:
        brightness: Added to all channels, 1.0 is the full range: a draw from [-brightness, brightness].
        contrast: A factor about mid-grey, 0.5: from [1 - contrast, 1 + contrast].
        shift: Sideways and up or down, each a share of the width or the height.
        scale: The sign is that many times as large: from [1 - scale, 1 + scale].
        rotation: Degrees about the centre of the picture.
        perspective: What moves each of the four corners, each way: a share of the width or the height, below 0.25.
        blur: Sigma of a Gaussian in pixels: from [0, blur].
        noise: Sigma of Gaussian noise, drawn for each pixel and channel, 1.0 is the full range.

    Raises:
        ValueError: An attribute is not finite, below 0 or too large: `rotation` below 360, `perspective` below 0.25,
            `blur` without a limit, the others below 1.

    Example:
        >>> seen = Expectation(brightness=0.1, rotation=10)(images, (0, 7))
        >>> seen.shape
        TensorShape([40, 32, 32, 3])
    """

    brightness: float = 0.0
    contrast: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    rotation: float = 0.0
    perspective: float = 0.0
    blur: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            value = getattr(self, name)
            if not (is_finite(value) and 0 <= float(value) < limit):
                raise ValueError(f"`{name}` must lie in [0, {limit:g}). Received: {name}={value!r}")
            object.__setattr__(self, name, float(value))  # 0 and 0.0 have the same digest

    @classmethod
    def physical(cls) -> Expectation:
        """Return ranges for photographs of a sign from other distances and angles, in other light and focus.

        They are ours: the paper names the kinds of change, not how large they are. (RP2's ImageNet program moves the
        corners by a Gaussian of a tenth of the side.) Under them RP2's released model still reads 95% of its 40 clean
        photographs right, so what a sticker changes is the sticker's doing.

        Example:
            >>> Expectation.physical().rotation
            8.0
        """
        light, place = {"brightness": 0.1, "contrast": 0.2, "blur": 0.7, "noise": 0.01}, {"shift": 0.04, "scale": 0.1}
        return cls(**light, **place, rotation=8.0, perspective=0.04)

    def __call__(self, images: Any, seed: Any) -> Any:
        """Return the images, each under a draw of its own, in the graph and differentiable: float32 of the same shape.

        Args:
            images: float32 (n, H, W, 3) in [0, 1]; or (runs, n, H, W, 3), whose runs all see the same n draws, so that
                none depends on how many stand beside it.
            seed: int32 (2,), a tensor or two integers. The same seed gives the same draws; the draws of one attribute
                do not depend on which others are 0.
        """
        images = tf.convert_to_tensor(images, tf.float32)
        if len(images.shape) == 4:
            return tf.ensure_shape(self._transform(images, seed), images.shape)
        # Runs become channels: what is drawn and where pixels come from is then worked out once for all of them.
        runs, n = tf.unstack(tf.shape(images)[:2])
        size = images.shape[2:4]
        flat = tf.reshape(tf.transpose(images, [1, 2, 3, 0, 4]), [n, *size, runs * 3])
        seen = tf.reshape(self._transform(flat, seed), [n, *size, runs, 3])
        return tf.ensure_shape(tf.transpose(seen, [3, 0, 1, 2, 4]), images.shape)

    def _transform(self, images: Any, seed: Any) -> Any:
        """Return float32 (n, H, W, 3 * runs), transformed."""
        n, (height, width) = tf.shape(images)[0], images.shape[1:3]
        names = [field.name for field in dataclasses.fields(Expectation)]
        seeds = dict(zip(names, tf.unstack(tf.random.split(seed, len(names))), strict=True))

        def draw(name: str, *shape: int) -> Any:
            half = getattr(self, name)
            return tf.random.stateless_uniform([n, *shape], seeds[name], -half, half)

        if self.contrast:
            images = 0.5 + (1 + draw("contrast", 1, 1, 1)) * (images - 0.5)
        if self.brightness:
            images += draw("brightness", 1, 1, 1)
        steps = list(self._geometry(draw, height, width))
        if steps:
            images = warp(images, functools.reduce(tf.matmul, steps))
        if self.blur:
            images = gaussian_blur(images, tf.abs(draw("blur")))
        if self.noise:
            noise = self.noise * tf.random.stateless_normal([n, height, width, 3], seeds["noise"])
            images += tf.tile(noise, [1, 1, 1, tf.shape(images)[3] // 3])
        return clip(images, 0.0, 1.0)

    def _geometry(self, draw: Any, height: int, width: int) -> Iterator[Any]:
        """Yield homographies (n, 3, 3) whose product maps a place of the output to one of the input (see `warp`).

        The picture is scaled, then turned, then moved, then seen in perspective. So, from the output to the input, the
        product undoes the last of these first: perspective stands on the right. There its depth is positive.
        """
        if self.scale:
            factor = 1 + draw("scale")
            yield _matrix([1 / factor, 0, 0], [0, 1 / factor, 0], [0, 0, 1])
        if self.rotation:
            angle = draw("rotation") * (math.pi / 180)
            yield _matrix([tf.cos(angle), tf.sin(angle), 0], [-tf.sin(angle), tf.cos(angle), 0], [0, 0, 1])
        if self.shift:
            x, y = tf.unstack(draw("shift", 2) * (width, height), axis=1)
            yield _matrix([1, 0, -x], [0, 1, -y], [0, 0, 1])
        if self.perspective:
            corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
            moved = quadrilateral(corners + draw("perspective", 4, 2))
            unit = np.array([[width, 0, -width / 2], [0, height, -height / 2], [0, 0, 1]], np.float32)
            yield unit @ moved @ np.linalg.inv(unit)


def _matrix(*rows: list[Any]) -> Any:
    """Return matrices (n, 3, 3) of entries that are (n,) or the same number for all."""
    entries = [entry for row in rows for entry in row]
    like = next(entry for entry in entries if tf.is_tensor(entry))
    full = [entry if tf.is_tensor(entry) else tf.fill(tf.shape(like), float(entry)) for entry in entries]
    return tf.reshape(tf.stack(full, axis=1), [-1, 3, 3])
