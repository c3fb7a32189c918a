"""Table 3: rows of several trainings each, attacked and counted. Models are planted, not trained; nothing else is."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import cv2
import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from test_report import Page

from blurnet_tf import lisa_cnn
from blurnet_tf.attacks import Attack, register
from blurnet_tf.attacks.contract import AttackResult
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.registry import load_dataset
from blurnet_tf.evaluation.feature_maps import kernel_roughness, roughness
from blurnet_tf.evaluation.metrics import Spread
from blurnet_tf.evaluation.records import Record
from blurnet_tf.evaluation.suites import Trial
from blurnet_tf.models import INPUT_VARIANTS, KERNEL_VARIANTS, VARIANTS, layer_weights
from blurnet_tf.reporting import write_report, write_tables
from blurnet_tf.reporting.controls import MEASURES, ControlRow, control_table, correlations, spread_cell
from blurnet_tf.runs import checkpoint_path, read_run, trainings
from blurnet_tf.runs.checkpoints import read_checkpoint
from blurnet_tf.runs.controls import CONTROLS, SIGNS, control, together
from blurnet_tf.runs.run import StoredRun
from blurnet_tf.signs import STOP
from blurnet_tf.training.fit import Trained
from blurnet_tf.training.procedures import PROCEDURES, Plain
from blurnet_tf.training.recipes import Recipe, find_row
from experiments import controls

pytestmark = pytest.mark.slow
ROWS = ("baseline", "baseline+stickers", "tvk_3e-2", "input_median")
SEEDS = (0, 1)


@register
@dataclass(frozen=True, kw_only=True)
class Flat(Attack):
    """Stickers of the primary colours: each image wears the first that changes its prediction, or all the best one."""

    sharing: str = "shared"
    seed: int = 0

    @property
    def per_image(self) -> bool:
        return self.sharing == "per_image"

    @property
    def differentiates(self) -> bool:
        return False

    def find(self, model: Any, task: Any, *, progress: bool | None) -> AttackResult:
        colours = np.eye(3, dtype=np.float32)[:, None, None, None]
        painted = np.where(task.mask > 0, colours, task.images)
        answers = np.asarray(model(tf.constant(np.concatenate(painted)))).argmax(axis=1)
        changed = answers.reshape(len(colours), -1) != task.predictions
        chosen = changed.argmax(axis=0) if self.per_image else np.full(len(task.images), changed.sum(axis=1).argmax())
        stickers = painted[chosen, np.arange(len(chosen))] - task.images
        if not self.per_image:  # beyond the range of an image, so that it is the same on all
            stickers = np.where(task.mask > 0, 2 * colours[chosen[0], 0, 0] - 1, np.zeros_like(stickers[0]))
        return AttackResult(
            attack=self,
            perturbation=stickers[None],
            best_perturbation=0 * stickers[None],
            best_step=np.zeros((1, len(stickers)) if self.per_image else 1, np.int32),
            targets=None,
            mask=task.mask,
            history={},
        )


TRIALS = (Trial(name="shared", attack=Flat(), best=True), Trial(name="per image", attack=Flat(sharing="per_image")))


def asked_once(model: Any, images: Any, labels: Any) -> dict[str, Any]:
    """In place of `probe`, which asks a model six times: what it would give of one that is in order."""
    logits, ones = np.asarray(model(tf.constant(images))), np.ones(len(images), np.float32)
    return {
        "labels": labels,
        "logits": logits,
        "logits_again": logits,
        "plain_logits": 10 * np.eye(len(logits[0]), dtype=np.float32)[:8],
        "margin_gradient": ones,
        "cross_entropy_gradient": ones,
        "painted_logits": logits[:3],
        "painted_gradient": ones[:3],
        "differentiable": np.array(True),
    }


def planted(recipe: Recipe, train: Any, test: Any, *, state: Path, **_: Any) -> Trained:
    """In place of a training: random convolutions, smooth where a penalty makes them so, and the best layer on them."""
    seed = zlib.crc32(recipe.name.encode()) % 1000 + recipe.seed
    model = lisa_cnn(recipe.variant, seed=seed, dtype="float32")
    kernel, bias = model.get_layer("conv1").get_weights()
    if recipe.variant.alpha:
        kernel = 0.5 * kernel + 0.5 * kernel.mean(axis=(0, 1))
    model.get_layer("conv1").set_weights([kernel, bias])
    features = np.asarray(keras.Model(model.input, model.get_layer("flatten").output)(train.images), np.float64)
    wanted = 10.0 * np.eye(len(train.class_names))[train.labels]
    ridge = features.T @ features + 1e-3 * np.eye(features.shape[1])
    answer = np.linalg.solve(ridge, features.T @ wanted)
    model.get_layer("logits").set_weights([answer, np.zeros(answer.shape[1])])
    state.mkdir(parents=True)
    (state / "log.csv").write_text("epoch\n0\n")
    return Trained(last=model, best=model, log=state / "log.csv")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset("synthetic", per_class=4, test_per_class=1)


def make_cheap(patch: pytest.MonkeyPatch) -> None:
    """Plant the models in place of training them, and ask little of them."""
    patch.setattr("blurnet_tf.runs.trainings.fit", planted)
    patch.setattr("blurnet_tf.runs.controls.ON_SIGNS", TRIALS[1:])
    patch.setattr("blurnet_tf.runs.benchmarks.CURVE", TRIALS[1:])
    patch.setattr("blurnet_tf.runs.cells.probe", asked_once)
    patch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)  # random plain stickers
    patch.setattr("blurnet_tf.runs.store.environment", dict)  # it asks git, once a cell
    patch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", (5, 15, 25, 40))
    patch.setattr("blurnet_tf.data.synthetic.VICTIM_ANGLES", (-15, 15))


@pytest.fixture(autouse=True, scope="module")
def cheap() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        yield


def make(data: Dataset, folder: Path, rows: Sequence[str] = ROWS, seeds: Sequence[int] = SEEDS, **more: Any) -> Any:
    """What `control` gives of each row and seed, the rows of a seed together."""
    given: dict[str, Any] = {"suite": TRIALS, "preset": "smoke", "precision": "float32"} | more
    return [
        control(
            row,
            seed,
            data,
            results=folder / "results" / "controls",
            folder=folder / "checkpoints",
            areas=(48,) if seed == seeds[0] else (),
            **given,
        )
        for seed in seeds
        for row in rows
    ]


@pytest.fixture(scope="module")
def folder(cheap: None, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of results/controls/ and checkpoints/, with the tables."""
    folder = tmp_path_factory.mktemp("controls")
    victims, signs = together(make(data, folder))
    assert signs is not None
    write_tables(signs)
    assert write_tables(victims).startswith("\nTable 3, the controls: 8 signs (rendered signs)")
    return folder


@pytest.fixture(scope="module")
def stored(folder: Path) -> StoredRun:
    return read_run(folder / "results" / "controls")


@pytest.fixture(scope="module")
def rows(stored: StoredRun) -> dict[str, ControlRow]:
    return {row.name: row for row in control_table(stored).rows}


def test_the_trainings_of_each_row_have_a_checkpoint_and_a_filter_has_none(folder: Path) -> None:
    for seed, where in ((0, "smoke"), (1, "smoke/seed-1")):
        names = {path.name for path in (folder / "checkpoints" / where).glob("*.keras")}
        assert names == {f"{row}{end}.keras" for row in ROWS[:3] for end in ("", ".best")}
        made = json.loads((folder / "checkpoints" / where / "baseline+stickers.json").read_text())["settings"]
        assert (made["seed"], made["procedure"]["kind"], made["variant"]) == (seed, "Stickers", {"name": "baseline"})


def test_a_checkpoint_says_how_it_was_trained(folder: Path) -> None:
    for seed, row in ((0, "baseline"), (1, "baseline+stickers"), (0, "tvk_3e-2")):
        found = read_checkpoint(checkpoint_path(folder / "checkpoints", "synthetic", "smoke", row, seed=seed))
        assert found.name == row
        assert (found.variant, found.procedure) == find_row(row)


def test_table_3_has_a_row_for_each_control_in_order(folder: Path) -> None:
    place = folder / "results" / "controls"
    found = json.loads((place / "table3.json").read_text())
    assert [row["row"] for row in found] == list(ROWS)
    assert [row["title"] for row in found] == ["Baseline", "Baseline + stickers", "Kernel TV 3e-2", "Median 3x3"]
    assert all(row["seeds"] == list(SEEDS) for row in found)
    with (place / "table3.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line, row in zip(lines, found, strict=True):
        assert list(line) == list(row)
        assert float(line["union"]) == row["union"]
        assert line["seeds"] == "0 1"
        assert line["flags"].split() == row["flags"]
    markdown = (place / "table3.md").read_text()
    assert "training seeds 0, 1, preset smoke" in markdown
    assert "What the first layer became" in markdown
    titles = [line.split("|")[1].strip() for line in markdown.splitlines() if line.startswith("| ")]
    assert titles == 2 * ["", *(row["title"] for row in found)]


def changed(records: Sequence[Record]) -> float:
    return mean(one.adversarial_prediction != one.clean_prediction for one in records)


def figures(stored: StoredRun, model: str) -> dict[str, float]:
    """The shares of one model, counted from its records without the code that the tables are counted with."""
    found: dict[str, float] = {}
    broken, images = set(), set()
    for one in stored.run.trials:
        if one.model != model or one.role not in ("trial", "floor"):
            continue
        records = stored.cell(one.cell).records
        name = f"{one.trial.replace(' ', '_')}" if one.family == "sticker" else f"{one.trial} {one.family}_{one.area}"
        for iterate in ("last", "best") if one.role == "trial" else ():
            if some := [record for record in records if record.iterate == iterate]:
                found[name] = max(found.get(name, 0.0), changed(some))
        if one.family == "sticker":
            images |= {record.image for record in records}
            broken |= {one.image for one in records if one.adversarial_prediction != one.clean_prediction}
        if (one.role, one.family) == ("floor", "sticker"):
            found["floor_white"] = changed([record for record in records if record.attack == "white"])
    return found | {"union": len(broken) / len(images)}


def spread(values: Sequence[float]) -> Any:
    return pytest.approx((mean(values), min(values), max(values)), abs=1e-12)


def test_the_figures_are_the_mean_the_least_and_the_most_of_the_seeds(
    stored: StoredRun, rows: dict[str, ControlRow]
) -> None:
    signs = read_run(stored.folder / SIGNS)
    different = 0
    for name, row in rows.items():
        names = [f"{name}_seed-{seed}" for seed in SEEDS]
        victims, held_out = ([figures(run, one) for one in names] for run in (stored, signs))
        for field in ("floor_white", "shared", "per_image", "union"):
            values = [one[field] for one in victims]
            different += len(set(values)) > 1
            assert dataclasses.astuple(getattr(row, field)) == spread(values), (name, field)
        for field, of in (("signs_white", "floor_white"), ("signs_per_image", "per_image")):
            assert dataclasses.astuple(getattr(row, field)) == spread([one[of] for one in held_out]), (name, field)
        first = victims[0]
        assert dataclasses.astuple(row.bars_48) == spread([first["per image bars_48"]])
        assert row.half_bars == (48 if row.bars_48.mean >= 0.5 else None)  # the only area that was tried
        assert (row.bars_96, row.bars_144) == (None, None)
        assert row.union.least >= row.per_image.least >= 0
    assert different >= len(ROWS)  # seeds do differ, so that a mean is no least


def test_means_are_of_the_attacks_that_all_trainings_had(stored: StoredRun, rows: dict[str, ControlRow]) -> None:
    fewer = tuple(
        one for one in stored.run.trials if (one.model, one.trial) != ("tvk_3e-2_seed-1", "per image")
    )  # the other one is left
    cut = dataclasses.replace(stored, run=dataclasses.replace(stored.run, trials=fewer))
    shared = tuple(one for one in fewer if one.trial != "per image")
    of_shared = dataclasses.replace(stored, run=dataclasses.replace(stored.run, trials=shared))
    found = control_table(cut).rows
    for row in found:
        assert row.per_image is None
        names = [f"{row.name}_seed-{seed}" for seed in SEEDS]
        assert dataclasses.astuple(row.union) == spread([figures(of_shared, one)["union"] for one in names])
        whole = [figures(stored, one)["union"] for one in names if one != "tvk_3e-2_seed-1"]
        assert dataclasses.astuple(row.union_all) == spread(whole)
        assert row.name == "tvk_3e-2" or row.union_all == rows[row.name].union_all


def filtered(model: keras.Model) -> keras.Model:
    return lisa_cnn("input_median", weights=layer_weights(model), dtype="float32")


def test_the_accuracy_and_the_first_layer_are_those_of_the_checkpoints(
    folder: Path, data: Dataset, rows: dict[str, ControlRow]
) -> None:
    test = data.test()
    for name, row in rows.items():
        trained = "baseline" if name == "input_median" else name
        paths = [checkpoint_path(folder / "checkpoints", "synthetic", "smoke", trained, seed=seed) for seed in SEEDS]
        found = [keras.saving.load_model(path) for path in paths]
        models = [filtered(one) for one in found] if name == "input_median" else found
        accuracy = [float((np.asarray(one(test.images)).argmax(axis=1) == test.labels).mean()) for one in models]
        assert dataclasses.astuple(row.test_accuracy) == spread(accuracy)
        measured = [kernel_roughness(one) | roughness(one, test.images) for one in found]
        for field in ("kernel_total_variation", *MEASURES):
            values = [one[field] for one in measured]
            assert dataclasses.astuple(getattr(row, field)) == pytest.approx((mean(values), min(values), max(values)))
    assert rows["tvk_3e-2"].kernel_total_variation.most < rows["baseline"].kernel_total_variation.least


def test_a_filter_of_the_image_stands_before_the_baseline_of_the_same_seed(stored: StoredRun) -> None:
    models = {row.name: row for row in stored.run.rows}
    for seed in SEEDS:
        behind, plain = models[f"input_median_seed-{seed}"], models[f"baseline_seed-{seed}"]
        assert (behind.weights_sha256, behind.checkpoint) == (plain.weights_sha256, plain.checkpoint)
        cells = [one.cell for one in stored.run.trials if one.model == behind.name]
        seen = {json.dumps(stored.cell(cell).inputs["victims"][0]["variant"], sort_keys=True) for cell in cells}
        assert seen == {json.dumps(VARIANTS["input_median"].settings(), sort_keys=True)}
    assert models["baseline_seed-0"].weights_sha256 != models["baseline_seed-1"].weights_sha256
    assert len({row.weights_sha256 for row in stored.run.rows}) == 3 * len(SEEDS)


def test_every_model_says_its_row_and_the_seed_of_its_training(stored: StoredRun) -> None:
    told = [(row.extra["row"], row.extra["train_seed"]) for row in stored.run.rows]
    assert told == [(row, seed) for seed in SEEDS for row in ROWS]
    assert stored.run.rows[5].title == "Baseline + stickers, seed 1"
    assert {record.seed for record in stored.records if record.attack == "Flat"} == {0}  # of the attacks


def test_the_signs_are_the_held_out_ones_of_one_class(stored: StoredRun, data: Dataset) -> None:
    signs, test = read_run(stored.folder / SIGNS), data.test()
    stops = {one for one, label in zip(test.ids, test.labels, strict=True) if label == STOP}
    assert len(stops) == 1
    assert {record.image for record in [*signs.records, *signs.floor]} == stops
    assert {record.label for record in signs.records} == {STOP}
    assert {one.trial for one in signs.run.trials if one.role == "trial"} == {"per image"}
    assert [row.name for row in signs.run.rows] == [row.name for row in stored.run.rows]
    victims = set(data.victims().ids)
    assert {record.image for record in stored.records} == victims


def test_a_curve_is_made_of_the_first_seed_alone(stored: StoredRun) -> None:
    tried = {(one.model, one.family, one.area) for one in stored.run.trials if one.family == "bars"}
    assert tried == {(f"{row}_seed-0", "bars", 48) for row in ROWS}


def test_a_second_call_computes_nothing_and_writes_the_same_bytes(
    folder: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(trainings, "fit", never)
    place = folder / "results" / "controls"
    names = [*sorted(place.glob("table3.*")), *sorted((place / SIGNS).glob("check.*")), *sorted(place.glob("*.png"))]
    before = {path: path.read_bytes() for path in names}
    cells = sorted(path.name for path in place.rglob("cells/*"))
    capsys.readouterr()
    for run in together(make(data, folder)):
        write_tables(run)
    said = capsys.readouterr().out
    counted = [line.split(": ")[1].split() for line in said.splitlines() if "cells are there already" in line]
    assert len(counted) == 2 * len(ROWS) * len(SEEDS)
    assert all(words[0] == words[2] for words in counted)  # "12 of 12 cells"
    assert "cell 1 of" not in said
    assert {path: path.read_bytes() for path in names} == before
    assert len(names) == 7
    assert sorted(path.name for path in place.rglob("cells/*")) == cells


def test_rows_of_one_seed_have_no_brackets_and_no_correlation_below_four_rows(stored: StoredRun) -> None:
    some = tuple(row for row in stored.run.rows if row.extra["train_seed"] == 0 and row.extra["row"] != "tvk_3e-2")
    counted = control_table(dataclasses.replace(stored, run=dataclasses.replace(stored.run, rows=some)))
    assert [row.seeds for row in counted.rows] == [(0,)] * 3
    assert all(row.union.least == row.union.mean == row.union.most for row in counted.rows)
    shown = [line for line in counted.markdown.splitlines() if line.startswith("| ")]
    assert not any("[" in line for line in shown)
    assert "training seeds 0, preset" in counted.markdown
    assert "Rank correlation" not in counted.markdown


# --- what goes with success -------------------------------------------------------------------------------------------


def rank(values: Sequence[float]) -> Any:
    """The place of each value, those of equals their mean."""
    return np.array([mean(place for place, one in enumerate(sorted(values)) if one == value) for value in values])


def with_figures(row: ControlRow, union: float | None, **measures: float) -> ControlRow:
    known = {name: Spread(value, value, value) for name, value in measures.items()}
    return dataclasses.replace(row, union=None if union is None else Spread(union, union, union), **known)


def test_the_correlation_is_that_of_the_ranks(rows: dict[str, ControlRow]) -> None:
    union = [0.9, 0.4, 0.6, 0.1, 0.4]
    high = [0.7, 0.3, 0.5, 0.35, 0.2]
    some = [
        with_figures(rows["baseline"], *pair[:1], kernel_high_pass=pair[1], kernel_relative_total_variation=2.0)
        for pair in zip(union, high, strict=True)
    ]
    told = {words: one for words in MEASURES.values() for one in correlations(some) if f" {words} " in one}
    sentence = told[MEASURES["kernel_high_pass"]]
    by_hand = np.corrcoef(rank(union), rank(high))[0, 1]
    expected = scipy.stats.spearmanr(high, union)
    assert by_hand == pytest.approx(expected.statistic)
    assert f"over {len(some)} rows: {by_hand:.2f} (p = {expected.pvalue:.2g})" in sentence
    # What is the same in all rows goes with nothing, and there is no NaN.
    assert list(told) == [MEASURES["kernel_high_pass"]]
    assert correlations([with_figures(row, 0.5) for row in some]) == []


def test_rows_without_attacks_do_not_count(rows: dict[str, ControlRow]) -> None:
    some = [with_figures(rows["baseline"], union, total_variation=10 * union) for union in (0.1, 0.2, 0.3, 0.5)]
    assert "over 4 rows: 1.00" in correlations(some)[0]
    assert correlations([*some, with_figures(rows["baseline"], None)]) == correlations(some)
    assert correlations([*some[:2], with_figures(rows["baseline"], None, total_variation=9.0)]) == []


def test_the_table_says_how_the_first_layer_goes_with_success(stored: StoredRun, rows: dict[str, ControlRow]) -> None:
    sentences = correlations(list(rows.values()))
    assert sentences
    assert all(sentence in control_table(stored).markdown for sentence in sentences)
    own = [row for row in rows.values() if row.name not in INPUT_VARIANTS]  # a filter has the baseline's first layer
    for field, words in MEASURES.items():
        values = [getattr(row, field).mean for row in own]
        expected = np.corrcoef(rank(values), rank([row.union.mean for row in own]))[0, 1]
        (sentence,) = [one for one in sentences if f" {words} with" in one]
        assert f"over 3 rows: {expected:.2f} " in sentence


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Spread(0.5, 0.25, 0.75), "50.0 [25.0, 75.0]"),
        (Spread(0.5, 0.4999, 0.5001), "50.0"),
        (Spread(0.0, 0.0, 0.0), "0.0"),
        (None, "–"),  # noqa: RUF001
    ],
)
def test_a_cell_has_brackets_where_seeds_differ(value: Spread | None, text: str) -> None:
    cell = spread_cell(value)
    assert (cell.text, cell.value) == (text, value and value.mean)
    assert spread_cell(Spread(2.5, 1.5, 3.0), scale=1, digits=2).text == "2.50 [1.50, 3.00]"


# --- figure, report, and what is left out -----------------------------------------------------------------------------


def test_the_kernels_are_drawn(folder: Path) -> None:
    for suffix in ("png", "svg"):
        assert (folder / "results" / "controls" / f"kernels.{suffix}").stat().st_size > 5000
    assert cv2.imread(str(folder / "results" / "controls" / "kernels.png")).shape[1] > 800


def test_the_kernels_of_another_run_do_not_stay(stored: StoredRun, tmp_path: Path) -> None:
    shutil.copytree(stored.folder, tmp_path / "controls")
    some = tuple(row for row in stored.run.rows if row.extra["row"] == "baseline+stickers")
    write_tables(StoredRun(folder=tmp_path / "controls", run=dataclasses.replace(stored.run, rows=some)))
    assert list((tmp_path / "controls").glob("kernels.*")) == []


def test_the_report_has_table_3_and_the_kernels(folder: Path, rows: dict[str, ControlRow]) -> None:
    absent = write_report(folder / "results", folder / "checkpoints")
    assert not any("Table 3" in sentence for sentence in absent)
    page = Page((folder / "results" / "report.html").read_text(encoding="utf-8"))
    said, cells = page.texts["controls"], [" ".join(cell.split()) for cell in page.cells["controls"]]
    assert "Table 3, the controls: 8 signs" in said
    assert "Rank correlation of" in said
    for row in rows.values():
        assert cells.count(row.title) == 2
        assert spread_cell(row.union).text in cells
        assert {row.union.mean, row.bars_48.mean, row.kernel_high_pass.mean} <= set(page.numbers["controls"])
    (image,) = page.images
    assert "kernels" in (image["alt"] or "")


def test_a_damaged_cell_costs_the_report_its_section(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "results", tmp_path / "results")
    run = read_run(tmp_path / "results" / "controls").run
    (tmp_path / "results" / "controls" / "cells" / run.cells[0] / "records.csv").write_text("damaged")
    assert any("controls cannot be shown: Cell" in one for one in write_report(tmp_path / "results", tmp_path))


def test_without_a_class_only_the_victims_are_attacked(data: Dataset, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").symlink_to(folder / "checkpoints")
    cells = Path("results", "controls", "cells")
    shutil.copytree(folder / cells, tmp_path / cells)  # none has to be computed again
    victims, signs = together(make(data, tmp_path, ["baseline"], [1], sign=None))
    assert signs is None
    (row,) = control_table(victims).rows
    assert (row.signs_white, row.signs_per_image) == (None, None)
    assert row.union is not None
    assert not (tmp_path / "results" / "controls" / SIGNS).exists()


# --- which rows there are, and the program ----------------------------------------------------------------------------


def test_the_rows_are_the_defences_plain_and_hardened_and_the_filters() -> None:
    defences = ["baseline", *(f"depthwise_{size}x{size}" for size in (3, 5, 7)), "fixed_3x3", "fixed_5x5", "tv_1e-4"]
    procedures = ("gaussian", "adversarial", "doa", "universal")
    hardened = {f"{one}+{how}" for one in ("baseline", "depthwise_5x5") for how in procedures}
    kernels = {f"tvk_{alpha}" for alpha in ("1e-3", "3e-3", "1e-2", "3e-2", "1e-1", "3e-1", "1")}
    assert set(KERNEL_VARIANTS) == kernels
    expected = {*defences, *(f"{one}+stickers" for one in defences), *hardened, *kernels, *INPUT_VARIANTS}
    assert expected <= set(CONTROLS)
    assert len(set(CONTROLS)) == len(CONTROLS)


@pytest.mark.parametrize("row", [row for row in CONTROLS if row not in INPUT_VARIANTS])
def test_each_row_that_is_trained_is_known_by_its_name(row: str) -> None:
    variant, procedure = find_row(row)
    name, _, how = row.partition("+")
    assert variant == VARIANTS[name]
    assert procedure == (PROCEDURES[how] if how else Plain())


class Asked:
    """Stands for `control`, `together` and `write_tables`, and notes what they were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, signs: bool = True) -> None:
        self.calls: list[dict[str, Any]] = []
        self.tables: list[int] = []
        monkeypatch.setattr(controls, "control", self.control)
        monkeypatch.setattr(controls, "together", lambda runs: (list(runs), list(runs) if signs else None))
        monkeypatch.setattr(controls, "write_tables", self.write)

    def control(self, row: str, seed: int, data: Dataset, **given: Any) -> str:
        self.calls.append({"row": row, "seed": seed, "data": data.name, **given})
        return row

    def write(self, runs: Sequence[str]) -> str:
        self.tables.append(len(runs))
        return f"{len(runs)} runs"

    def all(self, *names: str) -> list[Any]:
        return [tuple(call[name] for name in names) for call in self.calls]


def test_the_program_goes_seed_by_seed_and_tries_most_on_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked(monkeypatch)
    given = ["--data", "synthetic", "--preset", "smoke", "--checkpoints", str(tmp_path / "c"), "--precision", "float32"]
    controls.main([*given, "--variant", "tvk_1", "baseline+doa", "--train-seeds", "4", "2", "--suite", "full"])
    assert asked.all("row", "seed", "suite", "areas") == [
        ("tvk_1", 4, "full", (48, 96, 144)), ("baseline+doa", 4, "full", (48, 96, 144)),
        ("tvk_1", 2, "quick", ()), ("baseline+doa", 2, "quick", ()),
    ]  # fmt: skip
    same = {"data": "synthetic", "preset": "smoke", "precision": "float32", "folder": tmp_path / "c", "sign": "stop"}
    assert all(same.items() <= call.items() for call in asked.calls)
    assert asked.tables == [2, 2, 4, 4]  # after each seed, of the signs and of the victims
    assert capsys.readouterr().out.endswith("4 runs\n")


def test_by_default_the_program_makes_all_controls_with_three_seeds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = Asked(monkeypatch, signs=False)
    controls.main(["--data", "synthetic", "--only", "yield", "--results", str(tmp_path)])
    assert asked.all("row", "seed") == [(row, seed) for seed in (0, 1, 2) for row in CONTROLS]
    assert {(call["preset"], call["sign"], call["results"]) for call in asked.calls} == {("quick", "yield", tmp_path)}
    assert asked.calls[0]["suite"] == "standard"
    assert len(asked.tables) == 3  # of the victims alone


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["--variant", "baseline+paint"], "`procedure` must be one of"),
        (["--suite", "huge"], "invalid choice: 'huge'"),
        (["--train-seeds", "-1"], "--train-seeds"),
    ],
)
def test_a_wrong_argument_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], phrase: str
) -> None:
    asked = Asked(monkeypatch)
    with pytest.raises(SystemExit):
        controls.main(arguments)
    assert phrase in capsys.readouterr().err
    assert asked.calls == []
