"""Figures 1 to 3 of the paper: spectra of signs and of feature maps, before an attack, behind it, and behind a blur."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from blurnet_tf.evaluation.high_frequency import Measured
from blurnet_tf.reporting.panels import Page, draw_image, draw_shares, draw_spectrum, strongest
from blurnet_tf.reporting.style import look


@look()
def image_spectra_figure(
    clean: NDArray[np.float32], attacked: NDArray[np.float32], measured: Measured, *, seen: tuple[str, str]
) -> Figure:
    """Draw Figure 1: a sign, the sign attacked, what the attack adds, and under each its spectrum.

    Args:
        clean: float32 (H, W, 3) in [0, 1].
        attacked: The same shape.
        measured: All signs, for the curves at the foot.
        seen: What the model takes the two for.
    """
    difference = np.subtract(attacked, clean, dtype=np.float64)
    page = Page(2, 3, head=0.36, lines=2)
    titles = (f"clean:\n{seen[0]}", f"attacked:\n{seen[1]}", "difference:\nhalf, on grey")
    images: tuple[NDArray[np.floating], ...] = (clean, attacked, difference)
    for column, (title, image) in enumerate(zip(titles, images, strict=True)):
        draw_image(page.panels[0, column], 0.5 + image / 2 if image is difference else image)
        page.panels[0, column].set_title(title, pad=3)
        drawn = draw_spectrum(page.panels[1, column], image, reference=strongest(clean), radius=measured.radius)
    page.label_panels(drawn, "magnitude (dB, re the clean sign's strongest wave)")
    signs = f"{len(measured.ratios['clean'])} signs"
    draw_shares(page.curves, measured.power, radius=measured.radius, title=signs)
    return page.figure


@look()
def map_spectra_figure(
    maps: Mapping[str, NDArray[np.floating]],
    curves: Mapping[str, NDArray[np.float64]],
    *,
    chosen: Sequence[int],
    radius: float,
    title: str,
) -> Figure:
    """Draw Figure 2: the spectra of some feature maps of one sign, a row a map, a column a state.

    Args:
        maps: By the title of its column floating (H, W, maps): clean, attacked, difference, blurred difference. The
            strongest frequency of a row's first map is 0 dB in the whole row, so that a column can be fainter.
        curves: Pooled spectra of all maps and signs by label, for the foot.
        chosen: The maps that are drawn, by number.
        radius: In cycles per pixel of the maps.
        title: What the curves are of.
    """
    page = Page(len(chosen), len(maps), head=0.36, lines=3)
    for row, index in zip(page.panels, chosen, strict=True):
        columns = [each[..., index, None] for each in maps.values()]
        for axis, column in zip(row, columns, strict=True):
            drawn = draw_spectrum(axis, column, reference=strongest(columns[0]), radius=radius)
        row[0].set_ylabel(f"map {index}", labelpad=1)
    for axis, column_title in zip(page.panels[0], maps, strict=True):
        axis.set_title(column_title, pad=3)
    page.label_panels(drawn, "magnitude (dB, re the clean map's strongest wave)")
    draw_shares(page.curves, curves, radius=radius, title=title)
    return page.figure


@look()
def layer_spectra_figure(
    maps: NDArray[np.floating],
    curves: Mapping[str, NDArray[np.float64]],
    *,
    chosen: Sequence[int],
    radius: float,
    title: str,
    columns: int = 4,
) -> Figure:
    """Draw Figure 3: the spectra of some feature maps of a clean sign, each with its own strongest frequency at 0 dB.

    Args:
        maps: Floating (H, W, maps).
        curves: Pooled spectra of all maps and signs by label, for the foot; this layer first.
        chosen: The maps that are drawn, by number; as many as fill their rows.
        radius: In cycles per pixel of the maps.
        title: What the curves are of.
        columns: Panels in a row.
    """
    page = Page(len(chosen) // columns, columns, head=0.1, lines=2)
    for axis, index in zip(page.panels.flat, chosen, strict=True):
        one = maps[..., index, None]
        drawn = draw_spectrum(axis, one, reference=strongest(one), radius=radius, name=f"map {index}")
    page.label_panels(drawn, "magnitude (dB, re the map's strongest wave)")
    draw_shares(page.curves, curves, radius=radius, title=title)
    return page.figure
