"""Variants as data: what a checkpoint is known by, and how a variant is made of that again."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from blurnet_tf.models import VARIANTS, Defense, Variant
from blurnet_tf.models.variants import KERNEL_VARIANTS, depthwise, feature_blur, input_blur, kernel_tv, tv

# As they have always stood in the provenance of checkpoints, and in the digests of trainings and cells.
TABLES: dict[str, dict[str, Any]] = {
    "baseline": {},
    "input_3x3": {"input_blur": 3},
    "input_5x5": {"input_blur": 5},
    "feature_3x3": {"feature_blur": 3},
    "feature_5x5": {"feature_blur": 5},
    "depthwise_3x3": {"depthwise": 3, "alpha": 1e-05},
    "depthwise_5x5": {"depthwise": 5, "alpha": 0.1},
    "depthwise_7x7": {"depthwise": 7, "alpha": 0.1},
    "tv_1e-4": {"alpha_tv": 0.0001},
    "tv_1e-5": {"alpha_tv": 1e-05},
    "fixed_3x3": {"feature_blur": 3},
    "fixed_5x5": {"feature_blur": 5},
    "tvk_1e-3": {"alpha_tvk": 0.001},
    "tvk_3e-3": {"alpha_tvk": 0.003},
    "tvk_1e-2": {"alpha_tvk": 0.01},
    "tvk_3e-2": {"alpha_tvk": 0.03},
    "tvk_1e-1": {"alpha_tvk": 0.1},
    "tvk_3e-1": {"alpha_tvk": 0.3},
    "tvk_1": {"alpha_tvk": 1.0},
    "rp2_release": {},
}
STUDIES: dict[str, tuple[dict[str, Any], tuple[Defense, ...]]] = {
    "tv_1e-4__alpha-1": ({"alpha_tv": 1.0}, (tv(1.0),)),
    "tv_1e-4__before-relu": ({"alpha_tv": 0.0001, "tv_before_relu": True}, (tv(1e-4, before_relu=True),)),
    "depthwise_7x7__random-start": (
        {"depthwise": 7, "alpha": 0.1, "depthwise_start": "random"},
        (depthwise(7, 0.1, start="random"),),
    ),
    "depthwise_7x7__alpha-0": ({"depthwise": 7}, (depthwise(7, 0.0),)),
    "depthwise_7x7__fixed-box": ({"feature_blur": 7}, (feature_blur(7),)),
    "tv_and_tvk": ({"alpha_tv": 0.5, "alpha_tvk": 0.25}, (tv(0.5), kernel_tv(0.25))),
    "blur_5x5_after_2": ({"feature_blur": 5, "feature_blur_after": 2}, (feature_blur(5, after=2),)),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_variants_of_the_tables_are_known_as_before(name: str) -> None:
    settings = {"name": name, **TABLES[name]}
    assert json.dumps(VARIANTS[name].settings()) == json.dumps(settings)
    assert Variant.from_settings(settings, title=VARIANTS[name].title) == VARIANTS[name]


@pytest.mark.parametrize("name", STUDIES)
def test_the_variants_of_the_studies_are_known_as_before(name: str) -> None:
    words, defenses = STUDIES[name]
    variant = Variant(name=name, title="Another title", defenses=defenses)
    assert json.dumps(variant.settings()) == json.dumps({"name": name, **words})
    assert Variant.from_settings({"name": name, **words}) == dataclasses.replace(variant, title=name)


def test_the_kernel_variants_are_those_with_a_penalty_on_the_kernels_of_conv1_in_rising_order() -> None:
    assert list(KERNEL_VARIANTS) == [name for name in TABLES if name.startswith("tvk_")]
    alphas = [VARIANTS[name].alpha for name in KERNEL_VARIANTS]
    assert alphas == sorted(alphas) == [float(name.removeprefix("tvk_")) for name in KERNEL_VARIANTS]
    for name, alpha in zip(KERNEL_VARIANTS, alphas, strict=True):
        assert VARIANTS[name].defenses == (
            Defense(after="conv1", layer="KernelTotalVariation", settings={"alpha": alpha}),
        )


def test_zeros_in_settings_put_nothing_in() -> None:
    settings = {"name": "x", "depthwise": 0, "alpha": 0.0, "feature_blur": 7}
    assert Variant.from_settings(settings).defenses == (feature_blur(7),)


@pytest.mark.parametrize(
    "defenses",
    [
        (Defense(after="conv1", layer="FixedBlur", settings={"size": 5, "window": "gaussian", "name": "blur"}),),
        (Defense(after="conv2", layer="TotalVariation", settings={"alpha": 0.5}),),
        (Defense(after="conv1", layer="GaussianNoise", settings={"stddev": 0.1}),),
        (Defense(after="conv2", layer="KernelTotalVariation", settings={"alpha": 0.5}),),
        (Defense(after="conv1", layer="UnitNorm", settings={"axis": [0, 1, 2]}),),
        (Defense(after="conv1", layer="TotalVariation", settings={"alpha": 0.5, "form": "relative"}),),
        (kernel_tv(0.5), tv(0.5)),  # in another order than that of older checkpoints
        (input_blur(3), input_blur(5)),
        (depthwise(7, 0.5), feature_blur(5)),  # in another order than that of older checkpoints
    ],
)
def test_other_defences_are_listed_and_come_back(defenses: tuple[Defense, ...]) -> None:
    variant = Variant(name="mine", title="mine", defenses=defenses)
    settings = json.loads(json.dumps(variant.settings()))
    assert set(settings) == {"name", "defenses"}
    assert Variant.from_settings(settings) == variant


def test_a_variant_is_compared_and_hashed_by_its_content() -> None:
    again = Variant.from_settings(VARIANTS["depthwise_5x5"].settings(), title="5x5 conv")
    assert again == VARIANTS["depthwise_5x5"] != VARIANTS["depthwise_7x7"]
    assert len({again, *VARIANTS.values()}) == len(VARIANTS)
    assert len({repr(variant.settings()) for variant in VARIANTS.values()}) == len(VARIANTS)


def test_alpha_is_that_of_equation_3_or_5() -> None:
    names = ("baseline", "feature_5x5", "fixed_5x5", "depthwise_3x3", "tv_1e-4")
    assert [VARIANTS[name].alpha for name in names] == [0.0, 0.0, 0.0, 1e-5, 1e-4]


@pytest.mark.parametrize("settings", [{"name": "x", "blur": 3}, {"name": "x", "defenses": [], "alpha": 0.1}])
def test_an_unknown_setting_is_an_error(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^`settings` must have `name`, and"):
        Variant.from_settings(settings)
