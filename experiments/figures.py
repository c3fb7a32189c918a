"""The paper's figures and two of our own, from what other experiments stored: nothing is trained or attacked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from blurnet_tf.commands.arguments import natural
from blurnet_tf.evaluation.high_frequency import measure, measure_layers, write_ratios
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.evaluation.spectra import RADIUS
from blurnet_tf.files import write_json
from blurnet_tf.models import layer_weights, weights_sha256
from blurnet_tf.reporting.captions import CAPTIONS
from blurnet_tf.reporting.gallery import defence_pictures, dissimilarity_picture, paper_pictures
from blurnet_tf.reporting.style import save_both
from blurnet_tf.training.recipes import PRESETS
from experiments import cli
from experiments.attacked import attacked_models, load_attacked, trained_models
from experiments.table2 import read_attacks

ATTACKED = "attacked weights"
RADII = (0.125, RADIUS, 0.375)


def main(arguments: list[str] | None) -> None:
    """Draw what there is something to draw of, write its numbers, and say what is absent and what makes it."""
    options = _parse(arguments)
    results: Path = options.results
    signs = load_attacked(options.blackbox)
    data, trained, absent = trained_models(
        signs,
        options.checkpoints,
        preset=options.preset,
        split=options.split,
        init=options.init,
        seed=options.train_seed,
    )
    own = attacked_models(signs, cli.data_roots(options.data_dir), options.checkpoints)
    groups = {ATTACKED: own, f"trained on {data}": trained}

    image = measure("image", signs.clean, signs.adversarial)
    measured = {
        heading: {name: measure_layers(model, signs.clean, signs.adversarial) for name, model in models.items()}
        for heading, models in groups.items()
    }
    example, names = signs.records[signs.example], signs.provenance["class_names"]
    pair = np.stack([signs.clean[signs.example], signs.adversarial[signs.example]])
    seen = (names[example.clean_prediction], names[example.adversarial_prediction])
    pictures = paper_pictures(pair, seen, own, image, measured[ATTACKED]) | defence_pictures(groups, measured)
    left_out = [f"without a checkpoint: {', '.join(absent)}. `make whitebox` trains them."] if absent else []
    if (options.whitebox / "run.json").is_file():
        pictures["figure4"] = dissimilarity_picture(read_attacks(options.whitebox))
    else:
        left_out.append(f"Figure 4, for want of {options.whitebox}/run.json. `make whitebox` makes it.")

    pictures = dict(sorted(pictures.items()))
    for name, picture in pictures.items():
        save_both(results, name, picture.figure)
        print(f"{name}: {picture.says}\n", flush=True)
    rows = [
        (heading, name, layer)
        for heading, models in measured.items()
        for name, layers in models.items()
        for layer in layers.values()
    ]
    write_ratios(results / "high_frequency.csv", [("", "", image), *rows], [record.image for record in signs.records])
    content = {
        "figures": {name: {"caption": CAPTIONS[name], "says": one.says} for name, one in pictures.items()},
        "left_out": left_out,
        "radius": RADIUS,
        "sign": example.image,
        "image": image.describe(RADII),
        "models": {
            heading: {
                name: {
                    "weights_sha256": weights_sha256(layer_weights(model)),
                    "layers": {layer: one.describe(RADII) for layer, one in measured[heading][name].items()},
                }
                for name, model in models.items()
            }
            for heading, models in groups.items()
        },
        "attack": {"data": signs.provenance["data"], **signs.provenance["attack"]},
        "environment": environment(),
    }
    write_json(results / "figures.json", content)
    print("\n".join([*(f"Left out: {sentence}" for sentence in left_out), f"Written to {results}/"]))


def _parse(arguments: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    cli.add_recipe_arguments(parser)
    parser.add_argument("--preset", choices=PRESETS, default="quick", help="of the trained variants")
    parser.add_argument("--train-seed", type=natural, default=0, help="of the trained variants")
    cli.add_checkpoints_argument(parser)
    cli.add_data_dir_argument(parser)
    parser.add_argument("--blackbox", type=Path, default=Path("results/blackbox"), help="the transfer experiment")
    parser.add_argument("--whitebox", type=Path, default=Path("results/whitebox"), help="the white-box experiment")
    parser.add_argument("--results", type=Path, default=Path("results/figures"), help="folder to write to")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.run(main)
