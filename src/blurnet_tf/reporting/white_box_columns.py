"""The columns of Table 2 that are counted from the records of one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.metrics import Attack, Spread
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.tables import with_interval
from blurnet_tf.reporting.white_box_checks import FLOORS


def floor_columns(plain: Sequence[Record]) -> dict[str, Any]:
    """Return what there is without an attack: `victim_accuracy` and `floor_...` of `white_box_table`.

    Args:
        plain: Plain stickers on one model; `check_row` has passed them.
    """
    stickers = {kind: [record for record in plain if record.source == kind] for kind in FLOORS}
    random = metrics.over_seeds(stickers["random"], lambda draw: metrics.prediction_changed(draw).value)
    rates = {
        "victim_accuracy": metrics.accuracy(stickers["white"]),  # of the clean images; each kind has them all
        "floor_white": metrics.prediction_changed(stickers["white"]),
        "floor_black": metrics.prediction_changed(stickers["black"]),
    }
    row: dict[str, Any] = {}
    for key, rate in rates.items():
        row |= with_interval(key, rate.value, rate.n)
    return row | {"floor_random": random.mean, "floor_random_worst": random.most}


def attack_columns(attacked: Sequence[Record], class_names: Sequence[str]) -> dict[str, Any]:
    """Return what the attacks reach: `average_success` to `seeds` of `white_box_table`.

    Args:
        attacked: All attacks on one model; `check_row` has passed them.
        class_names: The names of the classes.
    """
    changed, reached = metrics.prediction_changed, metrics.target_reached
    n = len({record.image for record in attacked})
    attacks = metrics.by_attack(attacked)
    worst, _ = metrics.worst_attack(attacked, changed)
    most_reached, _ = metrics.worst_attack(attacked, reached)
    distance = metrics.over_seeds(attacked, metrics.mean_dissimilarity)
    return {
        **_columns("average_success", _average(attacked, changed), n),
        **_columns("worst_success", _of(attacked, worst, changed), n),
        "worst_target": _target_name(worst, class_names),
        "worst_lambda": worst.penalty,
        **_columns("union_success", metrics.over_seeds(attacked, lambda records: metrics.union(records).value), n),
        "target_reached_average": _average(attacked, reached).mean,
        "target_reached_worst": _of(attacked, most_reached, reached).mean,
        "target_reached_worst_target": _target_name(most_reached, class_names),
        "l2_dissimilarity": distance.mean,
        **_range("l2_dissimilarity", distance),
        "n_targets": len({attack.target for attack in attacks}),
        "n_images": n,
        "lambdas": sorted({attack.penalty for attack in attacks}),
        "seeds": list(metrics.by_seed(attacked)),
    }


def _average(attacked: Sequence[Record], rate: metrics.RateOf) -> Spread:
    return metrics.over_seeds(attacked, lambda records: metrics.average_over_attacks(records, rate))


def _of(attacked: Sequence[Record], attack: Attack, rate: metrics.RateOf) -> Spread:
    mine = metrics.by_attack(attacked)[attack]
    return metrics.over_seeds(mine, lambda records: rate(records).value)


def _columns(key: str, spread: Spread, n: int) -> dict[str, float]:
    return with_interval(key, spread.mean, n) | _range(key, spread)


def _range(key: str, spread: Spread) -> dict[str, float]:
    return {f"{key}_seed_min": spread.least, f"{key}_seed_max": spread.most}


def _target_name(attack: Attack, class_names: Sequence[str]) -> str:
    return "" if attack.target is None else class_names[attack.target]
