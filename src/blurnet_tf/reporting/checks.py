"""What the records of a white-box sweep must be before Table 2 is counted from them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

from blurnet_tf.evaluation.records import Record

FLOORS = ("white", "black", "random")  # the plain stickers, as the `attack` of the records of a floor


def check_each(records: Sequence[Record], floor: Sequence[Record], classes: int, *, seen: bool = True) -> None:
    """Raise a ValueError unless each record is of a targeted attack, or of a plain sticker.

    `seen`: The attack saw the very model that was scored; but for a study of stickers that were made on another one.
    """
    if not records:
        raise ValueError("Table 2 needs at least one record. Received: none")
    for record in records:
        if seen and record.source != record.victim:
            raise ValueError(
                "Table 2 needs records whose victim is the source itself. "
                f"Received: source='{record.source}', victim='{record.victim}'"
            )
        if record.target is None or not 0 <= record.target < classes:
            raise ValueError(
                f"Table 2 needs records with a target from 0 to {classes - 1}. Received: target={record.target}"
            )
    for record in floor:
        if record.attack not in FLOORS or (record.source, record.target, record.penalty) != ("", None, 0):
            raise ValueError(
                f"The floor of Table 2 needs records of {', '.join(FLOORS)} stickers without source, target and "
                f"penalty. Received: attack='{record.attack}', source='{record.source}', target={record.target}, "
                f"penalty={record.penalty:g}"
            )


def check_row(row: str, records: Sequence[Record], floor: Sequence[Record], class_names: Sequence[str]) -> None:
    """Raise a ValueError unless each target with each lambda and seed, and each sticker, is there once an image."""

    def check(holds: bool, needs: str, received: str) -> None:
        if not holds:
            raise ValueError(f"Row '{row}' of Table 2 needs {needs}. Received: {received}")

    def told(target: int, penalty: float, seed: int) -> str:
        return f"target {class_names[target]}, lambda {penalty:g}, seed {seed}"

    check(bool(records), "at least one record", "none")
    names = sorted({record.attack for record in records})
    check(len(names) == 1, "records of one attack", ", ".join(names))
    attacks: dict[tuple[int, float, int], list[str]] = defaultdict(list)
    for record in records:
        attacks[record.target or 0, record.penalty, record.seed].append(record.image)
    plain: dict[tuple[str, int], list[str]] = defaultdict(list)
    for record in floor:  # only random stickers are drawn several times
        plain[record.attack, record.seed if record.attack == "random" else 0].append(record.image)
    targets, penalties, seeds = (sorted(set(values)) for values in zip(*attacks, strict=True))
    for attack in itertools.product(targets, penalties, seeds):
        check(attack in attacks, "every target with every lambda and seed", f"no records of {told(*attack)}")
    kinds = [kind for kind in FLOORS if any(one == kind for one, _ in plain)]
    check(len(kinds) == len(FLOORS), f"a floor of {', '.join(FLOORS)} stickers", ", ".join(kinds) or "none")

    images = {record.image for record in records}
    shown = [(told(*attack), attacks[attack]) for attack in sorted(attacks)]
    shown += [(f"{kind} stickers, draw {draw}", plain[kind, draw]) for kind, draw in sorted(plain)]
    for what, received in shown:
        known = images.intersection(received)
        check(
            len(received) == len(known) == len(images),
            f"each of its {len(images)} images once in every attack and floor",
            f"{len(received)} records, of {len(known)} of them, for {what}",
        )
    clean: dict[str, tuple[int, int]] = {}
    for record in sorted((*records, *floor), key=lambda record: record.image):
        seen = record.label, record.clean_prediction
        same = clean.setdefault(record.image, seen) == seen
        check(same, "one label and one clean prediction for each image", f"several for '{record.image}'")
