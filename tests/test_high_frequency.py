import csv
from pathlib import Path

import numpy as np
import pytest

from blurnet_tf import lisa_cnn, load_mask
from blurnet_tf.data import rp2_release
from blurnet_tf.evaluation.feature_maps import layer_maps
from blurnet_tf.evaluation.high_frequency import KINDS, Measured, measure, measure_layers, strongest_maps, write_ratios
from blurnet_tf.evaluation.spectra import high_frequency_ratio, power_spectrum

RANDOM = np.random.default_rng(0)
CLEAN = RANDOM.random((4, 32, 32, 3)).astype(np.float32)
ATTACKED = np.clip(CLEAN + RANDOM.normal(size=CLEAN.shape).astype(np.float32) / 10, 0, 1)


@pytest.fixture(scope="module")
def image() -> Measured:
    return measure("image", CLEAN, ATTACKED)


def test_each_map_of_each_image_has_its_ratio(image: Measured) -> None:
    assert (image.layer, image.shape, tuple(image.ratios), tuple(image.power)) == ("image", (32, 32, 3), KINDS, KINDS)
    np.testing.assert_allclose(image.ratios["clean"], high_frequency_ratio(CLEAN))
    np.testing.assert_allclose(image.ratios["difference"], high_frequency_ratio(ATTACKED - CLEAN), atol=1e-6)


def test_energies_add_up_and_shares_are_of_all_maps_together(image: Measured) -> None:
    assert image.energy("clean") == pytest.approx(CLEAN.var((1, 2), dtype=np.float64).mean())
    power = power_spectrum(CLEAN, keep_mean=False).sum((0, 3)) / 12
    beyond = power[np.hypot(*np.meshgrid(*[np.arange(-16, 16) / 32] * 2)) > 0.25].sum()
    assert image.energy("clean", beyond=0.25) == pytest.approx(beyond)
    assert image.share("clean") == pytest.approx(beyond / image.energy("clean"))
    assert image.share("clean", 0.0) == pytest.approx(1)


def test_layers_whose_maps_are_too_small_for_the_radius_are_left_out() -> None:
    model = lisa_cnn("feature_5x5", seed=0)
    measured = measure_layers(model, CLEAN, ATTACKED)
    assert {name: one.shape for name, one in measured.items()} == {
        "conv1": (16, 16, 64),
        "feature_blur": (16, 16, 64),
        "conv2": (6, 6, 128),
    }
    assert list(measure_layers(model, CLEAN, ATTACKED, radius=0.125)) == ["conv1", "feature_blur"]
    maps = layer_maps(model, CLEAN, ["conv2"])["conv2"]
    np.testing.assert_allclose(measured["conv2"].ratios["clean"], high_frequency_ratio(maps), atol=1e-6)


def test_a_blur_takes_high_frequencies_from_the_difference() -> None:
    measured = measure_layers(lisa_cnn("feature_5x5", seed=0), CLEAN, ATTACKED)
    before, after = measured["conv1"], measured["feature_blur"]
    assert after.share("difference") < before.share("difference") / 4
    assert after.energy("difference") < before.energy("difference")


def test_a_description_says_nothing_where_the_maps_are_too_small() -> None:
    small = measure("conv2", CLEAN[:, :6, :6], ATTACKED[:, :6, :6])
    description = small.describe((0.125, 0.25))
    assert description["shape"] == [6, 6, 3]
    assert description["clean"] == {
        "energy": small.energy("clean"),
        "share_beyond": {"0.125": None, "0.25": small.share("clean")},
    }


def test_the_strongest_maps_vary_most_and_equals_keep_their_order() -> None:
    maps = np.zeros((2, 2, 4))
    maps[0, 0] = [1, 3, 0, 1]
    assert strongest_maps(100 + maps, 3) == [1, 0, 3]
    assert strongest_maps(maps, 9) == [1, 0, 3, 2]


def test_the_ratios_are_written_a_line_a_map(tmp_path: Path, image: Measured) -> None:
    names = ["a", "b", "c", "d"]
    write_ratios(tmp_path / "out" / "ratios.csv", [("", "", image), ("w", "v", image)], names)
    with (tmp_path / "out" / "ratios.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["weights", "variant", "layer", "image", "map", *KINDS]
    assert len(rows) == 2 * 4 * 3
    line = rows[12 + 3 * 2 + 1]  # the second time, the third image, the second map
    assert [line[key] for key in ("weights", "variant", "layer", "image", "map")] == ["w", "v", "image", "c", "1"]
    for kind in KINDS:
        assert float(line[kind]) == pytest.approx(image.ratios[kind][2, 1], rel=1e-5)
    with pytest.raises(ValueError, match="zip"):
        write_ratios(tmp_path / "short.csv", [("", "", image)], names[:3])
    assert not (tmp_path / "short.csv").exists()


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:Mask")
def test_the_published_perturbation_is_no_higher_in_frequency_than_the_signs_but_lies_where_the_blur_takes_most(
    rp2_folder: Path,
) -> None:
    victims = rp2_release.load_victims(rp2_folder).images
    mask = load_mask(rp2_folder / rp2_release.STICKER_MASK)
    noise = np.clip(rp2_release.load_published_noise(rp2_folder), -20, 20) * mask
    model = lisa_cnn("feature_5x5", weights=rp2_release.load_weights(rp2_folder))
    measured = measure_layers(model, victims, np.clip(victims + noise, 0, 1))
    before, after = measured["conv1"], measured["feature_blur"]
    assert before.share("clean") == pytest.approx(0.280, abs=1e-3)
    assert before.share("difference") == pytest.approx(0.244, abs=1e-3)
    assert after.share("difference") == pytest.approx(0.033, abs=1e-3)
    assert before.share("clean", 0.125) == pytest.approx(0.614, abs=1e-3)
    assert before.share("difference", 0.125) == pytest.approx(0.882, abs=1e-3)
    assert after.energy("difference") / before.energy("difference") == pytest.approx(0.105, abs=2e-3)
    assert after.energy("clean") / before.energy("clean") == pytest.approx(0.475, abs=2e-3)
