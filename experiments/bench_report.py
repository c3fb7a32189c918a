"""What the benchmark says: the machine, the figures of each job, and the tables."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import tensorflow as tf

from blurnet_tf.reporting.tables import markdown_table
from blurnet_tf.training.precision import CPU_FLAGS, resolve

PRODUCTS: tuple[str, ...] = ("float32", "bfloat16")
"""The matrix products that everything is compared with; job names too."""


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Return the processor's name, which of `CPU_FLAGS` it has, whether bfloat16 is in hardware, and the GPUs."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    gpus = tf.config.list_physical_devices("GPU")
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "flags": [flag for flag in CPU_FLAGS if flag in text.split()],
        "bfloat16_in_hardware": resolve("auto", cpuinfo)[0] == "mixed_bfloat16",
        "gpus": [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus],
    }


def figures(
    jobs: Sequence[dict[str, Any]], seconds: dict[str, list[float]], *, slower: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return what the rounds say about each job.

    Args:
        jobs: Each with `name`, `flop`, what a step needs, and `against`, the name of the job that it is compared with.
        seconds: By name, what a step took in each round.
        slower: Groups whose ratio says how many times as long a step takes; of the others it says how many times as
            fast it is.

    Returns:
        The jobs, each with `seconds`; their `median`, `fastest` and `slowest`; `ratio`, the quotient of the two
        medians, with the `ratio_lowest` and `ratio_highest` of a single round; `gflops`, achieved at the median, in
        10^9 FLOP/s; and `share_of_float32` and `share_of_bfloat16`, that over the rate of the matrix product.
    """
    middle = {name: median(values) for name, values in seconds.items()}
    flop = {job["name"]: job["flop"] for job in jobs}
    rows = []
    for job in jobs:
        name, other = job["name"], job["against"]
        over, under = (name, other) if job["group"] in slower else (other, name)
        ratios = [one / another for one, another in zip(seconds[over], seconds[under], strict=True)]
        row = {**job, "seconds": seconds[name], "median": middle[name]}
        row |= {"fastest": min(seconds[name]), "slowest": max(seconds[name])}
        row |= {"ratio": middle[over] / middle[under], "ratio_lowest": min(ratios), "ratio_highest": max(ratios)}
        row["gflops"] = job["flop"] / middle[name] / 1e9
        for product in PRODUCTS:
            row[f"share_of_{product}"] = row["gflops"] / (flop[product] / middle[product] / 1e9)
        rows.append(row)
    return rows


def markdown(result: dict[str, Any]) -> str:
    """Return the tables of a result, as `experiments.bench` writes it, as Markdown that reads well as plain text."""
    settings, where, packages = result["settings"], result["machine"], result["environment"]["packages"]
    flags = ", ".join(title if flag in where["flags"] else f"no {title}" for flag, title in CPU_FLAGS.items())
    place = f"{result['environment']['cpus']} cores of {where['processor']} ({flags})"
    place += "".join(f", {name}" for name in where["gpus"])
    caption = (
        f"{place}, TensorFlow {packages['tensorflow']}, Keras {packages['keras']}. Milliseconds a step: the median of "
        f"{settings['rounds']} rounds of {settings['steps']} steps, and the range of the rounds. GFLOP/s: what a step "
        "needs over that median, and its share of the rate of the matrix products."
    )
    if not where["bfloat16_in_hardware"]:
        caption += " This machine has no bfloat16 in hardware: those rows are emulated."
    titles = {
        "attack": (f"RP2, {settings['targets']} targets x {settings['images']} images", "times as fast"),
        "training": (f"Training, {settings['batch']} images", "times as long"),
        "product": ("Matrix product, {0} x {0}".format(settings["size"]), "times as fast"),
    }
    parts = [caption]
    for group, (title, ratio) in titles.items():
        header = [title, "ms", "range", ratio, "range", "GFLOP/s", "of float32", "of bfloat16"]
        rows = [_row(row) for row in result["jobs"] if row["group"] == group]
        parts.append(markdown_table(header, rows))
    return "\n\n".join(parts) + "\n"


def _row(row: dict[str, Any]) -> list[str]:
    return [
        row["title"],
        f"{1000 * row['median']:.1f}",
        f"{1000 * row['fastest']:.1f} to {1000 * row['slowest']:.1f}",
        f"{row['ratio']:.2f}",
        f"{row['ratio_lowest']:.2f} to {row['ratio_highest']:.2f}",
        f"{row['gflops']:.0f}",
        *(f"{100 * row[f'share_of_{product}']:.0f}%" for product in PRODUCTS),
    ]
