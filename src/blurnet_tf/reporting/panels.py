"""Parts of the figures of spectra: the page, one spectrum, and the share of the energy beyond each radius."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Circle
from numpy.typing import NDArray

from blurnet_tf.evaluation.spectra import decibels, power_spectrum, share_beyond
from blurnet_tf.reporting.style import COLOURS, COLUMN, LINES

CYCLES = "cycles per pixel"
FAINTEST: float = -40.0
"""Where the colours of a spectrum end, in decibels: a hundredth of the magnitude at 0 dB."""

_GREY = "#777777"
_DASHED: Any = (0, (3, 2))
_HALO = patheffects.withStroke(linewidth=1.8, foreground="black", alpha=0.75)
_TICKS = (-0.5, 0, 0.5)
_LOW, _HIGH = "\N{MINUS SIGN}0.5", "0.5"
# In inches: what stands left and right of the panels, between them, and below them.
_LEFT, _RIGHT, _GAP = 0.52, 0.1, 0.08
_BAR, _CURVES, _AXIS, _LINE = 0.42, 1.05, 0.38, 0.135


class Page:
    """A figure one column wide: square panels, the bar of their colours, and at the foot the curves.

    Placed in inches, since panels that must be square leave gaps in an automatic layout.

    Args:
        rows: Rows of panels.
        columns: Panels in a row.
        head: Inches above the panels, for their titles.
        lines: Lines of the legend of the curves, below its title.

    Attributes:
        figure: The figure.
        panels: Axes (rows, columns).
        curves: The axes at the foot.
    """

    def __init__(self, rows: int, columns: int, *, head: float, lines: int) -> None:
        side = (COLUMN - _LEFT - _RIGHT - (columns - 1) * _GAP) / columns
        self._bottom = head + rows * side + (rows - 1) * _GAP
        self._height = self._bottom + _BAR + 0.48 + (1 + lines) * _LINE + _CURVES + _AXIS
        self.figure = Figure(figsize=(COLUMN, self._height))
        self.panels = np.array(
            [
                [
                    self._axes(_LEFT + column * (side + _GAP), head + row * (side + _GAP), side, side)
                    for column in range(columns)
                ]
                for row in range(rows)
            ]
        )
        self._bar = self._axes(_LEFT, self._bottom + _BAR, COLUMN - _LEFT - _RIGHT, 0.07)
        self.curves = self._axes(_LEFT, self._height - _CURVES - _AXIS, COLUMN - _LEFT - _RIGHT, _CURVES)

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

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        whole = self._height
        return self.figure.add_axes((left / COLUMN, 1 - (top + height) / whole, width / COLUMN, height / whole))


def draw_image(axis: Axes, image: NDArray[np.floating]) -> None:
    """Draw an image (H, W, 3) in [0, 1] with a frame and without ticks."""
    axis.imshow(image)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(True)


def strongest(x: NDArray[np.floating]) -> float:
    """Return the energy of the strongest frequency of maps (H, W, channels), the mean apart; 1 if there is none."""
    most = float(_power(x, keep_mean=False).max())
    return most if most > 0 else 1.0


def draw_spectrum(axis: Axes, x: NDArray[np.floating], *, reference: float, radius: float, name: str = "") -> AxesImage:
    """Draw the spectrum of maps, the circle beyond which frequencies count as high, and the share beyond it.

    With an even number of pixels 0.5 and -0.5 cycles are the same frequency, which a spectrum holds once. It is drawn
    at both edges, so that the picture is symmetric.

    Args:
        axis: Where.
        x: Floating (H, W, channels); of several channels the mean energy is drawn.
        reference: The energy that is 0 dB, as `strongest` gives it.
        radius: Of the circle, in cycles per pixel.
        name: Stands in the upper left corner.
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
    for place, text in ((0.05, f"{100 * float(share):.0f}%"), (0.95, name)):
        align = "bottom" if place < 0.5 else "top"
        axis.text(0.05, place, text, color="white", va=align, transform=axis.transAxes, path_effects=[_HALO])
    return drawn


def draw_shares(axis: Axes, curves: Mapping[str, NDArray[np.float64]], *, radius: float, title: str) -> None:
    """Draw the share of the energy beyond each radius, in per cent; in the legend that beyond the marked one.

    Args:
        axis: Where.
        curves: Pooled spectra by label, float64 (H, W). A dotted line is for maps of the size of the first whose
            frequencies are all alike.
        radius: Marked, in cycles per pixel.
        title: What the curves are the energy of, for the head of the legend.
    """
    radii = np.linspace(0, 0.5, 401)
    flat = np.ones_like(next(iter(curves.values())))
    flat[flat.shape[0] // 2, flat.shape[1] // 2] = 0
    for (label, power), colour, style in zip(curves.items(), COLOURS, LINES, strict=False):
        label = f"{label} {100 * float(share_beyond(power, radius)):.0f}%"
        axis.plot(radii, 100 * share_beyond(power, radii), color=colour, linestyle=style, label=label)
    label = f"all alike {100 * float(share_beyond(flat, radius)):.0f}%"
    axis.plot(radii, 100 * share_beyond(flat, radii), color=_GREY, linewidth=0.9, linestyle=(0, (1, 1.5)), label=label)
    axis.axvline(radius, color=_GREY, linewidth=0.7, linestyle=_DASHED, zorder=0)
    axis.set_xlim(0, 0.5)
    axis.set_ylim(0, 100)
    axis.set_yticks([0, 25, 50, 75, 100])
    axis.set_xlabel(f"radius ({CYCLES})")
    axis.set_ylabel("energy beyond (%)")
    axis.grid(visible=True)
    title = f"{title}; energy beyond {radius:g}:"
    axis.legend(loc="lower center", bbox_to_anchor=(0.45, 1.02), ncols=2, borderpad=0, labelspacing=0.25, title=title)


def _power(x: NDArray[np.floating], *, keep_mean: bool = True) -> NDArray[np.float64]:
    return power_spectrum(x, keep_mean=keep_mean).mean(axis=-1)
