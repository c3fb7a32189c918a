"""What Keras's own copying of models leaves out: inner models, states, and what kind of model has a graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras


def walk(model: Any, folder: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Give the path, the model and the layer of every layer of a model and of those inside it."""
    for layer in plain_graph(model).layers:
        yield folder + layer.name, model, layer
        if has_graph(layer):
            yield from walk(layer, f"{folder}{layer.name}/")


def has_graph(operation: Any) -> bool:
    """Say whether this is a functional or a built Sequential model that computes what its graph says."""
    if isinstance(operation, keras.Sequential):
        return operation.built and hasattr(operation, "inputs") and type(operation).call is keras.Sequential.call
    # Keras does not name the class of functional models: it is the one made of `Function` and `Model`.
    kind: Any = next(
        (base for base in type(operation).__mro__ if base.__bases__ == (keras.Function, keras.Model)), None
    )
    return kind is not None and type(operation).call is kind.call


def plain_graph(model: Any) -> Any:
    """Return a plain functional model of the very layers of a model.

    Keras copies the graph of no Sequential model, and would copy a compile state, though it may not know the loss.
    """
    if isinstance(model, keras.Sequential):
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.Model(model.input, model.output, name=model.name)


def copied_inputs(graph: Any) -> Any:
    """Return new inputs for the copy of a plain graph, with its structure. Keras drops their names and `optional`."""
    layers = {id(layer.output): layer for layer in graph.layers if isinstance(layer, keras.layers.InputLayer)}
    return keras.tree.map_structure(lambda tensor: rebuilt(layers[id(tensor)]).output, graph.input)


def rebuilt(one: Any) -> Any:
    """Return a new layer, operation or regularizer of the same configuration."""
    return type(one).from_config(one.get_config())


def copy_state(source: Any, copy: Any) -> None:
    """Copy the variables of a layer, and which of them are trained."""
    for old, new in zip(getattr(source, "variables", ()), getattr(copy, "variables", ()), strict=True):
        new.assign(old)
        new.trainable = old.trainable
    if hasattr(copy, "finalize_state"):  # a Normalization computes with what it made of its variables
        copy.finalize_state()
