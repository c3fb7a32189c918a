"""The schedule of the total-variation penalty: its weights, its effect on the compiled step, its logs, its traces."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from blurnet_tf.defenses.callbacks import TVLossCallback
from blurnet_tf.defenses.regularizers import TotalVariation

pytestmark = pytest.mark.slow
IMAGES: NDArray[np.float32] = np.random.default_rng(0).uniform(0, 1, (12, 8, 8, 3)).astype(np.float32)
LABELS: NDArray[np.int32] = (np.arange(12) % 3).astype(np.int32)


class CountCalls(keras.layers.Layer):
    """Passes its input on and counts how often Python runs through it: once a trace."""

    calls = 0

    def call(self, inputs: Any) -> Any:
        self.calls += 1
        return inputs


def compile_model(model: keras.Model, learning_rate: float = 0.0) -> keras.Model:
    entropy = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="entropy")
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[entropy],
    )
    return model


def small_model(alpha: float = 0.01, learning_rate: float = 0.0, layer: str = "conv1") -> keras.Model:
    """A classifier that keeps its weights in `fit` unless a learning rate is named."""

    def start(seed: int) -> keras.Initializer:
        return keras.initializers.GlorotUniform(seed=seed)

    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(
        4, 3, activation="relu", activity_regularizer=TotalVariation(alpha), kernel_initializer=start(0), name=layer
    )(image)
    x = CountCalls(name="count")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    logits = keras.layers.Dense(3, kernel_initializer=start(1), name="logits")(x)
    return compile_model(keras.Model(image, logits), learning_rate)


def fit(model: keras.Model, *callbacks: keras.callbacks.Callback, **arguments: Any) -> dict[str, NDArray[np.float64]]:
    """Fit with one step an epoch; the columns of the history as arrays."""
    history = model.fit(IMAGES, LABELS, batch_size=12, verbose=0, callbacks=list(callbacks), **arguments)
    return {name: np.array(values) for name, values in history.history.items()}


def mean_tv(model: keras.Model, images: NDArray[np.float32] = IMAGES, layer: str = "conv1") -> float:
    maps = np.asarray(keras.Model(model.input, model.get_layer(layer).output)(images), np.float64)
    total = np.abs(np.diff(maps, axis=1)).sum() + np.abs(np.diff(maps, axis=2)).sum()
    return float(total / (maps.shape[0] * maps.shape[3]))


def acting_weights(logs: dict[str, NDArray[np.float64]], model: keras.Model, prefix: str = "") -> NDArray[np.float64]:
    """The weight that the penalty had inside the compiled step, epoch by epoch, for a model that stands still."""
    return (logs[f"{prefix}loss"] - logs[f"{prefix}entropy"]) / mean_tv(model)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return small_model()


@pytest.fixture(autouse=True)
def settle(request: pytest.FixtureRequest) -> None:
    """Every test starts with a freshly compiled model of weight 0.01."""
    if "model" in request.fixturenames:
        shared = request.getfixturevalue("model")
        shared.get_layer("conv1").activity_regularizer.schedule(0.01)
        shared.get_layer("conv1").activity_regularizer.settle()
        compile_model(shared)


@pytest.mark.parametrize(
    ("alpha", "ramp_epochs", "expected"),
    [
        (0.5, 0, [0.5, 0.5, 0.5]),
        (0.5, 1, [0, 0.5, 0.5]),
        (0.5, 4, [0, 0.125, 0.25, 0.375, 0.5, 0.5]),
        (None, 0, [0.01, 0.01]),
        (None, 2, [0, 0.005, 0.01, 0.01]),
        (0, 2, [0, 0]),
    ],
)
def test_the_weight_of_each_epoch(
    model: keras.Model, alpha: float | None, ramp_epochs: int, expected: list[float]
) -> None:
    callback = TVLossCallback(IMAGES, alpha=alpha, ramp_epochs=ramp_epochs)
    callback.set_model(model)
    assert [callback.weight(epoch) for epoch in range(len(expected))] == pytest.approx(expected, abs=0)


def test_the_logged_weight_acts_in_the_compiled_step_and_in_validation(model: keras.Model) -> None:
    logs = fit(model, TVLossCallback(IMAGES, alpha=0.5, ramp_epochs=4), epochs=6, validation_data=(IMAGES, LABELS))
    expected = [0, 0.125, 0.25, 0.375, 0.5, 0.5]
    np.testing.assert_array_equal(logs["tv_weight"], expected)
    np.testing.assert_allclose(acting_weights(logs, model), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(acting_weights(logs, model, "val_"), expected, rtol=1e-4, atol=1e-6)


def test_a_second_fit_without_compiling_takes_the_weight_of_its_own_callback(model: keras.Model) -> None:
    fit(model, TVLossCallback(IMAGES, alpha=0.5), epochs=1)
    logs = fit(model, TVLossCallback(IMAGES, alpha=2.0, ramp_epochs=1), epochs=2)
    np.testing.assert_allclose(acting_weights(logs, model), [0, 2], rtol=1e-4, atol=1e-6)


def test_a_fit_without_a_callback_takes_the_settled_weight(model: keras.Model) -> None:
    fit(model, TVLossCallback(IMAGES, alpha=0.5, ramp_epochs=10), epochs=2)
    np.testing.assert_allclose(acting_weights(fit(model, epochs=1), model), [0.5], rtol=1e-4)


def test_a_fit_with_a_callback_after_one_without_takes_the_new_weight(model: keras.Model) -> None:
    data = (IMAGES, LABELS)
    logs = fit(model, epochs=1, validation_data=data)
    np.testing.assert_allclose(acting_weights(logs, model), [0.01], rtol=1e-3)
    logs = fit(model, TVLossCallback(IMAGES, alpha=0.5), epochs=1, validation_data=data)
    np.testing.assert_allclose(acting_weights(logs, model), [0.5], rtol=1e-4)
    np.testing.assert_allclose(acting_weights(logs, model, "val_"), [0.5], rtol=1e-4)


def test_compiling_between_two_fits_changes_nothing(model: keras.Model) -> None:
    fit(model, TVLossCallback(IMAGES, alpha=0.5), epochs=1)
    compile_model(model)
    np.testing.assert_allclose(acting_weights(fit(model, epochs=1), model), [0.5], rtol=1e-4)
    logs = fit(model, TVLossCallback(IMAGES, alpha=2.0), epochs=1)
    np.testing.assert_allclose(acting_weights(logs, model), [2], rtol=1e-4)


def test_an_interrupted_ramp_goes_on_where_it_was(model: keras.Model) -> None:
    logs = fit(model, TVLossCallback(IMAGES, alpha=0.5, ramp_epochs=4), epochs=5, initial_epoch=3)
    np.testing.assert_array_equal(logs["tv_weight"], [0.375, 0.5])
    np.testing.assert_allclose(acting_weights(logs, model), [0.375, 0.5], rtol=1e-4)


def test_without_alpha_the_weight_of_the_regularizer_acts_and_stays(model: keras.Model) -> None:
    logs = fit(model, TVLossCallback(IMAGES, ramp_epochs=2), epochs=2)
    np.testing.assert_allclose(acting_weights(logs, model), [0, 0.005], rtol=1e-3, atol=1e-6)
    assert model.get_layer("conv1").activity_regularizer.alpha == 0.01


def test_a_changing_weight_traces_no_step_anew() -> None:
    def traces(epochs: int, ramp_epochs: int) -> int:
        model = small_model()
        fit(model, TVLossCallback(IMAGES, alpha=0.5, ramp_epochs=ramp_epochs), epochs=epochs)
        return model.get_layer("count").calls

    assert traces(epochs=6, ramp_epochs=5) == traces(epochs=1, ramp_epochs=0) > 0


@pytest.mark.slow
def test_a_large_weight_lowers_the_total_variation() -> None:
    falling = fit(small_model(learning_rate=0.02), TVLossCallback(IMAGES, alpha=1.0), epochs=15)["total_variation"]
    assert falling[-1] < 0.5 * falling[0]
    free = fit(small_model(learning_rate=0.02), TVLossCallback(IMAGES, alpha=0.0), epochs=15)["total_variation"]
    assert free[-1] > 0.8 * free[0]


def test_the_total_variation_is_that_after_the_epoch() -> None:
    model = small_model(learning_rate=0.1)
    before = mean_tv(model)
    logs = fit(model, TVLossCallback(IMAGES, alpha=0.5), epochs=1)
    assert logs["total_variation"][0] == pytest.approx(mean_tv(model), rel=1e-5)
    assert logs["total_variation"][0] != pytest.approx(before, rel=1e-2)


@pytest.mark.parametrize("batch_size", [1, 5, 12, 256])
def test_measure_equals_numpy_whatever_the_batch_size(model: keras.Model, batch_size: int) -> None:
    callback = TVLossCallback(IMAGES[:11], batch_size=batch_size)
    logs = fit(model, callback, epochs=1)
    assert callback.measure() == pytest.approx(mean_tv(model, IMAGES[:11]), rel=1e-5)
    assert logs["total_variation"][0] == callback.measure()


def test_a_csv_logger_that_comes_later_writes_both_entries(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    callback = TVLossCallback(IMAGES, alpha=0.5, ramp_epochs=2)
    logs = fit(model, callback, keras.callbacks.CSVLogger(path), epochs=3)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [float(row["tv_weight"]) for row in rows] == [0, 0.25, 0.5]
    assert [float(row["total_variation"]) for row in rows] == pytest.approx(logs["total_variation"], rel=1e-12)


def test_after_training_the_model_is_saved_with_the_final_weight(model: keras.Model, tmp_path: Path) -> None:
    fit(model, TVLossCallback(IMAGES, alpha=0.3, ramp_epochs=5), epochs=2)
    regularizer = model.get_layer("conv1").activity_regularizer
    assert regularizer.alpha == 0.3
    assert type(regularizer.alpha) is float
    assert len(model.get_layer("conv1").losses) == 1
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path, custom_objects={"CountCalls": CountCalls})
    assert loaded.get_layer("conv1").activity_regularizer.alpha == 0.3
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))


def test_after_training_the_model_can_be_exported(model: keras.Model, tmp_path: Path) -> None:
    fit(model, TVLossCallback(IMAGES, alpha=0.3), epochs=1)
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(IMAGES), model(IMAGES), atol=1e-5)


def test_another_layer_may_have_the_regularizer() -> None:
    model = small_model(layer="first")
    logs = fit(model, TVLossCallback(IMAGES, alpha=0.5, layer="first"), epochs=1)
    assert logs["total_variation"][0] == pytest.approx(mean_tv(model, layer="first"), rel=1e-5)


def test_two_models_keep_their_own_weights(model: keras.Model) -> None:
    other = small_model(alpha=0.02)
    fit(model, TVLossCallback(IMAGES, alpha=0.5), epochs=1)
    np.testing.assert_allclose(acting_weights(fit(other, epochs=1), other), [0.02], rtol=1e-3)


def test_a_layer_without_the_regularizer_is_an_error(model: keras.Model) -> None:
    sentence = (
        "TVLossCallback expects the layer 'logits' to have activity_regularizer=TotalVariation(...). "
        "Received: activity_regularizer=None"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        fit(model, TVLossCallback(IMAGES, layer="logits"), epochs=1)


def test_an_unknown_layer_is_an_error(model: keras.Model) -> None:
    with pytest.raises(ValueError, match="No such layer: conv9"):
        fit(model, TVLossCallback(IMAGES, layer="conv9"), epochs=1)


def test_a_negative_ramp_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^`ramp_epochs` must be at least 0\. Received: ramp_epochs=-1$"):
        TVLossCallback(IMAGES, ramp_epochs=-1)


def test_a_bad_weight_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^`alpha` must be a finite number of at least 0\. Received: alpha=-0\.5$"):
        TVLossCallback(IMAGES, alpha=-0.5)
