"""BlurNet for TensorFlow and Keras 3: classifiers that filter their feature maps, and the RP2 attack on them.

Importing the package registers its Keras classes, so `keras.saving.load_model` reads its `.keras` files. The attacks,
the data sources and the export are loaded when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from blurnet_tf.defenses import (
    ChannelLInf,
    FixedBlur,
    KernelTotalVariation,
    LearnableBlur,
    TotalVariation,
    TVLossCallback,
    defend,
)
from blurnet_tf.models import VARIANTS, Defense, Variant, lisa_cnn
from blurnet_tf.signs import CLASS_NAMES, STOP

if TYPE_CHECKING:
    from blurnet_tf.attacks import RP2, AttackResult, GradientAttack, apply_to_photograph, load_mask, load_palette
    from blurnet_tf.attacks.masks import bundled
    from blurnet_tf.data.dataset import Dataset
    from blurnet_tf.data.folder import load_folder, read_image
    from blurnet_tf.data.registry import load_dataset
    from blurnet_tf.data.split import Split
    from blurnet_tf.evaluation.scoring import predict
    from blurnet_tf.export import export_model
    from blurnet_tf.models.classifier import Classifier, load_classifier
    from blurnet_tf.models.zoo import find_model, list_models, load_model
    from blurnet_tf.reporting.benchmark import BenchmarkResult, benchmark
    from blurnet_tf.runs.threat_model import ThreatModel
    from blurnet_tf.training import PROCEDURES, train

__version__ = "0.1.0"  # its only place: setup.cfg reads this line, without importing the package

_LATER = {
    "AttackResult": "attacks.contract", "BenchmarkResult": "reporting.benchmark",
    "Classifier": "models.classifier", "Dataset": "data.dataset",
    "GradientAttack": "attacks.digital", "RP2": "attacks.rp2", "Split": "data.split",
    "ThreatModel": "runs.threat_model", "benchmark": "reporting.benchmark",
    "apply_to_photograph": "attacks.transforms", "bundled": "attacks.masks", "export_model": "export",
    "load_classifier": "models.classifier", "load_dataset": "data.registry", "load_folder": "data.folder",
    "find_model": "models.zoo", "list_models": "models.zoo", "load_model": "models.zoo",
    "load_mask": "attacks.masks", "load_palette": "attacks.masks",
    "PROCEDURES": "training", "predict": "evaluation.scoring", "read_image": "data.folder", "train": "training",
}  # fmt: skip

__all__ = [
    "CLASS_NAMES", "PROCEDURES", "RP2", "STOP", "VARIANTS", "AttackResult", "BenchmarkResult", "ChannelLInf",
    "Classifier", "Dataset", "Defense", "FixedBlur", "GradientAttack", "KernelTotalVariation", "LearnableBlur",
    "Split", "TVLossCallback", "ThreatModel", "TotalVariation", "Variant", "apply_to_photograph", "benchmark",
    "bundled", "defend", "export_model", "find_model", "lisa_cnn", "list_models", "load_classifier", "load_dataset",
    "load_folder", "load_mask", "load_model", "load_palette", "predict", "read_image", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:  # PEP 562
    if name in _LATER:
        return getattr(importlib.import_module(f"blurnet_tf.{_LATER[name]}"), name)
    raise AttributeError(f"module 'blurnet_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
