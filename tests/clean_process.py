"""A Python process that has TensorFlow and what TensorFlow needs, and nothing else: no `blurnet_tf`, no Pillow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement


def link_tensorflow(folder: Path) -> set[str]:
    """Fill a folder with links to the packages of TensorFlow and all that it requires; return their distributions."""
    folder.mkdir()
    found: set[str] = set()
    wanted = ["tensorflow"]
    while wanted:
        name = wanted.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:  # what only some other system needs
            continue
        found.add(name)
        for top in {path.parts[0] for path in package.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(package.locate_file(top))
        for text in package.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    return found


def run(program: str, packages: Path, folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a program in `folder` with only the standard library and `packages`; return the JSON that it prints."""
    result = subprocess.run(
        [sys.executable, "-S", "-s", "-c", program, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(packages), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])
