"""Metrics over records. Each is defined here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from blurnet_tf.evaluation.records import Record


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

    def interval(self, z: float = 1.959963984540054) -> tuple[float, float]:
        """Return Wilson's interval (Wilson 1927), by default the one of 95%: low and high, in [0, 1].

        Example:
            >>> low, high = Rate(36, 40).interval(); round(low, 3), round(high, 3)
            (0.769, 0.96)
        """
        share, n = self.value, self.n
        centre = share + z * z / (2 * n)
        margin = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


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
    """Share of attacked images that are taken for the target.

    Raises:
        ValueError: A record has no target.
    """
    records = list(records)
    if any(record.target is None for record in records):
        raise ValueError("`target_reached` needs a target in every record. Received: a record with target=None")
    return _share(records, lambda record: record.adversarial_prediction == record.target)


def mean_dissimilarity(records: Sequence[Record]) -> float:
    """L2 dissimilarity, Eq. 1: the mean over the records."""
    if not records:
        raise ValueError("`mean_dissimilarity` needs at least one record. Received: none")
    return math.fsum(record.dissimilarity for record in records) / len(records)


def _share(records: Iterable[Record], holds: Callable[[Record], bool]) -> Rate:
    outcomes = [holds(record) for record in records]
    return Rate(sum(outcomes), len(outcomes))
