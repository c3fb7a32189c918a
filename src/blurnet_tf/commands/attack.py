"""Attack a model with RP2: one sticker for all images of a folder, optimised towards one class.

The images must have the size that the model takes: nothing is resized, because the mask is drawn for pixels. Their
classes stand in labels.csv in their folder (lines of file,label), or are all --label.

The folder --out then has perturbation.npy (float32, height x width x 3, 0 outside the mask, 1.0 is the full range), the
mask, records.csv, table.{md,csv,json}, attack.json (the provenance), and adversarial/ with a PNG for each image:
rounded to 8 bits, where the records are of the images before that. The folder is written whole, or not at all; --force
replaces no folder without an attack.json.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from blurnet_tf.attacks import RP2, load_mask, load_palette
from blurnet_tf.attacks.masks import bundled
from blurnet_tf.commands import models
from blurnet_tf.commands.arguments import add_classifier_arguments, natural, number, positive, show
from blurnet_tf.commands.files import check_folder, check_same_size, save_image
from blurnet_tf.data.folder import find_class_names, levels, load_folder
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import write_records
from blurnet_tf.evaluation.scoring import score
from blurnet_tf.files import replaced_folder, sha256, write_json
from blurnet_tf.reporting.model_tables import attack_markdown, model_transfer_rows
from blurnet_tf.reporting.tables import write_table
from blurnet_tf.signs import class_index

NAME = "attack"
HELP = "find the sticker that makes a model see another class (RP2)"
PROVENANCE = "attack.json"
"""No `provenance.json`: the folders of `make blackbox` and others have one too, and --force would replace them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `blurnet attack`."""
    add = parser.add_argument
    add_classifier_arguments(parser)
    add("--images", type=Path, required=True, metavar="DIR", help="folder of PNG or JPEG files")
    add("--label", metavar="NAME", help="class of all images (default: labels.csv in their folder)")
    add("--target", required=True, metavar="NAME", help="wanted class, a name or an index")
    add("--mask", type=Path, metavar="FILE", help="image of the mask (default: the bundled sticker, for 32x32 images)")
    add("--steps", type=positive, default=300, help="steps of the attack (default: 300)")
    add("--penalty", type=number, default=0.002, help="lambda, the weight of the norm (default: 0.002)")
    add("--seed", type=natural, default=0, help="seed of the attack (default: 0)")
    add("--nps", choices=("original", "corrected"), help="add a non-printability score")
    add("--palette", type=Path, metavar="FILE", help="printable colours, with --nps (default: the bundled ones)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    add("--force", action="store_true", help="replace an earlier attack in that folder")


def run(options: Any) -> int:
    """Attack, write the folder and say what the attack reached."""
    out: Path = options.out
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file. Name a folder.")
    if (out / PROVENANCE).is_file() and not options.force:  # any other folder is refused below, --force or not
        raise FileExistsError(f"{out} is there already. Add --force to replace it, or name another folder.")
    check_folder(out)
    if options.palette is not None and options.nps is None:
        raise ValueError("--palette needs --nps original or --nps corrected. Received: --palette alone")
    with replaced_folder(out, marker=PROVENANCE) as folder:
        row, markdown = _attack(options, folder)
    show(options, {"out": str(out), **row}, f"{markdown}\nWritten to {out}")
    return 0


def _attack(options: Any, folder: Path) -> tuple[dict[str, Any], str]:
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # what is said to be float32 is, on a GPU too
    classifier = models.load(options)
    names = find_class_names(options.model, options.labels, outputs=classifier.classes)
    if names is None:
        raise ValueError(f"--labels must name a file with the classes of {options.model}, which has none beside it.")
    victims = load_folder(options.images, label=options.label, class_names=names)
    outputs = classifier.check(victims.images).shape[1]
    find_class_names(options.model, options.labels, outputs=outputs)  # again, for a file that does not say how many
    target = class_index(options.target, names)
    mask_path = options.mask or bundled("sticker.png")
    mask = load_mask(mask_path)
    check_same_size(f"Mask {mask_path}", mask, "the images", victims.images[0])
    palette_path = options.palette or bundled("palette.csv")
    palette = load_palette(palette_path) if options.nps else None
    attack = RP2(steps=options.steps, penalty=options.penalty, nps=options.nps, seed=options.seed)
    progress = False if options.json else None
    result = attack(classifier, victims.images, target, mask, labels=victims.labels, palette=palette, progress=progress)
    if not np.isfinite(result.perturbation).all():
        raise ValueError("The attack must stay finite: lower --penalty. Received: NaN or infinity in the perturbation")
    adversarial = result.apply(victims.images)[0]
    name = classifier.name
    scored: dict[str, Any] = {"target": target, "penalty": attack.penalty, "seed": attack.seed}
    records = score(classifier, victims, adversarial, source=name, victim=name, **scored)
    (row,) = model_transfer_rows(records, {name: name})
    row |= {"target": names[target], "steps": attack.steps, "lambda": attack.penalty, "seed": attack.seed}
    caption = (
        f"{options.model}: {len(victims)} images, target {names[target]}, lambda {attack.penalty:g}, {attack.steps} "
        f"steps, seed {attack.seed}"
    )
    markdown = attack_markdown(row, caption)

    np.save(folder / "perturbation.npy", result.perturbation[0], allow_pickle=False)
    save_image(folder / "mask.png", levels(mask[..., 0]))
    for file, image in zip(_png_names(victims.ids), adversarial, strict=True):
        save_image(folder / "adversarial" / file, levels(image))
    write_records(folder / "records.csv", records)
    write_table(folder, "table", [row], markdown)
    provenance = {
        "command": "blurnet attack",
        "model": {"path": str(options.model), **classifier.describe()},
        "images": {"folder": str(options.images), "n": len(victims), "sha256": victims.sha256()},
        "mask": {"path": str(options.mask or "bundled sticker.png"), "sha256": sha256(mask_path)},
        "palette": {"path": str(options.palette or "bundled palette.csv"), "sha256": sha256(palette_path)}
        if options.nps
        else None,
        "attack": dataclasses.asdict(attack) | {"target": target, "target_name": names[target]},
        "environment": environment(),
    }
    write_json(folder / PROVENANCE, provenance)
    return row, markdown


def _png_names(ids: tuple[str, ...]) -> list[str]:
    """Return a PNG name for each image, its own where it has one."""
    names = [name if name.endswith(".png") else f"{name}.png" for name in ids]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Two images would both be written as {name}. Rename one of them.")
    return names
