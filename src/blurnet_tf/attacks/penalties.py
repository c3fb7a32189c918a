"""The terms that are added to the loss of RP2. All tensors are float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from blurnet_tf.attacks.config import Part, register
from blurnet_tf.attacks.inputs import check_number
from blurnet_tf.attacks.transforms import masked
from blurnet_tf.checks import numbers_of
from blurnet_tf.numerics import TINY, lp_norm, total_variation


class Scene(NamedTuple):
    """What a penalty sees."""

    perturbation: Any  # (stickers, H, W, 3), M.d
    adversarial: Any  # (stickers, n, H, W, 3), the attacked images
    masks: Any  # (masks, H, W, 1)
    d: Any  # (stickers, H, W, 3), before mask and clip
    clip: tuple[float, float] | None  # range of d
    maps: Mapping[str, Any]  # (stickers, n, h, w, channels) by layer: what the model computes of the attacked images


MOST_COLOURS = 128  # the distance of two colours is at most 1.73, and 1.73**128 is 3e30


@dataclass(frozen=True)
class Penalty(Part):
    """A term of the objective: `weight`, at least 0, times the call. `term` names it in the history, each name once."""

    term: ClassVar[str] = "penalty"
    weight: float = field(default=1.0, kw_only=True)

    @property
    def maps_of(self) -> str:
        """The layer of a Keras model whose maps the term looks at, or "" for none."""
        return ""

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
class MapsTotalVariation(Penalty):
    """Total variation (Eq. 4) of a layer's maps of the attacked images, the mean over images and channels, as in Eq. 5.

    For an attacker who knows that the defence makes these maps smooth, and makes those of the attacked images smooth
    too: the adaptive attack on the total-variation defence.

    Attributes:
        layer: The name of the layer, such as "conv1". The model must be a functional Keras model.
    """

    term: ClassVar[str] = "maps_tv"
    layer: str = "conv1"

    @property
    def maps_of(self) -> str:
        return self.layer

    def __call__(self, scene: Scene) -> Any:
        maps = scene.maps[self.layer]
        each = total_variation(tf.reshape(maps, [-1, *maps.shape[2:]]))
        return tf.reduce_mean(tf.reshape(each, [tf.shape(maps)[0], -1]), axis=1)


@register
@dataclass(frozen=True)
class NPS(Penalty):
    """Non-printability score of Sharif et al. 2016, as Eq. 2 has it, summed over the masks of the call.

    Attributes:
        palette: Printable colours (colours, 3) in [0, 1], at most 128, for example of `load_palette`; or as many such
            palettes as the call has masks. Stored as nested tuples.
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
        palettes = [numbers_of("palette", one) for one in (palette if several else [palette])]
        for one in palettes:
            if one.ndim != 2 or one.shape[1] != 3 or not one.size or not (one.min() >= 0 and one.max() <= 1):
                raise ValueError(f"`palette` must have the shape (colours, 3) and lie in [0, 1]. Received: {one.shape}")
            if len(one) > MOST_COLOURS:
                raise ValueError(
                    f"`palette` must hold at most {MOST_COLOURS} colours: the score is a product of the distances to "
                    f"all of them, which leaves float32. Received: {len(one)}"
                )
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
