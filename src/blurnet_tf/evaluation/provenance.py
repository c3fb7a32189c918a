"""Provenance: what a result came from, so that others can make it again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

from blurnet_tf.training.precision import gpu_names

PACKAGE = Path(__file__).resolve().parent.parent
MODULES: tuple[str, ...] = ("blurnet_tf", "tensorflow", "keras", "numpy", "cv2", "matplotlib")


def git_commit(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the commit that a folder is at and whether files differ from it; `None` if no repository tracks it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", os.fspath(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", ".")  # an environment inside another repository is not part of that
        return {"commit": git("rev-parse", "HEAD"), "modified": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):  # no git, no repository, or no commit in it yet
        return None


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return what the processor is called."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def environment(folder: str | os.PathLike[str] = PACKAGE) -> dict[str, Any]:
    """Return versions of Python and of the loaded packages, the machine, and the git commit of `folder`, if any.

    `device` is the GPU that TensorFlow computes on, else the processor; `threads`, how many TensorFlow has.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "python": platform.python_version(),
        # Of what runs, whichever distribution it came from: OpenCV and TensorFlow have several.
        "packages": {name: sys.modules[name].__version__ for name in MODULES if name in sys.modules},
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": cpus,
        "device": ", ".join(gpu_names()) or processor(),
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or cpus,
        "git": git_commit(folder),
    }
