"""What attacks that iterate in a graph share: steps in chunks, and when a compiled step may be used again."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import keras


def chunks(total: int, progress: bool | None) -> Iterator[int]:
    """Yield how many steps to take in one call of the graph; a progress bar goes along.

    Args:
        total: All steps.
        progress: Show the bar; `None` does so on a terminal.

    Example:
        >>> sum(chunks(1001, False)), max(chunks(1001, False)), max(chunks(30, False))
        (1001, 20, 1)
    """
    shown = sys.stdout.isatty() if progress is None else progress
    bar = keras.utils.Progbar(total, unit_name="step") if shown else None
    size = min(math.ceil(total / 50), 20)  # many calls: Python can answer Ctrl-C or SIGTERM only between two
    for done in range(0, total, size):
        count = min(size, total - done)
        yield count
        if bar is not None:
            bar.update(done + count)


def description_of(model: Any) -> str | None:
    """Return what a Keras model says of itself, or `None`, if a trace of the model must not be used again.

    The description belongs into the key of a cache of compiled steps, because a layer can be changed after a trace. Any
    other callable may refer to other things by the next call, which an earlier trace would not see.
    """
    if not isinstance(model, keras.Model):
        return None
    try:
        return model.to_json()
    except (NotImplementedError, TypeError, ValueError):  # a model of the user's own without `get_config`
        return None
