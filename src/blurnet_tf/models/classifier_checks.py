"""What is asked of a model that was loaded from a file: its input, its output, its answers and their gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.checks import are_probabilities, check_images

STOPPERS: Mapping[str, str] = {
    "ArgMax": "an index does not change gradually", "Bucketize": "it counts steps",
    "PreventGradient": "gradients were left out when it was saved", "PyFunc": "Python code",
    "Sign": "it is flat on both sides", "StopGradient": "",
    "XlaCallModule": "such as a JAX model that was saved without its gradients",
    **dict.fromkeys(("Ceil", "Floor", "QuantizeV2", "Rint", "Round"), "it is flat between its steps"),
}  # fmt: skip
"""Operations that pass no gradient, each with the reason."""


def check_input(what: str, inputs: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return height and width of the one batch of floating images that a model takes, `None` where it takes any.

    `what` is the model in words; `inputs` are by name, each with a `shape` and a `dtype`.
    """
    if len(inputs) != 1:
        listed = f": {', '.join(sorted(inputs))}" if inputs else ""
        raise ValueError(f"{what} must take one input, the images. Received: {len(inputs)} inputs{listed}")
    ((name, spec),) = inputs.items()
    dtype = tf.as_dtype(spec.dtype)
    if not dtype.is_floating:
        reason = "encoded files" if dtype == tf.string else f"{dtype.name} levels"
        raise ValueError(
            f"{what} must take floating images in [0, 1]: no gradient flows back through {reason}. "
            f"Received: {name}, {dtype.name}"
        )
    if tf.TensorShape(spec.shape).rank is None:
        return None, None
    shape = tuple(tf.TensorShape(spec.shape))
    images = len(shape) == 4 and shape[3] in (3, None)
    if not images or shape[0] is not None:
        raise ValueError(
            f"{what} must take any number of RGB images, (None, H, W, 3). Received: {name}, shape={shape}"
            + (". Save it again with a batch size of None" if images else "")
        )
    return shape[1], shape[2]


def chosen_output(path: Path, outputs: Mapping[str, Any], output: str, wanted: str | None) -> tuple[str, int | None]:
    """Return which output is meant (`wanted`, the only one, or the one called like `output`) and its classes."""
    usual = next(iter(outputs)) if len(outputs) == 1 else output
    chosen = usual if wanted is None else wanted
    if chosen not in outputs:
        raise ValueError(
            f"`output_name` must be one of the outputs of {path}: {', '.join(sorted(outputs))}. "
            f"Received: output_name={wanted!r}"
        )
    shape = tf.TensorShape(outputs[chosen].shape)
    classes = shape[1] if shape.rank == 2 else None
    if classes is not None and classes < 2:
        raise ValueError(
            f"Model {path} must return {output} of two classes or more. Received: {classes} for each image. "
            "Put a layer behind it that gives one for each class: [0, z] of a logit z, [1 - p, p] of a probability p"
        )
    return chosen, classes


def check_size(what: str, image_size: Sequence[int], classifier: Any) -> None:
    """Raise ValueError unless a `Classifier` takes images of this height and width; `what` names them."""
    if any(side not in (None, given) for side, given in zip(classifier.size, image_size, strict=True)):
        expected = "x".join("any" if side is None else str(side) for side in classifier.size)
        raise ValueError(
            f"{what} must have the size that {classifier.path} takes, {expected} (height x width). "
            f"Received: {image_size[0]}x{image_size[1]}"
        )


def check_answers(images: ArrayLike, classifier: Any) -> NDArray[np.float32]:
    """Return the logits that a `Classifier` gives, or raise ValueError as `Classifier.check` says."""
    images = check_images(images)
    check_size("`images`", images.shape[1:3], classifier)
    must = f"Model {classifier.path} must be differentiable. Received:"
    clean = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(clean)
        answers = _ask(classifier, clean)
        logits = classifier.logits(answers)
        # Not the sum: that of centred logits has no gradient although each of them has one.
        margin = tf.reduce_max(logits, axis=1) - tf.reduce_mean(logits, axis=1)
    _check_kind(classifier.path, classifier.output, np.asarray(answers, np.float32))
    try:
        gradient = tape.gradient(margin, clean)
        reason = "an operation that passes none"
    except LookupError as error:  # an operation without a gradient, or one that was left out on purpose
        gradient, reason = None, f"an operation without one: {str(error).strip().splitlines()[0]}"
    if gradient is None:
        because = _stoppers(classifier.answer, clean) or reason
        raise ValueError(f"{must} no gradient from its output to the images, because of {because}")
    if not np.isfinite(gradient).all():
        raise ValueError(f"{must} a gradient that is NaN or infinite, as of a root or a norm at 0")
    if not np.any(gradient):
        raise ValueError(f"{must} a gradient of 0 for every pixel, as of a model that is saturated, or quantised")
    return np.asarray(logits)


def _ask(classifier: Any, images: Any) -> Any:
    """Return the answers as the model gives them, if they are a table of numbers."""
    try:
        answers = classifier.answer(images)
    except (tf.errors.OpError, TypeError, ValueError) as error:
        # The last line says more than which node of the graph raised it.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in reversed(lines) if not line.startswith("[[")), "no reason given")
        raise ValueError(
            f"Model {classifier.path} must take images {tuple(images.shape)}. "
            f"Received: {type(error).__name__}: {reason}"
        ) from error
    answers = tf.convert_to_tensor(answers)
    shape = tuple(answers.shape)
    if not answers.dtype.is_floating or len(shape) != 2 or shape[0] != len(images) or shape[1] < 2:
        raise ValueError(
            f"Model {classifier.path} must return {classifier.output} ({len(images)}, classes). "
            f"Received: {answers.dtype.name}, shape={shape}"
        )
    return answers


def _check_kind(path: Path, output: str, answers: NDArray[np.float32]) -> None:
    """Raise ValueError unless the answers are finite, and what `output` says."""
    if not np.isfinite(answers).all():
        raise ValueError(f"Model {path} must return finite {output}. Received: NaN or infinity")
    probabilities = are_probabilities(answers)
    if probabilities and output == "logits":
        raise ValueError(
            "`output` must be 'probabilities' for a model that ends in a softmax. Received: output='logits', and "
            f"answers of {path} that lie in [0, 1] and sum to 1"
        )
    if not probabilities and output == "probabilities":
        raise ValueError(
            "`output` must be 'logits' for a model that does not end in a softmax. Received: output='probabilities', "
            f"and answers of {path} from {answers.min():g} to {answers.max():g}"
        )


def _stoppers(answer: Callable[[Any], Any], images: Any) -> str:
    """Return the operations of the graph that are known to pass no gradient, in words."""
    graph = tf.function(answer, autograph=False).get_concrete_function(images).graph.as_graph_def()
    found = set()
    for node in [*graph.node, *(node for function in graph.library.function for node in function.node_def)]:
        if node.op in STOPPERS:
            found.add(f"{node.op} ({STOPPERS[node.op]})".removesuffix(" ()"))
        elif node.op == "Cast" and not tf.as_dtype(node.attr["DstT"].type).is_floating:
            found.add(f"Cast to {tf.as_dtype(node.attr['DstT'].type).name}")
    return ", ".join(sorted(found))
