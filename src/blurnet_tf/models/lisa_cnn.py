"""The classifier of the paper, and the table of its defended variants."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from blurnet_tf.defenses.layers import FixedBlur, LearnableBlur
from blurnet_tf.defenses.regularizers import TotalVariation
from blurnet_tf.signs import CLASS_NAMES

INPUT_SHAPE: tuple[int, int, int] = (32, 32, 3)

LayerWeights = Mapping[str, Sequence[NDArray[np.float32]]]
"""The arrays of each layer by its name, in Keras's order: ``{"conv1": (kernel, bias), ...}``."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the tables: a named defence with its hyperparameters. A 0 switches a part off.

    Attributes:
        name: Short name, also that of the model and of its files.
        title: The row's title in a table.
        input_blur: Side of the box blur on the image (Table 1).
        feature_blur: Side of the box blur on the maps of a convolution (Table 1).
        feature_blur_after: Which convolution that is, 1, 2 or 3. The paper's defence is after the first; section 3.1
            says what it costs after the others.
        depthwise: Side of the trainable depthwise filter on the first layer's maps (Table 2).
        alpha: Weight of the L-infinity penalty on that filter, Eq. 3.
        depthwise_start: What that filter starts from, "box" or "random"; see `LearnableBlur`.
        alpha_tv: Weight of the total-variation penalty on the first layer's maps, Eq. 5.
        tv_before_relu: Whether that penalty is on the maps before the ReLU. The paper's are after it.
    """

    name: str
    title: str
    input_blur: int = 0
    feature_blur: int = 0
    feature_blur_after: int = 1
    depthwise: int = 0
    alpha: float = 0.0
    depthwise_start: str = "box"
    alpha_tv: float = 0.0
    tv_before_relu: bool = False

    def settings(self) -> dict[str, Any]:
        """Return what makes this variant: its name and the fields that are not at their defaults, without the title.

        A record of a training is compared by it, which neither a new field nor another title then makes void.

        Example:
            >>> VARIANTS["tv_1e-4"].settings()
            {'name': 'tv_1e-4', 'alpha_tv': 0.0001}
        """
        plain = Variant(name="", title=self.title)
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != getattr(plain, field.name)
        }


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant(name="baseline", title="Baseline"),
        Variant(name="input_3x3", title="Input filter 3x3", input_blur=3),
        Variant(name="input_5x5", title="Input filter 5x5", input_blur=5),
        Variant(name="feature_3x3", title="3x3 filter on L1 feature maps", feature_blur=3),
        Variant(name="feature_5x5", title="5x5 filter on L1 feature maps", feature_blur=5),
        Variant(name="depthwise_3x3", title="3x3 conv", depthwise=3, alpha=1e-5),
        Variant(name="depthwise_5x5", title="5x5 conv", depthwise=5, alpha=0.1),
        Variant(name="depthwise_7x7", title="7x7 conv", depthwise=7, alpha=0.1),
        Variant(name="tv_1e-4", title="TV 1e-4", alpha_tv=1e-4),
        Variant(name="tv_1e-5", title="TV 1e-5", alpha_tv=1e-5),
        Variant(name="rp2_release", title="RP2's released weights"),
    )
}
"""Every variant of the two tables of the paper, by name, with its titles; and the model that RP2's authors released."""

TRANSFER_VARIANTS: tuple[str, ...] = ("baseline", "input_3x3", "input_5x5", "feature_3x3", "feature_5x5")
"""The rows of Table 1. They share the baseline's weights: only a fixed blur is put in."""

TRAINED_VARIANTS: tuple[str, ...] = (
    "baseline", "depthwise_3x3", "depthwise_5x5", "depthwise_7x7", "tv_1e-4", "tv_1e-5",
)  # fmt: skip
"""The rows of Table 2, each with a training of its own."""


def lisa_cnn(
    variant: str | Variant = "baseline",
    *,
    classes: int = len(CLASS_NAMES),
    weights: LayerWeights | None = None,
    seed: int | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build the LISA-CNN, undefended or as one of its variants.

    Three convolutions with ReLU (64 of 8x8 stride 2 SAME, 128 of 6x6 stride 2 VALID, 128 of 5x5 VALID) and one dense
    layer: the model that CleverHans 1 called `cnn_model` and that RP2 attacks. The baseline has 726,354 parameters.
    Layers: ``[input_blur,] conv1, [feature_blur or depthwise,] conv2, conv3, flatten, logits``; with
    `tv_before_relu`, ``conv1_relu`` follows ``conv1``.

    Args:
        variant: A name in `VARIANTS`, or a `Variant` of your own.
        classes: Number of outputs.
        weights: Arrays to start from, by layer name, for example `layer_weights(other_model)`. Layers that they do not
            name keep their random start.
        seed: Seed of the random start; `None` takes Keras's global one.
        dtype: "float32", or a policy such as "mixed_bfloat16", which computes in bfloat16 on float32 weights; `None`
            takes Keras's global policy. The logits are float32 under every policy.

    Returns:
        A functional model from `image`, float32 (n, 32, 32, 3) RGB in [0, 1], to `logits`, float32 (n, classes).

    Raises:
        ValueError: The variant is unknown, or an array of `weights` has no place in the model.

    Example:
        >>> model = lisa_cnn("feature_5x5")
        >>> model(np.zeros((1, 32, 32, 3), "float32")).shape
        TensorShape([1, 18])
    """
    if isinstance(variant, str):
        if variant not in VARIANTS:
            raise ValueError(f"`variant` must be one of {', '.join(VARIANTS)}. Received: variant={variant!r}")
        variant = VARIANTS[variant]
    if variant.feature_blur_after not in (1, 2, 3):
        raise ValueError(
            f"`feature_blur_after` must be 1, 2 or 3. Received: feature_blur_after={variant.feature_blur_after!r}"
        )

    def start(offset: int) -> keras.Initializer:
        return keras.initializers.GlorotUniform(seed=None if seed is None else seed + offset)

    def blurred(maps: Any, after: int) -> Any:
        wanted = variant.feature_blur and variant.feature_blur_after == after
        return FixedBlur(variant.feature_blur, dtype=dtype, name="feature_blur")(maps) if wanted else maps

    image = keras.Input(INPUT_SHAPE, name="image")
    x = image
    if variant.input_blur:
        x = FixedBlur(variant.input_blur, dtype=dtype, name="input_blur")(x)
    x = keras.layers.Conv2D(
        64,
        8,
        strides=2,
        padding="same",
        activation=None if variant.tv_before_relu else "relu",
        activity_regularizer=TotalVariation(variant.alpha_tv) if variant.alpha_tv else None,
        kernel_initializer=start(0),
        dtype=dtype,
        name="conv1",
    )(x)
    if variant.tv_before_relu:
        x = keras.layers.ReLU(dtype=dtype, name="conv1_relu")(x)
    x = blurred(x, after=1)
    if variant.depthwise:
        x = LearnableBlur(
            variant.depthwise,
            alpha=variant.alpha,
            start=variant.depthwise_start,
            seed=None if seed is None else seed + 4,
            dtype=dtype,
            name="depthwise",
        )(x)
    for offset, (name, size, stride) in enumerate((("conv2", 6, 2), ("conv3", 5, 1)), start=1):
        x = keras.layers.Conv2D(
            128, size, strides=stride, activation="relu", kernel_initializer=start(offset), dtype=dtype, name=name
        )(x)
        x = blurred(x, after=offset + 1)
    x = keras.layers.Flatten(dtype=dtype, name="flatten")(x)
    # float32 also under a mixed-precision policy: a loss and an argmax on half-precision logits are too coarse.
    x = keras.layers.Dense(classes, dtype="float32", kernel_initializer=start(3), name="logits")(x)
    model = keras.Model(image, x, name=variant.name)
    if weights is not None:
        set_layer_weights(model, weights)
    return model


def feature_layer(model: keras.Model) -> str:
    """Return the name of the layer that gives the first layer's maps as `conv2` sees them: after the ReLU and a filter.

    Args:
        model: One of `lisa_cnn`.

    Example:
        >>> feature_layer(lisa_cnn("feature_5x5")), feature_layer(lisa_cnn("tv_1e-4"))
        ('feature_blur', 'conv1')
    """
    names = [layer.name for layer in model.layers]
    return names[names.index("conv2") - 1]


def layer_weights(model: keras.Model) -> dict[str, list[NDArray[np.float32]]]:
    """Return a copy of the arrays of every layer that has any, by layer name."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def set_layer_weights(model: keras.Model, weights: LayerWeights) -> None:
    """Copy arrays into the layers of the same names; other layers are left alone.

    Args:
        model: A built Keras model.
        weights: As `layer_weights` gives them, or as `data.rp2_release.load_weights` does for RP2's TF1 checkpoint.

    Raises:
        ValueError: The model has no layer of a name, or the layer's shapes are others. Nothing is copied then.

    Example:
        >>> set_layer_weights(lisa_cnn("feature_5x5"), layer_weights(lisa_cnn("baseline")))
    """
    layers = {layer.name: layer for layer in model.layers}
    for name, arrays in weights.items():
        expected = [tuple(weight.shape) for weight in layers[name].weights] if name in layers else []
        received = [tuple(array.shape) for array in arrays]
        if name not in layers or expected != received:
            raise ValueError(
                f"Model '{model.name}' expects arrays of shapes {expected} for a layer '{name}'. Received: {received}"
            )
    for name, arrays in weights.items():
        layers[name].set_weights(list(arrays))


def weights_sha256(weights: Mapping[str, Sequence[NDArray[np.float32]]]) -> str:
    """Return a checksum of a model's arrays by layer, which a `.keras` file, with its date inside, has not.

    Args:
        weights: As `layer_weights` gives them.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        for array in weights[name]:
            digest.update(repr((name, array.shape, str(array.dtype))).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
