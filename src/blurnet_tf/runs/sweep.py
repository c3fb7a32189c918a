"""A sweep of white-box attacks as cells: one for each variant, lambda and seed, with all targets in one batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from blurnet_tf.attacks import RP2
from blurnet_tf.attacks.inputs import Model
from blurnet_tf.evaluation.attacking import attack_white_box, cover, other_classes
from blurnet_tf.models import Variant, layer_weights, lisa_cnn, weights_sha256
from blurnet_tf.models.classifier import Classifier
from blurnet_tf.runs.setting import Setting
from blurnet_tf.runs.store import Cell, Content, fill

FORMAT = 2
"""Raised when cells of the same inputs get another content, so that older ones are not taken for new ones."""


@dataclass(frozen=True, kw_only=True)
class Attackable:
    """A row of the table.

    Attributes:
        inputs: What decides what it answers, as JSON can write it.
        dtype: What the attack computes in.
        scored: What the success is counted on.
        attacked: Returns what the attack differentiates.
    """

    inputs: Mapping[str, Any]
    dtype: str
    scored: Model
    attacked: Callable[[], Model]


class Sweep:
    """The cells of a sweep, and how each is computed.

    Args:
        setting: What is attacked.
        dtype: The Keras policy that the attack on a variant computes in. All scoring is in float32.
        targets: The classes that the attacks want; by default all that are no label.
    """

    def __init__(self, setting: Setting, dtype: str, *, targets: Sequence[int] | None = None) -> None:
        self.cells: list[Cell] = []
        self._setting, self._dtype = setting, dtype
        self._targets = other_classes(setting.victims) if targets is None else tuple(targets)
        self._models: dict[str, Attackable] = {}
        self._plan: dict[str, tuple[str, RP2 | None]] = {}
        self._attacked: tuple[str, Model] | None = None

    def add_model(self, variant: Variant, model: keras.Model) -> None:
        """Add a trained float32 model; in the records it has the name of its variant."""
        weights = layer_weights(model)
        self._models[variant.name] = Attackable(
            inputs={"variant": variant.settings(), "weights_sha256": weights_sha256(weights)},
            dtype=self._dtype,
            scored=model,
            attacked=lambda: lisa_cnn(variant, weights=weights, dtype=self._dtype),
        )

    def add_classifier(self, classifier: Classifier) -> None:
        """Add a model from a file, as it is; in the records it has the name of its file."""
        self._models[classifier.name] = Attackable(
            inputs={"classifier": classifier.describe()},
            dtype="as saved",
            scored=classifier,
            attacked=lambda: classifier,
        )

    def run(self, root: Path) -> None:
        """Compute the cells that the folder `root` lacks."""
        fill(root, self.cells, self._compute)

    def floor(self, name: str) -> Cell:
        """Add the cell of plain stickers on one variant, and return it."""
        return self._add(Cell(name=f"{name}_floor", inputs=self._inputs(name)), name, None)

    def attack(self, name: str, attack: RP2) -> Cell:
        """Add the cell of an attack on one variant, and return it."""
        inputs = {
            **self._inputs(name),
            "targets": self._targets,
            "attack": dataclasses.asdict(attack),
            "palette": None if attack.nps is None else self._setting.palette_sha256,
            "dtype": self._models[name].dtype,
        }
        title = f"{name}_lambda-{attack.penalty:g}_seed-{attack.seed}"
        return self._add(Cell(name=title, inputs=inputs), name, attack)

    def _compute(self, cell: Cell) -> Content:
        """Compute the content of a cell."""
        name, attack = self._plan[cell.folder]
        model, setting = self._models[name], self._setting
        if attack is None:
            return cover(model.scored, setting.victims, setting.mask, name=name), {}
        if self._attacked is None or self._attacked[0] != name:  # one at a time: its compiled step is kept alive
            self._attacked = (name, model.attacked())
        records, result = attack_white_box(
            attack,
            self._attacked[1],
            setting.victims,
            self._targets,
            setting.mask,
            name=name,
            scored_by=model.scored,
            palette=setting.palette if attack.nps else None,
        )
        return records, {"perturbation": result.perturbation, **result.history}

    def _add(self, cell: Cell, name: str, attack: RP2 | None) -> Cell:
        self.cells.append(cell)
        self._plan[cell.folder] = (name, attack)
        return cell

    def _inputs(self, name: str) -> dict[str, Any]:
        return {
            "format": FORMAT,
            **self._models[name].inputs,
            "victims_sha256": self._setting.victims.sha256(),
            "mask_sha256": self._setting.mask_sha256,
        }
