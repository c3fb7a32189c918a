"""The controls: rows that differ from those of the paper's Table 2 in how they are trained, each of several seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blurnet_tf.data.dataset import Dataset
from blurnet_tf.evaluation.feature_maps import kernel_roughness, roughness
from blurnet_tf.evaluation.scoring import held_out_accuracy
from blurnet_tf.evaluation.suites import Trial, margin
from blurnet_tf.models import INPUT_VARIANTS, KERNEL_VARIANTS, VARIANTS, feature_layer
from blurnet_tf.runs.benchmarks import check
from blurnet_tf.runs.checkpoints import Checkpoint, train_variant
from blurnet_tf.runs.experiments import Subject, merged
from blurnet_tf.runs.own import Candidate
from blurnet_tf.runs.run import StoredRun
from blurnet_tf.runs.threat_model import ThreatModel

_VARIANTS = ("baseline", "depthwise_3x3", "depthwise_5x5", "depthwise_7x7", "fixed_3x3", "fixed_5x5", "tv_1e-4")
_HARDENED = tuple(
    f"{variant}+{procedure}"
    for procedure in ("gaussian", "adversarial", "doa", "universal")
    for variant in ("baseline", "depthwise_5x5")
)
CONTROLS: tuple[str, ...] = (
    *_VARIANTS,
    *(f"{variant}+stickers" for variant in _VARIANTS),
    *_HARDENED,
    *KERNEL_VARIANTS,
    *INPUT_VARIANTS,
)  # fmt: skip
"""The rows of Table 3. The filters of the image stand in front of the baseline's weights, the others are trained."""

SIGNS = "signs"
"""The folder, in that of the controls, of what is tried on the held-out signs of one class."""

AREAS: tuple[int, ...] = (48, 96, 144)
"""The areas of two bars that the first training seed is tried on."""

ON_SIGNS: tuple[Trial, ...] = (
    Trial(name="per image", attack=margin(150, restarts=2, start=("white", "uniform"), sharing="per_image"), best=True),
)
"""What is tried on the held-out signs, which are many: a sticker for each."""


def control(
    row: str,
    seed: int,
    data: Dataset,
    *,
    results: Path,
    folder: Path,
    suite: str = "standard",
    areas: Sequence[int] = (),
    sign: str | None = "stop",
    preset: str = "quick",
    precision: str = "auto",
    threat_model: ThreatModel | None = None,
) -> tuple[StoredRun, StoredRun | None]:
    """Train one row with one seed, if that is not done, and benchmark it: on the victims, and on held-out signs.

    Args:
        row: ``variant`` or ``variant+procedure``; one of `INPUT_VARIANTS` stands before the baseline of that seed.
        seed: Of the training. Attacks have the seed 0.
        data: What it is trained and tested on, and whose victims are attacked.
        results: Folder for the cells.
        folder: Of the checkpoints.
        suite: Of `check`.
        areas: Of its curve.
        sign: The class whose held-out images are attacked as well; `None`: none.
        preset: As for `train_variant`.
        precision: Likewise.
        threat_model: Of the victims; by default RP2's.
    """
    filtered = row in INPUT_VARIANTS
    trained = train_variant(
        "baseline" if filtered else row, data, folder=folder, preset=preset, seed=seed, precision=precision
    )
    model = _candidate(trained, row, seed, data, filtered=filtered)
    given: dict[str, Any] = {"training_data": data, "precision": precision, "preset": preset}
    return measure(
        model,
        data,
        results=results,
        suite=suite,
        areas=areas,
        sign=sign,
        threat_model=threat_model,
        kind="controls",
        **given,
    )


def measure(
    model: Candidate,
    data: Dataset,
    *,
    results: Path,
    suite: str | Sequence[Trial],
    areas: Sequence[int],
    sign: str | None,
    threat_model: ThreatModel | None = None,
    kind: str = "check",
    **given: Any,
) -> tuple[StoredRun, StoredRun | None]:
    """Benchmark a model on the victims, in bars of some areas, and on the held-out signs of a class, if one is named.

    Arguments as for `control`; `given` are further ones of `check`, for both.
    """
    on_victims = check(
        [model],
        data,
        results=results,
        threat_model=threat_model,
        suite=suite,
        areas=areas,
        families=("bars",),
        kind=kind,
        **given,
    )
    if sign is None:
        return on_victims, None
    threat = ThreatModel(images="test", label=sign, sharing="per_image")
    return on_victims, check([model], data, results=results / SIGNS, threat_model=threat, suite=ON_SIGNS, **given)


def together(runs: Sequence[tuple[StoredRun, StoredRun | None]]) -> tuple[StoredRun, StoredRun | None]:
    """Return what `control` gave of all rows and seeds as one run on the victims, and one on the signs."""
    signs = [one for _, one in runs if one is not None]
    return merged([one for one, _ in runs]), merged(signs) if signs else None


def _candidate(trained: Checkpoint, row: str, seed: int, data: Dataset, *, filtered: bool) -> Candidate:
    variant = VARIANTS[row] if filtered else None
    model = trained.model if variant is None else trained.with_variant(variant)
    test = data.test()
    accuracy = held_out_accuracy(model, test)
    facts = {"row": row, "train_seed": seed, **roughness(trained.model, test.images), **kernel_roughness(trained.model)}
    name = f"{row}_seed-{seed}"
    told = trained.row(variant, name=name, test_correct=accuracy.count, test_images=accuracy.n, extra=facts)
    told = dataclasses.replace(told, title=f"{told.title}, seed {seed}")
    return Candidate(
        subject=Subject(spec=trained.spec(variant, name=name), row=told), layer=feature_layer(trained.model)
    )
