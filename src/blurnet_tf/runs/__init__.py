"""Runs: train a model, attack models, and store both so that a killed run resumes.

Cells are plain data (`cells`), computed once and written whole (`store`); a run says which cells make a table (`run`).
"""

from blurnet_tf.runs.checkpoints import (
    Checkpoint,
    checkpoint_path,
    read_variants,
    stored_checkpoints,
    train_checkpoint,
    train_variant,
)  # fmt: skip
from blurnet_tf.runs.executors import engine
from blurnet_tf.runs.experiments import (
    USUAL_TARGET,
    Subject,
    choose_target,
    choose_targets,
    merged,
    subject,
    transfer,
    white_box,
)  # fmt: skip
from blurnet_tf.runs.run import Run, RunRow, StoredRun, find_run, read_run
from blurnet_tf.runs.setting import Setting, load_setting

__all__ = [
    "USUAL_TARGET", "Checkpoint", "Run", "RunRow", "Setting", "StoredRun", "Subject", "checkpoint_path",
    "choose_target", "choose_targets", "engine", "find_run", "load_setting", "merged", "read_run", "read_variants",
    "stored_checkpoints", "subject", "train_checkpoint", "train_variant", "transfer", "white_box",
]  # fmt: skip
