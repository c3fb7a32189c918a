"""`benchmark()`: everything that is tried on one model, in one call; and the tables of it and of `make check`."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blurnet_tf.attacks import Attack
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.registry import load_dataset
from blurnet_tf.data.split import Split
from blurnet_tf.evaluation.binarization import BinarizationResult
from blurnet_tf.evaluation.flags import Flag
from blurnet_tf.evaluation.suites import Trial
from blurnet_tf.reporting.benchmark_rows import (
    CheckRow,
    CurveRow,
    FloorRow,
    ModelCount,
    TrialRow,
    count_models,
    curve_rows,
)
from blurnet_tf.reporting.rows import Share
from blurnet_tf.reporting.run_tables import Counted
from blurnet_tf.reporting.tables import DASH, Cell, Column, Table, columns_table, count_cell, flat, number_cell
from blurnet_tf.runs.benchmarks import check
from blurnet_tf.runs.run import StoredRun
from blurnet_tf.runs.threat_model import ThreatModel

CHECK_NOTE = (
    "Per cent of the signs whose prediction changes; test: accuracy on the held-out images; signs: on the clean signs. "
    "White paint, any colour: plain paint in the mask, without an attack; any: the worst of white, black and 20 random "
    "colours. Shared: the strongest sticker for all signs; per image: one for each sign; no gradient: the strongest "
    "attack that takes none; transfer: stickers made on the other models; held out: a sticker on signs that the attack "
    "had not seen; whole sign: the octagon painted. Union: signs that anything inside the sticker mask breaks, plain "
    "paint included, with the 95% Wilson interval. docs/flags.md explains the flags."
)
TRIAL_NOTE = (
    "Per cent of the signs whose prediction changes: by the worst target, and by at least one; best: at the best step "
    "of the attack in place of the last."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class BenchmarkResult:
    """What `benchmark` found out about one model. Shares are in [0, 1].

    Attributes:
        name: The model.
        accuracy: Share of the clean images that get their label.
        rows: A row for each trial.
        union: Share of images that anything inside the sticker mask breaks, with any seed, plain paint included; `None`
            if no trial is about the images as the threat model has them.
        floor: What plain stickers break.
        flags: What makes the figures doubtful; each has a name and a sentence, and a section of docs/flags.md.
        curve: Rows by area of the stickers; empty unless `areas` were asked for.
        binarization: The test of the attack itself, of the suite "full".
        summary: The model's row in `make check`.
        stored: The run behind it, with all records.
    """

    name: str
    accuracy: Share
    rows: tuple[TrialRow, ...]
    union: Share | None
    floor: FloorRow
    flags: tuple[Flag, ...]
    curve: tuple[CurveRow, ...]
    binarization: BinarizationResult | None
    summary: CheckRow
    stored: StoredRun

    def to_markdown(self) -> str:
        """Return the tables and the flags for people."""
        return model_markdown(self.stored, _count(self))

    def to_json(self) -> str:
        """Return all figures and what they are of, as one JSON object."""
        run = self.stored.run
        content = {
            "model": self.name,
            "data": run.data["title"],
            "images": self.summary.n,
            "mask_pixels": run.mask["pixels"],
            "suite": run.suite,
            "summary": flat(self.summary),
            "floor": flat(self.floor),
            "rows": [flat(row) for row in self.rows],
            "flags": [dataclasses.asdict(flag) for flag in self.flags],
            "curve": [flat(row) for row in self.curve],
            "binarization": None if self.binarization is None else dataclasses.asdict(self.binarization),
            "environment": run.environment,
        }
        return json.dumps(content, indent=2, allow_nan=False)


def benchmark(
    model: Any,
    dataset: str | Dataset = "rp2",
    *,
    threat_model: ThreatModel | None = None,
    suite: str | Sequence[Attack | Trial] = "standard",
    seeds: Sequence[int] | int = (0,),
    targets: Sequence[int] | int | None = None,
    sources: Sequence[Any] = (),
    areas: Sequence[int] = (),
    class_names: Sequence[str] | None = None,
    name: str | None = None,
    results: str | os.PathLike[str] = "results/benchmark",
    roots: Sequence[str | os.PathLike[str]] = ("data",),
    checkpoints: str | os.PathLike[str] = "checkpoints",
    precision: str = "auto",
) -> BenchmarkResult:
    """Find out whether a model withstands stickers: attacks of every kind, plain paint, and doubts about both.

    Everything that is computed is stored in `results` and not computed again: a call that was killed resumes. A model
    that is in no file is known there by what it answers, on the images and under a few stickers, and a Keras model by
    its weights. TensorFlow computes deterministically from then on, in the whole process.

    Args:
        model: A function from images, float32 (n, H, W, 3) in [0, 1], to logits (n, classes); a Keras model; the path
            of a SavedModel folder or of a `.keras` file; what `load_classifier` or `train_variant` returns; or the name
            of a model in `checkpoints`, such as "lisa/depthwise_5x5", or of one of the zoo, such as "baseline".
        dataset: The name of a data set, or what `load_dataset` returns: whose victims wear the stickers. It is not
            looked for where the threat model has images of its own.
        threat_model: Mask, images, colours and what the attacker knows; see `ThreatModel`.
        suite: "quick" (under 90 seconds for 40 images of 32x32 on two cores), "standard" (under five minutes), "full",
            or a list of attacks.
        seeds: Of the attacks. With several, the figures of trials are means over them; what any of them breaks counts
            for the union.
        targets: The wanted classes of targeted trials; by default all that are no label. Where every class is one,
            these trials are left out.
        sources: Other models, whose stickers are shown to this one.
        areas: Areas in pixels for the curve, such as `blurnet_tf.runs.benchmarks.AREAS`.
        class_names: The classes of the model, in the order of its outputs, if they are not those of the data set.
        name: Of the model in the tables.
        results: Folder to store the cells in.
        roots: Folders of data, as for `load_dataset`.
        checkpoints: Folder in which a name is looked for.
        precision: What a checkpoint is attacked in; see `white_box`. Other models compute as they are.

    Raises:
        FileNotFoundError: The data or the file of the model is not there.
        ValueError: The suite is unknown, the mask has another size, there are no images, or the model cannot be
            attacked: its answers are no table, or not finite.

    Example:
        >>> result = blurnet_tf.benchmark(model, suite="quick")  # doctest: +SKIP
        >>> result.union.value, [flag.name for flag in result.flags]  # doctest: +SKIP
        (0.75, [])
    """
    own = threat_model is not None and isinstance(threat_model.images, Split)
    data = None if own else load_dataset(dataset, roots=roots) if isinstance(dataset, str) else dataset
    stored = check(
        [model],
        data,
        results=Path(results),
        threat_model=threat_model,
        suite=suite,
        seeds=(seeds,) if isinstance(seeds, int) else seeds,
        targets=(targets,) if isinstance(targets, int) else targets,
        name=name,
        sources=sources,
        areas=areas,
        class_names=class_names,
        checkpoints=Path(checkpoints),
        precision=precision,
    )
    (counted,) = count_models(stored)
    stored.save()
    return BenchmarkResult(
        name=counted.summary.name,
        accuracy=counted.summary.accuracy,
        rows=counted.rows,
        union=counted.summary.union,
        floor=counted.floor,
        flags=counted.flags,
        curve=tuple(curve_rows(stored)),
        binarization=counted.binarization,
        summary=counted.summary,
        stored=stored,
    )


def check_table(stored: StoredRun) -> Counted[CheckRow]:
    """Return the table of `make check`, a row for each model, and below it the trials of each."""
    counts = count_models(stored)
    rows = [one.summary for one in counts]
    tables = [_summary(stored, rows), *(_trials(one) for one in counts)]
    parts = [tables[0].markdown, *(_flag_list(one) for one in counts), *(_binarization(one) for one in counts),
             *(table.markdown for table in tables[1:]), TRIAL_NOTE]  # fmt: skip
    return Counted(stored=stored, rows=rows, tables=tables, markdown="\n\n".join(part for part in parts if part) + "\n")


def trial_rows(stored: StoredRun) -> list[TrialRow]:
    """Return the rows of all trials on all models."""
    return [row for one in count_models(stored) for row in one.rows]


def model_markdown(stored: StoredRun, count: ModelCount) -> str:
    """Return all that was found out about one model."""
    parts = [_summary(stored, [count.summary]).markdown, _flag_list(count), _binarization(count)]
    parts += [_trials(count).markdown, TRIAL_NOTE]
    return "\n\n".join(part for part in parts if part) + "\n"


def _binarization(count: ModelCount) -> str:
    if (one := count.binarization) is None:
        return ""
    return (
        f"Binarization test of {one.attack} on {count.summary.title}: it finds an example that exists by construction "
        f"on {one.attack_success:.1%} of {one.n} images, {one.samples} random stickers on {one.random_success:.1%}."
    )


def _count(result: BenchmarkResult) -> ModelCount:
    return ModelCount(
        summary=result.summary,
        rows=result.rows,
        floor=result.floor,
        flags=result.flags,
        binarization=result.binarization,
    )


def _summary(stored: StoredRun, rows: Sequence[CheckRow]) -> Table:
    run = stored.run
    columns: list[Column] = [
        ("", Cell, "title"), ("test", number_cell, "test_accuracy"), ("signs", number_cell, "accuracy"),
        ("white paint", number_cell, "floor_white"), ("any colour", number_cell, "floor_worst"),
        ("shared", number_cell, "shared"), ("per image", number_cell, "per_image"),
        ("no gradient", number_cell, "gradient_free"), ("transfer", number_cell, "transfer"),
        ("held out", number_cell, "held_out"), ("whole sign", number_cell, "large"), ("union", _interval, "union"),
        ("flags", lambda flags: Cell(", ".join(flags) or DASH), "flags"),
    ]  # fmt: skip
    seeds = sorted({one.seed for one in run.trials if one.role == "trial"})
    caption = (
        f"Suite {run.suite}: {rows[0].n} signs ({run.data['title']}), a mask of {run.mask['pixels']} pixels, "
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds)) or 'none'}"
    )
    return columns_table(caption, rows, columns, [CHECK_NOTE])


def _interval(share: Share | None) -> Cell:
    if share is None:
        return Cell(text=DASH)
    text = f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"
    return Cell(text=text, value=share.value)


def _trials(count: ModelCount) -> Table:
    columns: list[Column] = [
        ("trial", Cell, "trial"), ("attack", Cell, "attack"),
        ("steps", functools.partial(number_cell, scale=1, digits=0), "steps"),
        ("sticker", lambda own: Cell("per image" if own else "shared"), "per_image"),
        ("pixels", count_cell, "area"), ("targets", count_cell, "targets"),
        ("worst", number_cell, "worst"), ("union", number_cell, "union"),
        ("best: worst", number_cell, "best_worst"), ("best: union", number_cell, "best_union"),
        ("n", count_cell, "n"),
    ]  # fmt: skip
    return columns_table(count.summary.title, count.rows, columns)


def flag_sentences(count: ModelCount) -> list[str]:
    """Return a sentence for each flag of a model."""
    return [f"{count.summary.title}: {flag.name}. {flag.sentence}" for flag in count.flags]


def _flag_list(count: ModelCount) -> str:
    return "\n".join(f"* {sentence}" for sentence in flag_sentences(count))
