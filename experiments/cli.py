"""What the programs share: arguments, and how they speak of mistakes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from blurnet_tf.commands.arguments import natural
from blurnet_tf.data import sources
from blurnet_tf.data.download import DownloadError
from blurnet_tf.training.precision import PRECISIONS
from blurnet_tf.training.recipes import PRESETS

ROOT = Path(__file__).resolve().parent.parent
MASKS = ROOT / "masks"


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows defaults, with the arguments that every program has."""
    result = argparse.ArgumentParser(description=description, formatter_class=_Defaults, allow_abbrev=False)
    result.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return result


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Adds a default to the help of an argument that has one and does not name it itself."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        named = action.default is None or action.default is False or "(default:" in (action.help or "")
        return action.help if named else super()._get_help_string(action)


def add_training_arguments(result: argparse.ArgumentParser) -> None:
    """Add what says how a model is trained and where it is kept."""
    result.add_argument("--preset", choices=PRESETS, default="quick", help="how much work to do")
    result.add_argument("--train-seed", type=natural, default=0, help="seed of the training")
    add_checkpoints_argument(result)
    add_precision_argument(result)


def add_checkpoints_argument(result: argparse.ArgumentParser) -> None:
    """Add where the trained models are."""
    result.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="folder of the trained models")


def add_precision_argument(result: argparse.ArgumentParser) -> None:
    """Add what trainings and white-box attacks compute in."""
    result.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="auto: bfloat16 where the machine has it in hardware"
    )


def add_recipe_arguments(result: argparse.ArgumentParser) -> None:
    """Add what says which of LISA's splits a model is trained on, and where its training starts."""
    result.add_argument("--split", choices=("track", "random"), default="track", help="of LISA; random leaks")
    result.add_argument("--init", choices=("random", "rp2_release"), default="random", help="where trainings start")


def add_data_arguments(result: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add what says which data is used."""
    result.add_argument("--data", default="auto", help=f"data source: {', '.join(names)}")
    add_data_dir_argument(result)


def add_data_dir_argument(result: argparse.ArgumentParser) -> None:
    """Add where the data is."""
    result.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of data, after BLURNET_DATA")


def data_roots(data_dir: Path) -> list[Path]:
    """Return the folders where data may be: `BLURNET_DATA`, if set, then `data_dir`."""
    return [Path(root) for root in (os.environ.get("BLURNET_DATA"), data_dir) if root]


def training_data(options: argparse.Namespace) -> sources.TrainingData:
    """Load what the arguments above say to train and test on, and print which data that is, and why."""
    source = sources.resolve_training(options.data, data_roots(options.data_dir))
    print(source.reason, flush=True)
    work = PRESETS[options.preset]
    return sources.load_training(
        source, split=options.split, per_class=work.per_class, test_per_class=work.test_per_class
    )


def run(main: Callable[[list[str] | None], None]) -> None:
    """Run a program so that the same seed gives the same bytes, and a mistake of the user's ends in one sentence."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print(f"note: {message}", file=sys.stderr)

    warnings.showwarning = show
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
    # Before any operation runs, so that a model fresh from training and one from its file take the same kernels.
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # what is said to be float32 is, on a GPU too
    try:
        main(None)
    except (DownloadError, OSError, ValueError) as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
