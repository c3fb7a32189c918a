"""The pictures of the pages: the same each time, of one width, and what they are said to show."""

import numpy as np
import pytest

from blurnet_tf import ChannelLInf, KernelTotalVariation, lisa_cnn
from blurnet_tf.attacks import RP2, Paint
from blurnet_tf.reporting.doc_pictures import DPI, PICTURES, Signs, draw_pictures, flow
from blurnet_tf.reporting.doc_sheet import words
from blurnet_tf.reporting.style import COLUMN, pixels
from blurnet_tf.signs import CLASS_NAMES, STOP

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def signs() -> Signs:
    return Signs(lisa_cnn(seed=0))


@pytest.mark.parametrize("name", ["total_variation", "stickers"])
def test_a_picture_is_the_same_each_time_and_as_wide_as_the_others(name: str, signs: Signs) -> None:
    first, second = (pixels(PICTURES[name](one), dpi=DPI) for one in (signs, signs))
    assert first.shape[1:] == (COLUMN * DPI, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 50


def test_all_pictures_are_given_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blurnet_tf.reporting.doc_pictures.PICTURES", {"gaussian": PICTURES["gaussian"]})
    assert [name for name, _ in draw_pictures(lisa_cnn(seed=0))] == ["gaussian"]


def test_the_signs_are_rendered_stop_signs_and_one_of_each_class(signs: Signs) -> None:
    images, labels = signs.learned
    assert len(images) == len(set(labels)) == 5
    assert labels[0] == STOP
    assert signs.victims.shape == (4, 32, 32, 3)
    assert isinstance(RP2(basis="paint").parts["basis"], Paint)  # that of `attacked`, which stays in [0, 1]
    assert 0 <= signs.attacked.min() <= signs.attacked.max() <= 1


def test_a_penalty_alone_falls_on_its_gradient() -> None:
    kernel = np.random.default_rng(0).normal(size=(7, 7, 1, 1)).astype(np.float32)
    for penalty in (ChannelLInf(1.0), KernelTotalVariation(1.0)):
        after = flow(kernel, penalty, steps=40, rate=0.05)
        assert float(penalty(after)) < 0.8 * float(penalty(kernel))
    box = flow(np.full((3, 3, 1, 1), 0.5, np.float32), ChannelLInf(1.0), steps=10, rate=0.1)
    np.testing.assert_allclose(box, 0.5 - 10 * 0.1 / 9, rtol=1e-5)  # all nine weights share the pull


def test_names_of_classes_fit_below_a_panel() -> None:
    for name in CLASS_NAMES:
        assert max(map(len, words(name).splitlines())) <= 12
        assert len(words(name).splitlines()) <= 3
