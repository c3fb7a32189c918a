"""Records: what a model said of one image, before and after an attack. Every number of a table is counted from them."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blurnet_tf.checks import printable, shown
from blurnet_tf.files import atomic_path
from blurnet_tf.reading import rows_of


@dataclass(frozen=True, kw_only=True)
class Record:
    """One image, attacked for one target, as one model sees it.

    Attributes:
        image: The name of the image in its `Split`.
        label: The true class.
        source: The model that the attack saw; empty for a plain sticker, which sees none.
        victim: The model that is scored. White box: the source itself.
        attack: The attack's name, such as "RP2" or "bim"; "white", "black" or "random" for a plain sticker.
        attack_digest: Of the attack's settings but the seed; empty for a plain sticker.
        target: The wanted class, or `None` for an attack without one.
        penalty: lambda of the attack.
        seed: Seed of the attack.
        clean_prediction: Class that the victim predicts on the clean image.
        adversarial_prediction: Class that it predicts on the attacked one.
        dissimilarity: ``||x - x_adv||_2 / ||x_adv||_2``, the summand of Eq. 1.
        iterate: "last", what the attack ends with, or "best", its best step.
    """

    image: str
    label: int
    source: str
    victim: str
    attack: str
    attack_digest: str
    target: int | None
    penalty: float
    seed: int
    clean_prediction: int
    adversarial_prediction: int
    dissimilarity: float
    iterate: str = "last"


_FIELDS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Record))
_PARSERS: tuple[Callable[[str], Any], ...] = (
    str, int, str, str, str, str, lambda text: int(text) if text else None, float, int, int, int, float,
    str,
)  # fmt: skip


def write_records(path: str | os.PathLike[str], records: Iterable[Record]) -> None:
    """Write records to a CSV file, one line each, atomically. Numbers are written so that they read back exactly."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_FIELDS)
        for record in records:
            writer.writerow("" if value is None else value for value in dataclasses.astuple(record))


def read_records(path: str | os.PathLike[str]) -> list[Record]:
    """Read the records of a CSV file that `write_records` wrote; a ValueError names a damaged line."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Records {path} do not exist. Run the experiment that writes them.")
    with rows_of(path) as reader:
        header: list[str] = next(reader, [])
        if tuple(header) != _FIELDS:
            raise ValueError(
                f"Records {path} must have the columns {', '.join(_FIELDS)}. "
                f"Received: {printable(', '.join(header), 300)}"
            )
        return [Record(**_parse(path, reader.line_num, line)) for line in reader]


def _parse(path: Path, number: int, line: Sequence[str]) -> dict[str, Any]:
    try:
        return {name: parse(text) for name, parse, text in zip(_FIELDS, _PARSERS, line, strict=True)}
    except ValueError as error:
        raise ValueError(
            f"Records {path}, line {number}, must hold {len(_FIELDS)} values. "
            f"Received: {shown(','.join(line))} ({printable(str(error), 120)}). Run the experiment again."
        ) from error
