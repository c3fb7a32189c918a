"""Files of others: limits, archives, arrays, pictures, and what is printed of them."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest

from blurnet_tf.checks import printable, shown
from blurnet_tf.models.inspection import read_keras_file
from blurnet_tf.pictures import decode
from blurnet_tf.reading import check_archive, most, read_array, read_arrays


def test_arrays_come_back(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.arange(3), b=np.array(["ä"]))
    np.save(tmp_path / "x.npy", np.eye(2))
    found = read_arrays(tmp_path / "x.npz")
    assert (found["a"].tolist(), found["b"].tolist()) == ([0, 1, 2], ["ä"])
    np.testing.assert_array_equal(read_array(tmp_path / "x.npy"), np.eye(2))


def test_an_archive_unpacks_to_no_more_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros(1_000_000))
    assert (tmp_path / "x.npz").stat().st_size < 10_000
    monkeypatch.setenv("BLURNET_MOST_BYTES", "8000000")
    for read in (read_arrays, lambda path: check_archive(path, "archive")):
        with pytest.raises(ValueError, match=r"x\.npz must unpack to at most 8000000 bytes\. Received: 80001\d\d"):
            read(tmp_path / "x.npz")
    monkeypatch.delenv("BLURNET_MOST_BYTES")
    assert len(read_arrays(tmp_path / "x.npz")["a"]) == 1_000_000


@pytest.mark.parametrize("text", ["0", "-1", "many", "1e9", "٣"])
def test_a_limit_is_a_positive_integer(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLURNET_MOST_PIXELS", text)
    with pytest.raises(ValueError, match="BLURNET_MOST_PIXELS must be a positive integer"):
        most("BLURNET_MOST_PIXELS")


def test_what_is_no_array_in_an_archive_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("note.txt", "hello")
    with pytest.raises(ValueError, match=r"must hold arrays alone\. Received: 'note.txt'"):
        read_arrays(tmp_path / "x.npz")


def test_a_picture_has_no_more_pixels_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    png = cv2.imencode(".png", np.zeros((100, 50, 3), np.uint8))[1].tobytes()
    assert decode(png, "It").shape == (100, 50, 3)
    monkeypatch.setenv("BLURNET_MOST_PIXELS", "4999")
    with pytest.raises(ValueError, match=r"It must have at most 4999 pixels\. Received: 50 x 100"):
        decode(png, "It")


def test_half_a_picture_is_none() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for end in (".png", ".jpg", ".ppm"):
        whole = cv2.imencode(end, noise)[1].tobytes()
        assert decode(whole, "It").shape == (64, 64, 3)
        with pytest.raises(ValueError, match="It must be a readable PNG, JPEG or PPM image"):
            decode(whole[: len(whole) // 2], "It")


def test_what_is_printed_steers_no_terminal() -> None:
    assert printable("a\x1b[31mb\tc\nd\u202ee\x00") == "a\\x1b[31mb\tc\nd\\u202ee\\x00"
    assert printable("x" * 50, most=10) == "xxxxxxxxxx... (50 characters)"
    assert shown("é" * 500).endswith("... (502 characters)")


def test_the_variables_of_a_keras_file_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, large = tmp_path / "small.keras", tmp_path / "large.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")]).save(path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(large, "w") as changed:
        for name in archive.namelist():
            content = archive.read(name)
            changed.writestr(name, content.replace(b'"units": 3', b'"units": 3000000000'))
    assert large.stat().st_size < 20_000
    with pytest.raises(ValueError, match=r"large\.keras must unpack to at most \d+ bytes\. Received: 60000000000"):
        read_keras_file(large)
    made: list[Any] = []
    monkeypatch.setattr(keras.Variable, "_deferred_initialize", lambda self: made.append(self))
    with keras.StatelessScope():  # at whose end Keras makes what waits for its values
        pass
    assert made == []
    monkeypatch.undo()
    assert read_keras_file(path).count_params() == 15
    monkeypatch.setenv("BLURNET_MOST_BYTES", str(path.stat().st_size * 10))
    assert read_keras_file(path).count_params() == 15


def test_a_file_that_keras_cannot_load_makes_no_variables_before(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(6), keras.layers.Reshape((2, 3))]).save(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["config.json"] = content["config.json"].replace(b'"units": 6', b'"units": 3000000001')
    with zipfile.ZipFile(path, "w") as archive:
        for name, one in content.items():
            archive.writestr(name, one)
    with pytest.raises(ValueError, match=r"Reshape|reshape|size"):
        read_keras_file(path)


def test_reading_a_model_leaves_chance_alone(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5)]).save(tmp_path / "model.keras")
    numbers = []
    for read in (keras.saving.load_model, read_keras_file):
        random.seed(0)
        read(tmp_path / "model.keras")
        numbers.append(random.random())
    assert numbers[0] == numbers[1]


def test_layers_that_cannot_be_built_without_values_are_read(tmp_path: Path) -> None:
    keras.Sequential(
        [keras.Input((4,)), keras.layers.Normalization(mean=1.0, variance=2.0), keras.layers.Dropout(0.5)]
    ).save(tmp_path / "model.keras")
    assert read_keras_file(tmp_path / "model.keras")(np.ones((1, 4))).numpy().tolist() == [[0.0] * 4]
