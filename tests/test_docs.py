"""The Python of the documentation, run as it stands there. That of docs/library.md is run by tests/test_wheel.py."""

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from planted import short

import blurnet_tf
import blurnet_tf.attacks
import blurnet_tf.defenses
from blurnet_tf import PROCEDURES, bundled, lisa_cnn, load_mask
from blurnet_tf.attacks import Attack, from_config
from blurnet_tf.data import registry
from blurnet_tf.evaluation.suites import SUITES
from blurnet_tf.models import feature_layer
from blurnet_tf.reporting.doc_pictures import PICTURES
from blurnet_tf.training.recipes import find_row

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
TEXTS = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
# Run by a test of their own, here or in tests/test_wheel.py and tests/test_ecosystem.py.
ELSEWHERE = {"index.md", "quickstart.md", "attacks.md", "benchmark.md", "training.md", "library.md", "ecosystem.md"}
PAGES = [name for name, text in TEXTS.items() if "```python" in text and name not in ELSEWHERE]


def examples(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", TEXTS[name], re.DOTALL)


@pytest.mark.slow
def test_the_examples_of_the_readme_run(monkeypatch: pytest.MonkeyPatch) -> None:  # the first: tests/test_wheel.py
    monkeypatch.delenv("BLURNET_ZOO", raising=False)
    monkeypatch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", (5, 40))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL)[1:]:
        exec(example.replace("steps=300", "steps=2"), names)
    assert names["result"].perturbation.shape == (2, 32, 32, 3)


def paragraphs(folder: str, *words: str) -> set[str]:
    """All names in the paragraphs of a folder's pages that begin with one of these words in bold."""
    begin = "|".join(words)
    pages = [text for name, text in TEXTS.items() if name.startswith(f"{folder}/")]
    found = [one for text in pages for one in re.findall(rf"^\*\*(?:{begin}):.*?\n\n", text, re.MULTILINE | re.DOTALL)]
    return {name for one in found for name in re.findall(r"`(\w+)`", one)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The model takes", "ignore:Even though the `tf.config")
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = page.partition("/")[0]
    if kind == "procedures":  # one step of each: to trace it takes longer than to run it
        request.addfinalizer(lambda: tf.config.run_functions_eagerly(False))
        tf.config.run_functions_eagerly(True)
    monkeypatch.setattr(registry, "_KNOWN", dict(registry._KNOWN))
    monkeypatch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", (5, 40))
    images = np.random.default_rng(0).uniform(0, 1, (4, 32, 32, 3)).astype(np.float32)
    names: dict[str, Any] = {
        "__name__": "__main__",
        "blurnet_tf": blurnet_tf,
        "keras": keras,
        "np": np,
        "tf": tf,
        "RP2": blurnet_tf.RP2,
    }
    names |= {"images": images, "labels": np.array([14, 14, 14, 17], np.int32), "model": MODELS.get(kind, lisa_cnn)()}
    names |= {"mask": load_mask(bundled("sticker.png")), "octagon": load_mask(bundled("octagon.png"))}
    if page == "models.md":
        tv = lisa_cnn("tv_1e-4", seed=0)
        blurnet_tf.export_model(
            tv, "exports/tv_1e-4", layer=feature_layer(tv), class_names=blurnet_tf.CLASS_NAMES, card="", provenance={}
        )
        Image.fromarray(np.uint8(255 * images[0])).save("sign.png")
        names["mobile"] = keras.Sequential(  # whose first layers are called as MobileNetV2's
            [keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3, name="Conv1"), keras.layers.ReLU(name="Conv1_relu")]
        )
    if page == "data.md":
        for number, name in enumerate(("stop", "yield") * 5):
            folder = Path("path/to/signs") / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.uint8(255 * images[number % 4])).save(folder / f"{number}.png")
    for example in examples(page):
        example = re.sub(r"\bsteps=\d+", "steps=2", example).replace("final=RP2()", "final=RP2(steps=2)")
        example = example.replace("keras.applications.MobileNetV2()", "mobile")
        example = example.replace('"processes:2"', '"local"')  # tests/test_executors.py has processes
        example = example.replace('suite="quick"', "suite=[RP2(steps=2)]")
        exec(example, names)
    if page.startswith("attacks/"):
        assert np.isfinite(names["result"].perturbation).all()
        assert names["result"].apply(images).shape == (1, *images.shape)
    if page == "adding.md":
        assert "ceiling" in [layer.name for layer in names["model"].layers]
        assert names["result"].perturbation.max() == np.float32(0.8)
        for attack in (names["attack"], names["PaintGrey"]()):
            assert from_config(attack.to_config()) == attack
        names["RP2"](steps=2, loss=names["Confidence"]())(lisa_cnn(seed=0), images, targets=[12], progress=False)
        assert registry.names()[-1] == "grey_images"


def small() -> keras.Model:
    """A network that is trained in no time."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(4, 5, strides=4, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(18),
        ]
    )


MODELS: dict[str, Any] = {"procedures": small}  # for the others the LISA-CNN


def test_every_defence_attack_and_procedure_has_a_page() -> None:
    kinds = (keras.layers.Layer, keras.Regularizer, keras.callbacks.Callback)
    public = {name: getattr(blurnet_tf.defenses, name) for name in blurnet_tf.defenses.__all__}
    defences = {name for name, one in public.items() if inspect.isclass(one) and issubclass(one, kinds)}
    public = {name: getattr(blurnet_tf.attacks, name) for name in blurnet_tf.attacks.__all__}
    attacks = {name for name, one in public.items() if inspect.isclass(one) and issubclass(one, Attack)} - {"Attack"}
    assert defences >= {"FixedBlur", "JPEG", "TotalVariation", "BoundedVotes"}
    assert attacks >= {"RP2", "GradientAttack", "SquareAttack", "MaskSearch"}
    assert defences - paragraphs("defenses", "Class") == set()
    assert attacks - paragraphs("attacks", "Class") == set()
    assert set(PROCEDURES) - paragraphs("procedures", "Procedure") == set()


@pytest.mark.parametrize(
    "page", [name for name in TEXTS if name.split("/")[0] in ("defenses", "attacks", "procedures")]
)
def test_a_page_of_a_part_has_the_shape_of_the_others(page: str) -> None:
    text = TEXTS[page]
    parts = ("```text\n", "![", "## Use\n", "```python\n", "```sh\n", "## What it costs\n", "## When it fails\n")
    places = [text.find(part) for part in parts]
    assert min(places) > 0
    assert places == sorted(places)
    assert len(text.splitlines()) <= 70
    assert f"]({page})" in TEXTS[{"procedures": "training.md"}.get(page.split("/")[0], f"{page.split('/')[0]}.md")]


def test_the_rows_of_the_pages_are_known() -> None:
    commands = [line for text in TEXTS.values() for line in re.findall(r"^make .*$", text, re.MULTILINE)]
    given = [word for line in commands for word in shlex.split(line, comments=True) if word.startswith("VARIANT=")]
    rows = {row for word in given for row in word.removeprefix("VARIANT=").split()}
    assert len(rows) > 20
    for row in rows:
        find_row(row)


def test_the_pictures_of_the_pages_are_there_and_each_is_drawn_by_the_program() -> None:
    shown = {
        (DOCS / name).parent.joinpath(place).resolve()
        for name, text in TEXTS.items()
        for place in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    }
    assert len(shown) > 15
    assert [path for path in shown if not path.is_file()] == []
    drawn = {DOCS / "images" / "pages" / f"{name}.png" for name in PICTURES}
    assert {path for path in shown if path.parent.name == "pages"} == drawn == set((DOCS / "images/pages").iterdir())


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
    call, expectation, others, families = examples("attacks.md")
    exec(call.replace("steps=300", "steps=2"), names)
    assert names["result"].apply(images).shape == (1, 2, 32, 32, 3)
    exec(expectation.replace("steps=300", "steps=2"), names)
    assert names["result"].history["success"].shape == (3, 1)
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
    whole, own = examples("training.md")
    exec(whole, names)
    model, signs = names["model"], names["signs"]
    assert model.evaluate(signs.images, signs.labels, verbose=0)[0] < 5
    exec(own, names)
    darker = names["Darker"](clean=True)
    assert from_config(darker.to_config()) == darker
    before = model.get_weights()
    names["blurnet_tf"].train(model, signs.images, signs.labels, procedure=darker, epochs=1, verbose=0)
    assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
