"""The words that stand for parts of RP2. All parts are frozen dataclasses, all tensors float32."""

from __future__ import annotations

from typing import Any

from blurnet_tf.attacks.bases import Basis, LowFrequency, Paint, Pixels
from blurnet_tf.attacks.config import Part
from blurnet_tf.attacks.gradients import SPSA, Exact, Gradient
from blurnet_tf.attacks.losses import CrossEntropy, Loss, Margin, MeanSquaredError
from blurnet_tf.attacks.sharing import PerImage, Shared, Sharing
from blurnet_tf.attacks.starts import Colour, RandomColour, Start, Uniform

WORDS: dict[str, tuple[type[Part], dict[str, Part]]] = {
    "loss": (Loss, {"cross_entropy": CrossEntropy(), "mse": MeanSquaredError(), "margin": Margin()}),
    "basis": (Basis, {"pixels": Pixels(), "paint": Paint(), "low_frequency": LowFrequency()}),
    "start": (
        Start,
        {"uniform": Uniform(), "white": Colour(1, 1, 1), "black": Colour(-1, -1, -1), "random_colour": RandomColour()},
    ),
    "sharing": (Sharing, {"shared": Shared(), "per_image": PerImage()}),
    "gradient": (Gradient, {"exact": Exact(), "spsa": SPSA()}),
}
"""By attribute of `RP2` the class of its parts, and the words that stand for some of them."""


def resolve(name: str, value: Any) -> Any:
    """Return the part that a word stands for, or a part as it is; raise ValueError for anything else."""
    base, words = WORDS[name]
    if name == "start" and isinstance(value, (tuple, list)) and value:
        return tuple(resolve(name, one) for one in value)
    if isinstance(value, str) and value in words:
        return words[value]
    if isinstance(value, base):
        return value
    raise ValueError(
        f"`{name}` must be a {base.__name__} or one of {', '.join(map(repr, words))}. Received: {name}={value!r}"
    )
