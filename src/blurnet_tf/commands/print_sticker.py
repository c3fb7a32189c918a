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
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.attacks.masks import load_mask, regions
from blurnet_tf.commands.arguments import add_out_argument, colour, length, show
from blurnet_tf.commands.files import check_out, check_same_size, load_perturbation, save_image
from blurnet_tf.data.folder import levels, read_image
from blurnet_tf.reporting.figures import page_figure
from blurnet_tf.reporting.style import save_figure

NAME = "print"
HELP = "write the sticker alone, at a physical size"

INCH = 25.4  # in millimetres
LEAST_MILLIMETRES, MOST_MILLIMETRES, MOST_PIXELS = 1, 5000, 10000  # of a side: any other page is refused as a slip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--perturbation", type=Path, required=True, metavar="FILE", help=".npy file, as `blurnet attack` writes it")
    add("--mask", type=Path, required=True, metavar="FILE", help="image of the mask of that attack")
    surface = parser.add_mutually_exclusive_group()
    surface.add_argument("--image", type=Path, metavar="FILE", help="what it will cover: one of the images, clean")
    surface.add_argument("--on", type=colour, metavar="RRGGBB", help="or one colour (default: mid-grey)")
    add("--width-mm", type=length, required=True, metavar="MM", help="width of the whole picture in millimetres")
    add("--dpi", type=length, default=150.0, help="pixels to an inch (default: 150)")
    add_out_argument(parser, "PDF or PNG file to write")


def run(options: Any) -> int:
    out: Path = options.out
    check_out(out, (".pdf", ".png"), force=options.force)
    perturbation = load_perturbation(options.perturbation)
    size, pixels = page_size(perturbation.shape, options.width_mm, options.dpi)
    mask = load_mask(options.mask)
    check_same_size(f"Mask {options.mask}", mask, "the perturbation", perturbation)
    surface = np.full(perturbation.shape, 0.5, np.float32)
    if options.image is not None:
        surface = read_image(options.image)
        check_same_size(f"Image {options.image}", surface, "the perturbation", perturbation)
    elif options.on is not None:
        surface = np.broadcast_to(np.array(options.on, np.float32) / 255, perturbation.shape)
    else:
        note = "The colours are those on mid-grey. Give what the sticker will cover with --image or --on."
        warnings.warn(note, stacklevel=2)
    inside = mask > 0
    colours = np.where(inside, levels(surface + mask * perturbation), 255)
    sticker = np.concatenate([colours, np.where(inside, 255, 0)], axis=2).astype(np.uint8)
    # Not enlarged bilinearly: that prints colours that the attack did not choose, and blurs the rim where to cut.
    rows, columns = (np.arange(new) * old // new for new, old in zip(pixels[::-1], mask.shape[:2], strict=True))
    page = sticker[rows][:, columns]
    boxes = regions(mask)
    scale = np.tile(np.divide(pixels, perturbation.shape[1::-1]), 2)
    # The first pixel of the page that shows pixel k of the sticker is the next whole one.
    draw_cut_marks(page, [np.ceil(np.array(box) * scale).astype(int).tolist() for box in boxes], options.dpi)
    if out.suffix.lower() == ".pdf":
        on_white = np.where(page[..., 3:] > 0, page[..., :3], 255).astype(np.uint8)
        save_figure(out, page_figure(on_white, size))
    else:
        save_image(out, page, dpi=(options.dpi, options.dpi))
    millimetres = size[0] / perturbation.shape[1]
    result = {"out": str(out), "width_mm": size[0], "height_mm": size[1], "width_px": pixels[0], "height_px": pixels[1]}
    result |= {"dpi": options.dpi, "parts_mm": [[round(edge * millimetres, 3) for edge in box] for box in boxes]}
    parts = ", ".join(f"{(r - le) * millimetres:.1f} x {(b - t) * millimetres:.1f} mm" for le, t, r, b in boxes)
    words = f"{size[0]:g} x {size[1]:g} mm, {pixels[0]} x {pixels[1]} pixels; the sticker: {parts}. Written to {out}"
    show(options, result, words)
    return 0


def page_size(shape: tuple[int, ...], width: float, dpi: float) -> tuple[tuple[float, float], tuple[int, int]]:
    """Return width and height of the page, in millimetres and in pixels, for a perturbation of (height, width, ...).

    Example:
        >>> page_size((32, 32), 600, 150)
        ((600, 600.0), (3543, 3543))
    """
    height = width * shape[0] / shape[1]
    if not LEAST_MILLIMETRES <= min(width, height) <= max(width, height) <= MOST_MILLIMETRES:
        raise ValueError(
            f"A page must be from {LEAST_MILLIMETRES} to {MOST_MILLIMETRES} mm a side: change --width-mm. "
            f"Received: {width:g} x {height:g} mm (width x height)"
        )
    exact = width / INCH * dpi, height / INCH * dpi
    if max(exact) > MOST_PIXELS + 0.5:  # before it is rounded: it may be infinite
        raise ValueError(
            f"A page must have at most {MOST_PIXELS} pixels a side: lower --dpi. Received: {exact[0]:g} x {exact[1]:g}"
        )
    pixels = round(exact[0]), round(exact[1])
    if pixels[0] < shape[1] or pixels[1] < shape[0]:
        raise ValueError(
            f"A page must have a pixel for each of the perturbation, {shape[1]} x {shape[0]} (width x height). "
            f"Received: {pixels[0]} x {pixels[1]}"
        )
    return (width, height), pixels


def draw_cut_marks(page: NDArray[np.uint8], boxes: Iterable[Sequence[int]], dpi: float) -> None:
    """Draw two black lines outwards from each corner of each box, in place: 5 mm long, 1 mm away from the box.

    `page` is uint8 (H, W, 4), opaque where a sticker is: nothing is drawn there, nor beyond the page. A box is left,
    top, right, bottom in its pixels, right and bottom excluded.
    """
    gap, long, thick = (max(1, round(size / INCH * dpi)) for size in (1, 5, 0.25))
    marks = np.zeros(page.shape[:2], bool)

    def line(x: int, y: int, width: int, height: int) -> None:
        marks[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = True

    for left, top, right, bottom in boxes:
        for y in (top, bottom - thick):
            line(left - gap - long, y, long, thick)
            line(right + gap, y, long, thick)
        for x in (left, right - thick):
            line(x, top - gap - long, thick, long)
            line(x, bottom + gap, thick, long)
    page[marks & (page[..., 3] == 0)] = (0, 0, 0, 255)
