"""What a model of somebody's own is attacked on: its classes, its victims and its mask, from the command line."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.attacks import load_mask, load_palette
from blurnet_tf.commands import models
from blurnet_tf.commands.arguments import add_classifier_arguments, positive
from blurnet_tf.data import sources
from blurnet_tf.data.folder import find_class_names, load_folder
from blurnet_tf.data.split import Split
from blurnet_tf.models.classifier import Classifier
from blurnet_tf.runs.setting import Setting, load_setting
from blurnet_tf.signs import class_index
from blurnet_tf.training.recipes import PRESETS
from experiments import cli

MOST_TARGETS = 100
"""More classes than this are not all attacked unless they are named."""


def add_model_arguments(result: argparse.ArgumentParser) -> None:
    """Add what says which model is attacked, on what, and how."""
    add = result.add_argument
    add_classifier_arguments(result)
    add("--victims", type=Path, help="folder of images to attack (default: the victims of --data)")
    add("--label", help="class of all victims (default: labels.csv in their folder)")
    add("--preset", choices=PRESETS, default="quick", help="how much work to do")
    cli.add_data_arguments(result, sources.SOURCES)
    add("--mask", type=Path, help="image of the mask, of the size of the victims (default: that of the data)")
    add("--palette", type=Path, help="printable colours, with --nps (default: that of the data)")
    add("--nps", choices=("original", "corrected"), help="add a non-printability score")
    add("--steps", type=positive, help="steps of the attack (default: the preset's)")
    add("--results", type=Path, default=Path("results/models"), help="folder to write to, by the model's name")


def load_model_setting(options: Any) -> tuple[Classifier, Setting]:
    """Load the model and what it is attacked on, and check that they fit together.

    Raises:
        FileNotFoundError: A file or folder is not there.
        ValueError: A file is damaged, or two things do not fit; the sentence says which.
    """
    classifier = models.load(options)
    names = find_class_names(options.model, options.labels, outputs=classifier.classes)
    if names is None:
        raise ValueError(f"LABELS= must name a file with the classes of {options.model}, which has none beside it.")
    roots = cli.data_roots(options.data_dir)
    printable = options.nps is not None
    if options.victims is None:
        if options.label is not None:
            raise ValueError(f"LABEL= needs a folder of images, VICTIMS=. Received: LABEL={options.label}, no VICTIMS")
        source = sources.resolve(options.data, roots)
        setting = load_setting(source, mask=options.mask, palette=options.palette, printable=printable)
        setting = dataclasses.replace(setting, victims=_named_anew(setting.victims, names, options.model))
    else:
        victims = load_folder(options.victims, label=options.label, class_names=names)
        palette_path = options.palette or cli.MASKS / "palette.csv"
        mask_path = options.mask or cli.MASKS / "sticker.png"
        setting = Setting(
            source=sources.Resolved(
                name="folder", folder=options.victims, reason=f"VICTIMS={options.victims}: {len(victims)} images"
            ),
            victims=victims,
            mask_path=mask_path,
            mask=load_mask(mask_path),
            palette_path=palette_path,
            palette=load_palette(palette_path) if printable else None,
            authentic=False,
        )
    print(setting.source.reason, flush=True)
    outputs = classifier.check(setting.victims.images).shape[1]
    find_class_names(options.model, options.labels, outputs=outputs)  # again, for a file that does not say how many
    _check_mask(setting, given=options.mask is not None)
    return classifier, setting


def choose_targets(wanted: Sequence[str] | None, victims: Split) -> list[int]:
    """Return the classes that are attacked towards: the wanted ones, or all that are no label.

    Raises:
        ValueError: A class is unknown or is a label, or there are too many to take them all.
    """
    labels = set(victims.labels.tolist())
    if wanted is None:
        targets = [index for index in range(len(victims.class_names)) if index not in labels]
        if not 0 < len(targets) <= MOST_TARGETS:
            raise ValueError(
                f"TARGETS= must name the classes to attack towards where not 1 to {MOST_TARGETS} are left. "
                f"Received: {len(victims.class_names)} classes, {len(targets)} of them no label of a victim"
            )
        return targets
    targets = [class_index(name, victims.class_names) for name in dict.fromkeys(wanted)]
    for target in targets:
        if target in labels:
            count = int(np.count_nonzero(victims.labels == target))
            raise ValueError(
                f"A target must be the label of no victim. Received: {victims.class_names[target]}, the label of "
                f"{count} of {len(victims)}"
            )
    return targets


def _named_anew(victims: Split, names: tuple[str, ...], model: Path) -> Split:
    """Return the victims of a data source with the model's own classes, which are found by name."""
    for label in sorted(set(victims.labels.tolist())):
        if victims.class_names[label] not in names:
            raise ValueError(
                f"VICTIMS= must name a folder of images for a model without the class "
                f"'{victims.class_names[label]}', which is that of the victims of DATA=. Received: {model}"
            )
    labels = np.array([names.index(victims.class_names[label]) for label in victims.labels], np.int32)
    return dataclasses.replace(victims, labels=labels, class_names=names)


def _check_mask(setting: Setting, *, given: bool) -> None:
    (height, width), (mask_height, mask_width) = setting.victims.images.shape[1:3], setting.mask.shape[:2]
    if (height, width) != (mask_height, mask_width):
        raise ValueError(
            f"MASK= must name an image of {height}x{width} pixels (height x width), the size of the victims. "
            f"Received: {setting.mask_path}, {mask_height}x{mask_width}" + ("" if given else ", the default")
        )
