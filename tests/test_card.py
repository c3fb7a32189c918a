"""The model card."""

from __future__ import annotations

import re
from typing import Any

import pytest

from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.export import model_card
from blurnet_tf.models import VARIANTS, Defense, Variant
from blurnet_tf.signs import CLASS_NAMES
from blurnet_tf.training.recipes import recipe

SHA = "ab" * 32


def training(variant: str = "tv_1e-4", data: str = "LISA, track split", init: str = "random") -> dict[str, Any]:
    how = recipe("quick", variant, seed=3, init=init)
    settings = how.settings() | {"variant": how.variant.settings()}
    settings |= {"data": data, "train_images": 5170, "precision": "mixed_bfloat16"}
    return {"settings": settings, "weights_sha256": SHA}


def card(
    name: str = "tv_1e-4",
    provenance: dict[str, Any] | None = None,
    data: str = "LISA, track split",
    variant: Variant | None = None,
    leaks: bool = False,
    class_names: tuple[str, ...] = CLASS_NAMES,
) -> str:
    facts = {"title": data, "leaks": leaks, "licence": "THE LICENCE.", "image_size": (48, 64)}
    known = {"data": facts, "class_names": class_names, "attacked": "THE ROW."}
    return model_card(name, variant or VARIANTS[name], provenance or training(), Rate(93, 100), **known)


# As `checkpoints.trained_model` writes it: nothing about data or a training.
RELEASED = {"settings": {"format": 1, "variant": {"name": "rp2_release"}, "start_sha256": SHA}, "weights_sha256": SHA}
RELEASED |= {"checkpoint": "RP2 release"}


def test_the_card_has_its_sections_in_order() -> None:
    titles = [line for line in card().splitlines() if line.startswith("#")]
    assert titles == [
        "# tv_1e-4: TV 1e-4",
        "## Use",
        "## Data and training",
        "## Accuracy",
        "## Under attack",
        "## Limits",
        "## Licence",
    ]


def test_the_card_says_what_is_in_the_provenance() -> None:
    text = card()
    assert (
        "Trained on 5170 images (LISA, track split) for 24 epochs with Adam, learning rate 0.001 (late cosine), "
        f"batches of 128, seed 3, in mixed_bfloat16. SHA-256 of the weights: `{SHA}`."
    ) in text
    assert (
        "93.0% [86.3, 96.6] of 100 held-out images (LISA, track split) are classified right; in brackets the 95% "
        "Wilson interval.\n"
    ) in text
    assert "THE ROW." in text
    assert 'tf.saved_model.load("tv_1e-4")' in text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("baseline", "It has no defence."),
        ("input_3x3", "Its defence is a 3x3 box blur of the image."),
        ("feature_5x5", "Its defence is a 5x5 box blur of the first layer's feature maps."),
        (
            "depthwise_7x7",
            "Its defence is a learned 7x7 depthwise filter on the first layer's feature maps, trained with the "
            "L-infinity penalty of Eq. 3, alpha = 0.1.",
        ),
        (
            "tv_1e-5",
            "Its defence is a training with the total variation of the first layer's feature maps as a penalty "
            "(Eq. 5), alpha_TV = 1e-05.",
        ),
    ],
)
def test_the_card_names_the_defence(name: str, sentence: str) -> None:
    assert sentence in card(name, training(name))


def test_the_card_names_a_defence_of_ones_own() -> None:
    parts = (
        Defense(after="conv2", layer="FixedBlur", settings={"size": 3, "window": "gaussian"}),
        Defense(after="input", layer="GaussianNoise", settings={"stddev": 0.1}),
    )
    sentence = "Its defence is a 3x3 gaussian blur of the maps of conv2 and GaussianNoise on the image."
    assert sentence in card(variant=Variant(name="own", title="Own", defenses=parts))


def test_the_card_has_the_classes_and_the_image_size_of_the_data() -> None:
    assert "`image` float32 (n, 48, 64, 3), RGB in [0, 1]" in card()
    assert "Output 3, `unused`, is no class." in card()
    text = card(data="my signs", class_names=("go", "halt"))
    assert "those of my signs: go, halt." in text
    assert "unused" not in text
    assert "THE LICENCE." in text


def test_the_card_says_where_the_weights_come_from() -> None:
    assert "the filter was put in afterwards" in card("feature_5x5", training("baseline"))
    assert "put in afterwards" not in card("baseline", training("baseline"))
    released = card("rp2_release", RELEASED, data="rendered signs")
    assert "Not trained here: these are the weights that RP2's authors released." in released
    assert "Trained on" not in released
    assert "of 100 held-out images (rendered signs) are classified right" in released
    started = card(provenance=training(init="rp2_release"))
    assert "The training started from the weights of rp2_release." in started


def test_the_card_says_what_becomes_of_photographs_from_a_telephone() -> None:
    assert re.search(r"turned by its EXIF data,\s+as\s+telephones\s+do,\s+is\s+seen\s+unturned", card())


def test_the_card_says_that_a_split_leaks() -> None:
    sentence = "The split leaks: near duplicates"
    assert sentence not in card(data="a title with the word leaks")
    assert sentence in card(leaks=True)
    assert sentence not in card("rp2_release", RELEASED, leaks=True)  # which nobody split for that model
