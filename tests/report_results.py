"""Small results, as the experiments store them, for the report to be made of."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave

from blurnet_tf import lisa_cnn
from blurnet_tf.data import synthetic
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.records import Record, write_records
from blurnet_tf.files import write_json
from blurnet_tf.models import TRANSFER_VARIANTS, layer_weights, weights_sha256
from blurnet_tf.numerics import dissimilarity
from blurnet_tf.reporting.ablation import ablation_table
from blurnet_tf.reporting.model_tables import model_row, model_transfer_rows
from blurnet_tf.reporting.tables import transfer_table
from blurnet_tf.reporting.white_box import white_box_table
from blurnet_tf.signs import CLASS_NAMES

N, STEPS, STOP = 4, 5, 14
TARGETS = (0, 11, 17)
EVIL = "<script>alert('class')</script>"
NAMES = [EVIL if name == "yield" else name for name in CLASS_NAMES]
ROWS = ("baseline", "tv_1e-4", "<b>own</b>")
OWN = "zoo & own"
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
    write_studies(results / "reproduction", results / "whitebox")
    write_model(results / "models" / OWN)
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


@functools.cache
def signs() -> np.ndarray:
    """The clean signs; rendered once, as that is what takes the time."""
    return synthetic.victim_split().images[:N]


def records(source: str, victim: str, target: int | None, hits: int, penalty: float = 0.002) -> list[Record]:
    """Four signs, of which the first `hits` are taken for the target, or for class 1 without one."""
    images = signs()
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
    images = signs()
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


def write_whitebox(
    folder: Path, weights: str, *, penalties: Sequence[float] = (0.002,), seeds: Sequence[int] = (0,)
) -> None:
    """Write the white-box experiment. A higher lambda or seed changes fewer predictions."""
    attacked, floor, rows = [], [], {}
    for number, name in enumerate(ROWS):
        plain = [one for kind in ("white", "black", "random") for one in records(kind, name, None, number, 0.0)]
        write_records(folder / "cells" / f"floor-{number}" / "records.csv", plain)
        floor += plain
        cells = []
        for (less, seed), (fewer, penalty) in itertools.product(enumerate(seeds), enumerate(penalties)):
            cells.append(f"cell-{number}-{less}-{fewer}")
            hits = [max(0, count - less - fewer) for count in (number, 2, 3)]
            attacked += write_cell(folder / "cells" / cells[-1], name, hits, penalty, seed)
        training = {
            "settings": {"epochs": 1, "seed": 0, "train_sha256": "b" * 64},
            "test_sha256": "c" * 64,
            "weights_sha256": weights if name == "baseline" else "f" * 64,
        }
        checkpoint = f"checkpoints/smoke/{'baseline' if name == 'baseline' else 'none'}.keras"
        legitimate = {"correct": 90 + number, "n": 100}
        rows[name] = {"checkpoint": checkpoint, "legitimate": legitimate, "training": training}
        rows[name] |= {"floor": f"floor-{number}", "cells": cells}
    accuracies = {name: Rate(row["legitimate"]["correct"], 100) for name, row in rows.items()}
    write_json(folder / "table2.json", white_box_table(attacked, floor, accuracies, class_names=NAMES))
    if len(penalties) > 1:
        by_lambda = [
            {"lambda": penalty, **row}
            for penalty in penalties
            for row in white_box_table(
                [one for one in attacked if one.penalty == penalty], floor, accuracies, class_names=NAMES
            )
        ]
        write_json(folder / "table2_by_lambda.json", by_lambda)
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


def write_cell(folder: Path, name: str, hits: Sequence[int], penalty: float, seed: int) -> list[Record]:
    """Write a cell whose targets change as many predictions as `hits` says, and return its records."""
    mine = [
        replace(one, seed=seed)
        for count, target in zip(hits, TARGETS, strict=True)
        for one in records(name, name, target, count, penalty)
    ]
    write_records(folder / "records.csv", mine)
    loss, success = curves(hits, penalty)
    perturbation = np.stack([sticker(target) for target in TARGETS])
    np.savez(folder / "arrays.npz", perturbation=perturbation, loss=loss, success=success)
    attack = {"steps": STEPS, "penalty": penalty, "seed": seed, "image_clip": [0.0, 1.0]}
    write_json(folder / "provenance.json", {"inputs": {"targets": TARGETS, "attack": attack}})
    return mine


def curves(hits: Sequence[int], penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Loss and success, (steps + 1, targets), that end at `hits` and fall to a tenth."""
    up = np.linspace(0, 1, STEPS + 1, dtype=np.float32)[:, None]
    return (10 - 9 * up) * (1 + penalty + np.zeros(len(hits), np.float32)), up * np.array(hits, np.float32) / N


def write_ablation(folder: Path) -> None:
    places = {"baseline": (0, 0), "blur_3x3_after_1": (1, 3)}
    mine = [one for hits, name in zip((4, 2), places, strict=True) for one in records("baseline", name, 17, hits)]
    write_records(folder / "records.csv", mine)
    picture(folder / "ablation.png", 6)
    write_json(folder / "ablation.json", ablation_table(mine, dict.fromkeys(places, Rate(9, 10)), places))
    attack = {"attack": ATTACK, "baseline": BASELINE, "data": SETTING["data"]}
    write_json(folder / "provenance.json", {"attack": attack, "test": "rendered signs", "environment": ENVIRONMENT})


def write_studies(folder: Path, whitebox: Path) -> None:
    """Write runs that vary one thing: those of the white box, under other names."""
    more = {"total_variation": 26.75, "relative_total_variation": 0.625}
    rows = [
        {"run": f"run__{row['row']}", "change": "alpha <1>, `quick`", **row, **more}
        for row in _read(whitebox / "table2.json")
    ]
    write_json(folder / "runs.json", rows)
    write_json(folder / "provenance.json", {"precision": "float32", "environment": ENVIRONMENT})


def write_model(folder: Path) -> None:
    """Write both experiments on a model of somebody's own."""
    described = {"path": f"/somewhere/{OWN}", "output": "logits", "sha256": "9" * 64}
    attacked = write_cell(folder / "whitebox" / "cells" / "attack", OWN, (1, 2, 3), 0.002, 0)
    plain = [one for kind in ("white", "black", "random") for one in records(kind, OWN, None, 1, 0.0)]
    write_records(folder / "whitebox" / "cells" / "floor" / "records.csv", plain)
    write_json(folder / "whitebox" / "table.json", [model_row(OWN, attacked, plain, class_names=NAMES)])
    attack = {"steps": STEPS, "nps": None, "targets": [NAMES[target] for target in TARGETS]}
    run = {"model": described, "preset": "smoke", "attack": attack, "floor": "floor", "cells": ["attack"]}
    write_json(folder / "whitebox" / "run.json", SETTING | run)
    titles = {OWN: OWN, f"{OWN}_input_3x3": "Input filter 3x3"}
    mine = [one for hits, name in zip((3, 1), titles, strict=True) for one in records(OWN, name, 17, hits)]
    write_records(folder / "blackbox" / "cells" / "one" / "records.csv", mine)
    write_json(folder / "blackbox" / "table.json", model_transfer_rows(mine, titles))
    write_json(
        folder / "blackbox" / "provenance.json",
        SETTING | {"model": described, "preset": "smoke", "attack": ATTACK, "cell": "one"},
    )


def _read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())
