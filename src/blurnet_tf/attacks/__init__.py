"""Attacks on any callable that maps images to logits: one contract, and the parts that RP2 is put together from."""

from blurnet_tf.attacks.bases import Basis, LowFrequency, Paint, Palette, Pixels
from blurnet_tf.attacks.config import from_config, register
from blurnet_tf.attacks.contract import Attack, AttackResult
from blurnet_tf.attacks.digital import GradientAttack
from blurnet_tf.attacks.expectation import Expectation
from blurnet_tf.attacks.gradients import SPSA, Exact, Gradient
from blurnet_tf.attacks.losses import CrossEntropy, Loss, Margin, MeanSquaredError
from blurnet_tf.attacks.mask_families import bars, scattered
from blurnet_tf.attacks.mask_search import MaskSearch, place_stickers
from blurnet_tf.attacks.masks import load_mask, load_palette
from blurnet_tf.attacks.penalties import NPS, MapsTotalVariation, Penalty, Scene, TotalVariation
from blurnet_tf.attacks.rp2 import RP2
from blurnet_tf.attacks.sharing import PerImage, Shared, Sharing
from blurnet_tf.attacks.square import SquareAttack
from blurnet_tf.attacks.starts import Colour, RandomColour, Start, Uniform
from blurnet_tf.attacks.transforms import apply_to_photograph

__all__ = [
    "NPS", "RP2", "SPSA", "Attack", "AttackResult", "Basis", "Colour", "CrossEntropy", "Exact", "Expectation",
    "Gradient", "GradientAttack", "Loss", "LowFrequency", "MapsTotalVariation", "Margin", "MaskSearch",
    "MeanSquaredError", "Paint", "Palette", "Penalty", "PerImage", "Pixels", "RandomColour", "Scene", "Shared",
    "Sharing", "SquareAttack", "Start", "TotalVariation", "Uniform", "apply_to_photograph", "bars", "from_config",
    "load_mask", "load_palette", "place_stickers", "register", "scattered",
]  # fmt: skip
