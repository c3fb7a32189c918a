"""The model card: what an exported model is, what it was trained on, how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.models.lisa_cnn import Variant

_USE = """\
Any TensorFlow 2 program loads this folder; it needs no other package.

```python
import tensorflow as tf

loaded = tf.saved_model.load("{name}")
loaded.classify_encoded(tf.constant([open("sign.png", "rb").read()]))["class_name"]
```

| endpoint           | input                                              | outputs                                    |
|--------------------|----------------------------------------------------|--------------------------------------------|
| `serving_default`  | `image` float32 (n, 32, 32, 3), RGB in [0, 1]      | `logits`, `probabilities`                  |
| `classify`         | `image` uint8 (n, H, W, 3), RGB of any size        | `class_index`, `class_name`, `probability` |
| `classify_encoded` | `image_bytes`: PNG or JPEG files, each of its size | `class_index`, `class_name`, `probability` |
| `feature_maps`     | `image` as for `serving_default`                   | `feature_maps`                             |

Here n is at least 1. `feature_maps` are those of the first layer, after the defence. Gradients flow from `logits` to
`image`. `{name}.keras` is the same model for Keras, after `import blurnet_tf`. The names of the classes are in
`assets/labels.txt`, and all that is known of the training is in `assets/provenance.json`."""

_LIMITS = """\
- It names one sign that fills the image. It finds no signs, and it has no class for "no sign" or for a sign that it was
  not trained on: whatever it is shown gets one of its classes.
- `classify_encoded` takes pixels as they are stored. A photograph that is turned by its EXIF data, as telephones do, is
  seen unturned: turn its pixels first.
- `probabilities` are a softmax of the logits. Nobody has calibrated them.
- The classes are American signs, with the 18 outputs of RP2's model; output 3, `unused`, belongs to no sign.
- A defence that holds against the attacks of a table may fail against another one. The model is for research on such
  attacks, and not for use on a road."""

_LICENCE = """\
The code is MIT. LISA is for research use, and no image of it is in here; whether weights that were trained on it may be
used otherwise is not for this project to say. The weights of the RP2 release are its authors' (Eykholt et al.), under
MIT as well. BlurNet is by Raju and Lipasti, arXiv:1908.02256."""


def model_card(
    name: str, variant: Variant, training: Mapping[str, Any], accuracy: Rate, *, data: str, attacked: str
) -> str:
    """Return the card of a variant as Markdown.

    Args:
        name: What the export is called.
        variant: What was exported.
        training: The provenance of the checkpoint: `weights_sha256`, and `settings` (`data`, `train_images`, `epochs`,
            ..., and `variant`, the one that was trained) or, for weights that were not trained here, `checkpoint`.
        accuracy: On the held-out images of `data`.
        data: Which data those are, in a few words, as `TrainingData.label` has them.
        attacked: A paragraph about attacks on these very weights: the row of a table, or how to make one.

    Example:
        >>> from blurnet_tf.defenses import VARIANTS
        >>> settings = {"data": "rendered signs", "train_images": 510, "epochs": 2, "schedule": "constant"}
        >>> settings |= {"learning_rate": 0.001, "batch_size": 128, "seed": 0, "init": "random"}
        >>> training = {"settings": settings | {"variant": {"name": "baseline"}}, "weights_sha256": "0" * 64}
        >>> accuracy = Rate(9, 10)
        >>> card = model_card("mine", VARIANTS["baseline"], training, accuracy, data="rendered signs", attacked="...")
        >>> print(card.splitlines()[0])
        # mine: Baseline
    """
    low, high = (100 * end for end in accuracy.interval())
    measured = (
        f"{100 * accuracy.value:.1f}% [{low:.1f}, {high:.1f}] of {accuracy.n} held-out images ({data}) are classified "
        "right; in brackets the 95% Wilson interval."
    )
    if "leaks" in data and "checkpoint" not in training:
        measured += (
            " The split leaks: near duplicates of these images were trained on, so that the accuracy is too high."
        )
    sections = {
        "Use": _USE.format(name=name),
        "Data and training": _training(variant, training),
        "Accuracy": measured,
        "Under attack": attacked,
        "Limits": _LIMITS,
        "Licence": _LICENCE,
    }
    head = (
        f"# {name}: {variant.title}\n\nThe LISA-CNN, a classifier of traffic signs, exported by blurnet-tf. "
        f"{_defence(variant)}"
    )
    return "\n\n".join([head, *(f"## {title}\n\n{text}" for title, text in sections.items())]) + "\n"


def _defence(variant: Variant) -> str:
    """Say in a sentence what is put in against attacks."""
    parts = []
    if variant.input_blur:
        parts.append(f"a {variant.input_blur}x{variant.input_blur} box blur of the image")
    if variant.feature_blur:
        parts.append(f"a {variant.feature_blur}x{variant.feature_blur} box blur of the first layer's feature maps")
    if variant.depthwise:
        parts.append(
            f"a learned {variant.depthwise}x{variant.depthwise} depthwise filter on the first layer's feature maps, "
            f"trained with the L-infinity penalty of Eq. 3, alpha = {variant.alpha:g}"
        )
    if variant.alpha_tv:
        parts.append(
            "a training with the total variation of the first layer's feature maps as a penalty (Eq. 5), "
            f"alpha_TV = {variant.alpha_tv:g}"
        )
    return f"Its defence is {' and '.join(parts)}." if parts else "It has no defence."


def _training(variant: Variant, training: Mapping[str, Any]) -> str:
    if "checkpoint" in training:
        words = (
            "Not trained here: these are the weights that RP2's authors released. They trained them on a part of LISA "
            "that is not known, so that images of LISA that the accuracy counts may be among those trained on."
        )
    else:
        settings = training["settings"]
        words = (
            f"Trained on {settings['train_images']} images ({settings['data']}) for {settings['epochs']} epochs with "
            f"Adam, learning rate {settings['learning_rate']:g} ({settings['schedule'].replace('_', ' ')}), batches of "
            f"{settings['batch_size']}, seed {settings['seed']}, in {settings.get('precision', 'float32')}."
        )
        if settings["init"] != "random":
            words += f" The training started from the weights of {settings['init']}."
        if settings["variant"]["name"] != variant.name:
            words += (
                f" That was the training of `{settings['variant']['name']}`: the filter was put in afterwards, as in "
                "Table 1 of the paper."
            )
    return f"{words} SHA-256 of the weights: `{training['weights_sha256']}`."
