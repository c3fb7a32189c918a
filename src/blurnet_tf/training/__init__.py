"""Training: recipes, the plain loop, and trainings that resume after a kill."""

from blurnet_tf.training.train import train

__all__ = ["train"]
