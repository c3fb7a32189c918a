"""One page that holds all results, drawn from what the other experiments stored: nothing is trained or attacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blurnet_tf.files import write_text
from blurnet_tf.reporting.report import more_tables, render, tables
from blurnet_tf.reporting.report.blocks import Absent, Section, Text
from blurnet_tf.reporting.report.curves import curves
from blurnet_tf.reporting.report.differences import differences
from blurnet_tf.reporting.report.headline import headline
from blurnet_tf.reporting.report.heat import heat_maps
from blurnet_tf.reporting.report.provenance import provenance
from blurnet_tf.reporting.report.stored import Rows, WhiteBox
from experiments import cli
from experiments.report_inputs import read_ablation, read_figures, read_transfer, read_white_box
from experiments.report_own import read_models, read_studies
from experiments.report_sections import ablation_blocks, figure_blocks, model_blocks
from experiments.report_signs import clean_signs, sign_blocks

LEAD = (
    "Traffic-sign classifiers that blur their own feature maps, under the RP2 sticker attack: what the paper reports "
    "(arXiv:1908.02256) beside what was measured here."
)


def main(arguments: list[str] | None) -> None:
    """Read what there is, write the page, and say what it lacks."""
    options = _parse(arguments)
    results: Path = options.results
    sections = _sections(results, options.checkpoints)
    write_text(results / "report.html", render("BlurNet, measured", LEAD, sections))
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Absent):
                print(f"{section.title}: {block.sentence}")
    print(f"Written to {results / 'report.html'}")


def _sections(results: Path, checkpoints: Path) -> list[Section]:
    blackbox, whitebox = results / "blackbox", results / "whitebox"
    first, second = read_transfer(blackbox), read_white_box(whitebox)
    transfer = first if isinstance(first, Rows) else None
    white_box = second if isinstance(second, WhiteBox) else None
    ablation = read_ablation(results / "ablation", transfer)
    pictured = read_figures(results / "figures", transfer)
    studied = read_studies(results / "reproduction")
    models, left_out = read_models(results / "models")
    no_table_1 = [Absent(sentence=first)] if isinstance(first, str) else []
    no_table_2 = [Absent(sentence=second)] if isinstance(second, str) else []
    signs: list[Any] = list(no_table_2)
    if white_box:
        signs = sign_blocks(white_box, clean_signs(blackbox, white_box.run, transfer), checkpoints)
    return [
        Section(key="headline", title="In short", blocks=headline(transfer, white_box) or [*no_table_1, *no_table_2]),
        Section(key="table1", title="Table 1: transfer", blocks=[tables.table_1(transfer)] if transfer else no_table_1),
        Section(
            key="table2", title="Table 2: white box", blocks=tables.table_2(white_box) if white_box else no_table_2
        ),
        Section(key="targets", title="Success by target", blocks=heat_maps(white_box) if white_box else no_table_2),
        Section(key="signs", title="Attacked signs", blocks=signs),
        Section(key="steps", title="Against the steps", blocks=curves(white_box) if white_box else no_table_2),
        Section(
            key="figures", title="Figures", blocks=figure_blocks(pictured, results / "figures", white_box, whitebox)
        ),
        Section(
            key="ablation",
            title="Ablation: where the blur stands",
            blocks=(
                [Absent(sentence=ablation)]
                if isinstance(ablation, str)
                else ablation_blocks(ablation, results / "ablation")
            ),
        ),
        Section(
            key="reproduction",
            title="What moves the numbers",
            blocks=[Absent(sentence=studied) if isinstance(studied, str) else more_tables.studies(studied)],
        ),
        Section(key="models", title="Models of your own", blocks=model_blocks(models, left_out)),
        Section(
            key="differences",
            title="What differs from the paper",
            blocks=[Text(sentences=differences(transfer, white_box), listed=True)],
        ),
        Section(
            key="provenance",
            title="Where it comes from",
            blocks=provenance(
                transfer,
                white_box,
                ablation=ablation if isinstance(ablation, Rows) else None,
                studies=studied if isinstance(studied, Rows) else None,
                models=models,
            )
            or [*no_table_1, *no_table_2],
        ),
    ]


def _parse(arguments: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="folder of the trained models")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="folder of the results, written to as well"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.run(main)
