"""How long a grid of trainings and cells takes on some workers: its schedule, simulated with measured times."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blurnet_tf.files import read_json
from blurnet_tf.runs.checkpoints import checkpoint_path
from blurnet_tf.runs.controls import SIGNS
from blurnet_tf.runs.run import CELLS
from blurnet_tf.runs.store import PROVENANCE


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A model: its training, and the cells that wait for it. Seconds on one worker."""

    training: float
    cells: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """All of it, one after the other."""
        return self.training + sum(self.cells)

    @property
    def longest(self) -> float:
        """What no number of workers makes shorter."""
        return self.training + max(self.cells, default=0.0)


def makespan(chains: Sequence[Chain], workers: int, *, start: float = 0.0, driver: float = 0.0) -> float:
    """Return how many seconds a grid takes if a free worker always takes the next task that is ready.

    Trainings come in their order, cells as soon as their training is done, as Dask takes them.

    Args:
        chains: The models.
        workers: How many, all alike.
        start: Seconds until a worker computes, its imports.
        driver: Seconds of the driver between a training and its cells, for one model after the other.

    Example:
        >>> makespan([Chain(training=4, cells=(3, 2)), Chain(training=1, cells=())], 2)
        7.0
    """
    # Each is (training or cell, order, model, seconds): trainings first, then in order.
    waiting = [(0, place, place, one.training) for place, one in enumerate(chains)]
    running: list[tuple[float, int, int, int]] = []  # until when, and what
    prepared: list[tuple[float, int]] = []  # from when the cells of a model are ready
    now, ready, idle, number = start, start, workers, 0
    while waiting or running or prepared:
        while waiting and idle:
            kind, order, place, seconds = heapq.heappop(waiting)
            heapq.heappush(running, (now + seconds, kind, order, place))
            idle -= 1
        now = min(time for time, *_ in (*running[:1], *prepared[:1]))
        while running and running[0][0] == now:
            _, kind, _, place = heapq.heappop(running)
            idle += 1
            if kind == 0 and chains[place].cells:
                ready = max(ready, now) + driver
                heapq.heappush(prepared, (ready, place))
        while prepared and prepared[0][0] <= now:
            place = heapq.heappop(prepared)[1]
            for seconds in chains[place].cells:
                number += 1
                heapq.heappush(waiting, (1, number, place, seconds))
    return now


def measured(results: Path, checkpoints: Path, data: str = "lisa") -> dict[str, Chain]:
    """Return the models of `make controls` whose cells are in a folder of results, by their names in the records."""
    cells: dict[str, list[float]] = defaultdict(list)
    for root in (results, results / SIGNS):
        for path in sorted((root / CELLS).glob(f"[!.]*/{PROVENANCE}")):
            stored = read_json(path)
            cells[stored["inputs"]["victims"][0]["name"]].append(stored["seconds"])
    found = {}
    for name, seconds in cells.items():
        row, _, seed = name.partition("_seed-")
        record = checkpoint_path(checkpoints, data, "quick", row, seed=int(seed)).with_suffix(".json")
        if record.is_file():
            training = read_json(record)["seconds_since_start_or_resumption"]
            found[name] = Chain(training=training, cells=tuple(seconds))
    return found


def typical(chains: Mapping[str, Chain]) -> dict[str, Chain]:
    """Return a typical model for each procedure: the one whose training took the median time of those measured.

    Example:
        >>> measured = {f"baseline+doa_seed-{n}": Chain(training=n, cells=()) for n in (7, 9, 8)}
        >>> typical(measured)["doa"].training
        8
    """
    groups: dict[str, list[Chain]] = defaultdict(list)
    for name, chain in chains.items():
        groups[name.partition("_seed-")[0].partition("+")[2] or "plain"].append(chain)
    return {name: sorted(some, key=lambda one: one.training)[len(some) // 2] for name, some in sorted(groups.items())}
