"""Small results, as the experiments store them, for tables and the report to be made of."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave

from blurnet_tf import lisa_cnn
from blurnet_tf.data import synthetic
from blurnet_tf.evaluation.records import Record, write_records
from blurnet_tf.files import sha256, write_json
from blurnet_tf.models import TRANSFER_VARIANTS, VARIANTS, layer_weights, weights_sha256
from blurnet_tf.numerics import dissimilarity
from blurnet_tf.runs.run import Run, RunRow, StoredRun
from blurnet_tf.signs import CLASS_NAMES

N, STEPS, STOP = 4, 5, 14
TARGETS = (0, 11, 17)
EVIL = "<script>alert('class')</script>"
NAMES = tuple(EVIL if name == "yield" else name for name in CLASS_NAMES)
ROWS = {"baseline": "Baseline", "tv_1e-4": "TV 1e-4", "<b>own</b>": "<b>own</b>"}
OWN = "zoo & own"
ENVIRONMENT = {
    "python": "3.11.7",
    "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
    "machine": "Linux x86_64",
    "cpus": 2,
    "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "modified": True},
}
RENDERED = {"name": "synthetic", "title": "rendered signs", "split": "", "leaks": False, "photographs": False}
LISA = {"name": "lisa", "title": "LISA, track split", "split": "track", "leaks": False, "photographs": True}
ATTACK = {"attack": "RP2", "steps": STEPS, "penalty": 0.002, "seed": 0, "image_clip": [0.0, 1.0], "penalties": []}
AT_ONE = ATTACK | {"target": 17, "target_name": EVIL}


def run_of(kind: str, rows: Sequence[RunRow], cells: Sequence[str], floors: Sequence[str] = (), **more: Any) -> Run:
    """A run on rendered signs."""
    fields: dict[str, Any] = {
        "data": RENDERED | {"source": {"name": "synthetic"}, "sha256": "d" * 64, "n": N},
        "class_names": NAMES,
        "training_data": RENDERED,
        "mask": {"path": "somewhere/own & mask.png", "sha256": "e" * 64, "pixels": 30},
        "attack": ATTACK,
        "preset": "smoke",
        "init": "random",
        "precision": "float32",
        "environment": ENVIRONMENT,
    }
    return Run(kind=kind, rows=tuple(rows), cells=tuple(cells), floors=tuple(floors), **fields | more)


def store(folder: Path, run: Run, cells: Mapping[str, Sequence[Record]], **arrays: np.ndarray) -> StoredRun:
    """Write a run and its cells. `arrays` are those of every cell with attacks."""
    for name, records in cells.items():
        write_cell(folder / "cells" / name, records, **({} if name in run.floors else arrays))
    stored = StoredRun(folder=folder, run=run)
    stored.save()
    return stored


def write_cell(folder: Path, records: Sequence[Record], **arrays: np.ndarray) -> None:
    write_records(folder / "records.csv", records)
    np.savez(folder / "arrays.npz", **arrays)
    files = {name: sha256(folder / name) for name in ("records.csv", "arrays.npz")}
    write_json(folder / "provenance.json", {"inputs": {"dtype": "float32"}, "files": files})


def write_all(folder: Path) -> None:
    """Write results of every kind into `folder`/results, and one checkpoint into `folder`/checkpoints."""
    results = folder / "results"
    model = lisa_cnn("baseline", seed=0)
    (folder / "checkpoints" / "smoke").mkdir(parents=True)
    model.save(folder / "checkpoints" / "smoke" / "baseline.keras")
    write_blackbox(results / "blackbox")
    write_whitebox(results / "whitebox", weights_sha256(layer_weights(model)))
    write_ablation(results / "ablation")
    write_studies(results / "reproduction")
    write_models(results / "models" / OWN)
    names = ("figure1", "figure2", "figure3", "figure4", "filters")
    picture(results / "whitebox" / "figure4.png", 4)
    for number, name in enumerate(names, 1):
        picture(results / "figures" / f"{name}.png", number)
    content = {
        "figures": {name: {"caption": f"caption of {name}", "says": f"{name} says <this>"} for name in names},
        "left_out": ["without a checkpoint: tv_1e-5. `make whitebox` trains them."],
        "attack": AT_ONE,
        "data_sha256": "d" * 64,
    }
    write_json(results / "figures" / "figures.json", content)


def picture(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, np.full((8 * size, 16, 3), 30 * size, np.uint8))


@functools.cache
def clean_signs() -> dict[str, np.ndarray]:
    """The clean signs; rendered once, as that is what takes the time."""
    victims = synthetic.victim_split()
    return dict(zip(victims.ids[:N], victims.images[:N], strict=True))


def records(
    victim: str, target: int | None, hits: int, *, source: str | None = None, attack: str = "RP2", **more: Any
) -> list[Record]:
    """Four signs, of which the first `hits` are taken for the target, or for class 1 without one."""
    images = np.stack(list(clean_signs().values()))
    distances = np.asarray(dissimilarity(images, np.clip(images + sticker(target), 0, 1)))
    settings: dict[str, Any] = {"penalty": 0.002, "seed": 0, "attack_digest": "0" * 12} | more
    return [
        Record(
            image=image,
            label=STOP,
            source=victim if source is None else source,
            victim=victim,
            attack=attack,
            target=target,
            clean_prediction=STOP,
            adversarial_prediction=(1 if target is None else target) if index < hits else STOP,
            dissimilarity=float(distances[index]),
            **settings,
        )
        for index, image in enumerate(clean_signs())
    ]


def floor_records(victim: str, hits: int) -> list[Record]:
    kinds = ("white", "black", "random")
    plain: dict[str, Any] = {"source": "", "penalty": 0.0, "attack_digest": ""}
    return [one for kind in kinds for one in records(victim, None, hits, attack=kind, **plain)]


def sticker(target: int | None) -> np.ndarray:
    perturbation = np.zeros((32, 32, 3), np.float32)
    perturbation[12:15, 8:24] = 0.9 if target else -0.9
    return perturbation


def write_blackbox(folder: Path, **more: Any) -> StoredRun:
    mine = [
        one
        for hits, name in zip((4, 3, 2, 2, 1), TRANSFER_VARIANTS, strict=True)
        for one in records(name, 17, hits, source="baseline")
    ]
    training = {"settings": {"seed": 0, "epochs": 1}, "weights_sha256": "a" * 64}
    rows = [
        RunRow(name=name, title=VARIANTS[name].title, weights_sha256="a" * 64, training=training)
        for name in TRANSFER_VARIANTS
    ]
    run = run_of("transfer", rows, ["one"], **{"attack": AT_ONE} | more)
    return store(folder, run, {"one": mine}, **attacked_arrays())


def attacked_arrays() -> dict[str, np.ndarray]:
    images = np.stack(list(clean_signs().values()))
    return {"perturbation": sticker(17)[None], "adversarial": np.clip(images + sticker(17), 0, 1)[None]}


def write_whitebox(
    folder: Path,
    weights: str = "f" * 64,
    *,
    penalties: Sequence[float] = (0.002,),
    seeds: Sequence[int] = (0,),
    **more: Any,
) -> StoredRun:
    """Write the white-box experiment. A higher lambda or seed changes fewer predictions."""
    rows, cells, floors = [], [], []
    for number, (name, title) in enumerate(ROWS.items()):
        floors.append(f"floor-{number}")
        write_cell(folder / "cells" / floors[-1], floor_records(name, number))
        for (less, seed), (fewer, penalty) in itertools.product(enumerate(seeds), enumerate(penalties)):
            cells.append(f"cell-{number}-{less}-{fewer}")
            hits = [max(0, count - less - fewer) for count in (number, 2, 3)]
            write_attack(folder / "cells" / cells[-1], name, hits, penalty, seed)
        rows.append(
            RunRow(
                name=name,
                title=title,
                alpha=0.0,
                checkpoint=f"checkpoints/smoke/{'baseline' if name == 'baseline' else 'none'}.keras",
                weights_sha256=weights if name == "baseline" else "f" * 64,
                test_correct=90 + number,
                test_images=100,
                training={
                    "settings": {"epochs": 1, "seed": 0, "train_sha256": "b" * 64, "precision": "float32"},
                    "test_sha256": "c" * 64,
                },
            )
        )
    return store(folder, run_of("white_box", rows, cells, floors, **more), {})


def write_attack(folder: Path, name: str, hits: Sequence[int], penalty: float = 0.002, seed: int = 0) -> None:
    """Write a cell whose targets change as many predictions as `hits` says."""
    mine = [
        one
        for count, target in zip(hits, TARGETS, strict=True)
        for one in records(name, target, count, penalty=penalty, seed=seed)
    ]
    loss, success = curves(hits, penalty)
    perturbation = np.stack([sticker(target) for target in TARGETS])
    write_cell(folder, mine, perturbation=perturbation, loss=loss, success=success)


def curves(hits: Sequence[int], penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Loss and success, (steps + 1, targets), that end at `hits` and fall to a tenth."""
    up = np.linspace(0, 1, STEPS + 1, dtype=np.float32)[:, None]
    return (10 - 9 * up) * (1 + penalty + np.zeros(len(hits), np.float32)), up * np.array(hits, np.float32) / N


def write_ablation(folder: Path, **more: Any) -> StoredRun:
    rows = [
        RunRow(
            name=name, title=name, weights_sha256="a" * 64, test_correct=9, test_images=10,
            extra={"layer": layer, "size": size},
        )
        for name, layer, size in (("baseline", 0, 0), ("blur_3x3_after_1", 1, 3))
    ]  # fmt: skip
    mine = [
        one for hits, row in zip((4, 2), rows, strict=True) for one in records(row.name, 17, hits, source="baseline")
    ]
    run = run_of("ablation", rows, ["one"], **{"attack": AT_ONE} | more)
    stored = store(folder, run, {"one": mine}, **attacked_arrays())
    picture(folder / "ablation.png", 6)
    return stored


def write_studies(folder: Path) -> StoredRun:
    """Write two runs that vary one thing."""
    rows = [
        RunRow(
            name=name, title="Baseline", alpha=0.0, test_correct=96, test_images=100, change=change,
            extra={"total_variation": 26.75, "relative_total_variation": 0.625},
        )
        for name, change in (("run__first", "none"), ("run__second", "alpha <1>, `quick`"))
    ]  # fmt: skip
    for hits, row in enumerate(rows, 1):
        write_cell(folder / "cells" / f"floor-{row.name}", floor_records(row.name, hits))
        write_attack(folder / "cells" / row.name, row.name, (hits, 2, 3))
    names = [row.name for row in rows]
    return store(folder, run_of("study", rows, names, [f"floor-{name}" for name in names]), {})


def write_models(folder: Path) -> list[StoredRun]:
    """Write both experiments on a model of somebody's own."""
    described: dict[str, Any] = {
        "checkpoint": f"/somewhere/{OWN}",
        "weights_sha256": "9" * 64,
        "extra": {"model": {"output": "logits"}},
    }
    first = RunRow(name=OWN, title=OWN, **described)
    write_attack(folder / "whitebox" / "cells" / "attack", OWN, (1, 2, 3))
    run = run_of("model_white_box", [first], ["attack"], ["floor"], training_data=None)
    white_box = store(folder / "whitebox", run, {"floor": floor_records(OWN, 1)})
    filtered = RunRow(name=f"{OWN}_input_3x3", title="Input filter 3x3", **described)
    mine = [*records(OWN, 17, 3), *records(filtered.name, 17, 1, source=OWN)]
    run = run_of("model_transfer", [first, filtered], ["one"], attack=AT_ONE, training_data=None)
    return [white_box, store(folder / "blackbox", run, {"one": mine}, **attacked_arrays())]
