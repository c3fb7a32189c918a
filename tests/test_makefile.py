"""What the Makefile starts, with a stand-in for Python that notes its calls."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import cli, controls

ROOT = Path(__file__).resolve().parent.parent
STAND_IN = """#!/bin/sh
# Notes its arguments.
case "$1" in -c) exit 0 ;; esac
echo "$*" >> "$LOG"
case "$*" in
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  "-m experiments."*) [ -z "$FAIL" ] || exit 1 ;;
esac
"""

BLACKBOX = "experiments.blackbox"

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
        (folder / "own.png").touch()
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
        self.output, self.error = result.stdout, result.stderr
        return self.log.read_text().splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def programs(calls: list[str]) -> list[str]:
    return [call.split()[1] for call in calls]


def test_a_first_run_makes_the_environment_and_the_experiment(project: Project) -> None:
    calls = project.make("blackbox")
    assert programs(calls) == ["venv", "pip", BLACKBOX]
    assert calls[0] == "-m venv .venv"
    assert calls[1].endswith("-e .")


def test_a_second_run_installs_nothing_and_leaves_it_to_the_program_what_is_missing(project: Project) -> None:
    project.make("blackbox")
    assert programs(project.make("blackbox")) == [BLACKBOX]


@pytest.mark.parametrize(
    ("setting", "flag"),
    [
        ("SEED=1", "--seeds 1"),
        ("STEPS=5", "--steps 5"),
        ("TARGET=yield", "--target yield"),
        ("DATA=synthetic", "--data synthetic"),
        ("PRESET=smoke", "--preset smoke"),
        ("LAMBDA=0.1", "--lambdas 0.1"),
        ("TRAIN_SEED=2", "--train-seed 2"),
        ("MASK=own.png", "--mask own.png"),
        ("DATA_DIR=elsewhere", "--data-dir elsewhere"),
        ("NPS=original", "--nps original"),
        ("PALETTE=masks/own.csv", "--palette masks/own.csv"),
        ("ARGS=--debug", "--debug"),
    ],
)
def test_a_setting_is_told_to_the_program(project: Project, setting: str, flag: str) -> None:
    (call,) = project.make("blackbox", "VENV=", setting)
    assert f"{flag} " in call


def test_a_program_that_fails_fails_the_target(project: Project) -> None:
    assert programs(project.make("blackbox", "VENV=", fail=True)) == [BLACKBOX]


def test_every_program_runs_its_main(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(cli, "run", lambda main: started.append(main.__name__))
    names = set(re.findall(r"-m experiments\.(\w+)", (ROOT / "Makefile").read_text()))
    assert len(names) > 10
    for name in names:
        runpy.run_path(str(ROOT / "experiments" / f"{name}.py"), run_name="__main__")
    assert started == ["main"] * len(names)


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
    assert programs(project.make("blackbox", "VENV=")) == [BLACKBOX]
    assert programs(project.make("test", "VENV=")) == ["pytest"]
    assert not (project.folder / ".venv").exists()


def test_a_folder_that_make_did_not_make_is_never_emptied(project: Project) -> None:
    (project.folder / "mine").mkdir()
    (project.folder / "mine" / "thesis.txt").touch()
    assert project.make("blackbox", "VENV=mine", fail=True) == []
    assert "error: mine was not made by this Makefile and stays as it is." in project.error
    project.make("distclean", "VENV=mine")
    assert (project.folder / "mine" / "thesis.txt").exists()


def test_distclean_removes_the_environment(project: Project) -> None:
    project.make("blackbox")
    (project.folder / "results" / "blackbox").mkdir(parents=True)
    project.make("distclean")
    assert not (project.folder / ".venv").exists()
    assert not (project.folder / "results" / "blackbox").exists()


@pytest.mark.parametrize("target", ["blackbox", "clean"])
@pytest.mark.parametrize(
    "name",
    [
        "RESULTS",
        "CHECKPOINTS",
        "VENV",
        "MASK",
        "DATA_DIR",
        "BLURNET_DATA",
        "PALETTE",
        "EXPORTS",
        "MODEL",
        "LABELS",
        "VICTIMS",
    ],
)
def test_a_path_with_a_space_is_refused_before_anything_is_done(project: Project, target: str, name: str) -> None:
    assert project.make(target, f"{name}=one two", fail=True) == []
    assert f"{name} must be a path without spaces. Received: {name}=one two." in project.error


def test_a_python_that_is_too_old_is_named(project: Project) -> None:
    project.python.write_text("#!/bin/sh\nexit 1\n")
    result = subprocess.run(
        ["make", "blackbox", f"PYTHON={project.python}"],
        cwd=project.folder,
        env={"PATH": os.environ["PATH"]},  # without the variables of a make that runs these tests
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert f"error: {project.python} must be Python 3.10 to 3.13; name one with PYTHON=" in result.stderr
    assert not (project.folder / ".venv").exists()


def test_data_fetches_the_release_or_prepares_lisa(project: Project) -> None:
    assert project.make("data", "VENV=") == ["-m experiments.data --data-dir data"]
    calls = project.make("data", "VENV=", "LISA_ROOT=/down loads/lisa.zip", "DATA_DIR=elsewhere")
    assert calls == ["-m experiments.data --lisa-root /down loads/lisa.zip --data-dir elsewhere"]


def test_a_quick_run_of_the_tests_leaves_out_what_is_slow(project: Project) -> None:
    (call,) = project.make("quicktest", "VENV=", "ARGS=-x")
    assert call.endswith("-m not slow and not realdata -x")


def test_dist_installs_what_it_needs_and_builds(project: Project) -> None:
    calls = project.make("dist")
    assert programs(calls) == ["venv", "pip", "pip", "build"]
    assert calls[2].endswith("-e .[dist]")
    assert calls[3] == "-m build --no-isolation --outdir dist"
    assert project.make("dist", "VENV=") == calls[3:]


def test_docs_installs_what_it_needs_and_says_only_where_the_site_is(project: Project) -> None:
    calls = project.make("docs")
    assert programs(calls) == ["venv", "pip", "pip", "sphinx"]
    assert calls[2].endswith("-e .[docs]")
    assert calls[3].endswith("-W --keep-going -d build/doctrees docs build/docs")
    assert project.make("docs", "VENV=") == calls[3:]
    assert project.output == "build/docs/index.html\n"


def test_the_notebook_is_run_with_what_the_tests_need(project: Project) -> None:
    calls = project.make("notebook")
    assert programs(calls) == ["venv", "pip", "pip", "experiments.notebook"]
    assert calls[2].endswith("-e .[test]")


def test_help_names_every_target_and_every_variable(project: Project) -> None:
    project.make("help")
    text = (project.folder / "Makefile").read_text().replace("\\\n", "")
    (phony,) = [line for line in text.splitlines() if line.startswith(".PHONY:")]
    for target in set(phony.split()[1:]):
        assert f"\n  {target} " in project.output, target
    variables = [line.split("?=")[0].strip() for line in text.splitlines() if "?=" in line and line[0] != "\t"]
    assert len(variables) >= 37
    for variable in variables:
        assert f"\n  {variable} " in project.output, variable


def test_the_report_is_made_of_what_is_there_and_runs_nothing_else(project: Project) -> None:
    *_, call = project.make("report", "RESULTS=out", "CHECKPOINTS=models")
    assert call == "-m experiments.report --checkpoints models --results out"
    assert programs(project.make("report", "PRESET=smoke", "SEED=1")) == ["experiments.report"]


def test_training_is_told_its_data_and_its_split(project: Project) -> None:
    *_, call = project.make("train", "DATA=lisa", "SPLIT=random", "VARIANT=tv_1e-4 tv_1e-5", "INIT=rp2_release")
    assert "-m experiments.train --data lisa --data-dir data --split random" in call
    assert "--init rp2_release " in call
    assert call.endswith("--variant tv_1e-4 tv_1e-5")
    *_, call = project.make("train", "PRECISION=float32")
    assert "--precision float32 " in call
    assert call.endswith("--variant all")


def test_the_white_box_runs_each_time(project: Project) -> None:
    for _ in range(2):  # the program itself knows what is whole
        (attack,) = project.make("whitebox", "VENV=", "SEEDS=0 1", "MASK=own.png", "RESULTS=out")
        assert attack.startswith("-m experiments.whitebox --data auto --data-dir data --split track --preset quick")
        assert attack.endswith("--mask own.png --variant all --seeds 0 1 --results out/whitebox")


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ([], None),
        (["LAMBDA=0.1"], "--lambdas 0.1 "),
        (["LAMBDAS=0.1 0.2"], "--lambdas 0.1 0.2 "),
        (["LAMBDA=0.1", "LAMBDAS=0.3"], "--lambdas 0.3 "),
    ],
)
def test_the_lambdas_of_the_white_box_are_those_of_the_preset_unless_they_are_given(
    project: Project, settings: list[str], flag: str | None
) -> None:
    (attack,) = project.make("whitebox", "VENV=", *settings)
    assert (flag is None and "--lambdas" not in attack) or f"{flag}" in attack


def test_the_seed_of_the_white_box_is_seed_unless_seeds_are_given(project: Project) -> None:
    (attack,) = project.make("whitebox", "VENV=", "SEED=3")
    assert "--seeds 3 " in attack


def test_the_controls_are_told_their_rows_their_seeds_and_their_attacks(project: Project) -> None:
    (call,) = project.make("controls", "VENV=")
    assert call.startswith("-m experiments.controls --data auto --data-dir data --split track --preset quick ")
    assert "--variant all --train-seeds 0 1 2 --suite standard --results results/controls" in call
    settings = ["VARIANT=baseline+stickers tvk_1", "TRAIN_SEEDS=4 5", "SUITE=full", "ONLY=yield", "PRECISION=float32"]
    (call,) = project.make(
        "controls", "VENV=", *settings, "PRESET=smoke", "CHECKPOINTS=c", "RESULTS=out", "ARGS=--debug"
    )
    assert "--preset smoke --precision float32 --checkpoints c " in call
    assert "--variant baseline+stickers tvk_1 --train-seeds 4 5 --suite full --only yield --debug " in call
    assert call.endswith("--results out/controls")


def test_the_controls_know_every_flag_that_make_gives_them(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (call,) = project.make("controls", "VENV=", "ONLY=yield", "VARIANT=baseline+stickers tvk_1", "ARGS=--help")
    with pytest.raises(SystemExit) as ended:
        controls.main(call.split()[2:])
    assert ended.value.code == 0
    assert "Table 3" in capsys.readouterr().out


def test_the_ablation_is_told_the_attack_of_blackbox(project: Project) -> None:
    (attack,), (ablation,) = (project.make(target, "VENV=", "SEED=2") for target in ("blackbox", "ablation"))
    assert ablation == attack.replace("blackbox", "ablation")


def test_figures_attack_only_if_nothing_is_stored(project: Project) -> None:
    assert programs(project.make("figures", "VENV=")) == [BLACKBOX, "experiments.figures"]
    (project.folder / "results" / "blackbox").mkdir(parents=True)
    (project.folder / "results" / "blackbox" / "run.json").touch()
    (call,) = project.make("figures", "VENV=", "TRAIN_SEED=1")
    assert call.startswith("-m experiments.figures --split track --preset quick --train-seed 1")
    assert call.endswith("--results results")


def test_chaos_and_reproduction_are_told_what_to_do(project: Project) -> None:
    assert project.make("chaos", "VENV=") == ["-m tests.chaos --kills 20 --results results/chaos"]
    (call,) = project.make("reproduction", "VENV=", "RUN=baseline tv_1e-4")
    assert call.endswith("--run baseline tv_1e-4 --results results/reproduction")


def test_export_is_told_the_models_the_formats_and_the_folders(project: Project) -> None:
    (call,) = project.make("export", "VENV=", "VARIANT=tv_1e-4", "FORMAT=litert onnx", "EXPORTS=out")
    assert call.startswith("-m experiments.export --data auto --data-dir data --split track --preset quick")
    assert call.endswith("--variant tv_1e-4 --format litert onnx --results results --exports out")


@pytest.mark.parametrize(("settings", "extra"), [([], []), (["FORMAT=onnx"], [".[onnx]"])])
def test_export_installs_what_its_format_needs(project: Project, settings: list[str], extra: list[str]) -> None:
    calls = project.make("export", *settings)
    assert programs(calls) == ["venv", "pip", *["pip"] * len(extra), "experiments.export"]
    assert [call.split()[-1] for call in calls[2:-1]] == extra


def test_a_model_of_ones_own_is_attacked_instead(project: Project) -> None:
    settings = ["VENV=", "MODEL=own/zoo", "OUTPUT=probabilities", "SIGNATURE=predict", "VICTIMS=mine", "LABEL=owl"]
    settings += ["OUTPUT_NAME=scores", "LABELS=names.txt", "MASK=own.png", "RESULTS=out", "TARGETS=cat eel"]
    model = "--model own/zoo --output probabilities --signature predict --output-name scores --labels names.txt"
    model += " --victims mine --label owl "
    (call,) = project.make("whitebox", *settings)
    assert call.startswith(f"-m experiments.whitebox {model}--targets cat eel ")
    assert call.endswith("--results out/models")
    (call,) = project.make("blackbox", *settings, "TARGET=cat")
    assert call.startswith(f"-m experiments.blackbox {model}")
    assert "--target cat --lambdas 0.002 --seeds 0 " in call
    assert call.endswith("--results out/models")


def test_names_of_a_model_of_ones_own_may_hold_spaces(project: Project) -> None:
    project.python.write_text("""#!/bin/sh\nfor one; do echo "$one" >> "$LOG"; done\n""")
    settings = ["VENV=", "MODEL=zoo", "LABEL=big cat", "OUTPUT_NAME=my scores", "SIGNATURE=my signature"]
    for target, more, wanted in (
        ("blackbox", "TARGET=small dog", ["--target", "small dog"]),
        ("whitebox", "TARGETS='small dog' cow", ["--targets", "small dog", "cow"]),
    ):
        given = project.make(target, *settings, more)
        for part in (["--label", "big cat"], ["--output-name", "my scores"], ["--signature", "my signature"], wanted):
            start = given.index(part[0])
            assert given[start : start + len(part)] == part


def test_the_workflow_runs_targets_that_there_are_on_every_python_that_is_promised() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    run = re.findall(r"- run: make (\w+)", workflow)
    assert {"lint", "test", "dist", "docs"} <= set(run) <= targets
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)
    promised = re.findall(r"Programming Language :: Python :: (3\.\d+)", (ROOT / "setup.cfg").read_text())
    assert matrix.replace('"', "").split(", ") == promised
