"""Square Attack for stickers: random search over the saturated colours, without gradients.

Andriushchenko et al., "Square Attack: a query-efficient black-box adversarial attack via random search", ECCV 2020,
arXiv:1912.00049, Algorithms 1 and 2, inside a mask instead of a ball.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.attacks.batches import batch_of, mean_over_batches, portions_of
from blurnet_tf.attacks.config import register
from blurnet_tf.attacks.contract import Attack, AttackResult
from blurnet_tf.attacks.elementwise import choose
from blurnet_tf.attacks.inputs import Model, Task, check_seed
from blurnet_tf.attacks.loops import Advance, Bar, compiled, improves, in_graph, take
from blurnet_tf.attacks.losses import Loss
from blurnet_tf.attacks.parts import resolve
from blurnet_tf.attacks.sharing import Shared, Sharing
from blurnet_tf.attacks.transforms import place
from blurnet_tf.checks import check_integer

HALVINGS: tuple[float, ...] = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The steps, of 10000, after which the authors' program halves the share of pixels that a square covers."""

COLOURS = 8  # corners of the RGB cube


@register
@dataclass(frozen=True, kw_only=True)
class SquareAttack(Attack):
    """Random search in the mask: a square of one colour at a time, kept where the loss falls.

    Each channel of d is -1 or +1, so that x + M.d, clipped, is one of the eight saturated colours whatever the image.
    It starts as vertical stripes, one pixel wide and each of a random colour. A step recolours, for each sticker by
    itself, a random square: one that holds a random pixel of the mask, to which it gives another colour. Small squares
    come later: their area is `start_share` of the box round the mask, halved by the paper's schedule, rescaled to
    `steps`. The model sees float32 (targets * n, H, W, 3), as with `RP2`, once a step, and needs no gradient.

    The loss never rises, so the last step has the lowest one. The best step, by `AttackResult`'s definition, is the one
    with most images on the target, which may be an earlier one.

    Attributes:
        steps: Squares tried. The model is asked once more, for the start.
        start_share: Share of the mask's bounding box that the first squares cover, in (0, 1]; the paper's p.
        loss: A `Loss`, or "margin" (the paper's), "cross_entropy" or "mse".
        sharing: A `Sharing`, or "shared" by all images or "per_image".
        seed: Seed of start and squares. Each target has its own, the same ones whichever targets stand beside it.

    Raises:
        ValueError: An attribute is outside what is listed.

    Example:
        >>> result = SquareAttack(steps=20)(model, images, mask=mask)
        >>> sorted(set(result.perturbation[0][mask[..., 0] == 1].ravel().tolist()))
        [-1.0, 1.0]
        >>> bool((np.diff(result.history["loss"][:, 0]) <= 0).all())
        True
    """

    steps: int = 1000
    start_share: float = 0.3
    loss: Loss | str = "margin"
    sharing: Sharing | str = "shared"
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("steps", self.steps, 1)
        if not 0 < self.start_share <= 1:
            raise ValueError(f"`start_share` must lie in (0, 1]. Received: start_share={self.start_share!r}")
        check_seed("seed", self.seed)
        for name in ("loss", "sharing"):  # a word becomes the part that it stands for
            object.__setattr__(self, name, resolve(name, getattr(self, name)))

    @property
    def per_image(self) -> bool:
        return not isinstance(self.sharing, Shared)

    @property
    def differentiates(self) -> bool:
        return False

    def find(self, model: Model, task: Task, *, progress: bool | None) -> AttackResult:
        """Find the perturbations."""
        n, runs, sharing = len(task.images), len(task.classes), resolve("sharing", self.sharing)
        groups, targeted, loss = sharing.stickers(n), task.targets is not None, resolve("loss", self.loss)
        each, most = n // groups, batch_of(task.mask.shape[:2])
        batches = math.ceil(each / most)
        loss.check_batches(batches)
        # How many outputs the model has is not known in the graph of a model that is not TensorFlow's.
        outputs = int(model(tf.constant(task.images[:1])).shape[-1])
        advance = compile_search(model, loss, targeted, outputs, batches)
        portions, total = portions_of(runs, groups, each, most), self.steps + 1
        bar = Bar(len(portions) * total, progress)
        found, tables = [], []
        for chosen, part in portions:
            start, problem = self._problem(task, groups, chosen, part)
            state, rows = take(advance, start, problem, total, bar)
            outcome = (problem.mask * state.d, problem.mask * state.best_d, state.best_step)
            found.append([one.numpy() for one in outcome])
            tables.append(rows)
        last, best, best_step = map(np.concatenate, zip(*found, strict=True))
        table = np.concatenate(tables, axis=-1)
        if not np.isfinite(table).all():
            warnings.warn(
                "The loss of the start was infinite or NaN. Check the model on images of saturated colours.",
                stacklevel=3,  # where the attack is called
            )
        averaged = table.reshape(*table.shape[:2], runs, groups).mean(axis=-1)
        names = ("loss", "success", "target_reached")

        def spread(values: NDArray[Any]) -> NDArray[Any]:
            return sharing.spread(values.reshape(runs, groups, *values.shape[1:]), n)

        return AttackResult(
            attack=self,
            perturbation=spread(last),
            best_perturbation=spread(best),
            best_step=spread(best_step),
            targets=task.targets,
            mask=task.mask,
            history={name: averaged[:, index] for index, name in enumerate(names if targeted else names[:-1])},
        )

    def _problem(self, task: Task, groups: int, runs: Sequence[int], part: slice) -> tuple[State, Problem]:
        """Return start and problem of some stickers of some runs."""
        keys = [-1] if task.targets is None else task.targets
        draws = [self._draw(task.mask, groups, part, keys[run]) for run in runs]
        start, pixels, corners, turns = (np.concatenate(one, axis=axis) for one, axis in zip(
            zip(*draws, strict=True), (0, 1, 1, 1), strict=True))  # fmt: skip
        images, classes, predictions = task.tiled(groups, runs, part)
        return State.start(tf.constant(start)), Problem(
            images=tf.constant(images),
            classes=tf.constant(classes),
            predictions=tf.constant(predictions),
            mask=tf.constant(task.mask),
            sides=tf.constant(self._sides(task.mask)),
            pixels=tf.constant(pixels),
            corners=tf.constant(corners),
            turns=tf.constant(turns),
        )

    def _sides(self, mask: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return the side of the square of each step, int32 (steps + 1,), 0 before the first one."""
        rows, columns = np.nonzero(mask[..., 0])
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        # The first square is the authors' step 0, so the last is one below 10000.
        halved = np.searchsorted(HALVINGS, np.floor(np.arange(self.steps) / self.steps * 10000), side="left")
        sides = np.maximum(np.rint(np.sqrt(self.start_share * box / 2.0**halved)), 1)
        return np.concatenate([[0], sides]).astype(np.int32)

    def _draw(self, mask: NDArray[np.float32], groups: int, part: slice, key: int) -> tuple[NDArray[Any], ...]:
        """Return all that is random in one run, for the stickers of `part`: the same ones however they are divided.

        The start, float32 (stickers, H, W, 3); and for each step and sticker, (steps + 1, stickers): the pixel that the
        square holds, as an index into the flat mask; the square's upper left corner, (..., 2); and by how many colours
        that pixel turns, 1 to 7.
        """
        random = np.random.default_rng((self.seed % 2**32, key + 1))
        height, width = mask.shape[:2]
        stripes = random.choice(np.array([-1, 1], np.float32), (groups, 1, width, 3))[part]
        inside, sides = np.flatnonzero(mask).astype(np.int32), self._sides(mask)
        # Step by step, so that memory holds no more of the other stickers than one step.
        pixels = np.stack([inside[random.integers(len(inside), size=groups)[part]] for _ in sides])
        within = np.stack([(random.random((groups, 2))[part] * side).astype(np.int32) for side in sides])
        corners = np.stack(np.divmod(pixels, width), axis=-1) - within  # `within` is of the pixel in its square
        turns = np.stack([random.integers(1, COLOURS, size=groups)[part].astype(np.int32) for _ in sides])
        return np.repeat(stripes, height, axis=1), pixels, corners, turns


class Problem(NamedTuple):
    """What the compiled search takes beside its state. Tensors throughout, so that other values need no new trace.

    Each sticker is on images of its own: `images` is (stickers, n, H, W, 3), `classes` and `predictions` (stickers, n);
    what is the same for all may stand there once. `sides` is (steps + 1,), `pixels` and `turns` (steps + 1, stickers),
    `corners` (steps + 1, stickers, 2).
    """

    images: Any
    classes: Any
    predictions: Any
    mask: Any
    sides: Any
    pixels: Any
    corners: Any
    turns: Any


class State(NamedTuple):
    """The stickers, what was measured of them, (3, stickers): loss, success, target reached; and the best so far."""

    step: Any
    d: Any
    row: Any
    best_d: Any
    best_score: Any
    best_loss: Any
    best_step: Any

    @classmethod
    def start(cls, d: Any) -> State:
        """Return the state before anything is measured, for stickers (stickers, H, W, 3)."""
        n = d.shape[0]
        endless = tf.fill([n], np.float32(np.inf))
        row = tf.stack([endless, tf.zeros([n]), tf.zeros([n])])
        return cls(tf.constant(0), d, row, d, tf.fill([n], -1.0), endless, tf.zeros([n], tf.int32))


def compile_search(model: Model, loss: Loss, targeted: bool, outputs: int, batches: int) -> Advance:
    """Return the steps of a search on `model`, traced at their first call; see `compiled`."""
    return compiled(_compile, model, loss, targeted, outputs, batches)


def propose(d: Any, side: Any, pixels: Any, corners: Any, turns: Any) -> Any:
    """Paint a square onto each sticker: float32 (stickers, H, W, 3), of -1 and +1.

    Args:
        d: float32 (stickers, H, W, 3), of -1 and +1.
        side: int32, of all squares; 0 paints nothing.
        pixels: int32 (stickers,), flat indices of pixels whose colours, read as numbers of three bits, are turned.
        corners: int32 (stickers, 2), row and column of the upper left corner; a square may reach over the edge.
        turns: int32 (stickers,), what is added to that number, modulo 8, to get the colour of the square.

    Example:
        >>> black = -np.ones((1, 2, 2, 3), "float32")
        >>> painted = propose(black, 1, np.array([3]), np.array([[1, 1]]), np.array([6]))
        >>> painted.numpy()[0, 1].tolist()
        [[-1.0, -1.0, -1.0], [1.0, 1.0, -1.0]]
    """
    d = tf.convert_to_tensor(d)
    height, width = d.shape[1:3]
    bits = tf.constant([4, 2, 1])
    now = tf.gather(tf.reshape(d, [-1, height * width, 3]), pixels, batch_dims=1)
    number = tf.reduce_sum(tf.cast(now > 0, tf.int32) * bits, axis=-1)
    number = (number + tf.cast(turns, tf.int32)) % COLOURS
    colour = tf.where(number[:, None] // bits % 2 == 1, 1.0, -1.0)

    def reach(size: int, first: Any) -> Any:
        distance = tf.range(size) - tf.cast(first, tf.int32)[:, None]
        return (distance >= 0) & (distance < side)

    square = reach(height, corners[:, 0])[:, :, None] & reach(width, corners[:, 1])[:, None, :]
    return tf.where(square[..., None], colour[:, None, None, :], d)


@functools.lru_cache(maxsize=4)  # few, because each keeps its model alive
def _compile(model: Model, loss_of: Loss, targeted: bool, outputs: int, batches: int, description: str) -> Advance:
    # `description` is in the key of the cache alone.

    def measure(d: Any, problem: Problem) -> Any:
        """Return loss, success and target reached of each sticker, (3, stickers)."""
        adversarial = place(problem.images, problem.mask * d)
        stickers, count = tf.unstack(tf.shape(adversarial)[:2])
        logits = tf.cast(model(tf.reshape(adversarial, [-1, *d.shape[1:]])), tf.float32)
        logits = tf.reshape(logits, [stickers, count, outputs])
        loss = (loss_of if targeted else loss_of.away)(logits, problem.classes)
        predictions = tf.argmax(logits, axis=-1, output_type=tf.int32)
        success = tf.reduce_mean(tf.cast(predictions != problem.predictions, tf.float32), axis=1)
        reached = tf.reduce_mean(tf.cast(predictions == problem.classes, tf.float32), axis=1)
        return tf.stack([loss, success, reached])

    def step(state: State, problem: Problem) -> tuple[State, Any]:
        # Step 0 paints nothing: it measures the start, which is kept because the loss before is infinite.
        numbers = (one[state.step] for one in (problem.sides, problem.pixels, problem.corners, problem.turns))
        d = propose(state.d, *numbers)
        (row,) = mean_over_batches(lambda some: (measure(d, some),), problem, batches, (tf.zeros_like(state.row),))
        kept = row[0] < state.row[0]  # never, if the new loss is NaN
        d, row = choose(kept, d, state.d), tf.where(kept, row, state.row)
        loss, score = row[0], row[2] if targeted else row[1]
        better = improves(score, loss, state)
        return State(
            step=state.step + 1,
            d=d,
            row=row,
            best_d=choose(better, d, state.best_d),
            best_score=tf.where(better, score, state.best_score),
            best_loss=tf.where(better, loss, state.best_loss),
            best_step=tf.where(better, state.step, state.best_step),
        ), row

    def any_number(problem: Problem) -> Problem:
        """Return the problem with tensors of any number of steps."""
        numbers = ("sides", "pixels", "corners", "turns")
        shapes = {name: [None, *getattr(problem, name).shape[1:]] for name in numbers}
        return problem._replace(**{name: tf.TensorSpec(shape, tf.int32) for name, shape in shapes.items()})

    return in_graph(step, any_number)
