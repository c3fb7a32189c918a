"""The runs of docs/reproduction.md: what moves the numbers of Table 2, one thing at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from blurnet_tf.attacks import NPS, RP2
from blurnet_tf.attacks.transforms import place
from blurnet_tf.data.dataset import Dataset
from blurnet_tf.evaluation.feature_maps import kernel_roughness, roughness
from blurnet_tf.evaluation.metrics import stacked_dissimilarity
from blurnet_tf.evaluation.scoring import predict, recall
from blurnet_tf.models import VARIANTS, Variant
from blurnet_tf.runs.checkpoints import checkpoint_path, train_checkpoint, train_variant
from blurnet_tf.runs.experiments import Subject, white_box
from blurnet_tf.runs.run import StoredRun
from blurnet_tf.runs.setting import Setting
from blurnet_tf.training.recipes import Recipe, recipe


@dataclass(frozen=True, kw_only=True)
class Study:
    """One run."""

    name: str
    change: str  # what differs from the first run of the same variant
    recipe: Recipe  # its variant has the name of the training, which studies may share
    preset: str  # whose recipe it is, where that is unchanged: then the checkpoint is that of `make train`
    split: str  # of LISA
    attack: RP2
    nps: str | None  # mode of a non-printability score with the palette of the data
    seen: str  # the row whose checkpoint the attack sees; "": the model itself

    @property
    def is_row(self) -> bool:
        """Whether the model is a row of Table 2, with the checkpoint of `make train`."""
        return self.recipe.variant.name in VARIANTS

    def attack_with(self, palette: ArrayLike) -> RP2:
        """Return the attack, with the score of a palette if the study has one."""
        if self.nps is None:
            return self.attack
        return dataclasses.replace(self.attack, penalties=(NPS(palette, mode=self.nps),))


def run_study(
    study: Study, data: Dataset, setting: Setting, *, folder: Path, results: Path, precision: str = "auto"
) -> StoredRun:
    """Train and attack what one study needs and is not there, and return its run of one row.

    Args:
        study: One of `STUDIES`.
        data: LISA, with the study's split.
        setting: RP2's photographs, mask and palette.
        folder: Of the checkpoints.
        results: Folder for the cells.
        precision: As for `white_box`.
    """
    variant = study.recipe.variant
    path = folder / "studies" / f"{variant.name}.keras"
    if study.is_row:  # of a table: the checkpoint of `make train`
        path = checkpoint_path(folder, data.key, study.preset, variant.name)
    trained = train_checkpoint(study.recipe, data, path=path, precision=precision)
    seen = train_variant(study.seen, data, folder=folder, precision=precision) if study.seen else None
    test = data.test()
    facts = {
        **roughness(trained.model, test.images),
        **kernel_roughness(trained.model),
        **recall(predict(trained.model, test.images), test.labels),
    }
    if study.recipe.pixel_scale != 1:
        scaled = predict(trained.model, test.images * np.float32(study.recipe.pixel_scale))
        facts["accuracy_as_trained"] = float((scaled == test.labels).mean())
    row = trained.row(name=study.name, change=study.change, extra=facts)
    stored = white_box(
        [Subject(spec=trained.spec(name=study.name), row=row)],
        setting,
        attacks=[study.attack_with(setting.palette)],
        source=seen,
        results=results,
        training_data=data,
        precision=precision,
        kind="study",
    )
    facts["l2_stacked"] = _stacked(stored, setting)
    return stored


def _stacked(stored: StoredRun, setting: Setting) -> float:
    """Return Eq. 1 with one norm over all images of an attack, the mean over the attacks."""
    images = setting.images.images
    found = []
    for cell in stored.cells:
        attacked = place(images, cell.arrays["perturbation"]).numpy()
        found += [stacked_dissimilarity(images, one) for one in attacked]
    return float(np.mean(found))


def _study(
    variant: str,
    name: str,
    change: str,
    *,
    preset: str = "quick",
    split: str = "track",
    defence: dict[str, object] | None = None,
    training: dict[str, object] | None = None,
    attack: dict[str, object] | None = None,
    nps: str | None = None,
    seen: str = "",
) -> Study:
    base = VARIANTS[variant]
    trained = f"{variant}__{name}" if (defence or training or split != "track") else variant
    title = base.title if trained == variant else f"{base.title}: {change}"
    kept = {} if defence and "defenses" in defence else base.settings()
    changed = Variant.from_settings({**kept, **(defence or {}), "name": trained}, title=title)
    return Study(
        name=f"{variant}__{name}" if name else variant,
        change=change,
        recipe=dataclasses.replace(recipe(preset, variant), variant=changed, **(training or {})),  # type: ignore[arg-type]
        preset=preset,
        split=split,
        attack=dataclasses.replace(RP2(), **(attack or {})),  # type: ignore[arg-type]
        nps=nps,
        seen=seen,
    )


def _settled() -> Iterator[Study]:
    """Yield what may make the paper's total variation what it says, each after 24 and after 100 epochs."""
    changes: list[tuple[str, str, str, dict[str, object], dict[str, object]]] = []  # as `_study` takes them
    slow: dict[str, object] = {"learning_rate": 1e-4}
    for variant in ("baseline", "tv_1e-4"):
        for end, words, rate in (("", "", {}), ("-slow", ", rate 1e-4", slow)):
            changes += [
                (variant, f"class-order{end}", f"batches in class order{words}", {"order": "class", **rate}, {}),
                (variant, f"softmax-twice{end}", f"softmax twice{words}", {"softmax_twice": True, **rate}, {}),
            ]
        scaled = "trained on 0 to 255, attacked on 0 to 1"
        changes.append((variant, "scale-255", scaled, {"pixel_scale": 255.0}, {}))
    for alpha in (0.82, 0.082):
        weight: dict[str, object] = {"alpha_tv": alpha}
        released = f"alpha {alpha:g} from RP2's weights, rate 1e-4"
        changes += [
            ("tv_1e-4", f"alpha-{alpha:g}", f"alpha {alpha:g}: the sum without 1/(N K)", {}, weight),
            ("tv_1e-4", f"alpha-{alpha:g}-from-rp2", released, {"init": "rp2_release", **slow}, weight),
        ]
    for form, alphas in (("smooth", (1e-4, 0.1)), ("squared", (1e-4, 0.1)), ("relative", (0.1, 1.0))):
        for alpha in alphas:
            other = _other("TotalVariation", alpha=alpha, form=form)
            changes.append(("tv_1e-4", f"{form}-{alpha:g}", f"{form} TV, alpha {alpha:g}", {}, other))
    changes.append(
        ("baseline", "unit-norm", "first-layer kernels of norm 1", {}, _other("UnitNorm", axis=[0, 1, 2]))
    )  # fmt: skip
    for alpha in (1e-4, 1e-2, 1.0):
        kernels = _other("KernelTotalVariation", alpha=alpha)
        changes.append(("tv_1e-4", f"kernels-{alpha:g}", f"TV of the kernels, alpha {alpha:g}", {}, kernels))
    for variant, name, change, training, defence in changes:
        yield _study(variant, name, change, training=training, defence=defence)
    longer: dict[str, object] = {"epochs": 100}
    for variant in ("baseline", "tv_1e-4"):
        yield _study(variant, "epochs-100", "100 epochs", training=longer)
    for variant, name, change, training, defence in changes:
        yield _study(variant, f"{name}-100", f"{change}, 100 epochs", training={**training, **longer}, defence=defence)


def _other(layer: str, **settings: object) -> dict[str, object]:
    """Return the change of a variant that has another defence on the first layer instead of its own."""
    return {"defenses": [{"after": "conv1", "layer": layer, "settings": settings}]}


_RELEASED: dict[str, object] = {"learning_rate": 0.01, "perturbation_clip": (-0.5, 0.5)}

# fmt: off
STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        _study("baseline", "", "none: the `quick` preset"),
        _study("tv_1e-4", "", "none: the `quick` preset"),
        _study("depthwise_7x7", "", "none: the `quick` preset"),
        _study("rp2_release", "", "none: as its authors released it"),
        *(_study(variant, f"seed-{seed}", f"training seed {seed}", training={"seed": seed})
          for variant in ("baseline", "tv_1e-4") for seed in (1, 2)),
        _study("baseline", "attack-seed-1", "attack seed 1", attack={"seed": 1}),
        *(_study(variant, f"constant-{epochs}", f"constant learning rate, {epochs} epochs",
                 training={"schedule": "constant", "epochs": epochs})
          for variant in ("baseline", "tv_1e-4") for epochs in (24, 100, 400)),
        *(_study(variant, "constant-2000", "the `paper` preset: constant, 2000 epochs", preset="paper")
          for variant in ("baseline", "depthwise_3x3", "depthwise_5x5", "depthwise_7x7", "tv_1e-4", "tv_1e-5")),
        _study("baseline", "random-split", "random split (leaks)", split="random"),
        *(_study(variant, "from-rp2", "starts from RP2's weights", training={"init": "rp2_release"})
          for variant in ("baseline", "tv_1e-4", "depthwise_7x7")),
        *(_study("tv_1e-4", f"alpha-{alpha:g}", f"alpha {alpha:g}", defence={"alpha_tv": alpha})
          for alpha in (0.01, 0.1, 1.0)),
        _study("tv_1e-4", "before-relu", "TV before the ReLU", defence={"tv_before_relu": True}),
        _study("tv_1e-4", "alpha-0.1-before-relu", "alpha 0.1, TV before the ReLU",
               defence={"alpha_tv": 0.1, "tv_before_relu": True}),
        _study("depthwise_7x7", "random-start", "filters start at random", defence={"depthwise_start": "random"}),
        _study("depthwise_7x7", "alpha-0", "alpha 0: no penalty", defence={"alpha": 0.0}),
        _study("depthwise_7x7", "fixed-box", "a fixed 7x7 box, no filter is learned",
               defence={"alpha": 0.0, "depthwise": 0, "feature_blur": 7}),
        _study("depthwise_7x7", "seed-1", "training seed 1", training={"seed": 1}),
        _study("depthwise_7x7", "random-start-seed-1", "filters start at random, training seed 1",
               defence={"depthwise_start": "random"}, training={"seed": 1}),
        *_settled(),
        _study("baseline", "lambda-0", "lambda 0", attack={"penalty": 0.0}),
        _study("baseline", "lambda-0.2", "lambda 0.2", attack={"penalty": 0.2}),
        *(_study("rp2_release", f"published-{penalty:g}", f"lambda {penalty:g}, d within 0.5, rate 0.01: RP2's script",
                 attack={"penalty": penalty, **_RELEASED}) for penalty in (0.002, 0.02, 0.2, 1.0, 2.0)),
        *(_study(variant, "baselines-stickers", "the stickers of the baseline, not its own", seen="baseline")
          for variant in ("tv_1e-4", "tv_1e-5")),
        _study("baseline", "nps-original", "NPS as in RP2's code", nps="original"),
        _study("baseline", "nps-corrected", "NPS of the printed colour", nps="corrected"),
    )
}
# fmt: on
"""Every run by name, in the order of the table. The first three are the ones that the others differ from."""
