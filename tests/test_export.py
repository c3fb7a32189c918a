"""Exported models: in a process that has TensorFlow alone, in LiteRT, in ONNX, and in Keras."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from blurnet_tf import CLASS_NAMES, RP2, export_model, load_classifier, load_mask
from blurnet_tf.data import synthetic
from blurnet_tf.data.folder import resize
from blurnet_tf.export import ENDPOINTS
from blurnet_tf.models import build_network, feature_layer
from tests import clean_process

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 32, 32, 3)).astype(np.float32)
KINDS = ("RGB", "RGBA", "L", "P", "JPEG", "turned")  # the last one is a JPEG that EXIF data turn: they do not count


def encoded(kind: str, levels: Any) -> bytes:
    """A sign as the bytes of a file: PNG with or without colour, alpha or a palette, or JPEG."""
    file = BytesIO()
    image = Image.fromarray(levels)
    if kind == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    elif kind in ("L", "P"):
        image = image.convert(kind)
    exif = Image.Exif()
    if kind == "turned":
        exif[0x0112] = 6  # Orientation: a quarter of a turn
    image.save(file, "JPEG" if kind in ("JPEG", "turned") else "PNG", exif=exif)
    return file.getvalue()


@functools.cache
def signs() -> Any:
    return synthetic.test_split(1).images


def sign(index: int, size: tuple[int, int]) -> Any:
    """A rendered sign as uint8 levels, of a size that Pillow 12 resizes in the same order as Pillow 13 does."""
    levels = np.rint(signs()[index] * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC))


# A variant of each kind of defence and of each network.
EXPORTED = (
    "baseline", "input_3x3", "feature_5x5", "depthwise_7x7", "tv_1e-4", "input_jpeg", "input_median",
    "vote_cnn",
)  # fmt: skip


class Answers(NamedTuple):
    """What the clean process said, and the arrays that it computed."""

    said: dict[str, Any]
    outputs: dict[str, Any]


@pytest.fixture(scope="module")
def models() -> dict[str, keras.Model]:
    return {name: build_network(name, seed=0) for name in EXPORTED}


@pytest.fixture(scope="module")
def exports(models: dict[str, keras.Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every variant, exported untrained; the first one in every format."""
    folder = tmp_path_factory.mktemp("exports")
    for name, model in models.items():
        formats = ["savedmodel", "litert", "onnx"] if name == "baseline" else ["savedmodel"]
        export_model(
            model,
            folder / name,
            layer=feature_layer(model),
            class_names=CLASS_NAMES,
            card="# Card\n",
            provenance={},
            formats=formats,
        )
    return folder


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    """Signs as files of different sizes and kinds."""
    return [encoded(kind, sign(3 * index, (44 + 9 * index, 56 - 9 * index))) for index, kind in enumerate(KINDS)]


@pytest.fixture(scope="module")
def crops() -> Any:
    return np.stack([sign(index, (45, 57)) for index in range(4)])


@pytest.fixture(scope="module")
def clean(exports: Path, files: Sequence[bytes], crops: Any) -> Answers:
    """What a process with nothing but TensorFlow says of the exports, and the arrays that it computes."""
    np.savez(exports / "inputs.npz", image=IMAGES, crops=crops)
    for number, content in enumerate(files):
        (exports / f"{number}.bin").write_bytes(content)
    distributions = clean_process.link_tensorflow(exports / "packages")
    assert {"tensorflow", "keras", "numpy"} <= distributions
    assert "blurnet-tf" not in distributions
    program = Path(__file__).with_name("clean_program.py").read_text()
    said = clean_process.run(program, exports / "packages", exports, *EXPORTED)
    with np.load(exports / "outputs.npz", allow_pickle=False) as outputs:
        return Answers(said, dict(outputs))


def test_the_clean_process_cannot_import_the_package(clean: Answers) -> None:
    assert clean.said["blocked"] == ["blurnet_tf", "experiments", "PIL", "cv2", "cleverhans"]


def test_the_endpoints_have_named_inputs_and_outputs_and_a_dynamic_batch(clean: Answers) -> None:
    named = {"class_index": ["int32", [None]], "class_name": ["string", [None]], "probability": ["float32", [None]]}
    image = {"image": ["float32", [None, 32, 32, 3]]}
    assert clean.said["signatures"] == {
        "serving_default": [image, {key: ["float32", [None, 18]] for key in ("logits", "probabilities")}],
        "classify": [{"image": ["uint8", [None, None, None, 3]]}, named],
        "classify_encoded": [{"image_bytes": ["string", [None]]}, named],
        "feature_maps": [image, {"feature_maps": ["float32", [None, 16, 16, 64]]}],
    }
    assert set(clean.said["signatures"]) == set(ENDPOINTS)
    assert clean.said["weights"] == 8


@pytest.mark.parametrize("name", EXPORTED)
def test_the_logits_and_the_maps_are_those_of_the_keras_model(
    name: str, models: dict[str, keras.Model], clean: Answers
) -> None:
    model, outputs = models[name], clean.outputs
    np.testing.assert_allclose(outputs[f"{name}/logits"], model(IMAGES), rtol=0, atol=1e-5)
    maps = keras.Model(model.input, model.get_layer("conv2").input)(IMAGES)  # after the defence
    np.testing.assert_allclose(outputs[f"{name}/feature_maps"], maps, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", EXPORTED)
def test_gradients_flow_from_the_logits_to_the_image(name: str, models: dict[str, keras.Model], clean: Answers) -> None:
    image = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(image)
        logits = models[name](image)
    gradient = clean.outputs[f"{name}/gradient"]
    assert gradient.shape == IMAGES.shape
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient, tape.gradient(logits, image), rtol=0, atol=1e-5)


def expected(model: keras.Model, levels: Sequence[Any]) -> tuple[list[int], list[str], Any]:
    """What `classify` must say of images that the data pipeline resized."""
    images = np.stack([resize(one) for one in levels]).astype(np.float32) / np.float32(255)
    probabilities = np.asarray(keras.ops.softmax(model(images)))
    index = probabilities.argmax(1).tolist()
    return index, [CLASS_NAMES[one] for one in index], probabilities.max(1)


def test_classify_resizes_as_the_data_pipeline_does(models: dict[str, keras.Model], clean: Answers, crops: Any) -> None:
    index, names, probability = expected(models["baseline"], crops)
    answer = clean.said["classify"]
    assert answer[:2] == [index, names]
    np.testing.assert_allclose(answer[2], probability, rtol=0, atol=1e-5)


def test_classify_encoded_reads_files_of_different_sizes_and_kinds(
    models: dict[str, keras.Model], clean: Answers, files: Sequence[bytes]
) -> None:
    decoded = []
    for content in files:
        image = Image.open(BytesIO(content))  # `convert` drops alpha, and repeats grey
        decoded.append(np.asarray(image.convert("RGB")))
    index, names, probability = expected(models["baseline"], decoded)
    answer = clean.said["classify_encoded"]
    assert answer[:2] == [index, names]
    np.testing.assert_allclose(answer[2], probability, rtol=0, atol=1e-5)


def test_what_is_no_image_is_refused(clean: Answers) -> None:
    no_pixels, no_image = clean.said["refused"]
    assert "`images` must have pixels" in no_pixels
    assert "Unknown image file format" in no_image


def test_an_export_is_a_layer_of_another_keras_model(models: dict[str, keras.Model], clean: Answers) -> None:
    np.testing.assert_allclose(clean.outputs["outer"], 2 * np.asarray(models["baseline"](IMAGES)), rtol=0, atol=2e-5)


def test_litert_gives_the_same_for_any_batch(models: dict[str, keras.Model], clean: Answers) -> None:
    assert clean.said["litert"] == [["image"], ["logits", "probabilities"]]
    for count in (3, 1):
        logits = np.asarray(models["baseline"](IMAGES[:count]))
        np.testing.assert_allclose(clean.outputs[f"litert/logits/{count}"], logits, rtol=0, atol=1e-4)
        probabilities = np.asarray(keras.ops.softmax(logits))
        np.testing.assert_allclose(clean.outputs[f"litert/probabilities/{count}"], probabilities, rtol=0, atol=1e-4)


def test_onnx_gives_the_same_for_any_batch(models: dict[str, keras.Model], exports: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(exports / "baseline" / "baseline.onnx")
    assert [(one.name, one.shape) for one in session.get_inputs()] == [("image", ["n", 32, 32, 3])]
    assert [(one.name, one.shape) for one in session.get_outputs()] == [
        ("logits", ["n", 18]),
        ("probabilities", ["n", 18]),
    ]
    for count in (3, 1):
        logits, probabilities = session.run(["logits", "probabilities"], {"image": IMAGES[:count]})
        np.testing.assert_allclose(logits, models["baseline"](IMAGES[:count]), rtol=0, atol=1e-4)
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", EXPORTED)
def test_the_keras_file_loads_in_safe_mode_without_custom_objects(
    name: str, models: dict[str, keras.Model], exports: Path
) -> None:
    loaded = keras.saving.load_model(exports / name / f"{name}.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(IMAGES), models[name](IMAGES))


def test_rp2_finds_the_same_sticker_on_the_export(models: dict[str, keras.Model], exports: Path) -> None:
    model, folder = models["feature_5x5"], exports / "feature_5x5"
    loaded = tf.saved_model.load(folder)
    files = [load_classifier(path) for path in (folder, folder / "feature_5x5.keras")]
    images, mask = synthetic.victim_split().images[:4], load_mask(ROOT / "masks" / "sticker.png")
    target = int(np.asarray(model(images)).argmin(1)[0])
    attack = RP2(steps=3)
    expected = attack(model, images, targets=target, mask=mask).perturbation
    for export in (lambda images: loaded.serving_default(images)["logits"], *files):
        found = attack(export, images, targets=target, mask=mask).perturbation
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    assert [(classifier.size, classifier.classes) for classifier in files] == [((32, 32), 18)] * 2
