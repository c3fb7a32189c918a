"""Checkpoints: trained once, found again, resumed after a kill, and never mistaken for another training."""

import csv
import dataclasses
import functools
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.registry import load_dataset
from blurnet_tf.models import VARIANTS, Variant
from blurnet_tf.runs import checkpoint_path, train_checkpoint, train_variant, trainings
from blurnet_tf.training import fit, train
from blurnet_tf.training.recipes import PRESETS, Recipe, recipe

pytestmark = pytest.mark.slow
KEPT = {"tv.keras", "tv.best.keras", "tv.json", "tv.csv", ".tv.lock", "tensorboard"}


@functools.cache
def data(per_class: int = 12, test_per_class: int = 10) -> Dataset:
    return load_dataset("synthetic", per_class=per_class, test_per_class=test_per_class)


def how(epochs: int = 5, variant: str = "tv_1e-4", **more: Any) -> Recipe:
    return dataclasses.replace(recipe("smoke", variant), epochs=epochs, schedule="late_cosine", **more)


class Copy(keras.callbacks.Callback):
    """Copies a folder in the middle of an epoch: what is on the disk then is what a kill would leave.

    `tests/test_wheel.py` kills a training itself.
    """

    def __init__(self, folder: Path, to: Path, *, at: int) -> None:
        super().__init__()
        self.folder, self.to, self.at = folder, to, at

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.now = epoch + 1

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        if (self.now, batch) == (self.at, 0):
            shutil.copytree(self.folder, self.to)


def epochs_in(said: str) -> list[str]:
    return [line.split()[1] for line in said.splitlines() if line.startswith("Epoch ")]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a training that nothing disturbed, and a copy of it from the middle of the fourth epoch of five."""
    folder = tmp_path_factory.mktemp("trained")
    straight, killed = folder / "straight", folder / "killed"

    def watched(*given: Any, callbacks: list[keras.callbacks.Callback], **more: Any) -> Any:
        return train(*given, callbacks=[*callbacks, Copy(straight, killed, at=4)], **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "train", watched)
        train_checkpoint(how(5), data(), path=straight / "tv.keras")
    return straight, killed


@pytest.fixture(scope="module")
def straight(both: tuple[Path, Path]) -> Path:
    return both[0]


def test_a_training_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(
    both: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    straight, killed = both
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    assert not (tmp_path / "tv.keras").exists()
    (state,) = tmp_path.glob(".tv-*.training")
    # A kill between the two files of Keras's backup: the weights of one epoch with the number of another.
    (state / "work" / "backup" / "training_metadata.json").write_text('{"epoch": 0, "batch": 0}')
    capsys.readouterr()
    train_checkpoint(how(5), data(), path=tmp_path / "tv.keras")
    assert epochs_in(capsys.readouterr().out) == ["4/5", "5/5"]
    assert {path.name for path in tmp_path.iterdir()} == KEPT
    ours, theirs = (json.loads((folder / "tv.json").read_text()) for folder in (tmp_path, straight))
    for key in ("weights_sha256", "test_accuracy", "best_test_accuracy", "settings"):
        assert ours[key] == theirs[key], key
    assert (tmp_path / "tv.csv").read_bytes() == (straight / "tv.csv").read_bytes()


def test_a_damaged_state_is_given_up_and_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signs = data(2, 1)

    def train_here() -> None:
        splits = signs.train(), signs.test()
        fit.fit(how(2, "baseline"), *splits, state=tmp_path / "state", dtype="float32", board=tmp_path / "board")

    train_here()
    (epoch,) = (tmp_path / "state").glob("epoch-*")
    assert epoch.name == "epoch-000002"
    capsys.readouterr()
    train_here()
    assert epochs_in(capsys.readouterr().out) == []  # everything is there
    (weights,) = epoch.rglob("latest.weights.h5")
    weights.write_bytes(weights.read_bytes()[:1000])
    (tmp_path / "state" / ".DS_Store").touch()  # no folder, and not ours
    train_here()
    said = capsys.readouterr().out
    assert f"{epoch}: skipping damaged epoch" in said
    assert epochs_in(said) == ["1/2", "2/2"]


def test_a_training_leaves_its_log_and_its_best_weights(straight: Path) -> None:
    with (straight / "tv.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "tv_weight", "total_variation"} <= set(rows[0])
    provenance = json.loads((straight / "tv.json").read_text())
    assert provenance["best_test_accuracy"] == pytest.approx(max(float(row["val_accuracy"]) for row in rows), abs=0.02)
    assert provenance["best_test_accuracy"] >= provenance["test_accuracy"] - 0.02
    assert provenance["settings"]["precision"] in provenance["precision"]
    for name in ("tv.keras", "tv.best.keras"):
        model = keras.saving.load_model(straight / name)
        assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert list((straight / "tensorboard" / "tv").rglob("events.*"))


class WouldTrainError(Exception):
    """Raised instead of training."""


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def would_train(*_: object, **__: object) -> None:
        raise WouldTrainError

    monkeypatch.setattr(trainings, "fit", would_train)


@pytest.mark.usefixtures("no_training")
def test_a_checkpoint_is_found_if_it_was_trained_just_so(straight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signs, path = data(), straight / "tv.keras"
    found = train_checkpoint(how(), signs, path=path)
    assert f"{path}: trained already" in capsys.readouterr().out
    assert found.provenance == json.loads((straight / "tv.json").read_text())
    assert found.model.name == "tv_1e-4"
    # Another precision counts only where it was asked for.
    settings = found.provenance["settings"] | {"precision": "float32"}
    other = dict(found.provenance) | {"settings": settings}
    (straight / "tv.json").write_text(json.dumps(other))
    assert train_checkpoint(how(), signs, path=path).provenance == other
    assert train_checkpoint(how(), signs, path=path, precision="float32").provenance == other
    for changed in ({"recipe": how(seed=1)}, {"data": data(11)}, {"precision": "mixed_bfloat16"}):
        with pytest.raises(WouldTrainError):
            train_checkpoint(**({"recipe": how(), "data": signs, "path": path} | changed))
        assert "tv.keras: training it again, because tv.json has other settings" in capsys.readouterr().out


def test_a_checkpoint_of_version_0_1_is_known_by_the_same_settings() -> None:
    # As version 0.1 wrote them. A change here means that everybody trains everything again.
    made = {
        "variant": {"name": "depthwise_7x7", "depthwise": 7, "alpha": 0.1},
        "epochs": 24,
        "schedule": "late_cosine",
        "learning_rate": 0.001,
        "batch_size": 128,
        "seed": 0,
        "init": "random",
    }
    wanted = recipe("quick", "depthwise_7x7")
    assert {"variant": wanted.variant.settings()} | wanted.settings() == made


def test_the_release_must_be_there_to_start_from_it(tmp_path: Path) -> None:
    signs = data(1, 1)
    for arguments, what in (
        ({"variant": "tv_1e-4", "init": "rp2_release"}, "INIT"),
        ({"variant": "rp2_release"}, "VARIANT"),
    ):
        with pytest.raises(FileNotFoundError, match=f"{what}=rp2_release needs the RP2 release"):
            train_variant(data=signs, preset="smoke", folder=tmp_path, **arguments)


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [({"variant": "tv_1"}, "`variant` must be one of"), ({"preset": "huge"}, "`preset` must be one of smoke, quick")],
)
def test_an_unknown_variant_or_preset_is_named(tmp_path: Path, arguments: dict[str, str], phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        train_variant(**({"variant": "baseline", "data": data(1, 1), "folder": tmp_path} | arguments))


def test_other_test_images_are_scored_and_nothing_is_trained(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_training: None
) -> None:
    for name in ("tv.keras", "tv.json"):
        shutil.copyfile(straight / name, tmp_path / name)
    signs = data(test_per_class=3)
    found = train_checkpoint(how(), signs, path=tmp_path / "tv.keras")
    test, provenance = signs.test(), found.provenance
    assert provenance["test_images"] == len(test) == 51
    expected = (np.asarray(found.model(test.images)).argmax(1) == test.labels).sum()
    assert provenance["test_correct"] == expected
    assert json.loads((tmp_path / "tv.json").read_text()) == provenance
    assert "% of 51 held-out images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "content"), [("tv.keras", "no archive"), ("tv.json", "{"), ("tv.json", "{}"), ("tv.json", "[]")]
)
def test_a_damaged_checkpoint_is_named_and_trained_again(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_training: None, file: str, content: str
) -> None:
    for name in ("tv.keras", "tv.json"):
        shutil.copyfile(straight / name, tmp_path / name)
    (tmp_path / file).write_text(content)
    signs = data()
    with pytest.raises(WouldTrainError):
        train_checkpoint(how(), signs, path=tmp_path / "tv.keras")
    assert f"{tmp_path}/tv.keras: training it again, because it is damaged (" in capsys.readouterr().out


@pytest.mark.usefixtures("no_training")
def test_a_flipped_bit_in_a_checkpoint_is_damage_and_no_traceback(straight: Path, tmp_path: Path) -> None:
    for name in ("tv.keras", "tv.json"):
        shutil.copyfile(straight / name, tmp_path / name)
    content = bytearray((tmp_path / "tv.keras").read_bytes())
    for place in np.random.default_rng(0).integers(len(content), size=4):
        mutant = bytearray(content)
        mutant[place] ^= 1
        (tmp_path / "tv.keras").write_bytes(mutant)
        try:  # a bit that nothing depends on, such as one of the date, leaves the model whole
            train_checkpoint(how(), data(), path=tmp_path / "tv.keras")
        except WouldTrainError:
            continue


def test_the_remains_of_this_very_model_alone_are_removed_and_nothing_needs_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # TensorBoard is used only if it is installed. Where it is, `KEPT` has its folder in the tests above.
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: None if name == "tensorboard" else find(name, *more)
    )
    remains = [
        ".tv-0123456789ab.training",
        f".tv.{'0' * 32}.keras",
        f".tv.best.{'1' * 32}.keras",
        f".tv.{'2' * 32}.csv",
    ]
    others = [".tv-more-0123456789ab.training", f".tv-more.{'0' * 32}.keras"]
    for name in (*remains, *others):
        if name.endswith(".training"):
            (tmp_path / name / "epoch-000001").mkdir(parents=True)
        else:
            (tmp_path / name).touch()
    train_checkpoint(how(1, "baseline"), data(1, 1), path=tmp_path / "tv.keras")
    assert {path.name for path in tmp_path.iterdir()} == {*KEPT, *others} - {"tensorboard"}


def test_a_variant_of_ones_own_is_trained_on_a_folder_of_ones_own(tmp_path: Path) -> None:
    import cv2

    for name, level in (("dark", 60), ("light", 200)):
        (tmp_path / "signs" / name).mkdir(parents=True)
        for number in range(10):
            picture = np.random.default_rng(number).integers(level - 30, level + 30, (40, 36, 3)).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "signs" / name / f"{number}.png"), picture)
    signs = load_dataset(f"folder:{tmp_path / 'signs'}")
    variant = Variant.from_settings({"name": "mine", "feature_blur": 3})
    found = train_variant(variant, signs, preset="smoke", folder=tmp_path / "checkpoints")
    assert found.path == tmp_path / "checkpoints" / signs.key / "smoke" / "mine.keras"
    assert found.model.output_shape == (None, 2)
    assert found.spec().variant == variant.settings()
    assert found.row(VARIANTS["feature_5x5"]).test_correct is None


def test_data_and_presets_keep_their_checkpoints_apart() -> None:
    paths = {checkpoint_path(Path("c"), data, preset, "tv") for data in ("synthetic", "lisa") for preset in PRESETS}
    assert paths == {
        Path("c/tv.keras"),
        Path("c/smoke/tv.keras"),
        Path("c/paper/tv.keras"),
        Path("c/lisa/tv.keras"),
        Path("c/lisa/smoke/tv.keras"),
        Path("c/lisa/paper/tv.keras"),
    }
    assert checkpoint_path(Path("c"), "lisa_random", "quick", "tv") == Path("c/lisa_random/tv.keras")
    assert checkpoint_path(Path("c"), "lisa", "paper", "tv", "rp2_release") == Path(
        "c/lisa/paper/from_rp2_release/tv.keras"
    )
    assert checkpoint_path(Path("c"), "lisa", "paper", "rp2_release") == Path("c/lisa/rp2_release.keras")
    assert checkpoint_path(Path("c"), "synthetic", "quick", "tv", seed=2) == Path("c/seed-2/tv.keras")
