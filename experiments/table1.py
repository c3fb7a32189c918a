"""Table 1 of the paper and its pictures, from the records of the transfer experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blurnet_tf.evaluation.records import read_records
from blurnet_tf.files import read_json
from blurnet_tf.reporting.figures import adversarial_figure, perturbation_figure
from blurnet_tf.reporting.style import save_figure
from blurnet_tf.reporting.tables import transfer_markdown, transfer_table, write_table
from experiments import cli


def main(arguments: list[str] | None) -> None:
    """Draw the pictures, write the table, print it."""
    parser = cli.parser(__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/blackbox"), help="what the experiment wrote")
    results: Path = parser.parse_args(arguments).results
    records = read_records(results / "records.csv")
    provenance = read_json(results / "provenance.json")
    attack, names = provenance["attack"], provenance["class_names"]
    target, source = attack["target_name"], provenance["data"]["source"]

    with np.load(results / "signs.npz", allow_pickle=False) as signs:
        clean, adversarial, mask = signs["clean"], signs["adversarial"], signs["mask"]
    seen = [record for record in records if record.victim == "baseline"]
    figure = adversarial_figure(
        clean,
        adversarial,
        [names[record.clean_prediction] for record in seen],
        [names[record.adversarial_prediction] for record in seen],
        title=f"RP2 towards {target}, {source} victims: the baseline's prediction before and after",
    )
    save_figure(results / "adversarial.png", figure, dpi=110)  # a sheet for the screen
    perturbation = np.load(results / "perturbation.npy", allow_pickle=False)
    figure = perturbation_figure(perturbation, mask, title=f"One perturbation for all: M.d, {target}")
    save_figure(results / "perturbation.png", figure)

    rows = transfer_table(records)
    caption = (
        f"Table 1 on {source} data: {len(seen)} stop signs, target {target}, lambda {attack['penalty']:g}, "
        f"{attack['steps']} steps, seed {attack['seed']}"
    )
    markdown = transfer_markdown(rows, caption, comparable=provenance["papers_protocol"])
    write_table(results, "table1", rows, markdown)
    print(f"\n{markdown}\nWritten to {results}/")


if __name__ == "__main__":
    cli.run(main)
