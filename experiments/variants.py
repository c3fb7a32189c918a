"""The models of Table 2: which `--variant` names, and trained where they are not."""

from __future__ import annotations

import argparse
from typing import Any

from blurnet_tf.data import rp2_release
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.models import TRAINED_VARIANTS
from blurnet_tf.runs import Checkpoint, train_variant
from experiments import arguments
from experiments.cli import data_roots


def add_variant(parser: argparse.ArgumentParser) -> None:
    choices = ("all", *TRAINED_VARIANTS, "rp2_release")
    parser.add_argument("--variant", choices=choices, nargs="+", default=["all"], help="which rows")


def trained(options: Any, data: Dataset) -> list[Checkpoint]:
    """Return the models, trained now if they are not; "all" has RP2's released one where photographs are attacked."""
    released = rp2_release.find(data_roots(options.data_dir)) is not None and data.attacked is not None
    names = [*TRAINED_VARIANTS, *["rp2_release"] * released] if "all" in options.variant else options.variant
    return [train_variant(name, data, **arguments.training(options)) for name in dict.fromkeys(names)]
