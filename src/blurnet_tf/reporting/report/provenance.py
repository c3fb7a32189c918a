"""Where the results come from: settings, seeds, versions, checksums, commit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from blurnet_tf.reporting.report.blocks import Facts
from blurnet_tf.reporting.report.stored import Transfer, WhiteBox


def provenance(transfer: Transfer | None, white_box: WhiteBox | None) -> list[Facts]:
    """Return the facts of each experiment that is there."""
    found = []
    if transfer:
        run = transfer.provenance
        training = run["baseline"].get("training", {})
        facts = [
            *_data(run),
            ("attack", _settings(run["attack"])),
            ("attacked weights, SHA-256", run["baseline"]["weights_sha256"]),
            ("attacked weights", training.get("checkpoint") or _settings(training.get("settings", {}))),
            ("preset", run["preset"]),
            *_environment(run.get("environment", {})),
        ]
        found.append(Facts(title="Table 1", facts=facts))
    if white_box:
        run = white_box.run
        facts = [
            *_data(run),
            ("training data", run["training_data"]),
            *_checksums(run["rows"]),
            ("preset, start", f"{run['preset']}, {run['init']}"),
            ("attack", _settings(run["attack"])),
            ("seeds of the attack", ", ".join(map(str, white_box.rows[0]["seeds"]))),
            ("precision", run.get("precision", "")),
            *_environment(run.get("environment", {})),
        ]
        found.append(Facts(title="Table 2", facts=facts))
        titles = {row["row"]: row["title"] for row in white_box.rows}
        models = [(titles[name], _model(row["training"])) for name, row in run["rows"].items() if name in titles]
        found.append(Facts(title="The models of Table 2", facts=models))
    return found


def _data(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    mask = run.get("mask") or {}
    facts = [
        ("attacked signs", f"{run['data']['n']}, {run['data']['source']}"),
        ("attacked signs, SHA-256", run["data"].get("sha256", "")),
    ]
    if mask:
        facts += [
            ("mask", f"{PurePath(mask['path']).name}, {mask['pixels']} pixels"),
            ("mask, SHA-256", mask["sha256"]),
        ]
    return facts


def _checksums(rows: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the checksums of the images that the rows were trained and tested on."""
    train = {row["training"].get("settings", {}).get("train_sha256") for row in rows.values()}
    test = {row["training"].get("test_sha256") for row in rows.values()}
    groups = (("training images, SHA-256", train), ("test images, SHA-256", test))
    return [(term, ", ".join(sorted(one for one in sums if one))) for term, sums in groups if any(sums)]


def _model(training: Mapping[str, Any]) -> str:
    settings = training.get("settings", {})
    kept = ("epochs", "learning_rate", "schedule", "batch_size", "seed", "precision")
    said = training.get("checkpoint") or _settings({key: settings[key] for key in kept if key in settings})
    return f"{said}; weights {training.get('weights_sha256', 'unknown')}"


def _environment(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not environment:
        return []
    git = environment.get("git")
    commit = "outside a repository" if not git else git["commit"] + (", with changed files" if git["modified"] else "")
    return [
        ("versions", f"python {environment['python']}, {_settings(environment['packages'], ' ')}"),
        ("machine", f"{environment['machine']}, {environment['cpus']} processors"),
        ("commit", commit),
    ]


def _settings(settings: Mapping[str, Any], between: str = "=") -> str:
    return ", ".join(f"{key}{between}{_text(value)}" for key, value in settings.items())


def _text(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
