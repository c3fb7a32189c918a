"""The runs that vary one thing at a time, and what they need of a training that no table has."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_controls import planted

from blurnet_tf import lisa_cnn
from blurnet_tf.attacks import NPS, RP2
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.registry import load_dataset
from blurnet_tf.evaluation.feature_maps import kernel_roughness, roughness
from blurnet_tf.models import TRAINED_VARIANTS, VARIANTS, Defense, Variant
from blurnet_tf.reporting import write_tables
from blurnet_tf.runs import checkpoint_path, load_setting, merged
from blurnet_tf.runs.run import StoredRun
from blurnet_tf.runs.setting import Setting
from blurnet_tf.runs.studies import STUDIES, Study, run_study
from blurnet_tf.training import fit, train
from blurnet_tf.training.losses import SoftmaxTwice
from blurnet_tf.training.procedures import PROCEDURES
from blurnet_tf.training.recipes import Recipe, recipe
from blurnet_tf.training.train import Batches
from experiments import reproduction

BASES = ("baseline", "tv_1e-4", "depthwise_7x7", "rp2_release")
LONGER = [name for name in STUDIES if name.endswith("-100") and not name.endswith(("constant-100", "epochs-100"))]


def settings(study: Study) -> dict[str, Any]:
    """Everything that a study sets, but names."""
    flat = {f"defence.{key}": value for key, value in study.recipe.variant.settings().items() if key != "name"}
    flat |= {f"training.{key}": value for key, value in study.recipe.settings().items()}
    flat |= {f"attack.{key}": value for key, value in dataclasses.asdict(study.attack).items()}
    return flat | {"split": study.split, "nps": study.nps, "seen": study.seen}


def first(name: str) -> Study:
    """The run that a study differs from: the quick preset of its variant, which may be no study itself."""
    variant = name.partition("__")[0]
    study = STUDIES["baseline"]
    return dataclasses.replace(study, name=variant, recipe=recipe("quick", variant))


@pytest.mark.parametrize("base", BASES)
def test_the_first_run_of_a_variant_is_the_quick_preset(base: str) -> None:
    study = STUDIES[base]
    assert study.recipe.variant.name == base
    assert study.is_row
    assert settings(study) == settings(first(base))
    assert (study.attack, study.split, study.preset) == (RP2(), "track", "quick")


# What the runs change that change several things. With 100 epochs they change these as well.
SEVERAL: dict[str, set[str]] = {
    "alpha-0.1-before-relu": {"defence.alpha_tv", "defence.tv_before_relu"},
    "fixed-box": {"defence.alpha", "defence.depthwise", "defence.feature_blur"},
    "random-start-seed-1": {"defence.depthwise_start", "training.seed"},
    **{f"constant-{epochs}": {"training.epochs", "training.schedule"} for epochs in (100, 400, 2000)},
    "class-order-slow": {"training.order", "training.learning_rate"},
    "softmax-twice-slow": {"training.softmax_twice", "training.learning_rate"},
    **{
        f"alpha-{alpha}-from-rp2": {"defence.alpha_tv", "training.init", "training.learning_rate"}
        for alpha in ("0.82", "0.082")
    },
    # Another penalty in place of that of the variant.
    **{
        f"{form}-{alpha}": {"defence.alpha_tv", "defence.defenses"}
        for form, alphas in (("smooth", ("0.0001", "0.1")), ("squared", ("0.0001", "0.1")), ("relative", ("0.1", "1")))
        for alpha in alphas
    },
    **{f"kernels-{alpha}": {"defence.alpha_tv", "defence.alpha_tvk"} for alpha in ("0.0001", "0.01", "1")},
    "published-0.002": {"attack.learning_rate", "attack.perturbation_clip"},
    **{
        f"published-{penalty}": {"attack.learning_rate", "attack.perturbation_clip", "attack.penalty"}
        for penalty in ("0.02", "0.2", "1", "2")
    },
}


@pytest.mark.parametrize("name", [name for name in STUDIES if name not in BASES])
def test_every_other_run_changes_one_thing_or_those_that_it_names(name: str) -> None:
    base, other = settings(first(name)), settings(STUDIES[name])
    changed = {key for key in base | other if base.get(key) != other.get(key)}
    what = name.partition("__")[2]
    if name in LONGER:
        assert "training.epochs" in changed
        changed, what = changed - {"training.epochs"}, what.removesuffix("-100")
    expected = SEVERAL.get(what)
    assert changed == expected if expected else len(changed) == 1


def test_no_promise_is_left_over_and_no_two_runs_say_the_same() -> None:
    known = {name.partition("__")[2].removesuffix("-100") for name in STUDIES}
    assert set(SEVERAL) <= known | {"constant-100"}
    said = [(name.partition("__")[0], study.change) for name, study in STUDIES.items()]
    assert len(set(said)) == len(said)
    done = [
        json.dumps([settings(one), one.recipe.variant.name.partition("__")[0]], default=str, sort_keys=True)
        for one in STUDIES.values()
    ]
    assert len(set(done)) == len(done)  # nor do the same


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("baseline__class-order", {"order": "class"}),
        ("tv_1e-4__class-order-slow", {"order": "class", "learning_rate": 1e-4}),
        ("baseline__softmax-twice", {"softmax_twice": True}),
        ("tv_1e-4__softmax-twice-slow-100", {"softmax_twice": True, "learning_rate": 1e-4, "epochs": 100}),
        ("baseline__scale-255", {"pixel_scale": 255.0}),
        ("tv_1e-4__scale-255-100", {"pixel_scale": 255.0, "epochs": 100}),
        ("tv_1e-4__epochs-100", {"epochs": 100}),
        ("baseline__constant-24", {"schedule": "constant"}),
        ("tv_1e-4__alpha-0.082-from-rp2", {"init": "rp2_release", "learning_rate": 1e-4}),
        ("baseline__seed-2", {"seed": 2}),
    ],
)
def test_a_training_is_changed_as_its_name_says(name: str, changes: dict[str, Any]) -> None:
    study, variant = STUDIES[name], name.partition("__")[0]
    assert dataclasses.replace(study.recipe, variant=VARIANTS[variant]) == dataclasses.replace(
        recipe("quick", variant), **changes
    )
    assert not study.is_row


@pytest.mark.parametrize(
    ("what", "defense"),
    [
        ("alpha-0.82", Defense(after="conv1", layer="TotalVariation", settings={"alpha": 0.82})),
        ("alpha-0.082-from-rp2", Defense(after="conv1", layer="TotalVariation", settings={"alpha": 0.082})),
        *(
            (
                f"{form}-{alpha:g}",
                Defense(after="conv1", layer="TotalVariation", settings={"alpha": alpha, "form": form}),
            )
            for form, alpha in (("smooth", 1e-4), ("squared", 0.1), ("relative", 1.0))
        ),
        *(
            (f"kernels-{alpha:g}", Defense(after="conv1", layer="KernelTotalVariation", settings={"alpha": alpha}))
            for alpha in (1e-4, 0.01, 1.0)
        ),
    ],
)
@pytest.mark.parametrize("end", ["", "-100"])
def test_a_penalty_stands_in_place_of_that_of_the_variant(what: str, defense: Defense, end: str) -> None:
    (found,) = STUDIES[f"tv_1e-4__{what}{end}"].recipe.variant.defenses
    assert (found.after, found.layer, dict(found.settings)) == (defense.after, defense.layer, dict(defense.settings))


def test_the_kernels_of_norm_1_have_that_norm() -> None:
    variant = STUDIES["baseline__unit-norm"].recipe.variant
    constraint = lisa_cnn(variant, seed=0).get_layer("conv1").kernel_constraint
    kernel = np.random.default_rng(0).normal(size=(8, 8, 3, 64)).astype(np.float32)
    norms = np.sqrt(np.square(constraint(kernel)).sum(axis=(0, 1, 2)))
    np.testing.assert_allclose(norms, np.ones(64), rtol=1e-4)


@pytest.mark.parametrize("name", LONGER)
def test_100_epochs_are_of_a_run_that_is_there_with_24(name: str) -> None:
    longer, shorter = STUDIES[name], STUDIES[name.removesuffix("-100")]
    same = dataclasses.replace(longer.recipe, epochs=shorter.recipe.epochs, variant=shorter.recipe.variant)
    assert (longer.recipe.epochs, shorter.recipe.epochs) == (100, 24)
    assert same == shorter.recipe
    assert longer.recipe.variant.defenses == shorter.recipe.variant.defenses
    assert longer.change == f"{shorter.change}, 100 epochs"


@pytest.mark.parametrize("variant", TRAINED_VARIANTS)
def test_the_longest_runs_are_the_trainings_of_the_paper_preset(variant: str) -> None:
    study = STUDIES[f"{variant}__constant-2000"]
    assert (study.recipe, study.preset) == (recipe("paper", variant), "paper")  # its checkpoint, too
    assert study.is_row
    assert study.recipe.epochs == max(one.recipe.epochs for one in STUDIES.values()) == 2000


def test_the_published_attack_is_on_the_released_model() -> None:
    found = {name: study for name, study in STUDIES.items() if "__published-" in name}
    assert [study.attack.penalty for study in found.values()] == [0.002, 0.02, 0.2, 1.0, 2.0]
    for name, study in found.items():
        assert name == f"rp2_release__published-{study.attack.penalty:g}"
        assert study.recipe == recipe("quick", "rp2_release")
        assert study.attack == RP2(penalty=study.attack.penalty, learning_rate=0.01, perturbation_clip=(-0.5, 0.5))


def test_stickers_of_the_baseline_are_shown_to_the_rows_with_total_variation() -> None:
    seeing = {name: study for name, study in STUDIES.items() if study.seen}
    assert list(seeing) == ["tv_1e-4__baselines-stickers", "tv_1e-5__baselines-stickers"]
    for name, study in seeing.items():
        assert (study.seen, study.is_row) == ("baseline", True)
        assert study.recipe == recipe("quick", name.partition("__")[0])


def test_a_score_of_printability_has_the_palette_of_the_photographs() -> None:
    palette = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    for mode in ("original", "corrected"):
        study = STUDIES[f"baseline__nps-{mode}"]
        assert study.attack_with(palette) == RP2(penalties=(NPS(palette, mode=mode),))
    assert STUDIES["baseline"].attack_with(palette) == RP2()


def test_runs_share_a_training_only_if_it_is_the_same() -> None:
    trainings: dict[str, set[str]] = {}
    for study in STUDIES.values():
        network = dataclasses.replace(study.recipe.variant, title="")
        what = repr((network, study.recipe.settings(), study.split))
        checkpoint = f"{study.preset} {study.recipe.variant.name}"
        trainings.setdefault(checkpoint, set()).add(what)
    assert all(len(different) == 1 for different in trainings.values())


# --- one study run ----------------------------------------------------------------------------------------------------

RUN = ("baseline", "baseline__scale-255", "tv_1e-4__baselines-stickers")


@pytest.fixture(scope="module")
def signs() -> Dataset:
    return load_dataset("synthetic", per_class=2, test_per_class=1)


@pytest.fixture(scope="module")
def setting(signs: Dataset) -> Iterator[Setting]:
    """Three photographs. Models are planted, not trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("blurnet_tf.runs.trainings.fit", planted)
        patch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)
        patch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", (5, 20, 40))
        patch.setattr("blurnet_tf.data.synthetic.VICTIM_ANGLES", (15,))
        yield load_setting(signs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def runs(signs: Dataset, setting: Setting, folder: Path) -> dict[str, StoredRun]:
    """Runs of studies, with a step of the attack each."""
    short = {name: dataclasses.replace(STUDIES[name], attack=RP2(steps=1, learning_rate=1.0)) for name in RUN}
    where: dict[str, Any] = {"folder": folder / "checkpoints", "results": folder / "results", "precision": "float32"}
    return {name: run_study(study, signs, setting, **where) for name, study in short.items()}


@pytest.mark.slow
def test_a_row_has_the_checkpoint_of_make_train_and_a_study_one_of_its_own(
    runs: dict[str, StoredRun], folder: Path
) -> None:
    place = folder / "checkpoints"
    assert {str(path.relative_to(place)) for path in place.rglob("*.keras") if ".best." not in path.name} == {
        "baseline.keras", "tv_1e-4.keras", "studies/baseline__scale-255.keras",
    }  # fmt: skip
    paths = [Path(run.run.rows[0].checkpoint) for run in runs.values()]
    assert paths[0] == checkpoint_path(place, "synthetic", "quick", "baseline")
    made = json.loads(paths[1].with_suffix(".json").read_text())["settings"]
    assert (made["pixel_scale"], made["variant"]) == (255.0, {"name": "baseline__scale-255"})


@pytest.mark.slow
def test_the_facts_of_a_study_are_those_of_its_model(runs: dict[str, StoredRun], signs: Dataset) -> None:
    test = signs.test()
    for name, run in runs.items():
        (row,) = run.run.rows
        assert (row.name, row.change, run.run.kind) == (name, STUDIES[name].change, "study")
        model = keras.saving.load_model(row.checkpoint)
        said = np.asarray(model(test.images)).argmax(axis=1)
        expected = {**roughness(model, test.images), **kernel_roughness(model)}
        expected["classes_predicted"] = len(set(said.tolist()))
        expected["classes"] = len(set(test.labels.tolist()))
        found = [np.mean(said[test.labels == label] == label) for label in set(test.labels.tolist())]
        expected["least_recall"] = min(found)
        assert {name: row.extra[name] for name in expected} == pytest.approx(expected)
        assert row.test_correct == (said == test.labels).sum()
        assert ("accuracy_as_trained" in row.extra) == (name == "baseline__scale-255")
    (row,) = runs["baseline__scale-255"].run.rows
    scaled = np.asarray(keras.saving.load_model(row.checkpoint)(test.images * 255)).argmax(axis=1)
    assert row.extra["accuracy_as_trained"] == pytest.approx(float((scaled == test.labels).mean()))


@pytest.mark.slow
def test_the_stacked_distance_has_one_norm_over_the_images_of_an_attack(
    runs: dict[str, StoredRun], setting: Setting
) -> None:
    images = setting.images.images.astype(np.float64)
    for run in runs.values():
        (cell,) = run.cells
        found = []
        for sticker in cell.arrays["perturbation"]:
            attacked = np.clip(images + sticker, 0, 1)
            found.append(((attacked - images) ** 2).sum() ** 0.5 / (attacked**2).sum() ** 0.5)
        assert len(found) == 17
        assert min(found) > 0.01
        assert run.run.rows[0].extra["l2_stacked"] == pytest.approx(np.mean(found), rel=1e-4)


@pytest.mark.slow
def test_the_stickers_of_another_row_are_those_that_it_wears_itself(runs: dict[str, StoredRun]) -> None:
    (own,), (shown,) = runs["baseline"].cells, runs["tv_1e-4__baselines-stickers"].cells
    np.testing.assert_array_equal(own.arrays["perturbation"], shown.arrays["perturbation"])
    assert shown.inputs["source"]["sha256"] == runs["baseline"].run.rows[0].weights_sha256
    assert [one["name"] for one in shown.inputs["victims"]] == ["tv_1e-4__baselines-stickers"]
    assert shown.inputs["victims"][0]["sha256"] != shown.inputs["source"]["sha256"]
    assert {(one.source, one.victim) for one in shown.records} == {("baseline", "tv_1e-4__baselines-stickers")}


def written(runs: list[StoredRun]) -> list[dict[str, Any]]:
    markdown = write_tables(merged(runs))
    assert "dissimilarity, stacked" in markdown
    place = runs[0].folder
    rows: list[dict[str, Any]] = json.loads((place / "runs.json").read_text())
    with (place / "runs.csv").open(newline="") as file:
        assert [line["run"] for line in csv.DictReader(file)] == [row["run"] for row in rows]
    for row, run in zip(rows, runs, strict=True):
        extra = run.run.rows[0].extra
        for name in ("kernel_relative_total_variation", "kernel_high_pass", "least_recall", "l2_stacked"):
            assert row[name] == extra[name]
    return rows


@pytest.mark.slow
def test_studies_are_rows_of_one_table(runs: dict[str, StoredRun]) -> None:
    assert [row["run"] for row in written([runs[name] for name in RUN[:2]])] == list(RUN[:2])


@pytest.mark.slow
def test_so_is_a_study_that_wears_the_stickers_of_another_row(runs: dict[str, StoredRun]) -> None:
    assert [row["run"] for row in written(list(runs.values()))] == list(RUN)


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:Mask", "ignore:The model takes")
def test_the_runs_are_made_on_the_real_data(
    rp2_folder: Path, lisa_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLURNET_DATA", str(rp2_folder.parent))
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)
    small = {
        name: dataclasses.replace(
            STUDIES[name],
            recipe=dataclasses.replace(STUDIES[name].recipe, epochs=1),
            attack=dataclasses.replace(STUDIES[name].attack, steps=1),
        )
        for name in ("tv_1e-4__before-relu",)
    }
    monkeypatch.setattr(reproduction, "STUDIES", small)
    folders = {"--data-dir": tmp_path, "--checkpoints": tmp_path / "c", "--results": tmp_path / "r"}
    reproduction.main([str(word) for flag in folders.items() for word in flag])
    rows = json.loads((tmp_path / "r" / "runs.json").read_text())
    assert [row["run"] for row in rows] == list(small)
    for row in rows:
        assert row["alpha"] == 1e-4
        assert row["total_variation"] > 0
        assert 0 < row["relative_total_variation"] < 4  # each of the four neighbours can differ by its whole height
        assert 0 < row["kernel_high_pass"] < 1
        assert 0 <= row["least_recall"] <= row["legitimate_accuracy"]
        assert 1 <= row["classes_predicted"] <= 18
        assert row["l2_stacked"] > 0
    assert (tmp_path / "c" / "studies" / "tv_1e-4__before-relu.keras").exists()


# --- what a study may do otherwise in a training ----------------------------------------------------------------------


def how(**changes: Any) -> Recipe:
    return dataclasses.replace(recipe("quick", "tv_1e-4", seed=3), **changes)


OLDER = {
    "epochs": 24, "schedule": "late_cosine", "learning_rate": 1e-3, "batch_size": 128, "seed": 3, "init": "random",
}  # fmt: skip


def test_the_settings_of_a_plain_training_are_those_of_older_checkpoints() -> None:
    assert json.dumps(how().settings()) == json.dumps(OLDER)  # the same order, too: digests are of the text
    assert json.dumps(how(procedure=PROCEDURES["plain"]).settings()) == json.dumps(OLDER)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"order": "class"}, {"order": "class"}),
        ({"softmax_twice": True}, {"softmax_twice": True}),
        ({"pixel_scale": 255.0}, {"pixel_scale": 255.0}),
        ({"procedure": PROCEDURES["gaussian"]}, {"procedure": PROCEDURES["gaussian"].to_config()}),
        ({"order": "shuffled", "softmax_twice": False, "pixel_scale": 1.0}, {}),
    ],
)
def test_the_settings_have_what_is_new_only_where_it_differs(changes: dict[str, Any], more: dict[str, Any]) -> None:
    found = how(**changes).settings()
    assert found == OLDER | more
    assert json.loads(json.dumps(found)) == found


def test_each_study_of_a_training_has_settings_of_its_own() -> None:
    digests = {json.dumps(how(**changes).settings()) for changes in (
        {}, {"order": "class"}, {"softmax_twice": True}, {"pixel_scale": 255.0}, {"pixel_scale": 2.0},
        {"procedure": PROCEDURES["stickers"]}, {"procedure": PROCEDURES["doa"]},
    )}  # fmt: skip
    assert len(digests) == 7


def softmax(values: Any) -> Any:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def twice(labels: Any, logits: Any) -> Any:
    """The loss of each image, by NumPy."""
    return -np.log(softmax(softmax(np.asarray(logits, np.float64)))[np.arange(len(labels)), labels])


@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_the_softmax_twice_is_numpys(scale: float) -> None:
    random = np.random.default_rng(0)
    logits, labels = scale * random.normal(size=(9, 18)).astype(np.float32), random.integers(0, 18, 9)
    expected = twice(labels, logits)
    assert float(SoftmaxTwice()(labels, logits)) == pytest.approx(expected.mean(), rel=1e-5)
    np.testing.assert_allclose(SoftmaxTwice().call(labels, logits), expected, rtol=1e-5)


def test_a_certain_answer_leaves_a_loss_and_hardly_a_gradient() -> None:
    logits = tf.constant(30 * np.eye(18, dtype=np.float32)[:1])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = SoftmaxTwice()(np.array([0]), logits)
    assert float(loss) == pytest.approx(np.log(1 + 17 / np.e), rel=1e-5)
    assert np.abs(tape.gradient(loss, logits)).max() < 1e-6
    assert float(SoftmaxTwice()(np.array([1]), logits)) == pytest.approx(float(loss) + 1, rel=1e-5)  # and a wrong one


COUNT = 24
IMAGES = np.random.default_rng(0).random((COUNT, 4, 4, 3)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 3, COUNT).astype(np.int32)


def small() -> keras.Model:
    start = keras.initializers.GlorotUniform(seed=0)
    return keras.Sequential(
        [keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3, kernel_initializer=start)]
    )


def test_another_loss_is_what_is_trained_on() -> None:
    model = small()
    expected = twice(LABELS, np.asarray(model(IMAGES))).mean()
    history = train(
        model, IMAGES, LABELS, epochs=1, learning_rate=0.0, batch_size=COUNT, loss=SoftmaxTwice(), verbose=0
    )
    assert history.history["loss"] == [pytest.approx(expected, rel=1e-5)]


def test_without_shuffling_every_epoch_sees_one_class_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, Any, Any]] = []
    get = Batches.__getitem__

    def note(self: Batches, index: int) -> Any:
        images, labels = get(self, index)
        asked.append((index, images, labels))
        return images, labels

    monkeypatch.setattr(Batches, "__getitem__", note)
    train(small(), IMAGES, LABELS, epochs=2, batch_size=10, shuffle=False, seed=5, verbose=0)
    epochs = asked[-6:-3], asked[-3:]  # before these Keras looks at a batch or two to learn their shape
    order = [place for label in range(3) for place in range(COUNT) if LABELS[place] == label]
    for epoch in epochs:
        assert [index for index, *_ in epoch] == [0, 1, 2]
        np.testing.assert_array_equal(np.concatenate([labels for *_, labels in epoch]), sorted(LABELS))
        np.testing.assert_array_equal(np.concatenate([images for _, images, _ in epoch]), IMAGES[order])


class StoppedError(Exception):
    """Raised in place of a training."""


@pytest.mark.parametrize(
    ("changes", "loss", "shuffle"),
    [
        ({"pixel_scale": 255.0}, type(None), True),
        ({"order": "class"}, type(None), False),
        ({"softmax_twice": True}, SoftmaxTwice, True),
        ({}, type(None), True),
    ],
)
def test_a_recipe_tells_the_training(
    changes: dict[str, Any], loss: type, shuffle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}

    def note(model: keras.Model, images: Any, labels: Any, **given: Any) -> None:
        told.update(given, images=images, labels=labels)
        raise StoppedError

    monkeypatch.setattr(fit, "train", note)
    signs = load_dataset("synthetic", per_class=1, test_per_class=1)
    parts, made = (signs.train(), signs.test()), how(variant=Variant(name="mine", title="mine"), **changes)
    with pytest.raises(StoppedError):
        fit.fit(made, *parts, state=tmp_path / "state", dtype="float32", board=tmp_path / "board")
    scale = np.float32(changes.get("pixel_scale", 1))
    for part, (images, labels) in zip(parts, ((told["images"], told["labels"]), told["validation"]), strict=True):
        np.testing.assert_array_equal(images, part.images * scale)
        assert images.dtype == np.float32
        np.testing.assert_array_equal(labels, part.labels)
    assert isinstance(told["loss"], loss)
    assert told["shuffle"] is shuffle
    assert (told["procedure"], told["seed"]) == (PROCEDURES["plain"], 3)
