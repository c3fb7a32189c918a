"""Small results, as the experiments store them, for the report to be made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave

from blurnet_tf import lisa_cnn
from blurnet_tf.data import synthetic
from blurnet_tf.defenses import TRANSFER_VARIANTS, layer_weights
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.provenance import weights_sha256, write_json
from blurnet_tf.evaluation.records import Record, write_records
from blurnet_tf.numerics import dissimilarity
from blurnet_tf.reporting.ablation import ablation_table
from blurnet_tf.reporting.tables import transfer_table
from blurnet_tf.reporting.white_box import white_box_table
from blurnet_tf.signs import CLASS_NAMES

N, STEPS, STOP = 4, 5, 14
TARGETS = (0, 11, 17)
EVIL = "<script>alert('class')</script>"
NAMES = [EVIL if name == "yield" else name for name in CLASS_NAMES]
ROWS = ("baseline", "tv_1e-4", "<b>own</b>")
ENVIRONMENT = {
    "python": "3.11.7",
    "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
    "machine": "Linux x86_64",
    "cpus": 2,
    "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "modified": True},
}
ATTACK = {"steps": STEPS, "penalty": 0.002, "nps": None, "seed": 0, "target": 17, "target_name": EVIL}
BASELINE = {"weights_sha256": "a" * 64, "training": {"settings": {"seed": 0, "epochs": 1}}}
SETTING: dict[str, Any] = {
    "data": {"source": "synthetic", "reason": "for a test", "sha256": "d" * 64, "n": N},
    "class_names": NAMES,
    "mask": {"path": "somewhere/own & mask.png", "sha256": "e" * 64, "pixels": 30},
    "environment": ENVIRONMENT,
}


def write_all(folder: Path) -> None:
    """Write results of every kind into `folder`/results, and one checkpoint into `folder`/checkpoints."""
    results = folder / "results"
    model = lisa_cnn("baseline", seed=0)
    (folder / "checkpoints" / "smoke").mkdir(parents=True)
    model.save(folder / "checkpoints" / "smoke" / "baseline.keras")
    write_blackbox(results / "blackbox")
    write_whitebox(results / "whitebox", weights_sha256(layer_weights(model)))
    write_ablation(results / "ablation")
    names = ("figure1", "figure2", "figure3", "figure4", "filters")
    picture(results / "whitebox" / "figure4.png", 4)
    for number, name in enumerate(names, 1):
        picture(results / "figures" / f"{name}.png", number)
    content = {
        "figures": {name: {"caption": f"caption of {name}", "says": f"{name} says <this>"} for name in names},
        "left_out": ["without a checkpoint: tv_1e-5. `make whitebox` trains them."],
        "attack": {"data": SETTING["data"], **ATTACK},
    }
    write_json(results / "figures" / "figures.json", content)


def picture(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, np.full((8 * size, 16, 3), 30 * size, np.uint8))


def records(source: str, victim: str, target: int | None, hits: int, penalty: float = 0.002) -> list[Record]:
    """Four signs, of which the first `hits` are taken for the target, or for class 1 without one."""
    images = synthetic.victim_split().images[:N]
    distances = np.asarray(dissimilarity(images, np.clip(images + sticker(target), 0, 1)))
    return [
        Record(
            image=f"{index}.png",
            label=STOP,
            source=source,
            victim=victim,
            target=target,
            penalty=penalty,
            seed=0,
            clean_prediction=STOP,
            adversarial_prediction=(1 if target is None else target) if index < hits else STOP,
            dissimilarity=float(distances[index]),
        )
        for index in range(N)
    ]


def sticker(target: int | None) -> np.ndarray:
    perturbation = np.zeros((32, 32, 3), np.float32)
    perturbation[12:15, 8:24] = 0.9 if target else -0.9
    return perturbation


def write_blackbox(folder: Path) -> None:
    images = synthetic.victim_split().images[:N]
    mine = [
        one
        for hits, name in zip((4, 3, 2, 2, 1), TRANSFER_VARIANTS, strict=True)
        for one in records("baseline", name, 17, hits)
    ]
    write_records(folder / "records.csv", mine)
    np.savez(folder / "signs.npz", clean=images, adversarial=images, mask=np.zeros((32, 32, 1), np.float32))
    write_json(folder / "table1.json", transfer_table(mine))
    more = {"attack": ATTACK, "baseline": BASELINE, "preset": "smoke", "papers_protocol": False}
    write_json(folder / "provenance.json", SETTING | more)


def write_whitebox(folder: Path, weights: str) -> None:
    attacked, floor, rows = [], [], {}
    random = np.random.default_rng(0)
    for number, name in enumerate(ROWS):
        mine = [
            one
            for hits, target in zip((number, 2, 3), TARGETS, strict=True)
            for one in records(name, name, target, hits)
        ]
        attacked += mine
        floor += [one for kind in ("white", "black", "random") for one in records(kind, name, None, number, 0.0)]
        cell = folder / "cells" / f"cell-{number}"
        write_records(cell / "records.csv", mine)
        curves = random.random((STEPS + 1, len(TARGETS)), np.float32)
        perturbation = np.stack([sticker(target) for target in TARGETS])
        np.savez(cell / "arrays.npz", perturbation=perturbation, loss=10 * curves, success=curves)
        inputs = {"targets": TARGETS, "attack": {"penalty": 0.002, "seed": 0}}
        write_json(cell / "provenance.json", {"inputs": inputs})
        training = {
            "settings": {"epochs": 1, "seed": 0, "train_sha256": "b" * 64},
            "test_sha256": "c" * 64,
            "weights_sha256": weights if name == "baseline" else "f" * 64,
        }
        checkpoint = f"checkpoints/smoke/{'baseline' if name == 'baseline' else 'none'}.keras"
        legitimate = {"correct": 90 + number, "n": 100}
        rows[name] = {"checkpoint": checkpoint, "legitimate": legitimate, "training": training, "cells": [cell.name]}
    accuracies = {name: Rate(row["legitimate"]["correct"], 100) for name, row in rows.items()}
    write_json(folder / "table2.json", white_box_table(attacked, floor, accuracies, class_names=NAMES))
    more = {
        "training_data": "rendered signs",
        "preset": "smoke",
        "init": "random",
        "attack": {"steps": STEPS, "nps": None},
        "precision": "float32",
        "papers_protocol": False,
        "rows": rows,
    }
    write_json(folder / "run.json", SETTING | more)


def write_ablation(folder: Path) -> None:
    places = {"baseline": (0, 0), "blur_3x3_after_1": (1, 3)}
    mine = [one for hits, name in zip((4, 2), places, strict=True) for one in records("baseline", name, 17, hits)]
    write_json(folder / "ablation.json", ablation_table(mine, dict.fromkeys(places, Rate(9, 10)), places))
    attack = {"attack": ATTACK, "baseline": BASELINE, "data": SETTING["data"]}
    write_json(folder / "provenance.json", {"attack": attack, "test": "rendered signs"})
