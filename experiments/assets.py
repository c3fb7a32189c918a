"""Make the files of the repository that a program makes: masks, palette, the README's signs, docs/verdicts.md."""

from __future__ import annotations

from pathlib import Path

from blurnet_tf.attacks.masks import draw_octagon, draw_stickers, process_ink_palette
from blurnet_tf.commands.files import save_image
from blurnet_tf.data import synthetic
from blurnet_tf.files import write_text
from blurnet_tf.reporting import verdicts
from experiments import cli


def main(arguments: list[str] | None) -> None:
    """Make everything anew."""
    parser = cli.parser(__doc__)
    parser.add_argument("--root", type=Path, default=cli.ROOT, help="folder that holds masks/ and docs/")
    root = parser.parse_args(arguments).root
    save_image(root / "masks" / "sticker.png", draw_stickers(), optimize=True)
    save_image(root / "masks" / "octagon.png", draw_octagon(), optimize=True)
    lines = [",".join(f"{value:.5f}" for value in colour) for colour in process_ink_palette()]
    header = "# red,green,blue in [0, 1]: colours of four-colour printing; drawn by `make assets`"
    write_text(root / "masks" / "palette.csv", "\n".join([header, *lines]) + "\n")
    sheet = synthetic.class_sheet(synthetic.test_split(), 10, 2)
    save_image(root / "docs" / "images" / "synthetic.png", sheet, optimize=True)
    write_text(root / "docs" / "verdicts.md", verdicts.page())


if __name__ == "__main__":
    cli.run(main)
