"""A model that counts how often Python runs it."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def counted(function: Callable[[Any], Any]) -> Any:
    """A Keras model of a function, with the numbers `traced` and `run`: calls while a graph is traced, and others."""

    class Counted(keras.Model):
        def __init__(self) -> None:  # without arguments, so that Keras can describe the model
            super().__init__()
            self.traced = 0
            self.run = 0

        def call(self, images: Any) -> Any:
            if tf.inside_function():
                self.traced += 1
            else:
                self.run += 1
            return function(images)

    return Counted()
