"""Table 2 of the paper: how far an attack gets that knows the model, for each variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.records import Record
from blurnet_tf.models.lisa_cnn import TRAINED_VARIANTS, VARIANTS, Variant
from blurnet_tf.reporting.tables import markdown_table, per_cent, with_interval
from blurnet_tf.reporting.white_box_checks import check_each, check_row
from blurnet_tf.reporting.white_box_columns import attack_columns, floor_columns

ROWS: tuple[str, ...] = (*TRAINED_VARIANTS, "rp2_release")
"""The models of Table 2 in the order of its rows: the paper's, and the one that RP2's authors released."""

PAPER_TABLE_2: dict[str, tuple[float, float, float, float]] = {
    "baseline": (0.91, 0.4918, 0.9, 0.207),
    "depthwise_3x3": (0.863, 0.3, 0.55, 0.201),
    "depthwise_5x5": (0.863, 0.2411, 0.475, 0.189),
    "depthwise_7x7": (0.87, 0.1161, 0.3, 0.203),
    "tv_1e-4": (0.856, 0.0792, 0.175, 0.224),
    "tv_1e-5": (0.823, 0.0847, 0.3, 0.199),
}
"""Legitimate accuracy, average and worst success, and L2 dissimilarity of the rows of Table 2, arXiv:1908.02256v1."""

PAPER_FIGURES: tuple[str, ...] = ("legitimate_accuracy", "average_success", "worst_success", "l2_dissimilarity")
"""The columns that the paper has too, in the order of `PAPER_TABLE_2`."""


def white_box_table(
    records: Sequence[Record],
    floor: Sequence[Record],
    legitimate: Mapping[str, Rate],
    *,
    class_names: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the rows of Table 2: each model under attacks made on itself, one for each target and lambda.

    Args:
        records: White-box attacks: source and victim are the row. Each row has every target with every lambda and
            seed, all on the same images.
        floor: What plain stickers do without an attack: target `None`, penalty 0, `source` "white", "black" or
            "random", victim the row. For "random", `seed` numbers the draws.
        legitimate: The accuracy on the test split, by row.
        class_names: The names of the classes, in the order of the outputs.

    Returns:
        A dict a row, those of `ROWS` first, then others in the order in which `records` names them.
        Shares and dissimilarities are as measured, not in per cent:

        - `row`, `title`, `alpha` (of Eq. 3 or 5; `None` for a row that is not in `VARIANTS`);
        - `legitimate_accuracy` on the `n_test` images of the test split; `victim_accuracy` on the attacked images;
        - `floor_white` and `floor_black`: predictions that such stickers change; `floor_random` is the mean over the
          draws, `floor_random_worst` the largest;
        - `average_success`, `worst_success`: `prediction_changed`, the mean over all attacks (target, lambda) and the
          highest of them, which is that of `worst_target` and `worst_lambda`; `union_success`: images that any of
          them changes;
        - `target_reached_average`, `target_reached_worst`, `target_reached_worst_target`: the same of `target_reached`;
        - `l2_dissimilarity`, Eq. 1, over all attacks; `n_targets`, `n_images`, `lambdas`, `seeds`;
        - `paper_<figure>` and `difference_<figure>`, measured less the paper's, for each of `PAPER_FIGURES`; `None`
          where the paper has no such row.

        `<name>_low` and `<name>_high` are the 95% Wilson interval. Its n is the number of images and not of attacks
        times images, because attacks on the same image are not independent. That of the worst attack does not allow
        for the choice of the attack on these very images. With several seeds each figure is computed for each seed;
        the row has the mean over the seeds, `<name>_seed_min` and `<name>_seed_max`. The worst attack is the one whose
        success, averaged over the seeds, is highest; its figures are its own.

    Raises:
        ValueError: A record is not of a targeted white-box attack or of a plain sticker, or a row is not whole.
    """
    check_each(records, floor, len(class_names))
    rows = []
    for name, title in row_titles(records).items():
        mine = [record for record in records if record.victim == name]
        plain = [record for record in floor if record.victim == name]
        check_row(name, mine, plain, legitimate, class_names)
        variant = VARIANTS.get(name)
        row: dict[str, Any] = {"row": name, "title": title, "alpha": _alpha(variant)}
        row |= with_interval("legitimate_accuracy", legitimate[name].value, legitimate[name].n)
        row |= {"n_test": legitimate[name].n} | floor_columns(plain) | attack_columns(mine, class_names)
        papers = PAPER_TABLE_2.get(name, (None,) * len(PAPER_FIGURES))
        row |= {f"paper_{key}": paper for key, paper in zip(PAPER_FIGURES, papers, strict=True)}
        row |= {
            f"difference_{key}": None if paper is None else row[key] - paper
            for key, paper in zip(PAPER_FIGURES, papers, strict=True)
        }
        rows.append(row)
    return rows


def row_titles(records: Sequence[Record]) -> dict[str, str]:
    """Return the titles of the rows by name: those of `ROWS` first, then others in the order of `records`."""
    present = dict.fromkeys(record.victim for record in records)
    names = [*(name for name in ROWS if name in present), *(name for name in present if name not in ROWS)]
    return {name: VARIANTS[name].title if name in VARIANTS else name for name in names}


def white_box_markdown(rows: Sequence[Mapping[str, Any]], caption: str, *, notes: Sequence[str] = ()) -> str:
    """Return Table 2 as Markdown that also reads well as plain text, in per cent, under `caption`.

    It comes in parts, because one table would be too wide: beside the paper, the attacks with their intervals, what
    there is without an attack and, where a row has several seeds, what they differ by.

    Args:
        rows: As `white_box_table` returns them.
        caption: Stands above.
        notes: Further sentences, for below.
    """
    several = any(len(row["lambdas"]) > 1 for row in rows)
    parts = [
        caption,
        "Beside the paper: accuracy on the test split, average and worst attack success, L2 dissimilarity.",
        _table(("alpha", *(column for name in _SHORT for column in (name, "paper", "diff."))), rows, _beside_the_paper),
        "The attacks, with their intervals: average and worst success, all of them together, and the target reached.",
        _table(
            ("average", "worst", "worst attack", "union", "target reached", "at most"),
            rows,
            lambda row: (
                per_cent(row, "average_success"),
                per_cent(row, "worst_success"),
                row["worst_target"] + (f", lambda {row['worst_lambda']:g}" if several else ""),
                per_cent(row, "union_success"),
                f"{100 * row['target_reached_average']:.1f}",
                f"{100 * row['target_reached_worst']:.1f} ({row['target_reached_worst_target']})",
            ),
        ),
        "Without an attack: accuracy on the test split and on the signs that are attacked, and the floor.",
        _table(
            ("test", "n", "attacked signs", "n", "white", "black", "random", "at most"),
            rows,
            lambda row: (
                per_cent(row, "legitimate_accuracy"),
                str(row["n_test"]),
                per_cent(row, "victim_accuracy"),
                str(row["n_images"]),
                per_cent(row, "floor_white"),
                per_cent(row, "floor_black"),
                f"{100 * row['floor_random']:.1f}",
                f"{100 * row['floor_random_worst']:.1f}",
            ),
        ),
    ]
    if any(len(row["seeds"]) > 1 for row in rows):
        parts += [
            "Figures above are means over the seeds of the attack. From the least to the most of them:",
            _table(("average", "worst", "union", "L2", "seeds"), rows, _over_the_seeds),
        ]
    return "\n\n".join([*parts, _NOTE, *([" ".join(notes)] if notes else [])]) + "\n"


def lambda_markdown(rows: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Return what each lambda reaches as Markdown, in per cent, under `caption`.

    Args:
        rows: As `white_box_table` returns them for the records of one lambda, each with that as `lambda`.
        caption: Stands above.
    """
    lines = [
        (
            row["title"],
            f"{row['lambda']:g}",
            per_cent(row, "average_success"),
            per_cent(row, "worst_success"),
            row["worst_target"],
            per_cent(row, "union_success"),
            f"{row['l2_dissimilarity']:.3f}",
        )
        for row in sorted(rows, key=lambda row: [one["row"] for one in rows].index(row["row"]))
    ]
    header = ("", "lambda", "average", "worst", "worst attack", "union", "L2")
    return f"{caption}\n\n{markdown_table(header, lines)}\n\n{_NOTE}\n"


_SHORT: tuple[str, ...] = ("accuracy", "average", "worst", "L2")
_NOTE = (
    "Per cent; L2 is Eq. 1, the mean of `||x - x_adv||_2 / ||x_adv||_2`. Success: attacked signs whose prediction "
    "differs from that of the clean sign. An attack is one target with one lambda; union: signs that at least one "
    "attack changes; target reached: signs taken for the target, the mean over the attacks and the most. In brackets "
    "the 95% Wilson interval for the number of signs, since attacks on the same sign are not independent; that of the "
    "worst attack does not allow for its being chosen on these signs. Floor: predictions that plain white or black "
    "stickers change, and random ones, the mean over their draws and the most. Paper: arXiv:1908.02256v1, Table 2; "
    "diff.: measured less the paper's, in points."
)


def _table(
    header: Sequence[str], rows: Sequence[Mapping[str, Any]], cells: Callable[[Mapping[str, Any]], Sequence[str]]
) -> str:
    return markdown_table(("", *header), [(row["title"], *cells(row)) for row in rows])


def _beside_the_paper(row: Mapping[str, Any]) -> list[str]:
    line = ["-" if row["alpha"] is None else f"{row['alpha']:g}"]
    for key in PAPER_FIGURES:
        scale, digits = (1, 3) if key == "l2_dissimilarity" else (100, 1)
        paper, difference = row[f"paper_{key}"], row[f"difference_{key}"]
        line.append(f"{scale * row[key]:.{digits}f}")
        line.append("-" if paper is None else f"{scale * paper:.{digits}f}")
        # Zero is added so that a difference of nothing is +0.0, never -0.0.
        line.append("-" if difference is None else f"{round(scale * difference, digits) + 0:+.{digits}f}")
    return line


def _over_the_seeds(row: Mapping[str, Any]) -> list[str]:
    line = [
        f"{100 * row[f'{key}_seed_min']:.1f} to {100 * row[f'{key}_seed_max']:.1f}"
        for key in ("average_success", "worst_success", "union_success")
    ]
    line.append(f"{row['l2_dissimilarity_seed_min']:.3f} to {row['l2_dissimilarity_seed_max']:.3f}")
    return [*line, str(len(row["seeds"]))]


def _alpha(variant: Variant | None) -> float | None:
    return None if variant is None else variant.alpha or variant.alpha_tv
