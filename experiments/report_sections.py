"""The sections of the report that need files beside their numbers, or have several parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from blurnet_tf.reporting import captions
from blurnet_tf.reporting.report import more_tables, pictures
from blurnet_tf.reporting.report.blocks import Absent, Picture, Pictures, Text
from blurnet_tf.reporting.report.stored import OwnModel, Rows, WhiteBox
from blurnet_tf.reporting.white_box import row_titles

PAPERS = ("figure1", "figure2", "figure3", "figure4")
OURS = ("filters", "variants")


def figure_blocks(content: Mapping[str, Any] | str, folder: Path, white_box: WhiteBox | None, place: Path) -> list[Any]:
    """Return the figures. Figure 4 is that of the white box, if there is one, whatever the others were drawn beside.

    Args:
        content: What `figures.json` says, or why it is not taken.
        folder: Of the figures.
        white_box: The white-box experiment.
        place: Its folder.
    """
    drawn: dict[str, Picture] = {}
    if not isinstance(content, str):
        for name, figure in content["figures"].items():
            if (folder / f"{name}.png").is_file() and not (name == "figure4" and white_box):
                drawn[name] = _picture(name, folder, figure["caption"], figure["says"])
    if white_box and (place / "figure4.png").is_file():
        says = captions.dissimilarity_sentence(white_box.records, row_titles(white_box.records))
        drawn["figure4"] = _picture("figure4", place, captions.CAPTIONS["figure4"], says)
    blocks: list[Any] = [Absent(sentence=content)] if isinstance(content, str) else []
    if "figure4" not in drawn:
        blocks.append(Absent(sentence="Figure 4 needs white-box attacks: `make whitebox` draws it."))
    groups = (("Of the paper", PAPERS), ("Of our own", OURS))
    for title, names in groups:
        shown = [drawn[name] for name in names if name in drawn]
        if shown:
            blocks.append(Pictures(title=title, pictures=shown))
    if not isinstance(content, str) and content.get("left_out"):
        blocks.append(
            Text(sentences=[f"`make figures` left out: {one}" for one in content["left_out"] if "Figure 4" not in one])
        )
    return blocks


def _picture(name: str, folder: Path, caption: str, says: str) -> Picture:
    number = f"Figure {name.removeprefix('figure')}. " if name in PAPERS else ""
    return Picture(uri=pictures.file_uri(folder / f"{name}.png"), alt=caption, caption=number + caption, says=says)


def ablation_blocks(found: Rows, folder: Path) -> list[Any]:
    """Return the table of the blur after each layer, and its figure if it is there."""
    blocks: list[Any] = [
        Text(
            sentences=[
                "Section 3.1 of the paper says that filtering higher layers costs accuracy. Here a box blur stands "
                "after each of the three layers of the attacked model."
            ]
        ),
        more_tables.ablation(found),
    ]
    figure = folder / "ablation.png"
    if figure.is_file():
        caption = "Accuracy and attack success against the size of the blur. Bars: 95% Wilson intervals."
        drawn = Picture(uri=pictures.file_uri(figure), alt=caption, caption=caption)
        blocks.append(Pictures(title="", pictures=[drawn], wide=True))
    return blocks


def model_blocks(models: Sequence[OwnModel], left_out: Sequence[str]) -> list[Any]:
    """Return the tables of somebody's own models, and what was not taken."""
    tables = [table for model in models for table in more_tables.own_model(model)]
    return [*tables, *(Absent(sentence=sentence) for sentence in left_out)]
