"""The benchmark: every kind of sticker attack on the trained models, or on MODEL, with the flags that doubt it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blurnet_tf.commands.arguments import natural
from blurnet_tf.data.registry import choose_training
from blurnet_tf.evaluation.suites import SUITES
from blurnet_tf.reporting import write_tables
from blurnet_tf.runs.benchmarks import AREAS, check
from blurnet_tf.runs.threat_model import ThreatModel
from experiments import arguments, cli, own_model, variants


def main(argv: list[str] | None) -> None:
    """Train what is not trained, attack what is not attacked, write and print the table."""
    options = _parse(argv)
    kind = "curve" if options.curve else "check"
    models, data, facts = _own(options) if options.model is not None else _trained(options)
    run = check(
        models,
        data,
        results=options.results if options.model is None else options.results / models[0].name / kind,
        threat_model=ThreatModel(mask=options.mask, images=options.images, label=options.only),
        suite="" if options.curve else options.suite,
        areas=AREAS if options.curve else (),
        seeds=tuple(dict.fromkeys(options.seeds)),
        precision=options.precision,
        kind=kind,
        preset=options.preset,
        **facts,
    )
    print(write_tables(run))


def _own(options: Any) -> tuple[list[Any], Any, dict[str, Any]]:
    model, names, data = own_model.load(options)
    return [model], data, {"class_names": names}


def _trained(options: Any) -> tuple[list[Any], Any, dict[str, Any]]:
    data = arguments.load_data(choose_training, options)
    return variants.trained(options, data), data, {"training_data": data, "init": options.init}


def _parse(argv: list[str] | None) -> Any:
    parser = cli.parser(__doc__)
    arguments.add_data(parser)
    arguments.add_training(parser)
    own_model.add_arguments(parser)
    variants.add_variant(parser)
    parser.add_argument("--suite", choices=tuple(SUITES), default="standard", help="how many attacks")
    parser.add_argument("--seeds", type=natural, nargs="+", default=[0], help="seeds of the attacks")
    parser.add_argument("--mask", type=Path, help="image of the mask (default: that of the data)")
    parser.add_argument("--images", choices=("victims", "test"), default="victims", help="what wears the stickers")
    parser.add_argument("--only", help="attack the images of this class alone, a name or an index")
    parser.add_argument("--curve", action="store_true", help="in place of the suite: stickers of growing area")
    parser.add_argument("--results", type=Path, default=Path("results/check"), help="folder to write to")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main)
