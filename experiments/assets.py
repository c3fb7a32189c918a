"""Make the files of masks/ and docs/ that a program makes: masks, palette, pictures, verdicts, the table of the zoo."""

from __future__ import annotations

from pathlib import Path

from blurnet_tf.attacks.masks import draw_octagon, draw_stickers, process_ink_palette
from blurnet_tf.commands.files import save_image
from blurnet_tf.data import synthetic
from blurnet_tf.files import write_text
from blurnet_tf.models.zoo import PACKAGED, load_model, read_index
from blurnet_tf.reporting import doc_pictures, verdicts
from blurnet_tf.reporting.style import pixels
from blurnet_tf.reporting.zoo_page import with_table
from experiments import cli


def main(arguments: list[str] | None) -> None:
    """Make everything anew."""
    parser = cli.parser(__doc__)
    parser.add_argument("--root", type=Path, default=cli.ROOT, help="folder that holds masks/ and docs/")
    root = parser.parse_args(arguments).root
    save_image(root / "masks" / "sticker.png", draw_stickers(), optimize=True)
    save_image(root / "masks" / "octagon.png", draw_octagon(), optimize=True)
    save_image(root / "src" / "blurnet_tf" / "data" / "stop.png", synthetic.picture(), optimize=True)
    lines = [",".join(f"{value:.5f}" for value in colour) for colour in process_ink_palette()]
    header = "# red,green,blue in [0, 1]: colours of four-colour printing; drawn by `make assets`"
    write_text(root / "masks" / "palette.csv", "\n".join([header, *lines]) + "\n")
    sheet = synthetic.class_sheet(synthetic.test_split(), 10, 2)
    save_image(root / "docs" / "images" / "synthetic.png", sheet, optimize=True)
    models = load_model("baseline"), load_model("vote_cnn+adversarial_stickers")
    first = pixels(doc_pictures.first_page(*models), dpi=doc_pictures.DPI)
    save_image(root / "docs" / "images" / "attack.png", first, colours=192, optimize=True)
    for name, picture in doc_pictures.draw_pictures(models[0]):
        save_image(root / "docs" / "images" / "pages" / f"{name}.png", picture, colours=192, optimize=True)
    write_text(root / "docs" / "verdicts.md", verdicts.page())
    zoo = root / "docs" / "zoo.md"
    write_text(zoo, with_table(zoo.read_text(encoding="utf-8"), read_index(PACKAGED)))


if __name__ == "__main__":
    cli.run(main)
