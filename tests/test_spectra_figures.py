"""The figures of spectra: what is drawn is what was computed, every axis is named, nothing lies on anything else."""

import functools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.defenses import blur_kernel
from blurnet_tf.evaluation.high_frequency import Measured, measure
from blurnet_tf.evaluation.spectra import high_frequency_ratio, log_spectrum, pooled_power, share_beyond
from blurnet_tf.reporting.spectra_figures import (
    FAINTEST,
    image_spectra_figure,
    layer_spectra_figure,
    map_spectra_figure,
    passed,
    response_figure,
    variant_figure,
)
from blurnet_tf.reporting.style import COLUMN, save_both

pytestmark = pytest.mark.slow
RANDOM = np.random.default_rng(0)
CLEAN = RANDOM.random((3, 32, 32, 3)).astype(np.float32)
ATTACKED = np.clip(CLEAN + np.where(CLEAN > 0.9, 0, RANDOM.normal(size=CLEAN.shape) / 9), 0, 1).astype(np.float32)
MAPS = {name: RANDOM.normal(1, 1, (16, 16, 8)) for name in ("clean", "attacked", "difference", "blurred\ndifference")}


@functools.cache
def image_figure() -> Figure:
    measured = measure("image", CLEAN, ATTACKED)
    return image_spectra_figure(CLEAN[0], ATTACKED[0], measured, seen=("stop", "schoolSpeedLimit25"))


@functools.cache
def map_figure() -> Figure:
    curves = {name.replace("\n", " "): pooled_power(maps) for name, maps in MAPS.items()}
    return map_spectra_figure(MAPS, curves, chosen=[7, 0, 3], radius=0.25, title="all 8 maps of 40 signs")


@functools.cache
def layer_figure() -> Figure:
    maps = RANDOM.normal(size=(6, 6, 128))
    curves = {"layer 2": pooled_power(maps), "layer 1": pooled_power(MAPS["clean"])}
    return layer_spectra_figure(maps, curves, chosen=range(116, 128), radius=0.25, title="all maps of 40 signs")


FIGURES = {"1": image_figure, "2": map_figure, "3": layer_figure}


def half(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """A drawn spectrum of an even size without the edge that it has twice."""
    return value[:-1, :-1]


@pytest.mark.parametrize("number", FIGURES)
def test_every_axis_is_named_with_its_unit(number: str) -> None:
    figure = FIGURES[number]()
    *_, curves = figure.axes
    bar = figure.axes[-2]
    assert figure.get_figwidth() == COLUMN
    assert (curves.get_xlabel(), curves.get_ylabel()) == ("radius (cycles per pixel)", "energy beyond (%)")
    assert bar.get_xlabel().startswith("magnitude (dB, re the ")
    assert [text.get_text() for text in figure.texts] == ["cycles per pixel (both axes); %: energy beyond the ring"]


@pytest.mark.parametrize("number", FIGURES)
def test_nothing_is_cut_off_and_no_label_lies_on_another(number: str) -> None:
    figure = FIGURES[number]()
    figure.draw_without_rendering()
    panels, curves = figure.axes[:-2], figure.axes[-1]
    numbered = [axis for axis in panels if axis.xaxis.get_tick_params().get("labelbottom")]
    words = [axis.title for axis in panels if axis.get_title()]
    words += [label for axis in numbered for label in axis.get_xticklabels() if label.get_text()]
    words += [*figure.texts, figure.axes[-2].xaxis.label, curves.xaxis.label, curves.yaxis.label]
    boxes = [each.get_window_extent() for each in (*words, curves.get_legend())]
    assert len(boxes) > 10
    for index, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:index])


def test_figure_1_has_the_sign_above_its_spectrum() -> None:
    figure = image_figure()
    panels = figure.axes[:6]
    assert [axis.get_title() for axis in panels[:3]] == [
        "clean:\nstop", "attacked:\nschoolSpeedLimit25", "difference:\nhalf, on grey",
    ]  # fmt: skip
    np.testing.assert_array_equal(panels[1].images[0].get_array(), ATTACKED[0])
    np.testing.assert_allclose(panels[2].images[0].get_array(), 0.5 + (ATTACKED[0] - CLEAN[0]) / 2, atol=1e-7)
    for axis, image in zip(panels[3:], (CLEAN[0], ATTACKED[0], ATTACKED[0] - CLEAN[0].astype(float)), strict=True):
        share = float(share_beyond(pooled_power(image), 0.25))
        assert axis.texts[0].get_text() == f"{100 * share:.0f}%"
        assert axis.images[0].get_clim() == (FAINTEST, 0)
        assert axis.patches[0].get_radius() == 0.25


def test_figure_2_has_a_row_a_map_each_on_one_scale() -> None:
    figure = map_figure()
    panels = np.reshape(figure.axes[:12], (3, 4))
    assert [axis.get_title() for axis in panels[0]] == list(MAPS)
    assert [axis.get_ylabel() for axis in panels[:, 0]] == ["map 7", "map 0", "map 3"]
    for row, index in zip(panels, (7, 0, 3), strict=True):
        clean = MAPS["clean"][..., index, None]
        reference = np.abs(np.fft.fft2((clean - clean.mean())[..., 0])).max() / 256
        for axis, maps in zip(row, MAPS.values(), strict=True):
            expected = log_spectrum(maps[..., index, None], reference=reference, floor=FAINTEST)[..., 0]
            drawn = axis.images[0].get_array()
            np.testing.assert_allclose(half(drawn), expected, atol=1e-9)
            np.testing.assert_allclose(drawn[-1, :-1], expected[0])  # 0.5 is -0.5
            left, right, bottom, top = axis.images[0].get_extent()
            assert (left, right, bottom, top) == (-0.53125, 0.53125, 0.53125, -0.53125)
            assert axis.texts[0].get_text() == f"{100 * high_frequency_ratio(maps)[index]:.0f}%"


def test_figure_3_has_each_map_on_its_own_scale() -> None:
    figure = layer_figure()
    panels = figure.axes[:12]
    assert [axis.texts[1].get_text() for axis in panels] == [f"map {index}" for index in range(116, 128)]
    for axis in panels:
        drawn = half(axis.images[0].get_array()).copy()
        drawn[3, 3] = FAINTEST  # the mean
        assert drawn.max() == pytest.approx(0)


def test_the_curves_are_the_shares_beyond_each_radius() -> None:
    *_, axis = map_figure().axes
    clean, *_, flat = axis.lines[:-1]
    radii, shares = clean.get_data()
    np.testing.assert_allclose(shares, 100 * share_beyond(pooled_power(MAPS["clean"]), radii))
    frequency = np.hypot(*np.meshgrid(*[np.arange(-8, 8) / 16] * 2))
    np.testing.assert_allclose(flat.get_ydata()[200], 100 * (frequency > 0.25).sum() / 255)
    legend = axis.get_legend()
    assert legend.get_title().get_text() == "all 8 maps of 40 signs; energy beyond 0.25:"
    shown = [f"{name} {100 * float(share_beyond(pooled_power(maps), 0.25)):.0f}%" for name, maps in MAPS.items()]
    assert [text.get_text() for text in legend.get_texts()] == [
        *(name.replace("\n", " ") for name in shown),
        "all alike 81%",
    ]
    assert len({to_hex(line.get_color()) for line in axis.lines[:5]}) == 5


def test_maps_of_an_odd_size_are_drawn_as_they_are() -> None:
    maps = RANDOM.normal(size=(5, 5, 4))
    figure = layer_spectra_figure(maps, {"it": pooled_power(maps)}, chosen=range(4), radius=0.25, title="")
    drawn = figure.axes[0].images[0]
    assert (drawn.get_array().shape, drawn.get_extent()[:2]) == ((5, 5), [-0.5, 0.5])


def test_dead_maps_can_be_drawn() -> None:
    dead = np.zeros((16, 16, 4))
    figure = layer_spectra_figure(dead, {"none": pooled_power(dead)}, chosen=range(4), radius=0.25, title="")
    assert figure.axes[0].texts[0].get_text() == "0%"
    assert (figure.axes[0].images[0].get_array() == FAINTEST).all()


def test_the_responses_are_drawn_in_decibels() -> None:
    box, first = blur_kernel("box", 3), RANDOM.normal(size=(8, 8, 3, 6))
    figure = response_figure({"box": box, "stronger": 2 * box}, {"first": first})
    above, below = figure.axes
    assert (above.get_xlabel(), above.get_ylabel()) == ("cycles per pixel of the feature map", "gain of the blur (dB)")
    assert (below.get_xlabel(), below.get_ylabel()) == (
        "cycles per pixel of the image", "gain of the first layer\n(dB, re its highest)",
    )  # fmt: skip
    plain, stronger = (line.get_ydata() for line in above.lines)
    assert plain[0] == pytest.approx(0, abs=0.1)
    np.testing.assert_allclose(stronger - plain, 20 * np.log10(2))
    assert below.lines[0].get_ydata().max() == 0
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["box", "stronger"]


def test_what_a_layer_passes_is_the_mean_over_its_filters() -> None:
    kernels = RANDOM.normal(size=(5, 5, 7, 1))
    frequencies, shares = passed(kernels)
    np.testing.assert_allclose(frequencies, np.arange(33) / 64)
    np.testing.assert_allclose(shares, np.mean([passed(kernels[..., index, 0])[1] for index in range(7)], axis=0))


def test_each_variant_has_a_line_under_its_heading() -> None:
    groups = {"attacked weights": {"Baseline": (0.3, 0.28, 0.25), "3x3 filter on L1 feature maps": (0.1, 0.1, 0.05)}}
    figure = variant_figure({**groups, "trained": {"TV": (0.2, 0.3, 0.4)}}, radius=0.25)
    (axis,) = figure.axes
    assert axis.get_xlabel() == "energy beyond 0.25 cycles per pixel (%),\nin the maps that the second layer sees"
    names = ["attacked weights", "Baseline", "3x3 filter on L1 feature maps", "trained", "TV"]
    assert [label.get_text() for label in axis.get_yticklabels()] == names
    assert [label.get_fontweight() for label in axis.get_yticklabels()] == ["bold", *["normal"] * 2, "bold", "normal"]
    marks = [mark.get_offsets().tolist() for mark in axis.collections[:9]]
    assert marks[:3] == [[[30, 1]], [[28.000000000000004, 1]], [[25, 1]]]
    assert marks[-1] == [[40, 4]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["clean", "attacked", "difference"]
    figure.draw_without_rendering()
    for label in (axis.xaxis.label, *axis.get_yticklabels()):
        box = label.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_a_figure_of_spectra_is_the_same_file_each_time(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save_both(tmp_path / folder, "figure1", image_figure.__wrapped__())
    for suffix in ("png", "svg"):
        assert (tmp_path / f"a/figure1.{suffix}").read_bytes() == (tmp_path / f"b/figure1.{suffix}").read_bytes()


def test_measured_signs_without_an_attack_can_be_drawn() -> None:
    same: Measured = measure("image", CLEAN, CLEAN)
    figure = image_spectra_figure(CLEAN[0], CLEAN[0], same, seen=("stop", "stop"))
    assert figure.axes[5].texts[0].get_text() == "0%"
