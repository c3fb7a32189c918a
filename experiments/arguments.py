"""Arguments that several programs have, and what they stand for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blurnet_tf.attacks import NPS, RP2
from blurnet_tf.commands.arguments import natural, number, positive
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.runs import Setting
from blurnet_tf.training.precision import PRECISIONS
from blurnet_tf.training.recipes import PRESETS
from experiments.cli import data_roots


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="auto", help="auto, rp2, lisa, synthetic, or folder:PATH")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of data, after BLURNET_DATA")
    parser.add_argument("--split", choices=("track", "random"), default="track", help="of LISA; random leaks")


def add_training(parser: argparse.ArgumentParser) -> None:
    add_preset(parser)
    parser.add_argument("--train-seed", type=natural, default=0, help="seed of the training")
    parser.add_argument("--init", choices=("random", "rp2_release"), default="random", help="where trainings start")
    add_machine(parser)


def add_preset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=PRESETS, default="quick", help="how much work to do")


def add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="folder of the trained models")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="auto: bfloat16 where it is fast")


def add_attack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mask", type=Path, help="image of the mask (default: that of the data)")
    parser.add_argument("--palette", type=Path, help="printable colours, with --nps (default: that of the data)")
    parser.add_argument("--nps", choices=("original", "corrected"), help="add a non-printability score")
    parser.add_argument("--steps", type=positive, help="steps of the attack (default: the preset's)")
    parser.add_argument("--lambdas", dest="penalties", type=number, nargs="+", help="of Eq. 2 (default: the preset's)")
    parser.add_argument("--seeds", type=natural, nargs="+", default=[0], help="seeds of the attack")


def load_data(choose: Callable[..., Dataset], options: Any) -> Dataset:
    """Return what to train on or to attack, as `choose` knows it by name, and print which data that is, and why."""
    work = PRESETS[options.preset]
    drawn = {"per_class": work.per_class, "test_per_class": work.test_per_class}
    data = choose(options.data, data_roots(options.data_dir), split=options.split, **drawn)
    print(data.reason, flush=True)
    return data


def training(options: Any) -> dict[str, Any]:
    """Return how `train_variant` is to train."""
    same = {name: getattr(options, name) for name in ("preset", "init", "precision")}
    return {"folder": options.checkpoints, "seed": options.train_seed, **same}


def one_attack(options: Any, setting: Setting) -> RP2:
    if len(found := attacks(options, setting)) != 1:
        raise ValueError(f"SEED= and LAMBDA= must be one value each here. Received: {len(found)} attacks")
    return found[0]


def attacks(options: Any, setting: Setting) -> list[RP2]:
    """Return an attack for each seed and lambda of the arguments."""
    work = PRESETS[options.preset]
    penalties = () if options.nps is None else (NPS(setting.palette, mode=options.nps),)
    steps = work.steps if options.steps is None else options.steps
    return [
        RP2(steps=steps, penalty=penalty, penalties=penalties, seed=seed)
        for seed in dict.fromkeys(options.seeds)
        for penalty in dict.fromkeys(options.penalties or work.penalties)
    ]
