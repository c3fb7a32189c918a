"""What a perturbation is made of: pixels, low frequencies, or the colours of a palette."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.attacks.config import Part, register
from blurnet_tf.attacks.elementwise import clip
from blurnet_tf.attacks.masks import label_parts
from blurnet_tf.checks import check_integer, numbers_of


class Basis(Part):
    """The parameters of a perturbation: `decode(encode(d))` is the d nearest to the given one that they can express.

    Attributes:
        paints: Whether d is the colour that is printed. Otherwise it is added to the colours of the image.
    """

    paints: ClassVar[bool] = False

    def within(self, mask: NDArray[np.float32]) -> Basis:
        """Return the basis for a mask, float32 (H, W, 1); the same for all masks unless a subclass says otherwise."""
        return self

    def encode(self, d: Any) -> Any:
        """Return parameters (stickers, ...) of perturbations (stickers, H, W, 3)."""
        raise NotImplementedError

    def decode(self, z: Any, size: tuple[int, int]) -> Any:
        """Return perturbations (stickers, H, W, 3) with (H, W) = `size`, differentiably in the parameters."""
        raise NotImplementedError

    def project(self, z: Any) -> Any:
        """Return the nearest parameters that are allowed, after each step: all are unless a subclass says otherwise."""
        return z


@register
class Pixels(Basis):
    """Each pixel by itself: RP2."""

    def encode(self, d: Any) -> Any:
        return d

    def decode(self, z: Any, size: tuple[int, int]) -> Any:
        return z


@register
class Paint(Basis):
    """The colour of each pixel as it is printed, in [0, 1]: an opaque sticker, which looks the same on every image.

    What RP2 adds to an image has no gradient where the sum leaves [0, 1] and is clipped: all over a white start. Here
    each step ends in [0, 1], so that no pixel is lost. d is the printed colour, so take `norm=None`.
    """

    paints: ClassVar[bool] = True

    def encode(self, d: Any) -> Any:
        return clip(d, 0.0, 1.0)

    def decode(self, z: Any, size: tuple[int, int]) -> Any:
        return z

    def project(self, z: Any) -> Any:
        return clip(z, 0.0, 1.0)


@register
@dataclass(frozen=True)
class LowFrequency(Basis):
    """The lowest frequencies of an orthonormal DCT-II over the bounding box of the mask: a smooth sticker.

    Sharma et al., "On the Effectiveness of Low Frequency Perturbations", 2019: a filter removes them least.

    Attributes:
        frequencies: How many along each side of the box; a side of fewer pixels has as many as it has pixels.
        box: Left, top, right, bottom in pixels, right and bottom excluded. `None` is the bounding box of the mask.

    Example:
        >>> LowFrequency(4).within(mask)
        LowFrequency(frequencies=4, box=(9, 4, 23, 27))
        >>> LowFrequency(4).within(mask).encode(images[:2]).shape  # stickers, down, right, colours
        TensorShape([2, 4, 4, 3])
    """

    frequencies: int = 8
    box: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        check_integer("frequencies", self.frequencies, 1)
        if self.box is not None and not (
            len(self.box) == 4 and 0 <= self.box[0] < self.box[2] and 0 <= self.box[1] < self.box[3]
        ):
            raise ValueError(f"`box` must be None or left, top, right, bottom in pixels. Received: box={self.box!r}")

    def within(self, mask: NDArray[np.float32]) -> LowFrequency:
        if self.box is not None:
            return self
        rows, columns = (np.flatnonzero(np.any(mask[..., 0] > 0, axis=axis)) for axis in (1, 0))
        box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        return dataclasses.replace(self, box=box)

    def encode(self, d: Any) -> Any:
        d = tf.convert_to_tensor(d, tf.float32)
        left, top, right, bottom = self._box(tuple(d.shape[1:3]))
        rows, columns = self._waves(bottom - top), self._waves(right - left)
        return tf.einsum("fh,nhwc,gw->nfgc", rows, d[:, top:bottom, left:right], columns)

    def decode(self, z: Any, size: tuple[int, int]) -> Any:
        left, top, right, bottom = self._box(size)
        rows, columns = self._waves(bottom - top), self._waves(right - left)
        inside = tf.einsum("fh,nfgc,gw->nhwc", rows, z, columns)
        return tf.pad(inside, ((0, 0), (top, size[0] - bottom), (left, size[1] - right), (0, 0)))

    def _box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        box = (0, 0, size[1], size[0]) if self.box is None else self.box
        if box[2] > size[1] or box[3] > size[0]:
            raise ValueError(f"`box` must lie inside images of {size[0]}x{size[1]} pixels. Received: box={box}")
        return box

    def _waves(self, side: int) -> NDArray[np.float32]:
        frequency, place = np.ogrid[: min(self.frequencies, side), :side]
        waves = np.cos(np.pi / side * (place + 0.5) * frequency) * np.sqrt(2 / side)
        waves[0] /= np.sqrt(2)
        return waves.astype(np.float32)


@register
@dataclass(frozen=True)
class Palette(Basis):
    """Colours of a list alone, printed as they are: for example black and white stickers.

    A pixel has a score for each colour and is printed in the one of the highest, exactly, in every step. Its gradient
    is that of the mixture of colours by the softmax of the scores (Bengio et al., "Estimating or Propagating Gradients
    Through Stochastic Neurons", 2013: straight through). d is the printed colour, so take `norm=None`: a norm would
    ask for black.

    Attributes:
        colours: (colours, 3) in [0, 1], at least two. Stored as nested tuples.
        per: "pixel", each of its own colour, or "sticker": each connected part of the mask has one colour.
        labels: Which part of the mask each pixel belongs to, (H, W), counted from 0; filled in by `within`.

    Example:
        >>> attack = RP2(steps=5, norm=None, basis=Palette([(0, 0, 0), (1, 1, 1)], per="sticker"))
        >>> found = attack(model, images, targets=[12], mask=mask)
        >>> np.unique(found.apply(images)[:, :, mask[..., 0] > 0])
        array([0., 1.], dtype=float32)
    """

    paints: ClassVar[bool] = True
    colours: Any
    per: str = "pixel"
    labels: Any = None

    def __post_init__(self) -> None:
        if self.per not in ("pixel", "sticker"):
            raise ValueError(f"`per` must be one of 'pixel', 'sticker'. Received: per={self.per!r}")
        object.__setattr__(self, "colours", check_colours(self.colours))

    def within(self, mask: NDArray[np.float32]) -> Palette:
        if self.per == "pixel":
            return self
        return dataclasses.replace(self, labels=tuple(map(tuple, label_parts(mask).tolist())))

    def encode(self, d: Any) -> Any:
        distance = tf.reduce_sum(tf.square(d[..., None, :] - tf.constant(self.colours, tf.float32)), axis=-1)
        if self.labels is None:
            return -distance
        labels = np.asarray(self.labels)
        flat = tf.reshape(distance, [tf.shape(d)[0], -1, len(self.colours)])
        parts = [tf.reduce_mean(tf.gather(flat, part, axis=1), axis=1) for part in _parts(labels)]
        return -tf.stack(parts, axis=1)

    def decode(self, z: Any, size: tuple[int, int]) -> Any:
        printed = _printed(z, tf.constant(self.colours, tf.float32))
        return printed if self.labels is None else tf.gather(printed, np.asarray(self.labels), axis=1)


def check_colours(colours: Any) -> tuple[tuple[float, ...], ...]:
    """Return at least two colours, (colours, 3) in [0, 1], as nested tuples."""
    table = numbers_of("colours", colours)
    if table.ndim != 2 or len(table) < 2 or table.shape[1] != 3 or not (table.min() >= 0 and table.max() <= 1):
        raise ValueError(
            f"`colours` must be at least two, of shape (colours, 3), in [0, 1]. Received: shape={table.shape}"
        )
    return tuple(map(tuple, table.tolist()))


def _parts(labels: NDArray[np.int32]) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(labels.ravel() == part) for part in range(labels.max() + 1)]


@tf.custom_gradient
def _printed(scores: Any, colours: Any) -> Any:
    """Return the colour of the highest score, (..., colours) -> (..., 3), with the gradient of the softmax mixture."""
    printed = tf.gather(colours, tf.argmax(scores, axis=-1))
    mixture = tf.nn.softmax(scores)

    def gradient(upstream: Any) -> Any:
        pull = tf.einsum("...c,kc->...k", upstream, colours)
        return mixture * (pull - tf.reduce_sum(mixture * pull, axis=-1, keepdims=True)), None

    return printed, gradient
