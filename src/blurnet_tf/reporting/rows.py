"""The rows of all tables, counted from records. Shares and dissimilarities are as measured, not in per cent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.metrics import Rate, Spread
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.checks import FLOORS, check_each, check_row
from blurnet_tf.reporting.paper import NO_FIGURES, PAPER_TABLE_1, PAPER_TABLE_2, Figures
from blurnet_tf.runs.run import Run, RunRow

PAPERS_KINDS = ("transfer", "white_box", "study")  # whose models are the paper's: its numbers stand beside


@dataclass(frozen=True)
class Share:
    """A share of `n` images in [0, 1], and its 95% Wilson interval from `low` to `high`."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, rate: Rate) -> Share:
        return cls(rate.value, *rate.interval(), rate.n)

    def __contains__(self, share: float) -> bool:
        return self.low <= share <= self.high


@dataclass(frozen=True)
class SeedShare(Share):
    """The mean of a share over the seeds of an attack, with the least and the most of them."""

    least: float
    most: float


@dataclass(frozen=True, kw_only=True)
class TransferRow:
    """A row of Table 1: one attack on one model, scored on this one.

    `accuracy`: clean images that get their label; `attack_success`: attacked ones that do not; `prediction_changed`:
    attacked ones whose prediction differs from the clean one; `floor_white`: those that plain white stickers change.
    `confidence`: the probability of the predicted class, the mean over the clean images; `None`: not measured.
    """

    name: str
    title: str
    accuracy: Share
    attack_success: Share
    prediction_changed: Share
    target_reached: Share | None
    l2_dissimilarity: float
    n: int
    floor_white: Share | None = None
    confidence: float | None = None
    paper_accuracy: float | None = None
    paper_attack_success: float | None = None


@dataclass(frozen=True, kw_only=True)
class WhiteBoxRow:
    """A row of Table 2: one model under attacks (target, lambda) that know it.

    With several seeds each number is the mean over them. The interval counts images, not attacks times images, because
    attacks on the same image are not independent; that of the worst attack does not allow for its being chosen on these
    images. The worst attack is the one whose success, averaged over the seeds, is highest.

    `legitimate_accuracy` is on `n_test` held-out images, `victim_accuracy` on the clean attacked ones. Success:
    predictions changed, on average over the attacks, by the worst, and by at least one (`union_`); `target_reached_`:
    images taken for the target; `floor_`: predictions that plain stickers change, for random ones the mean over the
    draws and the most. `success_deviation`: the standard deviation of success over the attacks. `confidence`: the
    probability of the predicted class, the mean over the clean attacked images; `None`: not measured.
    `l2_dissimilarity`: Eq. 1, over all attacks. `difference`: measured less the paper's.
    """

    name: str
    title: str
    alpha: float | None
    legitimate_accuracy: Share | None
    n_test: int | None
    victim_accuracy: Share
    confidence: float | None
    floor_white: Share
    floor_black: Share
    floor_random: float
    floor_random_worst: float
    average_success: SeedShare
    success_deviation: float
    worst_success: SeedShare
    worst_target: str
    worst_lambda: float
    union_success: SeedShare
    target_reached_average: float
    target_reached_worst: float
    target_reached_worst_target: str
    l2_dissimilarity: Spread
    n_targets: int
    n_images: int
    lambdas: tuple[float, ...]
    seeds: tuple[int, ...]
    paper: Figures
    difference: Figures


@dataclass(frozen=True, kw_only=True)
class LambdaRow:
    """A row of Table 2 for the attacks of one lambda alone."""

    penalty: float
    attacked: WhiteBoxRow


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A run that changes one thing.

    Total variation and its size are those of the first layer's maps and kernels; `least_recall` is that of the class
    that is found worst on the test images, of which the model names `classes_predicted`; `l2_stacked` is Eq. 1 with one
    norm over all images; `accuracy_as_trained` is on images multiplied as those of the training were, if they were.
    `None`: not measured.
    """

    run: str
    change: str
    attacked: WhiteBoxRow
    total_variation: float
    relative_total_variation: float
    kernel_relative_total_variation: float | None = None
    kernel_high_pass: float | None = None
    least_recall: float | None = None
    classes_predicted: int | None = None
    l2_stacked: float | None = None
    accuracy_as_trained: float | None = None


@dataclass(frozen=True, kw_only=True)
class AblationRow:
    """The baseline with a box blur of `size` after convolution `layer`; both are 0 without a blur.

    The accuracies are on `n_test` held-out images and on the `n` attacked ones, clean; `attack_success` counts attacked
    images that do not get their label.
    """

    name: str
    layer: int
    size: int
    legitimate_accuracy: Share
    victim_accuracy: Share
    attack_success: Share
    n_test: int
    n: int


def transfer_row(name: str, title: str, records: Sequence[Record], floor: Sequence[Record] = ()) -> TransferRow:
    """Count a row of Table 1 from records of one attack on `name` and others, and of plain stickers.

    Raises:
        ValueError: There are no records of attacks on `name`.
    """
    mine = _of_victim(name, records, "A table of transfer")
    targeted = all(record.target is not None for record in mine)
    white = [record for record in floor if (record.victim, record.attack) == (name, "white")]
    return TransferRow(
        name=name, title=title, n=len(mine),
        accuracy=Share.of(metrics.accuracy(mine)), attack_success=Share.of(metrics.misclassified(mine)),
        prediction_changed=Share.of(metrics.prediction_changed(mine)),
        target_reached=Share.of(metrics.target_reached(mine)) if targeted else None,
        l2_dissimilarity=metrics.mean_dissimilarity(mine),
        floor_white=Share.of(metrics.prediction_changed(white)) if white else None,
    )  # fmt: skip


def transfer_rows(run: Run, records: Sequence[Record], floor: Sequence[Record] = ()) -> list[TransferRow]:
    """Count the rows of Table 1; a ValueError if a row has no records, or these are of several attacks."""
    attacks = {(one.source, one.attack, one.attack_digest, one.target, one.penalty, one.seed) for one in records}
    if len(attacks) > 1:
        raise ValueError(f"A table of transfer is about one attack. Received: records of {len(attacks)}")
    papers = PAPER_TABLE_1 if run.kind in PAPERS_KINDS else {}
    rows = []
    for row in run.rows:
        accuracy, success = papers.get(row.name, (None, None))
        counted = transfer_row(row.name, row.title, records, floor)
        rows.append(
            replace(
                counted, confidence=row.extra.get("confidence"), paper_accuracy=accuracy, paper_attack_success=success
            )
        )
    return rows


def white_box_rows(run: Run, records: Sequence[Record], floor: Sequence[Record]) -> list[WhiteBoxRow]:
    """Count the rows of Table 2 from attacks on each model itself, and from plain stickers; `seed` numbers random ones.

    Raises:
        ValueError: A record is not of a targeted white-box attack or of a plain sticker, or a row is not whole.
    """
    check_each(records, floor, len(run.class_names), seen=run.kind != "study")
    return [_white_box_row(run, row, records, floor) for row in run.rows]


def lambda_rows(run: Run, records: Sequence[Record], floor: Sequence[Record]) -> list[LambdaRow]:
    """Count Table 2 for each lambda alone, the lambdas of a model beside one another; none if there is only one."""
    penalties = sorted({record.penalty for record in records})
    if len(penalties) < 2:
        return []
    tables = [white_box_rows(run, [one for one in records if one.penalty == each], floor) for each in penalties]
    return [
        LambdaRow(penalty=penalty, attacked=row)
        for rows in zip(*tables, strict=True)
        for penalty, row in zip(penalties, rows, strict=True)
    ]


_OF_STUDIES = (
    "total_variation", "relative_total_variation", "kernel_relative_total_variation", "kernel_high_pass",
    "least_recall", "classes_predicted", "l2_stacked", "accuracy_as_trained",
)  # fmt: skip


def study_rows(run: Run, records: Sequence[Record], floor: Sequence[Record]) -> list[StudyRow]:
    """Count the rows of runs that vary one thing each, as `white_box_rows` does."""
    counted = white_box_rows(run, records, floor)
    return [
        StudyRow(
            run=row.name, change=row.change, attacked=attacked,
            **{name: row.extra.get(name) for name in _OF_STUDIES},  # type: ignore[arg-type]
        )
        for row, attacked in zip(run.rows, counted, strict=True)
    ]  # fmt: skip


def ablation_rows(run: Run, records: Sequence[Record]) -> list[AblationRow]:
    """Count the rows of the ablation; a ValueError if a model has no records or no accuracy on held-out images."""
    rows = []
    for row in run.rows:
        mine, legitimate = _of_victim(row.name, records, "The ablation"), _legitimate(row)
        if legitimate is None:
            raise ValueError(f"The ablation needs the accuracy of '{row.name}' on held-out images. Received: none")
        rows.append(
            AblationRow(
                name=row.name, layer=row.extra["layer"], size=row.extra["size"], legitimate_accuracy=legitimate,
                victim_accuracy=Share.of(metrics.accuracy(mine)), attack_success=Share.of(metrics.misclassified(mine)),
                n_test=legitimate.n, n=len(mine),
            )
        )  # fmt: skip
    return rows


def _white_box_row(run: Run, row: RunRow, records: Sequence[Record], floor: Sequence[Record]) -> WhiteBoxRow:
    mine = [record for record in records if record.victim == row.name]
    plain = [record for record in floor if record.victim == row.name]
    check_row(row.name, mine, plain, run.class_names)
    legitimate = _legitimate(row)
    if legitimate is None and run.kind in PAPERS_KINDS:
        raise ValueError(f"Row '{row.name}' of Table 2 needs its accuracy on held-out images. Received: none")
    changed, reached = metrics.prediction_changed, metrics.target_reached
    white, black, random = ([record for record in plain if record.attack == kind] for kind in FLOORS)
    draws = metrics.over_seeds(random, lambda draw: changed(draw).value)
    attacks = metrics.by_attack(mine)
    worst, _ = metrics.worst_attack(mine, changed)
    most, _ = metrics.worst_attack(mine, reached)
    images = len({record.image for record in mine})
    average = _over_seeds(mine, lambda some: metrics.average_over_attacks(some, changed), images)
    worst_success = _over_seeds(attacks[worst], lambda some: changed(some).value, images)
    distance = metrics.over_seeds(mine, metrics.mean_dissimilarity)
    accuracy = None if legitimate is None else legitimate.value
    measured = accuracy, average.value, worst_success.value, distance.mean
    paper = PAPER_TABLE_2.get(row.name, NO_FIGURES) if run.kind in PAPERS_KINDS else NO_FIGURES
    pairs = zip(measured, astuple(paper), strict=True)
    return WhiteBoxRow(
        name=row.name, title=row.title, alpha=row.alpha, legitimate_accuracy=legitimate, n_test=row.test_images,
        victim_accuracy=Share.of(metrics.accuracy(white)),  # of the clean images; each kind of sticker has them all
        confidence=row.extra.get("confidence"),
        floor_white=Share.of(changed(white)), floor_black=Share.of(changed(black)),
        floor_random=draws.mean, floor_random_worst=draws.most,
        average_success=average,
        success_deviation=metrics.over_seeds(mine, metrics.deviation_over_attacks).mean, worst_success=worst_success,
        worst_target=run.class_names[worst.target or 0], worst_lambda=worst.penalty,  # `check_each` refuses None
        union_success=_over_seeds(mine, lambda some: metrics.union(some).value, images),
        target_reached_average=metrics.over_seeds(mine, lambda some: metrics.average_over_attacks(some, reached)).mean,
        target_reached_worst=metrics.over_seeds(attacks[most], lambda some: reached(some).value).mean,
        target_reached_worst_target=run.class_names[most.target or 0],
        l2_dissimilarity=distance, n_targets=len({attack.target for attack in attacks}), n_images=images,
        lambdas=tuple(sorted({attack.penalty for attack in attacks})), seeds=tuple(metrics.by_seed(mine)), paper=paper,
        difference=Figures(*(None if one is None or other is None else one - other for one, other in pairs)),
    )  # fmt: skip


def _over_seeds(records: Sequence[Record], figure: Callable[[list[Record]], float], n: int) -> SeedShare:
    spread = metrics.over_seeds(records, figure)
    return SeedShare(spread.mean, *metrics.wilson(spread.mean, n), n, spread.least, spread.most)


def _legitimate(row: RunRow) -> Share | None:
    if row.test_correct is None or row.test_images is None:
        return None
    return Share.of(Rate(row.test_correct, row.test_images))


def _of_victim(name: str, records: Sequence[Record], table: str) -> list[Record]:
    mine = [record for record in records if record.victim == name]
    if not mine:
        raise ValueError(f"{table} needs records of the model '{name}'. Received: none")
    return mine
