"""Write a sticker at its physical size, as PDF or PNG, with cut marks at the corners of each of its parts.

The page is as large as the whole picture that was attacked: with --width-mm the width of the sign that fills it, the
parts of the sticker lie where they belong. A perturbation is a difference, and a printer prints colours: those of
clip(x + M.d), where x is what the sticker covers. Give it as one of the images before the attack, --image, or as one
colour, --on. Each pixel of the perturbation becomes a rectangle of one colour. Outside the sticker a PDF is white and a
PNG transparent. Print at 100%, not "fitted to the page".
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.attacks.masks import load_mask, regions
from blurnet_tf.commands import sticker
from blurnet_tf.commands.arguments import add_out_argument, colour, length, show
from blurnet_tf.commands.files import check_out, check_same_size, load_perturbation, save_image
from blurnet_tf.data.folder import read_image
from blurnet_tf.reporting.figures import page_figure
from blurnet_tf.reporting.style import save_figure

NAME = "print"
HELP = "write the sticker alone, at a physical size"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `blurnet print`."""
    add = parser.add_argument
    add("--perturbation", type=Path, required=True, metavar="FILE", help=".npy file, as `blurnet attack` writes it")
    add("--mask", type=Path, required=True, metavar="FILE", help="image of the mask of that attack")
    surface = parser.add_mutually_exclusive_group()
    surface.add_argument(
        "--image", type=Path, metavar="FILE", help="what the sticker is put on: one of the images, clean"
    )
    surface.add_argument("--on", type=colour, metavar="RRGGBB", help="or one colour (default: mid-grey)")
    add("--width-mm", type=length, required=True, metavar="MM", help="width of the whole picture in millimetres")
    add("--dpi", type=length, default=150.0, help="pixels to an inch (default: 150)")
    add_out_argument(parser, "PDF or PNG file to write")


def run(options: Any) -> int:
    """Write the page and say how large it is."""
    out: Path = options.out
    check_out(out, (".pdf", ".png"), force=options.force)
    perturbation = load_perturbation(options.perturbation)
    size, pixels = sticker.page_size(perturbation.shape, options.width_mm, options.dpi)
    mask = load_mask(options.mask)
    check_same_size(f"Mask {options.mask}", mask, "the perturbation", perturbation)
    surface = np.full(perturbation.shape, 0.5, np.float32)
    if options.image is not None:
        surface = read_image(options.image)
        check_same_size(f"Image {options.image}", surface, "the perturbation", perturbation)
    elif options.on is not None:
        surface = np.broadcast_to(np.array(options.on, np.float32) / 255, perturbation.shape)
    else:
        warnings.warn(
            "The colours are those on mid-grey. Give what the sticker will cover with --image or --on.", stacklevel=2
        )
    page = sticker.enlarge(sticker.compose(surface, perturbation, mask), pixels)
    boxes = regions(mask)
    scale = np.tile(np.divide(pixels, perturbation.shape[1::-1]), 2)
    # The first pixel of the page that shows pixel k of the sticker is the next whole one.
    on_page = tuple(tuple(int(edge) for edge in np.ceil(np.array(box) * scale)) for box in boxes)
    sticker.draw_cut_marks(page, on_page, options.dpi)  # type: ignore[arg-type]
    if out.suffix.lower() == ".pdf":
        save_figure(out, page_figure(sticker.flatten(page), size))
    else:
        save_image(out, page, dpi=(options.dpi, options.dpi))
    millimetres = size[0] / perturbation.shape[1]
    result = {
        "out": str(out),
        "width_mm": size[0],
        "height_mm": size[1],
        "width_px": pixels[0],
        "height_px": pixels[1],
        "dpi": options.dpi,
        "parts_mm": [[round(edge * millimetres, 3) for edge in box] for box in boxes],
    }
    parts = ", ".join(f"{(r - le) * millimetres:.1f} x {(b - t) * millimetres:.1f} mm" for le, t, r, b in boxes)
    words = f"{size[0]:g} x {size[1]:g} mm, {pixels[0]} x {pixels[1]} pixels; the sticker: {parts}. Written to {out}"
    show(options, result, words)
    return 0
