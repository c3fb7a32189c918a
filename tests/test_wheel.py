"""The wheel as `make dist` builds it, installed where nothing of this repository can be seen."""

from __future__ import annotations

import email
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import blurnet_tf

ROOT = Path(__file__).resolve().parent.parent
MASKS = ["octagon.png", "palette.csv", "sticker.png"]
MOST_BYTES = 10_000_000
TEMPLATES = ["blocks.html.j2", "page.css", "page.html.j2"]

PROGRAM = """
import importlib.metadata, json
import numpy as np
import blurnet_tf
from blurnet_tf import RP2, bundled, defend, lisa_cnn, load_mask, load_palette
from blurnet_tf.attacks import NPS

images = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3)).astype("float32")
model = defend(lisa_cnn(seed=0), "conv1", blurnet_tf.FixedBlur(5))
said = set(np.asarray(model(images)).argmax(axis=1).tolist())
target = min(set(range(18)) - said)
mask, palette = load_mask(bundled("sticker.png")), load_palette(bundled("palette.csv"))
result = RP2(steps=2, penalties=(NPS(palette),))(model, images, targets=target, mask=mask, progress=False)
changed = np.abs(np.asarray(result.apply(images))[0] - images).max(axis=(0, 3)) > 0
print(json.dumps({
    "file": blurnet_tf.__file__,
    "mask": str(bundled("sticker.png")),
    "versions": [blurnet_tf.__version__, importlib.metadata.version("blurnet-tf")],
    "changed": int(changed.sum()),
    "outside": int((changed & (mask[..., 0] == 0)).sum()),
}))
"""

FEW = """
from blurnet_tf.data import synthetic
from blurnet_tf.evaluation import attacking

synthetic.VICTIM_DISTANCES, attacking.DRAWS = (30, 40), 2  # signs to attack, and random plain stickers
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel, built from a copy so that the checkout stays as it is."""
    missing = [name for name in ("build", "setuptools") if importlib.util.find_spec(name) is None]
    if missing or int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("needs build, and setuptools 77 or newer: pip install -e '.[test]'")
    copy, output = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in ("src", "masks", "tests", "experiments", "examples"):
        ignore = shutil.ignore_patterns("*.egg-info", "__pycache__")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignore)
    for name in ("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(copy)]
    run = subprocess.run(command, cwd=output, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return output


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"blurnet_tf-{blurnet_tf.__version__}-py3-none-any.whl"
    source = ROOT / "src" / "blurnet_tf"
    modules = {path.relative_to(source.parent).as_posix() for path in source.rglob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        for name in MASKS:
            assert archive.read(f"blurnet_tf/masks/{name}") == (ROOT / "masks" / name).read_bytes()
    templates = {f"blurnet_tf/reporting/report/{name}" for name in TEMPLATES}
    zoo = {path.relative_to(source.parent).as_posix() for path in (source / "zoo").rglob("*") if path.is_file()}
    assert "blurnet_tf/zoo/lisa/baseline.npz" in zoo
    assert names == modules | templates | zoo | {
        "blurnet_tf/py.typed",
        "blurnet_tf/data/rp2_release.txt",
        "blurnet_tf/data/stop.png",
    } | {f"blurnet_tf/masks/{name}" for name in MASKS}
    assert wheel.stat().st_size < MOST_BYTES


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (licence,) = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = email.message_from_bytes(archive.read(metadata))
    assert (said["Name"], said["Version"]) == ("blurnet-tf", blurnet_tf.__version__)
    assert (said["License-Expression"], said["License-File"]) == ("MIT", "LICENSE")
    assert said["Requires-Python"] == "<3.14,>=3.10"
    assert set(said.get_all("Provides-Extra")) == {"bench", "dist", "distributed", "docs", "lint", "onnx", "test"}
    assert said["Description-Content-Type"] == "text/markdown"
    assert said.get_payload().startswith("# blurnet-tf\n")


def test_the_sdist_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
        assert all(member.isfile() or member.isdir() for member in archive)
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "setup.cfg", "pyproject.toml"} <= names
    assert {f"src/blurnet_tf/masks/{name}" for name in MASKS} <= names
    assert not [name for name in names if name.startswith(("tests", "experiments", "examples"))]


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has the wheel, and from ours only what the wheel needs."""
    environment = tmp_path_factory.mktemp("installed") / "environment"
    venv.create(environment, with_pip=False)
    (packages,) = environment.glob("Lib/site-packages" if os.name == "nt" else "lib/*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(packages)]
    run = subprocess.run([*install, str(wheel)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    # What the package needs comes from the environment of the tests. Its .pth files do not: they may name our sources.
    ours = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "needed.pth").write_text("\n".join(ours))
    return environment


def run_until(environment: Path, program: str, folder: Path, kill_at: str | None, *options: str) -> str:
    """Run a program of the installed package, and kill it at the first line with these words; return what it said.

    Its Python is that of an environment, which takes nothing from ours but the list of PATH.
    """
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    command = [str(python), "-I", "-u", *options, "-c", program]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if kill_at is not None and kill_at in line:
                process.send_signal(signal.SIGKILL)
                return said
        wrong = process.stderr.read() if process.stderr else ""
        assert process.wait() == 0, wrong
        assert kill_at is None, f"ended before it could be killed at {kill_at!r}: {said}"
    return said


@pytest.fixture(scope="module")
def documented() -> str:
    """The program of the documentation, with fewer images and steps."""
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(program.splitlines()) <= 15
    for much, little in (("per_class=30, test_per_class=10", "per_class=6, test_per_class=2"), ("steps=20", "steps=2")):
        assert program.count(much) == 1
        program = program.replace(much, little)
    return FEW + program


@pytest.fixture(scope="module")
def first(environment: Path, documented: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An empty folder where a process attacked a model, ran the first example of the README, began the documented
    program, and was killed in its training.

    Until it begins that, a warning is an error.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    more, kill_at = f"import warnings; warnings.simplefilter('default'){documented}", "Epoch 2/2"
    if os.name == "nt":  # there is no SIGKILL
        more, kill_at = "", None
    readme, _ = first_example()
    return folder, run_until(environment, PROGRAM + readme + more, folder, kill_at, "-W", "error")


def first_example() -> tuple[str, str]:
    """The first example of the README, and what it says that it prints."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], said


def test_an_installed_wheel_attacks_with_its_own_mask(wheel: Path, environment: Path, first: tuple[Path, str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (points,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        assert "blurnet = blurnet_tf.commands.main:main" in archive.read(points).decode()
    (packages,) = environment.glob("Lib/site-packages" if os.name == "nt" else "lib/*/site-packages")
    said = json.loads(first[1].splitlines()[0])
    assert Path(said["file"]) == packages / "blurnet_tf" / "__init__.py"
    assert Path(said["mask"]) == packages / "blurnet_tf" / "masks" / "sticker.png"
    assert said["versions"] == [blurnet_tf.__version__] * 2
    assert said["changed"] > 0
    assert said["outside"] == 0


def test_the_first_example_of_the_readme_runs_from_the_wheel(first: tuple[Path, str]) -> None:
    assert f"\n{first_example()[1]}" in first[1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.filterwarnings("ignore:The model takes")
def test_the_program_of_the_documentation_survives_kills(
    environment: Path,
    documented: str,
    first: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("blurnet_tf.data.synthetic.VICTIM_DISTANCES", ())  # as they are again after the program
    monkeypatch.setattr("blurnet_tf.evaluation.attacking.DRAWS", 0)
    exec(documented, {})  # undisturbed, in this process and from the sources
    table = capsys.readouterr().out
    killed = first[0]
    run_until(environment, documented, killed, "cell 2 of 4")
    resumed = run_until(environment, documented, killed, None)
    assert resumed.count("trained already") == 2
    assert "cells are there already" in resumed
    for name in ("table2.md", "table2.csv", "table2.json", "figure4.png"):
        ours, theirs = (folder / "results" / "whitebox" / name for folder in (killed, tmp_path))
        assert ours.read_bytes() == theirs.read_bytes(), name
    assert (tmp_path / "results" / "whitebox" / "table2.md").read_text() in table
