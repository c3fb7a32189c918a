"""The classifier of the paper, undefended or with the defences of a variant."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from blurnet_tf.defenses import KernelTotalVariation
from blurnet_tf.models.variants import Variant, find_variant
from blurnet_tf.models.weights import LayerWeights, set_layer_weights

_CONVOLUTIONS = (("conv1", 64, 8, 2, "same"), ("conv2", 128, 6, 2, "valid"), ("conv3", 128, 5, 1, "valid"))
_PLACES = ("input", *(f"{name}{end}" for name, *_ in _CONVOLUTIONS for end in ("", "_linear")))
_SMALLEST = 27  # the side whose maps shrink to one pixel: 27 to 14 to 5 to 1


def lisa_cnn(
    variant: str | Variant = "baseline",
    *,
    classes: int = 18,
    image_size: tuple[int, int] = (32, 32),
    weights: LayerWeights | None = None,
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
        weights: Arrays to start from, by layer name, as of `layer_weights(other_model)`; other layers start at random.
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
    if len(image_size) != 2 or min(image_size) < _SMALLEST:
        raise ValueError(
            f"`image_size` must be a height and a width of at least {_SMALLEST}, of which the convolutions leave a "
            f"pixel. Received: image_size={image_size!r}"
        )
    layers, penalties, of_weights = _parts(variant, seed, dtype)

    def start(offset: int) -> keras.Initializer:
        return keras.initializers.GlorotUniform(seed=None if seed is None else seed + offset)

    def filtered(maps: Any, place: str) -> Any:
        for layer in layers[place]:
            maps = layer(maps)
        return maps

    image = keras.Input((*image_size, 3), name="image")
    x = filtered(image, "input")
    for offset, (name, filters, size, stride, padding) in enumerate(_CONVOLUTIONS):
        linear = f"{name}_linear"
        apart = bool(layers[linear] or penalties[linear])
        of_maps = {} if apart else penalties[name]
        x = keras.layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding=padding,
            activation=None if apart else "relu",
            kernel_initializer=start(offset),
            dtype=dtype,
            name=name,
            **(penalties[linear] | of_maps | of_weights[name]),
        )(x)
        if apart:
            x = filtered(x, linear)
            x = keras.layers.ReLU(dtype=dtype, name=f"{name}_relu", **penalties[name])(x)
        x = filtered(x, name)
    x = keras.layers.Flatten(dtype=dtype, name="flatten")(x)
    # float32 also under a mixed-precision policy: a loss and an argmax on half-precision logits are too coarse.
    x = keras.layers.Dense(classes, dtype="float32", kernel_initializer=start(3), name="logits")(x)
    model = keras.Model(image, x, name=variant.name)
    if weights is not None:
        set_layer_weights(model, weights)
    return model


def feature_layer(model: keras.Model) -> str:
    """Return which layer of a `lisa_cnn` gives the first layer's maps as `conv2` sees them: after ReLU and filter.

    Example:
        >>> feature_layer(lisa_cnn("feature_5x5")), feature_layer(lisa_cnn("tv_1e-4"))
        ('feature_blur', 'conv1')
    """
    names = [layer.name for layer in model.layers]
    return names[names.index("conv2") - 1]


def _parts(
    variant: Variant, seed: int | None, dtype: str | None
) -> tuple[dict[str, list[keras.layers.Layer]], dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return for each place what a variant puts there: layers, the penalty on the maps, and what its weights have."""
    layers: dict[str, list[keras.layers.Layer]] = {place: [] for place in _PLACES}
    penalties: dict[str, dict[str, Any]] = {place: {} for place in _PLACES}
    of_weights: dict[str, dict[str, Any]] = {place: {} for place in _PLACES}
    for index, defense in enumerate(variant.defenses):
        if defense.after not in layers:
            raise ValueError(f"`after` must be one of {', '.join(layers)}. Received: after={defense.after!r}")
        same = sum(other.layer == defense.layer for other in variant.defenses[:index])
        found, where = _find_class(defense.layer), penalties
        if issubclass(found, keras.layers.Layer):
            own: dict[str, Any] = {"dtype": dtype}
            if "seed" in inspect.signature(found.__init__).parameters:
                own["seed"] = None if seed is None else seed + len(_CONVOLUTIONS) + 1 + same
            layers[defense.after].append(found(**{**own, **defense.settings}))
            continue
        argument = "activity_regularizer"
        if issubclass(found, (KernelTotalVariation, keras.constraints.Constraint)):
            argument = "kernel_regularizer" if issubclass(found, keras.Regularizer) else "kernel_constraint"
            where = of_weights
        places = _PLACES[1:] if where is penalties else [name for name, *_ in _CONVOLUTIONS]
        if defense.after not in places or argument in where[defense.after]:
            raise ValueError(
                f"`after` of a penalty must be a convolution without another one. Received: after={defense.after!r}"
            )
        where[defense.after][argument] = found(**defense.settings)
    return layers, penalties, of_weights


def _find_class(name: str) -> Any:
    """Return the class of a defence: ours, a registered one, or one of Keras."""
    known = keras.saving.get_registered_object
    rooms = (keras.layers, keras.constraints, keras.regularizers)
    found = known(f"blurnet_tf>{name}") or known(name)
    found = found or next((one for room in rooms if (one := getattr(room, name, None)) is not None), None)
    kinds = (keras.layers.Layer, keras.Regularizer, keras.constraints.Constraint)
    if not (inspect.isclass(found) and issubclass(found, kinds)):
        raise ValueError(
            f"`layer` must name a registered layer, regularizer or constraint, or one of Keras. Received: {name!r}"
        )
    return found
