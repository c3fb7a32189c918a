"""Metrics over records. Each is defined here and nowhere else."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from blurnet_tf.evaluation.records import Record

Z_95: float = 1.959963984540054
"""The quantile of the normal distribution that leaves 2.5% on each side."""


def wilson(share: float, n: int, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's interval of a share (Wilson 1927), by default the one of 95%.

    Args:
        share: The measured share, in [0, 1]. It may be a mean of several shares of the same `n` images.
        n: How many independent trials it is a share of.
        z: Quantile of the normal distribution.

    Returns:
        Low and high, in [0, 1].

    Raises:
        ValueError: `share` is outside [0, 1], or `n` is not positive.

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
    """A share of images, with what is known of it: `count` of `n`.

    Raises:
        ValueError: `n` is 0, or `count` is not among 0..n.
    """

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
        """Return Wilson's interval, by default the one of 95%: low and high, in [0, 1]; see `wilson`.

        Example:
            >>> low, high = Rate(36, 40).interval(); round(low, 3), round(high, 3)
            (0.769, 0.96)
        """
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
    """What the attacks of a sweep differ in: the wanted class, and lambda."""

    target: int | None
    penalty: float


def accuracy(records: Iterable[Record]) -> Rate:
    """Share of clean images that get their label."""
    return _share(records, lambda record: record.clean_prediction == record.label)


def prediction_changed(records: Iterable[Record]) -> Rate:
    """Share of images whose prediction the attack changes, to whatever class: success in section 2.1 of the paper."""
    return _share(records, _moved)


def misclassified(records: Iterable[Record]) -> Rate:
    """Share of attacked images that do not get their label: success in Table 1, where clean errors count as well."""
    return _share(records, lambda record: record.adversarial_prediction != record.label)


def target_reached(records: Iterable[Record]) -> Rate:
    """Share of attacked images that are taken for the target.

    Raises:
        ValueError: A record has no target.
    """
    records = list(records)
    if any(record.target is None for record in records):
        raise ValueError("`target_reached` needs a target in every record. Received: a record with target=None")
    return _share(records, lambda record: record.adversarial_prediction == record.target)


def union(records: Iterable[Record]) -> Rate:
    """Share of images whose prediction at least one of their records changes: what all the attacks reach together."""
    changed: dict[str, bool] = {}
    for record in records:
        changed[record.image] = changed.get(record.image, False) or _moved(record)
    return Rate(sum(changed.values()), len(changed))


def mean_dissimilarity(records: Sequence[Record]) -> float:
    """L2 dissimilarity, Eq. 1: the mean over the records."""
    _check_some("mean_dissimilarity", records)
    return math.fsum(record.dissimilarity for record in records) / len(records)


def by_attack(records: Iterable[Record]) -> dict[Attack, list[Record]]:
    """Return the records of each attack: the lowest target first, and for each target the lowest lambda first."""
    groups: dict[Attack, list[Record]] = {}
    for record in records:
        groups.setdefault(Attack(record.target, record.penalty), []).append(record)

    def place(attack: Attack) -> tuple[int, float]:
        return -1 if attack.target is None else attack.target, attack.penalty

    return {attack: groups[attack] for attack in sorted(groups, key=place)}


def by_seed(records: Iterable[Record]) -> dict[int, list[Record]]:
    """Return the records of each seed, the lowest seed first."""
    groups: dict[int, list[Record]] = {}
    for record in records:
        groups.setdefault(record.seed, []).append(record)
    return {seed: groups[seed] for seed in sorted(groups)}


def average_over_attacks(records: Sequence[Record], rate: RateOf = prediction_changed) -> float:
    """Return the mean of a rate over the attacks (target, lambda), in [0, 1]: "Average Success Rate" of Table 2.

    Args:
        records: Of one model and one seed.
        rate: What is averaged, for example `target_reached`.
    """
    _check_some("average_over_attacks", records)
    return statistics.mean(rate(group).value for group in by_attack(records).values())


def worst_attack(records: Sequence[Record], rate: RateOf = prediction_changed) -> tuple[Attack, Rate]:
    """Return the attack (target, lambda) with the highest rate, and that rate: "Worst Success Rate" of Table 2.

    Of several seeds it is the attack whose rate, averaged over the seeds, is highest. Of equals it is the one with the
    lowest target, and of these the one with the lowest lambda.

    Args:
        records: Of one model; each seed with the same images.
        rate: What is compared, for example `target_reached`.
    """
    _check_some("worst_attack", records)
    rates = {attack: rate(group) for attack, group in by_attack(records).items()}
    worst = max(rates, key=lambda attack: rates[attack].value)  # `max` keeps the first of equals
    return worst, rates[worst]


def over_seeds(records: Sequence[Record], figure: Callable[[list[Record]], float]) -> Spread:
    """Compute a figure from the records of each seed alone, and return how it varies with the seed.

    Args:
        records: Of one or more seeds.
        figure: From the records of one seed to a number, for example `mean_dissimilarity`.
    """
    _check_some("over_seeds", records)
    figures = [figure(group) for group in by_seed(records).values()]
    # The mean of `statistics` is exact but for its last rounding: whatever the order, between the least and the most.
    return Spread(statistics.mean(figures), min(figures), max(figures))


def _moved(record: Record) -> bool:
    return record.adversarial_prediction != record.clean_prediction


def _check_some(name: str, records: Sequence[Record]) -> None:
    if not records:
        raise ValueError(f"`{name}` needs at least one record. Received: none")


def _share(records: Iterable[Record], holds: Callable[[Record], bool]) -> Rate:
    outcomes = [holds(record) for record in records]
    return Rate(sum(outcomes), len(outcomes))
