"""Run many cases, and print what came of them: `python -m tests.fuzz --cases 2000 --seed 0`.

The cases run in a process of their own, so that one that dies is a fault like others. A fault names its case:
`python -m tests.fuzz --only 1234 --seed 0` runs that one again. The exit code is 1 if there is any fault.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import resource
import select
import subprocess
import sys
import tempfile
import time

from tests.fuzz.cases import SECONDS, Outcome, clean, run

MOST_MEMORY = 24 << 30  # bytes of addresses: TensorFlow reserves far more than it uses
STARTING = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000, help="how many (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the cases (default: 0)")
    parser.add_argument("--only", type=int, metavar="N", help="run one case, here")
    parser.add_argument("--child", type=int, metavar="N", help=argparse.SUPPRESS)  # the first case of a child
    options = parser.parse_args()
    if options.child is not None:
        return _child(options.child, options.cases, options.seed)
    if options.only is not None:
        print(run(options.seed, options.only))
        return 0
    started = time.perf_counter()
    outcomes: list[Outcome] = []
    while len(outcomes) < options.cases:
        outcomes += _children(len(outcomes), options.cases, options.seed)
    print(_table(outcomes))
    faults = sum(bool(one.fault) for one in outcomes)
    print(f"{len(outcomes)} cases in {time.perf_counter() - started:.0f} s, seed {options.seed}: {faults} faults")
    return int(faults > 0)


def _children(first: int, last: int, seed: int) -> list[Outcome]:
    """Return the outcomes of a child, up to the case in which it dies or stands still."""
    command = [sys.executable, "-m", "tests.fuzz", "--child", str(first), "--cases", str(last), "--seed", str(seed)]
    found: list[Outcome] = []
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child,
    ):
        assert child.stdout is not None
        while True:
            ready, _, _ = select.select([child.stdout], [], [], STARTING if not found else 2 * SECONDS)
            line = child.stdout.readline() if ready else ""
            if not line:
                break
            outcome = Outcome(**json.loads(line))
            found.append(outcome)
            number = first + len(found) - 1
            if outcome.fault:
                print(f"case {number}, {outcome.entry}, {outcome.how}: {outcome.fault}", flush=True)
            elif sys.stderr.isatty():
                print(f"\r\x1b[K{number + 1}/{last} {outcome.entry}", end="", file=sys.stderr, flush=True)
        child.kill()
        child.wait()
        errors.seek(0)
        last_words = errors.read()[-2000:]
    if not found:
        raise SystemExit(f"no case could be run: {last_words}")
    if first + len(found) < last:
        number = first + len(found)
        print(f"case {number}: the process stood still, or died with the code {child.returncode}", flush=True)
        found.append(Outcome(entry="-", how=f"case {number}", kind="refused", fault="the process died"))
    return found


def _child(first: int, last: int, seed: int) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    to_parent = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is not for the parent
    for number in range(first, last):
        print(json.dumps(dataclasses.asdict(run(seed, number))), file=to_parent, flush=True)
    clean()
    return 0


def _table(outcomes: list[Outcome]) -> str:
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for one in outcomes:
        counts[one.entry][one.kind] += 1
        counts[one.entry]["fault"] += bool(one.fault)
    width = max(map(len, counts))
    lines = [f"{'':{width}}  refused  accepted  faults"]
    lines += [
        f"{name:{width}}  {found['refused']:7}  {found['accepted']:8}  {found['fault']:6}"
        for name, found in sorted(counts.items())
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
