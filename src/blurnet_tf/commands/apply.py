"""Put a saved perturbation onto a large photograph: enlarged bilinearly to the box of the sign, and added.

The colours of the photograph are not re-scaled: what the perturbation does not reach stays as it was. A PNG keeps that
bit for bit; a JPEG compresses it anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from blurnet_tf.attacks.transforms import apply_to_photograph
from blurnet_tf.commands.arguments import add_out_argument, natural, show
from blurnet_tf.commands.files import check_out, load_perturbation, save_image
from blurnet_tf.data.folder import levels, read_image

NAME = "apply"
HELP = "put a saved perturbation onto a photograph"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("photo", type=Path, metavar="PHOTO", help="PNG or JPEG image of any size")
    add("--perturbation", type=Path, required=True, metavar="FILE", help=".npy file, as `blurnet attack` writes it")
    where = "where the sign is, in pixels, right and bottom excluded (default: all of the photograph)"
    add("--box", type=natural, nargs=4, metavar=("L", "T", "R", "B"), help=where)
    add_out_argument(parser, "PNG or JPEG file to write")


def run(options: Any) -> int:
    check_out(options.out, (".png", ".jpg", ".jpeg"), force=options.force)
    perturbation = load_perturbation(options.perturbation)
    photograph = levels(read_image(options.photo))
    height, width = photograph.shape[:2]
    box = tuple(options.box or (0, 0, width, height))
    attacked = apply_to_photograph(photograph, perturbation, box=box)
    save_image(options.out, attacked)
    changed = int((attacked != photograph).any(axis=2).sum())
    result = {"out": str(options.out), "width": width, "height": height, "box": list(box), "changed_pixels": changed}
    show(options, result, f"{changed} of {width * height} pixels changed. Written to {options.out}")
    return 0
