"""The arrows between the modules and a few rules of the house, read from the syntax trees of the sources."""

from __future__ import annotations

import ast
import doctest
from collections.abc import Iterator
from pathlib import Path

import pytest

import blurnet_tf

PACKAGE = "blurnet_tf"
PROGRAMS = "experiments"
ROOT = Path(blurnet_tf.__file__).parent
REPOSITORY = Path(__file__).resolve().parent.parent

GROUND = {"numerics", "signs", "files", "fetching", "checks", "reading", "pictures"}
BASE = GROUND | {"attacks", "defenses", "data", "models"}
ARROWS: dict[str, set[str]] = {
    "": BASE | {"training", "evaluation", "runs", "reporting", "export"},
    "numerics": set(),
    "signs": {"checks"},
    "files": set(),
    "reading": {"checks", "files"},
    "pictures": {"checks", "reading"},
    "checks": set(),
    "fetching": {"reading"},
    "defenses": GROUND,
    "data": GROUND,
    "attacks": GROUND,
    "models": GROUND | {"defenses", "data"},
    "training": BASE,
    "evaluation": BASE | {"training"},
    "runs": BASE | {"training", "evaluation"},
    "reporting": BASE | {"training", "evaluation", "runs"},
    "export": BASE | {"training", "evaluation", "runs"},
    "commands": BASE | {"training", "evaluation", "runs", "reporting", "export", ""},
    "__main__": {"commands"},
    "experiments": BASE | {"training", "evaluation", "runs", "reporting", "export", "commands", ""},
}
"""Which rooms the modules of a room may import beside their own. The room of the package itself is ""."""

ONLY_IN: dict[str, set[str]] = {
    "matplotlib": {"reporting"},
    "cv2": {"data", "attacks", "pictures"},
    "PIL": {"data", "commands", "pictures"},
    "scipy": {"reporting.controls"},
    "torch": {"evaluation.torch_peers"},
    "dask": {"runs.executors"},
    "distributed": {"runs.executors"},
    "cleverhans": {"attacks.digital"},
    "tf2onnx": {"export.saved_model"},
    "pooch": {"fetching", "models.zoo"},
    "requests": {"fetching"},
    "urllib3": {"fetching"},
    "tensorflow": {
        "attacks",
        "data",
        "models.classifier",
        "models.classifier_checks",
        "models.inspection",
        "training",
        "evaluation",
        "runs",
        "export",
        "commands",
    },
    "argparse": {"commands", "experiments"},
    "nbclient": {"experiments.notebook"},
    "pickle": set(),
    "experiments": {"experiments"},
}
"""The rooms or modules that may import a library; the others may not."""


READ_VARIABLES = ("experiments.cli", "models.zoo", "reading")
"""The modules that read environment variables when they are called: BLURNET_DATA and _ENGINE, _ZOO, limits."""


def sources() -> dict[str, Path]:
    """Every module by its name inside the package, "defenses.layers"; that of a folder is its own. Programs too."""
    modules = {f"{PROGRAMS}.{path.stem}": path for path in sorted((REPOSITORY / PROGRAMS).glob("*.py"))}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        modules[".".join(part for part in parts if part != "__init__")] = path
    return modules


MODULES = sources()
FOLDERS = {name for name, path in MODULES.items() if path.name == "__init__.py"}


def imported(module: str, tree: ast.Module, folder: bool) -> Iterator[str]:
    """The absolute names of all that a module imports, wherever in the module, relative imports resolved."""
    inside = module if module.startswith(f"{PROGRAMS}.") else f"{PACKAGE}.{module}".rstrip(".")
    full = inside.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = full[: len(full) - node.level + folder] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            if base == [PACKAGE]:
                yield from (f"{PACKAGE}.{alias.name}" for alias in node.names)
            else:
                yield ".".join(base)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
            yield from (argument.value for argument in node.args if isinstance(argument, ast.Constant))


def violations(module: str, source: str, *, folder: bool = False) -> list[str]:
    """What a module's source does against the rules; `folder` for an `__init__.py`."""
    tree = ast.parse(source)
    room = module.split(".")[0]
    found = []
    for name in imported(module, tree, folder):
        library, *rest = name.split(".")
        if library == PACKAGE:
            target = rest[0] if rest else ""
            if target != room and target not in ARROWS[room]:
                found.append(f"imports {name}")
        elif library in ONLY_IN and not {room, module} & ONLY_IN[library]:
            found.append(f"imports {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            found.append("has an assert statement")
        elif (
            isinstance(node, ast.Attribute)
            and node.attr in ("environ", "environb", "getenv", "getenvb")
            and module not in READ_VARIABLES
        ):
            found.append(f"reads {ast.unparse(node)}")
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            found += [f"reads os.{alias.name}" for alias in node.names if "env" in alias.name]
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            found.append(f"has allow_pickle={ast.unparse(node.value)}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_to_the_rules(module: str) -> None:
    assert violations(module, MODULES[module].read_text(encoding="utf-8"), folder=module in FOLDERS) == []


def test_the_modules_are_found_and_each_stands_in_a_known_room() -> None:
    assert {"", "numerics", "signs", "files", "defenses", "defenses.layers", "attacks.digital", "data"} <= set(MODULES)
    assert {module.split(".")[0] for module in MODULES} <= set(ARROWS)


def test_no_two_modules_import_one_another_not_even_through_others() -> None:
    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
        inside = {name.removeprefix(f"{PACKAGE}.") for name in names}
        graph[module] = (inside & set(MODULES)) - {module, ""}
        # What stands in a module of a folder is meant, where that is named, and not the folder.
        graph[module] = {name for name in graph[module] if not any(one.startswith(f"{name}.") for one in graph[module])}
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in graph[module]:
                visit(other, [*path, module])
            done.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith(f"{PROGRAMS}.")])
def test_a_program_is_short(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 80


def test_the_arrows_run_downwards_only() -> None:
    heights = [
        {"checks", "files", "numerics"},
        {"reading", "signs"},
        {"fetching", "pictures"},
        {"defenses", "data"},
        {"attacks", "models"},
        {"training"},
        {"evaluation"},
        {"runs"},
        {"reporting", "export"},
        {""},
        {"commands"},
        {"__main__", "experiments"},
    ]
    height = {room: level for level, rooms in enumerate(heights) for room in rooms}
    for room, targets in ARROWS.items():
        assert all(height[target] < height[room] for target in targets)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_modules_docstrings_are_valid_python(module: str) -> None:
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            for example in doctest.DocTestParser().get_examples(ast.get_docstring(node) or ""):
                ast.parse(example.source)


@pytest.mark.parametrize(
    ("module", "source", "violation"),
    [
        ("attacks.rp2", "from blurnet_tf.defenses import lisa_cnn", "imports blurnet_tf.defenses"),
        ("attacks.rp2", "import blurnet_tf.data.split", "imports blurnet_tf.data.split"),
        ("attacks.rp2", "from blurnet_tf import data", "imports blurnet_tf.data"),
        ("attacks.rp2", "from .. import data", "imports blurnet_tf.data"),
        ("attacks.rp2", "from ..data import split", "imports blurnet_tf.data"),
        ("attacks.rp2", "import blurnet_tf", "imports blurnet_tf"),
        ("defenses.layers", "def f():\n    from blurnet_tf.attacks import rp2", "imports blurnet_tf.attacks"),
        ("defenses.layers", "import importlib\nimportlib.import_module('blurnet_tf.data')", "imports blurnet_tf.data"),
        ("defenses.layers", "import tensorflow as tf", "imports tensorflow"),
        ("numerics", "from tensorflow.math import abs", "imports tensorflow.math"),
        ("numerics", "from blurnet_tf.signs import STOP", "imports blurnet_tf.signs"),
        ("data.registry", "from blurnet_tf.evaluation import records", "imports blurnet_tf.evaluation"),
        ("evaluation.metrics", "from blurnet_tf.reporting import tables", "imports blurnet_tf.reporting"),
        ("evaluation.metrics", "import matplotlib.pyplot as plt", "imports matplotlib.pyplot"),
        ("reporting.tables", "from blurnet_tf.export import save", "imports blurnet_tf.export"),
        ("export", "from experiments import presets", "imports experiments"),
        ("defenses.kernels", "import cv2", "imports cv2"),
        ("attacks.masks", "from PIL import Image", "imports PIL"),
        ("attacks.rp2", "from cleverhans.tf2 import attacks", "imports cleverhans.tf2"),
        ("export.card", "import tf2onnx", "imports tf2onnx"),
        ("reporting.tables", "import argparse", "imports argparse"),
        ("export.card", "from blurnet_tf.commands import main", "imports blurnet_tf.commands"),
        ("commands.info", "import cv2", "imports cv2"),
        ("experiments.train", "import tensorflow as tf", "imports tensorflow"),
        ("experiments.train", "import matplotlib.pyplot", "imports matplotlib.pyplot"),
        ("experiments.train", "from os import getenv", "reads os.getenv"),
        ("runs.store", "from blurnet_tf.reporting import tables", "imports blurnet_tf.reporting"),
        ("training.fit", "from blurnet_tf.evaluation import metrics", "imports blurnet_tf.evaluation"),
        ("models.lisa_cnn", "import tensorflow", "imports tensorflow"),
        ("models.classifier", "from blurnet_tf.attacks import RP2", "imports blurnet_tf.attacks"),
        ("files", "import pickle", "imports pickle"),
        ("files", "def f(x):\n    assert x", "has an assert statement"),
        ("files", "import os\nroot = os.environ['HOME']", "reads os.environ"),
        ("files", "import os\ndef f():\n    return os.getenv('HOME')", "reads os.getenv"),
        ("files", "from os import environ", "reads os.environ"),
        ("files", "x = np.load(path, allow_pickle=True)", "has allow_pickle=True"),
    ],
)
def test_the_checker_catches_a_violation(module: str, source: str, violation: str) -> None:
    assert violations(module, source) == [violation]


@pytest.mark.parametrize(
    ("module", "source", "folder"),
    [
        ("attacks.rp2", "from . import losses\nfrom .losses import mse\nfrom blurnet_tf.attacks import masks", False),
        ("attacks", "from . import rp2\nfrom .rp2 import RP2\nfrom ..numerics import lp_norm", True),
        ("attacks.digital", "import cleverhans, cv2, tensorflow, numpy", False),
        ("evaluation.checks", "from blurnet_tf import attacks, data, numerics", False),
        ("reporting.figures", "import matplotlib\nfrom blurnet_tf.evaluation import records", False),
        ("experiments.train", "import argparse\nfrom experiments import cli\nfrom blurnet_tf.runs import store", False),
        ("commands.attack", "import argparse, PIL\nimport blurnet_tf\nfrom blurnet_tf.reporting import tables", False),
        ("files", "import os\nx = np.load(path, allow_pickle=False)\nos.replace(a, b)", False),
    ],
)
def test_the_checker_allows_what_the_rules_allow(module: str, source: str, folder: bool) -> None:
    assert violations(module, source, folder=folder) == []
