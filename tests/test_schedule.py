"""The simulated schedule: bounds that every greedy schedule keeps, and cases that are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurnet_tf.runs.schedule import Chain, makespan, measured, typical
from experiments import scaling

SECONDS = st.integers(1, 50).map(float)
CHAINS = st.lists(
    st.builds(Chain, training=SECONDS, cells=st.lists(SECONDS, max_size=5).map(tuple)), min_size=1, max_size=6
)


@given(CHAINS, st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_no_schedule_is_faster_than_its_work_or_its_longest_chain_nor_slower_than_grahams_bound(
    chains: list[Chain], workers: int
) -> None:
    work, longest = sum(one.seconds for one in chains), max(one.longest for one in chains)
    least = max(work / workers, longest)
    found = makespan(chains, workers)
    assert least - 1e-9 <= found <= work / workers + longest * (1 - 1 / workers) + 1e-9  # Graham 1969


@given(CHAINS)
@settings(max_examples=50, deadline=None)
def test_one_worker_does_all_and_each_has_one_at_most(chains: list[Chain]) -> None:
    work = sum(one.seconds for one in chains)
    assert makespan(chains, 1) == pytest.approx(work)
    assert makespan(chains, 1, start=7) == pytest.approx(work + 7)
    tasks = sum(1 + len(one.cells) for one in chains)
    assert makespan(chains, tasks) == max(one.longest for one in chains)


def test_the_driver_delays_the_cells_of_each_model() -> None:
    chains = [Chain(training=10, cells=(5,)) for _ in range(3)]
    assert makespan(chains, 9) == 15
    assert makespan(chains, 9, driver=2) == 10 + 3 * 2 + 5
    assert makespan([Chain(training=10, cells=())], 9, driver=2) == 10


def stored(folder: Path, row: str, seconds: list[float], training: float | None) -> None:
    for number, one in enumerate(seconds):
        cell = folder / "results" / "cells" / f"{row}-{number}"
        cell.mkdir(parents=True)
        (cell / "provenance.json").write_text(json.dumps({"inputs": {"victims": [{"name": row}]}, "seconds": one}))
    if training is not None:
        name, seed = row.split("_seed-")
        path = folder / "checkpoints" / "lisa" / (f"seed-{seed}" if seed != "0" else "") / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"seconds_since_start_or_resumption": training}))


def test_times_are_those_that_were_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(tmp_path, "baseline_seed-0", [3.0, 4.0], 60.0)
    stored(tmp_path, "tv_1e-4_seed-0", [3.0], 80.0)
    stored(tmp_path, "depthwise_5x5+doa_seed-1", [2.0], 600.0)
    stored(tmp_path, "input_jpeg_seed-0", [2.0], None)  # in front of the baseline's weights: nothing was trained
    found = measured(tmp_path / "results", tmp_path / "checkpoints")
    assert found == {
        "baseline_seed-0": Chain(training=60.0, cells=(3.0, 4.0)),
        "tv_1e-4_seed-0": Chain(training=80.0, cells=(3.0,)),
        "depthwise_5x5+doa_seed-1": Chain(training=600.0, cells=(2.0,)),
    }
    assert typical(found) == {"plain": found["tv_1e-4_seed-0"], "doa": found["depthwise_5x5+doa_seed-1"]}
    places = ["--results", str(tmp_path / "results"), "--checkpoints", str(tmp_path / "checkpoints")]
    scaling.main([*places, "--workers", "1", "4", "--seeds", "1", "--start", "0", "--driver", "0"])
    said = capsys.readouterr().out
    assert "doa: training 600 s, 1 cells of 2 s in all" in said
    assert "| 1 |" in said
    assert "| 1.0 | 100% |" in said
    with pytest.raises(ValueError, match="must hold what `make controls` measured"):
        scaling.main(["--results", str(tmp_path / "none")])
