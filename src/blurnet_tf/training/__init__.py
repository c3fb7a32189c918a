"""Training: recipes, the plain loop, and trainings that go on after a kill."""

from blurnet_tf.training.train import train

__all__ = ["train"]
