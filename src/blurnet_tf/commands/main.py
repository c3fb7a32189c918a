"""BlurNet and the RP2 sticker attack: classify images, attack a model, and take the sticker off the screen."""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import NoReturn

import blurnet_tf
from blurnet_tf.checks import printable
from blurnet_tf.commands import apply, attack, benchmark, classify, info, print_sticker
from blurnet_tf.commands.signals import end_in_order
from blurnet_tf.fetching import DownloadError

COMMANDS = (classify, attack, benchmark, apply, print_sticker, info)
OK, MISTAKE, USAGE, INTERRUPTED = 0, 1, 2, 130  # the exit codes; wrong usage is argparse's


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default that of the program's own arguments, and return its exit code, one of those above.

    A mistake of the user's ends in one sentence on stderr, `error: ...`, or with `--debug` in the traceback.
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as end:  # of argparse: --help and --version, or wrong usage
        return int(end.code or OK)
    if arguments is None:  # as a program
        end_in_order()
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(printable(f"note: {message}"), file=sys.stderr)
        try:
            return int(options.run(options))
        except BrokenPipeError:  # such as `blurnet info | head`: who reads the output has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
            return OK
        except (DownloadError, OSError, ValueError) as error:
            if options.debug:
                traceback.print_exc()
            else:
                print(printable(f"error: {_of_the_command(str(error))}"), file=sys.stderr)
            return MISTAKE
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """Says what is wrong without what would steer the terminal. Its subparsers are of the same class."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message, most=1000))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="blurnet", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"blurnet {blurnet_tf.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = subparsers.add_parser(
            command.NAME, help=command.HELP, description=command.__doc__, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        command.add_arguments(sub)
        sub.add_argument("--json", action="store_true", help="print one JSON object instead of words")
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        sub.set_defaults(run=command.run)
    return parser


def _of_the_command(sentence: str) -> str:
    """Return what the library says of an argument as a sentence about the option that gave it."""
    argument = re.match(r"`(box|images|mask|output|output_name|signature)` ", sentence)
    if argument is None:
        return sentence
    name, option = argument[1], f"--{argument[1].replace('_', '-')}"
    sentence = sentence.replace(f"`{name}` must be None", f"{option} must be left out").replace(f"`{name}`", option)
    sentence = sentence.replace(f"Received: {name}=None", f"Received: no {option}")
    return sentence.replace(f"Received: {name}=", f"Received: {option} ")
