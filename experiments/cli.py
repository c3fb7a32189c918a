"""What the programs share: how they start, and how they speak of mistakes."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from blurnet_tf.checks import printable
from blurnet_tf.commands.signals import end_in_order
from blurnet_tf.fetching import DownloadError
from blurnet_tf.runs.executors import LOCAL, engine
from blurnet_tf.training.precision import make_deterministic

ROOT = Path(__file__).resolve().parent.parent


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


def data_roots(data_dir: Path) -> list[Path]:
    """Return the folders where data may be: `BLURNET_DATA`, if set, then `data_dir`."""
    return [Path(root) for root in (os.environ.get("BLURNET_DATA"), data_dir) if root]


def progress(done: int, total: int, name: str) -> None:
    """Show on a terminal how far a long loop is."""
    if sys.stderr.isatty() and (done % 10 == 0 or done == total):
        print(
            f"\r\x1b[K{done}/{total} {printable(name[-100:])}",
            end="" if done < total else "\n",
            file=sys.stderr,
            flush=True,
        )


def run(main: Callable[[list[str] | None], None]) -> None:
    """Run a program so that the same seed gives the same bytes, and a mistake of the user's ends in one sentence."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        print(printable(f"note: {message}"), file=sys.stderr)

    warnings.showwarning = show
    end_in_order()
    make_deterministic()
    try:
        with engine(os.environ.get("BLURNET_ENGINE") or LOCAL):
            main(None)
    except (DownloadError, OSError, ValueError) as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(printable(f"error: {error}"))
    except KeyboardInterrupt:
        sys.exit("interrupted")
