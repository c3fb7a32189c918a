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
from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.attacks import NPS, RP2, load_mask, load_palette
from blurnet_tf.attacks.masks import bundled
from blurnet_tf.checks import shown
from blurnet_tf.commands.arguments import (
    add_classifier_arguments,
    class_names,
    named_model,
    natural,
    number,
    positive,
    show,
)
from blurnet_tf.commands.files import check_folder, check_same_size, save_image
from blurnet_tf.data.folder import levels, load_folder
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.records import write_records
from blurnet_tf.evaluation.scoring import score
from blurnet_tf.files import replaced_folder, sha256, write_json
from blurnet_tf.reporting.rows import transfer_row
from blurnet_tf.reporting.run_tables import attack_table
from blurnet_tf.reporting.tables import flat, write_table
from blurnet_tf.signs import class_index
from blurnet_tf.training.precision import make_deterministic

NAME = "attack"
HELP = "find the sticker that makes a model see another class (RP2)"
LONGEST = 200  # bytes of a file's name; a file that is being written has 34 more
PROVENANCE = "attack.json"  # other folders have a `provenance.json`: --force would replace them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_classifier_arguments(parser)
    add("--images", type=Path, required=True, metavar="DIR", help="folder of PNG or JPEG files")
    add("--label", metavar="NAME", help="class of all images (default: labels.csv in their folder)")
    add("--target", required=True, metavar="NAME", help="wanted class, a name or an index")
    add("--mask", type=Path, metavar="FILE", help="image of the mask (default: the bundled sticker, for 32x32 images)")
    add("--steps", type=positive, default=300, help="steps of the attack (default: 300)")
    add("--lambda", dest="penalty", type=number, default=0.002, help="weight of the norm, Eq. 2 (default: 0.002)")
    add("--seed", type=natural, default=0, help="seed of the attack (default: 0)")
    add("--nps", choices=("original", "corrected"), help="add a non-printability score")
    add("--palette", type=Path, metavar="FILE", help="printable colours, with --nps (default: the bundled ones)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    add("--force", action="store_true", help="replace an earlier attack in that folder")


def run(options: Any) -> int:
    out: Path = options.out
    check_folder(out)
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file. Name a folder.")
    if options.palette is not None and options.nps is None:
        raise ValueError("--palette needs --nps original or --nps corrected. Received: --palette alone")
    kept = "" if options.force else "Add --force to replace it, or name another folder."
    with replaced_folder(out, marker=PROVENANCE, kept=kept) as folder:
        row, markdown = _attack(options, folder)
    show(options, {"out": str(out), **row}, f"{markdown}\nWritten to {out}")
    return 0


def _attack(options: Any, folder: Path) -> tuple[dict[str, Any], str]:
    make_deterministic()
    classifier, names = named_model(options)
    victims = load_folder(options.images, label=options.label, class_names=names)
    files = _png_names(victims.ids)
    outputs = classifier.check(victims.images).shape[1]
    class_names(options, classifier, outputs=outputs)  # again, for a file that does not say how many
    target = class_index(options.target, names)
    mask_path = options.mask or bundled("sticker.png")
    mask = load_mask(mask_path)
    check_same_size(f"Mask {mask_path}", mask, "the images", victims.images[0])
    palette_path = options.palette or bundled("palette.csv")
    penalties = (NPS(load_palette(palette_path), mode=options.nps),) if options.nps else ()
    attack = RP2(steps=options.steps, penalty=options.penalty, penalties=penalties, seed=options.seed)
    progress = False if options.json else None
    result = attack(classifier, victims.images, targets=target, mask=mask, labels=victims.labels, progress=progress)
    if not np.isfinite(result.perturbation).all():
        raise ValueError("The attack must stay finite: lower --lambda. Received: NaN or infinity in the perturbation")
    adversarial = result.apply(victims.images)[0]
    name = classifier.name
    records = score(classifier, victims, adversarial, attack=attack, source=name, victim=name, target=target)
    row = transfer_row(name, name, records)
    settings = {"target": names[target], "steps": attack.steps, "lambda": attack.penalty, "seed": attack.seed}
    how = f"lambda {attack.penalty:g}, {attack.steps} steps, seed {attack.seed}"
    caption = f"{options.model}: {len(victims)} images, target {names[target]}, {how}"
    markdown = f"{attack_table(row, names[target], caption).markdown}\n"

    np.save(folder / "perturbation.npy", result.perturbation[0], allow_pickle=False)
    save_image(folder / "mask.png", levels(mask[..., 0]))
    for file, image in zip(files, adversarial, strict=True):
        save_image(folder / "adversarial" / file, levels(image))
    write_records(folder / "records.csv", records)
    write_table(folder, "table", [row], markdown, more=settings)
    palette = None
    if options.nps:
        palette = {"path": str(options.palette or "bundled palette.csv"), "sha256": sha256(palette_path)}
    provenance = {
        "command": "blurnet attack",
        "model": {"path": str(options.model), **classifier.describe()},
        "images": {"folder": str(options.images), "n": len(victims), "sha256": victims.sha256()},
        "mask": {"path": str(options.mask or "bundled sticker.png"), "sha256": sha256(mask_path)},
        "palette": palette,
        "attack": attack.to_config() | {"target": target, "target_name": names[target]},
        "environment": environment(),
    }
    write_json(folder / PROVENANCE, provenance)
    return flat(row) | settings, markdown


def _png_names(ids: tuple[str, ...]) -> list[str]:
    """Return a PNG name for each image, its own where it has one."""
    names = [name if name.endswith(".png") else f"{name}.png" for name in ids]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Two images would both be written as {twice[0]}. Rename one of them.")
    for name in names:
        try:
            length = len(name.encode())
        except UnicodeEncodeError as error:
            raise ValueError(f"The name of an image must be UTF-8, to stand in a table. Received: {name!r}") from error
        if length > LONGEST:
            raise ValueError(
                f"The name of an image must have at most {LONGEST} bytes. Received: {shown(name)}, {length}"
            )
    return names
