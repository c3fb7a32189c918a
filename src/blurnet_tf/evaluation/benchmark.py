"""Counting a benchmark: how many images each trial breaks, and what should make one doubt it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.flags import Flag
from blurnet_tf.evaluation.metrics import Rate, Spread
from blurnet_tf.evaluation.records import Record

SLACK = 2
"""Images by which one trial must be ahead of another before a flag says so."""

LARGE = 0.95
"""The share of images that a mask of the whole sign must break."""


@dataclass(frozen=True, kw_only=True)
class TrialCount:
    """What one trial reaches on one model, on average over the seeds, with the least and the most of them.

    Attributes:
        worst: Share of predictions that the worst target changes: one sticker for all images, or one for each.
        union: Share that at least one target changes. The same, for a trial without targets.
        broken: Images whose prediction any target and seed changes, by name.
        n: Images.
    """

    worst: Spread
    union: Spread
    broken: frozenset[str]
    n: int


def count_trial(records: Sequence[Record]) -> TrialCount:
    """Count the records of one trial and iterate on one model, of all its targets and seeds."""
    return TrialCount(
        worst=metrics.over_seeds(records, lambda some: metrics.worst_attack(some)[1].value),
        union=metrics.over_seeds(records, lambda some: metrics.union(some).value),
        broken=broken(records),
        n=len({record.image for record in records}),
    )


def broken(records: Iterable[Record]) -> frozenset[str]:
    """Return the images whose prediction at least one record changes."""
    return frozenset(one.image for one in records if one.adversarial_prediction != one.clean_prediction)


@dataclass(frozen=True, kw_only=True)
class Floor:
    """What plain stickers change: white and black paint, and of the random colours the mean and the worst."""

    white: Rate
    black: Rate
    random: float
    worst: float

    @classmethod
    def of(cls, records: Sequence[Record]) -> Floor:
        """Count the records of `cover` on one model."""
        kinds = {name: [one for one in records if one.attack == name] for name in ("white", "black", "random")}
        white, black = (metrics.prediction_changed(kinds[name]) for name in ("white", "black"))
        draws = metrics.over_seeds(kinds["random"], lambda some: metrics.prediction_changed(some).value)
        return cls(white=white, black=black, random=draws.mean, worst=max(white.value, black.value, draws.most))


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A trial with what `trial_flags` must know of it; `count` is of the better of its iterates."""

    name: str
    count: TrialCount
    per_image: bool
    gradient_free: bool
    longer_than: str = ""


def trial_flags(
    tried: Sequence[Tried], floor: Floor, transfer: TrialCount | None, large: float | None
) -> tuple[Flag, ...]:
    """Return what the trials on one model's stickers say against its figures.

    Args:
        tried: The trials inside the sticker mask.
        floor: Plain stickers in the same mask.
        transfer: Stickers that were made on other models, all together.
        large: Share of images that fall with the whole sign painted.
    """
    found = []
    by_gradient = [one for one in tried if not one.gradient_free]
    best = max((one.count.union.mean for one in by_gradient), default=None)
    if best is not None and best < floor.worst:
        found.append(Flag("attack_below_floor", f"Attacks change {best:.1%}, a plain colour {floor.worst:.1%}."))
    known = {one.name: one for one in tried}
    for one in tried:
        if one.longer_than in known and _ahead(one, known[one.longer_than]):
            short = known[one.longer_than]
            found.append(Flag("not_converged", f"{short.name}: {_of(short)}; with three times the steps {_of(one)}."))
    found += _wins("gradient_free_wins", [one for one in tried if one.gradient_free], by_gradient, both=True)
    found += _wins(
        "shared_beats_per_image",
        [one for one in tried if not one.per_image],
        [one for one in tried if one.per_image],
        both=False,
    )
    if transfer is not None and by_gradient:
        strongest = max(by_gradient, key=_images)
        if len(transfer.broken) > _images(strongest) + SLACK:
            found.append(
                Flag(
                    "transfer_wins",
                    f"Stickers of other models break {len(transfer.broken)} of {transfer.n} images, "
                    f"{strongest.name} {_of(strongest)}.",
                )
            )
    if large is not None and large < LARGE:
        found.append(Flag("large_mask_survives", f"With the whole octagon painted only {large:.1%} fall."))
    return tuple(found)


def _wins(name: str, first: Sequence[Tried], second: Sequence[Tried], *, both: bool) -> list[Flag]:
    """Return a flag if the strongest of the first trials is ahead of the strongest of the second.

    `both`: a trial is compared with those that have stickers of the same kind, shared or one for each image, or more.
    """
    for one in sorted(first, key=_images, reverse=True)[:1]:
        others = [other for other in second if other.per_image >= one.per_image or not both]
        if others and _ahead(one, strongest := max(others, key=_images)):
            return [Flag(name, f"{one.name} breaks {_of(one)}, {strongest.name} {_of(strongest)}.")]
    return []


def _ahead(one: Tried, other: Tried) -> bool:
    return _images(one) > _images(other) + SLACK


def _images(one: Tried) -> float:
    """Return how many images the trial breaks, on average over the seeds.

    One sticker for all is as good as its worst target; a sticker for each image may want another class each time.
    """
    return one.count.n * (one.count.union if one.per_image else one.count.worst).mean


def _of(one: Tried) -> str:
    return f"{_images(one):g} of {one.count.n} images"
