"""Figures of spectra: 1 to 3 of the paper, what the filters pass, and what each variant leaves at high frequencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Circle
from numpy.typing import NDArray

from blurnet_tf.evaluation.high_frequency import Measured
from blurnet_tf.evaluation.spectra import (
    decibels,
    frequency_response,
    power_spectrum,
    radial_frequency,
    radial_mean,
    share_beyond,
)
from blurnet_tf.reporting.style import COLOURS, COLUMN, LINES, look
from blurnet_tf.reporting.tables import percent

CYCLES = "cycles per pixel"
FAINTEST = -40.0  # where the colours of a spectrum end, in decibels: a hundredth of the magnitude at 0 dB

Maps = NDArray[np.floating]
Powers = Mapping[str, NDArray[np.float64]]

_GREY, _DASHED = "#777777", (0, (3, 2))
_HALO = patheffects.withStroke(linewidth=1.8, foreground="black", alpha=0.75)
_TICKS = (-0.5, 0, 0.5)
_LOW, _HIGH = "\N{MINUS SIGN}0.5", "0.5"
# In inches: what stands left and right of the panels, between them, and below them.
_LEFT, _RIGHT, _GAP = 0.52, 0.1, 0.08
_WIDTH = COLUMN - _LEFT - _RIGHT
_BAR, _CURVES, _AXIS, _LINE = 0.42, 1.05, 0.38, 0.135


# An open mark, an upright line and a full mark: each can be seen where two fall together.
_MARKS: dict[str, dict[str, Any]] = {
    "clean": {"marker": "o", "s": 24, "facecolors": "white", "edgecolors": COLOURS[0], "linewidths": 1.1},
    "attacked": {"marker": "|", "s": 46, "c": COLOURS[5], "linewidths": 1.6},
    "difference": {"marker": "D", "s": 18, "c": COLOURS[4], "linewidths": 0},
}


@look()
def image_spectra_figure(
    clean: NDArray[np.float32], attacked: NDArray[np.float32], measured: Measured, *, seen: tuple[str, str]
) -> Figure:
    """Draw Figure 1: a sign, attacked, and the difference, over their spectra; the curves are of all signs."""
    difference = np.subtract(attacked, clean, dtype=np.float64)
    page = _Page(2, 3, head=0.36, lines=2)
    titles = (f"clean:\n{seen[0]}", f"attacked:\n{seen[1]}", "difference:\nhalf, on grey")
    shown: list[Maps] = [clean, attacked, 0.5 + difference / 2]
    for above, below, title, image, maps in zip(
        *page.panels, titles, shown, (clean, attacked, difference), strict=True
    ):
        above.imshow(image)
        above.set(xticks=[], yticks=[])
        above.spines[:].set_visible(True)
        above.set_title(title, pad=3)
        drawn = _draw_spectrum(below, maps, reference=_strongest(clean), radius=measured.radius)
    page.label_panels(drawn, "magnitude (dB, re the clean sign's strongest wave)")
    return page.draw_shares(measured.power, radius=measured.radius, title=f"{len(measured.ratios['clean'])} signs")


def image_sentence(image: Measured) -> str:
    clean, attacked, difference = (percent(image.share(kind)) for kind in ("clean", "attacked", "difference"))
    return (
        f"Beyond {image.radius:g} cycles per pixel lies {clean} of the energy of the clean signs, {attacked} of the "
        f"attacked signs', and {difference} of the energy of what the attack adds."
    )


@look()
def map_spectra_figure(
    maps: Mapping[str, Maps], curves: Powers, *, chosen: Sequence[int], radius: float, title: str
) -> Figure:
    """Draw Figure 2: the spectra of the `chosen` feature maps of one sign, a row a map, a column a state.

    `maps` has by the title of its column floating (H, W, maps): clean, attacked, difference, blurred difference. The
    strongest frequency of a row's first map is 0 dB in the whole row, so that a column can be fainter. `curves` has by
    label the pooled spectra of all maps and signs, for the foot, and `title` is what they are of.
    """
    page = _Page(len(chosen), len(maps), head=0.36, lines=3)
    for row, index in zip(page.panels, chosen, strict=True):
        columns = [each[..., index, None] for each in maps.values()]
        for axis, column in zip(row, columns, strict=True):
            drawn = _draw_spectrum(axis, column, reference=_strongest(columns[0]), radius=radius)
        row[0].set_ylabel(f"map {index}", labelpad=1)
    for axis, column_title in zip(page.panels[0], maps, strict=True):
        axis.set_title(column_title, pad=3)
    page.label_panels(drawn, "magnitude (dB, re the clean map's strongest wave)")
    return page.draw_shares(curves, radius=radius, title=title)


def blur_sentence(before: Measured, after: Measured) -> str:
    """Return what Figure 2 says: the first layer's maps before and after the blur, beyond two radii."""
    radius = before.radius

    def left(kind: str, beyond: float = 0.0) -> str:
        energy = before.energy(kind, beyond=beyond)
        return percent(after.energy(kind, beyond=beyond) / energy if energy else 0.0)

    parts = [
        f"beyond {each:g} cycles per pixel lies {percent(before.share('clean', each))} of the clean maps' energy "
        f"and {percent(before.share('difference', each))} of the attack's difference, "
        f"{percent(after.share('difference', each))} after the blur"
        for each in (radius, 0.125)
    ]
    return (
        f"Layer 1: {'; '.join(parts)}. The blur leaves {left('difference')} of the difference's energy "
        f"({left('difference', radius)} of what lies beyond {radius:g}) and {left('clean')} of the clean maps' energy."
    )


@look()
def layer_spectra_figure(maps: Maps, curves: Powers, *, chosen: Sequence[int], radius: float, title: str) -> Figure:
    """Draw Figure 3: as Figure 2, of maps (H, W, maps) of a clean sign, each with its own strongest wave at 0 dB."""
    page = _Page(len(chosen) // 4, 4, head=0.1, lines=2)
    for axis, index in zip(page.panels.flat, chosen, strict=True):
        one = maps[..., index, None]
        drawn = _draw_spectrum(axis, one, reference=_strongest(one), radius=radius, name=f"map {index}")
    page.label_panels(drawn, "magnitude (dB, re the map's strongest wave)")
    return page.draw_shares(curves, radius=radius, title=title)


def layer_sentence(second: Measured, first: Measured) -> str:
    parts = [
        f"{percent(one.share('clean'))} of the energy of the maps of layer {number} "
        f"({one.shape[0]}x{one.shape[1]}; {percent(_even(one))} if all frequencies were alike)"
        for number, one in ((2, second), (1, first))
    ]
    return f"On clean signs {' and '.join(parts)} lie beyond {second.radius:g} cycles per pixel."


@look()
def response_figure(blurs: Mapping[str, Maps], first_layers: Mapping[str, Maps]) -> Figure:
    """Draw what filters pass at each frequency: the root mean square over directions, and over the filters of a layer.

    Above kernels (h, w, ...) on feature maps: 0 dB leaves a wave as it is. Below kernels (h, w, channels, filters) on
    images: 0 dB is where such a layer passes most.
    """
    figure = Figure(figsize=(COLUMN, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1)
    _draw_responses(above, blurs, relative=False)
    above.set(xlabel=f"{CYCLES} of the feature map", ylabel="gain of the blur (dB)")
    _draw_responses(below, first_layers, relative=True)
    below.set(xlabel=f"{CYCLES} of the image", ylabel="gain of the first layer\n(dB, re its highest)")
    return figure


def response_sentence(blurs: Mapping[str, Maps]) -> str:
    parts = []
    for label, kernel in blurs.items():
        _, shares = passed(kernel)
        parts.append(f"{label} {', '.join(percent(float(shares[ring])) for ring in (0, 8, 16))}")
    return f"Of the energy of a wave of 0, 0.125 and 0.25 cycles per pixel pass: {'; '.join(parts)}."


@look()
def variant_figure(groups: Mapping[str, Mapping[str, Sequence[float]]], *, radius: float) -> Figure:
    """Draw the share of high frequencies, beyond `radius`, in the maps that the second layer sees.

    `groups` has by heading, by variant, those of the clean maps, of the attacked ones, and of what the attack adds.
    """
    lines = sum(1 + len(group) for group in groups.values())
    figure = Figure(figsize=(COLUMN, 0.85 + 0.175 * lines), layout="constrained")
    axis = figure.subplots()
    ticks: list[str] = []
    for heading, group in groups.items():
        ticks.append(heading)
        for title, shares in group.items():
            axis.plot([100 * min(shares), 100 * max(shares)], [len(ticks)] * 2, color="#bbbbbb", linewidth=1, zorder=1)
            for share, mark in zip(shares, _MARKS.values(), strict=True):
                axis.scatter(100 * share, len(ticks), zorder=2, **mark)
            ticks.append(title)
    for name, mark in _MARKS.items():
        axis.scatter([], [], label=name, **mark)
    axis.set(yticks=range(len(ticks)), yticklabels=ticks, ylim=(len(ticks) - 0.5, -0.5))
    for label, tick in zip(axis.get_yticklabels(), axis.yaxis.get_major_ticks(), strict=True):
        if label.get_text() in groups:
            label.set_fontweight("bold")
            tick.tick1line.set_visible(False)
    axis.set_xlim(0, None)
    axis.set_xlabel(f"energy beyond {radius:g} {CYCLES} (%),\nin the maps that the second layer sees", loc="right")
    axis.grid(visible=True, axis="x")
    figure.legend(loc="outside upper center", ncols=3, handletextpad=0.1)
    return figure


def variant_sentence(groups: Mapping[str, Mapping[str, Sequence[float]]], *, radius: float) -> str:
    parts = [
        f"{heading}: " + ", ".join(f"{title} {percent(shares[-1])}" for title, shares in group.items())
        for heading, group in groups.items()
        if group
    ]
    return (
        f"Of what the same attacked signs add to the maps that the second layer sees, this share lies beyond "
        f"{radius:g} cycles per pixel: {'; '.join(parts)}."
    )


def passed(kernel: Maps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return 33 frequencies, 0 to 0.5 cycles per pixel, and the share of a wave's energy that filters (h, w, ...) pass.

    The mean over directions and filters; above 1 where they amplify.
    """
    power = frequency_response(kernel) ** 2
    return radial_mean(power.reshape(*power.shape[:2], -1).mean(-1), rings=33)


def _draw_responses(axis: Axes, kernels: Mapping[str, Maps], *, relative: bool) -> None:
    for index, (label, kernel) in enumerate(kernels.items()):
        frequencies, power = passed(kernel)
        values = decibels(power, power.max() if relative else 1.0, floor=-100)
        colour, style = COLOURS[index % len(COLOURS)], LINES[index % len(LINES)]
        axis.plot(frequencies, values, color=colour, linestyle=style, label=label)
    axis.set_xlim(0, 0.5)
    axis.set_ylim(None if relative else -30, 1)
    axis.grid(visible=True)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderpad=0.2, labelspacing=0.25)


class _Page:
    """A figure one column wide: `rows` x `columns` square panels, the bar of their colours, and at the foot the curves.

    Placed in inches, since panels that must be square leave gaps in an automatic layout: `head` inches for the titles
    of the panels, and `lines` of the legend of the curves below its title.
    """

    def __init__(self, rows: int, columns: int, *, head: float, lines: int) -> None:
        side = (COLUMN - _LEFT - _RIGHT - (columns - 1) * _GAP) / columns
        self._bottom = head + rows * side + (rows - 1) * _GAP
        self._height = self._bottom + _BAR + 0.48 + (1 + lines) * _LINE + _CURVES + _AXIS
        self.figure = Figure(figsize=(COLUMN, self._height))
        lefts = [_LEFT + column * (side + _GAP) for column in range(columns)]
        tops = [head + row * (side + _GAP) for row in range(rows)]
        self.panels = np.array([[self._axes(left, top, side, side) for left in lefts] for top in tops])
        self._bar = self._axes(_LEFT, self._bottom + _BAR, _WIDTH, 0.07)
        self._curves = self._axes(_LEFT, self._height - _CURVES - _AXIS, _WIDTH, _CURVES)

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        whole = self._height
        return self.figure.add_axes((left / COLUMN, 1 - (top + height) / whole, width / COLUMN, height / whole))

    def label_panels(self, drawn: AxesImage, bar: str) -> None:
        """Write the numbers of the axes at the outer panels only, and say what the colours are."""
        for axis in self.panels[:-1].flat:
            axis.tick_params(labelbottom=False)
        for axis in self.panels[:, 1:].flat:
            axis.tick_params(labelleft=False)
        for axis in self.panels[-1]:  # inwards, clear of the neighbour's
            first, _, last = axis.get_xticklabels()
            first.set_horizontalalignment("left")
            last.set_horizontalalignment("right")
        middle, height = (_LEFT + COLUMN - _RIGHT) / 2 / COLUMN, 1 - (self._bottom + 0.19) / self._height
        text = f"{CYCLES} (both axes); %: energy beyond the ring"
        self.figure.text(middle, height, text, ha="center", va="top")
        self.figure.colorbar(drawn, cax=self._bar, orientation="horizontal", label=bar, extend="min")

    def draw_shares(self, curves: Powers, *, radius: float, title: str) -> Figure:
        """Draw the share beyond each radius, in the legend that beyond `radius`; dotted: all frequencies alike."""
        axis, radii = self._curves, np.linspace(0, 0.5, 401)
        flat = np.ones_like(next(iter(curves.values())))
        flat[flat.shape[0] // 2, flat.shape[1] // 2] = 0
        looks: list[tuple[Any, ...]] = [*zip(COLOURS, LINES, [None] * len(curves), strict=False)]
        looks.append((_GREY, (0, (1, 1.5)), 0.9))
        for (label, power), (colour, line, width) in zip((*curves.items(), ("all alike", flat)), looks, strict=True):
            label = f"{label} {100 * float(share_beyond(power, radius)):.0f}%"
            axis.plot(
                radii, 100 * share_beyond(power, radii), color=colour, linestyle=line, linewidth=width, label=label
            )
        axis.axvline(radius, color=_GREY, linewidth=0.7, linestyle=_DASHED, zorder=0)
        axis.set(xlim=(0, 0.5), ylim=(0, 100), yticks=[0, 25, 50, 75, 100])
        axis.set(xlabel=f"radius ({CYCLES})", ylabel="energy beyond (%)")
        axis.grid(visible=True)
        title = f"{title}; energy beyond {radius:g}:"
        axis.legend(
            loc="lower center", bbox_to_anchor=(0.45, 1.02), ncols=2, borderpad=0, labelspacing=0.25, title=title
        )
        return self.figure


def _even(one: Measured) -> float:
    frequency = radial_frequency(*one.shape[:2])
    return float((frequency > one.radius).sum() / (frequency > 0).sum())


def _power(x: Maps, *, keep_mean: bool = True) -> NDArray[np.float64]:
    return power_spectrum(x, keep_mean=keep_mean).mean(axis=-1)


def _strongest(x: Maps) -> float:
    """Return the energy of the strongest frequency of maps (H, W, channels), the mean apart; 1 if there is none."""
    most = float(_power(x, keep_mean=False).max())
    return most if most > 0 else 1.0


def _draw_spectrum(axis: Axes, x: Maps, *, reference: float, radius: float, name: str = "") -> AxesImage:
    """Draw the spectrum of maps (H, W, channels), a circle of `radius`, and the share of the energy beyond it.

    With an even number of pixels 0.5 and -0.5 cycles are the same frequency, which a spectrum holds once. It is drawn
    at both edges, so that the picture is symmetric. `reference` is the energy that is 0 dB.
    """
    height, width = x.shape[:2]
    values = decibels(_power(x), reference, floor=FAINTEST)
    whole = np.pad(values, ((0, 1 - height % 2), (0, 1 - width % 2)), mode="wrap")
    # The middle of a pixel is at its frequency.
    down, right = (0.5 + (0.5 / side if side % 2 == 0 else 0.0) for side in (height, width))
    drawn = axis.imshow(whole, vmin=FAINTEST, vmax=0, extent=(-right, right, down, -down))
    axis.add_patch(Circle((0, 0), radius, fill=False, edgecolor="white", linewidth=0.7, linestyle=_DASHED))
    axis.set_xticks(_TICKS, [_LOW, "", _HIGH])  # no room for the 0 between them
    axis.set_yticks(_TICKS, [_LOW, "0", _HIGH])
    axis.spines[:].set_visible(True)
    share = share_beyond(_power(x, keep_mean=False), radius)
    for place, text, align in ((0.05, f"{100 * float(share):.0f}%", "bottom"), (0.95, name, "top")):
        axis.text(0.05, place, text, color="white", va=align, transform=axis.transAxes, path_effects=[_HALO])
    return drawn
