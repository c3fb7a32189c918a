import dataclasses
import re

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.records import Record


def record(clean: int, adversarial: int, *, target: int | None = 12, dissimilarity: float = 0.2) -> Record:
    return Record(
        image="x",
        label=14,
        source="baseline",
        victim="baseline",
        target=target,
        penalty=0.002,
        seed=0,
        clean_prediction=clean,
        adversarial_prediction=adversarial,
        dissimilarity=dissimilarity,
    )


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


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(count_and_n: tuple[int, int]) -> None:
    count, n = count_and_n
    expected = scipy.stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    low, high = Rate(count, n).interval()
    assert low == pytest.approx(expected.low, abs=1e-9)
    assert high == pytest.approx(expected.high, abs=1e-9)
    assert 0 <= low <= count / n <= high <= 1 or count in (0, n)


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
