"""The recipes of docs/ecosystem.md, run as they stand there, against what the other tools must give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import blurnet_tf
from blurnet_tf import GradientAttack, predict

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:foolbox"),
    pytest.mark.filterwarnings("ignore:PyTorch not found:UserWarning"),
]
PAGE = (Path(__file__).resolve().parent.parent / "docs" / "ecosystem.md").read_text(encoding="utf-8")
EXAMPLES = dict(
    re.findall(r"## ([^\n]+)\n[^#]*?```python\n(.*?)```", "## Start\n" + PAGE.replace("# With", "With"), re.DOTALL)
)


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", (5, 40))
    names: dict[str, Any] = {}
    exec(EXAMPLES["Start"], names)
    exec("import numpy as np, tensorflow as tf", names)
    exec("loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)", names)
    return names


def test_every_recipe_has_a_test() -> None:
    assert list(EXAMPLES) == ["Start", "ART", "Foolbox", "Other TensorFlow programs", "tf.data", "TensorBoard"]


def test_art_attacks_the_model_inside_the_mask(names: dict[str, Any]) -> None:
    exec(EXAMPLES["ART"], names)
    images, attacked = names["images"], names["attacked"]
    assert attacked.shape == images.shape
    assert (attacked != images).any()
    np.testing.assert_array_equal(np.where(names["mask"] > 0, 0, attacked), np.where(names["mask"] > 0, 0, images))
    np.testing.assert_array_equal(names["victim"].predict(images).argmax(axis=1), predict(names["model"], images))


def test_foolbox_finds_what_our_attack_finds(names: dict[str, Any]) -> None:
    names["model"] = blurnet_tf.load_model("baseline")
    exec(EXAMPLES["Foolbox"], names)
    model, images, labels = (names[name] for name in ("model", "images", "labels"))
    (attacked,), (broken,) = (names[name] for name in ("attacked", "broken"))
    assert float(np.abs(attacked - images).max()) <= 8 / 255 + 1e-6
    np.testing.assert_array_equal(np.asarray(broken), predict(model, np.asarray(attacked)) != labels)
    own = GradientAttack(method="pgd", epsilon=8 / 255, step_size=2 / 255, steps=20)(model, images, labels=labels)
    changed = predict(model, own.apply(images)[0]) != labels
    assert abs(changed.mean() - np.asarray(broken).mean()) <= 0.3
    assert np.asarray(broken).any()


def test_an_export_is_a_layer_of_another_model(names: dict[str, Any]) -> None:
    exec(EXAMPLES["Other TensorFlow programs"], names)
    probabilities = np.asarray(names["probabilities"])
    expected = keras.ops.softmax(names["model"](names["images"]))
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    card = Path("exports/stickers/assets/model_card.md").read_text(encoding="utf-8")
    assert card.startswith("# baseline+stickers: ")


def test_a_pipeline_evaluates_the_model(names: dict[str, Any]) -> None:
    exec(EXAMPLES["tf.data"], names)
    assert names["accuracy"] == pytest.approx((predict(names["model"], names["images"]) == names["labels"]).mean())


def test_tensorboard_gets_trainings_and_attacks(names: dict[str, Any]) -> None:
    exec(EXAMPLES["TensorBoard"].replace("steps=50", "steps=3"), names)
    logs = EventAccumulator("logs/attack", size_guidance={"tensors": 0}).Reload()
    assert set(logs.Tags()["tensors"]) == {"loss", "success", "attacked"}
    assert [event.step for event in logs.Tensors("loss")] == [0, 1, 2, 3]
    assert any(Path("logs/training").rglob("*tfevents*"))


@pytest.mark.skipif(find_spec("huggingface_hub") is not None, reason="huggingface_hub is installed: it would be asked")
def test_keras_still_knows_the_hub() -> None:
    with pytest.raises(ImportError, match="huggingface_hub"):
        blurnet_tf.lisa_cnn(seed=0).save("hf://nobody/nothing")
