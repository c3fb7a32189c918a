"""Export: a model for code that does not have this package."""

from blurnet_tf.export.resizing import resize

__all__ = ["resize"]
