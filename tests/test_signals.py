"""How a program ends that is told to, also where Python gets no turn."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

PROGRAM = """
import hashlib, importlib.util, signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore one
{before}
spec = importlib.util.spec_from_file_location("signals", {path!r})  # alone: the package takes seconds to import
signals = importlib.util.module_from_spec(spec)
spec.loader.exec_module(signals)
signals.PATIENCE, signals.AGAIN = {patience}, 0.2
signals.end_in_order()
try:
    print("ready", flush=True)
    {work}
finally:
    print("removed", flush=True)
"""
PYTHON = "while True: time.sleep(0.01)"
COMPUTING = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"  # for many minutes, without a turn for Python


def ended(work: str, patience: float, signals: Sequence[signal.Signals], before: str = "") -> tuple[int, str]:
    spec = importlib.util.find_spec("blurnet_tf.commands.signals")
    assert spec is not None
    program = PROGRAM.format(path=spec.origin, patience=patience, work=work, before=before)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in signals:
            time.sleep(0.5)
            process.send_signal(number)
        try:
            said, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_program_ends_in_order(number: signal.Signals, code: int) -> None:
    assert ended(PYTHON, 1000, [number]) == (code, "removed\n")


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"  # as under nohup
    assert ended("time.sleep(1.5)", 0.1, [signal.SIGHUP, signal.SIGHUP], before) == (0, "removed\n")


def test_control_c_is_an_exception_that_programs_know() -> None:
    caught = "exec('try:\\n  while True: time.sleep(0.01)\\nexcept KeyboardInterrupt: print(\"caught\")')"
    assert ended(caught, 1000, [signal.SIGINT]) == (0, "caught\nremoved\n")


def test_one_signal_is_enough_where_python_gets_no_turn() -> None:
    assert ended(COMPUTING, 0.5, [signal.SIGTERM]) == (143, "")


def test_another_signal_ends_it_at_once() -> None:
    assert ended(COMPUTING, 1000, [signal.SIGTERM, signal.SIGINT]) == (130, "")
