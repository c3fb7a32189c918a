"""Train a variant of the LISA-CNN on rendered signs, or take up the checkpoint that an earlier run left."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import keras

from blurnet_tf.data import synthetic
from blurnet_tf.defenses import VARIANTS, layer_weights, lisa_cnn, train
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.provenance import environment, read_json, weights_sha256, write_json
from blurnet_tf.evaluation.scoring import predict
from blurnet_tf.files import atomic_path
from experiments import cli
from experiments.presets import PRESETS


def checkpoint_path(folder: Path, preset: str, variant: str) -> Path:
    """Return where a model is kept. Other presets than the default have a folder, so that none overwrites another."""
    return (folder if preset == "quick" else folder / preset) / f"{variant}.keras"


def trained_model(variant: str, *, preset: str, seed: int, folder: Path) -> tuple[keras.Model, dict[str, Any]]:
    """Return a trained model and its provenance, from its checkpoint if that was trained with these settings.

    A training that was interrupted goes on after its last whole epoch.
    """
    path = checkpoint_path(folder, preset, variant)
    settings: dict[str, Any] = {"variant": variant, "data": "synthetic", "preset": preset, "seed": seed}
    settings |= {key: value for key, value in dataclasses.asdict(PRESETS[preset]).items() if key != "steps"}
    provenance_path = path.with_suffix(".json")
    if path.exists() and provenance_path.exists():
        provenance = read_json(provenance_path)
        if provenance["settings"] == settings:
            model = keras.saving.load_model(path, compile=False)
            if provenance["weights_sha256"] == weights_sha256(layer_weights(model)):
                print(f"{path}: taken as it is")
                return model, provenance
        print(f"{path}: trained anew, because its settings or weights differ from what {provenance_path} should say")

    started = time.perf_counter()
    train_split = synthetic.train_split(settings["per_class"])
    test_split = synthetic.test_split(settings["test_per_class"])
    keras.utils.set_random_seed(seed)
    model = lisa_cnn(variant, seed=seed)
    print(f"{path}: training on {len(train_split)} rendered signs for {settings['epochs']} epochs", flush=True)
    backup = path.parent / f".{variant}-seed{seed}.backup"
    train(
        model,
        train_split.images,
        train_split.labels,
        epochs=settings["epochs"],
        callbacks=[keras.callbacks.BackupAndRestore(backup)],
        verbose=1 if sys.stdout.isatty() else 2,
    )
    correct = int((predict(model, test_split.images) == test_split.labels).sum())
    test_accuracy = Rate(correct, len(test_split))
    provenance = {
        "settings": settings,
        "test_accuracy": test_accuracy.value,
        "test_images": test_accuracy.n,
        "weights_sha256": weights_sha256(layer_weights(model)),
        "train_sha256": train_split.sha256(),
        "test_sha256": test_split.sha256(),
        "seconds": round(time.perf_counter() - started, 1),
        "environment": environment(cli.ROOT),
    }
    with atomic_path(path) as temporary:
        model.save(temporary)
    write_json(provenance_path, provenance)
    low, high = test_accuracy.interval()
    print(f"{path}: {100 * test_accuracy.value:.1f}% of {test_accuracy.n} held-out signs [{low:.3f}, {high:.3f}]")
    return model, provenance


def main(arguments: list[str] | None) -> None:
    """Train one variant."""
    parser = cli.parser(__doc__)
    cli.add_training_arguments(parser)
    parser.add_argument("--variant", choices=VARIANTS, default="baseline", help="which model")
    options = parser.parse_args(arguments)
    trained_model(options.variant, preset=options.preset, seed=options.train_seed, folder=options.checkpoints)


if __name__ == "__main__":
    cli.run(main)
