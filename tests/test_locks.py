"""Locks between processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blurnet_tf.runs import locks
from blurnet_tf.runs.locks import locked

# The file alone: the package would bring TensorFlow.
HOLD = """
import runpy, sys
from pathlib import Path

locked = runpy.run_path(sys.argv[2])["locked"]
with locked(Path(sys.argv[1]), waiting=None) as held:
    print(held, flush=True)
    sys.stdin.readline()
"""


def hold(path: Path) -> "subprocess.Popen[str]":
    """Start a process that holds the lock until it reads a line."""
    command = [sys.executable, "-c", HOLD, str(path), locks.__file__]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "folder" / ".lock"
    with hold(path) as other:
        with locked(path, waiting=None) as held:
            assert not held
        other.communicate("\n")
    with locked(path, waiting="never printed") as held:
        assert held
    assert capsys.readouterr().out == ""


def test_who_waits_says_so_and_goes_on_when_the_other_one_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".lock"
    with hold(path) as other:

        def say(line: str, *, flush: bool) -> None:
            sys.stdout.write(line)
            other.send_signal(signal.SIGKILL)  # only once it is known that the lock is waited for

        monkeypatch.setattr("builtins.print", say)
        with locked(path, waiting="waiting") as held:
            assert held
    assert capsys.readouterr().out == "waiting"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_lock_is_a_file(kind: str, tmp_path: Path) -> None:
    path, elsewhere = tmp_path / ".lock", tmp_path / "elsewhere"
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(FileExistsError, match=r"\.lock must be a file"), locked(path, waiting=None):
        pass
    assert not elsewhere.exists()
