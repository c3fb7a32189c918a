"""How the images of a training step are changed before the model learns from them: one small class a procedure.

`plain` does nothing. The others put stickers or noise on the images, or have an attack of `blurnet_tf.attacks` do so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from blurnet_tf.attacks import RP2
from blurnet_tf.attacks.config import Part, register
from blurnet_tf.attacks.inner import check_inner, worsen
from blurnet_tf.attacks.inputs import check_number
from blurnet_tf.checks import check_integer
from blurnet_tf.training.augmentation import Augmentation
from blurnet_tf.training.rectangles import SIDE, Rectangles

Model = Callable[[Any], Any]
_AUGMENTATION = 1  # what is folded into the seed of a step, for draws of its own


def sign_steps(steps: int, length: float, *, sharing: str = "per_image") -> RP2:
    """Return the attack of a training: some steps along the sign of the gradient of the cross-entropy, in any colour.

    Example:
        >>> sign_steps(4, 0.25).optimizer
        'sign'
    """
    return RP2(steps=steps, learning_rate=length, optimizer="sign", basis="paint", norm=None, sharing=sharing)


@dataclass(frozen=True, kw_only=True)
class Procedure(Part):
    """Base of the procedures. A new one is a frozen dataclass with `@register`, and the method `change`.

    Attributes:
        clean: Whether the model learns from the unchanged images as well, in the same step and with the same weight.
        augmentation: `None`, or what happens to the images first: clean and changed ones are then those.
    """

    clean: bool = False
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.augmentation, Augmentation | None):
            raise ValueError(f"`augmentation` must be None or an Augmentation. Received: {self.augmentation!r}")

    def __call__(self, model: Model, images: Any, labels: Any, seed: Any) -> tuple[Any, Any]:
        """Return what the model is to learn from: images (m, H, W, 3) and labels (m,), in a graph.

        Args:
            model: The model in its present state, as it answers outside a training.
            images: float32 (n, H, W, 3) in [0, 1].
            labels: int32 (n,).
            seed: int32 (2,), the seed of the training and the number of the step.
        """
        if self.augmentation is not None:
            images = self.augmentation(images, tf.random.experimental.stateless_fold_in(seed, _AUGMENTATION))
        changed = tf.stop_gradient(self.change(model, images, labels, seed))
        if not self.clean:
            return changed, labels
        return tf.concat([images, changed], axis=0), tf.concat([labels, labels], axis=0)

    def change(self, model: Model, images: Any, labels: Any, seed: Any) -> Any:
        """Return the images as they are to be learned, float32 (n, H, W, 3): what a new procedure defines."""
        raise NotImplementedError


@register
@dataclass(frozen=True, kw_only=True)
class Plain(Procedure):
    """The images as they are: the paper's training."""

    def change(self, model: Model, images: Any, labels: Any, seed: Any) -> Any:
        return images


@register
@dataclass(frozen=True, kw_only=True)
class Stickers(Procedure):
    """Random stickers, in the manner of Cutout (DeVries and Taylor, arXiv:1708.04552) and random erasing.

    Attributes:
        rectangles: The stickers, drawn anew for each image.
        attack: `None`, or what leads each sticker from its random colours to worse ones: an `RP2` with
            ``basis="paint"`` and ``norm=None``.
        unattacked: In the first so many steps of a training the stickers stay as they are drawn: from attacked ones an
            untrained model learns hardly anything.
    """

    clean: bool = True
    rectangles: Rectangles = Rectangles()
    attack: RP2 | None = None
    unattacked: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("unattacked", self.unattacked, 0)
        if self.attack is not None:
            check_inner(self.attack)
            _check_sharing(self.attack, per_image=True)

    def change(self, model: Model, images: Any, labels: Any, seed: Any) -> Any:
        masks, paint = self.rectangles.draw(tf.shape(images)[0], _size(images), seed)
        if self.attack is None:
            return images + masks * (paint - images)
        steps = tf.where(seed[1] < self.unattacked, 0, self.attack.steps)
        return worsen(self.attack, model, images, labels, masks=masks, paint=paint, steps=steps, seed=seed[1])


@register
@dataclass(frozen=True, kw_only=True)
class Gaussian(Procedure):
    """Gaussian noise, not clipped: the base of randomized smoothing (Cohen et al., arXiv:1902.02918).

    Attributes:
        sigma: Its standard deviation; 1.0 is the full range.
    """

    sigma: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("sigma", self.sigma, positive=True)

    def change(self, model: Model, images: Any, labels: Any, seed: Any) -> Any:
        return images + tf.random.stateless_normal(tf.shape(images), seed, stddev=self.sigma)


@register
@dataclass(frozen=True, kw_only=True)
class Adversarial(Procedure):
    """Adversarial training with projected gradient descent in L-infinity (Madry et al., arXiv:1706.06083).

    Attributes:
        epsilon: How far each pixel may go.
        attack: Its steps, from a random point of the ball.
    """

    epsilon: float = 8 / 255
    attack: RP2 = sign_steps(7, 2 / 255)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("epsilon", self.epsilon, positive=True)
        check_inner(self.attack)
        _check_sharing(self.attack, per_image=True)

    def change(self, model: Model, images: Any, labels: Any, seed: Any) -> Any:
        start = images + tf.random.stateless_uniform(tf.shape(images), seed, -self.epsilon, self.epsilon)
        everywhere = tf.ones_like(images[..., :1])
        return worsen(
            self.attack, model, images, labels, masks=everywhere, paint=start, reach=self.epsilon, seed=seed[1]
        )  # fmt: skip


@register
@dataclass(frozen=True, kw_only=True)
class DOA(Procedure):
    """Defence against occlusion attacks (Wu, Tong and Vorobeychik, ICLR 2020, arXiv:1909.09552).

    A rectangle is put where it hurts each image most, first in grey; then an attack finds its colours.

    Attributes:
        height, width: Of the rectangle, in pixels of an image of 32x32.
        stride: The places that are tried are so many pixels apart, likewise.
        search: "gradient": grey is tried in the `candidates` places of the largest sum of squared input gradients, as
            in their Algorithm 2; "exhaustive": in all places, Algorithm 1.
        candidates: How many places that is.
        attack: What finds the colours, from random ones.
    """

    height: int = 10
    width: int = 5
    stride: int = 2
    search: str = "gradient"
    candidates: int = 5
    attack: RP2 = sign_steps(7, 0.25)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("height", "width", "stride", "candidates"):
            check_integer(name, getattr(self, name), 1)
        if max(self.height, self.width) > SIDE:
            raise ValueError(
                f"`height` and `width` must be at most {SIDE} pixels. Received: {self.height} and {self.width}"
            )
        if self.search not in ("gradient", "exhaustive"):
            raise ValueError(f"`search` must be one of 'gradient', 'exhaustive'. Received: search={self.search!r}")
        check_inner(self.attack)
        _check_sharing(self.attack, per_image=True)

    def change(self, model: Model, images: Any, labels: Any, seed: Any) -> Any:
        masks = self.place(model, images, labels)
        paint = tf.random.stateless_uniform(tf.shape(images), seed)
        return worsen(self.attack, model, images, labels, masks=masks, paint=paint, seed=seed[1])

    def place(self, model: Model, images: Any, labels: Any) -> Any:
        """Return where the rectangle of each image hurts most in grey: float32 (n, H, W, 1)."""
        size = _size(images)
        (height, width), (down, across) = (
            tuple(max(1, round(one * side / SIDE)) for one, side in zip(pair, size, strict=True))
            for pair in ((self.height, self.width), (self.stride, self.stride))
        )
        rows, columns = (size[0] - height) // down + 1, (size[1] - width) // across + 1
        n = tf.shape(images)[0]
        if self.search == "gradient":
            sensitivity = tf.reduce_sum(tf.square(_gradient(model, images, labels)), axis=-1, keepdims=True)
            sums = tf.nn.avg_pool2d(sensitivity, (height, width), (down, across), "VALID")
            tried = min(self.candidates, rows * columns)
            places = tf.transpose(tf.math.top_k(tf.reshape(sums, [n, rows * columns]), tried).indices)
        else:
            tried = rows * columns
            places = tf.broadcast_to(tf.range(tried)[:, None], [tried, n])

        def mask(place: Any) -> Any:
            first = (place // columns * down, place % columns * across)
            axes = [
                (tf.range(side) >= start[:, None]) & (tf.range(side) < start[:, None] + length)
                for side, start, length in zip(size, first, (height, width), strict=True)
            ]
            return tf.cast(axes[0][:, :, None] & axes[1][:, None, :], tf.float32)[..., None]

        def look(index: Any, worst: Any, chosen: Any) -> tuple[Any, Any, Any]:
            hidden = mask(places[index])
            loss = _losses(model, images + hidden * (0.5 - images), labels)
            worse = loss > worst
            return index + 1, tf.where(worse, loss, worst), tf.where(worse, places[index], chosen)

        start = (tf.constant(0), tf.fill([n], float("-inf")), places[0])
        return mask(tf.while_loop(lambda index, *_: index < tried, look, start)[2])


@register
@dataclass(frozen=True, kw_only=True)
class Universal(Procedure):
    """One set of stickers on all images of a batch, made worse for all of them together: RP2's own threat.

    Attributes:
        rectangles: Where they are, drawn anew for each batch.
        attack: What finds their colours, with ``sharing="shared"``.
    """

    clean: bool = True
    rectangles: Rectangles = Rectangles()
    attack: RP2 = sign_steps(10, 0.1, sharing="shared")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_inner(self.attack)
        _check_sharing(self.attack, per_image=False)

    def change(self, model: Model, images: Any, labels: Any, seed: Any) -> Any:
        masks, paint = self.rectangles.draw(1, _size(images), seed)
        return worsen(self.attack, model, images, labels, masks=masks, paint=paint, seed=seed[1])


def _check_sharing(attack: RP2, *, per_image: bool) -> None:
    if attack.per_image != per_image:
        wanted = "per_image" if per_image else "shared"
        raise ValueError(f"`attack` must have sharing={wanted!r}. Received: attack={attack!r}")


def _size(images: Any) -> tuple[int, int]:
    return images.shape[1], images.shape[2]


def _losses(model: Model, images: Any, labels: Any) -> Any:
    logits = tf.cast(model(images), tf.float32)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def _gradient(model: Model, images: Any, labels: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = tf.reduce_sum(_losses(model, images, labels))
    return tape.gradient(loss, images)


PROCEDURES: dict[str, Procedure] = {
    "plain": Plain(),
    "augmented": Plain(augmentation=Augmentation()),
    "stickers": Stickers(),
    "gaussian": Gaussian(),
    "adversarial": Adversarial(),
    "doa": DOA(),
    "universal": Universal(),
    "adversarial_stickers": Stickers(
        augmentation=Augmentation(),
        rectangles=Rectangles(count=(1, 3), short=(4, 16), long=(4, 24)),
        attack=sign_steps(4, 0.25),
        unattacked=80,  # two epochs of LISA
    ),
}
"""Every procedure by name, with the settings that the tables have."""


def find_procedure(procedure: str | Procedure) -> Procedure:
    """Return a procedure by its name, or one of your own unchanged; raise ValueError for another name."""
    if isinstance(procedure, Procedure):
        return procedure
    if not isinstance(procedure, str) or procedure not in PROCEDURES:
        known = ", ".join(PROCEDURES)
        raise ValueError(f"`procedure` must be one of {known}. Received: procedure={procedure!r}")
    return PROCEDURES[procedure]
