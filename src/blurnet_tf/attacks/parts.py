"""The parts of RP2: loss, basis, start, sharing and penalties, each a frozen dataclass. All tensors are float32."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.attacks.config import Part, register
from blurnet_tf.attacks.inputs import check_number
from blurnet_tf.attacks.transforms import masked
from blurnet_tf.checks import check_integer
from blurnet_tf.numerics import TINY, lp_norm, total_variation


class Loss(Part):
    """Base of the losses: differentiable, in TensorFlow."""

    def __call__(self, logits: Any, classes: Any) -> Any:
        """Return the loss of each sticker (stickers,), low where the model says `classes`, int32 (stickers, n).

        The logits are (stickers, n, outputs).
        """
        raise NotImplementedError

    def away(self, logits: Any, classes: Any) -> Any:
        """Return what an attack without targets minimises, low where the model says anything but `classes`."""
        return -self(logits, classes)


@register
class CrossEntropy(Loss):
    """The mean cross-entropy over the images: the loss of the paper and of RP2's published run."""

    def __call__(self, logits: Any, classes: Any) -> Any:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits), axis=1)


@register
class MeanSquaredError(Loss):
    """RP2's "mse": the Euclidean distance of all probabilities to the one-hot classes. Not a mean, and not squared.

    The original takes the root of the sum over images and classes, and its model ends in a softmax.
    """

    def __call__(self, logits: Any, classes: Any) -> Any:
        error = tf.nn.softmax(logits) - tf.one_hot(classes, logits.shape[-1])
        return tf.sqrt(tf.reduce_sum(tf.square(error), axis=(1, 2)) + TINY)


@register
@dataclass(frozen=True)
class Margin(Loss):
    """The margin of Carlini and Wagner, "Towards Evaluating the Robustness of Neural Networks", 2017: f_6, averaged.

    Attributes:
        confidence: Their kappa, at least 0: an image whose wanted class leads by this much in the logits pulls no more.

    Example:
        >>> logits = np.array([[[1.0, 3.0, 0.0], [5.0, 1.0, 0.0]]], "float32")
        >>> Margin(confidence=1.0)(logits, np.array([[0, 0]])).numpy()  # the mean of 3 - 1 and max(1 - 5, -1)
        array([0.5], dtype=float32)
    """

    confidence: float = 0.0

    def __post_init__(self) -> None:
        check_number("confidence", self.confidence)

    def __call__(self, logits: Any, classes: Any) -> Any:
        return self._mean(_behind(logits, classes))

    def away(self, logits: Any, classes: Any) -> Any:
        """Return the same with the sides changed: the class must lose by `confidence`."""
        return self._mean(-_behind(logits, classes))

    def _mean(self, margins: Any) -> Any:
        return tf.reduce_mean(tf.maximum(margins, -self.confidence), axis=1)


def _behind(logits: Any, classes: Any) -> Any:
    """Return the largest other logit minus that of the class, float32 (stickers, n)."""
    logits = tf.convert_to_tensor(logits)
    chosen = tf.one_hot(classes, logits.shape[-1], on_value=True, off_value=False)
    others = tf.reduce_max(tf.where(chosen, logits.dtype.min, logits), axis=-1)
    return others - tf.reduce_sum(tf.where(chosen, logits, 0.0), axis=-1)


class Basis(Part):
    """The parameters of a perturbation: `decode(encode(d))` is the d nearest to the given one that they can express."""

    def encode(self, d: Any) -> Any:
        """Return parameters (stickers, ...) of perturbations (stickers, H, W, 3)."""
        raise NotImplementedError

    def decode(self, z: Any, size: tuple[int, int]) -> Any:
        """Return perturbations (stickers, H, W, 3) with (H, W) = `size`, differentiably in the parameters."""
        raise NotImplementedError


@register
class Pixels(Basis):
    """Each pixel by itself: RP2."""

    def encode(self, d: Any) -> Any:
        return d

    def decode(self, z: Any, size: tuple[int, int]) -> Any:
        return z


@register
@dataclass(frozen=True)
class LowFrequency(Basis):
    """The lowest frequencies of an orthonormal DCT-II, the same for rows and columns: a smooth sticker.

    Attributes:
        frequencies: How many along each side, at most as many as it has pixels.
    """

    frequencies: int = 8

    def __post_init__(self) -> None:
        check_integer("frequencies", self.frequencies, 1)

    def encode(self, d: Any) -> Any:
        rows, columns = (self._waves(side) for side in d.shape[1:3])
        return tf.einsum("fh,nhwc,gw->nfgc", rows, d, columns)

    def decode(self, z: Any, size: tuple[int, int]) -> Any:
        return tf.einsum("fh,nfgc,gw->nhwc", self._waves(size[0]), z, self._waves(size[1]))

    def _waves(self, side: int) -> NDArray[np.float32]:
        if self.frequencies > side:
            raise ValueError(f"`frequencies` must be at most {side}, the side of the images. Received: {self}")
        frequency, place = np.ogrid[: self.frequencies, :side]
        waves = np.cos(np.pi / side * (place + 0.5) * frequency) * np.sqrt(2 / side)
        waves[0] /= np.sqrt(2)
        return waves.astype(np.float32)


class Start(Part):
    """Where a perturbation starts."""

    def __call__(self, shape: tuple[int, ...], seed: tuple[int, int]) -> Any:
        """Return a tensor of `shape`, (stickers, H, W, 3), the same for the same seed."""
        raise NotImplementedError


@register
class Uniform(Start):
    """``d ~ U(0, 1)``, drawn for each target, the same whichever targets stand beside it: RP2."""

    def __call__(self, shape: tuple[int, ...], seed: tuple[int, int]) -> Any:
        return tf.random.stateless_uniform(shape, seed=seed)


@register
@dataclass(frozen=True)
class Colour(Start):
    """One value of d everywhere, three numbers in [-1, 1]: (1, 1, 1) makes white of any image, (-1, -1, -1) black."""

    red: float
    green: float
    blue: float

    def __post_init__(self) -> None:
        for name in ("red", "green", "blue"):
            value = getattr(self, name)
            if not (isinstance(value, numbers.Real) and abs(float(value)) <= 1):
                raise ValueError(f"`{name}` must lie in [-1, 1]. Received: {name}={value!r}")
            object.__setattr__(self, name, float(value))

    def __call__(self, shape: tuple[int, ...], seed: tuple[int, int]) -> Any:
        return tf.broadcast_to(tf.constant((self.red, self.green, self.blue), tf.float32), shape)


class Sharing(Part):
    """Which images share a sticker: `n` images make equal groups, in their order, and each group has one."""

    def stickers(self, n: int) -> int:
        """Return the number of groups, which divides `n`."""
        raise NotImplementedError

    def spread(self, found: NDArray[Any], n: int) -> NDArray[Any]:
        """Return what was found for each sticker, (runs, stickers, ...), for each image: (runs, n, ...)."""
        return np.repeat(found, n // found.shape[1], axis=1)


@register
class Shared(Sharing):
    """One sticker for all images of the call: RP2. Results are (runs, H, W, 3)."""

    def stickers(self, n: int) -> int:
        return 1

    def spread(self, found: NDArray[Any], n: int) -> NDArray[Any]:
        return found[:, 0]


@register
class PerImage(Sharing):
    """A sticker for each image, attacked by itself. Results are (runs, n, H, W, 3)."""

    def stickers(self, n: int) -> int:
        return n


WORDS: dict[str, tuple[type[Part], dict[str, Part]]] = {
    "loss": (Loss, {"cross_entropy": CrossEntropy(), "mse": MeanSquaredError(), "margin": Margin()}),
    "basis": (Basis, {"pixels": Pixels(), "low_frequency": LowFrequency()}),
    "start": (Start, {"uniform": Uniform(), "white": Colour(1, 1, 1), "black": Colour(-1, -1, -1)}),
    "sharing": (Sharing, {"shared": Shared(), "per_image": PerImage()}),
}
"""By attribute of `RP2` the class of its parts, and the words that stand for some of them."""


def resolve(name: str, value: Any) -> Any:
    """Return the part that a word stands for, or a part as it is; raise ValueError for anything else."""
    base, words = WORDS[name]
    if isinstance(value, str) and value in words:
        return words[value]
    if isinstance(value, base):
        return value
    raise ValueError(
        f"`{name}` must be a {base.__name__} or one of {', '.join(map(repr, words))}. Received: {name}={value!r}"
    )


class Scene(NamedTuple):
    """What a penalty sees."""

    perturbation: Any  # (stickers, H, W, 3), M.d
    adversarial: Any  # (stickers, n, H, W, 3), the attacked images
    masks: Any  # (masks, H, W, 1)
    d: Any  # (stickers, H, W, 3), before mask and clip
    clip: tuple[float, float] | None  # range of d


@dataclass(frozen=True)
class Penalty(Part):
    """A term of the objective: `weight`, at least 0, times the call. `term` names it in the history, each name once."""

    term: ClassVar[str] = "penalty"
    weight: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        check_number("weight", self.weight)

    def __call__(self, scene: Scene) -> Any:
        """Return the term of each sticker without its weight: float32 (stickers,)."""
        raise NotImplementedError


@register
@dataclass(frozen=True)
class Norm(Penalty):
    """``||M.d||_p`` of Eq. 2, p 1 or 2. `RP2` makes it from its `norm` and `penalty`."""

    term: ClassVar[str] = "norm"
    p: int = 2

    def __call__(self, scene: Scene) -> Any:
        return lp_norm(scene.perturbation, self.p)


@register
@dataclass(frozen=True)
class TotalVariation(Penalty):
    """Total variation (Eq. 4) of M.d, summed over channels. Only RP2's ImageNet program has this term."""

    term: ClassVar[str] = "tv"

    def __call__(self, scene: Scene) -> Any:
        return tf.reduce_sum(total_variation(scene.perturbation), axis=1)


@register
@dataclass(frozen=True)
class NPS(Penalty):
    """Non-printability score of Sharif et al. 2016, as Eq. 2 has it, summed over the masks of the call.

    Attributes:
        palette: Printable colours (colours, 3) in [0, 1], for example of `load_palette`; or as many such palettes as
            the call has masks. Stored as nested tuples.
        mode: "corrected": the printed colour, inside the mask (`nps_corrected`). "original": as in RP2's code
            (`nps_original`), with the weight 1.

    Example:
        >>> attack = RP2(penalties=(NPS(load_palette(bundled("palette.csv"))),))
        >>> len(attack.penalties[0].palette[0])
        30
    """

    term: ClassVar[str] = "nps"
    palette: Any
    mode: str = "corrected"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in ("original", "corrected"):
            raise ValueError(f"`mode` must be one of 'original', 'corrected'. Received: mode={self.mode!r}")
        palette = self.palette
        several = isinstance(palette, (list, tuple)) and len(palette) > 0 and np.ndim(palette[0]) == 2
        palettes = [np.asarray(one, np.float32) for one in (palette if several else [palette])]
        for one in palettes:
            if one.ndim != 2 or one.shape[1] != 3 or not one.size or not (one.min() >= 0 and one.max() <= 1):
                raise ValueError(f"`palette` must have the shape (colours, 3) and lie in [0, 1]. Received: {one.shape}")
        object.__setattr__(self, "palette", tuple(tuple(map(tuple, one.tolist())) for one in palettes))

    def __call__(self, scene: Scene) -> Any:
        masks = scene.masks.shape[0]
        if len(self.palette) not in (1, masks):
            raise ValueError(
                f"`palette` must be one palette or one for each of {masks} masks. Received: {len(self.palette)}"
            )
        scores = []
        for index, mask in enumerate(tf.unstack(scene.masks)):
            palette = tf.constant(self.palette[index % len(self.palette)], tf.float32)
            if self.mode == "original":
                scores.append(nps_original(masked(scene.d, mask, scene.clip), palette))
            else:
                scores.append(nps_corrected(scene.adversarial, mask, palette))
        return tf.add_n(scores)


def nps_original(perturbation: Any, palette: Any) -> Any:
    """Return NPS as RP2's code has it: the sum over pixels of the product of the distances to the palette's colours.

    It scores the masked perturbation, (stickers, H, W, 3), instead of the colour that is printed, and every pixel
    outside the mask adds a constant, the product of the palette's norms. Left so, to reproduce the original.
    """
    return tf.reduce_sum(_distance_product(perturbation, palette), axis=(1, 2))


def nps_corrected(adversarial: Any, mask: Any, palette: Any) -> Any:
    """Return NPS of the printed colours, ``x + M.d`` (stickers, n, H, W, 3) inside the mask, averaged over images."""
    stickers, images = tf.shape(adversarial)[0], tf.shape(adversarial)[1]
    mask = tf.reshape(mask, [-1])
    inside = tf.where(mask > 0.0)[:, 0]  # a sticker covers few pixels: the palette is compared with those alone
    colours = tf.gather(tf.reshape(adversarial, [stickers, images, -1, 3]), inside, axis=2)
    scores = _distance_product(colours, palette) * tf.gather(mask, inside)
    return tf.reduce_mean(tf.reduce_sum(scores, axis=2), axis=1)


def _distance_product(colours: Any, palette: Any) -> Any:
    """Return the product over the palette of the Euclidean distances: (..., 3) -> (...)."""
    # One difference for each palette colour; `TINY` leaves the gradient at 0 where a colour is met exactly.
    squares = tf.reduce_sum(tf.square(colours[..., None, :] - palette), axis=-1)
    return tf.reduce_prod(tf.sqrt(squares + TINY), axis=-1)
