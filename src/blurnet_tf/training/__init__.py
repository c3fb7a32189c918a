"""Training: recipes, procedures that harden a model, and trainings that resume after a kill."""

from blurnet_tf.training.augmentation import Augmentation
from blurnet_tf.training.procedures import (
    DOA,
    PROCEDURES,
    Adversarial,
    Gaussian,
    Plain,
    Procedure,
    Stickers,
    Universal,
    sign_steps,
)
from blurnet_tf.training.rectangles import Rectangles
from blurnet_tf.training.train import train

__all__ = [
    "DOA", "PROCEDURES", "Adversarial", "Augmentation", "Gaussian", "Plain", "Procedure", "Rectangles", "Stickers",
    "Universal", "sign_steps", "train",
]  # fmt: skip
