"""What the records of a white-box sweep must be before Table 2 is counted from them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence

from blurnet_tf.evaluation.records import Record

FLOORS: tuple[str, ...] = ("white", "black", "random")
"""The plain stickers of the floor, as the `source` of its records."""


def check_each(records: Iterable[Record], floor: Iterable[Record], classes: int) -> None:
    """Check each record by itself: a targeted white-box attack, or a plain sticker.

    Args:
        records: Of the attacks.
        floor: Of the plain stickers.
        classes: Number of classes.

    Raises:
        ValueError: A record is neither, or there are none; the record is described.
    """
    records = list(records)
    if not records:
        raise ValueError("Table 2 needs at least one record. Received: none")
    for record in records:
        if record.source != record.victim:
            raise ValueError(
                "Table 2 needs records whose victim is the source itself. "
                f"Received: source='{record.source}', victim='{record.victim}'"
            )
        if record.target is None or not 0 <= record.target < classes:
            raise ValueError(
                f"Table 2 needs records with a target from 0 to {classes - 1}. Received: target={record.target}"
            )
    for record in floor:
        if record.source not in FLOORS or (record.target, record.penalty) != (None, 0):
            raise ValueError(
                f"The floor of Table 2 needs records of source {', '.join(FLOORS)} with target None and penalty 0. "
                f"Received: source='{record.source}', target={record.target}, penalty={record.penalty:g}"
            )


def check_row(
    row: str,
    records: Sequence[Record],
    floor: Sequence[Record],
    legitimate: Collection[str],
    class_names: Sequence[str],
) -> None:
    """Check that a row is whole: each target with each lambda and seed, all on the same images, and what stands beside.

    Args:
        row: The name of the row.
        records: Of its attacks; `check_each` has passed them.
        floor: Of plain stickers on its model; `check_each` has passed them.
        legitimate: The rows whose accuracy on a test split is known, or needs not be.
        class_names: The names of the classes.

    Raises:
        ValueError: Something is missing or stands twice; it is named.
    """
    attacks: dict[tuple[int, float, int], list[str]] = {}
    for record in records:
        target = -1 if record.target is None else record.target
        attacks.setdefault((target, record.penalty, record.seed), []).append(record.image)
    plain: dict[tuple[str, int], list[str]] = {}
    for record in floor:
        # Only random stickers are drawn several times: a second draw of white ones would count each image twice.
        draw = record.seed if record.source == "random" else 0
        plain.setdefault((record.source, draw), []).append(record.image)

    def told(attack: tuple[int, float, int]) -> str:
        target, penalty, seed = attack
        return f"target {class_names[target]}, lambda {penalty:g}, seed {seed}"

    targets, penalties, seeds = (sorted(set(values)) for values in zip(*attacks, strict=True))
    for attack in itertools.product(targets, penalties, seeds):
        if attack not in attacks:
            raise ValueError(
                f"Row '{row}' of Table 2 needs every target with every lambda and seed. "
                f"Received: no records of {told(attack)}"
            )
    kinds = [kind for kind in FLOORS if any(source == kind for source, _ in plain)]
    if len(kinds) < len(FLOORS):
        raise ValueError(
            f"Row '{row}' of Table 2 needs a floor of {', '.join(FLOORS)} stickers. "
            f"Received: {', '.join(kinds) or 'none'}"
        )
    if row not in legitimate:
        raise ValueError(
            f"Row '{row}' of Table 2 needs its accuracy in `legitimate`. Received: {', '.join(legitimate) or 'none'}"
        )

    images = {record.image for record in records}
    shown = [(told(attack), attacks[attack]) for attack in sorted(attacks)]
    shown += [(f"{source} stickers, draw {draw}", plain[source, draw]) for source, draw in sorted(plain)]
    for what, received in shown:
        known = images.intersection(received)
        if not len(received) == len(known) == len(images):
            raise ValueError(
                f"Row '{row}' of Table 2 needs each of its {len(images)} images once in every attack and floor. "
                f"Received: {len(received)} records, of {len(known)} of them, for {what}"
            )
    clean: dict[str, set[tuple[int, int]]] = {image: set() for image in images}
    for record in itertools.chain(records, floor):
        clean[record.image].add((record.label, record.clean_prediction))
    for image in sorted(images):
        if len(clean[image]) > 1:
            raise ValueError(
                f"Row '{row}' of Table 2 needs one label and one clean prediction for each image. "
                f"Received: several for '{image}'"
            )
