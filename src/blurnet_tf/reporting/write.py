"""The files of a run: its table as CSV, JSON and Markdown, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.files import atomic_path
from blurnet_tf.models import KERNEL_VARIANTS
from blurnet_tf.reporting import run_tables
from blurnet_tf.reporting.benchmark import check_table, trial_rows
from blurnet_tf.reporting.controls import control_table
from blurnet_tf.reporting.curve import curve_figure, curve_table
from blurnet_tf.reporting.figures import ablation_figure, adversarial_figure, dissimilarity_figure, perturbation_figure
from blurnet_tf.reporting.kernel_figure import kernel_figure
from blurnet_tf.reporting.style import save_both, save_figure
from blurnet_tf.reporting.tables import write_table
from blurnet_tf.runs.cells import read_weights
from blurnet_tf.runs.locks import locked
from blurnet_tf.runs.run import StoredRun

Counted = run_tables.Counted[Any]
SHOWN = 40  # attacked images that are drawn, at most


def write_tables(stored: StoredRun) -> str:
    """Write a run, its table and its figures into its folder, and return what a program prints of them.

    - transfer: `table1.{csv,json,md}`, adversarial.png, perturbation.png, and `perturbation.npy` for `blurnet apply`;
    - white_box: `table2.{csv,json,md}`, with several lambdas `table2_by_lambda.{csv,json,md}`, `figure4.{png,svg}`;
    - ablation: `ablation.{csv,json,md,png,svg}`; study: `runs.{csv,json,md}`;
    - controls: `table3.{csv,json,md}`, `kernels.{png,svg}`;
    - check: `check.{csv,json,md}` and `trials.{csv,json,md}`; curve: `curve.{csv,json,md,png,svg}`;
    - a model of the user's own: `table.{csv,json,md}` with the pictures of a transfer or of a white box.

    Each file is written whole or not at all. Of two processes the second waits.

    Raises:
        FileNotFoundError, ValueError: A cell is gone or damaged, or its records are not those of the run.
    """
    folder, run = stored.folder, stored.run
    name, count, draw = _KINDS[run.kind]
    with locked(folder / ".lock", waiting=f"{folder}: another process is writing its table; waiting"):
        counted, more = count(stored), {}  # first of all: what cannot be counted leaves an older table whole
        stored.save()
        if run.kind == "white_box":
            more = {"training_data": run.training_data and run.training_data["title"], "preset": run.preset}
            by_lambda = run_tables.table_2_by_lambda(stored)
            if by_lambda.rows:
                write_table(folder, "table2_by_lambda", by_lambda.rows, by_lambda.markdown, more=more)
            for suffix in () if by_lambda.rows else ("csv", "md", "json"):  # none may stay that is of another run
                (folder / f"table2_by_lambda.{suffix}").unlink(missing_ok=True)
        if draw:
            draw(counted)
        markdown = counted.markdown + _mixed(stored.devices)
        write_table(folder, name, counted.rows, markdown, more=more)
    return f"\n{markdown}\nWritten to {folder}/"


def _mixed(devices: Sequence[str]) -> str:
    """Return the note that a table needs whose cells were computed on several kinds of devices."""
    if len(devices) < 2:
        return ""
    return (
        f"\nComputed on {'; '.join(devices)}: sums differ in their last bits, so that a sign may fall on one alone.\n"
    )


def _draw_ablation(counted: Counted) -> None:
    save_both(counted.stored.folder, "ablation", ablation_figure(counted.rows))


def _draw_dissimilarity(counted: Counted) -> None:
    stored = counted.stored
    save_both(stored.folder, "figure4", dissimilarity_figure(stored.records, titles=stored.titles))


def _write_trials(counted: Counted) -> None:
    rows = trial_rows(counted.stored)
    markdown = "\n\n".join(table.markdown for table in counted.tables[1:])
    write_table(counted.stored.folder, "trials", rows, f"{markdown}\n")


def _draw_kernels(counted: Counted) -> None:
    """Draw the kernels of the first seed of the rows whose kernels are penalised, beside the baseline's."""
    for suffix in ("png", "svg"):  # none may stay that is of another run
        (counted.stored.folder / f"kernels.{suffix}").unlink(missing_ok=True)
    kernels: dict[str, Any] = {}
    for row in counted.run.rows:
        name, title = row.extra["row"], row.title.rpartition(", seed ")[0]
        if name in ("baseline", *KERNEL_VARIANTS) and title not in kernels and Path(row.checkpoint).is_file():
            kernels[title] = read_weights(Path(row.checkpoint))[0]["conv1"][0]
    if kernels:
        save_both(counted.stored.folder, "kernels", kernel_figure(kernels))


def _draw_curve(counted: Counted) -> None:
    save_both(counted.stored.folder, "curve", curve_figure(counted.rows))


def _draw_attack(counted: Counted) -> None:
    """Draw the attacked images, if the clean ones are still there, and the perturbation."""
    stored, run, (cell,) = counted.stored, counted.run, counted.stored.cells
    seen = [record for record in cell.records if record.victim == record.source][:SHOWN]
    wanted = run.attack.get("target_name") or "any other class"
    perturbation, adversarial = cell.arrays["perturbation"], cell.arrays["adversarial"]
    for name in ("adversarial.png", "perturbation.png", "perturbation.npy"):  # none may stay that is of another run
        (stored.folder / name).unlink(missing_ok=True)
    if seen and all(record.image in stored.clean for record in seen):
        title = next((row.title for row in run.rows if row.name == seen[0].source), seen[0].source)
        figure = adversarial_figure(
            np.stack([stored.clean[record.image] for record in seen]),
            adversarial.reshape(-1, *adversarial.shape[-3:])[: len(seen)],
            [run.class_names[record.clean_prediction] for record in seen],
            [run.class_names[record.adversarial_prediction] for record in seen],
            title=f"{seen[0].attack} towards {wanted}: what {title} predicts before and after",
        )
        save_figure(stored.folder / "adversarial.png", figure, dpi=110)  # a sheet for the screen
    shared = perturbation.reshape(-1, *perturbation.shape[-3:])
    if len(shared) == 1:  # one for all images
        with atomic_path(stored.folder / "perturbation.npy") as temporary:
            np.save(temporary, shared[0], allow_pickle=False)
        mask = np.any(shared[0] != 0, axis=-1, keepdims=True).astype(np.float32)
        figure = perturbation_figure(shared[0], mask, title=f"One perturbation for all: M.d, {wanted}")
        save_figure(stored.folder / "perturbation.png", figure)


# The name of the table of each kind of run, what counts it, and what draws its figures.
_KINDS: dict[str, tuple[str, Callable[[StoredRun], Counted], Callable[[Counted], None] | None]] = {
    "transfer": ("table1", run_tables.table_1, _draw_attack),
    "white_box": ("table2", run_tables.table_2, _draw_dissimilarity),
    "ablation": ("ablation", run_tables.ablation_table, _draw_ablation),
    "study": ("runs", run_tables.study_table, None),
    "model_transfer": ("table", run_tables.model_table, _draw_attack),
    "model_white_box": ("table", run_tables.model_table, _draw_dissimilarity),
    "check": ("check", check_table, _write_trials),
    "curve": ("curve", curve_table, _draw_curve),
    "controls": ("table3", control_table, _draw_kernels),
}
