from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_hex

from blurnet_tf.attacks.masks import draw_sticker_bars
from blurnet_tf.reporting.figures import adversarial_figure, perturbation_figure, save_figure

RANDOM = np.random.default_rng(0)
CLEAN = RANDOM.random((7, 32, 32, 3)).astype(np.float32)
MASK = (draw_sticker_bars() > 127)[..., None].astype(np.float32)


def test_each_pair_is_drawn_with_both_predictions() -> None:
    adversarial = np.clip(CLEAN + MASK, 0, 1)
    names = ["stop"] * 7
    figure = adversarial_figure(CLEAN, adversarial, names, ["yield", *names[1:]], title="T", columns=3)
    assert len(figure.axes) == 9
    drawn = [axis for axis in figure.axes if axis.images]
    assert len(drawn) == 7
    picture = drawn[0].images[0].get_array()
    np.testing.assert_array_equal(picture[:, :32], CLEAN[0])
    np.testing.assert_array_equal(picture[:, -32:], adversarial[0])
    assert [text.get_text() for text in drawn[0].texts] == ["stop", "yield"]
    assert [to_hex(text.get_color()) for text in drawn[0].texts] == ["#000000", "#b00020"]
    assert [to_hex(text.get_color()) for text in drawn[1].texts] == ["#000000", "#000000"]


def test_a_perturbation_is_drawn_in_units_of_the_image() -> None:
    perturbation = MASK * RANDOM.normal(size=(32, 32, 3)).astype(np.float32) * 3
    figure = perturbation_figure(perturbation, MASK, title="T")
    maps = [axis.images[0] for axis in figure.axes[:3]]
    for channel, drawn in enumerate(maps):
        np.testing.assert_array_equal(drawn.get_array(), perturbation[..., channel])
        assert drawn.get_clim() == (-np.abs(perturbation).max(), np.abs(perturbation).max())
    np.testing.assert_allclose(figure.axes[3].images[0].get_array(), np.clip(0.5 + perturbation, 0, 1))


@pytest.mark.parametrize("draw", ["adversarial", "perturbation"])
def test_a_figure_is_saved_whole_and_alike_each_time(tmp_path: Path, draw: str) -> None:
    for name in ("a.png", "b.png"):
        if draw == "adversarial":
            figure = adversarial_figure(CLEAN, CLEAN, ["stop"] * 7, ["stop"] * 7, title="T")
        else:
            figure = perturbation_figure(MASK * np.float32([1, 0, -1]), MASK, title="T")
        save_figure(tmp_path / "pictures" / name, figure)
    first, second = (tmp_path / "pictures" / name for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()
    assert cv2.imread(str(first)).shape[1] > 800
    assert sorted(path.name for path in first.parent.iterdir()) == ["a.png", "b.png"]
