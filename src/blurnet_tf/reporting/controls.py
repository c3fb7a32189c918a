"""Table 3, the controls: each row over several training seeds, and what goes with its success."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from scipy import stats

from blurnet_tf.evaluation.flags import FLAGS
from blurnet_tf.evaluation.metrics import Spread
from blurnet_tf.models import INPUT_VARIANTS
from blurnet_tf.reporting.benchmark_rows import CurveRow, ModelCount, common_trials, count_models, curve_rows, half_rows
from blurnet_tf.reporting.rows import Share
from blurnet_tf.reporting.run_tables import Counted
from blurnet_tf.reporting.tables import DASH, Cell, Column, columns_table, count_cell
from blurnet_tf.runs.controls import AREAS, SIGNS
from blurnet_tf.runs.run import RunRow, StoredRun, find_run

NOTE = (
    "Per cent, the mean over the training seeds, in brackets the least and the most of them. Test: accuracy on the "
    "held-out images. White paint: predictions that plain white paint in the sticker mask changes, without an attack; "
    "shared, per image, union: as in `make check`, in the same mask, by the attacks that every training was tried "
    "with. Signs: held-out signs of one class, one sticker for each. The others are of the seeds that were tried so, "
    "often the first alone. All: the union of the whole suite. 48 to 144: one sticker for each photograph in two bars "
    "of so many pixels; half: the pixels at which half of the photographs fall to it, of the first seed. The filters "
    "of the image stand before the baseline's weights."
)
MAPS_NOTE = (
    "TV: Eq. 4 of the first layer's maps, the mean over held-out images and channels; TV/|F|: over the sum of |F|. "
    "Kernel TV: of the first layer's weights; /|W|: divided by the sum of |W|; high-pass: the share of the weights' "
    "energy above a quarter of a cycle a pixel."
)
MEASURES = {
    "kernel_high_pass": "the high-pass share of the first layer's weights",
    "kernel_relative_total_variation": "their total variation over |W|",
    "relative_total_variation": "the total variation of the maps over |F|",
    "total_variation": "the total variation of the maps",
}


@dataclass(frozen=True, kw_only=True)
class ControlRow:
    """A row of Table 3. A `Spread` is over the training seeds; shares are in [0, 1]. `None`: not tried."""

    name: str
    title: str
    seeds: tuple[int, ...]
    test_accuracy: Spread
    floor_white: Spread | None
    shared: Spread | None
    per_image: Spread | None
    union: Spread | None
    union_all: Spread | None
    signs_white: Spread | None
    signs_per_image: Spread | None
    bars_48: Spread | None
    bars_96: Spread | None
    bars_144: Spread | None
    half_bars: float | None
    total_variation: Spread
    relative_total_variation: Spread
    kernel_total_variation: Spread
    kernel_relative_total_variation: Spread
    kernel_high_pass: Spread
    flags: tuple[str, ...]


def control_table(stored: StoredRun) -> Counted[ControlRow]:
    """Return Table 3: of a run on the victims, with that on the held-out signs, if there is one beside it."""
    signs = find_run(stored.folder / SIGNS)
    counts, models = {one.summary.name: one for one in count_models(stored)}, stored.run.rows
    alike = {one.summary.name: one for one in count_models(stored, common_trials(stored))}
    known = {(row.name, row.weights_sha256) for row in models}
    same = {row.name for row in (() if signs is None else signs.run.rows) if (row.name, row.weights_sha256) in known}
    on_signs = {} if signs is None else {one.summary.name: one for one in count_models(signs)}
    on_signs = {name: one for name, one in on_signs.items() if name in same}  # and not of an earlier training
    areas = curve_rows(stored)
    names = dict.fromkeys(row.extra["row"] for row in models)
    rows = [_row([one for one in models if one.extra["row"] == name], counts, alike, on_signs, areas) for name in names]
    success: list[Column] = [
        ("", Cell, "title"), ("test", spread_cell, "test_accuracy"), ("white paint", spread_cell, "floor_white"),
        ("shared", spread_cell, "shared"), ("per image", spread_cell, "per_image"), ("union", spread_cell, "union"),
        ("all", spread_cell, "union_all"), ("signs: white paint", spread_cell, "signs_white"),
        ("signs: per image", spread_cell, "signs_per_image"),
        *((f"{area}", spread_cell, f"bars_{area}") for area in AREAS), ("half", count_cell, "half_bars"),
        ("flags", lambda flags: Cell(", ".join(flags) or DASH), "flags"),
    ]  # fmt: skip
    plain = functools.partial(spread_cell, scale=1, digits=2)
    maps: list[Column] = [
        ("", Cell, "title"), ("union", spread_cell, "union"), ("TV", plain, "total_variation"),
        ("TV/|F|", plain, "relative_total_variation"),
        ("kernel TV", functools.partial(spread_cell, scale=1, digits=1), "kernel_total_variation"),
        ("/|W|", plain, "kernel_relative_total_variation"), ("high-pass", spread_cell, "kernel_high_pass"),
    ]  # fmt: skip
    run = stored.run
    seeds = sorted({seed for row in rows for seed in row.seeds})
    caption = (
        f"Table 3, the controls: {run.data['n']} signs ({run.data['title']}), a mask of {run.mask['pixels']} pixels, "
        f"training seeds {', '.join(map(str, seeds))}, preset {run.preset}"
    )
    tables = [
        columns_table(caption, rows, success, [NOTE]),
        columns_table("What the first layer became", rows, maps, [MAPS_NOTE, *correlations(rows)]),
    ]
    return Counted(stored=stored, rows=rows, tables=tables, markdown="\n\n".join(one.markdown for one in tables) + "\n")


def correlations(rows: Sequence[ControlRow]) -> list[str]:
    """Return a sentence for each measure of the first layer: how it goes with success across the rows.

    The rows that were trained plainly are also taken alone: a procedure changes the success of all of them at once.
    """
    # A filter of the image stands before a first layer that has a row already.
    known = [row for row in rows if row.union is not None and row.name not in INPUT_VARIANTS]
    plain = [row for row in known if "+" not in row.name]
    sentences = []
    for field, words in MEASURES.items():
        found = [_rank_correlation(some, field, which) for some, which in ((known, "rows"), (plain, "plain rows"))]
        if told := [one for one in found if one][: 2 if len(plain) < len(known) else 1]:
            sentences.append(f"Rank correlation of {words} with the union, over {' and over '.join(told)}.")
    return sentences


def _rank_correlation(rows: Sequence[ControlRow], field: str, which: str) -> str:
    """Return the correlation over some rows in words; "" if they are too few, or all alike."""
    union = [row.union.mean for row in rows if row.union]
    values = [getattr(row, field).mean for row in rows]
    if len(rows) < 3 or len(set(values)) < 2 or len(set(union)) < 2:
        return ""
    found = stats.spearmanr(values, union)
    return f"{len(rows)} {which}: {found.statistic:.2f} (p = {found.pvalue:.2g})"


def spread_cell(value: Spread | None, *, scale: float = 100, digits: int = 1) -> Cell:
    """Return the cell of a mean with the least and the most: "95.8 [95.1, 96.4]"; a dash for none."""
    if value is None:
        return Cell(text=DASH)
    middle, low, high = (f"{scale * one:.{digits}f}" for one in (value.mean, value.least, value.most))
    return Cell(text=middle if low == high else f"{middle} [{low}, {high}]", value=value.mean)


def _row(
    models: Sequence[RunRow],
    counts: dict[str, ModelCount],
    alike: dict[str, ModelCount],
    on_signs: dict[str, ModelCount],
    areas: Sequence[CurveRow],
) -> ControlRow:
    first = models[0]
    names = [one.name for one in models]
    halves = {one.family: one.per_image for one in half_rows([one for one in areas if one.model == first.name])}
    tried = {name: {one.trial for one in counts[name].rows} for name in names}
    most = max(tried.values(), key=len)

    def spread(of: Callable[[ModelCount], Share | None], where: dict[str, ModelCount]) -> Spread | None:
        found = [share.value for name in names if name in where and (share := of(where[name])) is not None]
        return _spread(found) if found else None

    def in_bars(area: int) -> Spread | None:
        here = [one.per_image for one in areas if one.model in names and (one.family, one.area) == ("bars", area)]
        return _spread([share.value for share in here if share]) if any(here) else None

    def measured(field: str) -> Spread:
        return _spread([one.extra[field] for one in models])

    flagged = {flag for name in names for flag in counts[name].summary.flags}
    return ControlRow(
        name=first.extra["row"],
        title=first.title.rpartition(", seed ")[0],
        seeds=tuple(one.extra["train_seed"] for one in models),
        test_accuracy=_spread([one.test_correct / one.test_images for one in models if one.test_images]),  # type: ignore[operator]
        floor_white=spread(lambda one: one.summary.floor_white, alike),
        shared=spread(lambda one: one.summary.shared, alike),
        per_image=spread(lambda one: one.summary.per_image, alike),
        union=spread(lambda one: one.summary.union, alike),
        union_all=spread(lambda one: one.summary.union, {name: counts[name] for name in names if tried[name] == most}),
        signs_white=spread(lambda one: one.summary.floor_white, on_signs),
        signs_per_image=spread(lambda one: one.summary.per_image, on_signs),
        bars_48=in_bars(48),
        bars_96=in_bars(96),
        bars_144=in_bars(144),
        half_bars=halves.get("bars"),
        flags=tuple(flag for flag in FLAGS if flag in flagged),
        **{field: measured(field) for field in ("kernel_total_variation", *MEASURES)},
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(mean(values), min(values), max(values))
