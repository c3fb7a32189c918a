"""`MODEL=`: both experiments on a model of the user's own, a SavedModel folder or a `.keras` file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from blurnet_tf import runs
from blurnet_tf.commands.arguments import add_classifier_arguments, class_names, named_model
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.data.registry import choose_victims, load_dataset
from blurnet_tf.models.classifier import Classifier
from experiments import arguments

FILTERS: tuple[int, ...] = (3, 5)
"""The victims of the transfer beside the model itself: it behind a box blur of this side."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_classifier_arguments(parser, required=False)
    parser.add_argument("--victims", type=Path, help="folder of images to attack (default: the victims of --data)")
    parser.add_argument("--label", help="class of all victims (default: labels.csv in their folder)")


def attack_white_box(options: Any) -> runs.StoredRun:
    model, setting = _load(options)
    return runs.white_box(
        [model],
        setting,
        attacks=arguments.attacks(options, setting),
        targets=runs.choose_targets(options.targets, setting.images),
        results=options.results / model.name / "whitebox",
        precision=options.precision,
        kind="model_white_box",
        preset=options.preset,
    )


def attack_transfer(options: Any) -> runs.StoredRun:
    model, setting = _load(options)
    attack = arguments.one_attack(options, setting)
    return runs.transfer(
        model,
        [runs.subject(model), *(runs.subject(model, input_blur=size) for size in FILTERS)],
        setting,
        attack=attack,
        target=runs.choose_target(options.target, setting.images),
        results=options.results / model.name / "blackbox",
        kind="model_transfer",
        preset=options.preset,
    )


def load(options: Any) -> tuple[Classifier, tuple[str, ...], Dataset]:
    """Load the model, the names of its classes, and what it is attacked on."""
    model, names = named_model(options, "LABELS=")
    if options.victims is not None:
        images = load_dataset(f"folder:{options.victims}", label=options.label, class_names=names)
        print(images.reason, flush=True)
    elif options.label is not None:
        raise ValueError(f"LABEL= needs a folder of images, VICTIMS=. Received: LABEL={options.label}, no VICTIMS")
    else:
        images = arguments.load_data(choose_victims, options)
    return model, names, images


def _load(options: Any) -> tuple[Classifier, runs.Setting]:
    """Load the model and what it is attacked on, and check that they fit together."""
    model, names, images = load(options)
    setting = runs.load_setting(images, mask=options.mask, palette=options.palette, class_names=names)
    outputs = model.check(setting.images.images).shape[1]
    class_names(options, model, outputs=outputs)  # again, for a file that does not say how many
    return model, setting
