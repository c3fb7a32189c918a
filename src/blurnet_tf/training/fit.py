"""One training: its callbacks, its log, and the state that a killed one goes on from."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import keras

from blurnet_tf.data.sources import TrainingData
from blurnet_tf.defenses import TVLossCallback
from blurnet_tf.files import atomic_folder, read_json, sha256, write_json
from blurnet_tf.models import layer_weights, lisa_cnn
from blurnet_tf.models.lisa_cnn import LayerWeights
from blurnet_tf.training import train
from blurnet_tf.training.recipes import Recipe

LOG = "log.csv"
_BACKUP = "backup"
_BEST = "best.weights.h5"
_SUMS = "sums.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """What a training gives: float32 models, whatever it computed in.

    Attributes:
        last: The model after the last epoch.
        best: The model after the epoch with the highest accuracy on the held-out images.
        log: The CSV file of all epochs.
    """

    last: keras.Model
    best: keras.Model
    log: Path


def fit(
    recipe: Recipe, data: TrainingData, *, state: Path, dtype: str, start: LayerWeights | None, board: Path
) -> Trained:
    """Train, going on after the last whole epoch that `state` holds.

    Args:
        recipe: How.
        data: On what. The held-out images are scored after each epoch; nothing is learned from them.
        state: A folder for this training alone. Each epoch ends with a folder `epoch-<number>` in it, written whole:
            weights, optimiser, log and best weights of one and the same moment.
        dtype: The Keras policy to compute in.
        start: Weights to start from, where the recipe says so.
        board: Folder for TensorBoard, used if that is installed.
    """
    work = state / "work"
    for left in (work, *state.glob(".*")):  # what a kill left half-written
        if left.is_dir():
            shutil.rmtree(left)
    kept = [epoch for epoch in sorted(state.glob("epoch-*")) if _intact(epoch)]
    if kept:
        shutil.copytree(kept[-1], work)
    else:
        work.mkdir(parents=True)
        if board.exists():  # of another training
            shutil.rmtree(board)

    keras.utils.set_random_seed(recipe.seed)
    model = lisa_cnn(recipe.variant, weights=start, seed=recipe.seed, dtype=dtype)
    rate: float | keras.optimizers.schedules.LearningRateSchedule = recipe.learning_rate
    if recipe.schedule == "late_cosine":
        steps = recipe.epochs * -(-len(data.train) // recipe.batch_size)
        # A warm-up to the rate that it starts from is what keeps the rate constant.
        rate = keras.optimizers.schedules.CosineDecay(
            rate, decay_steps=steps - steps * 3 // 4, warmup_target=rate, warmup_steps=steps * 3 // 4
        )
    train(
        model,
        data.train.images,
        data.train.labels,
        epochs=recipe.epochs,
        learning_rate=rate,
        batch_size=recipe.batch_size,
        validation=(data.test.images, data.test.labels),
        callbacks=_callbacks(recipe, data, state, work, board),
        seed=recipe.seed,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    last = lisa_cnn(recipe.variant, weights=layer_weights(model), dtype="float32")
    best = lisa_cnn(recipe.variant, dtype="float32")
    best.load_weights(work / _BEST)
    return Trained(last=last, best=best, log=work / LOG)


def _callbacks(
    recipe: Recipe, data: TrainingData, state: Path, work: Path, board: Path
) -> list[keras.callbacks.Callback]:
    def keep(epoch: int, logs: object) -> None:
        kept = state / f"epoch-{epoch + 1:06d}"
        with atomic_folder(kept) as temporary:
            shutil.copytree(work, temporary, dirs_exist_ok=True)
            write_json(temporary / _SUMS, _sums(temporary))
        for older in state.glob("epoch-*"):
            if older != kept:
                shutil.rmtree(older)

    before = _read_log(work / LOG)
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            work / _BEST,
            monitor="val_accuracy",
            mode="max",
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=max((float(row["val_accuracy"]) for row in before), default=None),
        ),
        keras.callbacks.CSVLogger(work / LOG, append=True),
        keras.callbacks.BackupAndRestore(work / _BACKUP),
        # After those, so that what it keeps is of one moment: `BackupAndRestore` writes its weights and its epoch into
        # two files, and a kill between them would make an epoch count twice.
        keras.callbacks.LambdaCallback(on_epoch_end=keep),
    ]
    if recipe.variant.alpha_tv:
        callbacks.insert(0, TVLossCallback(data.train.images[:256]))
    if importlib.util.find_spec("tensorboard"):
        callbacks.append(keras.callbacks.TensorBoard(board, write_graph=False))
    return callbacks


def _sums(epoch: Path) -> dict[str, str]:
    files = sorted(path for path in epoch.rglob("*") if path.is_file() and path.name != _SUMS)
    return {str(path.relative_to(epoch)): sha256(path) for path in files}


def _intact(epoch: Path) -> bool:
    """Whether an epoch has the files that it was kept with: a disk or a hand may have damaged it."""
    try:
        whole = read_json(epoch / _SUMS) == _sums(epoch)
    except (FileNotFoundError, ValueError):
        whole = False
    if not whole:
        print(f"{epoch}: damaged, and not gone on from", flush=True)
    return whole


def _read_log(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
