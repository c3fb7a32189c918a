"""Attacks on any callable that maps images to logits: one contract, and the parts that RP2 is put together from."""

from blurnet_tf.attacks.config import from_config, register  # noqa: I001 - one line for many parts
from blurnet_tf.attacks.contract import Attack, AttackResult
from blurnet_tf.attacks.digital import GradientAttack
from blurnet_tf.attacks.masks import load_mask, load_palette
from blurnet_tf.attacks.parts import (
    NPS, Basis, Colour, CrossEntropy, Loss, LowFrequency, Margin, MeanSquaredError, Penalty, PerImage, Pixels, Scene,
    Shared, Sharing, Start, TotalVariation, Uniform,
)  # fmt: skip
from blurnet_tf.attacks.rp2 import RP2
from blurnet_tf.attacks.transforms import apply_to_photograph

__all__ = [
    "NPS", "RP2", "Attack", "AttackResult", "Basis", "Colour", "CrossEntropy", "GradientAttack", "Loss", "LowFrequency",
    "Margin", "MeanSquaredError", "Penalty", "PerImage", "Pixels", "Scene", "Shared", "Sharing", "Start",
    "TotalVariation", "Uniform", "apply_to_photograph", "from_config", "load_mask", "load_palette", "register",
]  # fmt: skip
