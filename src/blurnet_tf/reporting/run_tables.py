"""The table of each kind of run: its rows, counted from the stored records, and what it says."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from blurnet_tf.evaluation.metrics import Spread
from blurnet_tf.reporting import rows as counting
from blurnet_tf.reporting.rows import AblationRow, LambdaRow, SeedShare, StudyRow, TransferRow, WhiteBoxRow
from blurnet_tf.reporting.tables import (
    Cell,
    Column,
    Table,
    columns_table,
    count_cell,
    distance_cell,
    exact_cell,
    listed,
    number_cell,
    share_cell,
)
from blurnet_tf.runs.run import Run, RunRow, StoredRun, nps_mode

Row = TypeVar("Row")

INTERVAL = "Per cent, in brackets the 95% Wilson interval for the number of images."
CHANGED = (
    "Success: attacked signs whose prediction differs from that of the clean sign. An attack is one target with one "
    "lambda; union, or any target: signs that at least one attack changes."
)
SUCCESS_NOTE = (
    f"Per cent; dissimilarity is Eq. 1, the mean of `||x - x_adv||_2 / ||x_adv||_2`. {CHANGED} Target reached: signs "
    "taken for the target, the mean over the attacks and the most. Std: the standard deviation of success over the "
    "attacks. Confidence: the probability of the predicted class, the mean over the clean signs. In brackets the 95% "
    "Wilson interval for the number of signs, since attacks on the same sign are not independent; that of the worst "
    "attack does not allow for its being chosen on these signs. Floor: predictions that plain white or black stickers "
    "change, and random ones, the mean over their draws and the most. Paper: arXiv:1908.02256v1, Table 2; diff.: "
    "measured less the paper's, in points."
)


@dataclass(frozen=True, kw_only=True)
class Counted(Generic[Row]):
    """A stored run, its rows, and the tables that show them. `markdown` is all of it for people.

    Counting raises FileNotFoundError or ValueError if a cell is gone or damaged, or its records are not the run's.
    """

    stored: StoredRun
    rows: Sequence[Row]
    tables: Sequence[Table]
    markdown: str

    @property
    def run(self) -> Run:
        return self.stored.run


def table_1(stored: StoredRun) -> Counted[TransferRow]:
    """Return Table 1: an attack on the undefended model, shown to its filtered versions."""
    rows = counting.transfer_rows(stored.run, stored.records, stored.floor)
    columns: list[Column] = [
        ("", Cell, "title"),
        ("accuracy", share_cell, "accuracy paper_accuracy"), ("paper", number_cell, "paper_accuracy"),
        ("attack success", share_cell, "attack_success paper_attack_success"),
        ("paper", number_cell, "paper_attack_success"), ("confidence", number_cell, "confidence"),
        ("target reached", number_cell, "target_reached"),
        ("dissimilarity", distance_cell, "l2_dissimilarity"), ("n", count_cell, "n"),
        ("white paint", number_cell, "floor_white"),
    ]  # fmt: skip
    notes = {
        INTERVAL: True,
        "Attack success: attacked signs that are not classified as what they are, so that errors on clean signs count "
        "too. The attack saw the baseline alone. White paint: predictions that it changes in the same mask, without "
        "an attack. Confidence: the probability of the predicted class, the mean over the clean signs. Paper: "
        "arXiv:1908.02256v1, Table 1.": True,
        "On rendered signs a filter has little to defend against: the stickers move few of them, and white paint "
        "nearly as many (docs/experiments.md). The paper's effect shows on RP2's photographs: `make data`, then "
        "`make blackbox DATA=rp2`.": not stored.run.data["photographs"],
        "This run is not the paper's, which attacked RP2's released model and photographs with the settings and the "
        "mask of its authors: its figures are here for orientation only.": not stored.run.papers_protocol,
    }
    caption = f"Table 1: {rows[0].n} signs ({stored.run.data['title']}), {attack_words(stored)}"
    return _counted(stored, rows, columns_table(caption, rows, columns, that_hold(notes)))


def table_2(stored: StoredRun) -> Counted[WhiteBoxRow]:
    """Return Table 2: each model attacked with full knowledge, beside the paper and with what there is without attack.

    The tables are those of the Markdown, in parts that are not wide; `white_box_tables` has those of the report page.
    """
    rows = counting.white_box_rows(stored.run, stored.records, stored.floor)
    beside: list[Column] = [
        ("", Cell, "title"), ("alpha", exact_cell, "alpha"),
        *_beside_the_paper("accuracy", "legitimate_accuracy"), *_beside_the_paper("average", "average_success"),
        *_beside_the_paper("worst", "worst_success"),
        *_beside_the_paper("dissimilarity", "l2_dissimilarity", scale=1, digits=3),
    ]  # fmt: skip
    attacks: list[Column] = [
        ("", Cell, "title"), ("average", share_cell, "average_success"), ("std", number_cell, "success_deviation"),
        ("worst", share_cell, "worst_success"), ("worst attack", _worst_attack, "worst_target worst_lambda lambdas"),
        ("union", share_cell, "union_success"),
        ("target reached", number_cell, "target_reached_average"),
        (
            "at most", lambda share, target: Cell(f"{100 * share:.1f} ({target})"),
            "target_reached_worst target_reached_worst_target",
        ),
    ]  # fmt: skip
    without: list[Column] = [
        ("", Cell, "title"), ("test", share_cell, "legitimate_accuracy"), ("n", count_cell, "n_test"),
        ("attacked signs", share_cell, "victim_accuracy"), ("n", count_cell, "n_images"),
        ("confidence", number_cell, "confidence"), ("white paint", share_cell, "floor_white"),
        ("black", share_cell, "floor_black"), ("random", number_cell, "floor_random"),
        ("at most", number_cell, "floor_random_worst"),
    ]  # fmt: skip
    captions = {
        "Beside the paper: accuracy on the test split, average and worst attack success, dissimilarity.": beside,
        "The attacks, with their intervals: average and worst success, all of them together, and the target "
        "reached.": attacks,
        "Without an attack: accuracy on the test split and on the signs that are attacked, and the floor.": without,
    }
    tables = [*(columns_table(caption, rows, columns) for caption, columns in captions.items()), *_seed_tables(rows)]
    notes = " ".join(_notes(stored.run))
    parts = [_table_2_caption(stored, rows), *(table.markdown for table in tables), SUCCESS_NOTE, notes]
    markdown = "\n\n".join(part for part in parts if part) + "\n"
    return Counted(stored=stored, rows=rows, tables=tables, markdown=markdown)


def white_box_tables(white_box: Counted[WhiteBoxRow]) -> list[Table]:
    """Return Table 2 as the report page shows it: wider than in Markdown, with bars."""
    rows, by_lambda = white_box.rows, table_2_by_lambda(white_box.stored)
    beside: list[Column] = [
        ("model", Cell, "title"),
        ("accuracy", share_cell, "legitimate_accuracy paper.legitimate_accuracy"),
        ("paper", number_cell, "paper.legitimate_accuracy"),
        ("average success", share_cell, "average_success paper.average_success"),
        ("paper", number_cell, "paper.average_success"),
        ("worst success", share_cell, "worst_success paper.worst_success"),
        ("paper", number_cell, "paper.worst_success"), ("worst target", Cell, "worst_target"),
        ("any target", share_cell, "union_success"), ("dissimilarity", distance_cell, "l2_dissimilarity"),
        ("paper", distance_cell, "paper.l2_dissimilarity"),
    ]  # fmt: skip
    floor: list[Column] = [
        ("model", Cell, "title"), ("accuracy on the signs", share_cell, "victim_accuracy"),
        ("confidence", number_cell, "confidence"),
        ("white paint", share_cell, "floor_white"), ("black paint", share_cell, "floor_black"),
        ("random", number_cell, "floor_random"), ("at most", number_cell, "floor_random_worst"),
        ("target reached", number_cell, "target_reached_average"), ("at most", number_cell, "target_reached_worst"),
        ("std of success", number_cell, "success_deviation"),
    ]  # fmt: skip
    floor_caption = "Without an attack; what the attacks reach of their targets, and how success varies over them"
    floor_note = "An attack that does no more than plain stickers in its place found nothing in the model."
    return [
        columns_table(_table_2_caption(white_box.stored, rows), rows, beside, [SUCCESS_NOTE]),
        *_seed_tables(rows),
        *(by_lambda.tables if by_lambda.rows else []),
        columns_table(floor_caption, rows, floor, [floor_note]),
    ]


def table_2_by_lambda(stored: StoredRun) -> Counted[LambdaRow]:
    """Return Table 2 for each lambda alone, without rows if there is only one."""
    rows = counting.lambda_rows(stored.run, stored.records, stored.floor)
    columns: list[Column] = [
        ("", Cell, "attacked.title"), ("lambda", exact_cell, "penalty"),
        ("average", share_cell, "attacked.average_success"), ("worst", share_cell, "attacked.worst_success"),
        ("worst attack", Cell, "attacked.worst_target"), ("union", share_cell, "attacked.union_success"),
        ("dissimilarity", distance_cell, "attacked.l2_dissimilarity"),
    ]  # fmt: skip
    caption = f"Each lambda alone. {_table_2_caption(stored, [row.attacked for row in rows])}" if rows else ""
    return _counted(stored, rows, columns_table(caption, rows, columns, [SUCCESS_NOTE]))


def ablation_table(stored: StoredRun) -> Counted[AblationRow]:
    """Return section 3.1, measured: what a box blur costs and gains after each of the three convolutions."""
    rows, data = counting.ablation_rows(stored.run, stored.records), stored.run.training_data
    columns: list[Column] = [
        ("blur", lambda layer, size: Cell(f"{size}x{size} after layer {layer}" if size else "none"), "layer size"),
        ("test split", share_cell, "legitimate_accuracy"), ("n", count_cell, "n_test"),
        ("attacked signs", share_cell, "victim_accuracy"), ("attack success", share_cell, "attack_success"),
        ("n", count_cell, "n"),
    ]  # fmt: skip
    note = (
        "The weights are those of the baseline, nothing is trained for the blur. Attack success: attacked signs that "
        "are not classified as what they are; the attack saw the baseline alone. A model that errs on clean signs "
        "gains nothing from a low figure here. The maps of layer 3 are 2x2, so that any blur there is their sum, at "
        "three scales."
    )
    tested = f", tested on {rows[0].n_test} images ({data['title']})" if data else ""
    caption = f"Blur after each layer{tested}; {rows[0].n} signs attacked on the baseline, {attack_words(stored)}"
    return _counted(stored, rows, columns_table(caption, rows, columns, [INTERVAL, note]))


def study_table(stored: StoredRun) -> Counted[StudyRow]:
    """Return the table of runs that vary one thing each, and below it what became of each model."""
    rows = counting.study_rows(stored.run, stored.records, stored.floor)
    success: list[Column] = [
        ("run", Cell, "run"), ("change", lambda change: Cell(change, left=True), "change"),
        ("accuracy", number_cell, "attacked.legitimate_accuracy"), ("average", share_cell, "attacked.average_success"),
        ("worst", share_cell, "attacked.worst_success"), ("worst target", Cell, "attacked.worst_target"),
        ("union", number_cell, "attacked.union_success"), ("dissimilarity", distance_cell, "attacked.l2_dissimilarity"),
        ("white paint", number_cell, "attacked.floor_white"),
        ("TV", functools.partial(number_cell, scale=1), "total_variation"),
        ("TV/F", distance_cell, "relative_total_variation"),
    ]  # fmt: skip
    model: list[Column] = [
        ("run", Cell, "run"), ("average", number_cell, "attacked.average_success"),
        ("kernel TV/W", distance_cell, "kernel_relative_total_variation"),
        ("high-pass", number_cell, "kernel_high_pass"),
        ("recall", number_cell, "least_recall"), ("classes", count_cell, "classes_predicted"),
        ("as trained", number_cell, "accuracy_as_trained"), ("dissimilarity, stacked", distance_cell, "l2_stacked"),
    ]  # fmt: skip
    note = (
        f"{CHANGED} Each run changes one thing against the first of its variant; average and worst are over the "
        "targets. White paint: predictions that it changes. TV: Eq. 4 on the first layer's maps of the "
        "test images, the mean over images and channels; TV/F: the same divided by the mean sum of |F|, which no "
        "scaling of the maps changes. docs/reproduction.md reads them."
    )
    second = (
        "Kernel TV/W: the total variation of the first layer's weights over the sum of |W|; high-pass: the share of "
        "their energy above a quarter of a cycle a pixel. Recall: of the class that is found worst on the test images; "
        "classes: how many are predicted at all. As trained: the accuracy on images as large as in the training, if "
        "that was another scale. Dissimilarity, stacked: Eq. 1 with one norm over all images."
    )
    first = rows[0].attacked
    caption = f"{len(rows)} runs: {first.n_images} signs ({stored.run.data['title']}), {first.n_targets} targets"
    tables = [
        columns_table(caption, rows, success, [INTERVAL, note]),
        columns_table("What became of the models", rows, model, [second]),
    ]
    return Counted(stored=stored, rows=rows, tables=tables, markdown="\n\n".join(one.markdown for one in tables) + "\n")


def model_table(stored: StoredRun) -> Counted[Any]:
    """Return the table of a user's own model: attacked with full knowledge, or shown to filters before it."""
    return _model_transfer(stored) if stored.run.kind == "model_transfer" else _model_white_box(stored)


def _model_white_box(stored: StoredRun) -> Counted[WhiteBoxRow]:
    rows = counting.white_box_rows(stored.run, stored.records, stored.floor)
    tables = [_model_part(stored, row) for row in rows]
    markdown = "\n".join(f"{table.markdown}\n" for table in tables)
    return Counted(stored=stored, rows=rows, tables=tables, markdown=markdown)


def _model_part(stored: StoredRun, row: WhiteBoxRow) -> Table:
    worst = _worst_attack(row.worst_target, row.worst_lambda, row.lambdas).text
    cells = {
        "accuracy on the images, clean": share_cell(row.victim_accuracy),
        "average attack success": share_cell(row.average_success),
        f"worst attack success: {worst}": share_cell(row.worst_success),
        "union of all attacks": share_cell(row.union_success),
        "target reached, average": number_cell(row.target_reached_average),
        f"target reached, at most: {row.target_reached_worst_target}": number_cell(row.target_reached_worst),
        "dissimilarity (Eq. 1, no per cent)": distance_cell(row.l2_dissimilarity),
        "plain white stickers, no attack": share_cell(row.floor_white),
        "plain black stickers": share_cell(row.floor_black),
        "random stickers, mean": number_cell(row.floor_random),
        "random stickers, at most": number_cell(row.floor_random_worst),
    }
    caption = (
        f"{row.title}, white box: {row.n_images} images ({stored.run.data['title']}), {row.n_targets} targets, "
        f"{attack_words(stored)}"
    )
    note = f"{CHANGED} The worst attack was chosen on these images, for which its interval does not allow."
    return _two_columns(caption, row.title, cells, note)


def _model_transfer(stored: StoredRun) -> Counted[TransferRow]:
    rows = counting.transfer_rows(stored.run, stored.records, stored.floor)
    columns: list[Column] = [
        ("", Cell, "title"), ("accuracy", share_cell, "accuracy"),
        ("attack success", share_cell, "attack_success"), ("prediction changed", share_cell, "prediction_changed"),
        ("target reached", share_cell, "target_reached"), ("dissimilarity", distance_cell, "l2_dissimilarity"),
        ("n", count_cell, "n"), ("white paint", number_cell, "floor_white"),
    ]  # fmt: skip
    note = (
        "Attack success: attacked images that are not classified as what they are. The attack saw the model alone. "
        "White paint: predictions that it changes. The filters stand in front of the model: those of BlurNet, "
        "on feature maps, cannot be put into a model that comes as a file."
    )
    title = stored.run.data["title"]
    caption = f"{rows[0].title}, transfer: {rows[0].n} images ({title}), {attack_words(stored)}"
    return _counted(stored, rows, columns_table(caption, rows, columns, [INTERVAL, note]))


def attack_table(row: TransferRow, target: str, caption: str) -> Table:
    """Return one attack on one model as a table of two columns, for `blurnet attack`."""
    cells = {
        "accuracy on the images, clean": share_cell(row.accuracy),
        "attack success": share_cell(row.attack_success),
        "prediction changed": share_cell(row.prediction_changed),
        f"target reached: {target}": share_cell(row.target_reached),
        "dissimilarity (Eq. 1, no per cent)": distance_cell(row.l2_dissimilarity),
    }
    note = "Attack success: images not classified as what they are; changed: unlike the prediction of the clean image."
    return _two_columns(caption, row.title, cells, note)


def attack_words(stored: StoredRun) -> str:
    """Return the settings of the attacks of a run that a reader looks for first."""
    config, records = stored.run.attack, stored.records
    names, seeds = sorted({record.attack for record in records}), sorted({record.seed for record in records})
    parts = [f"target {config['target_name']}"] if config.get("target_name") else []
    parts += names if names != ["RP2"] else []
    parts += [f"lambda {listed(sorted({record.penalty for record in records}))}"] if "penalty" in config else []
    parts += [f"{config['steps']} steps"] if "steps" in config else []
    return ", ".join([*parts, f"seed{'s' if len(seeds) > 1 else ''} {listed(seeds)}"])


def that_hold(sentences: Mapping[str, Any]) -> list[str]:
    return [sentence for sentence, holds in sentences.items() if holds]


def released_rows(run: Run) -> list[RunRow]:
    """Return the rows whose weights were not trained here but released by RP2's authors."""
    return [row for row in run.rows if "checkpoint" in row.training]


def trained_on_lisa(run: Run) -> bool:
    return run.training_data is not None and run.training_data["name"] == "lisa"


def _counted(stored: StoredRun, rows: Sequence[Row], table: Table) -> Counted[Row]:
    return Counted(stored=stored, rows=rows, tables=[table], markdown=f"{table.markdown}\n")


def _two_columns(caption: str, name: str, cells: Mapping[str, Cell], note: str) -> Table:
    lines = [(Cell(label), cell) for label, cell in cells.items()]
    return Table(caption=caption, header=(name, "measured"), rows=lines, notes=[INTERVAL, note])


def _table_2_caption(stored: StoredRun, rows: Sequence[WhiteBoxRow]) -> str:
    run = stored.run
    trained = f"{run.training_data['title']}; " if run.training_data else ""
    return (
        f"Table 2: {trained}{rows[0].n_images} signs ({run.data['title']}), {rows[0].n_targets} targets, "
        f"{attack_words(stored)}, preset {run.preset}"
    )


def _seed_tables(rows: Sequence[WhiteBoxRow]) -> list[Table]:
    """Return the table of the least and the most over the seeds of the attack, if there are several."""
    columns: list[Column] = [
        ("", Cell, "title"), ("average", _range_cell, "average_success"), ("worst", _range_cell, "worst_success"),
        ("union", _range_cell, "union_success"),
        ("dissimilarity", functools.partial(_range_cell, scale=1, digits=3), "l2_dissimilarity"),
        ("seeds", lambda seeds: count_cell(len(seeds)), "seeds"),
    ]  # fmt: skip
    caption = "Figures above are means over the seeds of the attack. From the least to the most of them:"
    return [columns_table(caption, rows, columns)] if len(rows[0].seeds) > 1 else []


def _beside_the_paper(header: str, field: str, *, scale: float = 100, digits: int = 1) -> list[Column]:
    """Return the columns of a number: measured, the paper's, and the difference."""
    number = functools.partial(number_cell, scale=scale, digits=digits)

    def difference(value: float | None) -> Cell:
        # Zero is added so that a difference of nothing is +0.0, never -0.0.
        text = "" if value is None else f"{round(scale * value, digits) + 0:+.{digits}f}"
        return Cell(text=text, value=value) if text else number_cell(None)

    return [(header, number, field), ("paper", number, f"paper.{field}"), ("diff.", difference, f"difference.{field}")]


def _range_cell(value: SeedShare | Spread, *, scale: float = 100, digits: int = 1) -> Cell:
    return Cell(f"{scale * value.least:.{digits}f} to {scale * value.most:.{digits}f}")


def _worst_attack(target: str, penalty: float, penalties: Sequence[float]) -> Cell:
    return Cell(f"{target}, lambda {penalty:g}" if len(penalties) > 1 else target)


def _notes(run: Run) -> list[str]:
    """Return what a reader must know of this run to compare it."""
    mode = nps_mode(run.attack)
    notes = {
        "The split leaks: near duplicates of the test images are among the training images, so that the legitimate "
        "accuracy is too high.": run.training_data and run.training_data["leaks"],
        f"The trainings started from the weights of {run.init}.": run.init not in ("", "random"),
        "RP2's released weights were trained by their authors, on a part of LISA that is not known: their legitimate "
        "accuracy may count images that they were trained on. The paper has no such row.": released_rows(run),
        f"With the {mode} non-printability score.": mode,
        "The interval of the accuracy counts each test image as independent, which frames of one track are not: it is "
        "too narrow.": trained_on_lisa(run),
        "This run is not the paper's protocol (2000 epochs on LISA, RP2's photographs and mask): the paper's figures "
        "are here for orientation.": not run.papers_protocol,
    }
    return that_hold(notes)
