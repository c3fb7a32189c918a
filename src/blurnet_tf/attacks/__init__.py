"""Attacks on any callable that maps images to logits. CleverHans's methods are in `blurnet_tf.attacks.digital`."""

from blurnet_tf.attacks.masks import load_mask, load_palette
from blurnet_tf.attacks.rp2 import RP2, AttackResult
from blurnet_tf.attacks.transforms import apply_to_photograph

__all__ = ["RP2", "AttackResult", "apply_to_photograph", "load_mask", "load_palette"]
