"""The card of a model of the zoo: what is known of it, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.export.card import model_card
from blurnet_tf.models import Variant
from blurnet_tf.models.zoo import ZooEntry

_USE = """\
```python
import blurnet_tf

model = blurnet_tf.load_model("{name}"{more})
class_names = blurnet_tf.find_model("{name}"{more}).class_names
image = blurnet_tf.read_image("sign.png", size={size})
class_names[blurnet_tf.predict(model, image[None])[0]]
```

It maps images float32 (n, {height}, {width}, 3), RGB in [0, 1], to logits (n, {classes}). `blurnet classify sign.png
--model {place}` says what it sees; `blurnet_tf.export_model` writes it for programs without this package."""

_FIGURES = (
    ("white paint", "floor_white"), ("one sticker for all", "shared"), ("one for each", "per_image"),
    ("no gradient", "gradient_free"), ("anything", "union"),
)  # fmt: skip

SUITE_WORDS = {"own": "one for each"}

_NOTE = """\
Per cent of the signs whose prediction changes inside the mask, by the strongest attack of each kind; in brackets the
95% Wilson interval. White paint is no attack. "Anything" is the share that any attack or any plain colour breaks.
Measured by `make zoo` on exactly these weights."""


def zoo_card(entry: ZooEntry) -> str:
    """Return the card of a model of the zoo as Markdown.

    Example:
        >>> from blurnet_tf import find_model
        >>> print(zoo_card(find_model("baseline")).splitlines()[0])
        # baseline: Baseline
    """
    variant = dataclasses.replace(Variant.from_settings(entry.variant), title=entry.title)
    more = (entry.dataset != "lisa") * f', dataset="{entry.dataset}"' + bool(entry.seed) * f", seed={entry.seed}"
    height, width = entry.image_size
    use = _USE.format(
        name=entry.name,
        more=more,
        size=(height, width),
        height=height,
        width=width,
        classes=len(entry.class_names),
        place=entry.place,
    )
    return model_card(
        entry.name,
        variant,
        {**entry.training, "weights_sha256": entry.weights_sha256},
        Rate(entry.test_correct, entry.test_images),
        data=entry.data,
        class_names=entry.class_names,
        attacked=_attacked(entry),
        use=use,
    )


def _attacked(entry: ZooEntry) -> str:
    head = ["signs", "n", "pixels", "suite", *(title for title, _ in _FIGURES), "flags"]
    rows = [head, ["---"] * len(head), *(_row(one) for one in entry.measured)]
    parts = ["\n".join(f"| {' | '.join(row)} |" for row in rows), _NOTE]
    for one in entry.measured:
        bars = [row for row in one["curve"] if row["family"] == "bars"]
        if bars:
            areas = " / ".join(str(row["area"]) for row in bars)
            broken = " / ".join(f"{100 * row['per_image']:.1f}" for row in bars)
            parts.append(f"One sticker for each in bars of {areas} pixels: {broken}%.")
    return "\n\n".join(parts)


def _row(measured: Mapping[str, Any]) -> list[str]:
    of = measured["of"]
    figures = [_share(measured, field) for _, field in _FIGURES]
    return [
        of["images"], str(measured["n"]), str(of["mask_pixels"]), SUITE_WORDS.get(of["suite"], of["suite"]), *figures,
        ", ".join(measured["flags"]) or "none",
    ]  # fmt: skip


def _share(measured: Mapping[str, Any], field: str) -> str:
    if measured.get(field) is None:
        return "-"
    value, low, high = (100 * measured[field + end] for end in ("", "_low", "_high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"
