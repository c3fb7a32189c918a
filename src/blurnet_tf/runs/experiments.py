"""The experiments: source, victims, attack and mask become cells, and the cells a run whose table can be counted.

Transfer, white box, ablation, studies and models of the user's own are all made of these two functions.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.attacks import RP2
from blurnet_tf.attacks.contract import Attack
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.split import Split
from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.attacking import other_classes
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.scoring import confidence
from blurnet_tf.models import Variant
from blurnet_tf.models.classifier import Classifier
from blurnet_tf.models.zoo import ZooEntry
from blurnet_tf.runs.cells import CellSpec, ModelSpec
from blurnet_tf.runs.checkpoints import Checkpoint, zoo_checkpoint
from blurnet_tf.runs.run import CELLS, Run, RunRow, StoredRun, nps_mode
from blurnet_tf.runs.setting import Setting, load_setting
from blurnet_tf.runs.store import fill, read_cell
from blurnet_tf.signs import class_index
from blurnet_tf.training.precision import resolve

AS_SAVED = "as saved"
"""Instead of a dtype policy: a model that comes as a file computes as it was saved."""

MOST_TARGETS = 100
"""More classes than this are not all attacked unless they are named."""

USUAL_TARGET = "speedLimit45"
"""The class that RP2's published attack wants."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model of an experiment: as plain data for the cells, and its row in the table."""

    spec: ModelSpec
    row: RunRow


def subject(
    model: Checkpoint | Classifier | Subject,
    *,
    variant: Variant | None = None,
    images: Split | None = None,
    input_blur: int = 0,
) -> Subject:
    """Return a model as an experiment takes it.

    Args:
        model: A checkpoint, or a model from a file or of the zoo.
        variant: Another network for the weights of the checkpoint.
        images: Clean images: the row then says how sure the checkpoint is of them, on average.
        input_blur: Side of a box blur in front of a model that is no checkpoint; 0: none.
    """
    if isinstance(model, Subject):
        return model
    behind = f"_input_{input_blur}x{input_blur}" if input_blur else ""
    title = f"Input filter {input_blur}x{input_blur}" if input_blur else model.name
    if isinstance(model, Classifier) and model.entry is not None:
        one = subject(zoo_checkpoint(model.entry, model.model), images=images)
        spec = dataclasses.replace(one.spec, name=model.name + behind, input_blur=input_blur)
        fields: dict[str, Any] = {"name": spec.name, "title": title if behind else _zoo_title(model.entry)}
        if behind:  # another network: how right it is on held-out images is not known
            fields |= {"test_correct": None, "test_images": None}
        return Subject(spec=spec, row=dataclasses.replace(one.row, **fields))
    if isinstance(model, Checkpoint):
        facts: dict[str, Any] = {}
        if images is not None:  # else no network is built
            network = model.model if variant is None else model.with_variant(variant)
            facts["confidence"] = confidence(network, images.images)
        return Subject(spec=model.spec(variant), row=model.row(variant, extra=facts))
    spec = ModelSpec(
        name=model.name + behind,
        path=str(model.path),
        sha256=model.sha256,
        input_blur=input_blur,
        signature=model.signature,
        output=model.output,
        output_name=model.output_name,
        trust=model.trusted,
    )
    row = RunRow(
        name=spec.name, title=title, checkpoint=spec.path, weights_sha256=spec.sha256, extra={"model": model.describe()}
    )
    return Subject(spec=spec, row=row)


def _zoo_title(entry: ZooEntry) -> str:
    """Return what a model of the zoo is called in a table, where others of its row may stand beside it."""
    more = [entry.dataset] * (entry.dataset != "lisa") + [f"seed {entry.seed}"] * bool(entry.seed)
    return f"{entry.title} ({', '.join(more)})" if more else entry.title


def white_box(
    models: Sequence[Checkpoint | Classifier | Subject],
    images: Dataset | Setting,
    *,
    attacks: Sequence[Attack] = (RP2(),),
    results: Path | str,
    targets: Sequence[int] | None = None,
    source: Checkpoint | Classifier | Subject | None = None,
    training_data: Dataset | None = None,
    precision: str = "auto",
    kind: str | None = None,
    **facts: Any,
) -> StoredRun:
    """Attack each model with full knowledge, its defence included, and with plain stickers: Table 2.

    Cells that are in `results` already are not computed again, so a run that was killed resumes.

    Args:
        models: Checkpoints, or models from files.
        images: A data set with victims, or what `load_setting` returns.
        attacks: Each is made on each model, with all targets. They differ in lambda and seed alone.
        results: Folder for the cells.
        targets: The wanted classes; by default all that are no label.
        source: The model that the attacks see; by default each model itself.
        training_data: What the models were trained and tested on, for the table.
        precision: What the attacks compute in: "auto", "float32" or "mixed_bfloat16". Scoring is in float32.
        kind: Of the run; by default "white_box", or "model_white_box" if a model comes from a file that does not say
            which network it is.
        **facts: Further fields of `Run`, such as `preset`.

    Raises:
        ValueError: The runs could not stand in one table: two models of one name, attacks that differ in more than
            lambda and seed, or no target.

    Example:
        >>> stored = white_box([checkpoint], dataset, attacks=[RP2()], results="results/whitebox")  # doctest: +SKIP
    """
    setting = images if isinstance(images, Setting) else load_setting(images)
    subjects = [subject(model, images=setting.images) for model in models]
    wanted = other_classes(setting.images) if targets is None else tuple(targets)
    specs = [one.spec for one in subjects]
    _check_sweep(attacks, wanted)
    dtype, reason = resolve(precision)
    files = any(spec.variant is None for spec in specs)
    seen = None if source is None else subject(source).spec
    cells = [
        attack_cell(setting, attack, seen or spec, targets=wanted, dtype=dtype, victims=(spec,))
        for spec in specs
        for attack in attacks
    ]
    facts |= {
        "attack": attacks[0].to_config(),
        "training_data": None if training_data is None else training_data.facts(),
        "precision": AS_SAVED if all(spec.variant is None for spec in specs) else reason,
    }
    return _fill(results, setting, subjects, cells, kind=kind or "model_white_box" * files or "white_box", **facts)


def transfer(
    source: Checkpoint | Classifier | Subject,
    victims: Sequence[Checkpoint | Classifier | Subject],
    images: Dataset | Setting,
    *,
    attack: Attack,
    target: int | None,
    results: Path | str,
    kind: str | None = None,
    **facts: Any,
) -> StoredRun:
    """Attack one model, and show the attacked images to all victims: Table 1.

    Args:
        source: The model that the attack sees. It computes in float32.
        victims: The models that are scored.
        images: A data set with victims, or what `load_setting` returns.
        attack: The attack.
        target: The wanted class; `None` takes that of the worst attack on the source, over all classes.
        results: Folder for the cells.
        kind: Of the run; by default "transfer", or "model_transfer" if the source comes from a file.
        **facts: Further fields of `Run`, such as `preset`.
    """
    setting = images if isinstance(images, Setting) else load_setting(images)
    subjects = [subject(victim) for victim in victims]
    seen, scored = subject(source).spec, tuple(one.spec for one in subjects)
    kind = kind or ("model_transfer" if seen.variant is None else "transfer")
    if target is None:
        target = worst_target(seen, setting, attack, results)
    cell = attack_cell(setting, attack, seen, targets=(target,), victims=scored, keep_images=True)
    named = {"target": target, "target_name": setting.images.class_names[target]}
    return _fill(results, setting, subjects, [cell], kind=kind, attack=attack.to_config() | named, **facts)


def worst_target(source: ModelSpec, setting: Setting, attack: Attack, results: Path | str) -> int:
    """Return the class that an attack on a model must want to change most predictions, of all that are no label."""
    cell = attack_cell(setting, attack, source, targets=other_classes(setting.images))
    fill(Path(results) / CELLS, [cell])
    worst, rate = metrics.worst_attack(read_cell(Path(results) / CELLS / cell.folder).records)
    if worst.target is None:
        raise ValueError("The worst target is that of an attack with targets. Received: an attack without any")
    name = setting.images.class_names[worst.target]
    print(f"TARGET=worst: {name}, which changes {rate.count} of {rate.n} predictions of {source.name}", flush=True)
    return worst.target


def choose_targets(wanted: Sequence[str] | None, images: Split) -> tuple[int, ...]:
    """Return the classes to attack towards: the wanted ones by name or index, or all that are no label.

    Raises:
        ValueError: A class is unknown or is a label, or there are too many to take them all.
    """
    labels = set(images.labels.tolist())
    if wanted is None:
        targets = other_classes(images)
        if not 0 < len(targets) <= MOST_TARGETS:
            raise ValueError(
                f"TARGETS= must name the classes to attack towards where not 1 to {MOST_TARGETS} are left. "
                f"Received: {len(images.class_names)} classes, {len(targets)} of them no label of an image"
            )
        return targets
    targets = tuple(dict.fromkeys(class_index(name, images.class_names) for name in wanted))
    for target in targets:
        if target in labels:
            count = int(np.count_nonzero(images.labels == target))
            raise ValueError(
                f"A target must be the label of no image. Received: {images.class_names[target]}, the label of "
                f"{count} of {len(images)}"
            )
    return targets


def choose_target(name: str, images: Split) -> int | None:
    """Return a wanted class; `None` is the worst of all: "worst", or "auto" where there is no `USUAL_TARGET`."""
    names = images.class_names
    if name == "auto" and name not in names:
        name = USUAL_TARGET if USUAL_TARGET in names else "worst"
    if name == "worst" and name not in names:
        return None
    return choose_targets([name], images)[0]


def merged(runs: Sequence[StoredRun]) -> StoredRun:
    """Return one run of the rows and cells of several in one folder; the rest is that of the first."""
    first = runs[0]
    run = dataclasses.replace(
        first.run,
        rows=tuple(row for one in runs for row in one.run.rows),
        cells=tuple(cell for one in runs for cell in one.run.cells),
        floors=tuple(floor for one in runs for floor in one.run.floors),
        trials=tuple(trial for one in runs for trial in one.run.trials),
    )
    return StoredRun(folder=first.folder, run=run)


def attack_cell(
    setting: Setting,
    attack: Attack,
    source: ModelSpec,
    *,
    targets: tuple[int, ...],
    victims: tuple[ModelSpec, ...] | None = None,
    dtype: str = "float32",
    keep_images: bool = False,
) -> CellSpec:
    """Return the cell of one attack on one model; by default that model alone is scored."""
    wanted = f"_target-{targets[0]}" if len(targets) == 1 else ""
    return _cell(
        setting,
        f"{source.name}{wanted}_lambda-{attack.penalty:g}_seed-{attack.seed}",
        victims=(source,) if victims is None else victims,
        source=source,
        attack=attack.to_config(),
        targets=targets,
        dtype=AS_SAVED if source.variant is None else dtype,
        keep_images=keep_images,
    )


def _check_sweep(attacks: Sequence[Attack], targets: Sequence[int]) -> None:
    """Check, before anything is computed, that one table can hold the attacks."""
    swept = {(attack.penalty, attack.seed) for attack in attacks}
    whole = math.prod(len(set(values)) for values in zip(*swept, strict=True)) if swept else 0
    others = {json.dumps(attack.to_config() | {"penalty": 0, "seed": 0}, sort_keys=True) for attack in attacks}
    if not 0 < len(attacks) == len(swept) == whole or len(others) > 1:
        raise ValueError(
            "`attacks` must be one attack with each of some lambdas and each of some seeds: a table has no other "
            f"columns. Received: {', '.join(map(repr, attacks)) or 'none'}"
        )
    if not targets:
        raise ValueError("`targets` must hold a class that is the label of no image. Received: none")


def _cell(setting: Setting, name: str, **fields: Any) -> CellSpec:
    return CellSpec(name=name, images=setting.images_spec, mask=setting.mask_spec, **fields)


def _fill(
    results: Path | str,
    setting: Setting,
    subjects: Sequence[Subject],
    cells: Sequence[CellSpec],
    *,
    attack: Mapping[str, Any],
    **facts: Any,
) -> StoredRun:
    """Fill the cells and those of plain stickers on the same models, and return the run of them."""
    names = [one.spec.name for one in subjects]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"Models must be at least one, each with a name of its own. Received: {', '.join(names)}")
    floors = [_cell(setting, f"{one.spec.name}_floor", kind="plain", victims=(one.spec,)) for one in subjects]
    fill(Path(results) / CELLS, [*cells, *floors])
    run = Run(
        **setting.describe(palette=nps_mode(attack) is not None),
        rows=tuple(one.row for one in subjects),
        cells=tuple(cell.folder for cell in cells),
        floors=tuple(floor.folder for floor in floors),
        attack=attack,
        environment=environment(),
        **facts,
    )
    return StoredRun(folder=Path(results), run=run)
