"""How a program ends that is told to."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
PATIENCE = 30.0
"""Seconds that Python has to answer a signal. It cannot while TensorFlow computes, which a model may do without end."""

AGAIN = 1.0
"""Seconds until another signal is one more: a terminal that closes sends several at once."""

_answered = threading.Event()


def end_in_order() -> None:
    """Have SIGTERM, SIGHUP and SIGINT end this program by an exception, so that temporary files are removed.

    Until the first is answered, which TensorFlow may put off for as long as it computes, one that comes a second later
    ends the program at once, and a single one after `PATIENCE`; the next run removes what that leaves. One that is
    ignored stays so: under `nohup` a program goes on when its terminal is closed.
    """
    heard = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, _end)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # Python's handlers run in the main thread between two of its instructions; the byte is written at once.
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # the pipe is this process's
    threading.Thread(target=_watch, args=(reading, frozenset(heard)), daemon=True).start()


def _end(number: int, _: Any) -> None:
    _answered.set()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _watch(reading: int, heard: frozenset[int]) -> None:
    """End the program if a signal is not answered in time, or comes again before that."""
    first = None
    while number := os.read(reading, 1)[0]:
        if number not in heard or _answered.is_set():
            continue
        if first is None:
            first = time.monotonic()
            timer = threading.Timer(PATIENCE, _end_now, [number])
            timer.daemon = True
            timer.start()
        elif time.monotonic() - first > AGAIN:
            _end_now(number)


def _end_now(number: int) -> None:
    if not _answered.is_set():
        os._exit(128 + number)
