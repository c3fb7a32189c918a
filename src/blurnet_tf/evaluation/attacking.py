"""The white-box evaluation: attack a model that the attacker knows, its defence included, and the floor under that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.attacks.inputs import Model
from blurnet_tf.attacks.rp2 import RP2, AttackResult
from blurnet_tf.data.split import Split
from blurnet_tf.evaluation.records import Record
from blurnet_tf.evaluation.scoring import score


def other_classes(split: Split) -> tuple[int, ...]:
    """Return every class that is no label of `split`: the targets of section 4.2 ("we omit the correct class").

    Example:
        >>> len(other_classes(victims))
        17
    """
    return tuple(sorted(set(range(len(split.class_names))) - set(split.labels.tolist())))


def attack_white_box(
    attack: RP2,
    model: Model,
    split: Split,
    targets: Sequence[int],
    mask: ArrayLike,
    *,
    name: str,
    scored_by: Model | None = None,
    palette: ArrayLike | None = None,
) -> tuple[list[Record], AttackResult]:
    """Attack `model` once for each target, all in one batch, and score it on what comes out.

    Args:
        attack: The settings.
        model: What the attack differentiates: the whole model, with its defence.
        split: The images; their labels are the true classes.
        targets: Classes that the attack wants, none of them a label.
        mask: float32 (H, W, 1), where the sticker may be.
        name: The name of the model in the records.
        scored_by: What the success is counted on; by default `model`. The same weights in float32, where `model`
            computes in less.
        palette: Printable colours, for an NPS term.

    Returns:
        A record for each target and image, by target, and the result of the attack.
    """
    result = attack(model, split.images, list(targets), mask, labels=split.labels, palette=palette)
    records = [
        record
        for target, adversarial in zip(targets, result.apply(split.images), strict=True)
        for record in score(
            model if scored_by is None else scored_by,
            split,
            adversarial,
            source=name,
            victim=name,
            target=target,
            penalty=attack.penalty,
            seed=attack.seed,
        )
    ]
    return records, result


def cover(model: Model, split: Split, mask: NDArray[np.float32], *, name: str, draws: int = 20) -> list[Record]:
    """Cover the masked pixels with plain stickers and score `model`: what changes predictions without any attack.

    Args:
        model: Maps images to logits.
        split: The images.
        mask: float32 (H, W, 1), 0 or 1.
        name: The name of the model in the records.
        draws: How many stickers of a random colour, uniform in RGB; draw k is made from seed k. Each has one colour:
            a colour for each pixel would be grey on average, and vanish behind a blur.

    Returns:
        A record for each sticker and image, with `source` "white", "black" or "random", `target` None and `penalty` 0.
        `seed` is the number of the draw.
    """
    shape = split.images.shape[1:]
    stickers = [("white", 0, np.ones(shape)), ("black", 0, np.zeros(shape))]
    colours = [np.random.default_rng(draw).uniform(size=3) for draw in range(draws)]
    stickers += [("random", draw, np.broadcast_to(colour, shape)) for draw, colour in enumerate(colours)]
    return [
        record
        for source, seed, sticker in stickers
        for record in score(
            model,
            split,
            np.where(mask > 0, sticker.astype(np.float32), split.images),
            source=source,
            victim=name,
            target=None,
            penalty=0.0,
            seed=seed,
        )
    ]
