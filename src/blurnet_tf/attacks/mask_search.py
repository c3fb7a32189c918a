"""Where to put stickers: RP2's search for a vulnerable place, before the attack itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.attacks.config import register
from blurnet_tf.attacks.contract import Attack, AttackResult
from blurnet_tf.attacks.inputs import Model, Task, check_seed
from blurnet_tf.attacks.rp2 import RP2
from blurnet_tf.checks import check_integer

ASPECT = 4  # a sticker's longer side is at most so many times the other
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)  # a pixel and those that share a side with it
ROUNDING = 1e-12  # of differences of sums: what is larger by less is no better


@register
@dataclass(frozen=True, kw_only=True)
class MaskSearch(Attack):
    """RP2 with stickers where the model is weak, which Eykholt et al. 2018, section 3.3, find with a first attack.

    The mask of the call says where stickers may lie, for example on the octagon. First an attack with an L1 penalty,
    which leaves most pixels alone, acts on all of it. A pixel's importance is the sum of ``|M.d|`` over channels,
    targets and images; `place_stickers` puts rectangles onto the most important ones. Then the final attack acts inside
    these. All targets share the stickers' places, and `result.mask` is those; the rest of the result is the final
    attack's.

    Attributes:
        first: The attack that finds the places. The weight of its norm decides how few pixels it changes.
        final: The attack on the stickers.
        area: Pixels that all stickers cover together.
        stickers: How many rectangles, at most `area`.
        seed: Seed of both attacks, in place of their own.

    Raises:
        ValueError: An attribute is outside what is listed; in the call, the mask has fewer than `area` pixels or no
            room for so few stickers.

    Example:
        >>> search = MaskSearch(first=RP2(norm="l1", penalty=0.01, steps=2), final=RP2(steps=1), area=30, stickers=5)
        >>> found = search(model, images, mask=load_mask(bundled("octagon.png")))
        >>> int(found.mask.sum())
        30
    """

    first: Attack = field(default_factory=lambda: RP2(norm="l1", penalty=0.03, steps=100, learning_rate=0.02))
    final: Attack = field(default_factory=RP2)
    area: int = 30
    stickers: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("stickers", self.stickers, 1)
        check_integer("area", self.area, 1)
        check_seed("seed", self.seed)
        if self.area < self.stickers:
            raise ValueError(
                f"`area` must be at least a pixel for each of {self.stickers} stickers. Received: area={self.area}"
            )
        for name in ("first", "final"):
            attack = getattr(self, name)
            if not isinstance(attack, Attack):
                raise ValueError(f"`{name}` must be an Attack. Received: {name}={attack!r}")
            if attack.seed != 0:
                raise ValueError(
                    f"`{name}` must leave its seed at 0, because `seed` of the search takes its place. Received: "
                    f"seed={attack.seed}"
                )
        object.__setattr__(self, "penalty", self.final.penalty)  # no field: what records say of the final attack

    @property
    def per_image(self) -> bool:
        return self.final.per_image

    @property
    def differentiates(self) -> bool:
        return self.first.differentiates or self.final.differentiates

    def find(self, model: Model, task: Task, *, progress: bool | None) -> AttackResult:
        """Find places, then perturbations."""
        first = _seeded(self.first, self.seed).find(model, task, progress=progress)
        importance = np.abs(first.perturbation).sum(axis=-1).reshape(-1, *task.mask.shape[:2]).sum(axis=0)
        places = place_stickers(importance, task.mask, area=self.area, stickers=self.stickers)
        narrowed = dataclasses.replace(task, masks=(task.mask * places)[None])
        return dataclasses.replace(_seeded(self.final, self.seed).find(model, narrowed, progress=progress), attack=self)

    def place(self, images: Any, perturbation: Any, mask: Any) -> Any:
        """Put masked perturbations onto images as the final attack does."""
        return self.final.place(images, perturbation, mask)


def place_stickers(importance: ArrayLike, allowed: ArrayLike, *, area: int, stickers: int) -> NDArray[np.float32]:
    """Return a mask of rectangular stickers that covers much importance, chosen greedily: float32 (H, W, 1).

    The area is split evenly. One after the other, a sticker becomes the rectangle that covers the most importance, of
    allowed pixels that are free: at most its share of the area, at least two thirds of it if such a one fits anywhere,
    and the longer side at most four times the other. Of equal ones it is the larger, then the wider, the upper, the
    left one. Where the rectangles do not add up to the area, they grow at their edges by the most important pixels. Two
    stickers may touch. Nothing is random.

    Args:
        importance: (H, W), finite and at least 0.
        allowed: (H, W, 1), above 0 where stickers may lie.
        area: Pixels of all stickers together.
        stickers: How many, at most `area`.

    Raises:
        ValueError: An argument is none of these; fewer pixels than `area` are allowed; or the stickers cannot grow to
            the area, because the allowed parts that they lie in are full.

    Example:
        >>> importance = np.zeros((4, 6))
        >>> importance[1:3, 1:4], importance[0, 4:] = 1, 2
        >>> place_stickers(importance, np.ones((4, 6, 1)), area=8, stickers=2)[..., 0].astype(int)
        array([[0, 0, 1, 1, 1, 1],
               [0, 1, 1, 0, 0, 0],
               [0, 1, 1, 0, 0, 0],
               [0, 0, 0, 0, 0, 0]])
    """
    worth, free = np.asarray(importance, np.float64), np.array(allowed) > 0
    check_integer("stickers", stickers, 1)
    check_integer("area", area, stickers)
    if worth.ndim != 2 or not (np.isfinite(worth).all() and (worth >= 0).all()):
        raise ValueError(f"`importance` must be (H, W), finite and at least 0. Received: shape={worth.shape}")
    if free.shape != (*worth.shape, 1):
        raise ValueError(f"`allowed` must have the shape {(*worth.shape, 1)}. Received: shape={free.shape}")
    free = free[..., 0]
    room = int(np.count_nonzero(free))
    if area > room:
        raise ValueError(f"`area` must be at most {room}, the pixels where stickers may lie. Received: area={area}")
    mask, left = np.zeros(worth.shape, np.uint8), area
    for index in range(stickers):
        top, bottom, first, last = _best_rectangle(worth, free, left // (stickers - index))
        mask[top:bottom, first:last], free[top:bottom, first:last] = 1, False
        left -= (bottom - top) * (last - first)
    for _ in range(left):
        edge = free & (cv2.dilate(mask, CROSS) > 0)
        if not edge.any():
            raise ValueError(
                f"`area` must fit into {stickers} stickers. Received: area={area}, of which {int(mask.sum())} pixels "
                "fill the allowed parts that the stickers lie in. Allow larger parts, or more stickers."
            )
        grown = np.unravel_index(np.where(edge, worth, -1).argmax(), worth.shape)
        mask[grown], free[grown] = 1, False
    return mask.astype(np.float32)[..., None]


def _best_rectangle(worth: NDArray[np.float64], free: NDArray[np.bool_], size: int) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of the free rectangle of at most `size` pixels that is worth the most."""
    height, width = worth.shape
    shapes = [(rows, columns) for rows in range(1, min(size, height) + 1) for columns in range(1, size // rows + 1)
              if columns <= width and max(rows, columns) <= ASPECT * min(rows, columns)]  # fmt: skip
    shapes.sort(key=lambda shape: (-shape[0] * shape[1], -shape[1]))
    large = [shape for shape in shapes if 3 * shape[0] * shape[1] >= 2 * size]
    sums, counts = (np.pad(one, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1) for one in (worth, free.astype(int)))
    rounding = ROUNDING * sums[-1, -1]

    def fitting(some: list[tuple[int, int]]) -> list[tuple[float, int, int, int, int]]:
        found = []
        for rows, columns in some:
            fits = _boxes(counts, rows, columns) == rows * columns
            covered = np.where(fits, _boxes(sums, rows, columns), -np.inf)
            most = float(covered.max())
            top, left = np.unravel_index((covered >= most - rounding).argmax(), covered.shape)
            if fits[top, left]:
                found.append((most, int(top), int(top) + rows, int(left), int(left) + columns))
        return found

    found = fitting(large) or fitting(shapes)  # of which the last, one pixel, fits
    most = max(one[0] for one in found)
    return next(one[1:] for one in found if one[0] >= most - rounding)


def _boxes(sums: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Return the sum over each box of that size, from sums over all that is above and to the left."""
    return sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]


def _seeded(attack: Any, seed: int) -> Attack:
    """Return the attack with the seed, if anything in it is random."""
    has_seed = any(one.name == "seed" for one in dataclasses.fields(attack))
    return dataclasses.replace(attack, seed=seed) if has_seed else attack
