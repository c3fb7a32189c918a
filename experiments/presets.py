"""How much work an experiment does. Defaults < preset < command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The settings that differ between a smoke test and a published run.

    Attributes:
        steps: Steps of RP2.
        epochs: Passes over the training images.
        per_class: Rendered training signs of each class.
        test_per_class: Rendered signs of each class that are held out.
    """

    steps: int
    epochs: int
    per_class: int
    test_per_class: int


PRESETS: dict[str, Preset] = {
    # Seconds: shows that everything runs. Its numbers mean nothing.
    "smoke": Preset(steps=20, epochs=2, per_class=30, test_per_class=10),
    # Minutes on two cores.
    "quick": Preset(steps=300, epochs=15, per_class=300, test_per_class=60),
    # The protocol of the paper: 2000 epochs, section 2.2.3, and 300 steps, section 3.2.
    "paper": Preset(steps=300, epochs=2000, per_class=300, test_per_class=60),
}
