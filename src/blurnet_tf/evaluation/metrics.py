"""Metrics over records. Each is defined here and nowhere else."""

from __future__ import annotations

import itertools
import math
import operator
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from blurnet_tf.evaluation.records import Record
from blurnet_tf.numerics import dissimilarity

Z_95: float = 1.959963984540054  # the quantile of the normal distribution that leaves 2.5% on each side


def wilson(share: float, n: int, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's interval of a share in [0, 1] (Wilson 1927), by default the one of 95%: low and high, in [0, 1].

    `n` is how many independent trials it is a share of, at least 1; `z` a quantile of the normal distribution. The
    share may be a mean of several of the same `n` images.

    Example:
        >>> low, high = wilson(0.9, 40); round(low, 3), round(high, 3)
        (0.769, 0.96)
    """
    if not (0 <= share <= 1 and n > 0):
        raise ValueError(f"An interval needs 0 <= share <= 1 and n > 0. Received: share={share}, n={n}")
    centre = share + z * z / (2 * n)
    margin = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


@dataclass(frozen=True)
class Rate:
    """A share of images, with what is known of it: `count` of `n`, which is at least 1."""

    count: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.n or self.n == 0:
            raise ValueError(f"A rate needs 0 <= count <= n and n > 0. Received: count={self.count}, n={self.n}")

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.count / self.n

    def interval(self, z: float = Z_95) -> tuple[float, float]:
        """Return `wilson` of the share."""
        return wilson(self.value, self.n, z)


RateOf = Callable[[Iterable[Record]], Rate]
"""A rate as a function of records, such as `prediction_changed`."""


@dataclass(frozen=True)
class Spread:
    """A figure that each seed has one of: its mean over the seeds, the least and the most."""

    mean: float
    least: float
    most: float


class Attack(NamedTuple):
    """What the attacks of a sweep differ in: the wanted class, lambda, and all other settings but the seed."""

    target: int | None
    penalty: float
    digest: str


def accuracy(records: Iterable[Record]) -> Rate:
    """Share of clean images that get their label."""
    return _share(records, lambda record: record.clean_prediction == record.label)


def prediction_changed(records: Iterable[Record]) -> Rate:
    """Share of images whose prediction the attack changes, to whatever class: success in section 2.1 of the paper."""
    return _share(records, lambda record: record.adversarial_prediction != record.clean_prediction)


def misclassified(records: Iterable[Record]) -> Rate:
    """Share of attacked images that do not get their label: success in Table 1, where clean errors count as well."""
    return _share(records, lambda record: record.adversarial_prediction != record.label)


def target_reached(records: Iterable[Record]) -> Rate:
    """Share of attacked images that are taken for the target; each record must have one."""
    records = list(records)
    if any(record.target is None for record in records):
        raise ValueError("`target_reached` needs a target in every record. Received: a record with target=None")
    return _share(records, lambda record: record.adversarial_prediction == record.target)


def union(records: Iterable[Record]) -> Rate:
    """Share of images whose prediction at least one of their records changes: what all the attacks reach together."""
    records = list(records)
    changed = {one.image for one in records if one.adversarial_prediction != one.clean_prediction}
    return Rate(len(changed), len({one.image for one in records}))


def mean_dissimilarity(records: Sequence[Record]) -> float:
    """L2 dissimilarity, Eq. 1: the mean over the records."""
    _check_some("mean_dissimilarity", records)
    return math.fsum(record.dissimilarity for record in records) / len(records)


def stacked_dissimilarity(clean: ArrayLike, adversarial: ArrayLike) -> float:
    """L2 dissimilarity with one norm over all images, ``||X - X_adv|| / ||X_adv||``: not Eq. 1, but what a program gets
    that takes the norm of a batch.

    Example:
        >>> clean = np.full((2, 1, 1, 3), 0.5, "float32")
        >>> round(stacked_dissimilarity(clean, 2 * clean), 6)
        0.5
    """
    clean, adversarial = np.asarray(clean, np.float64), np.asarray(adversarial, np.float64)
    return float(dissimilarity(clean[None], adversarial[None])[0])


def by_attack(records: Iterable[Record]) -> dict[Attack, list[Record]]:
    """Return the records of each attack: the lowest target first, and for each target the lowest lambda first."""

    def place(record: Record) -> tuple[int, float, str]:
        return -1 if record.target is None else record.target, record.penalty, record.attack_digest

    groups = [list(group) for _, group in itertools.groupby(sorted(records, key=place), place)]
    return {Attack(group[0].target, group[0].penalty, group[0].attack_digest): group for group in groups}


def by_seed(records: Iterable[Record]) -> dict[int, list[Record]]:
    """Return the records of each seed, the lowest seed first."""
    seed = operator.attrgetter("seed")
    return {number: list(group) for number, group in itertools.groupby(sorted(records, key=seed), seed)}


def average_over_attacks(records: Sequence[Record], rate: RateOf = prediction_changed) -> float:
    """Return the mean of a rate over the attacks of one model and seed, in [0, 1]: "Average Success Rate", Table 2."""
    _check_some("average_over_attacks", records)
    return statistics.mean(rate(group).value for group in by_attack(records).values())


def deviation_over_attacks(records: Sequence[Record], rate: RateOf = prediction_changed) -> float:
    """Return the standard deviation of a rate over the attacks of one model and seed: how much the target matters."""
    _check_some("deviation_over_attacks", records)
    return statistics.pstdev(rate(group).value for group in by_attack(records).values())


def worst_attack(records: Sequence[Record], rate: RateOf = prediction_changed) -> tuple[Attack, Rate]:
    """Return the attack on one model with the highest rate, and that rate: "Worst Success Rate" of Table 2.

    Of several seeds, each with the same images, it is the attack whose rate, averaged over the seeds, is highest. Of
    equals it is the one with the lowest target, and of these the one with the lowest lambda.
    """
    _check_some("worst_attack", records)
    rates = {attack: rate(group) for attack, group in by_attack(records).items()}
    worst = max(rates, key=lambda attack: rates[attack].value)  # `max` keeps the first of equals
    return worst, rates[worst]


def over_seeds(records: Sequence[Record], figure: Callable[[list[Record]], float]) -> Spread:
    """Compute a figure, such as `mean_dissimilarity`, from the records of each seed alone; return how it varies."""
    _check_some("over_seeds", records)
    figures = [figure(group) for group in by_seed(records).values()]
    # The mean of `statistics` is exact but for its last rounding: whatever the order, between the least and the most.
    return Spread(statistics.mean(figures), min(figures), max(figures))


def _check_some(name: str, records: Sequence[Record]) -> None:
    if not records:
        raise ValueError(f"`{name}` needs at least one record. Received: none")


def _share(records: Iterable[Record], holds: Callable[[Record], bool]) -> Rate:
    outcomes = [holds(record) for record in records]
    return Rate(sum(outcomes), len(outcomes))
