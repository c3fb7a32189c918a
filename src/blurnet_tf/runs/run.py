"""A run: which models were scored, under which cells, and everything else that its table and the report must know."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blurnet_tf.checks import shown
from blurnet_tf.evaluation.records import Record
from blurnet_tf.files import read_json, write_json
from blurnet_tf.runs.cells import ImagesSpec
from blurnet_tf.runs.store import StoredCell, read_cell

FILE = "run.json"
CELLS = "cells"


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A model that was scored: a row of the table."""

    name: str  # in the records
    title: str  # in the table
    alpha: float | None = None  # of Eq. 3 or 5; 0 without a penalty, `None` for a model of the user's own
    checkpoint: str = ""  # where the model was
    weights_sha256: str = ""
    test_correct: int | None = None  # right answers on the held-out images; `None` if not known
    test_images: int | None = None
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # its provenance, if it was trained here
    change: str = ""  # of a study: what differs from the first run of its variant
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # such as `layer` and `size` of an ablation


@dataclass(frozen=True, kw_only=True)
class TrialCell:
    """A cell of a benchmark: what was tried on which model.

    Attributes:
        cell: Its folder.
        model: The row that is scored.
        role: "trial"; "transfer", stickers made on the model `source`; "floor", plain stickers; "probe", clean images;
            "test", clean held-out images; "binarization".
        trial: Name of the `Trial`.
        family, area: Of the mask: "sticker"; "large", all of the octagon; "searched", stickers on it where the attack
            put them; or a family of the curve; and its pixels.
        per_image: Whether each image has a sticker of its own.
        gradient_free: Whether the attack takes no gradients.
        held_out: Whether images are scored that the attack has not seen.
        viewed: Whether they are scored under draws of an expectation, `VIEWS` records for each.
        inside: Whether it counts for the union: stickers in the mask of the threat model, on all its images as it sees
            them.
        longer_than: The trial that this is with three times the steps.
    """

    cell: str
    model: str
    role: str = "trial"
    trial: str = ""
    source: str = ""
    family: str = "sticker"
    area: int = 0
    seed: int = 0
    per_image: bool = False
    gradient_free: bool = False
    held_out: bool = False
    viewed: bool = False
    inside: bool = False
    longer_than: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One experiment."""

    kind: str  # "transfer", "white_box", "ablation", "study", "model_transfer", "model_white_box",
    # "check", "curve" or "controls"
    rows: tuple[RunRow, ...]
    cells: tuple[str, ...]  # folders of the cells with attacks
    floors: tuple[str, ...] = ()  # folders of the cells with plain stickers
    data: Mapping[str, Any]  # `Dataset.facts` of the attacked images, with `source`, `n` and `sha256`
    class_names: tuple[str, ...]
    training_data: Mapping[str, Any] | None = None  # `Dataset.facts` of what the models were trained and tested on
    mask: Mapping[str, Any]  # `path`, `sha256` and `pixels`
    palette: Mapping[str, Any] | None = None  # `path` and `sha256`, if an attack uses one
    attack: Mapping[str, Any]  # configuration of the first attack; of transfer with `target` and `target_name`
    preset: str = ""
    init: str = ""
    precision: str = ""
    papers_protocol: bool = False  # whether data, models and settings are those of the paper
    environment: Mapping[str, Any]
    suite: str = ""  # of a benchmark
    trials: tuple[TrialCell, ...] = ()  # of a benchmark: what its cells are


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredRun:
    """A run with the folder that holds its cells. Each part is read when it is first asked for."""

    folder: Path
    run: Run

    @functools.cached_property
    def cells(self) -> list[StoredCell]:
        """The cells with attacks, in order."""
        return [self.cell(name) for name in self.run.cells]

    def cell(self, name: str) -> StoredCell:
        """Return one cell by the name of its folder. It is read once."""
        if name not in self._known:
            self._known[name] = read_cell(self.folder / CELLS / name)
        return self._known[name]

    @functools.cached_property
    def _known(self) -> dict[str, StoredCell]:
        return {}

    @functools.cached_property
    def records(self) -> list[Record]:
        """The records of all attacks."""
        return [record for cell in self.cells for record in cell.records]

    @functools.cached_property
    def floor(self) -> list[Record]:
        """The records of all plain stickers."""
        return [record for name in self.run.floors for record in self.cell(name).records]

    @functools.cached_property
    def clean(self) -> dict[str, NDArray[np.float32]]:
        """The clean images by their names; empty if their source is not there any more or has others now."""
        data = self.run.data
        try:
            chosen = {name: data[name] for name in ("part", "label") if name in data}
            spec = ImagesSpec(source=data["source"], class_names=self.run.class_names, sha256=data["sha256"], **chosen)
            images = spec.load()
        except (OSError, TypeError, ValueError):
            return {}
        return dict(zip(images.ids, images.images, strict=True))

    @functools.cached_property
    def devices(self) -> list[str]:
        """What its cells were computed on, each with how many threads; those of older versions do not say it."""
        found = [self.cell(name).environment for name in (*self.run.cells, *self.run.floors)]
        return sorted({f"{one['device']} ({one['threads']} threads)" for one in found if "device" in one})

    @property
    def titles(self) -> dict[str, str]:
        """The titles of the rows by their names."""
        return {row.name: row.title for row in self.run.rows}

    def save(self) -> None:
        """Write what the run is into its folder."""
        write_json(self.folder / FILE, dataclasses.asdict(self.run))


def nps_mode(attack: Mapping[str, Any]) -> str | None:
    """Return the mode of the non-printability score in the configuration of an attack, or `None`."""
    return next((one["mode"] for one in attack.get("penalties", ()) if one.get("kind") == "NPS"), None)


def find_run(folder: Path) -> StoredRun | None:
    """Return the run that a folder holds, or None; ValueError if its file is damaged."""
    return read_run(folder) if (Path(folder) / FILE).is_file() else None


def read_run(folder: Path) -> StoredRun:
    """Return the run that a folder holds; FileNotFoundError if there is none, ValueError if its file is damaged."""
    path = Path(folder) / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Run the experiment that writes it.")
    content = read_json(path)
    try:
        content |= {key: tuple(content[key]) for key in ("cells", "floors", "class_names")}
        parts = {"rows": RunRow, "trials": TrialCell}
        cells = [*content["cells"], *content["floors"], *(one["cell"] for one in content["trials"])]
        if outside := [cell for cell in cells if Path(cell).name != cell or cell in ("", "..")]:
            raise TypeError(f"the cell {shown(outside[0])}, which is no folder in {CELLS}")
        run = Run(**content | {name: tuple(part(**one) for one in content[name]) for name, part in parts.items()})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} must describe a run. Received: {error}. Run the experiment again.") from error
    return StoredRun(folder=Path(folder), run=run)
