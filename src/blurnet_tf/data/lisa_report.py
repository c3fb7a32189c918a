"""What became of the rows of LISA's annotations: nothing is dropped without its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from blurnet_tf.signs import SIGN_NAMES

KINDS: tuple[str, ...] = ("garbled row", "missing frame", "damaged frame", "empty box", "box outside the frame")
_SHOWN = 5  # faults of a kind


@dataclass(frozen=True)
class Fault:
    """A row of the annotations that gave no image."""

    kind: str  # one of `KINDS`
    line: int  # of the annotation file, counted from 1 with the header
    frame: str  # as far as it can be read
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.frame or 'no frame'}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of the rows of the annotations; `str(report)` names the first faults of each kind."""

    rows: int  # in the file, without the header and blank lines
    frames: int  # that the readable rows name
    tracks: int  # that gave an image
    classes: Mapping[str, int]  # images of each class, by name, the classes of the model and the others
    faults: tuple[Fault, ...]  # the rows that gave no image, in the order of the file

    @property
    def images(self) -> int:
        """Images that were cut."""
        return sum(self.classes.values())

    @property
    def counts(self) -> dict[str, int]:
        """Rows that were left out, by kind, every kind of `KINDS`."""
        counts = Counter(fault.kind for fault in self.faults)
        return {kind: counts[kind] for kind in KINDS}

    def __str__(self) -> str:
        lines = [f"{self.images} images of {len(self.classes)} classes in {self.tracks} tracks, from {self.rows} rows"]
        if others := {name: count for name, count in self.classes.items() if name not in SIGN_NAMES}:
            names = ", ".join(f"{name} {count}" for name, count in others.items())
            lines.append(f"no output of the model, so not trained on: {sum(others.values())} ({names})")
        if absent := [name for name in SIGN_NAMES if name not in self.classes]:
            lines.append(f"no image of: {', '.join(absent)}")
        lines.append(f"left out: {len(self.faults)} rows")
        for kind, count in self.counts.items():
            if count:
                faults = [fault for fault in self.faults if fault.kind == kind][:_SHOWN]
                lines += [f"  {kind}: {count}", *(f"    {fault}" for fault in faults)]
                lines += [f"    and {count - len(faults)} more"] if count > len(faults) else []
        return "\n".join(lines)
