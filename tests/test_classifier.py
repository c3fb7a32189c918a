"""Models from files: what is loaded, what it answers, and what is refused in which words."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf import RP2, load_classifier
from tests import foreign

pytestmark = pytest.mark.slow
IMAGES = np.random.default_rng(0).uniform(0, 1, (4, 12, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign.save(tmp_path_factory.mktemp("foreign") / "zoo")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return foreign.keras_model()


def sentence(function: Any, *arguments: Any, error: type[Exception] = ValueError, **keywords: Any) -> str:
    with pytest.raises(error) as caught:
        function(*arguments, **keywords)
    return str(caught.value)


def test_a_saved_model_is_loaded_with_what_it_says_of_itself(folder: Path, model: keras.Model) -> None:
    classifier = load_classifier(folder)
    assert (classifier.name, classifier.signature, classifier.output_name) == ("zoo", "serving_default", "scores")
    assert (classifier.size, classifier.classes) == ((12, 12), 5)
    np.testing.assert_allclose(classifier(tf.constant(IMAGES)), model(IMAGES), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(classifier.check(IMAGES), classifier(IMAGES))
    assert classifier.describe() == {
        "name": "zoo",
        "signature": "serving_default",
        "output": "logits",
        "output_name": "scores",
        "size": [12, 12],
        "classes": 5,
        "sha256": classifier.sha256,
    }
    json.dumps(classifier.describe())
    assert "answer=" not in repr(classifier)


def test_a_keras_file_is_loaded(model: keras.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "zoo.keras")
    classifier = load_classifier(tmp_path / "zoo.keras")
    assert (classifier.name, classifier.signature, classifier.output_name) == ("zoo", None, None)
    assert (classifier.size, classifier.classes) == ((12, 12), 5)
    np.testing.assert_array_equal(classifier.check(IMAGES), model(IMAGES))


def test_a_sequential_model_and_one_with_several_outputs_are_loaded(model: keras.Model, tmp_path: Path) -> None:
    layers = [keras.Input((12, 12, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential(layers).save(tmp_path / "sequential.keras")
    assert load_classifier(tmp_path / "sequential.keras").check(IMAGES).shape == (4, 3)
    logits, maps = model.output, model.layers[1].output
    for kind, outputs in (("list", [maps, logits]), ("dict", {"maps": maps, "logits": logits})):
        several = keras.Model(model.input, outputs)
        several.save(tmp_path / f"{kind}.keras")
        name = None if kind == "dict" else several.output_names[1]
        classifier = load_classifier(tmp_path / f"{kind}.keras", output_name=name)
        assert (classifier.classes, classifier.output_name) == (5, name or "logits")
        np.testing.assert_array_equal(classifier.check(IMAGES), model(IMAGES))


def test_the_checksum_is_that_of_graph_and_weights(folder: Path, tmp_path: Path) -> None:
    digest = load_classifier(folder).sha256
    assert len(digest) == 64
    assert load_classifier(folder, signature="softmax", output="probabilities").sha256 == digest
    copy = shutil.copytree(folder, tmp_path / "zoo")
    (copy / "note.txt").write_text("mine")
    assert load_classifier(copy).sha256 == digest
    (copy / "saved_model.pb").write_bytes((foreign.save(tmp_path / "other") / "saved_model.pb").read_bytes())
    assert load_classifier(copy).sha256 != digest


def test_probabilities_become_logits_up_to_a_constant(folder: Path, model: keras.Model) -> None:
    classifier = load_classifier(folder, signature="softmax", output="probabilities")
    logits = np.asarray(model(IMAGES))
    centred = np.asarray(classifier(IMAGES))
    np.testing.assert_allclose(
        centred - centred.mean(1, keepdims=True), logits - logits.mean(1, keepdims=True), atol=1e-5
    )
    assert np.isfinite(classifier.check(IMAGES)).all()


def test_the_logarithm_of_a_probability_of_zero_is_finite(tmp_path: Path) -> None:
    model = foreign.keras_model(activation="softmax")
    model.layers[-1].set_weights([value * 1e5 for value in model.layers[-1].get_weights()])
    model.save(tmp_path / "sure.keras")
    classifier = load_classifier(tmp_path / "sure.keras", output="probabilities")
    assert np.isfinite(classifier(IMAGES)).all()
    assert sentence(classifier.check, IMAGES) == (
        f"Model {tmp_path}/sure.keras must be differentiable. Received: a gradient of 0 for every pixel, as of a model "
        "that is saturated, or quantised"
    )


@pytest.mark.parametrize(
    ("keywords", "name"),
    [({}, None), ({"output": "probabilities"}, "probabilities"), ({"output_name": "scores"}, "scores")],
)
def test_the_output_is_the_one_that_is_named_or_called_like_its_kind(
    keywords: dict[str, str], name: str | None, folder: Path
) -> None:
    if name is None:
        assert sentence(load_classifier, folder, signature="both", **keywords) == (
            f"`output_name` must be one of the outputs of {folder}: probabilities, scores. Received: output_name=None"
        )
    else:
        classifier = load_classifier(folder, signature="both", **keywords)
        assert classifier.output_name == name
        assert classifier.check(IMAGES).shape == (4, 5)


def test_other_floats_and_images_of_any_size_are_taken(folder: Path) -> None:
    double = load_classifier(folder, signature="double")
    assert double.check(IMAGES).dtype == np.float32
    free = load_classifier(folder, signature="free")
    assert free.size == (None, None)
    assert free.check(np.zeros((2, 7, 9, 3)) + 0.5).shape == (2, 5)


@pytest.mark.parametrize("signature", ["serving_default", "softmax"])
def test_the_attack_runs_on_it(signature: str, folder: Path) -> None:
    output = "probabilities" if signature == "softmax" else "logits"
    classifier = load_classifier(folder, signature=signature, output=output)
    prediction = classifier.check(IMAGES[:1]).argmax()
    target = int(prediction + 1) % 5
    result = RP2(steps=30, penalty=0.0)(classifier, IMAGES[:1], targets=target, mask=np.ones((12, 12, 1)))
    assert result.history["target_reached"][-1, 0] == 1
    assert np.asarray(classifier(result.apply(IMAGES[:1])[0])).argmax() == target


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"output": "softmax"}, "`output` must be one of 'logits', 'probabilities'. Received: output='softmax'"),
        ({"signature": "predict"}, "`signature` must be one of those of {path}: {all}. Received: signature='predict'"),
        (
            {"output_name": "logits"},
            "`output_name` must be one of the outputs of {path}: scores. Received: output_name='logits'",
        ),
        (
            {"signature": "levels"},
            "Signature 'levels' of {path} must take floating images in [0, 1]: no gradient flows back through uint8 "
            "levels. Received: pixels, uint8",
        ),
        (
            {"signature": "files"},
            "Signature 'files' of {path} must take floating images in [0, 1]: no gradient flows back through encoded "
            "files. Received: pixels, string",
        ),
        (
            {"signature": "two"},
            "Signature 'two' of {path} must take one input, the images. Received: 2 inputs: more, pixels",
        ),
        (
            {"signature": "one"},
            "Signature 'one' of {path} must take any number of RGB images, (None, H, W, 3). "
            "Received: pixels, shape=(1, 12, 12, 3). Save it again with a batch size of None",
        ),
        (
            {"signature": "single"},
            "Model {path} must return logits of two classes or more. Received: 1 for each image. "
            "Put a layer behind it that gives one for each class: [0, z] of a logit z, [1 - p, p] of a probability p",
        ),
        (
            {"signature": "first"},
            "Signature 'first' of {path} must take any number of RGB images, (None, H, W, 3). "
            "Received: pixels, shape=(None, 3, 12, 12)",
        ),
    ],
)
def test_what_cannot_be_attacked_is_refused_when_it_is_loaded(
    keywords: dict[str, str], message: str, folder: Path
) -> None:
    names = ", ".join(sorted(tf.saved_model.load(str(folder)).signatures)) if "{all}" in message else ""
    assert sentence(load_classifier, folder, **keywords) == message.format(path=folder, all=names)


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("rounded", "because of Round (it is flat between its steps)"),
        ("stopped", "because of StopGradient"),
        ("winner", "because of ArgMax (an index does not change gradually)"),
        ("cast", "because of Cast to uint8"),
    ],
)
def test_a_missing_gradient_is_explained(signature: str, reason: str, folder: Path) -> None:
    assert sentence(load_classifier(folder, signature=signature).check, IMAGES) == (
        f"Model {folder} must be differentiable. Received: no gradient from its output to the images, {reason}"
    )


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (
            lambda images: tf.raw_ops.PreventGradient(input=images, message="left out"),
            "PreventGradient (gradients were left out when it was saved)",
        ),
        (
            lambda images: tf.raw_ops.AdjustHue(images=images, delta=0.1),
            "an operation without one: gradient registry has no entry for: AdjustHue",
        ),
        (tf.zeros_like, "an operation that passes none"),
    ],
)
def test_an_operation_without_a_gradient_is_named(operation: Any, reason: str, folder: Path) -> None:
    blocked = dataclasses.replace(
        load_classifier(folder), answer=lambda images: tf.reduce_mean(operation(images), (1, 2)) + 1
    )
    assert sentence(blocked.check, IMAGES) == (
        f"Model {folder} must be differentiable. Received: no gradient from its output to the images, because of "
        f"{reason}"
    )


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            {"signature": "softmax"},
            "`output` must be 'probabilities' for a model that ends in a softmax. Received: output='logits', and "
            "answers of {path} that lie in [0, 1] and sum to 1",
        ),
        (
            {"output": "probabilities"},
            "`output` must be 'logits' for a model that does not end in a softmax. Received: "
            "output='probabilities', and answers of {path} from {least:g} to {most:g}",
        ),
        ({"signature": "nan"}, "Model {path} must return finite logits. Received: NaN or infinity"),
        ({"signature": "index"}, "Model {path} must return logits (4, classes). Received: int64, shape=(4,)"),
        (
            {"signature": "maps"},
            "Model {path} must return logits (4, classes). Received: float32, shape=(4, 12, 12, 3)",
        ),
        (
            {"signature": "root"},
            "Model {path} must be differentiable. Received: a gradient that is NaN or infinite, as of a root or a norm "
            "at 0",
        ),
        (
            {"signature": "flat"},
            "Model {path} must be differentiable. Received: a gradient of 0 for every pixel, as of a model that is "
            "saturated, or quantised",
        ),
    ],
)
def test_answers_that_cannot_be_attacked_are_refused(
    keywords: dict[str, str], message: str, folder: Path, model: keras.Model
) -> None:
    logits = np.asarray(load_classifier(folder)(IMAGES))
    expected = message.format(path=folder, least=logits.min(), most=logits.max())
    assert sentence(load_classifier(folder, **keywords).check, IMAGES) == expected


def test_images_of_another_size_are_refused(folder: Path) -> None:
    images = np.zeros((2, 16, 10, 3))
    assert sentence(load_classifier(folder).check, images) == (
        f"`images` must have the size that {folder} takes, 12x12 (height x width). Received: 16x10"
    )
    message = sentence(load_classifier(folder, signature="broken").check, images)
    assert message.startswith(f"Model {folder} must take images (2, 16, 10, 3). Received: InvalidArgumentError: ")
    assert len(message.splitlines()) == 1
    assert "node" not in message
    assert "Input to reshape is a tensor with 960 values" in message


def test_what_is_no_model_is_refused(tmp_path: Path, model: keras.Model) -> None:
    assert sentence(load_classifier, tmp_path / "no", error=FileNotFoundError).startswith(
        f"Model {tmp_path}/no does not exist. Give a SavedModel folder, a .keras file, or a model of the zoo: baseline"
    )
    must = f"Model {tmp_path} must be a SavedModel folder or a .keras file. Received: "
    assert sentence(load_classifier, tmp_path) == f"{must}a folder without saved_model.pb"
    (tmp_path / "old.h5").touch()
    must = f"Model {tmp_path}/old.h5 must be a SavedModel folder or a .keras file. Received: "
    assert sentence(load_classifier, tmp_path / "old.h5") == f"{must}a file that ends in '.h5'"
    model.save(tmp_path / "zoo.keras")
    assert sentence(load_classifier, tmp_path / "zoo.keras", signature="serve") == (
        "`signature` must be None for a .keras file, which has no signatures. Received: signature='serve'"
    )


def test_damaged_files_are_named(folder: Path, model: keras.Model, tmp_path: Path) -> None:
    copy = foreign.save(tmp_path / "zoo")
    graph = (copy / "saved_model.pb").read_bytes()
    (copy / "saved_model.pb").write_bytes(graph[:500])
    message = sentence(load_classifier, copy)
    assert message.startswith(f"Model {copy} must be a SavedModel that TensorFlow can load. Received: DecodeError: ")
    (copy / "saved_model.pb").write_bytes(graph)
    (copy / "variables" / "variables.index").unlink()
    assert sentence(load_classifier, copy).startswith(f"Model {copy} must be a SavedModel that TensorFlow can load. ")
    path = tmp_path / "zoo.keras"
    path.write_bytes(b"PK")
    assert sentence(load_classifier, path) == (
        f"Model {path} must be a .keras file that Keras can load. Received: a file that is no zip archive"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    message = sentence(load_classifier, path)
    assert message.startswith(f"Model {path} must be a .keras file that Keras can load. Received: ")
    assert len(message.splitlines()) == 1


def test_code_in_a_keras_file_is_not_run(tmp_path: Path) -> None:
    pixels = keras.Input((12, 12, 3))
    shown = keras.layers.Lambda(lambda x: x * 2, output_shape=(12, 12, 3))(pixels)
    keras.Model(pixels, keras.layers.Dense(2)(keras.layers.Flatten()(shown))).save(tmp_path / "code.keras")
    message = sentence(load_classifier, tmp_path / "code.keras")
    assert message.startswith(f"Model {tmp_path}/code.keras must be a .keras file that Keras can load. Received: ")
    assert "Lambda" in message or "lambda" in message
