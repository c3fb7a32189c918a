"""What the Makefile gives a program, for tests that run the program in their own process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def told(target: str, *settings: str) -> list[str]:
    """The arguments that `make TARGET SETTINGS` starts its program with; echo stands in for Python."""
    inherited = {key: value for key, value in os.environ.items() if key != "BLURNET_DATA"}
    command = ["make", "--no-print-directory", target, "VENV=", "PYTHON=echo", *settings]
    result = subprocess.run(command, cwd=ROOT, env=inherited, capture_output=True, text=True, check=True)
    option, program, *arguments = result.stdout.split()
    assert (option, program) == ("-m", f"experiments.{target}")
    return arguments
