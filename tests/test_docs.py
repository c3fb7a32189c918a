"""The Python of the documentation, run as it stands there. That of docs/library.md is run by tests/test_wheel.py."""

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import short

import blurnet_tf
from blurnet_tf import lisa_cnn
from blurnet_tf.attacks import from_config
from blurnet_tf.evaluation.suites import SUITES

ROOT = Path(__file__).resolve().parent.parent


def examples(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_examples_of_the_first_pages_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", (5, 40))
    shorter = {"per_class=150": "per_class=2", "per_class=20": "per_class=1", "epochs=5": "epochs=1"}
    shorter |= {"steps=100": "steps=2", '("baseline", "depthwise_5x5")': '("depthwise_5x5",)'}
    names: dict[str, Any] = {}
    for page in ("index.md", "quickstart.md"):
        with monkeypatch.context() as patch:
            if page == "index.md":  # the next page has the same training
                patch.setattr("blurnet_tf.train", inspect.signature(blurnet_tf.train).bind)
            for example in examples(page):
                for whole, part in shorter.items():
                    example = example.replace(whole, part)
                exec(example, names)
    assert names["result"].perturbation.shape == (1, 32, 32, 3)
    assert any(isinstance(layer, blurnet_tf.FixedBlur) for layer in names["defended"].layers)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The model takes")
def test_the_examples_of_the_attacks_run() -> None:
    images = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3)).astype(np.float32)
    model = lisa_cnn(seed=0)
    names: dict[str, Any] = {"model": model, "images": images, "labels": np.array([14, 14])}
    names["mask"] = np.ones((32, 32, 1), np.float32)
    call, expectation, part, others, families = examples("attacks.md")
    exec(call.replace("steps=300", "steps=2"), names)
    assert names["result"].apply(images).shape == (1, 2, 32, 32, 3)
    exec(expectation.replace("steps=300", "steps=2"), names)
    assert names["result"].history["success"].shape == (3, 1)
    exec(part.replace("RP2(loss", "attack = RP2(steps=2, loss"), names)
    attack = names["attack"]
    assert from_config(attack.to_config()) == attack
    assert np.isfinite(attack(model, images, targets=[12]).perturbation).all()
    names["octagon"] = names["mask"]
    for steps in ("1000", "40"):
        others = others.replace(f"steps={steps}", "steps=2")
    exec(others.replace("final=RP2()", 'first=RP2(norm="l1", steps=2), final=RP2(steps=2)'), names)
    assert names["result"].mask.sum() == 30
    exec(families, names)
    assert names["bars"](48).sum() == names["scattered"](48).sum() == 48


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The model takes")
def test_the_examples_of_the_benchmark_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = (short("shared", 2), short("per image", 2, sharing="per_image"))
    for name in ("quick", "standard"):
        monkeypatch.setitem(SUITES, name, trials)
    monkeypatch.setattr("blurnet_tf.runs.benchmarks.CURVE", trials[1:])
    monkeypatch.setattr("blurnet_tf.runs.benchmarks.AREAS", (48,))
    monkeypatch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", (5, 40))
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 2)  # random plain stickers
    monkeypatch.chdir(tmp_path)
    lisa_cnn(seed=0).save("mine.keras")
    names: dict[str, Any] = {}
    first, threats, curve = (one.replace('"rp2"', '"synthetic"') for one in examples("benchmark.md"))
    exec(first, names)
    assert len(names["result"].rows) == 2
    exec(threats, names)
    exec(curve, names)
    assert [row.family for row in names["result"].curve] == ["bars", "scattered", "octagon"]


@pytest.mark.slow
def test_the_examples_of_the_trainings_run() -> None:
    names: dict[str, Any] = {}
    whole, own, penalty = examples("training.md")
    exec(whole, names)
    model, signs = names["model"], names["signs"]
    assert model.evaluate(signs.images, signs.labels, verbose=0)[0] < 5
    exec(own, names)
    darker = names["Darker"](clean=True)
    assert from_config(darker.to_config()) == darker
    before = model.get_weights()
    names["blurnet_tf"].train(model, signs.images, signs.labels, procedure=darker, epochs=1, verbose=0)
    assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
    exec(penalty, names)
    assert names["layer"].kernel_regularizer.alpha == 3e-2
