"""One training: its callbacks, its log, and the state from which a killed one is resumed."""

from __future__ import annotations

import csv
import functools
import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from blurnet_tf.data.split import Split
from blurnet_tf.defenses import TotalVariation, TVLossCallback
from blurnet_tf.files import atomic_folder, check_space, read_json, sha256, write_json
from blurnet_tf.models import LayerWeights, build_network, layer_weights
from blurnet_tf.training.losses import SoftmaxTwice
from blurnet_tf.training.recipes import Recipe, learning_rate
from blurnet_tf.training.train import train

_LOG, _BEST, _SUMS = "log.csv", "best.weights.h5", "sums.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """What a training gives: float32 models, whatever it computed in."""

    last: keras.Model  # after the last epoch
    best: keras.Model  # after the epoch with the highest accuracy on the held-out images
    log: Path  # the CSV file of all epochs


def fit(
    recipe: Recipe,
    train_split: Split,
    test_split: Split,
    *,
    state: Path,
    dtype: str,
    start: LayerWeights | None = None,
    board: Path,
) -> Trained:
    """Train, resuming after the last undamaged epoch that `state` holds, a folder for this training alone.

    Each epoch ends with a folder `epoch-<number>` there, written whole: weights, optimiser, log and best weights of one
    and the same moment. `test_split` is scored after each epoch. `dtype` is the Keras policy to compute in; `start` has
    the weights to start from, where the recipe says so; `board` is for TensorBoard, if that is installed.
    """
    work = state / "work"
    for left in (work, *state.glob(".*")):  # what a kill left half-written
        if left.is_dir():
            shutil.rmtree(left)
    whole = [epoch for epoch in sorted(state.glob("epoch-*")) if _intact(epoch)]
    if whole:
        shutil.copytree(whole[-1], work)
    else:
        work.mkdir(parents=True)
        if board.exists():  # of another training
            shutil.rmtree(board)

    keras.utils.set_random_seed(recipe.seed)
    build = functools.partial(
        build_network, recipe.variant, classes=len(train_split.class_names), image_size=train_split.images.shape[1:3]
    )
    model = build(weights=start, seed=recipe.seed, dtype=dtype)
    scale = np.float32(recipe.pixel_scale)
    train(
        model,
        train_split.images * scale,
        train_split.labels,
        procedure=recipe.procedure,
        epochs=recipe.epochs,
        learning_rate=learning_rate(recipe, recipe.epochs * -(-len(train_split) // recipe.batch_size)),
        batch_size=recipe.batch_size,
        shuffle=recipe.order == "shuffled",
        loss=SoftmaxTwice() if recipe.softmax_twice else None,
        validation=(test_split.images * scale, test_split.labels),
        callbacks=_callbacks(model, train_split, state, work, board),
        seed=recipe.seed,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    best = build(dtype="float32")
    best.load_weights(work / _BEST)
    return Trained(last=build(weights=layer_weights(model), dtype="float32"), best=best, log=work / _LOG)


def _callbacks(
    model: keras.Model, train_split: Split, state: Path, work: Path, board: Path
) -> list[keras.callbacks.Callback]:
    def save_epoch(epoch: int, logs: object) -> None:
        saved = state / f"epoch-{epoch + 1:06d}"
        with atomic_folder(saved) as temporary:
            shutil.copytree(work, temporary, dirs_exist_ok=True)
            write_json(temporary / _SUMS, _sums(temporary))
        for older in state.glob("epoch-*"):
            if older != saved:
                shutil.rmtree(older)

    log = (work / _LOG).read_text(encoding="utf-8").splitlines() if (work / _LOG).exists() else []
    best = max((float(row["val_accuracy"]) for row in csv.DictReader(log)), default=None)
    best_epoch = keras.callbacks.ModelCheckpoint(
        work / _BEST,
        monitor="val_accuracy",
        mode="max",
        save_best_only=True,
        save_weights_only=True,
        initial_value_threshold=best,
    )
    # TensorFlow and HDF5 crash on a full disk: weights, two moments of Adam, the best weights, and a copy of all.
    needed = 8 * sum(weight.nbytes for weight in model.get_weights()) + (1 << 20)
    callbacks = [
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: check_space(state, needed)),
        best_epoch,
        keras.callbacks.CSVLogger(work / _LOG, append=True),
        keras.callbacks.BackupAndRestore(work / "backup"),
        # After those, so that what it saves is of one moment: `BackupAndRestore` writes its weights and its epoch into
        # two files, and a kill between them would make an epoch count twice.
        keras.callbacks.LambdaCallback(on_epoch_end=save_epoch),
    ]
    for layer in model.layers:
        if isinstance(layer.activity_regularizer, TotalVariation):
            callbacks.insert(0, TVLossCallback(train_split.images[:256], layer=layer.name))
    if importlib.util.find_spec("tensorboard"):
        callbacks.append(keras.callbacks.TensorBoard(board, write_graph=False))
    return callbacks


def _sums(epoch: Path) -> dict[str, str]:
    files = sorted(path for path in epoch.rglob("*") if path.is_file() and path.name != _SUMS)
    return {str(path.relative_to(epoch)): sha256(path) for path in files}


def _intact(epoch: Path) -> bool:
    """Whether an epoch has the files that it was saved with."""
    try:
        whole = read_json(epoch / _SUMS) == _sums(epoch)
    except (FileNotFoundError, ValueError):
        whole = False
    if not whole:
        print(f"{epoch}: skipping damaged epoch", flush=True)
    return whole
