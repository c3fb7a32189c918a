"""The rows of a benchmark, counted from its cells: a trial on a model, a model, an area of the curve."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.attacking import VIEWS
from blurnet_tf.evaluation.benchmark import Floor, TrialCount, Tried, broken, count_trial, right, trial_flags
from blurnet_tf.evaluation.binarization import BinarizationResult
from blurnet_tf.evaluation.flags import FLAGS, Flag
from blurnet_tf.evaluation.metrics import Rate, Spread
from blurnet_tf.evaluation.probe import probe_flags
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.rows import SeedShare, Share
from blurnet_tf.runs.run import StoredRun, TrialCell

ITERATES = ("last", "best")
SUITE_MASKS = ("sticker", "large", "searched")  # the others are families of the curve


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One trial on one model. Shares are of predictions that change, with several seeds the mean over them.

    `worst`: by the target that changes most; `union`: by at least one target; `best_`: the same of the best step of the
    attack, where that was scored. `area`: pixels of the mask. `n`: images.
    """

    model: str
    trial: str
    role: str
    attack: str
    steps: int | None
    per_image: bool
    targets: int
    seeds: int
    area: int
    worst: SeedShare
    union: SeedShare
    best_worst: SeedShare | None
    best_union: SeedShare | None
    n: int


@dataclass(frozen=True, kw_only=True)
class FloorRow:
    """Predictions that plain stickers change: white, black, random ones on average, and the worst colour of all."""

    white: Share | None
    black: Share | None
    random: float | None
    worst: float


@dataclass(frozen=True, kw_only=True)
class CurveRow:
    """A model under masks of one family and area; the octagon is a family of its own."""

    model: str
    title: str
    family: str
    area: int
    shared: SeedShare | None
    per_image: SeedShare | None
    floor_white: Share | None
    floor_worst: float


@dataclass(frozen=True, kw_only=True)
class HalfRow:
    """The area in pixels at which half of the signs fall to a sticker, by family; None: at none that was tried."""

    model: str
    title: str
    family: str
    shared: float | None
    per_image: float | None
    floor_white: float | None


@dataclass(frozen=True, kw_only=True)
class CheckRow:
    """A model: what the strongest trial of each kind changes inside the sticker mask, on average over the seeds.

    `shared`: the worst sticker for all images; `per_image`: a sticker for each; `gradient_free`, `transfer` and
    `held_out` likewise, of attacks without gradients, of stickers made on other models, and of shared ones on images
    that the attack had not seen; `large`: with the whole octagon painted. `union`: images that anything inside the
    sticker mask breaks, with any seed, plain paint included; `robust_accuracy`: those that are right when clean and
    that nothing breaks. `accuracy` is of the clean images, `test_accuracy` of the held-out ones. `None`: not tried.
    """

    name: str
    title: str
    accuracy: Share
    test_accuracy: Share | None
    floor_white: Share | None
    floor_worst: float
    shared: Share | None
    per_image: Share | None
    gradient_free: Share | None
    transfer: Share | None
    held_out: Share | None
    large: Share | None
    union: Share | None
    robust_accuracy: Share | None
    flags: tuple[str, ...]
    n: int


@dataclass(frozen=True, kw_only=True)
class ModelCount:
    """All that is counted of one model."""

    summary: CheckRow
    rows: tuple[TrialRow, ...]
    floor: FloorRow
    flags: tuple[Flag, ...]
    binarization: BinarizationResult | None


def count_models(stored: StoredRun, only: Collection[str] | None = None) -> list[ModelCount]:
    """Count every model of a benchmark.

    Args:
        stored: The run.
        only: Names of the trials that count; `None`: all.

    Raises:
        FileNotFoundError, ValueError: A cell is gone or damaged, or the records are not those of the run.
    """
    return [_count_model(stored, row.name, row.title, only) for row in stored.run.rows]


def common_trials(stored: StoredRun) -> set[str]:
    """Return the names of the trials that every model of a benchmark has been attacked with."""
    tried = [
        {one.trial for one in stored.run.trials if (one.model, one.role) == (row.name, "trial") and in_suite(one)}
        for row in stored.run.rows
    ]
    return set.intersection(*tried) if tried else set()


def in_suite(one: TrialCell) -> bool:
    """Whether a cell is of the suite, and not of the curve."""
    return one.family in SUITE_MASKS


def curve_rows(stored: StoredRun) -> list[CurveRow]:
    """Count the curve, model by model; none where no areas were tried."""
    rows = []
    for row in stored.run.rows:
        mine = [one for one in stored.run.trials if one.model == row.name and not in_suite(one)]
        for place in dict.fromkeys((one.family, one.area) for one in mine):
            here = [one for one in mine if (one.family, one.area) == place]
            (floor,) = (Floor.of(_records(stored, one)) for one in here if one.role == "floor")
            trials = [one for one in here if one.role == "trial"]
            rows.append(
                CurveRow(
                    model=row.name, title=row.title, family=place[0], area=place[1],
                    shared=_strongest(stored, [one for one in trials if not one.per_image]),
                    per_image=_strongest(stored, [one for one in trials if one.per_image]),
                    floor_white=_rate(floor.white), floor_worst=floor.worst,
                )
            )  # fmt: skip
    return rows


def half_rows(rows: Sequence[CurveRow]) -> list[HalfRow]:
    """Return the areas at which half of the signs fall, of each model and family; the octagon belongs to none."""
    found = []
    for model, family in dict.fromkeys((row.model, row.family) for row in rows if row.family != "octagon"):
        mine = [row for row in rows if (row.model, row.family) == (model, family)]
        halves = {
            name: half_area({row.area: share.value for row in mine if (share := getattr(row, name)) is not None})
            for name in ("shared", "per_image", "floor_white")
        }
        found.append(HalfRow(model=model, title=mine[0].title, family=family, **halves))
    return found


def half_area(success: dict[int, float]) -> float | None:
    """Return the area at which half of the signs fall, between measured ones by a straight line; `None` if at none.

    Args:
        success: Share of signs that fall, by area in pixels. Of a smallest area at which half fall already, that is it.

    Example:
        >>> half_area({30: 0.25, 48: 0.75}), half_area({10: 0.9}), half_area({10: 0.2})
        (39.0, 10.0, None)
    """
    before: tuple[int, float] | None = None
    for area, share in sorted(success.items()):
        if share >= 0.5:
            return float(area) if before is None else float(np.interp(0.5, (before[1], share), (before[0], area)))
        before = area, share
    return None


def _count_model(stored: StoredRun, name: str, title: str, only: Collection[str] | None) -> ModelCount:
    mine = [one for one in stored.run.trials if one.model == name and in_suite(one)]
    asked = {one.role: stored.cell(one.cell) for one in mine if one.role in ("probe", "test", "binarization")}
    (plain,) = (one for one in mine if one.role == "floor")
    trials = [one for one in mine if one.role in ("trial", "transfer") and (only is None or one.trial in only)]
    places = dict.fromkeys((one.role, one.trial, one.source) for one in trials)
    grouped = [[one for one in trials if (one.role, one.trial, one.source) == place] for place in places]
    made = [one for one in trials if one.role == "trial"]
    inside = [one for one in made if one.inside]
    shown = [one for one in trials if one.role == "transfer"]
    clean, floor = asked["probe"].records, Floor.of(_records(stored, plain))
    everything = _all(stored, [*inside, *shown, plain])
    binarization = None
    if "binarization" in asked:
        binarization = BinarizationResult(**{key: value.item() for key, value in asked["binarization"].arrays.items()})
    flags = _flags(stored, name, grouped, plain)
    flags += [] if binarization is None or (missed := binarization.flag()) is None else [missed]
    first = {flag.name: flag for flag in reversed(flags)}
    flags = [first[known] for known in FLAGS if known in first]
    summary = CheckRow(
        name=name, title=title, n=len(clean),
        accuracy=Share.of(metrics.accuracy(clean)),
        test_accuracy=Share.of(metrics.accuracy(asked["test"].records)) if "test" in asked else None,
        floor_white=_rate(floor.white), floor_worst=floor.worst,
        shared=_strongest(stored, [one for one in inside if not one.per_image]),
        per_image=_strongest(stored, [one for one in inside if one.per_image]),
        gradient_free=_strongest(stored, [one for one in inside if one.gradient_free]),
        transfer=_share_of_images(_all(stored, shown), plain, broken) if shown else None,
        held_out=_strongest(stored, [one for one in made if one.held_out]),
        large=_strongest(stored, [one for one in made if one.family == "large"]),
        union=_share_of_images(everything, plain, broken) if inside else None,
        robust_accuracy=_share_of_images(everything, plain, _standing) if inside else None,
        flags=tuple(flag.name for flag in flags),
    )  # fmt: skip
    painted = FloorRow(white=_rate(floor.white), black=_rate(floor.black), random=floor.random, worst=floor.worst)
    rows = tuple(_trial_row(stored, group) for group in grouped)
    return ModelCount(summary=summary, rows=rows, floor=painted, flags=tuple(flags), binarization=binarization)


def _flags(stored: StoredRun, name: str, grouped: Sequence[Sequence[TrialCell]], plain: TrialCell) -> list[Flag]:
    """Return the flags of one model, those of the binarization test left out; a name may stand there twice."""
    found: list[Flag] = []
    floor = right(_records(stored, plain))
    if floor:  # of a model that gets nothing right there is nothing to break
        trials = [group for group in grouped if group[0].role == "trial"]
        shown = right(_all(stored, [one for group in grouped for one in group if one.role == "transfer"]))
        found += trial_flags(
            [_tried(stored, group) for group in trials if group[0].inside],
            Floor.of(floor).worst,
            (broken(shown), len({record.image for record in shown})) if shown else None,
            max((_tried(stored, group).share for group in trials if group[0].family == "large"), default=None),
        )
    for role, words in (("probe", ""), ("test", "Held-out images: ")):
        for one in stored.run.trials:
            if (one.model, one.role) == (name, role):
                flags = probe_flags(stored.cell(one.cell).arrays, stored.run.class_names)
                found += [Flag(flag.name, f"{words}{flag.sentence}") for flag in flags]
    (facts,) = (row.extra for row in stored.run.rows if row.name == name)
    if facts.get("probabilities"):
        found.append(Flag("not_logits", "The answers lie in [0, 1] and sum to 1; their logarithm was attacked."))
    return found


def _standing(records: Sequence[Record]) -> set[str]:
    """Return the images that are right when clean and that no record breaks."""
    return {record.image for record in right(records)} - broken(records)


def _share_of_images(
    records: Sequence[Record], plain: TrialCell, which: Callable[[Sequence[Record]], Collection[str]]
) -> Share:
    n = len({record.image for record in records})
    value, signs = len(which(records)) / n, _signs(n, plain)
    return Share(value, *metrics.wilson(value, signs), signs)


def _signs(n: int, one: TrialCell) -> int:
    """Return how many different images `n` are: under a view each is looked at `VIEWS` times."""
    return n // VIEWS if one.viewed else n


def _rate(rate: Rate | None) -> Share | None:
    return None if rate is None else Share.of(rate)


def _records(stored: StoredRun, one: TrialCell) -> list[Record]:
    records = [record for record in stored.cell(one.cell).records if record.victim == one.model]
    if not records:
        raise ValueError(f"Cell {one.cell} must hold records of '{one.model}'. Received: none. Run it again.")
    return records


def _of_iterates(records: Sequence[Record]) -> dict[str, TrialCount]:
    by_iterate = {name: [record for record in records if record.iterate == name] for name in ITERATES}
    return {name: count_trial(some) for name, some in by_iterate.items() if some}


def _trial_row(stored: StoredRun, cells: Sequence[TrialCell]) -> TrialRow:
    first, inputs = cells[0], stored.cell(cells[0].cell).inputs
    counts = _of_iterates(_all(stored, cells))

    def share(iterate: str, spread: str) -> SeedShare | None:
        return _share(getattr(counts[iterate], spread), counts[iterate].n, first) if iterate in counts else None

    last, union = share("last", "worst"), share("last", "union")
    if last is None or union is None:
        raise ValueError(f"Cell {first.cell} must hold what the attack ends with. Received: no such records")
    return TrialRow(
        model=first.model, trial=f"{first.trial}, of {first.source}" if first.source else first.trial,
        role=first.role, attack=_records(stored, first)[0].attack, steps=inputs["attack"].get("steps"),
        per_image=first.per_image, targets=len(inputs["targets"]), seeds=len({one.seed for one in cells}),
        area=first.area, worst=last, union=union,
        best_worst=share("best", "worst"), best_union=share("best", "union"), n=last.n,
    )  # fmt: skip


def _tried(stored: StoredRun, cells: Sequence[TrialCell]) -> Tried:
    first, records = cells[0], right(_all(stored, cells))
    best = max(_of_iterates(records).values(), key=lambda count: _figure(first, count).mean)
    return Tried(
        name=first.trial,
        count=best,
        broken=broken(records),
        signs=_signs(best.n, first),
        per_image=first.per_image,
        gradient_free=first.gradient_free,
        longer_than=first.longer_than,
    )


def _strongest(stored: StoredRun, cells: Sequence[TrialCell]) -> SeedShare | None:
    """Return the most that one trial reaches, of its last and best step: shared by one sticker, else by any target."""
    found = []
    for trial in dict.fromkeys(one.trial for one in cells):
        some = [one for one in cells if one.trial == trial]
        counts = _of_iterates(_all(stored, some)).values()
        found += [_share(_figure(some[0], count), count.n, some[0]) for count in counts]
    return max(found, key=lambda share: share.value, default=None)


def _all(stored: StoredRun, cells: Sequence[TrialCell]) -> list[Record]:
    return [record for one in cells for record in _records(stored, one)]


def _figure(one: TrialCell, count: TrialCount) -> Spread:
    return count.union if one.per_image else count.worst


def _share(spread: Spread, n: int, one: TrialCell) -> SeedShare:
    signs = _signs(n, one)
    return SeedShare(spread.mean, *metrics.wilson(spread.mean, signs), signs, spread.least, spread.most)
