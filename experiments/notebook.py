"""Run the notebooks of examples/ from top to bottom, and keep what they show."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from blurnet_tf.files import write_text
from experiments import cli

EXAMPLES: Path = cli.ROOT / "examples"
NOTEBOOKS: tuple[Path, ...] = tuple(EXAMPLES / f"{name}.ipynb" for name in ("quickstart", "own_classifier"))


def execute(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Run all cells of a notebook in a new kernel of this Python.

    Args:
        path: The notebook.
        folder: The working directory of the kernel.

    Returns:
        The notebook with its new outputs, as `tidy` leaves them.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised an error; it is named.
        nbclient.exceptions.CellTimeoutError: A cell took more than ten minutes.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", record_timing=False, resources={"metadata": {"path": str(folder)}}
    ).execute()
    return tidy(notebook)


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Take from a notebook, in place, what differs from run to run and from machine to machine; return it.

    That is the log on stderr, the parts in which stdout arrived, the times of the cells, and which Python it was.
    """
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = _joined([one for one in cell.outputs if one.get("name") != "stderr"])
    return notebook


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    joined: list[nbformat.NotebookNode] = []
    for one in outputs:
        if joined and one.output_type == joined[-1].output_type == "stream":
            joined[-1].text += one.text
        else:
            joined.append(one)
    return joined


def main(arguments: list[str] | None) -> None:
    """Run each notebook in a temporary folder, and write it with its outputs."""
    parser = cli.parser(__doc__)
    parser.add_argument("--notebook", type=Path, nargs="+", default=NOTEBOOKS, help="which (default: all)")
    for path in parser.parse_args(arguments).notebook:
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(path, Path(folder))
        write_text(path, nbformat.writes(notebook) + "\n")
        print(f"Written to {path}", flush=True)


if __name__ == "__main__":
    cli.run(main)
