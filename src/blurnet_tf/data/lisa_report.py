"""What became of the rows of LISA's annotations: nothing is dropped without its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from blurnet_tf.signs import SIGN_NAMES

KINDS: tuple[str, ...] = ("garbled row", "missing frame", "damaged frame", "empty box", "box outside the frame")


@dataclass(frozen=True)
class Fault:
    """A row of the annotations that gave no image.

    Attributes:
        kind: One of `KINDS`.
        line: The line of the annotation file, counted from 1 with the header.
        frame: The frame that the row names, as far as it can be read.
        reason: What is wrong.
    """

    kind: str
    line: int
    frame: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.frame or 'no frame'}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of the rows of the annotations; `str(report)` says it with the first names of each kind.

    Attributes:
        rows: Rows in the file, without the header and blank lines.
        frames: Frames that the readable rows name.
        tracks: Tracks that gave an image.
        classes: Images of each class, by name, the classes of the model and the others.
        faults: The rows that gave none, in the order of the file.
    """

    rows: int
    frames: int
    tracks: int
    classes: Mapping[str, int]
    faults: tuple[Fault, ...]

    @property
    def images(self) -> int:
        """Images that were cut."""
        return sum(self.classes.values())

    @property
    def other_classes(self) -> dict[str, int]:
        """Images of the classes that the model has no output for. The file keeps them; training leaves them out."""
        return {name: count for name, count in self.classes.items() if name not in SIGN_NAMES}

    @property
    def absent_classes(self) -> tuple[str, ...]:
        """Classes of the model without an image."""
        return tuple(name for name in SIGN_NAMES if not self.classes.get(name))

    @property
    def counts(self) -> dict[str, int]:
        """Rows that were left out, by kind, every kind of `KINDS`."""
        counts = Counter(fault.kind for fault in self.faults)
        return {kind: counts[kind] for kind in KINDS}

    def describe(self, limit: int | None = None) -> str:
        """Put the report into lines, with at most `limit` names of each kind of fault; None names all."""
        lines = [f"{self.images} images of {len(self.classes)} classes in {self.tracks} tracks, from {self.rows} rows"]
        if self.other_classes:
            names = ", ".join(f"{name} {count}" for name, count in self.other_classes.items())
            lines.append(f"no output of the model, so not trained on: {sum(self.other_classes.values())} ({names})")
        if self.absent_classes:
            lines.append(f"no image of: {', '.join(self.absent_classes)}")
        lines.append(f"left out: {len(self.faults)} rows")
        for kind, count in self.counts.items():
            if count:
                faults = [fault for fault in self.faults if fault.kind == kind][:limit]
                lines += [f"  {kind}: {count}", *(f"    {fault}" for fault in faults)]
                lines += [f"    and {count - len(faults)} more"] if count > len(faults) else []
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.describe(5)
