import dataclasses
import random
import re
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.metrics import Attack, Rate, Spread
from blurnet_tf.evaluation.records import Record
from tests.examples import RECORD


def record(clean: int, adversarial: int, *, target: int | None = 12, dissimilarity: float = 0.2) -> Record:
    changed = {"clean_prediction": clean, "adversarial_prediction": adversarial}
    return dataclasses.replace(RECORD, target=target, dissimilarity=dissimilarity, **changed)


# Clean right and kept; clean right and moved to the target; clean right and moved elsewhere; clean wrong and kept;
# clean wrong and moved to the label by the attack.
RECORDS = [record(14, 14), record(14, 12), record(14, 2), record(1, 1), record(1, 14)]


def test_the_rates_of_a_hand_made_example() -> None:
    assert metrics.accuracy(RECORDS) == Rate(3, 5)
    assert metrics.prediction_changed(RECORDS) == Rate(3, 5)  # moved, whatever the label
    assert metrics.misclassified(RECORDS) == Rate(3, 5)  # not stop: 12, 2 and the clean error that stays
    assert metrics.target_reached(RECORDS) == Rate(1, 5)


def test_the_two_successes_differ_where_the_clean_image_is_wrong() -> None:
    assert metrics.prediction_changed([record(1, 1)]) == Rate(0, 1)
    assert metrics.misclassified([record(1, 1)]) == Rate(1, 1)
    assert metrics.prediction_changed([record(1, 14)]) == Rate(1, 1)
    assert metrics.misclassified([record(1, 14)]) == Rate(0, 1)


def test_the_mean_dissimilarity_is_eq_1() -> None:
    values = [0.1, 0.25, 0.3]
    assert metrics.mean_dissimilarity([record(14, 14, dissimilarity=value) for value in values]) == pytest.approx(
        np.mean(values), rel=1e-12
    )


def test_the_stacked_dissimilarity_has_one_norm_over_all_images() -> None:
    random = np.random.default_rng(0)
    clean, adversarial = random.random((2, 5, 4, 3, 3), np.float32)
    changed, size = ((one.astype(np.float64) ** 2).sum() ** 0.5 for one in (clean - adversarial, adversarial))
    assert metrics.stacked_dissimilarity(clean, adversarial) == pytest.approx(changed / size, rel=1e-6)
    assert metrics.stacked_dissimilarity(adversarial, adversarial) == 0
    order = random.permutation(5)
    assert metrics.stacked_dissimilarity(clean[order], adversarial[order]) == pytest.approx(changed / size, rel=1e-6)


def test_the_stacked_dissimilarity_of_one_image_is_eq_1_and_of_several_not_their_mean() -> None:
    clean = np.full((2, 2, 2, 3), 0.5, np.float32)
    adversarial = clean * np.array([1, 2], np.float32)[:, None, None, None]
    one = [metrics.stacked_dissimilarity(clean[[index]], adversarial[[index]]) for index in (0, 1)]
    assert one == [0, pytest.approx(0.5)]  # Eq. 1 of the two: 0.25
    assert metrics.stacked_dissimilarity(clean, adversarial) == pytest.approx(0.5 / np.sqrt(0.5**2 + 1.0))


def test_the_stacked_dissimilarity_is_summed_exactly_over_many_images() -> None:
    adversarial = np.full((4000, 32, 32, 3), 0.1, np.float32)
    clean = adversarial.copy()
    clean[0, 0, 0, 0] += np.float32(1e-3)
    expected = float(np.float64(clean[0, 0, 0, 0]) - 0.1) / (0.1 * np.sqrt(adversarial.size))
    assert metrics.stacked_dissimilarity(clean, adversarial) == pytest.approx(expected, rel=1e-3)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(count_and_n: tuple[int, int]) -> None:
    count, n = count_and_n
    expected = scipy.stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    low, high = Rate(count, n).interval()
    assert low == pytest.approx(expected.low, abs=1e-9)
    assert high == pytest.approx(expected.high, abs=1e-9)
    assert 0 <= low <= count / n <= high <= 1 or count in (0, n)


@pytest.mark.parametrize("z", [1.0, 1.959963984540054, 2.575829303548901])
def test_the_interval_of_a_rate_is_that_of_its_share(z: float) -> None:
    assert Rate(7, 40).interval(z) == metrics.wilson(7 / 40, 40, z)
    assert Rate(7, 40).interval() == metrics.wilson(7 / 40, 40)


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_an_interval_holds_its_share_and_mirrors_that_of_the_rest(share: float, n: int) -> None:
    low, high = metrics.wilson(share, n)
    assert 0 <= low <= high <= 1
    assert low <= share + 1e-12
    assert high >= share - 1e-12
    assert metrics.wilson(1 - share, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize(("share", "n"), [(-0.1, 4), (1.1, 4), (float("nan"), 4), (0.5, 0)])
def test_an_impossible_interval_is_an_error(share: float, n: int) -> None:
    sentence = f"An interval needs 0 <= share <= 1 and n > 0. Received: share={share}, n={n}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        metrics.wilson(share, n)


@pytest.mark.parametrize(("count", "n"), [(0, 0), (2, 1), (-1, 5)])
def test_an_impossible_rate_is_an_error(count: int, n: int) -> None:
    sentence = f"A rate needs 0 <= count <= n and n > 0. Received: count={count}, n={n}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Rate(count, n)


def test_no_records_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"^`mean_dissimilarity` needs at least one record\. Received: none$"):
        metrics.mean_dissimilarity([])
    with pytest.raises(ValueError, match=r"^A rate needs"):
        metrics.accuracy([])


def test_target_reached_needs_a_target() -> None:
    untargeted = dataclasses.replace(RECORDS[0], target=None)
    sentence = "`target_reached` needs a target in every record. Received: a record with target=None"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        metrics.target_reached([untargeted])


def attack(target: int | None, penalty: float, seed: int, adversarial: list[int]) -> list[Record]:
    """An attack on the images "0", "1", ..., all of them clean 14."""
    return [
        dataclasses.replace(record(14, prediction, target=target), image=str(image), penalty=penalty, seed=seed)
        for image, prediction in enumerate(adversarial)
    ]


def sweep(target: int | None, penalty: float) -> Attack:
    """The key of the attack that `attack` makes records of."""
    return Attack(target, penalty, RECORD.attack_digest)


# Success: 1/4, 2/4, 2/4, 0/4 in seed 0 and 3/4, 1/4, 0/4, 1/4 in seed 1. Over the seeds the first is the worst attack.
SWEEP = [
    *attack(12, 0.002, 0, [12, 14, 14, 14]),
    *attack(12, 0.02, 0, [14, 12, 2, 14]),
    *attack(17, 0.002, 0, [17, 17, 14, 14]),
    *attack(17, 0.02, 0, [14, 14, 14, 14]),
    *attack(12, 0.002, 1, [12, 2, 2, 14]),
    *attack(12, 0.02, 1, [12, 14, 14, 14]),
    *attack(17, 0.002, 1, [14, 14, 14, 14]),
    *attack(17, 0.02, 1, [17, 14, 14, 14]),
]


def test_the_union_counts_an_image_that_any_attack_changes_once() -> None:
    seeds = metrics.by_seed(SWEEP)
    assert metrics.union(seeds[0]) == Rate(3, 4)
    assert metrics.union(seeds[1]) == Rate(3, 4)
    assert metrics.union(SWEEP) == Rate(3, 4)
    assert metrics.union(attack(17, 0.02, 0, [14, 14, 14, 14])) == Rate(0, 4)


def test_the_average_is_over_the_attacks_of_a_sweep() -> None:
    seeds = metrics.by_seed(SWEEP)
    assert metrics.average_over_attacks(seeds[0]) == (1 + 2 + 2 + 0) / 16
    assert metrics.average_over_attacks(seeds[1]) == (3 + 1 + 0 + 1) / 16
    assert metrics.average_over_attacks(seeds[0], metrics.target_reached) == (1 + 1 + 2 + 0) / 16


def test_each_attack_weighs_the_same_in_the_average_whatever_its_images() -> None:
    records = [*attack(12, 0.002, 0, [12]), *attack(17, 0.002, 0, [14, 14, 14, 14])]
    assert metrics.average_over_attacks(records) == 0.5


def test_the_worst_attack_is_the_one_that_succeeds_most_often() -> None:
    seeds = metrics.by_seed(SWEEP)
    # 2/4 twice: the lowest target first.
    assert metrics.worst_attack(seeds[0]) == (sweep(12, 0.02), Rate(2, 4))
    assert metrics.worst_attack(seeds[0], metrics.target_reached) == (sweep(17, 0.002), Rate(2, 4))
    assert metrics.worst_attack(seeds[1]) == (sweep(12, 0.002), Rate(3, 4))
    assert metrics.worst_attack(SWEEP) == (sweep(12, 0.002), Rate(4, 8))  # 4, 3, 2, 1 of 8


def test_of_equally_bad_attacks_the_lowest_target_comes_first_then_the_lowest_lambda() -> None:
    equal = [attack(target, penalty, 0, [1, 14]) for target, penalty in ((17, 0.1), (2, 0.2), (2, 0.1), (17, 0.01))]
    assert metrics.worst_attack([one for group in equal for one in group]) == (sweep(2, 0.1), Rate(1, 2))


def test_attacks_and_seeds_stand_in_order() -> None:
    records = [*attack(12, 0.2, 3, [12]), *attack(None, 0.0, 0, [14]), *attack(12, 0.1, 3, [12]), *SWEEP]
    expected = [(None, 0.0), (12, 0.002), (12, 0.02), (12, 0.1), (12, 0.2), (17, 0.002), (17, 0.02)]
    assert list(metrics.by_attack(records)) == [sweep(*one) for one in expected]
    assert list(metrics.by_seed(records)) == [0, 1, 3]
    assert sum(map(len, metrics.by_attack(records).values())) == len(records)
    assert sum(map(len, metrics.by_seed(records).values())) == len(records)


def test_two_attacks_of_one_target_and_lambda_are_told_apart_by_their_digests() -> None:
    records = attack(12, 0.002, 0, [14, 12])
    others = [dataclasses.replace(one, attack_digest="other", adversarial_prediction=2) for one in records]
    mixed = [one for pair in zip(records, others, strict=True) for one in pair]
    groups = metrics.by_attack(mixed)
    assert [groups[Attack(12, 0.002, digest)] for digest in (RECORD.attack_digest, "other")] == [records, others]
    assert metrics.average_over_attacks(mixed) == (1 + 2) / 4
    assert metrics.worst_attack(mixed) == (Attack(12, 0.002, "other"), Rate(2, 2))


def test_a_figure_over_the_seeds_has_their_mean_and_extremes() -> None:
    assert metrics.over_seeds(SWEEP, metrics.average_over_attacks) == Spread(5 / 16, 5 / 16, 5 / 16)
    assert metrics.over_seeds(SWEEP, lambda records: metrics.worst_attack(records)[1].value) == Spread(0.625, 0.5, 0.75)


def sweeps() -> st.SearchStrategy[list[Record]]:
    """Every target with every lambda and seed, on the same images, each with any prediction."""

    def build(targets: set[int], penalties: set[float], seeds: set[int], n: int) -> st.SearchStrategy[list[Record]]:
        attacks = [(target, penalty, seed) for target in targets for penalty in penalties for seed in seeds]
        size = len(attacks)
        predictions = st.lists(
            st.lists(st.sampled_from([14, 12, 3]), min_size=n, max_size=n), min_size=size, max_size=size
        )
        return predictions.map(
            lambda lists: [one for key, said in zip(attacks, lists, strict=True) for one in attack(*key, said)]
        )

    return st.tuples(
        st.sets(st.integers(0, 17), min_size=1, max_size=4),
        st.sets(st.sampled_from([0.0, 0.0002, 0.1, 0.7]), min_size=1, max_size=3),
        st.sets(st.integers(0, 9), min_size=1, max_size=3),
        st.integers(1, 7),
    ).flatmap(lambda drawn: build(*drawn))


@given(sweeps(), st.randoms(use_true_random=False))
def test_the_average_is_at_most_the_worst_and_that_at_most_the_union(
    records: list[Record], shuffler: random.Random
) -> None:
    def worst(records: list[Record]) -> float:
        return metrics.worst_attack(records)[1].value

    for group in metrics.by_seed(records).values():
        assert metrics.average_over_attacks(group) <= worst(group) <= metrics.union(group).value
    figures = metrics.average_over_attacks, worst, lambda records: metrics.union(records).value
    spreads = [metrics.over_seeds(records, figure) for figure in figures]
    assert spreads[0].mean <= spreads[1].mean <= spreads[2].mean
    assert all(spread.least <= spread.mean <= spread.most for spread in spreads)
    assert metrics.worst_attack(records)[1].value <= spreads[1].mean + 1e-12  # one attack for all the seeds
    shuffled = list(records)
    shuffler.shuffle(shuffled)
    assert [metrics.over_seeds(shuffled, figure) for figure in figures] == spreads
    assert metrics.worst_attack(shuffled) == metrics.worst_attack(records)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("average_over_attacks", lambda: metrics.average_over_attacks([])),
        ("worst_attack", lambda: metrics.worst_attack([])),
        ("over_seeds", lambda: metrics.over_seeds([], metrics.mean_dissimilarity)),
    ],
)
def test_no_attack_is_an_error(name: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=f"^`{name}` needs at least one record\\. Received: none$"):
        call()
    with pytest.raises(ValueError, match=r"^A rate needs 0 <= count <= n and n > 0\. Received: count=0, n=0$"):
        metrics.union([])
