"""One look for all figures, whatever the reader's own settings; the same bytes from the same figure."""

import re
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from blurnet_tf.reporting.style import COLOURS, COLUMN, LINES, LOOK, look, save_both


@look()
def draw() -> Figure:
    figure = Figure(figsize=(COLUMN, 1.5), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], label="line", marker="o")
    axis.imshow(np.eye(3))
    axis.set_xlabel("across")
    axis.legend()
    return figure


def test_the_look_is_on_inside_and_off_outside() -> None:
    before = dict(matplotlib.rcParams)
    with look():
        assert matplotlib.rcParams["svg.hashsalt"] == "blurnet"
    assert dict(matplotlib.rcParams) == before
    draw()
    assert dict(matplotlib.rcParams) == before


def test_the_settings_of_the_reader_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_both(tmp_path, "plain", draw())
    for name, value in {"axes.facecolor": "pink", "axes.labelsize": 30, "savefig.transparent": True}.items():
        monkeypatch.setitem(matplotlib.rcParams, name, value)
    save_both(tmp_path, "own", draw())
    for suffix in ("png", "svg"):
        assert (tmp_path / f"plain.{suffix}").read_bytes() == (tmp_path / f"own.{suffix}").read_bytes()


def test_a_png_has_the_dots_of_a_printed_column_and_an_svg_no_date(tmp_path: Path) -> None:
    save_both(tmp_path / "new", "figure", draw())
    assert cv2.imread(str(tmp_path / "new" / "figure.png")).shape == (450, 1050, 3)
    text = (tmp_path / "new" / "figure.svg").read_text()
    assert "<dc:date>" not in text
    assert not re.search("<text|font-family", text)  # outlines
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["figure.png", "figure.svg"]


def test_no_letter_is_too_small_to_read() -> None:
    assert all(
        size >= 7
        for name, size in LOOK.items()
        if name.endswith(("labelsize", "fontsize", "titlesize", ".size")) and "major" not in name
    )


def test_colours_and_lines_are_told_apart() -> None:
    assert len(set(zip(COLOURS * len(LINES), LINES * len(COLOURS), strict=True))) == 28
