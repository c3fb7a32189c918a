"""What is asked of a model that was loaded from a file: its input, its output, its answers and their gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from blurnet_tf.checks import check_images

if TYPE_CHECKING:
    from blurnet_tf.models.classifier import Classifier

STOPPERS: Mapping[str, str] = {
    "ArgMax": "ArgMax (an index does not change gradually)",
    "Bucketize": "Bucketize (it counts steps)",
    "Ceil": "Ceil (it is flat between its steps)",
    "Floor": "Floor (it is flat between its steps)",
    "PreventGradient": "PreventGradient (gradients were left out when it was saved)",
    "PyFunc": "PyFunc (Python code)",
    "QuantizeV2": "QuantizeV2 (it is flat between its steps)",
    "Rint": "Rint (it is flat between its steps)",
    "Round": "Round (it is flat between its steps)",
    "Sign": "Sign (it is flat on both sides)",
    "StopGradient": "StopGradient",
    "XlaCallModule": "XlaCallModule (such as a JAX model that was saved without its gradients)",
}
"""Operations that pass no gradient, each in words."""


def check_input(what: str, inputs: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return height and width of the one batch of floating images that a model takes, `None` where it takes any.

    Args:
        what: The model in words, for the start of a sentence.
        inputs: Its inputs by name, each with a `shape` and a `dtype`.

    Raises:
        ValueError: There is another number of inputs, or the one is no batch of floating images (n, H, W, 3).
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
    if len(shape) != 4 or shape[0] is not None or shape[3] not in (3, None):
        fixed = len(shape) == 4 and shape[0] is not None and shape[3] in (3, None)
        raise ValueError(
            f"{what} must take any number of RGB images, (None, H, W, 3). Received: {name}, shape={shape}"
            + (". Save it again with a batch size of None" if fixed else "")
        )
    return shape[1], shape[2]


def check_output_name(path: Path, names: Sequence[str], output: str, wanted: str | None) -> str:
    """Return the output that is meant: `wanted`, or the only one, or the one that is called like `output`.

    Raises:
        ValueError: There is no such output, or there are several and none is named.
    """
    if wanted is None and len(names) == 1:
        return names[0]
    chosen = output if wanted is None else wanted
    if chosen not in names:
        raise ValueError(
            f"`output_name` must be one of the outputs of {path}: {', '.join(sorted(names))}. "
            f"Received: output_name={wanted!r}"
        )
    return chosen


def class_count(path: Path, output: str, shape: Any) -> int | None:
    """Return how many classes an output of this shape tells apart, or `None` if the shape does not say.

    Raises:
        ValueError: There is only one number for each image, as of a sigmoid.
    """
    shape = tf.TensorShape(shape)
    classes = shape[1] if shape.rank == 2 else None
    if classes is not None and classes < 2:
        raise ValueError(
            f"Model {path} must return {output} of two classes or more. Received: {classes} for each image. "
            "Put a layer behind it that gives one for each class: [0, z] of a logit z, [1 - p, p] of a probability p"
        )
    return classes


def damaged(path: Path, kind: str, error: Exception) -> ValueError:
    """Return the error of a model that cannot be loaded: the first line of what the loader said."""
    reason = (str(error).strip().splitlines() or ["no reason given"])[0]
    loader = "TensorFlow" if kind == "SavedModel" else "Keras"
    return ValueError(
        f"Model {path} must be a {kind} that {loader} can load. Received: {type(error).__name__}: {reason}"
    )


def check_answers(classifier: Classifier, answer: Callable[[Any], Any], images: ArrayLike) -> NDArray[np.float32]:
    """Return the logits of images; see `Classifier.check`."""
    images = check_images(images)
    height, width = images.shape[1:3]
    if any(wanted not in (None, side) for wanted, side in zip(classifier.size, (height, width), strict=True)):
        expected = "x".join("any" if side is None else str(side) for side in classifier.size)
        raise ValueError(
            f"`images` must have the size that {classifier.path} takes, {expected} (height x width). "
            f"Received: {height}x{width}"
        )
    clean = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(clean)
        answers = _ask(classifier, answer, clean)
        logits = classifier(clean)
        # Not the sum: that of centred logits has no gradient although each of them has one.
        margin = tf.reduce_max(logits, axis=1) - tf.reduce_mean(logits, axis=1)
    _check_kind(classifier, np.asarray(answers, np.float32))
    try:
        gradient = tape.gradient(margin, clean)
        reason = "an operation that passes none"
    except LookupError as error:  # an operation whose gradient nobody wrote, or was left out on purpose
        gradient, reason = None, f"an operation without one: {str(error).strip().splitlines()[0]}"
    if gradient is None:
        raise ValueError(
            f"Model {classifier.path} must be differentiable. Received: no gradient from its output to the images, "
            f"because of {_stoppers(answer, clean) or reason}"
        )
    if not np.isfinite(gradient).all():
        raise ValueError(
            f"Model {classifier.path} must be differentiable. Received: a gradient that is NaN or infinite, as of a "
            "root or a norm at 0"
        )
    if not np.any(gradient):
        raise ValueError(
            f"Model {classifier.path} must be differentiable. Received: a gradient of 0 for every pixel, as of a model "
            "that is saturated, or quantised"
        )
    return np.asarray(logits)


def _ask(classifier: Classifier, answer: Callable[[Any], Any], images: Any) -> Any:
    """Return the answers as the model gives them, if they are a table of numbers."""
    try:
        answers = answer(images)
    except (tf.errors.OpError, TypeError, ValueError) as error:
        raise ValueError(
            f"Model {classifier.path} must take images {tuple(images.shape)}. "
            f"Received: {type(error).__name__}: {_reason(error)}"
        ) from error
    answers = tf.convert_to_tensor(answers)
    shape = tuple(answers.shape)
    if not answers.dtype.is_floating or len(shape) != 2 or shape[0] != len(images) or shape[1] < 2:
        raise ValueError(
            f"Model {classifier.path} must return {classifier.output} ({len(images)}, classes). "
            f"Received: {answers.dtype.name}, shape={shape}"
        )
    return answers


def _reason(error: Exception) -> str:
    """Return the last line of an error that says more than which node of the graph raised it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith("[[")), "no reason given")


def _check_kind(classifier: Classifier, answers: NDArray[np.float32]) -> None:
    """Raise ValueError unless the answers are finite, and what `output` says."""
    if not np.isfinite(answers).all():
        raise ValueError(f"Model {classifier.path} must return finite {classifier.output}. Received: NaN or infinity")
    probabilities = bool(answers.min() >= 0 and np.allclose(answers.sum(axis=1), 1.0, atol=1e-3))
    if probabilities and classifier.output == "logits":
        raise ValueError(
            "`output` must be 'probabilities' for a model that ends in a softmax. Received: output='logits', and "
            f"answers of {classifier.path} that lie in [0, 1] and sum to 1"
        )
    if not probabilities and classifier.output == "probabilities":
        raise ValueError(
            "`output` must be 'logits' for a model that does not end in a softmax. Received: output='probabilities', "
            f"and answers of {classifier.path} from {answers.min():g} to {answers.max():g}"
        )


def _stoppers(answer: Callable[[Any], Any], images: Any) -> str:
    """Return the operations of the graph that are known to pass no gradient, in words."""
    graph = tf.function(answer, autograph=False).get_concrete_function(images).graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    found = {STOPPERS[node.op] for node in nodes if node.op in STOPPERS}
    for node in nodes:
        if node.op == "Cast" and not tf.as_dtype(node.attr["DstT"].type).is_floating:
            found.add(f"Cast to {tf.as_dtype(node.attr['DstT'].type).name}")
    return ", ".join(sorted(found))
