"""How much work an experiment does. Defaults < preset < command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import keras

from blurnet_tf.attacks import from_config
from blurnet_tf.checks import shown
from blurnet_tf.models import Variant
from blurnet_tf.models.variants import find_variant
from blurnet_tf.training.procedures import PROCEDURES, Plain, Procedure, find_procedure


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The settings that differ between a smoke test and a published run."""

    steps: int  # of RP2
    penalties: tuple[float, ...]  # the lambdas of the white-box sweep
    epochs: int
    schedule: str  # of the learning rate, one of `SCHEDULES`
    per_class: int = 300  # rendered training signs of each class
    test_per_class: int = 60  # rendered signs of each class that are held out


PRESETS: dict[str, Preset] = {
    # Seconds, to show that everything runs; and minutes on two cores.
    "smoke": Preset(steps=20, penalties=(0.002,), epochs=2, schedule="constant", per_class=30, test_per_class=10),
    "quick": Preset(steps=300, penalties=(0.002,), epochs=24, schedule="late_cosine"),
    # The protocol of the paper: 2000 epochs, section 2.2.3, and 300 steps, section 3.2. The paper sweeps lambda without
    # naming its values: these are decades around the 0.002 of its Table 1. After 300 steps the penalty lies between
    # 0.003 and 2.6, where the cross-entropy is between 3 and 30.
    "paper": Preset(steps=300, penalties=(0.0002, 0.002, 0.02, 0.2), epochs=2000, schedule="constant"),
}


SCHEDULES: dict[str, str] = {
    "constant": "one rate throughout",
    "late_cosine": "constant for three quarters of the steps, then down to 0 on a cosine",
    "cosine": "up to the rate within a twentieth of the steps, then down to 0 on a cosine",
}
"""What the learning rate does over a training."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the training of a procedure has instead of the preset's."""

    longer: int = 1  # how many times the preset's epochs
    learning_rate: float = 1e-3
    schedule: str = ""  # "": the preset's


PLANS: dict[str, Plan] = {"adversarial_stickers": Plan(longer=3, learning_rate=2e-3, schedule="cosine")}
"""Plans by the name of the procedure; the others have the preset's epochs, rate and schedule."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model is trained."""

    variant: Variant
    procedure: Procedure = Plain()
    epochs: int
    schedule: str = "constant"  # one of `SCHEDULES`
    learning_rate: float = 1e-3  # Adam's default: the paper names Adam and its betas, but no rate
    batch_size: int = 128
    seed: int = 0  # of the start and of the order of the images
    init: str = "random"  # or "rp2_release": start from the weights that RP2's authors released
    # What a study may do otherwise; none of it is in the settings of another training.
    order: str = "shuffled"  # or "class": unshuffled, one class after the other
    softmax_twice: bool = False  # whether the loss takes the softmax of the logits for logits
    pixel_scale: float = 1.0  # what the images are multiplied by, those that the epochs are scored on too

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"`schedule` must be one of {', '.join(SCHEDULES)}. Received: schedule={self.schedule!r}")

    @property
    def name(self) -> str:
        """The name of the row: the variant, or ``variant+procedure``."""
        return row_name(self.variant, self.procedure)

    def settings(self) -> dict[str, Any]:
        """Return everything but the variant, as JSON can write it.

        What older checkpoints do not know is left out where it changes nothing: these stay valid.
        """
        known = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "variant"}
        for name, usual in _LATER.items():
            if known[name] == usual:
                del known[name]
        if "procedure" in known:
            known["procedure"] = self.procedure.to_config()
        return known

    def to_json(self) -> dict[str, Any]:
        """Return the whole recipe, as JSON can write it."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return known | {"variant": self.variant.settings(), "procedure": self.procedure.to_config()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Recipe:
        """Return the recipe that `to_json` wrote."""
        parts = {"variant": Variant.from_settings(content["variant"]), "procedure": from_config(content["procedure"])}
        return cls(**{**content, **parts})


_LATER: dict[str, Any] = {"procedure": Plain(), "order": "shuffled", "softmax_twice": False, "pixel_scale": 1.0}


def recipe(
    preset: str, row: str | Variant, *, procedure: str | Procedure | None = None, seed: int = 0, init: str = "random"
) -> Recipe:
    """Return how a preset trains a row, ``variant`` or ``variant+procedure``; raise ValueError if a word is unknown.

    `procedure` is for a row that does not name one.

    Example:
        >>> recipe("quick", "depthwise_7x7+stickers").name
        'depthwise_7x7+stickers'
    """
    if preset not in PRESETS:
        raise ValueError(f"`preset` must be one of {', '.join(PRESETS)}. Received: preset={preset!r}")
    work = PRESETS[preset]
    variant, named = find_row(row)
    how = named if procedure is None else find_procedure(procedure)
    plan = PLANS.get(_known_name(how), Plan())
    return Recipe(
        variant=variant,
        procedure=how,
        epochs=work.epochs * plan.longer,
        schedule=plan.schedule or work.schedule,
        learning_rate=plan.learning_rate,
        seed=seed,
        init=init,
    )


def learning_rate(recipe: Recipe, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate of a training of so many steps.

    Example:
        >>> rate = learning_rate(recipe("quick", "vote_cnn+adversarial_stickers"), 100)
        >>> [round(float(rate(step)), 6) for step in (0, 5, 100)]
        [0.0001, 0.002, 0.0]
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    # A warm-up to the rate that it starts from is what keeps the rate constant.
    part, rise = (1 / 20, max(1, steps // 20)) if recipe.schedule == "cosine" else (1, steps * 3 // 4)
    return keras.optimizers.schedules.CosineDecay(
        part * recipe.learning_rate, decay_steps=steps - rise, warmup_target=recipe.learning_rate, warmup_steps=rise
    )


def find_row(row: str | Variant) -> tuple[Variant, Procedure]:
    """Return the variant and the procedure of a row; raise ValueError if one of them is unknown.

    Example:
        >>> variant, procedure = find_row("baseline+doa")
        >>> variant.name, procedure.search
        ('baseline', 'gradient')
    """
    if isinstance(row, Variant):
        return row, Plain()
    if not isinstance(row, str):
        raise ValueError(f"`variant` must be the name of a row, or a Variant. Received: {shown(row)}")
    name, plus, procedure = row.partition("+")
    found = find_variant(name), find_procedure(procedure if plus else "plain")
    if name == "rp2_release" and plus:
        raise ValueError(
            f"`variant` must be one that is trained, to have a procedure. Received: {row!r}; with init='rp2_release' a "
            "training starts from those weights"
        )
    return found


def row_name(variant: Variant, procedure: Procedure) -> str:
    """Return the name of a row, which `find_row` finds again if variant and procedure are those of the tables."""
    return variant.name + _behind(procedure)


def row_title(variant: Variant, procedure: Procedure) -> str:
    """Return what a row is called in a table.

    Example:
        >>> row_title(*find_row("depthwise_7x7+stickers"))
        '7x7 conv + stickers'
    """
    return variant.title + _behind(procedure).replace("+", " + ")


def _behind(procedure: Procedure) -> str:
    """Return the part of a row's name that says how it is trained: nothing if plainly, like the paper."""
    if procedure == Plain():
        return ""
    return "+" + (_known_name(procedure) or type(procedure).__name__.lower())


def _known_name(procedure: Procedure) -> str:
    """Return under which name of `PROCEDURES` a procedure stands, or ""."""
    return next((name for name, one in PROCEDURES.items() if one == procedure), "")
