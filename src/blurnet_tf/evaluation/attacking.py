"""Attacking and scoring: one attack, on one model, scored by it or by others; and the floor under that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.attacks.batches import batches
from blurnet_tf.attacks.contract import Attack, AttackResult
from blurnet_tf.attacks.expectation import Expectation
from blurnet_tf.attacks.inputs import Model
from blurnet_tf.data.split import Split
from blurnet_tf.evaluation.records import Record
from blurnet_tf.evaluation.scoring import PlainSticker, predict, score

VIEWS = 5
"""How many draws of a view each image is scored under. Another number changes cells: raise `FORMAT` of `runs.cells`."""

DRAWS = 20
"""How many random colours `cover` tries."""


def other_classes(split: Split) -> tuple[int, ...]:
    """Return every class that is no label of `split`: the targets of section 4.2 ("we omit the correct class").

    Example:
        >>> len(other_classes(victims))
        17
    """
    return tuple(sorted(set(range(len(split.class_names))) - set(split.labels.tolist())))


def attack_and_score(
    attack: Attack,
    model: Model,
    split: Split,
    *,
    targets: Sequence[int] | None,
    mask: ArrayLike | None,
    source: str,
    victims: Mapping[str, Model] | None = None,
    scored: Split | None = None,
    iterates: Sequence[str] = ("last",),
    view: Expectation | None = None,
) -> tuple[list[Record], AttackResult]:
    """Attack `model` once for each target, all in one call, and score models on what comes out.

    Args:
        attack: Any attack.
        model: What it sees and differentiates: the whole model, with its defence.
        split: The images; their labels are the true classes.
        targets: Classes that the attack wants, none of them a label; `None` moves away from the labels.
        mask: float32 (H, W, 1), where the attack may act; `None` is the whole image.
        source: The name of `model` in the records.
        victims: The models that are scored, by their names in the records. By default `model` itself: a white box. So
            is the same one in float32, by the name `source`, where `model` computes in less. Others are a transfer.
        scored: Other images to put the sticker onto, which the attack did not see; by default the attacked ones.
        iterates: Which perturbations are scored: "last", "best" or both.
        view: `None`, or how the signs are seen: each image is scored under `VIEWS` draws of it, the clean and the
            attacked one under the same. `<image>@<draw>` is then the name in the records.

    Returns:
        A record for each victim, view, iterate, target and image, in this order, and the result of the attack.

    Raises:
        ValueError: Each image has a sticker of its own, so that other images have none.
    """
    if scored is not None and attack.per_image:
        raise ValueError("`scored` must be left out where each image has a sticker of its own. Received: other images")
    result = attack(model, split.images, targets=targets, mask=mask, labels=split.labels)
    split = split if scored is None else scored
    records = []
    for name, victim in ({source: model} if victims is None else victims).items():
        for look, seen in _views(view, split):
            known: dict[str, Any] = {"source": source, "victim": name, "clean": predict(victim, seen.images)}
            for iterate in iterates:
                for run, target in enumerate(result.targets or (None,)):
                    # One run at a time: all of them on many images would not fit into memory.
                    images = look(result.one(run).apply(split.images, best=iterate == "best")[0])
                    records += score(victim, seen, images, attack=attack, target=target, iterate=iterate, **known)
    return records, result


def clean_records(model: Model, split: Split, *, name: str) -> list[Record]:
    """Return what `model` says of images that nothing was done to, with `attack` "clean"."""
    clean = predict(model, split.images)
    known: dict[str, Any] = {"source": "", "victim": name, "target": None, "clean": clean}
    return score(model, split, split.images, attack=PlainSticker("clean"), **known)


def cover(
    model: Model,
    split: Split,
    mask: NDArray[np.float32],
    *,
    name: str,
    colours: Sequence[Sequence[float]] | None = None,
    view: Expectation | None = None,
) -> list[Record]:
    """Cover the masked pixels with plain stickers and score `model`: what changes predictions without any attack.

    A white and a black sticker and `DRAWS` of a random colour, uniform in RGB; draw k is made from seed k. Each has one
    colour: a colour for each pixel would be grey on average, and vanish behind a blur. There is a record for each view,
    sticker and image, with `attack` "white", "black" or "random", no source, digest or target, and `penalty` 0.

    Args:
        model: What is scored.
        split: The clean images.
        mask: float32 (H, W, 1), above 0 where the sticker is.
        name: Of the model in the records.
        colours: The only colours that there are, (colours, 3) in [0, 1], in place of those above. One that is neither
            white nor black is "random", with its place in the list as its seed.
        view: How the signs are seen, as for `attack_and_score`.
    """
    if colours is None:
        draws = [np.random.default_rng(draw).uniform(size=3).tolist() for draw in range(DRAWS)]
        colours = [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), *draws]
        stickers = [PlainSticker("white"), PlainSticker("black"), *(PlainSticker("random", k) for k in range(DRAWS))]
    else:
        kinds = ["white" if min(one) == 1 else "black" if max(one) == 0 else "random" for one in colours]
        stickers = [PlainSticker(kind, place) for place, kind in enumerate(kinds)]
    records = []
    for look, seen in _views(view, split):
        known: dict[str, Any] = {"source": "", "victim": name, "target": None, "clean": predict(model, seen.images)}
        for sticker, colour in zip(stickers, colours, strict=True):
            images = np.where(mask > 0, np.asarray(colour, np.float32), split.images)
            records += score(model, seen, look(images), attack=sticker, **known)
    return records


def _views(view: Expectation | None, split: Split) -> Iterator[tuple[Callable[[Any], Any], Split]]:
    """Yield how images are seen, and the clean ones so seen: as they are, or under each draw of a view."""
    if view is None:
        yield (lambda images: images), split
        return
    for draw in range(VIEWS):

        def look(images: NDArray[np.float32], draw: int = draw) -> NDArray[np.float32]:
            # No attack has these seeds in its steps, where the second number counts from 0; each batch has its own.
            parts = enumerate(batches(images))
            return np.concatenate([view(images[part], (place, -1 - draw)).numpy() for place, part in parts])

        ids = tuple(f"{one}@{draw}" for one in split.ids)
        yield look, dataclasses.replace(split, images=look(split.images), ids=ids)
