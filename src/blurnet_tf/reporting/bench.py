"""What the benchmark says: the machine, the figures of each job, and the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from blurnet_tf.evaluation.growth import Growth, Load
from blurnet_tf.evaluation.provenance import processor
from blurnet_tf.reporting.tables import markdown_table
from blurnet_tf.training.precision import CPU_FLAGS, resolve

PRODUCTS = ("float32", "bfloat16")  # the matrix products that everything is compared with; job names too


def machine(gpus: Sequence[str], cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Return what the processor is called, which of `CPU_FLAGS` it has, and the names of the GPUs."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    return {
        "processor": processor(cpuinfo),
        "flags": [flag for flag in CPU_FLAGS if flag in text.split()],
        "bfloat16_in_hardware": resolve("auto", cpuinfo)[0] == "mixed_bfloat16",
        "gpus": list(gpus),
    }


def figures(
    jobs: Sequence[dict[str, Any]], seconds: dict[str, list[float]], *, slower: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the jobs, each with what the rounds say about it.

    Each job has `name`, `flop`, what a step needs, and `against`, the job that it is compared with; `seconds` has by
    name what a step took in each round. `ratio` is the quotient of the medians: how many times as fast a job is, or how
    many times as long it takes if its group is in `slower`. `gflops` is achieved at the median, in 10^9 FLOP/s.
    """
    middle = {name: median(values) for name, values in seconds.items()}
    flop = {job["name"]: job["flop"] for job in jobs}
    rows = []
    for job in jobs:
        name, other = job["name"], job["against"]
        over, under = (name, other) if job["group"] in slower else (other, name)
        ratios = [one / another for one, another in zip(seconds[over], seconds[under], strict=True)]
        gflops = job["flop"] / middle[name] / 1e9
        row = {
            **job, "seconds": seconds[name],
            "median": middle[name], "fastest": min(seconds[name]), "slowest": max(seconds[name]),
            "ratio": middle[over] / middle[under], "ratio_lowest": min(ratios), "ratio_highest": max(ratios),
            "gflops": gflops,
        }  # fmt: skip
        shares = {f"share_of_{product}": gflops / (flop[product] / middle[product] / 1e9) for product in PRODUCTS}
        rows.append(row | shares)
    return rows


def best_peers(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return for our batched attacks by title the fastest attack in PyTorch in as many bits, and how ours compares.

    `peer` is its title; `ratio`, `lowest` and `highest` say how many times as fast ours is, as in `figures`.
    """
    found = {}
    for one in rows:
        peers = [peer for peer in rows if peer["name"].startswith("torch_") and peer["group"] == "attack"]
        peers = [peer for peer in peers if ("bfloat16" in peer["name"]) == ("bfloat16" in one["name"])]
        if one["name"].startswith("batched_") and peers:
            best = min(peers, key=lambda peer: peer["median"])
            ratios = [theirs / ours for theirs, ours in zip(best["seconds"], one["seconds"], strict=True)]
            found[one["title"]] = {
                "peer": best["title"], "ratio": best["median"] / one["median"], "lowest": min(ratios),
                "highest": max(ratios),
            }  # fmt: skip
    return found


def growth_table(found: Sequence[Growth], precision: str) -> str:
    """Return how time and memory grow, as Markdown."""
    rows = [
        [
            f"{one.grows}: {getattr(one.load, one.grows)}", f"{one.load.images}", f"{one.load.targets}",
            f"{one.load.restarts}", f"{one.load.size}x{one.load.size}", f"{1000 * one.seconds:.0f}",
            f"{1e9 * one.seconds / _pixels(one.load):.1f}", f"{one.megabytes}",
        ]
        for one in found
    ]  # fmt: skip
    header = ["what grows", "images", "targets", "restarts", "size", "ms a step", "ns a pixel", "MB at most"]
    caption = f"RP2 in {precision}, one sticker for all images. A pixel: of each image, for each target and restart."
    return f"{caption}\n\n{markdown_table(header, rows)}\n"


def _pixels(load: Load) -> int:
    return load.images * load.targets * load.restarts * load.size**2


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
        rows = [
            [
                row["title"], f"{1000 * row['median']:.1f}",
                f"{1000 * row['fastest']:.1f} to {1000 * row['slowest']:.1f}",
                f"{row['ratio']:.2f}", f"{row['ratio_lowest']:.2f} to {row['ratio_highest']:.2f}",
                f"{row['gflops']:.0f}", *(f"{100 * row[f'share_of_{product}']:.0f}%" for product in PRODUCTS),
            ]
            for row in result["jobs"] if row["group"] == group
        ]  # fmt: skip
        parts.append(markdown_table(header, rows))
        if group == "attack":
            parts += [
                f"{title}: {best['ratio']:.2f} times as fast as the best of PyTorch, {best['peer'].partition(', ')[2]} "
                f"({best['lowest']:.2f} to {best['highest']:.2f})."
                for title, best in best_peers(result["jobs"]).items()
            ]
    return "\n\n".join(parts) + "\n"
