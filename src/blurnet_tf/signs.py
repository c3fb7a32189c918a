"""The traffic-sign classes of the LISA-CNN, in the order of its outputs."""

from __future__ import annotations

CLASS_NAMES: tuple[str, ...] = (
    "addedLane",
    "keepRight",
    "laneEnds",
    "unused",
    "merge",
    "pedestrianCrossing",
    "school",
    "schoolSpeedLimit25",
    "signalAhead",
    "speedLimit25",
    "speedLimit30",
    "speedLimit35",
    "speedLimit45",
    "speedLimitUrdbl",
    "stop",
    "stopAhead",
    "turnRight",
    "yield",
)
"""Names of the 18 outputs. RP2's released LISA-CNN has 18 outputs but its class list has 17 names: output 3 belongs to
no sign and is never predicted. It keeps its place here, so that labels and logits mean the same in every model."""

UNUSED: int = CLASS_NAMES.index("unused")
STOP: int = CLASS_NAMES.index("stop")
SIGN_NAMES: tuple[str, ...] = tuple(name for index, name in enumerate(CLASS_NAMES) if index != UNUSED)
"""The 17 classes that have a sign, in the order of the outputs."""


def class_index(name: str | int, class_names: tuple[str, ...] = CLASS_NAMES) -> int:
    """Return the output index of a class given by name or by number.

    Args:
        name: A name of `class_names`, or an index as an `int` or as digits (``"12"``).
        class_names: The names, in the order of the outputs.

    Raises:
        ValueError: The name is unknown or the index is outside the outputs.

    Example:
        >>> class_index("speedLimit45"), class_index("12")
        (12, 12)
    """
    text = str(name)
    if text.isdecimal():
        if int(text) < len(class_names):
            return int(text)
    elif text in class_names:
        return class_names.index(text)
    raise ValueError(
        f"A class must be an index from 0 to {len(class_names) - 1} or one of {', '.join(class_names)}. "
        f"Received: {name!r}"
    )
