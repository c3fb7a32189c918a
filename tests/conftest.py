"""Fixtures that several test files share."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from blurnet_tf.data import lisa, rp2_release
from blurnet_tf.data.registry import load_dataset
from blurnet_tf.runs import Setting, cells, load_setting

# Two processes share the files, in this order. What takes longest comes first, so that neither waits for the other at
# the end. A file that is not named here comes after these.
LONGEST = (
    "whitebox", "experiments", "checkpoints", "procedures", "controls", "notebook", "wheel", "rp2", "commands",
    "model_programs", "attack_contract", "retrofit", "benchmark", "gallery", "binarization", "doctests", "report",
)  # fmt: skip

os.environ.pop("BLURNET_ZOO", None)  # the tests are about the models of the package
# What `make test ARGS=...` was told is no matter of a make that a test starts, which would take it from here.
told = re.findall(r"\b([A-Z_]+)=", os.environ.get("MAKEFLAGS", ""))
for name in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", *(one for one in told if "BLURNET" not in one)):
    os.environ.pop(name, None)
ROOTS = [Path(root) for root in (os.environ.get("BLURNET_DATA"), "data") if root]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def rp2_folder() -> Path:
    """The folder of the RP2 release; the test is skipped where it is absent."""
    folder = rp2_release.find(ROOTS)
    if folder is None:
        pytest.skip("no RP2 release under BLURNET_DATA or data/: run `make data`")
    return folder


@pytest.fixture(scope="session")
def lisa_folder() -> Path:
    """The folder of the prepared LISA; the test is skipped where it is absent."""
    path = lisa.find(ROOTS)
    if path is None:
        pytest.skip("no lisa/lisa32.npz under BLURNET_DATA or data/: run `make data LISA_ROOT=...`")
    return path.parent


@pytest.fixture(scope="session")
def lisa_sample(lisa_folder: Path) -> Path:
    """A part of the official download beside the prepared LISA, whose folder has the annotations of the whole."""
    sample = lisa_folder.parent / "lisa_official_sample"
    if not (sample.is_dir() and (lisa_folder / "allAnnotations.csv").is_file()):
        pytest.skip(f"no lisa_official_sample/ and lisa/allAnnotations.csv in {lisa_folder.parent}")
    return sample


@pytest.fixture(scope="session")
def setting() -> Setting:
    """The rendered signs that are attacked, with their mask."""
    return load_setting(load_dataset("synthetic"))


@pytest.fixture(scope="module", autouse=True)
def _fresh_images() -> Iterator[None]:
    """Let no cell of another file have images that a test there made of changed settings."""
    yield
    for cached in (cells._load_dataset, cells._load_images):
        cached.cache_clear()
