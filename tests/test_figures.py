import dataclasses
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_hex

from blurnet_tf.attacks.masks import draw_stickers
from blurnet_tf.evaluation.metrics import Rate
from blurnet_tf.evaluation.records import Record
from blurnet_tf.reporting.figures import (
    ROWS,
    ablation_figure,
    adversarial_figure,
    dissimilarity_figure,
    perturbation_figure,
)
from blurnet_tf.reporting.rows import AblationRow, Share
from blurnet_tf.reporting.style import COLOURS, MARKERS, save_figure
from tests.examples import RECORD

pytestmark = pytest.mark.slow
RANDOM = np.random.default_rng(0)
CLEAN = RANDOM.random((7, 32, 32, 3)).astype(np.float32)
MASK = (draw_stickers() > 127)[..., None].astype(np.float32)


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


def attack_records(rows: tuple[str, ...], targets: tuple[int, ...] = (12, 17)) -> list[Record]:
    """Four images a row; target 12 changes one of them at a distance of 0.2, target 17 three at 0.3, in two seeds."""
    return [
        dataclasses.replace(
            RECORD,
            image=str(image),
            source=row,
            victim=row,
            target=target,
            seed=seed,
            adversarial_prediction=target if image < (1 if target == 12 else 3) + seed else 14,
            dissimilarity=0.2 if target == 12 else 0.3,
        )
        for row in rows
        for target in targets
        for seed in (0, 1)
        for image in range(4)
    ]


def test_each_attack_is_a_point_and_each_model_has_its_mean() -> None:
    rows = ("baseline", "tv_1e-4")
    figure = dissimilarity_figure(attack_records(rows), titles={"baseline": "Baseline", "tv_1e-4": "TV"})
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("dissimilarity (Eq. 1)", "attack success rate (%)")
    assert len(axis.collections) == 4
    for points, mean in (axis.collections[:2], axis.collections[2:]):
        np.testing.assert_allclose(points.get_offsets(), [(0.2, 25), (0.3, 75), (0.2, 50), (0.3, 100)], rtol=1e-12)
        np.testing.assert_allclose(mean.get_offsets(), [(0.25, 62.5)], rtol=1e-12)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Baseline", "TV"]


def test_no_two_rows_look_the_same_and_each_looks_the_same_in_every_figure() -> None:
    assert len(set(zip(COLOURS * len(MARKERS), MARKERS * len(COLOURS), strict=True))) == 56

    def colours(rows: tuple[str, ...]) -> dict[str, str]:
        figure = dissimilarity_figure(attack_records(rows, (12,)), titles={row: row for row in rows})
        drawn = figure.axes[0].collections[1::2]
        return {mean.get_label(): to_hex(mean.get_facecolor()[0]) for mean in drawn}

    everything = colours((*ROWS, "mine"))
    assert list(everything.values()) == [*COLOURS, COLOURS[0]]  # "mine" has a marker of its own
    assert colours(("tv_1e-4", "mine")) == {"tv_1e-4": everything["tv_1e-4"], "mine": everything["mine"]}


@pytest.mark.parametrize("length", [1, 10, 19, 20, 31, 32, 60])
def test_nothing_of_the_legend_is_cut_off_or_lies_on_the_points(length: int) -> None:
    figure = dissimilarity_figure(attack_records(ROWS, (12,)), titles=dict.fromkeys(ROWS, ("Abcd efgh " * 6)[:length]))
    figure.draw_without_rendering()
    legend, axis = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= legend.y0 < legend.y1 < axis.y0


@pytest.mark.parametrize(
    ("rows", "titles", "sentence"),
    [
        (("a", "b"), {"a": "A"}, "`titles` must name the victims of the records, a, b. Received: a"),
        (("a",), {"b": "B", "a": "A"}, "`titles` must name the victims of the records, a. Received: b, a"),
        ((), {}, "`titles` must name the victims of the records, none. Received: none"),
    ],
)
def test_every_row_needs_a_title_and_every_title_a_row(
    rows: tuple[str, ...], titles: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        dissimilarity_figure(attack_records(rows), titles=titles)


def test_the_ablation_has_a_line_for_each_layer_that_starts_without_a_blur() -> None:
    half, whole = Share.of(Rate(5, 10)), Share.of(Rate(1, 1))
    shares = {"legitimate_accuracy": half, "victim_accuracy": whole, "attack_success": whole, "n_test": 10, "n": 1}
    places = [(0, 0), *((layer, size) for layer in (1, 2, 3) for size in (3, 5, 7))]
    figure = ablation_figure([AblationRow(name="", layer=layer, size=size, **shares) for layer, size in places])
    titles = ["accuracy, test split", "accuracy, clean signs", "attack success"]
    assert [axis.get_title() for axis in figure.axes] == titles
    for axis, share in zip(figure.axes, (50, 100, 100), strict=True):
        assert len(axis.containers) == 3
        for container in axis.containers:
            assert container[0].get_ydata().tolist() == pytest.approx([share] * 4)
            assert len(container[0].get_xdata()) == 4


@pytest.mark.parametrize("draw", ["adversarial", "perturbation", "dissimilarity"])
def test_a_figure_is_saved_whole_and_alike_each_time(tmp_path: Path, draw: str) -> None:
    for name in ("a.png", "b.png"):
        if draw == "adversarial":
            figure = adversarial_figure(CLEAN, CLEAN, ["stop"] * 7, ["stop"] * 7, title="T")
        elif draw == "dissimilarity":
            records = attack_records(("baseline",))[:: 1 if name == "a.png" else -1]
            figure = dissimilarity_figure(records, titles={"baseline": "Baseline"})
        else:
            figure = perturbation_figure(MASK * np.float32([1, 0, -1]), MASK, title="T")
        save_figure(tmp_path / "pictures" / name, figure)
    first, second = (tmp_path / "pictures" / name for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()
    assert cv2.imread(str(first)).shape[1] > 800
    assert sorted(path.name for path in first.parent.iterdir()) == ["a.png", "b.png"]
