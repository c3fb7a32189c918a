"""The names of classes: those of the LISA-CNN, and of models of one's own."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from blurnet_tf.checks import shown

CLASS_NAMES: tuple[str, ...] = (
    "addedLane", "keepRight", "laneEnds", "unused", "merge", "pedestrianCrossing", "school", "schoolSpeedLimit25",
    "signalAhead", "speedLimit25", "speedLimit30", "speedLimit35", "speedLimit45", "speedLimitUrdbl", "stop",
    "stopAhead", "turnRight", "yield",
)  # fmt: skip
"""Names of the 18 outputs. RP2's released LISA-CNN has 18 outputs but its class list has 17 names: output 3 belongs to
no sign and is never predicted. It keeps its place here, so that labels and logits mean the same in every model."""

STOP: int = CLASS_NAMES.index("stop")
SIGN_NAMES: tuple[str, ...] = tuple(name for name in CLASS_NAMES if name != "unused")
"""The 17 classes that have a sign, in the order of the outputs."""


_INDEX = re.compile("0|[1-9][0-9]{0,8}")  # "02" is none, nor are the digits of other scripts


def class_index(name: str | int, class_names: Sequence[str]) -> int:
    """Return the output index of a class given by name or by number.

    Args:
        name: A name of `class_names`, or an index as an `int` or as digits (``"12"``). A name wins over digits.
        class_names: The names, in the order of the outputs.

    Raises:
        ValueError: The name is unknown, the index is outside the outputs, or digits are the name of one class and the
            index of another (``"012"`` is taken for a name alone).

    Example:
        >>> class_index("speedLimit45", CLASS_NAMES), class_index("12", CLASS_NAMES)
        (12, 12)
    """
    text, names = str(name), tuple(class_names)
    index = int(text) if _INDEX.fullmatch(text) and int(text) < len(names) else None
    if isinstance(name, str) and name in names:
        if index is not None and index != names.index(name):
            raise ValueError(
                "A class must be a name or an index, not both: give an `int`, or rename the class. "
                f"Received: {name!r}, the name of class {names.index(name)} and the index of {names[index]!r}"
            )
        return names.index(name)
    if index is None:
        raise ValueError(
            f"A class must be an index from 0 to {len(names) - 1} or one of {', '.join(names)}. Received: {shown(name)}"
        )
    return index


def read_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read the names of classes from a text file: one a line, in the order of the model's outputs.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no text, a line is empty, a name stands twice, or there are fewer than two.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Class names {path} are no file. Give a text file with one name a line.")
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    except UnicodeDecodeError as error:
        raise ValueError(f"Class names {path} must be text in UTF-8. Received: {error}") from error
    known: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name or name in known:
            received = f"{name!r} again" if name else "an empty line"
            raise ValueError(f"Class names {path}, line {number}, must be another name. Received: {received}")
        known.add(name)
    if len(names) < 2:
        raise ValueError(f"Class names {path} must hold at least two names, one a line. Received: {len(names)}")
    return names


def find_class_names(
    model: str | os.PathLike[str], labels: str | os.PathLike[str] | None = None, *, outputs: int | None
) -> tuple[str, ...] | None:
    """Return the names of a model's classes, or None if there are none; ValueError if they are not one an output.

    Args:
        model: The SavedModel folder or `.keras` file.
        labels: A text file with a name a line; by default `assets/labels.txt` beside the model or in it, which exports
            have, else the names of LISA if the model has as many outputs.
        outputs: How many outputs the model has, or None if that is not known.

    Example:
        >>> find_class_names("exports/baseline", outputs=18)[14]
        'stop'
    """
    model = Path(model)
    beside = (model if model.is_dir() else model.parent) / "assets" / "labels.txt"
    path = beside if labels is None and beside.is_file() else labels
    if path is None:
        return CLASS_NAMES if outputs == len(CLASS_NAMES) else None
    names = read_class_names(path)
    if outputs not in (None, len(names)):
        raise ValueError(
            f"Class names {path} must hold a line for each of {outputs} outputs of {model}. Received: {len(names)}"
        )
    return names
