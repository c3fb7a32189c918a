"""The folder of an export: what is in it, how it is replaced, what is refused, and a model of one's own."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf import CLASS_NAMES, STOP, export_model, lisa_cnn
from blurnet_tf.data import rp2_release
from blurnet_tf.files import sha256
from blurnet_tf.models.inspection import model_sha256

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def baseline() -> keras.Model:
    return lisa_cnn(seed=0)


def export(model: keras.Model, folder: Path, **others: Any) -> Path:
    arguments: dict[str, Any] = {
        "layer": model.layers[1].name,
        "class_names": CLASS_NAMES,
        "card": "# Card\n",
        "provenance": {"seed": 0},
    }
    return export_model(model, folder, **(arguments | others))


@pytest.fixture(scope="module")
def whole(baseline: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export in every format. Read only."""
    return export(baseline, tmp_path_factory.mktemp("exports") / "baseline", formats=["onnx", "litert"])


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, alone in `tmp_path`."""
    return shutil.copytree(whole, tmp_path / "a")


def test_what_lies_in_an_export(baseline: keras.Model, whole: Path) -> None:
    folder = whole
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "saved_model.pb",
        "fingerprint.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets/labels.txt",
        "assets/model_card.md",
        "assets/provenance.json",
        "baseline.keras",
        "baseline.tflite",
        "baseline.onnx",
    }
    (weights,) = folder.glob("variables/variables.data-*")
    assert 1 <= weights.stat().st_size / (4 * baseline.count_params()) < 1.01  # each weight once
    assert (folder / "assets" / "labels.txt").read_text().splitlines() == list(CLASS_NAMES)
    assert (folder / "assets" / "model_card.md").read_text() == "# Card\n"
    provenance = json.loads((folder / "assets" / "provenance.json").read_text())
    labels = sha256(folder / "assets" / "labels.txt")
    assert provenance == {"seed": 0, "model_sha256": model_sha256(folder), "labels_sha256": labels}
    for name in ("saved_model.pb", "baseline.tflite", "baseline.onnx"):  # no paths of this machine
        assert str(folder.parent).encode() not in (folder / name).read_bytes()


def test_an_export_can_be_moved_and_replaced(baseline: keras.Model, copied: Path, tmp_path: Path) -> None:
    other = copied.rename(tmp_path / "b")
    loaded = tf.saved_model.load(other)
    logits = loaded.serving_default(tf.constant(IMAGES))["logits"]
    np.testing.assert_allclose(logits, baseline(IMAGES), rtol=0, atol=1e-5)
    export(baseline, other, card="# Another\n")
    assert (other / "assets" / "model_card.md").read_text() == "# Another\n"
    assert (other / "b.keras").exists()
    assert not list(other.glob("baseline.*"))  # of the export before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_after_an_error_the_older_export_stays(
    baseline: keras.Model, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}

    def full(*arguments: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("tf2onnx.convert.from_function", full)
    with pytest.raises(OSError, match="No space"):
        export(baseline, copied, formats=["onnx"])
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before
    assert list(tmp_path.iterdir()) == [copied]


def test_a_folder_that_is_no_export_is_left_alone(baseline: keras.Model, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError) as error:
        export(baseline, tmp_path)
    assert str(error.value) == (
        f"{tmp_path} was not written here: it has no assets/model_card.md. Move it away, or name another folder."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_model_of_ones_own_is_exported(tmp_path: Path) -> None:
    image = keras.Input((32, 32, 3))
    maps = keras.layers.Conv2D(4, 3, name="mine", dtype="mixed_bfloat16")(image)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(maps)))
    loaded = tf.saved_model.load(export(model, tmp_path / "own", layer="mine", class_names=("yes", "no")))
    answer = loaded.classify(tf.zeros((1, 40, 50, 3), tf.uint8))
    assert answer["class_name"].numpy()[0] in (b"yes", b"no")
    assert loaded.feature_maps(tf.constant(IMAGES))["feature_maps"].dtype == tf.float32
    assert (tmp_path / "own" / "own.keras").is_file()


def test_a_model_of_another_size_resizes_to_it(tmp_path: Path) -> None:
    model = lisa_cnn("feature_5x5", classes=3, image_size=(40, 56), seed=0)
    loaded = tf.saved_model.load(export(model, tmp_path / "own", class_names=("a", "b", "c")))
    levels = np.random.default_rng(0).integers(0, 256, (1, 40, 56, 3), np.uint8)
    logits = np.asarray(model(levels.astype(np.float32) / 255))
    np.testing.assert_allclose(
        loaded.serving_default(tf.constant(levels, tf.float32) / 255)["logits"], logits, atol=1e-5
    )
    for said in (loaded.classify(levels), loaded.classify_encoded([tf.io.encode_png(levels[0])])):
        assert said["class_index"].numpy().tolist() == logits.argmax(1).tolist()
    assert loaded.classify(np.zeros((2, 90, 30, 3), np.uint8))["class_index"].shape == (2,)


def test_an_export_can_be_trained_on(whole: Path) -> None:
    loaded = tf.saved_model.load(whole)
    collections = (loaded.variables, loaded.trainable_variables, loaded.non_trainable_variables)
    assert [len(collection) for collection in collections] == [8, 8, 0]
    optimizer = tf.keras.optimizers.SGD(0.1)
    losses = []
    for _ in range(3):
        with tf.GradientTape() as tape:
            logits = loaded.serving_default(tf.constant(IMAGES))["logits"]
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits([1, 2, 3], logits))
        losses.append(float(loss))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, loaded.trainable_variables), loaded.trainable_variables, strict=True)
        )
    assert losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"layer": "conv9"},
            "`layer` must be one of image, conv1, conv2, conv3, flatten, logits. Received: layer='conv9'",
        ),
        (
            {"class_names": ("a", "b")},
            "`model` must map images (None, H, W, 3) of one size to logits (None, 2), one for each of `class_names`. "
            "Received: inputs [(None, 32, 32, 3)], outputs [(None, 18)]",
        ),
        (
            {"formats": ["tflite"]},
            "`formats` must be a list of 'savedmodel', 'litert', 'onnx'. Received: formats=['tflite']",
        ),
        ({"formats": "onnx"}, "`formats` must be a list of 'savedmodel', 'litert', 'onnx'. Received: formats='onnx'"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_written(
    arguments: dict[str, Any], message: str, baseline: keras.Model, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        export(baseline, tmp_path / "a", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(baseline: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError) as error:
        export(baseline, tmp_path / "a", formats=["onnx"])
    assert str(error.value) == (
        "The format 'onnx' needs the package tf2onnx. `pip install 'blurnet-tf[onnx]'` installs it."
    )


@pytest.mark.realdata
def test_the_released_model_reads_its_authors_signs_from_their_files(rp2_folder: Path, tmp_path: Path) -> None:
    model = lisa_cnn("rp2_release", weights=rp2_release.load_weights(rp2_folder))
    loaded = tf.saved_model.load(export(model, tmp_path / "rp2_release"))
    files = [(rp2_folder / name).read_bytes() for name in rp2_release.VICTIM_FILES]
    answer = loaded.classify_encoded(tf.constant(files))
    assert answer["class_index"].numpy().tolist() == [STOP] * 40
    assert set(answer["class_name"].numpy().tolist()) == {b"stop"}
    probabilities = np.asarray(keras.ops.softmax(model(rp2_release.load_victims(rp2_folder).images)))
    np.testing.assert_allclose(answer["probability"], probabilities[:, STOP], rtol=0, atol=1e-5)
