"""The rows of the tables: which `--variant` names, and trained where they are not."""

from __future__ import annotations

import argparse
from typing import Any

from blurnet_tf.data import rp2_release
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.models import TRAINED_VARIANTS
from blurnet_tf.runs import Checkpoint, train_variant
from blurnet_tf.runs.executors import each
from blurnet_tf.training.recipes import find_row
from experiments import arguments
from experiments.cli import data_roots


def add_variant(parser: argparse.ArgumentParser, all_of: str = "all of Table 2") -> None:
    parser.add_argument(
        "--variant",
        type=_row,
        nargs="+",
        default=["all"],
        metavar="ROW",
        help=f"variants, each alone or as variant+procedure, such as baseline+stickers (default: {all_of})",
    )


def named(options: Any, everything: tuple[str, ...]) -> list[str]:
    """Return the rows that were named, each once; all of `everything` for "all"."""
    return list(dict.fromkeys(everything if "all" in options.variant else options.variant))


def trained(options: Any, data: Dataset) -> list[Checkpoint]:
    """Return the models, trained now if they are not; "all" has RP2's released one where photographs are attacked."""
    released = rp2_release.find(data_roots(options.data_dir)) is not None and data.attacked is not None
    names = named(options, (*TRAINED_VARIANTS, *["rp2_release"] * released))
    return each(lambda name: train_variant(name, data, **arguments.training(options)), names)


def _row(text: str) -> str:
    if text != "all":
        try:
            find_row(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return text
