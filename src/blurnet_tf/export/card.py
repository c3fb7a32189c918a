"""The model card: what an exported model is, what it was trained on, how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.models import Variant

_USE = """\
Any TensorFlow 2 program loads this folder; it needs no other package.

```python
import tensorflow as tf

loaded = tf.saved_model.load("{name}")
loaded.classify_encoded(tf.constant([open("sign.png", "rb").read()]))["class_name"]
```

| endpoint           | input                                              | outputs                                    |
|--------------------|----------------------------------------------------|--------------------------------------------|
| `serving_default`  | {image:<50} | `logits`, `probabilities`                  |
| `classify`         | `image` uint8 (n, H, W, 3), RGB of any size        | `class_index`, `class_name`, `probability` |
| `classify_encoded` | `image_bytes`: PNG or JPEG files, each of its size | `class_index`, `class_name`, `probability` |
| `feature_maps`     | `image` as for `serving_default`                   | `feature_maps`                             |

Here n is at least 1. `classify_encoded` takes pixels as they are stored: a photograph that is turned by its EXIF data,
as telephones do, is seen unturned. Turn its pixels first. `feature_maps` are those of the first layer, after the
defence. Gradients flow from `logits` to `image`. `{name}.keras` is the same model for Keras, after `import blurnet_tf`.
The names of the classes are in `assets/labels.txt`, and all that is known of the training is in
`assets/provenance.json`."""

_LIMITS = """\
- It names one sign that fills the image. It finds no signs, and it has no class for "no sign" or for a sign that it was
  not trained on: whatever it is shown gets one of its classes.
- `probabilities` are a softmax of the logits. Nobody has calibrated them.
- Its classes are those of {title}: {classes}.{unused}
- A defence that holds against the attacks of a table may fail against another one. The model is for research on such
  attacks, and not for use on a road."""

_LICENCE = """\
The code is MIT. {licence} Whether weights that were trained on images may be used otherwise than the images is not for
this project to say. The weights of the RP2 release are its authors' (Eykholt et al.), under MIT as well. BlurNet is by
Raju and Lipasti, arXiv:1908.02256."""

_PLACES: Mapping[str, str] = {
    "input": "the image",
    "conv1": "the first layer's feature maps",
    "conv1_linear": "the first layer's feature maps before the ReLU",
}

_DEFENCES: Mapping[str, str] = {
    "FixedBlur": "a {size}x{size} {window} blur of {place}",
    "LearnableBlur": "a learned {size}x{size} depthwise filter on {place}, trained with the L-infinity penalty of "
    "Eq. 3, alpha = {alpha:g}",
    "KernelTotalVariation": "a training with the total variation of the first layer's weights as a penalty, "
    "alpha = {alpha:g}",
    "TotalVariation": "a training with the total variation of {place} as a penalty (Eq. 5), alpha_TV = {alpha:g}",
}

_NETWORKS: Mapping[str, str] = {"vote_cnn": "Each place of the image has a bounded say in the answer."}

_PROCEDURES: Mapping[str, str] = {
    "Plain": "a training on the images",
    "Stickers": "a training in which each image is seen clean and again under random stickers",
    "Gaussian": "a training on images with Gaussian noise of standard deviation {sigma:g}",
    "Adversarial": "adversarial training (Madry et al.): images changed by up to {epsilon:.3g} a pixel",
    "DOA": "defence against occlusion attacks (Wu et al.): a rectangle of {height}x{width} pixels put where it hurts",
    "Universal": "a training in which each image is seen clean and again under stickers that hurt the whole batch",
}


def model_card(
    name: str,
    variant: Variant,
    training: Mapping[str, Any],
    accuracy: Rate,
    *,
    data: Mapping[str, Any],
    class_names: Sequence[str],
    attacked: str,
    use: str | None = None,
) -> str:
    """Return the card of a variant as Markdown.

    Args:
        name: What the export is called.
        variant: What was exported.
        training: The provenance of the checkpoint: `weights_sha256`, and `settings` (`data`, `train_images`, `epochs`,
            ..., and `variant`, the one that was trained) or, for weights that were not trained here, `checkpoint`.
        accuracy: On the held-out images of `data`.
        data: Their `title`, `leaks` (whether the model may have trained on near duplicates of the held-out images),
            `licence` (a sentence) and `image_size` (height and width of what the model takes).
        class_names: The names of the outputs, in their order.
        attacked: A paragraph about attacks on these very weights: the row of a table, or how to make one.
        use: How it is used; by default as an export is.

    Example:
        >>> from blurnet_tf.models import VARIANTS
        >>> training = {"checkpoint": "RP2 release", "weights_sha256": "0" * 64}
        >>> data = {"title": "rendered signs", "leaks": False, "licence": "They are MIT.", "image_size": (32, 32)}
        >>> facts = {"data": data, "class_names": ("stop", "yield"), "attacked": "No table has a row for it."}
        >>> print(model_card("mine", VARIANTS["baseline"], training, Rate(9, 10), **facts).splitlines()[0])
        # mine: Baseline
    """
    low, high = (100 * end for end in accuracy.interval())
    measured = (
        f"{100 * accuracy.value:.1f}% [{low:.1f}, {high:.1f}] of {accuracy.n} held-out images ({data['title']}) are "
        "classified right; in brackets the 95% Wilson interval."
    )
    if data["leaks"] and "checkpoint" not in training:
        leak = "near duplicates of these images were trained on, so that the accuracy is too high"
        measured += f" The split leaks: {leak}."
    height, width = data["image_size"]
    unused = [f" Output {index}, `unused`, is no class." for index, one in enumerate(class_names) if one == "unused"]
    sections = {
        "Use": use or _USE.format(name=name, image=f"`image` float32 (n, {height}, {width}, 3), RGB in [0, 1]"),
        "Data and training": _training(variant, training),
        "Accuracy": measured,
        "Under attack": attacked,
        "Limits": _LIMITS.format(title=data["title"], classes=", ".join(class_names), unused="".join(unused)),
        "Licence": _LICENCE.format(licence=data["licence"]),
    }
    defences = []
    for one in variant.defenses:
        place = _PLACES.get(one.after, f"the maps of {one.after}")
        words = _DEFENCES.get(one.layer, f"{one.layer} on {{place}}")
        defences.append(words.format(**{"window": "box", "alpha": 0.0, **one.settings, "place": place}))
    if procedure := training.get("settings", {}).get("procedure"):
        defences.append(_procedure(procedure))
    defence = f"Its defence is {' and '.join(defences)}." if defences else "It has no defence."
    if variant.network != "lisa_cnn":
        defence = f"{_NETWORKS.get(variant.network, '')} {defence}".strip()
    kind = "The LISA-CNN" if variant.network == "lisa_cnn" else f"The network `{variant.network}`"
    place = "from the zoo of" if use else "exported by"
    head = f"{kind}, a classifier of traffic signs, {place} blurnet-tf. {defence}"
    parts = [f"# {name}: {variant.title}", head, *(f"## {title}\n\n{text}" for title, text in sections.items())]
    return "\n\n".join(parts) + "\n"


def _procedure(procedure: Mapping[str, Any]) -> str:
    kind = procedure["kind"]
    words = _PROCEDURES.get(kind, f"a training by the procedure {kind}").format(**procedure)
    if kind == "Stickers" and procedure["attack"]:
        words += " that were made worse for the model as it then was"
    return words + (", in changing light, place and colours" if procedure.get("augmentation") else "")


def _training(variant: Variant, training: Mapping[str, Any]) -> str:
    if "checkpoint" in training:
        words = (
            "Not trained here: these are the weights that RP2's authors released. They trained them on a part of LISA "
            "that is not known, so that images of LISA that the accuracy counts may be among those trained on."
        )
    else:
        settings = {"precision": "float32", **training["settings"]}
        words = (
            "Trained on {train_images} images ({data}) for {epochs} epochs with Adam, learning rate {learning_rate:g} "
            "({decay}), batches of {batch_size}, seed {seed}, in {precision}."
        ).format(**settings, decay=settings["schedule"].replace("_", " "))
        if settings["init"] != "random":
            words += f" The training started from the weights of {settings['init']}."
        if (trained := settings["variant"]["name"]) != variant.name:
            afterwards = "the filter was put in afterwards, as in Table 1 of the paper"
            words += f" That was the training of `{trained}`: {afterwards}."
    return f"{words} SHA-256 of the weights: `{training['weights_sha256']}`."
