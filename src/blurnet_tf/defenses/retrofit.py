"""A defence in any Keras model: a blur after one of its layers, or a penalty on its maps."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import keras

from blurnet_tf.defenses.regularizers import KernelTotalVariation, TotalVariation

_CALLED_ONCE = "`layer` must name a layer that is called once. Received: layer={!r}, which is called more often"


_PENALTIES = (TotalVariation, KernelTotalVariation)


def defend(
    model: keras.Model, layer: str, defense: keras.layers.Layer | TotalVariation | KernelTotalVariation
) -> keras.Model:
    """Return a copy of `model`, weights included, with a defence after one of its layers.

    All that read the maps of that layer, the outputs of the model among them, read the defended ones. The copy shares
    nothing with `model`, but has the same weights, trainable flags, dtypes, regularizers and layer names. `defense` is
    trainable also in a frozen model, so that a filter can be learned alone. The copy and the models inside it are plain
    functional models, not compiled, which load from `.keras` files after `import blurnet_tf`.

    Layers are rebuilt from their configurations, as by `keras.models.clone_model`: your own need a `get_config`,
    and a Python lambda in a `Lambda` layer is refused by Keras unless `keras.config.enable_unsafe_deserialization()`.
    The paper's maps are those of the first convolution after its ReLU: name that layer if it is one of its own.

    Args:
        model: Functional, or Sequential and built; channels last. A subclassed model has no graph to put a layer into.
        layer: Name of a layer that is called once and gives maps (n, H, W, channels); "inner/layer" for one in a model
            inside. `TVLossCallback` finds the layers of the outermost model only.
        defense: A layer that keeps the shape, such as `FixedBlur`: a copy of it follows `layer`. Or a `TotalVariation`:
            a copy of it becomes the `activity_regularizer` of `layer`. Or a `KernelTotalVariation`, which becomes its
            `kernel_regularizer`.

    Raises:
        ValueError: The model, the layer or the defence is not as described, the name of `defense` is taken, or the
            layer has a penalty already or cannot have one.

    Example:
        >>> from blurnet_tf import FixedBlur
        >>> stem = keras.layers.Conv2D(8, 3, activation="relu", name="stem")
        >>> plain = keras.Sequential([keras.Input((32, 32, 3)), stem, keras.layers.GlobalMaxPooling2D(name="pool")])
        >>> [one.name for one in defend(plain, "stem", FixedBlur(5, name="blur")).layers[1:]]
        ['stem', 'blur', 'pool']
        >>> defend(plain, "stem", TotalVariation(1e-4)).get_layer("stem").activity_regularizer.alpha
        0.0001
    """
    if not isinstance(defense, (keras.layers.Layer, *_PENALTIES)):
        raise ValueError(
            "`defense` must be a layer, such as FixedBlur(5), a TotalVariation or a KernelTotalVariation. "
            f"Received: defense={defense!r}"
        )
    if not _has_graph(model):
        raise ValueError(
            "`model` must be a functional or a built Sequential model: a defence is put into the graph of its layers. "
            f"Received: a model of class {type(model).__name__}"
        )
    return _Copier(*_find(model, layer, defense), layer, defense).copy(model)


class _Copier:
    """Copies a model and those inside it, and puts the defence after `target`, which is a layer of `parent`."""

    def __init__(self, parent: Any, target: Any, layer: str, defense: Any) -> None:
        self._parent, self._target, self._layer, self._defense = parent, target, layer, defense
        self._copies: dict[int, Any] = {}
        self._called = False

    def copy(self, model: Any) -> Any:
        graph = _plain_graph(model)
        call = self._call_and_defend if model is self._parent else None
        copy = keras.models.clone_model(graph, _copied_inputs(graph), self._copy_operation, call)
        for operation in graph.operations:
            if id(operation) in self._copies and not _has_graph(operation):  # inputs have no state
                _copy_state(operation, self._copies[id(operation)])
        return copy

    def _copy_operation(self, operation: Any) -> Any:
        """Return the copy of a layer or another operation, always the same one: what is shared stays shared."""
        if id(operation) not in self._copies:
            copy = self.copy(operation) if _has_graph(operation) else _rebuilt(operation)
            if operation is self._target and isinstance(self._defense, _PENALTIES):
                self._penalise(copy)
            self._copies[id(operation)] = copy
        return self._copies[id(operation)]

    def _call_and_defend(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the copy of an operation; what that of the target gives goes through the defence."""
        maps = operation(*args, **kwargs)
        if operation is not self._copies.get(id(self._target)):
            return maps
        if self._called:
            raise ValueError(_CALLED_ONCE.format(self._layer))
        self._called = True
        shape: Any = getattr(maps, "shape", ())
        if len(shape) != 4 or shape[-1] is None:
            given = f"shape={shape}" if shape else f"a {type(maps).__name__}"
            raise ValueError(
                "`layer` must name a layer that gives maps (n, H, W, channels) with known channels. "
                f"Received: layer={self._layer!r}, which gives {given}"
            )
        if isinstance(self._defense, _PENALTIES):
            return maps
        defense = _rebuilt(self._defense)
        defended = defense(maps)
        if defended.shape != shape:
            raise ValueError(
                "`defense` must keep the shape of the maps. "
                f"Received: {type(defense).__name__}, which makes {defended.shape} of {shape}"
            )
        if self._defense.built:
            _copy_state(self._defense, defense)
        return defended

    def _penalise(self, copy: Any) -> None:
        """Set the penalty on the copy of the target, if that layer can have it and its configuration has it too."""
        name, article = "activity_regularizer", "an"
        way_out = "Put a keras.layers.Identity after it with `defend`, and the penalty on that"
        of_weights = isinstance(self._defense, KernelTotalVariation)
        if of_weights:
            name, article, way_out = "kernel_regularizer", "a", "Name a Conv2D"
        if getattr(copy, name, None) is not None:
            raise ValueError(
                f"`layer` must name a layer without {article} {name}. "
                f"Received: layer={self._layer!r}, which has one: {type(getattr(copy, name)).__name__}"
            )
        setattr(copy, name, _rebuilt(self._defense))
        try:
            saved = isinstance(getattr(_rebuilt(copy), name, None), type(self._defense))
            saved = saved and (not of_weights or isinstance(copy, keras.layers.Conv2D))  # the kernels of others vary
        except (TypeError, ValueError):  # its constructor does not know the argument
            saved = False
        if not saved:
            raise ValueError(
                f"`layer` must name a layer whose configuration keeps {article} {name}. "
                f"Received: layer={self._layer!r} of class {type(copy).__name__}. {way_out}"
            )


def _find(model: Any, layer: str, defense: Any) -> tuple[Any, Any]:
    """Return the model that holds the layer of that path, and the layer; raise ValueError if it cannot be defended."""
    found = {path: (parent, one) for path, parent, one in _walk(model)}
    if not isinstance(layer, str) or layer not in found:
        close = [path for path in found if path.split("/")[-1] == layer]
        close = close or difflib.get_close_matches(str(layer), found, n=3)
        hint = f"Close names: {', '.join(close)}" if close else "`model.summary()` lists its layers"
        raise ValueError(f"`layer` must name a layer of the model. Received: layer={layer!r}. {hint}")
    parent, target = found[layer]
    if isinstance(target, keras.layers.InputLayer):
        raise ValueError(
            f"`layer` must name a layer that is no input. Received: layer={layer!r}. To filter the images, put the "
            "model behind a blur: keras.Sequential([keras.Input(shape), FixedBlur(3), model])"
        )
    if len({id(other) for other, one in found.values() if one is target}) > 1:
        raise ValueError(_CALLED_ONCE.format(layer))
    if getattr(defense, "name", None) in {operation.name for operation in _plain_graph(parent).operations}:
        raise ValueError(
            f"`defense` must have a name that is free in the model. Received: name={defense.name!r}. "
            f"Give it another: {type(defense).__name__}(..., name=...)"
        )
    for one in parent.layers:
        if getattr(one, "data_format", None) == "channels_first":
            received = f"layer '{one.name}' with data_format='channels_first'"
            raise ValueError(f"`model` must have channels last throughout. Received: {received}")
    return parent, target


def _walk(model: Any, folder: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Give the path, the model and the layer of every layer of a model and of those inside it."""
    for layer in _plain_graph(model).layers:
        yield folder + layer.name, model, layer
        if _has_graph(layer):
            yield from _walk(layer, f"{folder}{layer.name}/")


def _has_graph(operation: Any) -> bool:
    """Say whether this is a functional or a built Sequential model that computes what its graph says."""
    if isinstance(operation, keras.Sequential):
        return operation.built and hasattr(operation, "inputs") and type(operation).call is keras.Sequential.call
    # Keras does not name the class of functional models: it is the one made of `Function` and `Model`.
    kinds: list[Any] = [one for one in type(operation).__mro__ if one.__bases__ == (keras.Function, keras.Model)]
    return bool(kinds) and type(operation).call is kinds[0].call


def _plain_graph(model: Any) -> Any:
    """Return a plain functional model of the same layers: Keras copies neither Sequential nor compiled models."""
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def _copied_inputs(graph: Any) -> Any:
    """Return new inputs for the copy of a plain graph, with its structure. Keras drops their names and `optional`."""
    layers = {id(layer.output): layer for layer in graph.layers if isinstance(layer, keras.layers.InputLayer)}
    return keras.tree.map_structure(lambda tensor: _rebuilt(layers[id(tensor)]).output, graph.input)


def _rebuilt(one: Any) -> Any:
    """Return a new layer, operation or regularizer of the same configuration."""
    return type(one).from_config(one.get_config())


def _copy_state(source: Any, copy: Any) -> None:
    """Copy the variables of a layer, and which of them are trained."""
    for old, new in zip(getattr(source, "variables", ()), getattr(copy, "variables", ()), strict=True):
        new.assign(old)
        new.trainable = old.trainable
    if hasattr(copy, "finalize_state"):  # a Normalization computes with what it made of its variables
        copy.finalize_state()
