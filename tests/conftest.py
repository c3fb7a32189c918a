"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

from blurnet_tf.data import rp2_release


@pytest.fixture(scope="session")
def rp2_folder() -> Path:
    """The folder of the RP2 release; the test is skipped where it is absent."""
    roots = [Path(root) for root in (os.environ.get("BLURNET_DATA"), "data") if root]
    folder = rp2_release.find(roots)
    if folder is None:
        pytest.skip("no RP2 release under BLURNET_DATA or data/: run `make data`")
    return folder
