import dataclasses

import numpy as np

from blurnet_tf.defenses import blur_kernel
from blurnet_tf.evaluation.high_frequency import measure
from blurnet_tf.reporting.figures import dissimilarity_sentence
from blurnet_tf.reporting.spectra_figures import (
    blur_sentence,
    image_sentence,
    layer_sentence,
    response_sentence,
    variant_sentence,
)
from tests.examples import RECORD

BLANK = dataclasses.replace(RECORD, source="a", victim="a", adversarial_prediction=12)


def wave(cycles: int, amplitude: float, size: int = 16) -> np.ndarray:
    """One map whose energy is half of the square of the amplitude."""
    line = amplitude * np.cos(2 * np.pi * cycles * np.arange(size) / size)
    return np.tile(line[None, :, None], (size, 1, 1))[None]


LOW, HIGH = wave(1, 1), wave(6, 1)


def test_the_sentence_of_figure_1() -> None:
    measured = measure("image", 5 + LOW, 5 + LOW + HIGH)
    assert image_sentence(measured) == (
        "Beyond 0.25 cycles per pixel lies 0.0% of the energy of the clean signs, 50.0% of the attacked signs', and "
        "100.0% of the energy of what the attack adds."
    )


def test_the_sentence_of_figure_2_says_what_the_blur_leaves() -> None:
    before = measure("conv1", LOW, 2 * LOW + HIGH)
    after = measure("feature_blur", LOW / 2, LOW + HIGH / 10)
    assert blur_sentence(before, after) == (
        "Layer 1: beyond 0.25 cycles per pixel lies 0.0% of the clean maps' energy and 50.0% of the attack's "
        "difference, 3.8% after the blur; beyond 0.125 cycles per pixel lies 0.0% of the clean maps' energy and 50.0% "
        "of the attack's difference, 3.8% after the blur. The blur leaves 13.0% of the difference's energy (1.0% of "
        "what lies beyond 0.25) and 25.0% of the clean maps' energy."
    )


def test_an_attack_that_adds_nothing_leaves_nothing() -> None:
    same = measure("conv1", LOW, LOW)
    assert "The blur leaves 0.0% of the difference's energy" in blur_sentence(same, same)


def test_the_sentence_of_figure_3_says_what_to_compare_with() -> None:
    second, first = measure("conv2", HIGH[:, :6, :6], HIGH[:, :6, :6]), measure("conv1", LOW + HIGH, LOW)
    share = f"{100 * second.share('clean'):.1f}%"
    assert layer_sentence(second, first) == (
        f"On clean signs {share} of the energy of the maps of layer 2 (6x6; 77.1% if all frequencies were alike) and "
        "50.0% of the energy of the maps of layer 1 (16x16; 81.2% if all frequencies were alike) lie beyond 0.25 "
        "cycles per pixel."
    )


def test_the_sentence_of_figure_4_has_the_means() -> None:
    records = [BLANK, dataclasses.replace(BLANK, target=17, adversarial_prediction=14, dissimilarity=0.35)]
    assert dissimilarity_sentence(records, {"a": "A"}) == (
        "Mean attack success, and the dissimilarity it takes: A 50.0% at 0.300."
    )


def test_the_sentence_of_the_filters_has_the_share_that_each_passes() -> None:
    sentence = response_sentence({"none": blur_kernel("box", 1), "half": 0.5 * blur_kernel("box", 1)})
    assert sentence == (
        "Of the energy of a wave of 0, 0.125 and 0.25 cycles per pixel pass: none 100.0%, 100.0%, 100.0%; "
        "half 25.0%, 25.0%, 25.0%."
    )


def test_the_sentence_of_the_variants_names_each_group_that_has_any() -> None:
    groups = {"attacked weights": {"A": (0.1, 0.2, 0.3), "B": (0, 0, 0)}, "trained": {}}
    assert variant_sentence(groups, radius=0.25) == (
        "Of what the same attacked signs add to the maps that the second layer sees, this share lies beyond 0.25 "
        "cycles per pixel: attacked weights: A 30.0%, B 0.0%."
    )
