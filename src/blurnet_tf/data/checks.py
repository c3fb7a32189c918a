"""What several modules of `data` ask of their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_integer(name: str, value: Any, least: int) -> None:
    """Raise ValueError unless `value` is an integer of at least `least`; `name` is what the caller calls it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}")
