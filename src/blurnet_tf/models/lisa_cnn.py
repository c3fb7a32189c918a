"""The classifier of the paper, undefended or with the defences of a variant."""

from __future__ import annotations

import keras

from blurnet_tf.models.network import build_network
from blurnet_tf.models.variants import Variant, find_variant
from blurnet_tf.models.weights import LayerWeights


def lisa_cnn(
    variant: str | Variant = "baseline",
    *,
    classes: int = 18,
    image_size: tuple[int, int] = (32, 32),
    weights: LayerWeights | str | None = None,
    seed: int | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build the LISA-CNN, undefended or as one of its variants.

    Three convolutions with ReLU (64 of 8x8 stride 2 SAME, 128 of 6x6 stride 2 VALID, 128 of 5x5 VALID) and one dense
    layer: the model that CleverHans 1 called `cnn_model` and that RP2 attacks. Layers: ``conv1, conv2, conv3, flatten,
    logits``, with those of the defences between them; ``conv1_relu`` where a defence acts before that ReLU.

    Args:
        variant: A name in `VARIANTS`, or a `Variant` of your own.
        classes: Number of outputs.
        image_size: Height and width of the images in pixels, each at least 27.
        weights: The data set of trained weights in the zoo, "lisa" or "synthetic", those of `load_model(variant)`; or
            arrays to start from, by layer name, as of `layer_weights(other_model)`: other layers start at random.
        seed: Seed of the random start; `None` takes Keras's global one.
        dtype: A Keras policy such as "float32" or "mixed_bfloat16"; `None` takes the global one. Logits are float32.

    Returns:
        A functional model from `image`, float32 (n, H, W, 3) RGB in [0, 1], to `logits`, float32 (n, classes).

    Raises:
        ValueError: The variant is unknown, a defence of it has no place or is no layer, the images are too small, or an
            array of `weights` has no place in the model.

    Example:
        >>> lisa_cnn("feature_5x5")(np.zeros((1, 32, 32, 3), "float32")).shape
        TensorShape([1, 18])
    """
    variant = find_variant(variant)
    if variant.network != "lisa_cnn":
        raise ValueError(
            f"`variant` must be one of the LISA-CNN; `blurnet_tf.models.build_network` builds every one. Received: "
            f"variant={variant.name!r}, a {variant.network}"
        )
    if isinstance(weights, str):
        weights = _of_the_zoo(variant, weights)
    return build_network(
        variant, classes=classes, image_size=image_size, weights=weights, seed=seed, dtype=dtype
    )  # fmt: skip


def _of_the_zoo(variant: Variant, dataset: str) -> LayerWeights:
    from blurnet_tf.models import zoo  # here: most models need none

    sets = sorted({one.dataset for one in zoo.known_models()})
    if dataset not in sets:
        raise ValueError(f"`weights` must be one of {', '.join(map(repr, sets))}. Received: weights={dataset!r}")
    entry = zoo.find_model(variant.name, dataset=dataset)
    if entry.variant != variant.settings():
        raise ValueError(
            f"`variant` must be that of the zoo for weights={dataset!r}. Received: another {variant.name!r}, with "
            "defences of its own"
        )
    return zoo.read_weights_file(zoo.weights_path(entry))[0]


def feature_layer(model: keras.Model) -> str:
    """Return which layer of a `lisa_cnn` gives the first layer's maps as `conv2` sees them: after ReLU and filter.

    Example:
        >>> feature_layer(lisa_cnn("feature_5x5")), feature_layer(lisa_cnn("tv_1e-4"))
        ('feature_blur', 'conv1')
    """
    names = [layer.name for layer in model.layers]
    return names[names.index("conv2") - 1]
