"""BlurNet for TensorFlow and Keras 3: classifiers that filter their feature maps, and the RP2 attack on them.

Importing the package registers its Keras classes, so `keras.saving.load_model` reads its `.keras` files. The attacks,
the data sources and the export are loaded when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from blurnet_tf.defenses import ChannelLInf, FixedBlur, LearnableBlur, TotalVariation, TVLossCallback, defend
from blurnet_tf.models import VARIANTS, Variant, lisa_cnn
from blurnet_tf.signs import CLASS_NAMES, STOP

if TYPE_CHECKING:
    from blurnet_tf.attacks.digital import GradientAttack
    from blurnet_tf.attacks.masks import bundled, load_mask, load_palette
    from blurnet_tf.attacks.rp2 import RP2, AttackResult
    from blurnet_tf.attacks.transforms import apply_to_photograph
    from blurnet_tf.data.folder import load_folder
    from blurnet_tf.data.split import Split
    from blurnet_tf.export import export_model
    from blurnet_tf.models.classifier import Classifier, load_classifier

__version__ = "0.1.0"  # its only place: setup.cfg reads this line, without importing the package

_LATER = {
    "RP2": "attacks.rp2",
    "AttackResult": "attacks.rp2",
    "Classifier": "models.classifier",
    "GradientAttack": "attacks.digital",
    "Split": "data.split",
    "bundled": "attacks.masks",
    "apply_to_photograph": "attacks.transforms",
    "export_model": "export",
    "load_classifier": "models.classifier",
    "load_folder": "data.folder",
    "load_mask": "attacks.masks",
    "load_palette": "attacks.masks",
}

__all__ = [
    "CLASS_NAMES",
    "RP2",
    "STOP",
    "VARIANTS",
    "AttackResult",
    "ChannelLInf",
    "Classifier",
    "FixedBlur",
    "GradientAttack",
    "LearnableBlur",
    "Split",
    "TVLossCallback",
    "TotalVariation",
    "Variant",
    "apply_to_photograph",
    "bundled",
    "defend",
    "export_model",
    "lisa_cnn",
    "load_classifier",
    "load_folder",
    "load_mask",
    "load_palette",
]


def __getattr__(name: str) -> Any:
    """Load an attack or a data class when it is first asked for (PEP 562)."""
    if name in _LATER:
        return getattr(importlib.import_module(f"blurnet_tf.{_LATER[name]}"), name)
    raise AttributeError(f"module 'blurnet_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name the public objects, loaded or not."""
    return sorted(__all__)
