"""The networks of the tables, each with the defences of a variant: places where they go, layers, penalties."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from blurnet_tf.checks import check_integer
from blurnet_tf.defenses import BoundedVotes, KernelTotalVariation
from blurnet_tf.models.variants import Variant, find_variant
from blurnet_tf.models.weights import LayerWeights, set_layer_weights


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network as data.

    Attributes:
        convolutions: Name, filters, side of the kernel, stride and padding of each; a ReLU follows.
        head: "dense", one layer on all maps; or "votes", `BoundedVotes`.
        start: The Keras initializer of the convolutions.
        smallest: The least height and width of an image that leaves the last convolution a pixel.
    """

    convolutions: tuple[tuple[str, int, int, int, str], ...]
    head: str
    start: type[keras.Initializer]
    smallest: int

    @property
    def places(self) -> tuple[str, ...]:
        """Where a defence may stand."""
        return ("input", *(f"{name}{end}" for name, *_ in self.convolutions for end in ("", "_linear")))


NETWORKS: dict[str, Network] = {
    # Section 2.2.3 of the paper, after CleverHans 1. The maps of an image of 27 shrink to 14, 5 and 1 pixel.
    "lisa_cnn": Network(
        convolutions=(("conv1", 64, 8, 2, "same"), ("conv2", 128, 6, 2, "valid"), ("conv3", 128, 5, 1, "valid")),
        head="dense",
        start=keras.initializers.GlorotUniform,
        smallest=27,
    ),
    # A place sees 8x8 pixels of the image, 4 + 2 * 2.
    "vote_cnn": Network(
        convolutions=(("conv1", 96, 4, 2, "same"), ("conv2", 192, 3, 1, "same"), ("conv3", 192, 1, 1, "same")),
        head="votes",
        start=keras.initializers.HeNormal,
        smallest=8,
    ),
}
"""The networks by name, which is that of `Variant.network`."""


def build_network(
    variant: str | Variant,
    *,
    classes: int = 18,
    image_size: tuple[int, int] = (32, 32),
    weights: LayerWeights | None = None,
    seed: int | None = None,
    dtype: str | None = None,
) -> keras.Model:
    """Build the network of a variant with its defences; arguments, layers and errors are those of `lisa_cnn`.

    Example:
        >>> build_network("vote_cnn").get_layer("logits").bound
        1.0
    """
    variant = find_variant(variant)
    if variant.network not in NETWORKS:
        raise ValueError(f"`network` must be one of {', '.join(NETWORKS)}. Received: network={variant.network!r}")
    network = NETWORKS[variant.network]
    check_integer("classes", classes, 1)
    if seed is not None:
        check_integer("seed", seed, 0)
    sides = tuple(image_size) if isinstance(image_size, (tuple, list)) else ()
    if len(sides) != 2 or not all(isinstance(side, (int, np.integer)) and side >= network.smallest for side in sides):
        raise ValueError(
            f"`image_size` must be a height and a width of at least {network.smallest}, of which the convolutions "
            f"leave a pixel. Received: image_size={image_size!r}"
        )
    layers, penalties, of_weights = _parts(variant, network, seed, dtype)

    def seeded(offset: int) -> int | None:
        return None if seed is None else seed + offset

    def filtered(maps: Any, place: str) -> Any:
        for layer in layers[place]:
            maps = layer(maps)
        return maps

    image = keras.Input((*image_size, 3), name="image")
    x = filtered(image, "input")
    for offset, (name, filters, size, stride, padding) in enumerate(network.convolutions):
        linear = f"{name}_linear"
        apart = bool(layers[linear] or penalties[linear])
        of_maps = {} if apart else penalties[name]
        x = keras.layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding=padding,
            activation=None if apart else "relu",
            kernel_initializer=network.start(seed=seeded(offset)),
            dtype=dtype,
            name=name,
            **(penalties[linear] | of_maps | of_weights[name]),
        )(x)
        if apart:
            x = filtered(x, linear)
            x = keras.layers.ReLU(dtype=dtype, name=f"{name}_relu", **penalties[name])(x)
        x = filtered(x, name)
    if network.head == "votes":
        x = BoundedVotes(classes, seed=seeded(len(network.convolutions)), dtype=dtype, name="logits")(x)
    else:
        x = keras.layers.Flatten(dtype=dtype, name="flatten")(x)
        # float32 also under a mixed-precision policy: a loss and an argmax on half-precision logits are too coarse.
        start = keras.initializers.GlorotUniform(seed=seeded(len(network.convolutions)))
        x = keras.layers.Dense(classes, dtype="float32", kernel_initializer=start, name="logits")(x)
    model = keras.Model(image, x, name=variant.name)
    if weights is not None:
        set_layer_weights(model, weights)
    return model


def _parts(
    variant: Variant, network: Network, seed: int | None, dtype: str | None
) -> tuple[dict[str, list[keras.layers.Layer]], dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return for each place what a variant puts there: layers, the penalty on the maps, and what its weights have."""
    layers: dict[str, list[keras.layers.Layer]] = {place: [] for place in network.places}
    penalties: dict[str, dict[str, Any]] = {place: {} for place in network.places}
    of_weights: dict[str, dict[str, Any]] = {place: {} for place in network.places}
    for index, defense in enumerate(variant.defenses):
        if defense.after not in layers:
            raise ValueError(f"`after` must be one of {', '.join(layers)}. Received: after={defense.after!r}")
        same = sum(other.layer == defense.layer for other in variant.defenses[:index])
        found, where = _find_class(defense.layer), penalties
        if issubclass(found, keras.layers.Layer):
            own: dict[str, Any] = {"dtype": dtype}
            if "seed" in inspect.signature(found.__init__).parameters:
                own["seed"] = None if seed is None else seed + len(network.convolutions) + 1 + same
            layers[defense.after].append(found(**{**own, **defense.settings}))
            continue
        argument = "activity_regularizer"
        if issubclass(found, (KernelTotalVariation, keras.constraints.Constraint)):
            argument = "kernel_regularizer" if issubclass(found, keras.Regularizer) else "kernel_constraint"
            where = of_weights
        places = network.places[1:] if where is penalties else [name for name, *_ in network.convolutions]
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
