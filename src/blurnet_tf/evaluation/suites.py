"""The suites of `benchmark`: which attacks are tried on a model, each a `Trial` that says what else it is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blurnet_tf.attacks import (
    RP2,
    Attack,
    Expectation,
    GradientAttack,
    MapsTotalVariation,
    Margin,
    MaskSearch,
    Palette,
    SquareAttack,
)
from blurnet_tf.attacks.bases import LowFrequency
from blurnet_tf.attacks.gradients import SPSA

STARTS = ("white", "black", "random_colour", "uniform")
BLACK_AND_WHITE = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
PENALTY_WEIGHT = 1e-2  # of the layer's total variation: the sum of a map, where the margin is of single logits


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One attack of a suite.

    Attributes:
        name: Of the row.
        attack: Any attack. Its seed is that of the benchmark.
        targeted: Whether it is made once for each class that is no label; otherwise away from the labels.
        best: Whether its best step is scored too.
        large: Whether it may paint the octagon, the whole sign, instead of the stickers.
        held_out: Whether the attack sees every second image, and the others are scored.
        longer_than: The trial that this one is with three times the steps; "" for none.
        layer: Whether it needs the name of the model's first convolution, which `of_layer` puts in.
        transfer: Whether the stickers that it makes on other models are shown to this one, too.
    """

    name: str
    attack: Attack
    targeted: bool = False
    best: bool = False
    large: bool = False
    held_out: bool = False
    longer_than: str = ""
    layer: bool = False
    transfer: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.strip()):
            raise ValueError(f"`name` must be a name. Received: name={self.name!r}")
        if not isinstance(self.attack, Attack):
            raise ValueError(f"`attack` must be an Attack. Received: attack={self.attack!r}")
        if self.held_out and self.attack.per_image:
            raise ValueError(f"`held_out` needs one sticker for all images. Received: {self.name}, one for each")
        if self.layer and not isinstance(self.attack, RP2):
            raise ValueError(f"`layer` needs RP2, for its penalties. Received: {self.name}, {self.attack.name}")
        if self.transfer and (self.large or self.held_out):
            raise ValueError(f"`transfer` is of stickers in the mask, on all images. Received: {self.name}")

    def of_layer(self, layer: str) -> Trial:
        """Return the trial with the total variation of a layer's maps in its objective."""
        term = MapsTotalVariation(layer=layer, weight=PENALTY_WEIGHT)
        return dataclasses.replace(self, attack=dataclasses.replace(self.attack, penalties=(term,)))  # type: ignore[call-arg]


def margin(steps: int, *, restarts: int, sharing: str = "shared", **more: Any) -> RP2:
    """Return the strong form of RP2: opaque paint, the margin loss, no norm, several starts."""
    settings = {"basis": "paint", "start": STARTS, **more}
    return RP2(steps=steps, loss=Margin(1.0), norm=None, sharing=sharing, restarts=restarts, **settings)


_SQUARE = SquareAttack(steps=500, sharing="per_image")
_QUICK = (
    Trial(name="shared", attack=margin(150, restarts=8), best=True),
    Trial(name="per image", attack=margin(150, restarts=4, sharing="per_image"), best=True, transfer=True),
    Trial(name="square", attack=_SQUARE),
    Trial(name="large", attack=margin(100, restarts=2, start=("white", "uniform"), sharing="per_image"), large=True),
)
_STANDARD = (
    Trial(name="RP2", attack=RP2(), targeted=True, best=True),
    *_QUICK,
    Trial(name="shared, long", attack=margin(450, restarts=8), best=True, longer_than="shared"),
    Trial(
        name="per image, long",
        attack=margin(450, restarts=4, sharing="per_image"),
        best=True,
        longer_than="per image",
    ),
    Trial(name="shared, held out", attack=margin(150, restarts=8), held_out=True),
    Trial(name="square, shared", attack=SquareAttack(steps=500)),
    Trial(name="SPSA", attack=margin(60, restarts=2, start=("white", "uniform"), sharing="per_image",
                                     gradient=SPSA(samples=8))),
    Trial(name="PGD", attack=GradientAttack(method="pgd", epsilon=1.0, step_size=0.1, steps=40)),
    Trial(name="MIM", attack=GradientAttack(method="mim", epsilon=1.0, step_size=0.1, steps=40)),
    Trial(name="low frequency", attack=margin(150, restarts=4, sharing="per_image", basis=LowFrequency(4))),
    Trial(
        name="black and white",
        attack=margin(150, restarts=2, start=("white", "uniform"), sharing="per_image", basis=Palette(BLACK_AND_WHITE)),
    ),
    Trial(name="smooth maps", attack=margin(150, restarts=4, sharing="per_image"), layer=True),
)  # fmt: skip
_FULL = (
    *_STANDARD,
    Trial(name="RP2, 1000 steps", attack=RP2(steps=1000), targeted=True, best=True),
    *(Trial(name=f"RP2 from {start}", attack=RP2(start=start), targeted=True, best=True)
      for start in ("white", "black", "random_colour")),
    Trial(name="targets", attack=margin(300, restarts=1, start="uniform"), targeted=True, best=True),
    Trial(name="targets, per image", attack=margin(300, restarts=1, start="uniform", sharing="per_image"),
          targeted=True, best=True),
    Trial(name="RP2, physical", attack=RP2(expectation=Expectation.physical()), targeted=True),
    Trial(name="physical", attack=margin(300, restarts=4, expectation=Expectation.physical())),
    Trial(name="mask search", attack=MaskSearch(final=margin(150, restarts=8)), large=True),
    Trial(name="FGM", attack=GradientAttack(method="fgm", epsilon=1.0, steps=1)),
    Trial(name="black or white stickers", attack=margin(
        150, restarts=2, start=("white", "uniform"), basis=Palette(BLACK_AND_WHITE, per="sticker"))),
    Trial(name="square, long", attack=SquareAttack(steps=5000, sharing="per_image")),
)  # fmt: skip

SUITES: dict[str, tuple[Trial, ...]] = {"quick": _QUICK, "standard": _STANDARD, "full": _FULL}
"""The attacks of each suite: "quick" for under 90 seconds a model on two cores, "standard" for under five minutes."""

CURVE: tuple[Trial, ...] = (
    Trial(name="shared", attack=margin(200, restarts=4), best=True),
    Trial(name="per image", attack=margin(200, restarts=4, sharing="per_image"), best=True),
)
"""What is tried at each area of the curve."""


def trials_of(suite: str | Sequence[Attack | Trial]) -> tuple[Trial, ...]:
    """Return the trials of a suite by its name, or of attacks of one's own, each made away from the labels.

    Raises:
        ValueError: There is no such suite, the list is empty, or two trials have the same name.

    Example:
        >>> [trial.name for trial in trials_of("quick")]
        ['shared', 'per image', 'square', 'large']
    """
    if isinstance(suite, str) and suite in SUITES:
        return SUITES[suite]
    if isinstance(suite, str) or not isinstance(suite, Sequence):
        raise ValueError(
            f"`suite` must be one of {', '.join(map(repr, SUITES))}, or a list of attacks. Received: {suite!r}"
        )
    trials = tuple(
        one if isinstance(one, Trial) else Trial(name=f"{one.name} {one.digest}", attack=one)
        for one in suite
        if isinstance(one, (Trial, Attack))
    )
    if not trials or len(trials) < len(suite) or len({trial.name for trial in trials}) < len(trials):
        raise ValueError(f"`suite` must be a list of different attacks. Received: {suite!r}")
    return trials
