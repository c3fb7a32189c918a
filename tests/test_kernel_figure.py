"""The figure of the first layer's kernels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.reporting.kernel_figure import SHOWN, kernel_figure
from blurnet_tf.reporting.spectra_figures import passed
from blurnet_tf.reporting.style import save_both

pytestmark = pytest.mark.slow
RANDOM = np.random.default_rng(0)
ROUGH = RANDOM.normal(size=(5, 5, 3, 20)).astype(np.float32)
SMOOTH = np.ones((5, 5, 1, 1), np.float32) * RANDOM.normal(size=(1, 1, 3, 4)).astype(np.float32)


def figure() -> Figure:
    return kernel_figure({"Baseline": ROUGH, "Kernel TV 1": SMOOTH})


def pictures(drawn: Figure, line: int) -> list[NDArray[np.float32]]:
    axes = drawn.axes[SHOWN * line : SHOWN * (line + 1)]
    return [np.asarray(axis.images[0].get_array()) for axis in axes if axis.images]


def test_each_title_has_a_line_of_its_strongest_kernels() -> None:
    drawn = figure()
    assert len(drawn.axes) == 2 * SHOWN + 1
    strengths = np.square(ROUGH).sum(axis=(0, 1, 2))
    strongest = np.argsort(-strengths)[:SHOWN]
    shown = pictures(drawn, 0)
    assert len(shown) == SHOWN
    for picture, index in zip(shown, strongest, strict=True):
        kernel = ROUGH[..., index]
        np.testing.assert_allclose(picture, 0.5 + 0.5 * kernel / np.abs(kernel).max(), atol=1e-6)
    assert len(pictures(drawn, 1)) == SMOOTH.shape[-1]  # fewer than there is room for
    assert [drawn.axes[SHOWN * line].texts[0].get_text() for line in (0, 1)] == ["Baseline", "Kernel TV 1"]
    assert not any(axis.axison for axis in drawn.axes[:-1])


def test_nothing_is_grey_and_a_picture_uses_its_whole_range() -> None:
    kernel = np.zeros((3, 3, 3, 2), np.float32)
    kernel[1, 1, :, 0] = (-4, 2, 0)
    kernel[0, 0, 0, 1] = 1e-3
    first, second = pictures(kernel_figure({"it": kernel}), 0)
    np.testing.assert_allclose(first[1, 1], (0, 0.75, 0.5))
    np.testing.assert_allclose(second[0, 0], (1, 0.5, 0.5))
    np.testing.assert_allclose(np.delete(first.reshape(9, 3), 4, axis=0), 0.5)


def test_a_kernel_of_nothing_among_others_can_be_drawn() -> None:
    kernel = np.concatenate([ROUGH[..., :2], np.zeros((5, 5, 3, 1), np.float32)], axis=-1)
    *_, last = pictures(kernel_figure({"it": kernel}), 0)
    np.testing.assert_array_equal(last, 0.5)


def test_the_curves_are_what_the_layer_passes_against_its_highest() -> None:
    axis = figure().axes[-1]
    assert axis.get_xlabel() == "cycles per pixel of the image"
    assert "dB" in axis.get_ylabel()
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["Baseline", "Kernel TV 1"]
    for line, kernel in zip(axis.lines, (ROUGH, SMOOTH), strict=True):
        frequencies, power = passed(kernel)
        np.testing.assert_allclose(line.get_xdata(), frequencies)
        expected = np.maximum(10 * np.log10(power / power.max()), -60)
        np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-9)
        assert max(line.get_ydata()) == 0
    rough, smooth = (line.get_ydata() for line in axis.lines)
    assert smooth[-1] < -10 < rough[-1]  # windows of one value pass no high frequency


def test_eight_rows_are_told_apart() -> None:
    axis = kernel_figure({f"row {index}": ROUGH for index in range(8)}).axes[-1]
    looks = {(line.get_color(), line.get_linestyle()) for line in axis.lines}
    assert len(looks) == 8


def test_titles_and_legend_are_inside_the_figure() -> None:
    drawn = figure()
    drawn.draw_without_rendering()
    for box in [
        drawn.axes[-1].get_legend().get_window_extent(),
        *(drawn.axes[SHOWN * line].texts[0].get_window_extent() for line in (0, 1)),
    ]:
        assert drawn.bbox.x0 <= box.x0 < box.x1 <= drawn.bbox.x1
        assert drawn.bbox.y0 <= box.y0 < box.y1 <= drawn.bbox.y1


def test_the_same_kernels_give_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_both(tmp_path / name, "kernels", figure())
    for suffix in ("png", "svg"):
        assert (tmp_path / f"a/kernels.{suffix}").read_bytes() == (tmp_path / f"b/kernels.{suffix}").read_bytes()
    assert cv2.imread(str(tmp_path / "a/kernels.png")).shape[1] > 800
