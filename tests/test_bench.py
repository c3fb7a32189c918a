"""The benchmark: that it compares like with like, and reports what it timed. How long anything takes is not tested."""

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from blurnet_tf.attacks import RP2, load_mask
from blurnet_tf.data import synthetic
from blurnet_tf.defenses import TotalVariation
from blurnet_tf.evaluation import bench
from blurnet_tf.evaluation import reference as bench_reference
from blurnet_tf.evaluation.growth import GROWING, growth
from blurnet_tf.models import layer_weights, lisa_cnn
from blurnet_tf.reporting import bench as bench_report
from blurnet_tf.signs import STOP
from experiments import bench as program

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not TORCH, reason="PyTorch, the extra `bench`, is not installed: it is large")
ATTACKS = ["loop_eager", "loop_compiled", "batched_float32", "batched_mixed_bfloat16"]
PEERS = ["torch_loop_float32", "torch_batched_float32", "torch_batched_bfloat16"]
JOBS = [
    *ATTACKS,
    *PEERS * TORCH,
    *(f"training_{precision}_{tv}" for precision in ("float32", "mixed_bfloat16") for tv in ("no", "our", "naive")),
    *["torch_float32", "torch_mixed_bfloat16"] * TORCH,
    "float32",
    "bfloat16",
]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return lisa_cnn(seed=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run on one target and small products writes; beside it, in `printed`, what it prints."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("TARGETS", (0,)), ("BATCH", 8), ("SIZE", 64)):
            patch.setattr(bench, name, value)
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *values, **_: lines.append(" ".join(map(str, values))))
        program.main(["--rounds", "2", "--steps", "1", "--results", str(folder)])
    (folder / "printed").write_text("\n".join(lines))
    return folder


@pytest.fixture
def result(run: Path) -> dict[str, Any]:
    return json.loads((run / "bench.json").read_text())


# --- like with like -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_the_plain_loop_finds_the_perturbations_of_rp2(model: keras.Model, compiled: bool) -> None:
    images, mask = synthetic.victim_split().images[::10], load_mask(ROOT / "masks" / "sticker.png")
    said = set(np.asarray(model(images)).argmax(axis=1).tolist())
    targets = [target for target in (4, 12, 17) if target not in said][:2]
    attack = RP2(steps=4, penalty=0.1, seed=3)
    expected = attack(model, images, targets=targets, mask=mask)
    step = bench_reference.plain_step(attack, model, images, mask)
    found = bench_reference.plain_attack(attack, tf.function(step) if compiled else step, targets, mask)
    np.testing.assert_allclose(found, expected.perturbation, atol=2e-3)
    begun = RP2(steps=1, penalty=0.1, seed=3, learning_rate=1e-9)(model, images, targets=targets, mask=mask)
    assert np.abs(found - begun.perturbation).max() > 0.3  # it moved: four steps of at most 0.1


@needs_torch
@pytest.mark.parametrize("batched", [False, True], ids=["loop", "batched"])
def test_the_attack_in_pytorch_finds_the_perturbations_of_rp2(model: keras.Model, batched: bool) -> None:
    peers = bench.torch_peers()
    images, mask = synthetic.victim_split().images[::10], load_mask(ROOT / "masks" / "sticker.png")
    attack = RP2(steps=4, penalty=0.1, seed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some images are taken for a target already
        expected = attack(model, images, targets=[4, 12], mask=mask)
    network = peers.LisaCNN(layer_weights(model), channels_last=batched)
    found, losses = peers.attack(attack, network, images, [4, 12], mask, batched=batched)()
    np.testing.assert_allclose(found, expected.perturbation, atol=2e-3)
    np.testing.assert_allclose(losses, expected.history["loss"][0], rtol=1e-5)
    with pytest.raises(ValueError, match=r"^PyTorch's losses must be ours to 1e-3 at the start\. Received: 0.01,"):
        bench._check_losses("loop", np.ones(3), np.array([1.0, 1.01, 1.0]))


@needs_torch
def test_a_training_step_in_pytorch_is_that_of_keras(model: keras.Model) -> None:
    peers, split = bench.torch_peers(), synthetic.train_split(per_class=1)
    images, labels = split.images[:8], split.labels[:8]
    ours = lisa_cnn(weights=layer_weights(model), dtype="float32")
    ours.compile(keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = [ours.train_on_batch(images, labels) for _ in range(3)]
    for precision, tolerance in (("float32", 2e-3), ("bfloat16", 0.03)):
        network = peers.LisaCNN(layer_weights(model), precision, channels_last=True)
        assert peers.training(network, images, labels, 3)() == pytest.approx(losses[2], rel=tolerance)


def test_the_best_peer_is_the_fastest_in_as_many_bits() -> None:
    times = {"batched_float32": [2.0, 3.0], "torch_loop_float32": [9.0, 9.0], "torch_batched_float32": [4.0, 3.0],
             "batched_mixed_bfloat16": [1.0, 1.0]}  # fmt: skip
    rows = [
        {"name": name, "title": name, "group": "attack", "seconds": seconds, "median": float(np.median(seconds))}
        for name, seconds in times.items()
    ]
    assert bench_report.best_peers(rows) == {
        "batched_float32": {"peer": "torch_batched_float32", "ratio": 1.4, "lowest": 1.0, "highest": 2.0}
    }


def test_the_naive_total_variation_has_the_value_and_the_gradient_of_ours() -> None:
    maps = tf.constant(np.random.default_rng(0).normal(size=(3, 6, 5, 4)), tf.float32)
    results = []
    for penalty in (TotalVariation(0.3), bench_reference.naive_total_variation(0.3)):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            value = penalty(maps)
        results.append((value, tape.gradient(value, maps)))
    for ours, naive in zip(*results, strict=True):
        np.testing.assert_allclose(naive, ours, rtol=1e-5)


# --- FLOP -----------------------------------------------------------------------------------------------------------


def test_the_lisa_cnn_takes_30_8_million_operations_forward(model: keras.Model) -> None:
    assert bench_reference.forward_flop(model) == [6_291_456, 21_233_664, 3_276_800, 18_432]
    forward = 30_820_352
    assert bench_reference.attack_flop(model) == 2 * forward
    assert bench_reference.training_flop(model) == 3 * forward - 6_291_456


def test_a_depthwise_filter_counts_and_a_fixed_blur_does_not(model: keras.Model) -> None:
    plain = bench_reference.forward_flop(model)
    assert bench_reference.forward_flop(lisa_cnn("feature_5x5")) == plain
    assert sum(bench_reference.forward_flop(lisa_cnn("depthwise_5x5"))) - sum(plain) == 2 * 25 * 64 * 16 * 16


# --- the report -----------------------------------------------------------------------------------------------------


def test_the_jobs_take_turns_after_a_warm_up_that_is_not_counted() -> None:
    calls: list[str] = []

    def job(name: str) -> bench.Job:
        return bench.Job(
            name=name, group="", title="", against=name, flop=1, steps=2, run=lambda: calls.append(name)
        )  # fmt: skip

    seconds = bench.measure([job("a"), job("b")], rounds=2)
    assert calls == ["a", "b"] * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_figures_are_those_of_the_timings() -> None:
    jobs = [
        {"name": "loop", "group": "attack", "against": "loop", "flop": 8_000_000_000},
        {"name": "batched", "group": "attack", "against": "loop", "flop": 8_000_000_000},
        {"name": "tv", "group": "training", "against": "float32", "flop": 1},
        {"name": "float32", "group": "product", "against": "float32", "flop": 6_000_000_000},
        {"name": "bfloat16", "group": "product", "against": "float32", "flop": 6_000_000_000},
    ]
    seconds = {
        "loop": [8.0, 6.0, 9.0],
        "batched": [2.0, 2.0, 1.0],
        "tv": [9.0, 3.0, 4.0],
        "float32": [3.0, 2.0, 2.0],
        "bfloat16": [1.0, 1.0, 1.0],
    }
    rows = {row["name"]: row for row in bench_report.figures(jobs, seconds, slower=["training"])}
    assert rows["batched"] == {
        **jobs[1],
        "seconds": [2.0, 2.0, 1.0],
        "median": 2.0,
        "fastest": 1.0,
        "slowest": 2.0,
        "ratio": 4.0,
        "ratio_lowest": 3.0,
        "ratio_highest": 9.0,
        "gflops": 4.0,
        "share_of_float32": pytest.approx(4 / 3),
        "share_of_bfloat16": pytest.approx(4 / 6),
    }
    assert [rows["tv"][key] for key in ("ratio", "ratio_lowest", "ratio_highest")] == [2.0, 1.5, 3.0]
    assert rows["bfloat16"]["ratio"] == 2.0


def test_the_machine_is_read_from_its_own_words(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name\t: Some CPU @ 2.1GHz\nflags\t\t: fpu avx512_bf16 avx512f\n" * 2)
    found = bench_report.machine([], cpuinfo)
    assert (found["processor"], found["flags"]) == ("Some CPU @ 2.1GHz", ["avx512_bf16"])
    assert found["bfloat16_in_hardware"] is True
    assert bench_report.machine([], tmp_path / "absent")["flags"] == []


# --- the program ----------------------------------------------------------------------------------------------------


def test_the_program_writes_every_timing_and_the_machine(result: dict[str, Any]) -> None:
    assert [row["name"] for row in result["jobs"]] == JOBS
    assert all(len(row["seconds"]) == 2 and min(row["seconds"]) > 0 for row in result["jobs"])
    assert result["settings"] == {"rounds": 2, "steps": 1, "targets": 1, "images": 40, "batch": 8, "size": 64}
    assert set(result["machine"]) == {"processor", "flags", "bfloat16_in_hardware", "gpus"}
    assert {"tensorflow", "keras"} <= set(result["environment"]["packages"])


def test_ratios_and_shares_are_quotients_of_the_timings(result: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in result["jobs"]}
    middle = {name: np.median(row["seconds"]) for name, row in rows.items()}
    for name in ATTACKS + PEERS * TORCH:
        assert rows[name]["ratio"] == pytest.approx(middle["loop_eager"] / middle[name])
        assert rows[name]["flop"] == 40 * 2 * 30_820_352
    for precision in ("float32", "mixed_bfloat16"):
        for tv in ("no", "our", "naive"):
            row = rows[f"training_{precision}_{tv}"]
            assert row["ratio"] == pytest.approx(middle[row["name"]] / middle[f"training_{precision}_no"])
            assert row["flop"] == 8 * (3 * 30_820_352 - 6_291_456)
        if TORCH:
            row = rows[f"torch_{precision}"]
            assert row["ratio"] == pytest.approx(middle[row["name"]] / middle[f"training_{precision}_no"])
    for row in rows.values():
        for product in ("float32", "bfloat16"):
            rate = 2 * 64**3 / middle[product]
            assert row[f"share_of_{product}"] == pytest.approx(row["flop"] / middle[row["name"]] / rate)


def test_the_tables_are_printed_as_they_are_written(run: Path, result: dict[str, Any]) -> None:
    text = (run / "bench.md").read_text()
    assert text == bench_report.markdown(result)
    printed = (run / "printed").read_text()
    first, *_ = lines = printed.splitlines()
    assert first.startswith("PyTorch is not installed, so it is not compared with: ") is not TORCH
    assert lines[not TORCH].startswith("warm-up: ")
    assert printed.endswith(f"\n{text}\nWritten to {run}/")


def test_a_machine_without_bfloat16_is_told_so(result: dict[str, Any]) -> None:
    note = " This machine has no bfloat16 in hardware: those rows are emulated."
    for hardware in (True, False):
        described = result["machine"] | {"bfloat16_in_hardware": hardware}
        assert (note in bench_report.markdown(result | {"machine": described})) is not hardware


def test_the_documentation_has_the_tables_of_the_program(result: dict[str, Any]) -> None:
    def shape(text: str) -> list[list[str]]:
        """The header of every table and the title of every row, without the figures."""
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]
        rows = [cells if "ms" in cells else cells[:1] for cells in lines if not cells[0].startswith("--")]
        return [row for row in rows if TORCH or not row[0].startswith("PyTorch")]

    settings = {"targets": len(bench.TARGETS), "batch": bench.BATCH, "size": bench.SIZE}
    written = bench_report.markdown(result | {"settings": result["settings"] | settings})
    page, growth_of_it = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").split("## Growth")
    assert shape(page) == shape(written)
    loads = [(name, value) for name, values in GROWING.items() for value in values]
    assert [title for (title,) in shape(growth_of_it)[1:]] == [f"{name}: {value}" for name, value in loads]


def test_every_class_but_stop_is_a_target() -> None:
    assert len(bench.TARGETS) == 17
    assert STOP not in bench.TARGETS


def test_what_grows_is_measured_in_a_process_of_its_own() -> None:
    small, large = growth("float32", {"images": (2, 8)})
    assert (small.load.images, large.load.images, large.load.targets) == (2, 8, 17)
    assert {type(one.seconds) for one in (small, large)} == {float}
    assert 100 < small.megabytes < 10_000
    text = bench_report.growth_table([small, large], "float32")
    assert "| images: 8  |      8 |      17 |        1 | 32x32 |" in text
