"""Cells and trainings that workers compute: what is stored is what this process would have stored."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import distributed  # its settings must be there before some are changed
import keras
import numpy as np
import pytest

from blurnet_tf.attacks import RP2
from blurnet_tf.data.registry import load_dataset
from blurnet_tf.evaluation.provenance import environment
from blurnet_tf.files import read_json, write_json
from blurnet_tf.models import lisa_cnn
from blurnet_tf.models.classifier import load_classifier
from blurnet_tf.models.inspection import model_sha256
from blurnet_tf.reporting import write_tables
from blurnet_tf.runs import Setting, executors, read_run, train_variant, trainings, white_box
from blurnet_tf.runs.cells import CellSpec, ModelSpec, hold
from blurnet_tf.runs.executors import Engine, WorkersError, answer, current, each, engine, rounds
from blurnet_tf.runs.experiments import attack_cell
from blurnet_tf.runs.parcels import pack
from blurnet_tf.runs.store import fill, read_cell
from tests.examples import untrained

pytestmark = pytest.mark.filterwarnings("ignore:The model takes")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """One worker, in this process."""
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return untrained(tmp_path_factory.mktemp("models"))


def cell(setting: Setting, model: ModelSpec, steps: int = 2, **more: Any) -> CellSpec:
    return attack_cell(setting, RP2(steps=steps), model, targets=(12, 17), **more)


def double(content: Mapping[str, Any], folder: Path) -> Any:
    warnings.warn("mind this", UserWarning, stacklevel=1)
    return 2 * content["number"], {path.name: path.read_bytes() for path in sorted(folder.glob("*.bin"))}


def test_a_task_gets_its_settings_and_files_and_its_warnings_come_back(pool: ThreadPoolExecutor) -> None:
    with engine(pool):
        made = current()
        assert made is not None
        assert made is current()
        files = {"one.bin": lambda: b"1", "two.bin": lambda: b"22"}
        with pytest.warns(UserWarning, match="mind this"):  # around all of it: the worker is a thread of this process
            found = answer(made.submit(double, {"number": 4}, files), "a task")
    assert current() is None
    assert found.result == (8, {"one.bin": b"1", "two.bin": b"22"})
    assert found.seconds >= 0
    assert found.environment["packages"]["blurnet_tf"]


def test_a_file_is_made_and_sent_once(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        return b"x"

    monkeypatch.setattr(executors, "_MOST_FILES", 2)
    one = Engine(pool)
    for name in ("a.bin", "a.bin", "b.bin", "a.bin", "c.bin", "a.bin", "b.bin"):
        with pytest.warns(UserWarning, match="mind this"):
            answer(one.submit(double, {"number": 1}, {name: lambda name=name: make(name)}), name)
    assert made == ["a.bin", "b.bin", "c.bin", "b.bin"]  # b was used longest ago when c came


@pytest.mark.parametrize(
    "where", ["", "process", "processes:", "processes:0", "processes:-1", "processes:two", "processes:2?GPU=1",
              "nowhere.json", "tcp://host:8786?GPU=much", "tcp://host:8786?GPU"]
)  # fmt: skip
def test_what_is_no_engine_is_refused_at_once(where: str) -> None:
    sentence = "ENGINE= must be local, processes:N, the address of a Dask scheduler such as tcp://host:8786"
    with pytest.raises(ValueError, match=f"^{sentence}.* Received: {re.escape(where)}$"), engine(where):
        pass


def test_an_engine_is_read(tmp_path: Path) -> None:
    (tmp_path / "scheduler.json").touch()
    assert executors._parse("processes:3") == (3, "processes:3", {}, 0)
    assert executors._parse("tls://host:8786?GPU=1&threads=4") == (0, "tls://host:8786", {"GPU": 1}, 4)
    assert executors._parse(f"{tmp_path}/scheduler.json") == (0, f"{tmp_path}/scheduler.json", {}, 0)


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs Dask: pip install 'blurnet-tf\[distributed\]'$"), engine("tcp://h:1"):
        pass


@pytest.mark.parametrize("where", ["tcp://127.0.0.1:9", "tls://127.0.0.1:9"])
def test_a_scheduler_that_is_not_there_is_one_sentence(where: str) -> None:
    brief = {"distributed.comm.timeouts.connect": "500ms"}
    with (
        dask.config.set(brief),
        engine(where),
        pytest.raises(WorkersError, match=f"^ENGINE={where} cannot be reached: "),
    ):
        current()


def test_a_worker_that_runs_something_else_is_refused(tmp_path: Path) -> None:
    mine = executors._identity()
    driver = {**mine, "tensorflow": "1.0", "keras": None}  # what the driver does not know is no difference
    sentence = (
        f"Worker this one must run what this process runs. Received: tensorflow {mine['tensorflow']} where 1.0 is here"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        executors._work(double, {"number": 1}, {"identity": driver, "threads": 0}, ())


def test_workers_that_are_lost_are_one_sentence() -> None:
    lost: Future[Any] = Future()
    lost.cancel()
    with pytest.raises(WorkersError, match=r"^a cell: the workers were lost before it was computed\."):
        answer(lost, "a cell")
    died: Future[Any] = Future()
    died.set_exception(type("KilledWorker", (Exception,), {})())
    with pytest.raises(
        WorkersError, match=r"^a cell: every worker that computed it died, most often because memory ran out\."
    ):
        answer(died, "a cell")


def test_here_rows_come_one_after_the_other_and_under_an_engine_together(pool: ThreadPoolExecutor) -> None:
    names = ["a", "b", "c"]
    assert list(rounds(names)) == [["a"], ["b"], ["c"]]
    assert each(str.upper, names) == ["A", "B", "C"]
    together = threading.Barrier(3, timeout=20)
    with engine(pool):
        assert list(rounds(names)) == [names]
        assert each(lambda name: (together.wait(), name, current() is not None)[1:], names) == [
            (name, True) for name in names
        ]
        with pytest.raises(ValueError, match="b is wrong"):
            each(fail_at_b, names)


def fail_at_b(name: str) -> None:
    if name == "b":
        raise ValueError("b is wrong")


def test_a_packed_cell_holds_no_place_of_this_machine(setting: Setting, model: ModelSpec) -> None:
    spec = dataclasses.replace(
        cell(setting, model), images=setting.chosen((2, 0)), scored=setting.chosen((2, 1)), victims=(model, model)
    )
    content, files = pack(spec)
    assert len(files) == 4  # one model, two halves of the images, one mask
    assert CellSpec.from_json(content).folder == spec.folder
    assert "/" not in str([content["victims"], content["source"], content["images"]["source"], content["mask"]])


@pytest.mark.slow
def test_what_a_worker_computes_is_what_this_process_does(
    setting: Setting, model: ModelSpec, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    saved = tmp_path / "model.keras"
    network = lisa_cnn("baseline", seed=1, dtype="float32")
    network.save(saved)
    network.export(tmp_path / "model", verbose=False)
    files = [
        ModelSpec(name=path.name, path=str(path), sha256=model_sha256(path), input_blur=blur)
        for path, blur in ((saved, 3), (tmp_path / "model", 0))
    ]
    victims = (model, dataclasses.replace(files[0], output="logits"), files[1])
    of_stop = dataclasses.replace(setting.chosen((3, 1)), label=14)
    specs = [
        cell(setting, model, keep_images=True, victims=victims),
        dataclasses.replace(cell(setting, model), name="held out", images=setting.chosen((2, 0)), scored=of_stop),
        dataclasses.replace(cell(setting, files[0]), name="file", dtype="as saved"),
        CellSpec(name="plain", images=setting.images_spec, mask=setting.mask_spec, victims=victims, kind="plain"),
    ]
    (tmp_path / "here").mkdir()
    fill(tmp_path / "here", specs)
    with engine(pool):
        fill(tmp_path / "there", specs)
    for spec in specs:
        here, there = (read_cell(tmp_path / name / spec.folder) for name in ("here", "there"))
        for name in ("records.csv", "arrays.npz"):
            assert (here.path / name).read_bytes() == (there.path / name).read_bytes(), (spec.name, name)
        provenance = read_json(there.path / "provenance.json")
        assert provenance["environment"] == environment()
        assert provenance["seconds"] > 0


def test_a_model_of_this_process_is_attacked_in_it(
    setting: Setting, pool: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold("held", lambda images: images[:, 0, 0] @ np.eye(3, 18, dtype=np.float32))
    spec = CellSpec(
        name="held", images=setting.images_spec, mask=setting.mask_spec, kind="plain", colours=((1.0, 1.0, 1.0),),
        victims=(ModelSpec(name="held", path="", sha256="held", held=True),),
    )  # fmt: skip
    monkeypatch.setattr(Engine, "submit", lambda *_: pytest.fail("it was sent"))
    with engine(pool):
        fill(tmp_path, [spec])
    assert read_cell(tmp_path / spec.folder).records


def test_an_error_of_a_worker_ends_the_run_and_leaves_no_lock(
    setting: Setting, model: ModelSpec, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    wrong = dataclasses.replace(cell(setting, model), kind="plain", source=None, attack=None, view={"attack": "none"})
    right = CellSpec(
        name="right", images=setting.images_spec, mask=setting.mask_spec, victims=(model,), kind="plain",
        colours=((1.0, 1.0, 1.0),),
    )  # fmt: skip
    with engine(pool), pytest.raises(ValueError, match="none"):
        fill(tmp_path, [right, wrong])
    assert read_cell(tmp_path / right.folder).records
    fill(tmp_path, [right])  # nothing holds its lock
    assert not (tmp_path / wrong.folder).exists()


@pytest.mark.slow
def test_a_worker_trains_what_this_process_would(
    pool: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load_dataset("synthetic", per_class=8, test_per_class=4)
    here = train_variant("tv_1e-4", data, folder=tmp_path / "here", preset="smoke")
    with engine(pool):
        there = train_variant("tv_1e-4", data, folder=tmp_path / "there", preset="smoke")
        capsys.readouterr()
        assert train_variant("tv_1e-4", data, folder=tmp_path / "there", preset="smoke").path == there.path
    assert capsys.readouterr().out == f"{there.path}: trained already\n"
    assert there.provenance["weights_sha256"] == here.provenance["weights_sha256"]
    assert {one.name for one in there.path.parent.iterdir()} == {one.name for one in here.path.parent.iterdir()}
    # Where the worker does not see the folder, it trains in its own, and sends what it wrote.
    packed = trainings.train_packed

    def far(content: Mapping[str, Any], folder: Path) -> Any:
        return packed({**content, "places": dict.fromkeys(content["places"], "/nowhere")}, folder)

    monkeypatch.setattr(trainings, "train_packed", far)
    with engine(pool):
        found = train_variant("tv_1e-4", data, folder=tmp_path / "far", preset="smoke")
    assert found.provenance["weights_sha256"] == here.provenance["weights_sha256"]
    assert keras.saving.load_model(found.path).name == "tv_1e-4"


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_share", lambda processes: len(os.sched_getaffinity(0)))  # as many threads as here
    data, model = load_dataset("synthetic"), load_classifier("synthetic/baseline")
    given: dict[str, Any] = {"attacks": [RP2(steps=20, seed=seed) for seed in (0, 1)], "targets": (3, 12)}
    stored: dict[str, dict[str, bytes]] = {}
    for where in ("local", "processes:2"):
        results = tmp_path / where.replace(":", "-")
        killed: list[int] = []
        with engine(where):
            made, stop = current(), threading.Event()
            killer = threading.Thread(target=kill_one, args=(made, killed, stop))
            with contextlib.ExitStack() as stack:
                if made is not None:
                    stack.callback(killer.join)
                    stack.callback(stop.set)
                    killer.start()
                write_tables(white_box([model], data, results=results, precision="float32", **given))
        assert len(killed) == (where != "local")
        cells = sorted(path for path in (results / "cells").iterdir() if path.is_dir() and path.name[0] != ".")
        files = [*results.glob("table2.*"), *(cell / name for cell in cells for name in ("records.csv", "arrays.npz"))]
        stored[where] = {str(path.relative_to(results)): path.read_bytes() for path in files}
    assert len(stored["local"]) == 3 + 2 * 3
    assert stored["local"] == stored["processes:2"]
    # A table says when its cells come from several kinds of devices.
    assert b"Computed on" not in stored["processes:2"]["table2.md"]
    provenance = cells[0] / "provenance.json"
    known = read_json(provenance)
    write_json(provenance, {**known, "environment": {**known["environment"], "device": "GPU 9", "threads": 4}})
    write_tables(read_run(results))
    assert "\nComputed on GPU 9 (4 threads); " in (results / "table2.md").read_text()


def kill_one(made: Any, killed: list[int], stop: threading.Event) -> None:
    """Kill a worker with SIGKILL while it computes a cell."""
    client: distributed.Client = made._executor._client
    processes = client.run(os.getpid)
    while not stop.wait(0.2):
        busy = [worker for worker, tasks in client.processing().items() if any("_work" in str(one) for one in tasks)]
        if busy:
            time.sleep(1)  # it imports TensorFlow, or compiles
            os.kill(processes[busy[0]], signal.SIGKILL)
            killed.append(processes[busy[0]])
            return
