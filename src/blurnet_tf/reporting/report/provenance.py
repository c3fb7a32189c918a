"""Where the results come from: settings, seeds, versions, checksums, commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from blurnet_tf.reporting.report.blocks import Facts
from blurnet_tf.reporting.report.stored import OwnModel, Rows, Transfer, WhiteBox

Pairs = list[tuple[str, str]]


def provenance(
    transfer: Transfer | None,
    white_box: WhiteBox | None,
    *,
    ablation: Rows | None = None,
    studies: Rows | None = None,
    models: Sequence[OwnModel] = (),
) -> list[Facts]:
    """Return the facts of each experiment that is there."""
    found = []
    if transfer:
        found.append(Facts(title="Table 1", facts=_transfer(transfer.provenance)))
    if white_box:
        found += _white_box(white_box)
    if ablation:
        run = ablation.provenance
        baseline = ("attacked weights, SHA-256", run["attack"]["baseline"]["weights_sha256"])
        facts = [("tested on", run["test"]), baseline, *_environment(run.get("environment"))]
        found.append(Facts(title="Ablation", facts=facts))
    if studies:
        run = studies.provenance
        facts = [("precision", run["precision"]), *_environment(run.get("environment"))]
        found.append(Facts(title="What moves the numbers", facts=facts))
    for model in models:
        for part, name in ((model.white_box, "white box"), (model.transfer, "transfer")):
            if part:
                found.append(Facts(title=f"{model.name}, {name}", facts=_own(part.provenance)))
    return found


def _transfer(run: Mapping[str, Any]) -> Pairs:
    training = run["baseline"].get("training", {})
    return [
        *_data(run),
        ("attack", _settings(run["attack"])),
        ("attacked weights, SHA-256", run["baseline"]["weights_sha256"]),
        ("attacked weights", training.get("checkpoint") or _settings(training.get("settings", {}))),
        ("preset", run["preset"]),
        *_environment(run.get("environment")),
    ]


def _white_box(white_box: WhiteBox) -> Iterator[Facts]:
    run, first = white_box.run, white_box.rows[0]
    # One attack differs from another in lambda and seed alone.
    attack = {key: value for key, value in white_box.cells[first["row"]][0].settings.items() if key not in _SWEPT}
    facts = [
        *_data(run),
        ("training data", run["training_data"]),
        *_checksums(run["rows"]),
        ("preset, start", f"{run['preset']}, {run['init']}"),
        ("attack", _settings(attack)),
        ("lambda", ", ".join(f"{one:g}" for one in first["lambdas"])),
        ("seeds of the attack", ", ".join(map(str, first["seeds"]))),
        ("precision", run.get("precision", "")),
        *_environment(run.get("environment")),
    ]
    yield Facts(title="Table 2", facts=facts)
    titles = {row["row"]: row["title"] for row in white_box.rows}
    models = [(titles[name], _model(row["training"])) for name, row in run["rows"].items() if name in titles]
    yield Facts(title="The models of Table 2", facts=models)


_SWEPT = ("penalty", "seed")


def _own(run: Mapping[str, Any]) -> Pairs:
    model = run["model"]
    return [
        ("model", f"{PurePath(model['path']).name}, output {model['output']}"),
        ("model, SHA-256", model["sha256"]),
        *_data(run),
        ("attack", _settings(run["attack"])),
        ("preset", run["preset"]),
        *_environment(run.get("environment")),
    ]


def _data(run: Mapping[str, Any]) -> Pairs:
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


def _checksums(rows: Mapping[str, Any]) -> Pairs:
    """Return the checksums of the images that the rows were trained and tested on."""
    train = {row["training"].get("settings", {}).get("train_sha256") for row in rows.values()}
    test = {row["training"].get("test_sha256") for row in rows.values()}
    groups = (("training images, SHA-256", train), ("test images, SHA-256", test))
    return [(term, ", ".join(sorted(one for one in sums if one))) for term, sums in groups if any(sums)]


def _model(training: Mapping[str, Any]) -> str:
    settings = training.get("settings", {})
    kept = ("epochs", "learning_rate", "schedule", "batch_size", "seed", "precision")
    said = training.get("checkpoint") or _settings({key: settings[key] for key in kept if key in settings})
    return f"{said}; weights, SHA-256: {training.get('weights_sha256', 'unknown')}"


def _environment(environment: Mapping[str, Any] | None) -> Pairs:
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
    if isinstance(value, Mapping):
        return f"({_settings(value)})"
    if isinstance(value, list):
        return (" to " if len(value) == 2 and isinstance(value[0], float) else ", ").join(map(_text, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
