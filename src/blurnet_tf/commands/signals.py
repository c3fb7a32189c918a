"""How a program ends that is told to."""

from __future__ import annotations

import signal
import sys
from typing import Any


def end_in_order() -> None:
    """Have SIGTERM and SIGHUP end this program by an exception, so that temporary files are removed.

    One that is ignored stays so: under `nohup` a program goes on when its terminal is closed.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, _: Any) -> None:
    sys.exit(128 + number)
