"""Section 3.1, measured: what a box blur costs and buys after each of the three convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from blurnet_tf.evaluation import metrics
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.style import COLOURS, COLUMN, MARKERS, look
from blurnet_tf.reporting.tables import markdown_table, per_cent, with_interval


def ablation_table(
    records: Sequence[Record], legitimate: Mapping[str, Rate], places: Mapping[str, tuple[int, int]]
) -> list[dict[str, Any]]:
    """Return a row for each model: the baseline, and the baseline with a blur somewhere.

    Args:
        records: One attack on the baseline, scored on each model.
        legitimate: The accuracy on the test split, by model.
        places: The models in the order of the rows: after which convolution the blur stands, and its side; (0, 0) for
            no blur.

    Returns:
        A dict a row with `row`, `layer`, `size`, `legitimate_accuracy` on `n_test` images, `victim_accuracy` and
        `attack_success` (attacked signs that do not get their label, as in Table 1) on `n` signs; each in [0, 1], with
        its 95% Wilson interval as `<name>_low` and `<name>_high`.

    Raises:
        ValueError: A model has no records.
    """
    rows = []
    for name, (layer, size) in places.items():
        mine = [record for record in records if record.victim == name]
        if not mine:
            raise ValueError(f"The ablation needs records of the model '{name}'. Received: none")
        rates = {
            "legitimate_accuracy": legitimate[name],
            "victim_accuracy": metrics.accuracy(mine),
            "attack_success": metrics.misclassified(mine),
        }
        row: dict[str, Any] = {"row": name, "layer": layer, "size": size}
        for key, rate in rates.items():
            row |= with_interval(key, rate.value, rate.n)
        rows.append(row | {"n_test": legitimate[name].n, "n": len(mine)})
    return rows


def ablation_markdown(rows: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Return the table as Markdown, in per cent, under `caption`."""
    header = ("blur", "test split", "n", "attacked signs", "attack success", "n")
    lines = [
        (
            f"{row['size']}x{row['size']} after layer {row['layer']}" if row["size"] else "none",
            per_cent(row, "legitimate_accuracy"),
            str(row["n_test"]),
            per_cent(row, "victim_accuracy"),
            per_cent(row, "attack_success"),
            str(row["n"]),
        )
        for row in rows
    ]
    note = (
        "Per cent, in brackets the 95% Wilson interval. The weights are those of the baseline, nothing is trained for "
        "the blur. Attack success: attacked signs that are not classified as what they are; the attack saw the "
        "baseline alone. A model that errs on clean signs gains nothing from a low figure here. The maps of layer 3 "
        "are 2x2, so that any blur there is their sum, at three scales."
    )
    return f"{caption}\n\n{markdown_table(header, lines)}\n\n{note}\n"


@look()
def ablation_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw accuracy and attack success against the size of the blur, a line for each layer.

    Args:
        rows: As `ablation_table` returns them, the one without a blur among them.
    """
    figure = Figure(figsize=(2 * COLUMN, 3.0), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    titles = {
        "legitimate_accuracy": "accuracy, test split",
        "victim_accuracy": "accuracy, clean signs",
        "attack_success": "attack success",
    }
    (plain,) = [row for row in rows if not row["size"]]
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        for layer, colour, marker in zip((1, 2, 3), COLOURS[1:], MARKERS[1:], strict=False):
            line = [plain, *(row for row in rows if row["layer"] == layer)]
            share = [100 * row[key] for row in line]
            below = [100 * (row[key] - row[f"{key}_low"]) for row in line]
            above = [100 * (row[f"{key}_high"] - row[key]) for row in line]
            # Beside one another, so that the intervals can be told apart.
            sizes = [max(1, row["size"]) + 0.16 * (layer - 2) for row in line]
            axis.errorbar(
                sizes, share, yerr=[below, above], color=colour, marker=marker, markersize=4, capsize=2,
                label=f"after layer {layer}",
            )  # fmt: skip
        axis.set_title(title)
        axis.set_xticks([1, 3, 5, 7], ["none", "3x3", "5x5", "7x7"])
        axis.set_ylim(-3, 103)
        axis.grid()
        axis.set_xlabel("box blur")
    axes[0].set_ylabel("per cent")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
