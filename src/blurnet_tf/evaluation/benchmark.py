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
        n: Images.
    """

    worst: Spread
    union: Spread
    n: int


def count_trial(records: Sequence[Record]) -> TrialCount:
    """Count the records of one trial and iterate on one model, of all its targets and seeds."""
    return TrialCount(
        worst=metrics.over_seeds(records, lambda some: metrics.worst_attack(some)[1].value),
        union=metrics.over_seeds(records, lambda some: metrics.union(some).value),
        n=len({record.image for record in records}),
    )


def broken(records: Iterable[Record]) -> frozenset[str]:
    """Return the images whose prediction at least one record changes."""
    return frozenset(one.image for one in records if one.adversarial_prediction != one.clean_prediction)


def right(records: Iterable[Record]) -> list[Record]:
    """Return the records of images that are right when clean: an attack has nothing to do on the others."""
    return [record for record in records if record.clean_prediction == record.label]


@dataclass(frozen=True, kw_only=True)
class Floor:
    """What plain stickers change: white and black paint, if allowed, the mean of others, and the worst of all."""

    white: Rate | None
    black: Rate | None
    random: float | None
    worst: float

    @classmethod
    def of(cls, records: Sequence[Record]) -> Floor:
        """Count the records of `cover` on one model."""
        white, black, others = ([one for one in records if one.attack == name] for name in ("white", "black", "random"))
        rates = [metrics.prediction_changed(some) if some else None for some in (white, black)]
        draws = metrics.over_seeds(others, lambda some: metrics.prediction_changed(some).value) if others else None
        most = [rate.value for rate in rates if rate] + ([draws.most] if draws else [])
        return cls(white=rates[0], black=rates[1], random=draws.mean if draws else None, worst=max(most))


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A trial with what `trial_flags` must know of it.

    Attributes:
        name: Of the trial.
        count: What the better of its iterates breaks, of the images that are right when clean.
        broken: Images that any iterate breaks.
        signs: How many images these are; under a view each is counted several times in `count`.
        per_image: Whether each image has a sticker of its own.
        gradient_free: Whether the attack takes no gradients.
        longer_than: The trial that this is with three times the steps.
    """

    name: str
    count: TrialCount
    broken: frozenset[str]
    signs: int
    per_image: bool
    gradient_free: bool
    longer_than: str = ""

    @property
    def share(self) -> float:
        """The share of images that it breaks, on average over the seeds.

        One sticker for all is as good as its worst target; a sticker for each may want another class each time.
        """
        return (self.count.union if self.per_image else self.count.worst).mean

    @property
    def images(self) -> float:
        """How many images that is."""
        return round(self.signs * self.share, 6)  # or a share of n images, times n, would be no whole number

    def leads(self, other: Tried) -> bool:
        """Whether it breaks more images, by more than `SLACK`."""
        return self.images > other.images + SLACK

    def __str__(self) -> str:
        return f"{self.images:g} of {self.signs} images"


def trial_flags(
    tried: Sequence[Tried], floor: float, transfer: tuple[frozenset[str], int] | None, large: float | None
) -> tuple[Flag, ...]:
    """Return what the trials on one model's stickers say against its figures. All is of images right when clean.

    Args:
        tried: The trials inside the sticker mask.
        floor: Share that the worst plain colour breaks, in the same mask.
        transfer: Images that stickers break that were made on other models, and of how many.
        large: Share that falls with the whole sign painted.
    """
    found = []
    if tried and best_of(tried).share < floor:
        share = best_of(tried).share
        found.append(Flag("attack_below_floor", f"Attacks change {share:.1%}, a plain colour {floor:.1%}."))
    known = {one.name: one for one in tried}
    for one in tried:
        short = known.get(one.longer_than)
        if short and one.leads(short):
            found.append(Flag("not_converged", f"{short.name}: {short}; with three times the steps {one}."))
    found += _wins_without_gradient(tried)
    shared, own = ([one for one in tried if one.per_image == kind] for kind in (False, True))
    if shared and own and best_of(shared).leads(best_of(own)):
        one, rival = best_of(shared), best_of(own)
        found.append(Flag("shared_beats_per_image", f"{one.name} breaks {one}, {rival.name} {rival}."))
    if transfer is not None and tried:
        fallen, n = transfer
        here = {image for one in tried for image in one.broken}
        if len(fallen) > len(here) + SLACK:
            sentence = f"Stickers of other models break {len(fallen)} of {n} images, all attacks on it {len(here)}."
            found.append(Flag("transfer_wins", sentence))
    if large is not None and large < LARGE:
        found.append(Flag("large_mask_survives", f"With the whole octagon painted only {large:.1%} fall."))
    return tuple(found)


def best_of(tried: Sequence[Tried]) -> Tried:
    """Return the trial that breaks most images, of equals the first."""
    return max(tried, key=lambda one: one.share)


def _wins_without_gradient(tried: Sequence[Tried]) -> list[Flag]:
    """Return a flag for each trial without gradients that leads those with them, of the same kind of sticker.

    A shared sticker is compared with stickers for each image where there are no shared ones.
    """
    found = []
    with_gradient = [one for one in tried if not one.gradient_free]
    for one in (one for one in tried if one.gradient_free):
        rivals = [other for other in with_gradient if other.per_image == one.per_image]
        rivals = rivals or [other for other in with_gradient if other.per_image]
        if rivals and one.leads(rival := best_of(rivals)):
            found.append(Flag("gradient_free_wins", f"{one.name} breaks {one}, {rival.name} {rival}."))
    return found
