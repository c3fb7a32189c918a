"""Provenance: what a result came from, so that somebody else can make it again."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.files import write_text

MODULES: tuple[str, ...] = ("blurnet_tf", "tensorflow", "keras", "numpy", "cv2", "matplotlib")


def weights_sha256(weights: Mapping[str, Sequence[NDArray[np.float32]]]) -> str:
    """Return a checksum of a model's arrays by layer, which a `.keras` file, with its date inside, has not.

    Args:
        weights: As `defenses.layer_weights` gives them.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        for array in weights[name]:
            digest.update(repr((name, array.shape, str(array.dtype))).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def git_commit(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the git commit of a folder and whether files differ from it, or `None` outside a repository."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", os.fspath(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):  # no git, no repository, or no commit in it yet
        return None


def environment(folder: str | os.PathLike[str] = ".") -> dict[str, Any]:
    """Return versions of Python and of the loaded packages, the machine, and the git commit of `folder`."""
    return {
        "python": platform.python_version(),
        # Of what runs, whichever distribution it came from: OpenCV and TensorFlow have several.
        "packages": {name: sys.modules[name].__version__ for name in MODULES if name in sys.modules},
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "git": git_commit(folder),
    }


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON that people can read, atomically. Keys keep their order; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: The file is damaged; it is named.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a JSON file: {error}. Delete it and run the experiment again.") from error
