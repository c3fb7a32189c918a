import csv
import dataclasses
import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blurnet_tf import CLASS_NAMES
from blurnet_tf.evaluation.metrics import Rate, wilson
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.tables import write_table
from blurnet_tf.reporting.white_box import PAPER_TABLE_2, ROWS, white_box_markdown, white_box_table
from tests.examples import RECORD

BLANK = dataclasses.replace(RECORD, source="", target=None, penalty=0.0, dissimilarity=0.2)


def images(predictions: Sequence[int], **values: Any) -> list[Record]:
    """A record for each of "a", "b", ...: all are stop signs, and "d" is taken for class 1 as it is."""
    return [
        dataclasses.replace(
            BLANK,
            image=image,
            clean_prediction=1 if image == "d" else 14,
            adversarial_prediction=prediction,
            **values,
        )
        for image, prediction in zip("abcdefgh", predictions, strict=False)
    ]


def attack(row: str, target: int | None, penalty: float, seed: int, said: Sequence[int], far: float) -> list[Record]:
    return images(said, source=row, victim=row, target=target, penalty=penalty, seed=seed, dissimilarity=far)


def stickers(row: str) -> list[Record]:
    """White ones change 1 of 4, black ones none, the two draws of random ones none and 2."""
    return [
        *images([2, 14, 14, 1], source="white", victim=row),
        *images([14, 14, 14, 1], source="black", victim=row),
        *images([14, 14, 14, 1], source="random", victim=row, seed=0),
        *images([14, 2, 14, 14], source="random", victim=row, seed=1),
    ]


def one_seed(row: str) -> list[Record]:
    """Two attacks: 1 of 4 changed, to the target; and 2 of 4 changed, one of them to the target. Together 2 of 4."""
    return [
        *attack(row, 12, 0.002, 0, [12, 14, 14, 1], 0.2),
        *attack(row, 17, 0.002, 0, [12, 17, 14, 1], 0.3),
    ]


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


def table(
    records: Sequence[Record],
    floor: Sequence[Record] | None = None,
    legitimate: Mapping[str, Rate] | None = None,
) -> list[dict[str, Any]]:
    """The table, with the plain stickers of `stickers` and an accuracy of 9 of 10 unless told otherwise."""
    rows = dict.fromkeys(record.victim for record in records)
    if floor is None:
        floor = [record for row in rows for record in stickers(row)]
    if legitimate is None:
        legitimate = dict.fromkeys(rows, Rate(9, 10))
    return white_box_table(records, floor, legitimate, class_names=CLASS_NAMES)


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
        **with_interval("floor_white", 0.25, 4),
        **with_interval("floor_black", 0.0, 4),
        "floor_random": 0.25,
        "floor_random_worst": 0.5,
        **with_interval("average_success", 0.375, 4),
        "average_success_seed_min": 0.375,
        "average_success_seed_max": 0.375,
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
    assert list(row.items()) == list(expected.items())  # the order of the columns too


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
    assert {key: row[key] for key in expected} == expected


def test_the_papers_figures_are_those_of_its_table_2() -> None:
    assert PAPER_TABLE_2 == {
        "baseline": (0.91, 0.4918, 0.90, 0.207),
        "depthwise_3x3": (0.863, 0.30, 0.55, 0.201),
        "depthwise_5x5": (0.863, 0.2411, 0.475, 0.189),
        "depthwise_7x7": (0.87, 0.1161, 0.30, 0.203),
        "tv_1e-4": (0.856, 0.0792, 0.175, 0.224),
        "tv_1e-5": (0.823, 0.0847, 0.30, 0.199),
    }


def test_the_rows_stand_in_the_papers_order_and_others_after_them() -> None:
    names = ["mine", "rp2_release", "tv_1e-5", "feature_5x5", "depthwise_3x3", "baseline", "another"]
    rows = table([record for name in names for record in one_seed(name)])
    assert [(row["row"], row["title"], row["alpha"]) for row in rows] == [
        ("baseline", "Baseline", 0.0),
        ("depthwise_3x3", "3x3 conv", 1e-5),
        ("tv_1e-5", "TV 1e-5", 1e-5),
        ("rp2_release", "RP2's released weights", 0.0),
        ("mine", "mine", None),
        ("feature_5x5", "5x5 filter on L1 feature maps", 0.0),
        ("another", "another", None),
    ]
    assert len({tuple(row) for row in rows}) == 1
    for row in rows[3:]:
        assert {value for key, value in row.items() if key.startswith(("paper_", "difference_"))} == {None}
    assert list(ROWS) == [*PAPER_TABLE_2, "rp2_release"]


def test_what_is_of_no_row_is_left_aside() -> None:
    floor = [*stickers("baseline"), *stickers("tv_1e-4")]
    legitimate = {"baseline": Rate(9, 10), "tv_1e-5": Rate(8, 10)}
    assert table(one_seed("baseline"), floor, legitimate) == table(one_seed("baseline"))


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
        for source, draws in (("white", 1), ("black", 1), ("random", 3))
        for seed in range(draws)
        for record in images(draw(said), source=source, victim=row, seed=seed)
    ]
    return records, floor


@given(sweeps(), st.randoms(use_true_random=False))
def test_the_order_of_the_records_changes_no_byte(
    sweep: tuple[list[Record], list[Record]], shuffler: random.Random
) -> None:
    records, floor = sweep
    rows = table(records, floor)
    for order in (records, floor):
        shuffler.shuffle(order)
    shuffled = table(records, floor)
    assert json.dumps(shuffled, allow_nan=False) == json.dumps(rows, allow_nan=False)
    assert white_box_markdown(shuffled, "A caption") == white_box_markdown(rows, "A caption")


@given(sweeps())
def test_average_worst_and_union_are_in_order_and_so_are_the_seeds(sweep: tuple[list[Record], list[Record]]) -> None:
    rows = table(*sweep)
    assert [row["row"] for row in rows] == [
        name for name in (*ROWS, "mine") if name in {record.victim for record in sweep[0]}
    ]
    for row in rows:
        for end in ("", "_low", "_high", "_seed_min", "_seed_max"):
            # In one seed the worst attack over all seeds may be a weak one.
            keys = ("average", "union") if end.startswith("_seed") else ("average", "worst", "union")
            figures = [row[f"{key}_success{end}"] for key in keys]
            assert figures == sorted(figures)
        for key in ("average_success", "worst_success", "union_success", "l2_dissimilarity"):
            assert row[f"{key}_seed_min"] <= row[key] <= row[f"{key}_seed_max"]
            if len(row["seeds"]) == 1:
                assert row[f"{key}_seed_min"] == row[key] == row[f"{key}_seed_max"]
        assert row["target_reached_average"] <= row["target_reached_worst"]
        assert row["floor_random"] <= row["floor_random_worst"]


def fails(sentence: str, *arguments: Any) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        table(*arguments)


def test_no_records_are_an_error() -> None:
    fails("Table 2 needs at least one record. Received: none", [])


def test_a_black_box_attack_is_an_error() -> None:
    records = [*one_seed("baseline"), dataclasses.replace(one_seed("baseline")[0], victim="tv_1e-4")]
    fails(
        "Table 2 needs records whose victim is the source itself. Received: source='baseline', victim='tv_1e-4'",
        records,
    )


@pytest.mark.parametrize("target", [None, -1, 18])
def test_an_attack_without_a_class_for_its_target_is_an_error(target: int | None) -> None:
    records = attack("baseline", target, 0.002, 0, [14, 14, 14, 1], 0.2)
    fails(f"Table 2 needs records with a target from 0 to 17. Received: target={target}", records)


@pytest.mark.parametrize(
    ("changes", "received"),
    [
        ({"source": "green"}, "source='green', target=None, penalty=0"),
        ({"source": "baseline", "target": 12, "penalty": 0.002}, "source='baseline', target=12, penalty=0.002"),
        ({"penalty": 0.002}, "source='white', target=None, penalty=0.002"),
    ],
)
def test_a_floor_of_something_else_is_an_error(changes: dict[str, Any], received: str) -> None:
    floor = stickers("baseline")
    floor[0] = dataclasses.replace(floor[0], **changes)
    fails(
        "The floor of Table 2 needs records of source white, black, random with target None and penalty 0. "
        f"Received: {received}",
        one_seed("baseline"),
        floor,
    )


def test_an_attack_that_one_seed_lacks_is_an_error() -> None:
    records = [record for record in two_seeds("mine") if (record.target, record.penalty, record.seed) != (17, 0.002, 4)]
    fails(
        "Row 'mine' of Table 2 needs every target with every lambda and seed. "
        "Received: no records of target yield, lambda 0.002, seed 4",
        records,
    )


@pytest.mark.parametrize(("kept", "received"), [((), "none"), (("random", "white"), "white, random")])
def test_a_row_without_its_floor_is_an_error(kept: tuple[str, ...], received: str) -> None:
    floor = [record for record in stickers("baseline") if record.source in kept] + stickers("tv_1e-4")
    fails(
        f"Row 'baseline' of Table 2 needs a floor of white, black, random stickers. Received: {received}",
        one_seed("baseline"),
        floor,
    )


@pytest.mark.parametrize(("legitimate", "received"), [({}, "none"), ({"a": Rate(1, 2), "b": Rate(1, 2)}, "a, b")])
def test_a_row_without_its_accuracy_is_an_error(legitimate: dict[str, Rate], received: str) -> None:
    fails(
        f"Row 'baseline' of Table 2 needs its accuracy in `legitimate`. Received: {received}",
        one_seed("baseline"),
        stickers("baseline"),
        legitimate,
    )


def test_an_attack_on_other_images_is_an_error() -> None:
    records = one_seed("baseline")
    sentence = "Row 'baseline' of Table 2 needs each of its {} images once in every attack and floor. Received: {}"
    where = "target yield, lambda 0.002, seed 0"
    fails(sentence.format(4, f"3 records, of 3 of them, for {where}"), records[:-1])
    fails(sentence.format(4, f"5 records, of 4 of them, for {where}"), [*records, records[-1]])
    renamed = [*records[:-1], dataclasses.replace(records[-1], image="e")]
    fails(sentence.format(5, "4 records, of 4 of them, for target speedLimit45, lambda 0.002, seed 0"), renamed)


def test_a_floor_on_other_images_is_an_error() -> None:
    records, floor = one_seed("baseline"), stickers("baseline")
    sentence = "Row 'baseline' of Table 2 needs each of its 4 images once in every attack and floor. Received: {}"
    fails(sentence.format("3 records, of 3 of them, for random stickers, draw 1"), records, floor[:-1])
    second = [dataclasses.replace(record, seed=1) for record in floor if record.source == "white"]
    fails(sentence.format("8 records, of 4 of them, for white stickers, draw 0"), records, floor + second)
    other = [dataclasses.replace(record, image="e") if record.image == "d" else record for record in floor]
    fails(sentence.format("4 records, of 3 of them, for black stickers, draw 0"), records, other)


@pytest.mark.parametrize("changes", [{"clean_prediction": 3}, {"label": 3}])
def test_records_of_two_models_under_one_name_are_an_error(changes: dict[str, int]) -> None:
    sentence = (
        "Row 'baseline' of Table 2 needs one label and one clean prediction for each image. Received: several for 'a'"
    )
    records, floor = one_seed("baseline"), stickers("baseline")
    fails(sentence, [dataclasses.replace(records[0], **changes), *records[1:]])
    fails(sentence, records, [dataclasses.replace(floor[0], **changes), *floor[1:]])


def test_the_three_files_say_the_same(tmp_path: Path) -> None:
    rows = table([*two_seeds("baseline"), *one_seed("mine")])
    markdown = white_box_markdown(rows, "A caption")
    write_table(tmp_path, "table2", rows, markdown)
    assert json.loads((tmp_path / "table2.json").read_text()) == rows
    assert (tmp_path / "table2.md").read_text() == markdown
    with (tmp_path / "table2.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert (lines[0]["lambdas"], lines[0]["seeds"]) == ("0.002 0.02", "3 4")
    assert (lines[1]["alpha"], lines[1]["paper_average_success"]) == ("", "")

    def parsed(text: str, value: Any) -> Any:
        if isinstance(value, list):
            return [type(value[0])(part) for part in text.split()]
        return None if value is None else type(value)(text)

    assert [{key: parsed(line[key], row[key]) for key in row} for row, line in zip(rows, lines, strict=True)] == rows


MARKDOWN = """\
Table 2 by hand

Beside the paper: accuracy on the test split, average and worst attack success, L2 dissimilarity.

|         |  alpha | accuracy | paper | diff. | average | paper | diff. | worst | paper | diff. |    L2 | paper |  diff. |
|---------|-------:|---------:|------:|------:|--------:|------:|------:|------:|------:|------:|------:|------:|-------:|
| TV 1e-4 | 0.0001 |     90.0 |  85.6 |  +4.4 |    37.5 |   7.9 | +29.6 |  50.0 |  17.5 | +32.5 | 0.250 | 0.224 | +0.026 |
| mine    |      - |     90.0 |     - |     - |    37.5 |     - |     - |  50.0 |     - |     - | 0.250 |     - |      - |

The attacks, with their intervals: average and worst success, all of them together, and the target reached.

|         |          average |             worst | worst attack |             union | target reached |             at most |
|---------|-----------------:|------------------:|-------------:|------------------:|---------------:|--------------------:|
| TV 1e-4 | 37.5 [9.2, 78.1] | 50.0 [15.0, 85.0] |        yield | 50.0 [15.0, 85.0] |           25.0 | 25.0 (speedLimit45) |
| mine    | 37.5 [9.2, 78.1] | 50.0 [15.0, 85.0] |        yield | 50.0 [15.0, 85.0] |           25.0 | 25.0 (speedLimit45) |

Without an attack: accuracy on the test split and on the signs that are attacked, and the floor.

|         |              test |  n |    attacked signs | n |            white |           black | random | at most |
|---------|------------------:|---:|------------------:|--:|-----------------:|----------------:|-------:|--------:|
| TV 1e-4 | 90.0 [59.6, 98.2] | 10 | 75.0 [30.1, 95.4] | 4 | 25.0 [4.6, 69.9] | 0.0 [0.0, 49.0] |   25.0 |    50.0 |
| mine    | 90.0 [59.6, 98.2] | 10 | 75.0 [30.1, 95.4] | 4 | 25.0 [4.6, 69.9] | 0.0 [0.0, 49.0] |   25.0 |    50.0 |

<note>

One note. Another.
"""  # noqa: E501

OVER_SEEDS = """\
Figures above are means over the seeds of the attack. From the least to the most of them:

|          |      average |        worst |        union |             L2 | seeds |
|----------|-------------:|-------------:|-------------:|---------------:|------:|
| Baseline | 25.0 to 31.2 | 25.0 to 75.0 | 75.0 to 75.0 | 0.100 to 0.200 |     2 |
"""


def test_the_markdown_of_a_small_case() -> None:
    rows = table([*one_seed("tv_1e-4"), *one_seed("mine")])
    markdown = white_box_markdown(rows, "Table 2 by hand", notes=("One note.", "Another."))
    assert re.sub("^Per cent; .*$", "<note>", markdown, flags=re.MULTILINE) == MARKDOWN
    note = next(line for line in markdown.splitlines() if line.startswith("Per cent; "))
    for told in (
        "differs from that of the clean sign",
        "95% Wilson interval",
        "Floor: ",
        "arXiv:1908.02256v1, Table 2",
    ):
        assert told in note
    assert white_box_markdown(rows, "Table 2 by hand").endswith(f"|\n\n{note}\n")


def test_several_seeds_and_lambdas_are_told_apart() -> None:
    markdown = white_box_markdown(table(two_seeds("baseline")), "T")
    assert f"\n\n{OVER_SEEDS}\nPer cent; " in markdown
    assert "| speedLimit45, lambda 0.002 |" in markdown
    assert OVER_SEEDS.splitlines()[0] not in white_box_markdown(table(one_seed("baseline")), "T")


def test_a_difference_of_nothing_is_plus_zero() -> None:
    (row,) = table(one_seed("baseline"))
    row["difference_worst_success"] = -1e-9
    line = next(line for line in white_box_markdown([row], "T").splitlines() if line.startswith("| Baseline"))
    assert "|  90.0 |  +0.0 |" in line
