"""Draw the files of the repository that a program draws: the masks, the palette, and the README's sheet of signs."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.attacks.masks import draw_octagon, draw_stickers, process_ink_palette
from blurnet_tf.data import synthetic
from blurnet_tf.files import atomic_path, write_text
from experiments import cli


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a grey (H, W) or RGB (H, W, 3) image."""
    image = image if image.ndim == 3 else image[..., None]
    with atomic_path(path) as temporary:
        keras.utils.save_img(temporary, image, data_format="channels_last", scale=False, optimize=True)


def main(arguments: list[str] | None) -> None:
    """Draw everything anew."""
    parser = cli.parser(__doc__)
    parser.add_argument("--root", type=Path, default=cli.ROOT, help="folder that holds masks/ and docs/")
    root = parser.parse_args(arguments).root
    write_png(root / "masks" / "sticker.png", draw_stickers())
    write_png(root / "masks" / "octagon.png", draw_octagon())
    lines = [",".join(f"{value:.5f}" for value in colour) for colour in process_ink_palette()]
    header = "# red,green,blue in [0, 1]: colours of four-colour printing; drawn by `make assets`"
    write_text(root / "masks" / "palette.csv", "\n".join([header, *lines]) + "\n")
    write_png(root / "docs" / "images" / "synthetic.png", synthetic.class_sheet(synthetic.test_split(), 10, 2))


if __name__ == "__main__":
    cli.run(main)
