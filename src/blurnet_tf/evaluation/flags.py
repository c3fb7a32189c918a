"""Flags: reasons not to believe a robustness figure. docs/flags.md says of each what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FLAGS: Mapping[str, str] = MappingProxyType({
    "attack_below_floor": "The attacks change fewer predictions than plain paint in the same mask.",
    "not_converged": "Three times the steps break more images, by more than two.",
    "gradient_free_wins": "An attack without gradients breaks more images, by more than two, than those with them.",
    "transfer_wins": "Stickers made on other models break more images, by more than two, than all attacks on this one.",
    "shared_beats_per_image": "One sticker for all images breaks more of them, by more than two, than one for each.",
    "large_mask_survives": "Even a mask of the whole sign breaks fewer than 95% of the images.",
    "zero_gradients": "The gradient is exactly 0 in half of the images or more, or the model has none.",
    "saturated_loss": "The model is so sure of half of the images or more that their cross-entropy has no gradient.",
    "constant_predictions": "The model gives nearly all images the same class, whatever they show.",
    "low_class_recall": "The model recognises fewer than half of the clean images of a class.",
    "stochastic_model": "The model answers the same images differently the second time.",
    "not_logits": "The answers of the model look like probabilities, not like logits.",
    "nan": "A logit or a gradient is NaN or infinite.",
    "attack_fails_binarization": "The attack misses adversarial examples that are known to exist.",
})  # fmt: skip
"""What each flag says, by name, in the order of a report."""


@dataclass(frozen=True)
class Flag:
    """A warning that a number should not be believed.

    Attributes:
        name: A name in `FLAGS`.
        sentence: What was measured, with the figures.

    Raises:
        ValueError: The name is unknown.

    Example:
        >>> Flag("not_logits", "All 40 answers lie in [0, 1] and sum to 1.").name
        'not_logits'
    """

    name: str
    sentence: str

    def __post_init__(self) -> None:
        if self.name not in FLAGS:
            raise ValueError(f"`name` must be one of {', '.join(FLAGS)}. Received: name={self.name!r}")
