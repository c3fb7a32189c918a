"""Benchmark a model: sticker attacks of every kind, plain paint, and flags that say where the figures are doubtful.

The images are those of a folder, all of one --label or with labels.csv (lines of file,label), or a data set: rp2 in
--data-dir, or synthetic, the rendered signs that come with the package. They must have the size that the model takes.

The folder --results then has the cells, so that a benchmark that was stopped goes on, and benchmark.{md,json}.
docs/flags.md explains the flags.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from blurnet_tf.commands.arguments import add_classifier_arguments, named_model, natural, show
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.registry import choose_victims, load_dataset
from blurnet_tf.evaluation.suites import SUITES
from blurnet_tf.files import write_text
from blurnet_tf.reporting.benchmark import benchmark
from blurnet_tf.runs.benchmarks import AREAS
from blurnet_tf.runs.threat_model import SHARINGS, ThreatModel

NAME = "benchmark"
HELP = "find out whether a model withstands stickers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_classifier_arguments(parser)
    add("--images", type=Path, metavar="DIR", help="folder of PNG or JPEG files (default: those of --data)")
    add("--label", metavar="NAME", help="class of all images (default: labels.csv in their folder)")
    add("--data", default="auto", metavar="NAME", help="rp2, synthetic, or auto: rp2 if it is there (default: auto)")
    add("--data-dir", type=Path, default=Path("data"), metavar="DIR", help="folder that holds rp2/ (default: data)")
    add("--mask", type=Path, metavar="FILE", help="image of the mask (default: that of the data, scaled)")
    add("--suite", choices=tuple(SUITES), default="standard", help="how many attacks (default: standard)")
    add("--curve", action="store_true", help="also what falls to stickers of growing area")
    add("--sharing", choices=SHARINGS, default="both", help="who wears a sticker (default: both kinds)")
    add("--seeds", type=natural, nargs="+", default=[0], metavar="N", help="seeds of the attacks (default: 0)")
    add("--results", type=Path, default=Path("results/benchmark"), metavar="DIR", help="folder to write")


def run(options: Any) -> int:
    classifier, names = named_model(options)
    with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):  # what is computed, cell by cell
        result = benchmark(
            classifier,
            _images(options, names),
            threat_model=ThreatModel(mask=options.mask, sharing=options.sharing),
            areas=AREAS if options.curve else (),
            suite=options.suite,
            seeds=tuple(dict.fromkeys(options.seeds)),
            class_names=names,
            results=options.results / classifier.name,
        )
    folder, markdown, content = result.stored.folder, result.to_markdown(), result.to_json()
    write_text(folder / "benchmark.md", markdown)
    write_text(folder / "benchmark.json", f"{content}\n")
    show(options, json.loads(content), f"\n{markdown}\nWritten to {folder}")
    return 0


def _images(options: Any, names: tuple[str, ...]) -> Dataset:
    if options.images is not None:
        return load_dataset(f"folder:{options.images}", label=options.label, class_names=names)
    if options.label is not None:
        raise ValueError("--label needs a folder of images, --images. Received: --label alone")
    return choose_victims(options.data, [options.data_dir])
