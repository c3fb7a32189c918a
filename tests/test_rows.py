"""The rows of all tables, counted by hand and against plain loops."""

from __future__ import annotations

import dataclasses
import json
import random
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_results import run_of

from blurnet_tf import CLASS_NAMES
from blurnet_tf.evaluation.metrics import Rate, wilson
from blurnet_tf.evaluation.records import Record
from blurnet_tf.models import TRANSFER_VARIANTS, VARIANTS
from blurnet_tf.reporting.figures import ROWS
from blurnet_tf.reporting.paper import NO_FIGURES, PAPER_TABLE_1, PAPER_TABLE_2, Figures
from blurnet_tf.reporting.rows import (
    Share,
    WhiteBoxRow,
    ablation_rows,
    lambda_rows,
    study_rows,
    transfer_row,
    transfer_rows,
    white_box_rows,
)
from blurnet_tf.reporting.tables import flat
from blurnet_tf.runs.run import Run, RunRow
from tests.examples import RECORD

BLANK = dataclasses.replace(RECORD, source="", attack_digest="", target=None, penalty=0.0, dissimilarity=0.2)


def images(predictions: Sequence[int], **values: Any) -> list[Record]:
    """A record for each of "a", "b", ...: all are stop signs, and "d" is taken for class 1 as it is."""
    return [
        dataclasses.replace(
            BLANK, image=image, clean_prediction=1 if image == "d" else 14, adversarial_prediction=prediction, **values
        )
        for image, prediction in zip("abcdefgh", predictions, strict=False)
    ]


def attack(row: str, target: int | None, penalty: float, seed: int, said: Sequence[int], far: float) -> list[Record]:
    return images(said, source=row, victim=row, target=target, penalty=penalty, seed=seed, dissimilarity=far)


def stickers(row: str) -> list[Record]:
    """White ones change 1 of 4, black ones none, the two draws of random ones none and 2."""
    return [
        *images([2, 14, 14, 1], attack="white", victim=row),
        *images([14, 14, 14, 1], attack="black", victim=row),
        *images([14, 14, 14, 1], attack="random", victim=row, seed=0),
        *images([14, 2, 14, 14], attack="random", victim=row, seed=1),
    ]


def one_seed(row: str) -> list[Record]:
    """Two attacks: 1 of 4 changed, to the target; and 2 of 4 changed, one of them to the target. Together 2 of 4."""
    return [*attack(row, 12, 0.002, 0, [12, 14, 14, 1], 0.2), *attack(row, 17, 0.002, 0, [12, 17, 14, 1], 0.3)]


def two_seeds(row: str) -> list[Record]:
    """Two targets with two lambdas. Success: 1, 2, 2, 0 of 4 in seed 3, and 3, 0, 0, 1 of 4 in seed 4."""
    return [
        *attack(row, 12, 0.002, 3, [12, 14, 14, 1], 0.1),
        *attack(row, 12, 0.02, 3, [14, 12, 2, 1], 0.1),
        *attack(row, 17, 0.002, 3, [17, 17, 14, 1], 0.1),
        *attack(row, 17, 0.02, 3, [14, 14, 14, 1], 0.1),
        *attack(row, 12, 0.002, 4, [14, 2, 12, 12], 0.2),
        *attack(row, 12, 0.02, 4, [14, 14, 14, 1], 0.2),
        *attack(row, 17, 0.002, 4, [14, 14, 14, 1], 0.2),
        *attack(row, 17, 0.02, 4, [14, 14, 14, 17], 0.2),
    ]


def runs_of(names: Sequence[str], kind: str = "white_box", **more: Any) -> Run:
    """A run whose models have an accuracy of 9 of 10."""
    fields = {"alpha": 1e-4, "test_correct": 9, "test_images": 10} | more
    rows = [RunRow(name=name, title=VARIANTS[name].title if name in VARIANTS else name, **fields) for name in names]
    return run_of(kind, rows, [], class_names=CLASS_NAMES)


def table(records: Sequence[Record], floor: Sequence[Record] | None = None, **more: Any) -> list[WhiteBoxRow]:
    """Table 2, with the plain stickers of `stickers` unless told otherwise."""
    names = list(dict.fromkeys(record.victim for record in records))
    if floor is None:
        floor = [record for name in names for record in stickers(name)]
    return white_box_rows(runs_of(names, **more), records, floor)


def with_interval(key: str, share: float, n: int) -> dict[str, float]:
    low, high = wilson(share, n)
    return {key: share, f"{key}_low": low, f"{key}_high": high}


def test_a_row_counted_by_hand() -> None:
    (row,) = table(one_seed("tv_1e-4"))
    expected = {
        "row": "tv_1e-4",
        "title": "TV 1e-4",
        "alpha": 1e-4,
        **with_interval("legitimate_accuracy", 0.9, 10),
        "n_test": 10,
        **with_interval("victim_accuracy", 0.75, 4),
        "confidence": None,
        **with_interval("floor_white", 0.25, 4),
        **with_interval("floor_black", 0.0, 4),
        "floor_random": 0.25,
        "floor_random_worst": 0.5,
        **with_interval("average_success", 0.375, 4),
        "average_success_seed_min": 0.375,
        "average_success_seed_max": 0.375,
        "success_deviation": 0.125,
        **with_interval("worst_success", 0.5, 4),
        "worst_success_seed_min": 0.5,
        "worst_success_seed_max": 0.5,
        "worst_target": "yield",
        "worst_lambda": 0.002,
        **with_interval("union_success", 0.5, 4),
        "union_success_seed_min": 0.5,
        "union_success_seed_max": 0.5,
        "target_reached_average": 0.25,
        "target_reached_worst": 0.25,
        "target_reached_worst_target": "speedLimit45",  # of two equals the first
        "l2_dissimilarity": 0.25,
        "l2_dissimilarity_seed_min": 0.25,
        "l2_dissimilarity_seed_max": 0.25,
        "n_targets": 2,
        "n_images": 4,
        "lambdas": [0.002],
        "seeds": [0],
        "paper_legitimate_accuracy": 0.856,
        "paper_average_success": 0.0792,
        "paper_worst_success": 0.175,
        "paper_l2_dissimilarity": 0.224,
        "difference_legitimate_accuracy": 0.9 - 0.856,
        "difference_average_success": 0.375 - 0.0792,
        "difference_worst_success": 0.5 - 0.175,
        "difference_l2_dissimilarity": 0.25 - 0.224,
    }
    assert list(flat(row).items()) == list(expected.items())  # the order of the columns too


def test_with_several_seeds_a_figure_is_the_mean_of_those_of_the_seeds() -> None:
    (row,) = table(two_seeds("baseline"))
    expected = {
        # (1 + 2 + 2 + 0) / 16 in seed 3 and (3 + 0 + 0 + 1) / 16 in seed 4
        **with_interval("average_success", 9 / 32, 4),
        "average_success_seed_min": 4 / 16,
        "average_success_seed_max": 5 / 16,
        # Of seed 3 alone it would be speedLimit45 with 0.02; over both seeds this one is at 4 of 8.
        **with_interval("worst_success", 0.5, 4),
        "worst_success_seed_min": 0.25,
        "worst_success_seed_max": 0.75,
        "worst_target": "speedLimit45",
        "worst_lambda": 0.002,
        **with_interval("union_success", 0.75, 4),
        "union_success_seed_min": 0.75,
        "union_success_seed_max": 0.75,
        "target_reached_average": (4 / 16 + 3 / 16) / 2,
        "target_reached_worst": 0.375,
        "target_reached_worst_target": "speedLimit45",  # 3 of 8 with 0.002, before yield's 2 of 8
        "l2_dissimilarity": pytest.approx(0.15, rel=1e-12),
        "l2_dissimilarity_seed_min": 0.1,
        "l2_dissimilarity_seed_max": 0.2,
        "n_targets": 2,
        "n_images": 4,
        "lambdas": [0.002, 0.02],
        "seeds": [3, 4],
    }
    columns = flat(row)
    assert {key: columns[key] for key in expected} == expected


def test_the_papers_figures_are_those_of_its_tables() -> None:
    assert {name: dataclasses.astuple(figures) for name, figures in PAPER_TABLE_2.items()} == {
        "baseline": (0.91, 0.4918, 0.90, 0.207),
        "depthwise_3x3": (0.863, 0.30, 0.55, 0.201),
        "depthwise_5x5": (0.863, 0.2411, 0.475, 0.189),
        "depthwise_7x7": (0.87, 0.1161, 0.30, 0.203),
        "tv_1e-4": (0.856, 0.0792, 0.175, 0.224),
        "tv_1e-5": (0.823, 0.0847, 0.30, 0.199),
    }
    assert list(PAPER_TABLE_1.values()) == [(1.0, 0.9), (1.0, 0.875), (1.0, 0.675), (1.0, 0.65), (0.875, 0.175)]
    assert list(ROWS) == [*PAPER_TABLE_2, "rp2_release"]


def test_the_rows_are_those_of_the_run_in_its_order() -> None:
    names = ["mine", "tv_1e-5", "baseline"]
    rows = table([record for name in names for record in one_seed(name)])
    assert [(row.name, row.title) for row in rows] == [
        ("mine", "mine"), ("tv_1e-5", "TV 1e-5"), ("baseline", "Baseline"),
    ]  # fmt: skip
    assert (rows[0].paper, rows[0].difference) == (NO_FIGURES, NO_FIGURES)
    floor = [*stickers("baseline"), *stickers("tv_1e-4")]  # what is of no row is left aside
    assert table(one_seed("baseline"), floor) == table(one_seed("baseline"))


def test_a_users_own_model_has_no_figures_of_the_paper_whatever_its_name() -> None:
    (row,) = table(one_seed("baseline"), kind="model_white_box", test_correct=None, test_images=None, alpha=None)
    assert (row.paper, row.difference, row.legitimate_accuracy, row.n_test) == (NO_FIGURES, NO_FIGURES, None, None)
    assert row.average_success == table(one_seed("baseline"))[0].average_success
    columns = flat(row)
    assert list(columns) == list(flat(table(one_seed("baseline"))[0]))
    assert (columns["legitimate_accuracy"], columns["legitimate_accuracy_low"]) == (None, None)
    (shown,) = transfer_rows(runs_of(["baseline"], "model_transfer"), attack("baseline", 12, 0.1, 0, [12] * 4, 0.1))
    assert (shown.paper_accuracy, shown.paper_attack_success) == (None, None)


def test_each_lambda_alone_is_the_table_of_its_records() -> None:
    records = [*two_seeds("baseline"), *two_seeds("mine")]
    floor = [*stickers("baseline"), *stickers("mine")]
    rows = lambda_rows(runs_of(["baseline", "mine"]), records, floor)
    assert [(row.attacked.name, row.penalty) for row in rows] == [
        ("baseline", 0.002), ("baseline", 0.02), ("mine", 0.002), ("mine", 0.02),
    ]  # fmt: skip
    for row in rows:
        alone = table([one for one in records if (one.victim, one.penalty) == (row.attacked.name, row.penalty)])
        assert [row.attacked] == alone
    assert lambda_rows(runs_of(["mine"]), one_seed("mine"), stickers("mine")) == []
    assert list(flat(rows[0]))[:3] == ["lambda", "row", "title"]


def test_a_study_is_a_row_with_what_it_changes() -> None:
    extra = {"total_variation": 37.25, "relative_total_variation": 0.5}
    run = runs_of(["tv_1e-4"], "study", change="alpha 1", extra=extra)
    (row,) = study_rows(run, one_seed("tv_1e-4"), stickers("tv_1e-4"))
    assert (row.run, row.change, row.attacked) == ("tv_1e-4", "alpha 1", table(one_seed("tv_1e-4"))[0])
    columns = flat(row)
    assert list(columns)[:4] == ["run", "change", "row", "title"]
    assert {key: columns[key] for key in extra} == extra


@st.composite
def sweeps(draw: st.DrawFn) -> tuple[list[Record], list[Record]]:
    """Attacks and stickers of up to three rows, whole, with any predictions and distances."""
    rows = draw(st.lists(st.sampled_from([*ROWS, "mine"]), min_size=1, max_size=3, unique=True))
    n = draw(st.integers(1, 5))
    said = st.lists(st.sampled_from([14, 1, 12]), min_size=n, max_size=n)
    targets = draw(st.lists(st.integers(0, 17), min_size=1, max_size=3, unique=True))
    penalties = draw(st.lists(st.sampled_from([0.0, 0.002, 0.1]), min_size=1, max_size=2, unique=True))
    seeds = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True))
    records = [
        record
        for row in rows
        for target in targets
        for penalty in penalties
        for seed in seeds
        for record in attack(row, target, penalty, seed, draw(said), draw(st.floats(0, 0.4)))
    ]
    floor = [
        record
        for row in rows
        for kind, draws in (("white", 1), ("black", 1), ("random", 3))
        for seed in range(draws)
        for record in images(draw(said), attack=kind, victim=row, seed=seed)
    ]
    return records, floor


@given(sweeps(), st.randoms(use_true_random=False))
def test_the_order_of_the_records_changes_no_byte(
    sweep: tuple[list[Record], list[Record]], shuffler: random.Random
) -> None:
    records, floor = sweep
    run = runs_of(list(dict.fromkeys(record.victim for record in records)))
    rows = white_box_rows(run, records, floor)
    for order in (records, floor):
        shuffler.shuffle(order)
    shuffled = white_box_rows(run, records, floor)
    assert json.dumps([*map(flat, shuffled)], allow_nan=False) == json.dumps([*map(flat, rows)], allow_nan=False)


@given(sweeps())
def test_average_worst_and_union_are_in_order_and_so_are_the_seeds(sweep: tuple[list[Record], list[Record]]) -> None:
    for row in table(*sweep):
        average, worst, union = row.average_success, row.worst_success, row.union_success
        assert average.value <= worst.value <= union.value
        assert average.low <= worst.low <= union.low
        assert average.high <= worst.high <= union.high
        # In one seed the worst attack over all seeds may be a weak one.
        assert average.least <= union.least
        assert average.most <= union.most
        for share in (average, worst, union):
            assert share.least <= share.value <= share.most
            assert share.n == row.n_images
            assert len(row.seeds) > 1 or share.least == share.value == share.most
        assert row.l2_dissimilarity.least <= row.l2_dissimilarity.mean <= row.l2_dissimilarity.most
        assert row.target_reached_average <= row.target_reached_worst
        assert row.floor_random <= row.floor_random_worst


@given(sweeps())
def test_a_row_is_what_plain_loops_count(sweep: tuple[list[Record], list[Record]]) -> None:
    records, floor = sweep
    for row in table(records, floor):
        mine = [one for one in records if one.victim == row.name]
        plain = [one for one in floor if one.victim == row.name and one.attack == "white"]
        keys = {(one.target, one.penalty, one.seed) for one in mine}
        rates = []
        for key in keys:
            hits = [
                one.adversarial_prediction != one.clean_prediction
                for one in mine
                if (one.target, one.penalty, one.seed) == key
            ]
            rates.append(sum(hits) / len(hits))
        assert row.average_success.value == pytest.approx(statistics.mean(rates))
        assert row.victim_accuracy == Share.of(
            Rate(sum(one.clean_prediction == one.label for one in plain), len(plain))
        )
        changed = sum(one.adversarial_prediction != one.clean_prediction for one in plain)
        assert row.floor_white == Share.of(Rate(changed, len(plain)))
        assert row.l2_dissimilarity.mean == pytest.approx(statistics.mean(one.dissimilarity for one in mine))


def fails(phrase: str, *arguments: Any, **more: Any) -> None:
    with pytest.raises(ValueError, match=phrase):
        table(*arguments, **more)


def test_no_records_are_an_error() -> None:
    fails("needs at least one record", [])
    with pytest.raises(ValueError, match="Row 'mine' of Table 2 needs at least one record"):
        white_box_rows(runs_of(["baseline", "mine"]), one_seed("baseline"), stickers("baseline"))


def test_a_black_box_attack_is_an_error() -> None:
    records = [*one_seed("baseline"), dataclasses.replace(one_seed("baseline")[0], victim="tv_1e-4")]
    fails("Received: source='baseline', victim='tv_1e-4'", records)


def test_attacks_of_several_kinds_in_one_row_are_an_error() -> None:
    records = one_seed("baseline") + [
        dataclasses.replace(one, attack="bim", penalty=0.0) for one in one_seed("baseline")
    ]
    fails("Row 'baseline' of Table 2 needs records of one attack. Received: RP2, bim", records)


@pytest.mark.parametrize("target", [None, -1, 18])
def test_an_attack_without_a_class_for_its_target_is_an_error(target: int | None) -> None:
    fails(f"Received: target={target}", attack("baseline", target, 0.002, 0, [14, 14, 14, 1], 0.2))


@pytest.mark.parametrize(
    ("changes", "received"),
    [
        ({"attack": "green"}, "attack='green', source='', target=None, penalty=0"),
        ({"source": "baseline"}, "attack='white', source='baseline', target=None, penalty=0"),
        ({"penalty": 0.002}, "attack='white', source='', target=None, penalty=0.002"),
    ],
)
def test_a_floor_of_something_else_is_an_error(changes: dict[str, Any], received: str) -> None:
    floor = stickers("baseline")
    floor[0] = dataclasses.replace(floor[0], **changes)
    fails(f"needs records of white, black, random stickers .*Received: {received}", one_seed("baseline"), floor)


def test_an_attack_that_one_seed_lacks_is_an_error() -> None:
    records = [record for record in two_seeds("mine") if (record.target, record.penalty, record.seed) != (17, 0.002, 4)]
    fails("Row 'mine' .*Received: no records of target yield, lambda 0.002, seed 4", records)


@pytest.mark.parametrize(("kept", "received"), [((), "none"), (("random", "white"), "white, random")])
def test_a_row_without_its_floor_is_an_error(kept: tuple[str, ...], received: str) -> None:
    floor = [record for record in stickers("baseline") if record.attack in kept] + stickers("tv_1e-4")
    fails(f"needs a floor of white, black, random stickers. Received: {received}$", one_seed("baseline"), floor)


@pytest.mark.parametrize("missing", ["test_correct", "test_images"])
def test_a_row_of_the_paper_without_its_accuracy_is_an_error(missing: str) -> None:
    fails("Row 'baseline' of Table 2 needs its accuracy on held-out images", one_seed("baseline"), **{missing: None})


def test_an_attack_on_other_images_is_an_error() -> None:
    records = one_seed("baseline")
    where = "target yield, lambda 0.002, seed 0"
    fails(f"each of its 4 images once .*Received: 3 records, of 3 of them, for {where}", records[:-1])
    fails(f"each of its 4 images once .*Received: 5 records, of 4 of them, for {where}", [*records, records[-1]])
    renamed = [*records[:-1], dataclasses.replace(records[-1], image="e")]
    fails("each of its 5 images once .*Received: 4 records, of 4 of them, for target speedLimit45", renamed)


def test_a_floor_on_other_images_is_an_error() -> None:
    records, floor = one_seed("baseline"), stickers("baseline")
    fails("3 records, of 3 of them, for random stickers, draw 1", records, floor[:-1])
    second = [dataclasses.replace(record, seed=1) for record in floor if record.attack == "white"]
    fails("8 records, of 4 of them, for white stickers, draw 0", records, floor + second)
    other = [dataclasses.replace(record, image="e") if record.image == "d" else record for record in floor]
    fails("4 records, of 3 of them, for black stickers, draw 0", records, other)


@pytest.mark.parametrize("changes", [{"clean_prediction": 3}, {"label": 3}])
def test_records_of_two_models_under_one_name_are_an_error(changes: dict[str, int]) -> None:
    records, floor = one_seed("baseline"), stickers("baseline")
    phrase = "one label and one clean prediction for each image. Received: several for 'a'"
    fails(phrase, [dataclasses.replace(records[0], **changes), *records[1:]])
    fails(phrase, records, [dataclasses.replace(floor[0], **changes), *floor[1:]])


# --- Table 1 and the ablation ---------------------------------------------------------------------------------------


def shown_to_all() -> list[Record]:
    """Ten images a victim; victim k loses k + 1 of them to the target, and has a clean error on the last."""
    records = []
    for row, victim in enumerate(TRANSFER_VARIANTS):
        for image in range(10):
            record = dataclasses.replace(RECORD, image=str(image), victim=victim)
            if image <= row:
                record = dataclasses.replace(record, adversarial_prediction=12)
            if image == 9:
                record = dataclasses.replace(record, clean_prediction=1, adversarial_prediction=1)
            records.append(record)
    return records


def test_the_rows_of_a_transfer_counted_by_hand() -> None:
    rows = transfer_rows(runs_of(TRANSFER_VARIANTS, "transfer"), shown_to_all())
    assert [row.name for row in rows] == ["baseline", "input_3x3", "input_5x5", "feature_3x3", "feature_5x5"]
    for index, row in enumerate(rows):
        assert row.n == 10
        assert row.accuracy == Share.of(Rate(9, 10))
        assert row.attack_success == Share.of(Rate(index + 2, 10))  # the clean error is no stop sign either
        assert row.prediction_changed == row.target_reached == Share.of(Rate(index + 1, 10))
        assert row.l2_dissimilarity == 0.25
        assert (row.paper_accuracy, row.paper_attack_success) == PAPER_TABLE_1[row.name]
    untargeted = [dataclasses.replace(record, target=None) for record in shown_to_all()]
    assert transfer_row("baseline", "Baseline", untargeted).target_reached is None


def test_a_transfer_needs_every_victim_and_one_attack() -> None:
    run, records = runs_of(TRANSFER_VARIANTS, "transfer"), shown_to_all()
    with pytest.raises(ValueError, match="needs records of the model 'feature_3x3'"):
        transfer_rows(run, [record for record in records if record.victim != "feature_3x3"])
    for changes in ({"seed": 1}, {"attack_digest": "f" * 12}, {"target": 1}):
        with pytest.raises(ValueError, match=r"about one attack\. Received: records of 2"):
            transfer_rows(run, [dataclasses.replace(records[0], **changes), *records[1:]])


def test_the_rows_of_the_ablation_counted_by_hand() -> None:
    def record(victim: str, clean: int, attacked: int, number: int) -> Record:
        named = {"image": f"{number}.png", "victim": victim}
        return dataclasses.replace(RECORD, **named, clean_prediction=clean, adversarial_prediction=attacked)

    records = [record("baseline", 14, 12 if number < 3 else 14, number) for number in range(4)]
    records += [record("blur", 3 if number == 0 else 14, 3 if number == 0 else 14, number) for number in range(4)]
    places = {"baseline": {"layer": 0, "size": 0}, "blur": {"layer": 2, "size": 3}}
    rows = [
        RunRow(name=name, title=name, test_correct=correct, test_images=10, extra=places[name])
        for name, correct in (("baseline", 9), ("blur", 2))
    ]
    plain, blurred = ablation_rows(run_of("ablation", rows, []), records)
    assert (plain.name, plain.layer, plain.size, plain.n_test, plain.n) == ("baseline", 0, 0, 10, 4)
    assert (blurred.name, blurred.layer, blurred.size) == ("blur", 2, 3)
    shares = [plain.legitimate_accuracy, plain.victim_accuracy, plain.attack_success]
    assert shares == [Share.of(Rate(9, 10)), Share.of(Rate(4, 4)), Share.of(Rate(3, 4))]
    shares = [blurred.legitimate_accuracy, blurred.victim_accuracy, blurred.attack_success]
    assert shares == [Share.of(Rate(2, 10)), Share.of(Rate(3, 4)), Share.of(Rate(1, 4))]
    assert list(flat(plain))[:4] == ["row", "layer", "size", "legitimate_accuracy"]
    with pytest.raises(ValueError, match="The ablation needs records of the model 'blur'"):
        ablation_rows(run_of("ablation", rows, []), records[:4])
    unknown = [dataclasses.replace(rows[0], test_correct=None)]
    with pytest.raises(ValueError, match="needs the accuracy of 'baseline'"):
        ablation_rows(run_of("ablation", unknown, []), records)


def test_a_share_knows_what_its_interval_holds() -> None:
    share = Share.of(Rate(36, 40))
    assert (share.value, share.low, share.high) == (0.9, *wilson(0.9, 40))
    assert 0.8 in share
    assert 0.5 not in share
    assert Figures(0.1, None, 0.2, 0.3) != NO_FIGURES
