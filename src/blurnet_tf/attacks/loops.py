"""What attacks that iterate in a graph share: steps compiled into it, how many are taken at once, which one is best."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Step = Callable[[Any, Any], tuple[Any, Any]]
"""One step: (state, problem) -> (next state, a row of the history); both named tuples of tensors."""

Advance = Callable[[Any, Any, Any], tuple[Any, Any]]
"""Takes some steps in one graph: (state, problem, count) -> (state, history (count, ...))."""


class Bar:
    """A progress bar over steps, or none; without saying which, one on a terminal."""

    def __init__(self, total: int, shown: bool | None) -> None:
        shown = sys.stdout.isatty() if shown is None else shown
        self._bar, self._done = (keras.utils.Progbar(total, unit_name="step") if shown else None), 0

    def add(self, count: int) -> None:
        self._done += count
        if self._bar is not None:
            self._bar.update(self._done)


def compiled(make: Any, model: Any, *settings: Any) -> Advance:
    """Return ``make(model, *settings, description)``, of a function `make` with an `lru_cache`.

    The cache serves a Keras model that can describe itself, so that a sweep over lambda and seeds traces once; what the
    model says of itself is in its key, because a layer can be changed after a trace. Any other callable may refer to
    other things by the next call, which an earlier trace would not see.
    """
    try:
        description = model.to_json() if isinstance(model, keras.Model) else ""
    except (NotImplementedError, TypeError, ValueError):  # a model of the user's own without `get_config`
        description = ""
    return (make if description else make.__wrapped__)(model, *settings, description)


def in_graph(step: Step, signature: Callable[[Any], Any] = lambda problem: problem) -> Advance:
    """Return a function that takes any number of steps in one graph.

    `signature` may replace tensors of a problem by a `TensorSpec`, where one trace serves several shapes.
    """

    @tf.function(autograph=False)  # nothing here needs it, and it would bury an error that the model raises
    def advance(state: Any, problem: Any, count: Any) -> tuple[Any, Any]:
        rows = tf.TensorArray(tf.float32, size=count)

        def body(index: Any, state: Any, rows: Any) -> tuple[Any, Any, Any]:
            state, row = step(state, problem)
            return index + 1, state, rows.write(index, row)

        _, state, rows = tf.while_loop(lambda index, *_: index < count, body, (tf.constant(0), state, rows))
        return state, rows.stack()

    def call(state: Any, problem: Any, count: Any) -> tuple[Any, Any]:
        # Through its concrete function: TensorFlow would take a sweep over models, each traced once, for retracing.
        return advance.get_concrete_function(state, signature(problem), count)(state, problem, count)

    return call


def take(advance: Advance, state: Any, problem: Any, total: int, bar: Bar) -> tuple[Any, NDArray[np.float32]]:
    """Take `total` steps: the last state, and the rows of the history (total, ...)."""
    rows = []
    # Many calls, because Python can answer Ctrl-C or SIGTERM only between two; but a call costs a tenth of a step.
    size = min(max(math.ceil(total / 50), 5), 20)
    for done in range(0, total, size):
        count = min(size, total - done)
        state, history = advance(state, problem, tf.constant(count, tf.int32))
        rows.append(history.numpy())
        bar.add(count)
    return state, np.concatenate(rows)


def improves(score: Any, loss: Any, state: Any) -> Any:
    """Return which stickers are better than their best so far: of a higher score, or of as high a one and less loss."""
    better = (score > state.best_score) | ((score == state.best_score) & (loss < state.best_loss))
    return better & tf.math.is_finite(loss)  # the argmax of NaN is class 0, which may pass for a success
