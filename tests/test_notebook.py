"""The notebooks of `examples/`: what is committed of them, and what they do when they are run from top to bottom."""

from __future__ import annotations

import ast
import base64
import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import nbformat
import numpy as np
import pytest
import tensorflow as tf
from nbclient.exceptions import CellExecutionError

from blurnet_tf import CLASS_NAMES, bundled, load_mask
from blurnet_tf.data import synthetic
from experiments import notebook
from experiments.notebook import EXAMPLES, NOTEBOOKS, execute, tidy

VARIANTS = ("baseline", "depthwise_5x5")
QUICKSTART, OWN = NOTEBOOKS
# Added to a copy of the notebook as its last cell: the perturbations that it found.
PROBE = 'np.savez(FOLDER / "probe.npz", **{name: result.perturbation for name, result in results.items()})'

# Made smaller in that copy.
LESS = {"train": {"per_class=150": "per_class=100", "epochs=5": "epochs=4"}, "attack": {"steps=100": "steps=20"}}

WARNINGS = ",".join(
    (
        "error",
        # As in pyproject.toml: Keras, when it saves the weights of a model under NumPy 2.
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
        # ipykernel 7, about a method of its own, when a kernel is shut down.
        "ignore:For consistency across implementations:PendingDeprecationWarning",
    )
)
"""For the kernel of the notebook and for the program that it starts: their warnings are errors too."""


def code_cells(one: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in one.cells if cell.cell_type == "code"]


def kinds(cell: nbformat.NotebookNode) -> list[tuple[str, ...]]:
    """What a cell shows: a stream by its name, a result by its formats."""
    return [(one["name"],) if one.output_type == "stream" else tuple(sorted(one.data)) for one in cell.outputs]


def text(one: nbformat.NotebookNode, cell: str) -> str:
    (found,) = [each for each in one.cells if each.id == cell]
    return "".join(output.text for output in found.outputs if output.output_type == "stream")


@pytest.fixture(scope="module")
def committed() -> nbformat.NotebookNode:
    return nbformat.read(QUICKSTART, as_version=4)


def test_all_notebooks_are_run() -> None:
    assert set(EXAMPLES.glob("*.ipynb")) == set(NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_is_valid_and_holds_nothing_of_the_machine(path: Path) -> None:
    committed = nbformat.read(path, as_version=4)
    nbformat.validate(committed)
    assert committed == tidy(copy.deepcopy(committed))
    content = path.read_text(encoding="utf-8")
    assert content == nbformat.writes(committed) + "\n"
    assert len(content) < 300_000
    shown = re.sub(r'"image/png": "[^"]*"', "", content)
    assert not re.search(r"/(tmp|home|root|Users|work)/|[A-Z]:\\|site-packages", shown)
    cells = code_cells(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_the_committed_quickstart_shows_pictures_and_numbers(committed: nbformat.NotebookNode) -> None:
    shows = {cell.id: kinds(cell) for cell in code_cells(committed)}
    assert shows["signs"] == shows["spectra"] == [("image/png", "text/plain")]
    assert shows["load"] == shows["attack"] == shows["elsewhere"] == [("stdout",)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_needs_the_library_and_what_comes_with_it(path: Path) -> None:
    tree = ast.parse("\n".join(cell.source for cell in code_cells(nbformat.read(path, as_version=4))))
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = {
        name
        for node in imports
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    others = {name for name in modules if not name.startswith("blurnet_tf")}
    assert others <= {"keras", "numpy", "tensorflow", "IPython.display", "pathlib", "subprocess", "sys"}
    assert all(name.count(".") <= 1 for name in modules - others)  # no deeper than a room


@dataclass(frozen=True)
class Run:
    """The notebook as it was run, and the folder that it wrote."""

    notebook: nbformat.NotebookNode
    folder: Path

    def model(self, name: str) -> Any:
        return keras.saving.load_model(self.folder / f"{name}.keras")


@pytest.fixture(scope="module")
def run(committed: nbformat.NotebookNode, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("notebook")
    probed = copy.deepcopy(committed)
    for cell in code_cells(probed):
        cell.outputs, cell.execution_count = [], None
        for much, little in LESS.get(cell.id, {}).items():
            assert cell.source.count(much) == 1
            cell.source = cell.source.replace(much, little)
    probed.cells.append(nbformat.v4.new_code_cell(PROBE, id="probe"))
    path = folder / "probed.ipynb"
    nbformat.write(probed, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONWARNINGS", WARNINGS)
        executed = execute(path, folder)
    assert {one.name for one in folder.iterdir()} == {"probed.ipynb", "quickstart"}
    return Run(notebook=executed, folder=folder / "quickstart")


@pytest.mark.slow
def test_a_run_shows_things_of_the_kinds_that_are_committed(run: Run, committed: nbformat.NotebookNode) -> None:
    *cells, _ = code_cells(run.notebook)
    assert {cell.id: kinds(cell) for cell in cells} == {cell.id: kinds(cell) for cell in code_cells(committed)}


@pytest.mark.slow
def test_the_models_that_it_trains_know_the_signs(run: Run) -> None:
    signs = synthetic.test_split(per_class=20)
    printed = re.findall(r"right on ([\d.]+)% of 340 held-out signs", text(run.notebook, "load"))
    for name, said in zip(VARIANTS, printed, strict=True):
        accuracy = (run.model(name).predict(signs.images, verbose=0).argmax(axis=1) == signs.labels).mean()
        assert accuracy > 0.6  # by chance one in 17 would be right
        assert float(said) == pytest.approx(100 * accuracy, abs=0.5)


@pytest.mark.slow
def test_the_rates_that_it_prints_are_those_of_its_perturbations(run: Run) -> None:
    images, outside = synthetic.victim_split().images, load_mask(bundled("sticker.png")) == 0
    lines = re.findall(
        r"([\d.]+)% of 40 predictions changed, ([\d.]+)% to speedLimit45\n", text(run.notebook, "attack")
    )
    with np.load(run.folder / "probe.npz") as probe:
        perturbations = {name: probe[name] for name in VARIANTS}
    changed = {}
    for (name, perturbation), line in zip(perturbations.items(), lines, strict=True):
        assert not perturbation[0][outside[..., 0]].any()
        model = run.model(name)
        clean, attacked = (
            model.predict(x, verbose=0).argmax(axis=1) for x in (images, np.clip(images + perturbation, 0, 1))
        )
        changed[name] = (attacked != clean).mean()
        rates = changed[name], (attacked == CLASS_NAMES.index("speedLimit45")).mean()
        # One sign of 40 may be on the edge between two classes.
        assert [float(rate) for rate in line] == pytest.approx([100 * rate for rate in rates], abs=2.6)
    assert changed["baseline"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "wide"), [("signs", True), ("spectra", False)])
def test_it_shows_the_pictures_that_it_saves(run: Run, name: str, wide: bool) -> None:
    (cell,) = [cell for cell in run.notebook.cells if cell.id == name]
    saved = (run.folder / f"{name}.png").read_bytes()
    assert base64.b64decode(cell.outputs[0].data["image/png"]) == saved
    picture = cv2.imdecode(np.frombuffer(saved, np.uint8), cv2.IMREAD_COLOR)
    height, width = picture.shape[:2]
    assert (width > height) == wide
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100


@pytest.mark.slow
def test_the_export_gives_the_logits_of_the_model(run: Run) -> None:
    images = synthetic.victim_split().images
    loaded = tf.saved_model.load(run.folder / "export")
    expected = run.model("depthwise_5x5")(images)
    np.testing.assert_allclose(loaded.serving_default(images)["logits"], expected, rtol=1e-5, atol=1e-4)
    assert json.loads((run.folder / "export" / "assets" / "provenance.json").read_text())["data"] == "rendered signs"


@pytest.mark.slow
def test_the_program_without_the_package_reads_the_two_signs(run: Run) -> None:
    model = run.model("depthwise_5x5")
    expected = []
    for name in ("clean.png", "attacked.png"):
        levels = cv2.cvtColor(cv2.imread(str(run.folder / name)), cv2.COLOR_BGR2RGB)
        expected.append((name, CLASS_NAMES[int(np.argmax(model(levels[None].astype(np.float32) / 255)))]))
    assert re.findall(r"(\w+\.png): (\w+), [\d.]+%\n", text(run.notebook, "elsewhere")) == expected
    assert expected[0] == ("clean.png", "stop")


@pytest.mark.slow
def test_the_notebook_about_ones_own_classifier_runs(tmp_path: Path) -> None:
    shortened = nbformat.read(OWN, as_version=4)
    less = {"per_class=120, test_per_class=40": "per_class=24, test_per_class=3", "epochs=15": "epochs=2"}
    less |= {
        "epochs=10": "epochs=1",
        'suite="quick"': "suite=[blurnet_tf.RP2(steps=2), blurnet_tf.RP2(steps=2, sharing='per_image')]",
        "steps=200": "steps=2",
    }
    for cell in code_cells(shortened):
        cell.outputs, cell.execution_count = [], None
        for much, little in less.items():
            cell.source = cell.source.replace(much, little)
    path = tmp_path / "shortened.ipynb"
    nbformat.write(shortened, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONWARNINGS", WARNINGS)
        executed = execute(path, tmp_path)
    committed = {cell.id: kinds(cell) for cell in code_cells(nbformat.read(OWN, as_version=4))}
    assert {cell.id: kinds(cell) for cell in code_cells(executed)} == committed
    (table,) = [cell for cell in executed.cells if cell.id == "table"]
    lines = table.outputs[0].data["text/markdown"].splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| plain", "| blurred", "| stickers"]
    assert {one.name for one in tmp_path.iterdir()} == {"shortened.ipynb", "own_classifier"}


def write(path: Path, *sources: str) -> None:
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{index}") for index, source in enumerate(sources)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.mark.slow
def test_a_notebook_is_written_with_what_it_shows_and_without_what_is_of_the_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.ipynb"
    write(
        path,
        "import sys",
        "print('seen', flush=True)\nprint('noise', file=sys.stderr, flush=True)\nprint('twice')\n6 * 7",
    )
    notebook.main(["--notebook", str(path)])
    assert capsys.readouterr().out == f"Written to {path}\n"
    written = nbformat.read(path, as_version=4)
    assert [kinds(cell) for cell in written.cells] == [[], [("stdout",), ("text/plain",)]]
    stream, result = written.cells[1].outputs
    assert (stream.text, result.data["text/plain"]) == ("seen\ntwice\n", "42")
    assert set(written.metadata) == {"kernelspec", "language_info"}
    assert [cell.metadata for cell in written.cells] == [{}, {}]


def test_an_error_in_a_cell_is_raised_and_leaves_the_notebook_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "broken.ipynb"
    write(path, "print('seen')", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebook.main(["--notebook", str(path)])
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["broken.ipynb"]
