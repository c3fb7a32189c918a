"""BlurNet for TensorFlow and Keras 3: classifiers that filter their feature maps, and the RP2 attack on them.

Importing the package registers its Keras classes, so `keras.saving.load_model` reads its `.keras` files. Everything is
loaded when it is first asked for, the classes at the latest when Keras is: what needs no Keras, such as the help of the
command line, does not wait for it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import sys
from typing import TYPE_CHECKING, Any

from blurnet_tf.signs import CLASS_NAMES, STOP

if TYPE_CHECKING:
    from blurnet_tf.attacks.classifier import Classifier, load_classifier
    from blurnet_tf.attacks.digital import GradientAttack
    from blurnet_tf.attacks.masks import bundled, load_mask, load_palette
    from blurnet_tf.attacks.rp2 import RP2, AttackResult
    from blurnet_tf.attacks.transforms import apply_to_photograph
    from blurnet_tf.data.folder import load_folder
    from blurnet_tf.data.split import Split
    from blurnet_tf.defenses import (
        VARIANTS,
        ChannelLInf,
        FixedBlur,
        LearnableBlur,
        TotalVariation,
        TVLossCallback,
        Variant,
        defend,
        lisa_cnn,
    )
    from blurnet_tf.export import export_model

__version__ = "0.1.0"  # its only place: setup.cfg reads this line, without importing the package

_LATER = {
    "RP2": "attacks.rp2",
    "VARIANTS": "defenses",
    "AttackResult": "attacks.rp2",
    "ChannelLInf": "defenses",
    "Classifier": "attacks.classifier",
    "FixedBlur": "defenses",
    "GradientAttack": "attacks.digital",
    "LearnableBlur": "defenses",
    "Split": "data.split",
    "TVLossCallback": "defenses",
    "TotalVariation": "defenses",
    "Variant": "defenses",
    "bundled": "attacks.masks",
    "apply_to_photograph": "attacks.transforms",
    "defend": "defenses",
    "export_model": "export",
    "lisa_cnn": "defenses",
    "load_classifier": "attacks.classifier",
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
    """Load an object or a subpackage when it is first asked for (PEP 562)."""
    if name in ("defenses", "numerics"):
        return importlib.import_module(f"blurnet_tf.{name}")
    if name in _LATER:
        return getattr(importlib.import_module(f"blurnet_tf.{_LATER[name]}"), name)
    raise AttributeError(f"module 'blurnet_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name the public objects, loaded or not."""
    return sorted(__all__)


class _WithKeras(importlib.abc.MetaPathFinder):
    """Registers the Keras classes of this package as soon as Keras itself has been imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Give Keras's own spec, with one more thing to do when the module has been executed."""
        if name != "keras":
            return None
        specs = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((one for one in specs if one is not None), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: Any) -> None:
            execute(module)
            if self in sys.meta_path:  # until then: whoever asks for a spec need not import
                sys.meta_path.remove(self)
            importlib.import_module("blurnet_tf.defenses")

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


if "keras" in sys.modules:
    importlib.import_module("blurnet_tf.defenses")
else:
    sys.meta_path.insert(0, _WithKeras())
