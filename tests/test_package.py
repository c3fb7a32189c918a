"""What `import blurnet_tf` brings, and what it does not."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import blurnet_tf

REGISTERED = ["ChannelLInf", "FixedBlur", "LearnableBlur", "TotalVariation"]

PROGRAM = """
import json, runpy, sys
import numpy, tensorflow, keras
before = set(sys.modules)
import blurnet_tf
new = sorted(set(sys.modules) - before)
registered = {}
for name in %r:
    found = keras.saving.get_registered_object("blurnet_tf>" + name)
    registered[name] = found is getattr(blurnet_tf, name)
model = keras.saving.load_model(sys.argv[1])
outputs = model(numpy.asarray(json.loads(sys.argv[2]), "float32")).numpy().tolist()
blurnet_tf.load_model("baseline")  # of the package
told = {"new": new, "registered": registered, "outputs": outputs, "downloader": "pooch" in sys.modules}
print(json.dumps(told), flush=True)

sys.argv = ["blurnet", "apply", "photo.png", "--perturbation", "no.npy", "--out", "a.png"]
runpy.run_module("blurnet_tf", run_name="__main__")  # as `python -m blurnet_tf` does
"""
MAPS = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    inputs = keras.Input(MAPS.shape[1:])
    x = blurnet_tf.FixedBlur(5, window="gaussian", padding="reflect", sigma=0.9)(inputs)
    return keras.Model(inputs, blurnet_tf.LearnableBlur(3, alpha=0.1, start="random", seed=1)(x))


@pytest.fixture(scope="module")
def fresh(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a fresh interpreter, in an empty folder and with warnings as errors, sees and reads after the import.

    In the end it runs the package as a script; `end` is how that ended.
    """
    path, folder = tmp_path_factory.mktemp("model") / "model.keras", tmp_path_factory.mktemp("empty")
    model.save(path)
    command = [sys.executable, "-W", "error", "-c", PROGRAM % REGISTERED, str(path), json.dumps(MAPS.tolist())]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.stdout, run.stderr
    end = {"code": run.returncode, "error": run.stderr, "left": [path.name for path in folder.iterdir()]}
    return json.loads(run.stdout) | {"end": end}


@pytest.mark.slow
def test_importing_registers_the_keras_classes(fresh: dict[str, Any]) -> None:
    assert fresh["registered"] == dict.fromkeys(REGISTERED, True)


@pytest.mark.slow
def test_importing_loads_only_defences_and_models_and_what_they_stand_on(fresh: dict[str, Any]) -> None:
    ours = {name for name in fresh["new"] if name.split(".")[0] == "blurnet_tf"}
    rooms = {name.split(".")[1] for name in ours if "." in name}
    assert rooms == {"checks", "defenses", "models", "numerics", "signs"}


@pytest.mark.slow
def test_importing_loads_nothing_that_keras_and_tensorflow_do_not(fresh: dict[str, Any]) -> None:
    foreign = {name.split(".")[0] for name in fresh["new"]} - sys.stdlib_module_names
    assert foreign == {"blurnet_tf"}


@pytest.mark.slow
def test_importing_is_enough_to_read_a_keras_file(fresh: dict[str, Any], model: keras.Model) -> None:
    np.testing.assert_array_equal(np.asarray(fresh["outputs"], np.float32), model(MAPS))


@pytest.mark.slow
def test_loading_a_model_of_the_package_imports_no_downloader(fresh: dict[str, Any]) -> None:
    assert fresh["downloader"] is False


@pytest.mark.slow
def test_the_module_is_the_script_and_a_mistake_has_no_traceback(fresh: dict[str, Any]) -> None:
    code, error, left = fresh["end"].values()
    assert (code, left) == (1, [])
    assert "Traceback" not in error
    # Above it stands what TensorFlow says when it is imported, which nothing switches off.
    assert error.splitlines()[-1] == (
        "error: Perturbation no.npy is no file. Give a .npy file, such as `blurnet attack` writes."
    )


@pytest.mark.parametrize("name", blurnet_tf.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(blurnet_tf, name) is not None
    assert name in dir(blurnet_tf)


def test_the_public_names_are_unique() -> None:
    assert len(set(blurnet_tf.__all__)) == len(blurnet_tf.__all__)


def test_a_name_that_is_loaded_later_is_the_one_of_its_module() -> None:
    from blurnet_tf.attacks.rp2 import RP2
    from blurnet_tf.data.split import Split

    assert blurnet_tf.RP2 is RP2
    assert blurnet_tf.Split is Split


def test_an_unknown_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'blurnet_tf' has no attribute 'rp3'$"):
        blurnet_tf.rp3  # noqa: B018


def test_the_version_is_that_of_the_installed_distribution() -> None:
    assert blurnet_tf.__version__ == importlib.metadata.version("blurnet-tf")


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(blurnet_tf.__file__).parent / "py.typed").is_file()
