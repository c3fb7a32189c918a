"""The graph of the Makefile, with a stand-in for Python that notes its calls: what is made, and what is left alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAND_IN = """#!/bin/sh
# Notes its arguments, and makes what the real program would make.
case "$1" in -c) exit 0 ;; esac
echo "$*" >> "$LOG"
case "$*" in
  "-m venv --clear "*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m experiments.blackbox "*)
    [ -z "$FAIL" ] || exit 1
    for last; do :; done; touch "$last/table1.json" ;;
esac
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the Makefile is for GNU make and a POSIX shell")


class Project:
    """A copy of what the Makefile looks at, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "calls.log"
        self.python = folder / "python-stand-in"
        self.python.write_text(STAND_IN)
        self.python.chmod(0o755)
        for name in ("Makefile", "setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        (folder / "masks").mkdir()
        (folder / "src" / "blurnet_tf").mkdir(parents=True)
        (folder / "src" / "blurnet_tf" / "signs.py").touch()
        for name in ("sticker.png", "own.png"):
            (folder / "masks" / name).touch()
        self.age()

    def age(self) -> None:
        """Make every file old, so that what is touched next is surely newer."""
        for path in sorted(self.folder.rglob("*")):
            before = path.stat().st_mtime
            os.utime(path, (before - 100, before - 100))

    def make(self, *arguments: str, fail: bool = False, **environment: str) -> list[str]:
        """Run make and return the calls of Python that it made."""
        self.log.write_text("")
        variables = {"PATH": os.environ["PATH"], "LOG": str(self.log), "FAIL": "1" if fail else "", **environment}
        result = subprocess.run(
            ["make", "--no-print-directory", f"PYTHON={self.python}", *arguments],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
        )
        assert (result.returncode != 0) == fail, result.stderr
        self.output = result.stdout
        return self.log.read_text().splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def programs(calls: list[str]) -> list[str]:
    return [call.split()[1] for call in calls]


def test_a_first_run_makes_the_environment_and_the_experiment(project: Project) -> None:
    calls = project.make("blackbox")
    assert programs(calls) == ["venv", "pip", "experiments.blackbox"]
    assert calls[0] == "-m venv --clear .venv"
    assert calls[1].endswith("-e .")


def test_a_second_run_does_nothing(project: Project) -> None:
    project.make("blackbox")
    assert project.make("blackbox") == []
    assert project.output == "Table 1 is up to date: results/blackbox/table1.md\n"


@pytest.mark.parametrize(
    ("setting", "flag"),
    [
        ("SEED=1", "--seed 1"),
        ("STEPS=5", "--steps 5"),
        ("TARGET=yield", "--target yield"),
        ("DATA=synthetic", "--data synthetic"),
        ("PRESET=smoke", "--preset smoke"),
        ("LAMBDA=0.1", "--penalty 0.1"),
        ("TRAIN_SEED=2", "--train-seed 2"),
        ("MASK=masks/own.png", "--mask masks/own.png"),
        ("DATA_DIR=elsewhere", "--data-dir elsewhere"),
        ("ARGS=--nps original", "--nps original"),
    ],
)
def test_a_changed_setting_runs_the_experiment_again(project: Project, setting: str, flag: str) -> None:
    project.make("blackbox")
    project.age()
    (call,) = project.make("blackbox", setting)
    assert f"{flag} " in call
    assert project.make("blackbox", setting) == []
    assert programs(project.make("blackbox")) == ["experiments.blackbox"]


@pytest.mark.parametrize("touched", ["masks/sticker.png", "src/blurnet_tf/signs.py"])
def test_a_changed_file_runs_the_experiment_again(project: Project, touched: str) -> None:
    project.make("blackbox")
    project.age()
    (project.folder / touched).touch()
    assert programs(project.make("blackbox")) == ["experiments.blackbox"]


def test_a_changed_mask_of_ones_own_runs_the_experiment_again(project: Project) -> None:
    project.make("blackbox", "MASK=masks/own.png")
    project.age()
    (project.folder / "masks" / "sticker.png").touch()
    assert project.make("blackbox", "MASK=masks/own.png") == []
    (project.folder / "masks" / "own.png").touch()
    assert programs(project.make("blackbox", "MASK=masks/own.png")) == ["experiments.blackbox"]


def test_data_that_arrives_runs_the_experiment_again(project: Project) -> None:
    project.make("blackbox")
    project.age()
    (project.folder / "data" / "rp2" / "masks").mkdir(parents=True)
    (project.folder / "data" / "rp2" / "masks" / "octagon.png").touch()
    assert programs(project.make("blackbox")) == ["experiments.blackbox"]
    assert project.make("blackbox") == []


def test_a_failed_run_is_run_again(project: Project) -> None:
    project.make("blackbox", fail=True)
    assert programs(project.make("blackbox")) == ["experiments.blackbox"]


def test_an_edited_setup_cfg_makes_a_new_environment(project: Project) -> None:
    project.make("test")
    project.age()
    assert programs(project.make("test")) == ["pytest"]
    (project.folder / "setup.cfg").touch()
    calls = project.make("test")
    assert programs(calls) == ["venv", "pip", "pip", "pytest"]
    assert calls[2].endswith("-e .[test]")


def test_an_environment_whose_installation_broke_off_is_made_again(project: Project) -> None:
    project.make("blackbox")
    (project.folder / ".venv" / ".installed").unlink()
    assert programs(project.make("lint"))[:2] == ["venv", "pip"]


def test_without_venv_the_users_python_runs_and_nothing_is_installed(project: Project) -> None:
    assert programs(project.make("blackbox", "VENV=")) == ["experiments.blackbox"]
    assert programs(project.make("test", "VENV=")) == ["pytest"]
    assert not (project.folder / ".venv").exists()


def test_a_python_that_is_too_old_is_named(project: Project) -> None:
    project.python.write_text("#!/bin/sh\nexit 1\n")
    result = subprocess.run(
        ["make", "blackbox", f"PYTHON={project.python}"], cwd=project.folder, capture_output=True, text=True
    )
    assert result.returncode != 0
    assert f"error: {project.python} must be Python 3.10 to 3.13; name one with PYTHON=" in result.stderr
    assert not (project.folder / ".venv").exists()


def test_help_names_every_target_and_every_variable(project: Project) -> None:
    project.make("help")
    text = (project.folder / "Makefile").read_text()
    (phony,) = [line for line in text.splitlines() if line.startswith(".PHONY:")]
    for target in set(phony.split()[1:]) - {"FORCE"}:
        assert f"\n  {target} " in project.output, target
    variables = [line.split("?=")[0].strip() for line in text.splitlines() if "?=" in line]
    assert len(variables) >= 15
    for variable in [*variables, "BLURNET_DATA"]:
        assert f"\n  {variable} " in project.output, variable
