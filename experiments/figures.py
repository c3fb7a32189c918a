"""The paper's figures and two of our own, from what other experiments stored: nothing is trained or attacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blurnet_tf.models import TRAINED_VARIANTS
from blurnet_tf.reporting import draw_figures
from blurnet_tf.runs import find_run, read_run, read_variants, stored_checkpoints
from experiments import arguments, cli


def main(argv: list[str] | None) -> None:
    """Draw what there is something to draw of, and say what is absent and what makes it."""
    options = _parse(argv)
    results: Path = options.results
    attack = read_run(results / "blackbox")
    white_box = find_run(results / "whitebox")
    data = attack.run.data["key"]
    if attack.run.data["photographs"] and attack.run.data["split"] == "none":  # to train on there is LISA
        data = "lisa" if options.split == "track" else f"lisa_{options.split}"
    trained, absent = stored_checkpoints(
        TRAINED_VARIANTS, options.checkpoints, data, options.preset, options.init, options.train_seed
    )
    attacked = attack.run.rows[0].weights_sha256
    sentences = draw_figures(
        attack,
        read_variants(attack.run),
        {one.variant.name: one.model for one in trained if one.provenance["weights_sha256"] != attacked},
        folder=results / "figures",
        trained_on=trained[0].provenance["settings"]["data"] if trained else data,
        white_box=white_box,
        left_out=[f"without a checkpoint: {', '.join(absent)}. `make whitebox` trains them."] if absent else [],
    )
    print("\n\n".join([*sentences, f"Written to {results / 'figures'}/"]))


def _parse(argv: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    arguments.add_training(parser)
    parser.add_argument("--split", choices=("track", "random"), default="track", help="of LISA, of the trained models")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results, written to too")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main)
