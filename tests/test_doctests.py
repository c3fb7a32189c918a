"""The examples in the docstrings print what they say."""

import doctest
import importlib
import pkgutil
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import blurnet_tf
from blurnet_tf import CLASS_NAMES, RP2, attacks, bundled, lisa_cnn, load_mask
from blurnet_tf.data import synthetic

ROOT = Path(__file__).resolve().parent.parent
MODULES = [module.name for module in pkgutil.walk_packages(blurnet_tf.__path__, "blurnet_tf.")]
ON_THE_RELEASE = ["blurnet_tf.data.rp2_release"]
ELSEWHERE = ["blurnet_tf.attacks.rp2"]  # its example is the published attack of tests/test_rp2.py
PUBLIC = {name: getattr(attacks, name) for name in attacks.__all__} | {"bundled": bundled}
ON_LISA = ["blurnet_tf.data.lisa"]


def run(name: str, folder: Path, names: dict[str, Any], **data: Path) -> int:
    """Run the examples of a module in an empty folder that has the masks and some data; return how many there are."""
    (folder / "masks").symlink_to(ROOT / "masks")
    (folder / "data").mkdir()
    for name_of_source, source in data.items():
        (folder / "data" / name_of_source).symlink_to(source)
    module = importlib.import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        given = {"np": np, "keras": keras, **PUBLIC, **names}
        extra = {key: value for key, value in given.items() if key not in vars(module)}
        result = doctest.testmod(module, extraglobs=extra)
    assert result.failed == 0
    return result.attempted


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    split = synthetic.victim_split()
    model = lisa_cnn("tv_1e-4", seed=0)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    mask = load_mask(ROOT / "masks" / "sticker.png")
    # An untrained model knows no signs: the target must be none of what it says of them.
    said = set(np.asarray(model(split.images)).argmax(axis=1).tolist())
    target = next(index for index in range(len(CLASS_NAMES)) if index not in said)
    result = RP2(steps=1)(model, split.images, targets=target, mask=mask)
    return {
        "model": model,
        "victims": split,
        "images": split.images,
        "labels": split.labels,
        "mask": mask,
        "result": result,
    }


@pytest.mark.parametrize("name", [name for name in MODULES if name not in (*ON_THE_RELEASE, *ON_LISA, *ELSEWHERE)])
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, Any]) -> None:
    if name == "blurnet_tf.evaluation.torch_peers":
        pytest.importorskip("torch", reason="PyTorch, the extra `bench`, is not installed: it is large")
    monkeypatch.chdir(tmp_path)
    run(name, tmp_path, names)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ON_THE_RELEASE)
def test_examples_on_the_release(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rp2_folder: Path) -> None:
    release = rp2_folder.resolve()
    monkeypatch.chdir(tmp_path)
    assert run(name, tmp_path, {}, rp2=release) > 0


@pytest.mark.realdata
@pytest.mark.parametrize("name", ON_LISA)
def test_examples_on_lisa(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lisa_folder: Path) -> None:
    folder = lisa_folder.resolve()
    monkeypatch.chdir(tmp_path)
    assert run(name, tmp_path, {}, lisa=folder) > 0
