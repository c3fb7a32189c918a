import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import blurnet_tf
from blurnet_tf.evaluation import provenance
from blurnet_tf.files import read_json, write_json
from blurnet_tf.models import weights_sha256


def test_the_checksum_of_weights_is_about_names_shapes_and_values() -> None:
    kernel, bias = np.ones((2, 2), np.float32), np.zeros(2, np.float32)
    base = weights_sha256({"a": [kernel, bias], "b": [bias]})
    assert base == weights_sha256({"b": [bias], "a": [kernel, bias]})
    assert base != weights_sha256({"a": [kernel, bias + 1], "b": [bias]})
    assert base != weights_sha256({"c": [kernel, bias], "b": [bias]})
    assert base != weights_sha256({"a": [kernel.reshape(4), bias], "b": [bias]})


def test_the_git_commit_and_whether_files_differ(tmp_path: Path) -> None:
    assert provenance.git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert provenance.git_commit(tmp_path) is None  # a repository, but no commit yet
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    commit = provenance.git_commit(tmp_path)
    assert commit is not None
    assert len(commit["commit"]) == 40
    assert commit["modified"] is False
    (tmp_path / "file").write_text("2")
    assert provenance.git_commit(tmp_path) == {"commit": commit["commit"], "modified": True}


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git_commit(tmp_path) is None


def test_the_environment_names_every_loaded_package() -> None:
    environment = provenance.environment()
    assert environment["packages"] == {
        name: sys.modules[name].__version__ for name in provenance.MODULES if name in sys.modules
    }
    assert environment["packages"]["blurnet_tf"] == blurnet_tf.__version__
    assert environment["packages"]["tensorflow"].startswith("2.21.")
    assert environment["cpus"] >= 1


def test_json_is_written_for_people_and_reads_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.1]})
    assert read_json(tmp_path / "a.json") == {"b": 1, "a": [0.1]}
    assert (tmp_path / "a.json").read_text().startswith('{\n  "b": 1,')


def test_nan_is_no_json_and_leaves_the_file_alone(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert json.loads((tmp_path / "a.json").read_text()) == 1


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe"])
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json is not a JSON file: .*\. Delete it and run the experiment again\.$"):
        read_json(tmp_path / "a.json")
