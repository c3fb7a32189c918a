"""The program that exports, after the shortest training."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf import lisa_cnn
from blurnet_tf.data import rp2_release
from blurnet_tf.models import layer_weights
from experiments import export as export_program

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the program writes for the baseline and a filter, after the shortest training."""
    folder = tmp_path_factory.mktemp("program")
    arguments = ["--preset", "smoke", "--data", "synthetic", "--variant", "baseline", "feature_5x5"]
    for name in ("checkpoints", "results", "exports", "data-dir"):
        arguments += [f"--{name}", str(folder / name)]
    export_program.main(arguments)
    return folder


def test_the_program_exports_the_checkpoint(program: Path) -> None:
    checkpoint = keras.saving.load_model(program / "checkpoints" / "smoke" / "baseline.keras")
    loaded = tf.saved_model.load(program / "exports" / "baseline")
    logits = loaded.serving_default(tf.constant(IMAGES))["logits"]
    np.testing.assert_allclose(logits, checkpoint(IMAGES), rtol=0, atol=1e-5)
    assets = program / "exports" / "baseline" / "assets"
    provenance = json.loads((assets / "provenance.json").read_text())
    training = json.loads((program / "checkpoints" / "smoke" / "baseline.json").read_text())
    assert provenance["training"] == training
    assert provenance["accuracy"] == {
        "data": "rendered signs",
        "correct": training["test_correct"],
        "n": training["test_images"],
    }
    assert provenance["table_row"] is None
    card = (assets / "model_card.md").read_text()
    assert "(rendered signs) for 2 epochs" in card
    assert "`make whitebox VARIANT=baseline`" in card


def test_the_program_puts_a_fixed_filter_into_the_baseline(program: Path) -> None:
    checkpoint = keras.saving.load_model(program / "checkpoints" / "smoke" / "baseline.keras")
    filtered = lisa_cnn("feature_5x5", weights=layer_weights(checkpoint))
    loaded = tf.saved_model.load(program / "exports" / "feature_5x5")
    logits = loaded.serving_default(tf.constant(IMAGES))["logits"]
    np.testing.assert_allclose(logits, filtered(IMAGES), rtol=0, atol=1e-5)
    maps = loaded.feature_maps(tf.constant(IMAGES))["feature_maps"]
    layer = keras.Model(filtered.input, filtered.get_layer("feature_blur").output)
    np.testing.assert_allclose(maps, layer(IMAGES), rtol=0, atol=1e-5)
    card = (program / "exports" / "feature_5x5" / "assets" / "model_card.md").read_text()
    assert "That was the training of `baseline`" in card


def test_the_program_says_before_any_training_that_a_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        export_program.main(["--format", "onnx", "--checkpoints", str(tmp_path), "--exports", str(tmp_path)])
    assert "error: The format 'onnx' needs the package tf2onnx." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.realdata
def test_the_program_exports_the_released_weights(
    rp2_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLURNET_DATA", str(rp2_folder.parent))
    arguments = ["--preset", "smoke", "--data", "synthetic", "--variant", "rp2_release"]
    for name in ("checkpoints", "results", "exports"):
        arguments += [f"--{name}", str(tmp_path / name)]
    export_program.main(arguments)
    loaded = tf.saved_model.load(tmp_path / "exports" / "rp2_release")
    logits = loaded.serving_default(tf.constant(IMAGES))["logits"]
    released = lisa_cnn("rp2_release", weights=rp2_release.load_weights(rp2_folder))
    np.testing.assert_allclose(logits, released(IMAGES), rtol=0, atol=1e-5)
    card = (tmp_path / "exports" / "rp2_release" / "assets" / "model_card.md").read_text()
    assert "these are the weights that RP2's authors released" in card
    assert "of 170 held-out images (rendered signs) are classified right" in card
