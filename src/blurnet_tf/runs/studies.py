"""The runs of docs/reproduction.md: what moves the numbers of Table 2, one thing at a time."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from numpy.typing import ArrayLike

from blurnet_tf.attacks import NPS, RP2
from blurnet_tf.models import VARIANTS, Variant
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

    @property
    def is_row(self) -> bool:
        """Whether the model is a row of Table 2, with the checkpoint of `make train`."""
        return self.recipe.variant.name in VARIANTS

    def attack_with(self, palette: ArrayLike) -> RP2:
        """Return the attack, with the score of a palette if the study has one."""
        if self.nps is None:
            return self.attack
        return dataclasses.replace(self.attack, penalties=(NPS(palette, mode=self.nps),))


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
) -> Study:
    base = VARIANTS[variant]
    trained = f"{variant}__{name}" if (defence or training or split != "track") else variant
    title = base.title if trained == variant else f"{base.title}: {change}"
    changed = Variant.from_settings({**base.settings(), **(defence or {}), "name": trained}, title=title)
    return Study(
        name=f"{variant}__{name}" if name else variant,
        change=change,
        recipe=dataclasses.replace(recipe(preset, variant), variant=changed, **(training or {})),  # type: ignore[arg-type]
        preset=preset,
        split=split,
        attack=dataclasses.replace(RP2(), **(attack or {})),  # type: ignore[arg-type]
        nps=nps,
    )


# fmt: off
STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        _study("baseline", "", "none: the `quick` preset"),
        _study("tv_1e-4", "", "none: the `quick` preset"),
        _study("depthwise_7x7", "", "none: the `quick` preset"),
        *(_study(variant, f"seed-{seed}", f"training seed {seed}", training={"seed": seed})
          for variant in ("baseline", "tv_1e-4") for seed in (1, 2)),
        _study("baseline", "attack-seed-1", "attack seed 1", attack={"seed": 1}),
        *(_study(variant, f"constant-{epochs}", f"constant learning rate, {epochs} epochs",
                 training={"schedule": "constant", "epochs": epochs})
          for variant in ("baseline", "tv_1e-4") for epochs in (24, 100, 400)),
        *(_study(variant, "constant-2000", "the `paper` preset: constant, 2000 epochs", preset="paper")
          for variant in ("baseline", "tv_1e-4")),
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
        _study("baseline", "lambda-0", "lambda 0", attack={"penalty": 0.0}),
        _study("baseline", "lambda-0.2", "lambda 0.2", attack={"penalty": 0.2}),
        _study("baseline", "nps-original", "NPS as in RP2's code", nps="original"),
        _study("baseline", "nps-corrected", "NPS of the printed colour", nps="corrected"),
    )
}
# fmt: on
"""Every run by name, in the order of the table. The first three are the ones that the others differ from."""
