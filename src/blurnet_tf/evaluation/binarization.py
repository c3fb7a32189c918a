"""The binarization test: does an attack find an adversarial example that is known to exist?

Zimmermann, Brendel, Tramer and Carlini, "Increasing Confidence in Adversarial Robustness Evaluations", NeurIPS 2022,
arXiv:2206.13991, with stickers in a mask instead of a ball, and a discriminator in closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.attacks.batches import batch_of, batches
from blurnet_tf.attacks.contract import Attack
from blurnet_tf.attacks.inputs import Model, check_masks, check_seed
from blurnet_tf.checks import check_images, check_integer
from blurnet_tf.evaluation.flags import Flag
from blurnet_tf.evaluation.probe import gradients

PASS = 0.95
"""The share of images on which an attack must succeed: the paper's."""

CLOSENESS = 0.999
"""Where the threshold stands between the other samples, 0, and the known adversarial example, 1: the authors'."""

INNER = (0.05, 0.95)
"""Colours of inner samples: the authors leave 5% of the range to those on its boundary."""

GAP = 0.02
"""How far the adversarial example must lie from the next sample, as a share of the distance to the last one."""

RIDGE = 1e-3
"""Share of the largest variance of the features that is added to all, so that no direction is rounding alone."""


@dataclass(frozen=True)
class BinarizationResult:
    """What came out of `binarization_test`.

    Attributes:
        attack: Name of the attack.
        n: Images with an adversarial example that is known; the rates are over these.
        skipped: Images without: what the model says of them does not change with the sticker, or is NaN.
        attack_success: Share of the images on which the attack finds one.
        random_success: Share on which one of `samples` random stickers is one. The test says little where it is high.
        samples: How many stickers were drawn for each image, twice: to make the classifiers, and for `random_success`.
    """

    attack: str
    n: int
    skipped: int
    attack_success: float
    random_success: float
    samples: int

    def flag(self) -> Flag | None:
        """Return "attack_fails_binarization" if the attack succeeds on fewer than 95% of the images, or there are none.

        Example:
            >>> BinarizationResult("RP2", 40, 0, 0.975, 0.1, 100).flag() is None
            True
        """
        if self.n == 0:
            sentence = f"For none of {self.skipped} images a sticker changes what the model says, so {self.attack} "
            return Flag("attack_fails_binarization", sentence + "has nothing to find.")
        if self.attack_success >= PASS:
            return None
        return Flag(
            "attack_fails_binarization",
            f"{self.attack} finds an adversarial example that is known to exist on {self.attack_success:.1%} of "
            f"{self.n} images, {self.samples} random stickers on {self.random_success:.1%}.",
        )


def binarization_test(
    model: Model,
    images: ArrayLike,
    mask: ArrayLike,
    attack: Attack,
    *,
    features: Callable[[Any], Any] | None = None,
    seed: int = 0,
    samples: int = 100,
) -> BinarizationResult:
    """Test an attack on a classifier made of a model, for which an adversarial example exists by construction.

    For each image, `samples` opaque stickers are drawn: inner ones, and ones of saturated colours, which lie at the
    edge of what a sticker can be. One of the latter becomes the known adversarial example, and a linear classifier on
    the features of the model divides it from all others and from the clean image. The attack then gets these
    classifiers, all images at once, with logits as far apart as those of the model, and moves away from "clean".

    Args:
        model: Maps images to logits (n, classes).
        images: float32 (n, H, W, 3) in [0, 1].
        mask: float32 (H, W, 1) of 0 and 1, where stickers are; or (masks, H, W, 1), whose union counts.
        attack: One with a sticker for each image that may have any colour, such as
            ``RP2(sharing="per_image", basis="paint", norm=None, loss="margin")``. It must show the model all images
            in their order, once or several times over, as RP2, Square Attack and PGD do.
        features: Maps images to features (n, ...), differentiably; `None` takes the logits. The paper takes what the
            last layer sees: ``keras.Model(model.input, model.layers[-1].input)``.
        seed: Seed of the stickers.
        samples: Stickers for each image, at least 10. More make the test harder.

    Raises:
        ValueError: An argument is not as listed, or the attack finds one sticker for all images.

    Example:
        >>> attack = RP2(steps=20, sharing="per_image", basis="paint", norm=None, loss="margin")
        >>> binarization_test(model, images[:2], mask, attack, samples=20).n
        2
    """
    images = check_images(images)
    union = check_masks(mask, images.shape[1:3]).max(axis=0)
    check_integer("samples", samples, 10)
    check_seed("seed", seed)
    if not attack.per_image:
        raise ValueError(f"`attack` must find a sticker for each image. Received: {attack!r}")
    read = model if features is None else features
    most = batch_of(images.shape[1:3])
    cases = hits = lucky = 0
    for start in range(0, len(images), most):  # not more at once, or an attack might divide them otherwise
        some = range(start, min(start + most, len(images)))
        built = [_build(model, read, images[index], union, (seed % 2**32, index), samples) for index in some]
        kept = _holding(read, [case for case in built if case is not None])
        cases += len(kept)
        lucky += sum(case.lucky for case in kept)
        hits += _hits(read, kept, union, attack) if kept else 0
    return BinarizationResult(
        attack=attack.name,
        n=cases,
        skipped=len(images) - cases,
        attack_success=hits / max(cases, 1),
        random_success=lucky / max(cases, 1),
        samples=samples,
    )


class _Case(NamedTuple):
    """A linear classifier, ``(features - centre) . weight - threshold > 0``, and what is known of it."""

    clean: NDArray[np.float32]
    known: NDArray[np.float32]  # the adversarial example, (H, W, 3)
    centre: NDArray[np.float32]
    weight: NDArray[np.float32]
    threshold: float
    lucky: bool  # whether random sampling finds an adversarial example


def _build(
    model: Model,
    read: Callable[[Any], Any],
    image: NDArray[np.float32],
    mask: NDArray[np.float32],
    seed: tuple[int, int],
    samples: int,
) -> _Case | None:
    random = np.random.default_rng(seed)
    half = samples // 2
    inner, edge = _stickers(random, half, mask, INNER), _stickers(random, samples - half, mask, None)
    stickers = np.where(mask > 0, np.concatenate([inner, edge]), image)
    points = _ask(read, np.concatenate([image[None], stickers]))
    if not np.isfinite(points).all():
        return None
    centre = points.mean(axis=0)
    u, size, axes = np.linalg.svd(points - centre, full_matrices=False)
    if not size[0] > 1e-6 * np.abs(points).max():  # nothing but rounding
        return None
    # Whitened, a point that is as long as any other lies farther along its own direction than all others.
    stretch = np.sqrt(np.square(size) + RIDGE * np.square(size[0]))
    white = u * (size / stretch)
    scores = white[1 + half :] @ white.T
    rows = np.arange(len(edge))
    own, least = scores[rows, 1 + half + rows], scores.min(axis=1)
    scores[rows, 1 + half + rows] = -np.inf
    seconds = scores.max(axis=1)
    gaps = (own - seconds) / (own - least)
    apart = np.flatnonzero(gaps >= GAP)
    if not len(apart):
        return None
    # Of middling distance: the farthest asks more of an attack than a random one, as in the paper, would.
    chosen = apart[gaps[apart].argsort()[len(apart) // 2]]
    score, second = own[chosen], seconds[chosen]
    weight = (white[1 + half + chosen] / stretch) @ axes
    # As far apart as the logits of the model: a loss that is saturated there is saturated here.
    scale = np.ptp(points if read is model else _ask(model, stickers)) / (score - least[chosen])
    weight, threshold = scale * weight, scale * (CLOSENESS * score + (1 - CLOSENESS) * second)
    tries = [_stickers(random, half, mask, (0.0, 1.0)), _stickers(random, samples - half, mask, None)]
    found = _ask(read, np.where(mask > 0, np.concatenate(tries), image))
    return _Case(
        clean=image,
        known=stickers[half + chosen],
        centre=centre.astype(np.float32),
        weight=weight.astype(np.float32),
        threshold=float(threshold),
        lucky=bool(((found - centre) @ weight > threshold).any()),
    )


def _stickers(
    random: np.random.Generator, count: int, mask: NDArray[np.float32], colours: tuple[float, float] | None
) -> NDArray[np.float32]:
    """Draw stickers (count, H, W, 3) of square cells: from a pixel to the whole image, each of a random colour.

    Colours are uniform in a range, or `None` for the eight saturated ones.
    """
    height, width = mask.shape[:2]
    sides = 2 ** random.integers(0, int(np.log2(max(height, width))) + 2, count)
    stickers = np.empty((count, height, width, 3), np.float32)
    for sticker, side in zip(stickers, sides, strict=True):
        shape = (-(-height // side), -(-width // side), 3)
        cells = random.integers(0, 2, shape) if colours is None else random.uniform(*colours, shape)
        sticker[:] = cells.repeat(side, axis=0)[:height].repeat(side, axis=1)[:, :width]
    return stickers


def _ask(read: Callable[[Any], Any], images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the features of images, float64 (n, features), asked in batches."""
    parts = [np.asarray(read(tf.constant(images[part])), np.float64) for part in batches(images)]
    return np.concatenate([part.reshape(len(part), -1) for part in parts])


def _binary(read: Callable[[Any], Any], cases: Sequence[_Case]) -> Model:
    """Return a model of two classes, clean and adversarial, which knows an image by its place in the batch."""
    centres, weights = (tf.constant(np.stack([getattr(case, name) for case in cases])) for name in ("centre", "weight"))
    thresholds = tf.constant([case.threshold for case in cases], tf.float32)

    def model(images: Any) -> Any:
        count = tf.shape(images)[0]
        place = tf.range(count) % len(cases)  # restarts show all images again, one copy after the other
        features = tf.cast(tf.reshape(read(images), [count, -1]), tf.float32)
        score = tf.reduce_sum((features - tf.gather(centres, place)) * tf.gather(weights, place), axis=1)
        half = (score - tf.gather(thresholds, place)) / 2
        return tf.stack([-half, half], axis=1)

    return model


def _holding(read: Callable[[Any], Any], cases: Sequence[_Case]) -> list[_Case]:
    """Return the cases whose clean image is clean and whose adversarial example is one, also in float32."""
    if not cases:
        return []
    model = _binary(read, cases)
    clean, known = (_broken(model, np.stack([getattr(case, name) for case in cases])) for name in ("clean", "known"))
    return [case for case, *holds in zip(cases, ~clean, known, strict=True) if all(holds)]


def _broken(model: Model, images: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(model(tf.constant(images))).argmax(axis=1) == 1


def _hits(read: Callable[[Any], Any], cases: Sequence[_Case], mask: NDArray[np.float32], attack: Attack) -> int:
    """Return on how many images the attack finds an adversarial example."""
    model, images = _binary(read, cases), np.stack([case.clean for case in cases])
    labels = np.zeros(len(cases), np.int32)
    if attack.differentiates and gradients(model, images, labels) is None:
        return 0  # the attack would refuse such a model
    result = attack(model, images, mask=mask, labels=labels)
    return int(_broken(model, result.apply(images)[0]).sum())
