"""The sections of the report that need files beside their numbers: signs, confidences, figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.reporting import captions
from blurnet_tf.reporting.report import pictures
from blurnet_tf.reporting.report.blocks import Absent, Picture, Pictures, Text
from blurnet_tf.reporting.report.stored import Row, WhiteBox
from blurnet_tf.reporting.white_box import row_titles
from experiments.report_inputs import attacked_images, confidences

PAPERS = ("figure1", "figure2", "figure3", "figure4")
OURS = ("filters", "variants")


def sign_blocks(white_box: WhiteBox, clean: Mapping[str, NDArray[np.float32]], checkpoints: Path) -> list[Any]:
    """Return some signs under the worst attack on each row, with what the row sees in them."""
    if not clean:
        return [
            Absent(
                sentence="The signs that Table 2 attacks are not stored here: `make blackbox` on the same data stores "
                "them."
            )
        ]
    names = list(clean)
    kept = pictures.spread(len(names))
    blocks: list[Any] = [
        Text(
            sentences=[
                f"{len(kept)} of the {len(names)} signs, evenly spread over their list, under the attack that changes "
                "most predictions of each model. Below each sign the class that the model sees, and how sure it is of "
                "it; red and bold: changed by the attack."
            ]
        ),
        pictures.clean_signs(np.stack([clean[names[index]] for index in kept]), [names[index] for index in kept]),
    ]
    missing = []
    for row in white_box.rows:
        block, sure = _row(white_box, row, clean, kept, checkpoints)
        blocks.append(block)
        if not sure:
            missing.append(row["title"])
    if missing:
        blocks.append(
            Absent(
                sentence=f"No confidences for {', '.join(missing)}: the checkpoint is not there, or is another one "
                "now. `make whitebox` makes it."
            )
        )
    return blocks


def _row(
    white_box: WhiteBox, row: Row, clean: Mapping[str, NDArray[np.float32]], kept: list[int], checkpoints: Path
) -> tuple[Any, bool]:
    names, run = white_box.run["class_names"], white_box.run
    cell = next(one for one in white_box.cells[row["row"]] if one.penalty == row["worst_lambda"])
    index = list(cell.targets).index(names.index(row["worst_target"]))
    images = attacked_images(cell, index, clean)
    if images is None:
        return Absent(sentence=f"{row['title']}: the stored sticker does not give the signs that were scored."), True
    records = [record for record in cell.records if record.target == cell.targets[index]]
    sure = confidences(run["rows"][row["row"]], checkpoints, images)
    block = pictures.attacked_signs(
        row["title"],
        images[kept],
        cell.perturbation[index],
        [records[one] for one in kept],
        names,
        confidences=None if sure is None else sure[kept],
        note=f"towards {row['worst_target']}, lambda {cell.penalty:g}, seed {cell.seed}",
    )
    return block, sure is not None


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
