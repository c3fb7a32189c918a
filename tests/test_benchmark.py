"""`benchmark`: what it counts, and the flags, each raised by a model or an attack that deserves it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from planted import MASK, SIZE, bright, corner, hidden, short, split

from blurnet_tf import RP2, BenchmarkResult, GradientAttack, ThreatModel, benchmark
from blurnet_tf.attacks import Expectation, Palette, SquareAttack, bars, load_mask
from blurnet_tf.attacks.masks import bundled
from blurnet_tf.evaluation.suites import SUITES, Trial, trials_of
from blurnet_tf.runs.benchmarks import check

pytestmark = pytest.mark.slow

SHARED = short("shared", 12)
OWN = short("per image", 12, sharing="per_image")
SQUARE = Trial(name="square", attack=SquareAttack(steps=40, sharing="per_image"))
TARGETED = Trial(name="targeted", attack=SHARED.attack, targeted=True)


def blind(images: Any) -> Any:
    return bright(tf.stop_gradient(images))


def other_size() -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., BenchmarkResult]:
    def call(model: Any, suite: Any = (SHARED, OWN), *, threat: Any = None, **more: Any) -> BenchmarkResult:
        threat = {"mask": MASK, "images": split()} | (threat or {})
        return benchmark(model, threat_model=ThreatModel(**threat), suite=suite, results=tmp_path, **more)

    return call


def names(result: BenchmarkResult) -> list[str]:
    return [flag.name for flag in result.flags]


def test_an_ordinary_model_raises_no_flag(run: Callable[..., BenchmarkResult]) -> None:
    trials = (
        SHARED,
        OWN,
        SQUARE,
        short("large", 12, large=True, sharing="per_image"),
        short("held", 12, held_out=True),
    )
    result = run(bright, trials)
    assert names(result) == []
    assert [row.trial for row in result.rows] == ["shared", "per image", "square", "large", "held"]
    assert result.accuracy.value == 1.0
    assert result.union.value == 1.0
    assert result.floor.white.value == 1.0
    assert result.floor.black.value == 0.0
    assert [row.n for row in result.rows] == [8, 8, 8, 8, 4]
    assert result.curve == ()


def test_it_says_the_same_in_markdown_and_json(run: Callable[..., BenchmarkResult]) -> None:
    result = run(bright)
    content = json.loads(result.to_json())
    assert content["summary"]["union"] == 1.0
    assert [row["trial"] for row in content["rows"]] == ["shared", "per image"]
    assert "| shared " in result.to_markdown()
    assert "100.0" in result.to_markdown()


def test_what_is_stored_is_not_computed_again(run: Callable[..., BenchmarkResult], capsys: Any) -> None:
    first = run(bright)
    capsys.readouterr()
    again = run(bright, (SHARED, OWN, SQUARE))
    assert "4 of 5 cells are there already" in capsys.readouterr().out
    assert again.rows[:2] == first.rows


def test_attacks_of_ones_own_need_no_trial(run: Callable[..., BenchmarkResult]) -> None:
    result = run(bright, [GradientAttack(method="fgm", epsilon=1.0), SQUARE.attack])
    assert [row.attack for row in result.rows] == ["fgm", "SquareAttack"]


def test_a_gradient_that_is_hidden_is_seen_from_three_sides(run: Callable[..., BenchmarkResult]) -> None:
    assert names(run(hidden, (SHARED, OWN))) == ["attack_below_floor", "zero_gradients"]
    assert names(run(hidden, (SHARED, OWN, SQUARE))) == ["gradient_free_wins", "zero_gradients"]


def test_a_model_without_a_gradient_gets_the_attacks_that_need_none(run: Callable[..., BenchmarkResult]) -> None:
    result = run(blind, (SHARED, SQUARE))
    assert [row.trial for row in result.rows] == ["square"]
    assert names(result) == ["zero_gradients"]


def test_what_is_wrong_already_cannot_be_broken(run: Callable[..., BenchmarkResult]) -> None:
    mine = split()
    images = mine.images.copy()
    images[:4, 4:8, 4:12] = 0.9  # the model says "bright" of these, though they are labelled "dark"
    given = dataclasses.replace(mine, images=images)
    trials = (SHARED, OWN, short("large", 12, large=True, sharing="per_image"))
    result = run(bright, trials, threat={"images": given})
    assert names(result) == []
    assert result.accuracy.value == 0.5
    assert result.summary.robust_accuracy is not None
    assert result.summary.robust_accuracy.value == 0.0


def test_without_a_trial_on_the_images_there_is_no_union(run: Callable[..., BenchmarkResult]) -> None:
    result = run(bright, (short("held", 12, held_out=True),))
    assert result.union is None
    assert "null" in result.to_json()


def test_plain_paint_counts_for_the_union(run: Callable[..., BenchmarkResult]) -> None:
    result = run(hidden, (SHARED,))
    assert (result.rows[0].union.value, result.summary.per_image) == (0.0, None)
    assert result.union is not None
    assert result.union.value == 1.0


def test_a_detector_of_stickers_is_another_model(run: Callable[..., BenchmarkResult]) -> None:
    def detector(images: Any) -> Any:
        covered = tf.reduce_mean(images[:, 4:8, 4:12], axis=(1, 2, 3), keepdims=True) > 0.4
        return bright(tf.where(covered, 0.1, images))

    first, second = run(detector, (SQUARE,), name="one"), run(bright, (SQUARE,), name="one")
    assert (first.rows[0].union.value, second.rows[0].union.value) == (0.0, 1.0)


def test_targets_are_left_out_where_every_class_is_a_label(run: Callable[..., BenchmarkResult], capsys: Any) -> None:
    mine = dataclasses.replace(split(), labels=np.array([0, 1, 2] * 2 + [0, 0], np.int32))
    assert [row.trial for row in run(bright, (SHARED, TARGETED), threat={"images": mine}).rows] == ["shared"]
    assert "left out are targeted (every class is the label of an image)" in capsys.readouterr().out


def test_damaged_inputs_are_written_again(run: Callable[..., BenchmarkResult], tmp_path: Path) -> None:
    run(bright, (SHARED,))
    for path in (tmp_path / "inputs").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert run(bright, (SHARED, OWN)).union is not None


def test_the_maps_of_a_sequential_model_are_seen(run: Callable[..., BenchmarkResult]) -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(3)]
    trial = dataclasses.replace(OWN, name="smooth", layer=True)
    (row,) = run(keras.Sequential([keras.Input((SIZE, SIZE, 3)), *layers]), (trial,)).rows
    assert row.trial == "smooth"


def test_a_trial_that_contradicts_itself_is_refused() -> None:
    for changes in ({"held_out": True}, {"transfer": True, "large": True}, {"name": " "}):
        with pytest.raises(ValueError, match="Received"):
            dataclasses.replace(OWN, **changes)
    with pytest.raises(ValueError, match="`layer` needs RP2"):
        dataclasses.replace(SQUARE, layer=True)


def test_stickers_of_another_model_may_be_better(run: Callable[..., BenchmarkResult]) -> None:
    result = run(hidden, (dataclasses.replace(OWN, transfer=True),), sources=[bright])
    assert "transfer_wins" in names(result)
    assert result.summary.transfer is not None
    assert result.summary.transfer.value == 1.0
    assert result.rows[-1].trial == "per image, of bright"


def test_more_steps_may_break_more(run: Callable[..., BenchmarkResult]) -> None:
    result = run(bright, (short("brief", 2), short("long", 12, longer_than="brief")))
    assert names(result) == ["not_converged"]
    assert result.flags[0].sentence == "brief: 0 of 8 images; with three times the steps 8 of 8 images."


def test_one_sticker_may_beat_one_for_each(run: Callable[..., BenchmarkResult]) -> None:
    assert names(run(bright, (SHARED, short("per image", 2, sharing="per_image")))) == ["shared_beats_per_image"]


def test_a_sign_that_is_painted_over_must_fall(run: Callable[..., BenchmarkResult]) -> None:
    result = run(corner, (short("large", 3, large=True, sharing="per_image"),))
    assert names(result) == ["large_mask_survives"]
    assert result.summary.large is not None
    assert result.summary.large.value == 0.0


@pytest.mark.parametrize(
    ("model", "flag"),
    [
        (lambda images: tf.nn.softmax(bright(images)), "not_logits"),
        (lambda images: 1e4 * bright(images), "saturated_loss"),
        (lambda images: bright(images) + tf.random.normal((3,)), "stochastic_model"),
        (lambda images: bright(0.0 * images), "zero_gradients"),
    ],
    ids=["softmax", "scaled", "noise", "blind"],
)
def test_a_model_that_should_be_doubted_is(run: Callable[..., BenchmarkResult], model: Any, flag: str) -> None:
    assert flag in names(run(model, (short("shared", 2),)))


def test_the_best_step_is_counted_beside_the_last(run: Callable[..., BenchmarkResult]) -> None:
    (row,) = run(bright, (short("shared", 12, best=True),)).rows
    assert row.best_worst is not None
    assert row.best_worst.value == 1.0


def test_several_seeds_are_averaged(run: Callable[..., BenchmarkResult]) -> None:
    (row,) = run(bright, (short("shared", 4, start="uniform"),), seeds=(0, 1)).rows
    assert row.seeds == 2
    assert row.worst.least <= row.worst.value <= row.worst.most


def test_a_colour_may_be_forbidden(run: Callable[..., BenchmarkResult]) -> None:
    result = run(bright, (SHARED, SQUARE), threat={"colours": [(0.0, 0.0, 0.0), (0.2, 0.2, 0.2)]})
    assert (result.floor.white, result.floor.worst, names(result)) == (None, 0.0, [])
    assert [row.trial for row in result.rows] == ["shared"]  # Square paints any colour
    assert result.union.value == 0.0
    (cell,) = (one.cell for one in result.stored.run.trials if one.role == "trial")
    assert result.stored.cell(cell).inputs["attack"]["basis"]["kind"] == Palette.__name__


def test_one_kind_of_sticker_may_be_asked_for(run: Callable[..., BenchmarkResult]) -> None:
    for sharing, trial in (("shared", "shared"), ("per_image", "per image")):
        assert [row.trial for row in run(bright, threat={"sharing": sharing}).rows] == [trial]


def test_a_sticker_is_scored_on_images_that_the_attacker_has_not_seen(run: Callable[..., BenchmarkResult]) -> None:
    result = run(bright, (SHARED,), threat={"scored": split(5, seed=1), "sharing": "shared"})
    assert result.rows[0].n == 5
    assert result.union.value == 1.0
    assert {record.image for record in result.stored.records} == set(split(5, seed=1).ids)


def test_signs_are_seen_otherwise_by_attack_and_score(run: Callable[..., BenchmarkResult]) -> None:
    result = run(bright, (SHARED,), threat={"expectation": Expectation(brightness=0.1)})
    (cell,) = (one.cell for one in result.stored.run.trials if one.role == "trial")
    assert len(result.stored.cell(cell).records) == 5 * 8  # five draws of each image
    assert result.union is not None
    assert result.rows[0].n == result.union.n == 8
    assert names(result) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run(bright, "slow"), r"`suite` must be one of 'quick', 'standard', 'full', or a list"),
        (lambda run: run(bright, []), r"`suite` must be a list of different attacks"),
        (lambda run: run(bright, threat={"mask": bars(30)}), r"`mask` must have the shape \(16, 16, 1\)"),
        (lambda run: run(bright, threat={"images": split().select([])}), r"`images` must hold at least one image"),
        (lambda run: run(bright, threat={"label": "never"}), r"threat model must have images"),
        (lambda run: run(bright, threat={"sharing": "none"}), r"`sharing` must be one of"),
        (lambda run: run(bright, threat={"scored": split()}), r"`sharing` must be 'shared' for other images"),
        (lambda run: run(lambda images: bright(images) * np.nan), r"`model` must return finite logits"),
        (lambda run: run(lambda images: bright(images)[:, :1]), r"`model` must return logits"),
        (lambda run: run(bright, seeds=(1, 1)), r"`seeds` must be a list of different integers"),
        (lambda run: run(bright, seeds="no"), r"`seeds` must be a list of different integers"),
        (lambda run: run(bright, seeds=(0.5,)), r"`seeds` must be an integer"),
        (lambda run: run(bright, areas=(48, 48)), r"`areas` must be a list of different integers"),
        (lambda run: run(bright, areas=(1,)), r"`areas` must be pixels of an image of 32x32"),
        (lambda run: run(bright, None), r"`suite` must be one of"),
        (lambda run: run(bright, ""), r"`suite` must be one of"),
        (lambda run: run(bright, (TARGETED,), targets=[0]), r"`targets` must be the label of no image"),
        (lambda run: run(bright, (TARGETED,), targets=[]), r"`targets` must be a class index"),
        (lambda run: run(lambda images: bright(images)[:, :2]), r"`model` must have an output for each of 3 classes"),
        (lambda run: run(other_size()), r"`model` must take images of shape \(16, 16, 3\)"),
        (lambda run: run(bright, sources=[bright]), r"each with a name of its own"),
        (lambda run: run(bright, threat={"sharing": "per_image"}, suite=(SHARED,)), r"must have an attack that can be"),
        (lambda run: run(blind, suite=(SHARED,)), r"Left out: shared \(the model has no gradient\)"),
        (lambda run: run("nowhere.keras"), r"`model` must be the path of a SavedModel folder"),
    ],
)
def test_a_mistake_gets_a_sentence(run: Callable[..., BenchmarkResult], call: Any, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        call(run)


def test_what_is_no_model_is_refused(run: Callable[..., BenchmarkResult]) -> None:
    with pytest.raises(TypeError, match="`model` must be a function"):
        run(3)


def test_a_mask_file_of_another_size_is_refused(run: Callable[..., BenchmarkResult]) -> None:
    with pytest.raises(ValueError, match=r"`mask` must have the size of the images, 16x16"):
        run(bright, threat={"mask": bundled("sticker.png")})


def test_the_default_mask_is_scaled_to_the_images(run: Callable[..., BenchmarkResult]) -> None:
    result = run(bright, (SHARED,), threat={"mask": None})
    assert 0 < result.stored.run.mask["pixels"] <= load_mask(bundled("sticker.png")).sum() / 4 + 4


def test_a_file_and_its_model_are_benchmarked_alike(run: Callable[..., BenchmarkResult], tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten(), keras.layers.Dense(3)], name="own")
    model.save(tmp_path / "own.keras")
    live, loaded, named = run(model), run(tmp_path / "own.keras"), run("own", checkpoints=tmp_path)
    assert live.rows == loaded.rows == named.rows
    assert live.summary == loaded.summary


def test_the_suites_grow_and_name_what_they_repeat() -> None:
    quick, standard, full = (SUITES[name] for name in ("quick", "standard", "full"))
    assert set(quick) < set(standard) < set(full)
    for trials in SUITES.values():
        steps = {trial.name: trial.attack.steps for trial in trials if hasattr(trial.attack, "steps")}
        assert len({trial.name for trial in trials}) == len(trials)
        assert all(steps[one.name] == 3 * steps[one.longer_than] for one in trials if one.longer_than)
    assert trials_of([RP2()])[0].attack == RP2()


def test_images_must_come_from_somewhere(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="RP2 release"):
        benchmark(bright, roots=[tmp_path], results=tmp_path)
    with pytest.raises(ValueError, match="A data set is needed"):
        check([bright], None, results=tmp_path)


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="each with a name of its own"):
        check([bright, bright], None, results=tmp_path, suite=[SQUARE],
              threat_model=ThreatModel(mask=MASK, images=split()))  # fmt: skip
