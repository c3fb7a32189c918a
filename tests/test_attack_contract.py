"""What holds for every attack: one call, one kind of result, errors that say what to write, and settings as JSON."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf
from traces import counted

from blurnet_tf.attacks import (
    NPS,
    RP2,
    SPSA,
    Attack,
    AttackResult,
    Basis,
    Colour,
    Expectation,
    GradientAttack,
    Loss,
    LowFrequency,
    Margin,
    MaskSearch,
    Palette,
    Penalty,
    PerImage,
    Scene,
    Sharing,
    SquareAttack,
    Start,
    TotalVariation,
    from_config,
    register,
)

SIZE, CLASSES, N = 8, 6, 4
RNG = np.random.default_rng(11)
IMAGES = RNG.uniform(0, 1, (N, SIZE, SIZE, 3)).astype(np.float32)
WEIGHTS = (RNG.normal(size=(SIZE * SIZE * 3, CLASSES)) / 4).astype(np.float32)
MASK = np.zeros((SIZE, SIZE, 1), np.float32)
MASK[1:4, 2:6] = 1
OUTSIDE = MASK[..., 0] == 0
PALETTE = RNG.uniform(0, 1, (3, 3)).astype(np.float32)
CLEAN = np.argmax(IMAGES.reshape(N, -1) @ WEIGHTS, axis=1)
TARGETS = [target for target in range(CLASSES) if target not in CLEAN][:2]


def linear(images: Any) -> Any:
    return tf.reshape(images, [-1, SIZE * SIZE * 3]) @ WEIGHTS


@dataclass(frozen=True)
class Case:
    attack: Attack
    shared: bool = False
    targets: tuple[int, ...] | None = tuple(TARGETS)
    random: bool = True
    area: int | None = None  # of the mask that the attack chooses inside the given one

    def with_steps(self, steps: int) -> Attack:
        if isinstance(self.attack, MaskSearch):
            return dataclasses.replace(self.attack, final=dataclasses.replace(self.attack.final, steps=steps))
        return dataclasses.replace(self.attack, steps=steps)


SEARCH = MaskSearch(first=RP2(norm="l1", penalty=0.1, steps=2), final=RP2(steps=5), area=7, stickers=2)
RP2_PARTS = {"loss": "margin", "basis": LowFrequency(4), "start": Colour(1, 0, -1)}
CASES = {
    "RP2": Case(RP2(steps=5), shared=True),
    "RP2 untargeted": Case(RP2(steps=5), shared=True, targets=None),
    "RP2 per image": Case(RP2(steps=5, sharing="per_image")),
    "RP2 per image, untargeted": Case(RP2(steps=5, sharing="per_image", loss=Margin()), targets=None),
    "RP2 of other parts": Case(
        RP2(steps=5, norm="l1", penalties=(NPS(PALETTE), TotalVariation(weight=0.1)), inverse_mask=0.5, **RP2_PARTS),
        shared=True,
        random=False,
    ),
    **{
        method: Case(GradientAttack(method=method, steps=3), random=method == "pgd")
        for method in ("fgm", "bim", "mim", "pgd")
    },
    "bim untargeted": Case(GradientAttack(steps=3, norm="l2", epsilon=0.5, step_size=0.2), targets=None, random=False),
    "SquareAttack": Case(SquareAttack(steps=5), shared=True),
    "SquareAttack untargeted": Case(SquareAttack(steps=5), shared=True, targets=None),
    "SquareAttack per image": Case(SquareAttack(steps=5, sharing="per_image")),
    "SquareAttack per image, untargeted": Case(
        SquareAttack(steps=5, sharing="per_image", loss="cross_entropy"), targets=None
    ),
    "MaskSearch": Case(SEARCH, shared=True, area=7),
    "MaskSearch of other attacks": Case(
        dataclasses.replace(SEARCH, first=GradientAttack(steps=1), final=SquareAttack(steps=5, sharing="per_image")),
        targets=None,
        area=7,
    ),
    "RP2 of printed colours": Case(RP2(steps=5, norm=None, basis=Palette(PALETTE)), shared=True),
    "RP2 of paint, several starts": Case(
        RP2(steps=5, norm=None, basis="paint", start=("white", "uniform"), restarts=3, sharing="per_image"),
        targets=None,
    ),
    "RP2 by SPSA": Case(RP2(steps=5, gradient=SPSA(samples=2)), shared=True),
    "RP2 under transformations": Case(RP2(steps=5, expectation=Expectation.physical()), shared=True),
    "RP2 per image, under transformations": Case(
        RP2(steps=5, sharing="per_image", expectation=Expectation(blur=1.0, rotation=10.0))
    ),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """All tests of one attack follow each other: its graph is kept for a few attacks only."""
    return request.param


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """The function as a Keras model, for which an attack is traced once."""
    model = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten(), keras.layers.Dense(CLASSES, use_bias=False)]
    )
    model.set_weights([WEIGHTS])
    return model


@pytest.fixture(scope="module")
def result(case: Case, network: keras.Model) -> AttackResult:
    return case.attack(network, IMAGES, targets=case.targets, mask=MASK)


attacks = pytest.mark.parametrize(
    "attack",
    [RP2(steps=2), GradientAttack(steps=2), SquareAttack(steps=2), SEARCH],
    ids=["RP2", "GradientAttack", "SquareAttack", "MaskSearch"],
)


def test_one_call_gives_one_kind_of_result(case: Case, result: AttackResult) -> None:
    runs = 1 if case.targets is None else len(case.targets)
    leading = (runs,) if case.shared else (runs, N)
    assert (result.attack, result.targets, result.runs) == (case.attack, case.targets, runs)
    assert case.attack.per_image != case.shared
    for perturbation in (result.perturbation, result.best_perturbation):
        assert perturbation.shape == (*leading, SIZE, SIZE, 3)
        assert perturbation.dtype == np.float32
        np.testing.assert_array_equal(perturbation[..., OUTSIDE, :], 0)
        assert np.isfinite(perturbation).all()
    assert (result.best_step.shape, result.best_step.dtype) == (leading, np.int32)
    if case.area is None:
        np.testing.assert_array_equal(result.mask, MASK)
    else:
        assert (result.mask.shape, result.mask.dtype, result.mask.sum()) == (MASK.shape, np.float32, case.area)
        assert (result.mask <= MASK).all()
    for values in result.history.values():
        assert (values.shape, values.dtype) == ((6, runs), np.float32)
        assert np.isfinite(values).all()
    for best in (False, True):
        adversarial = result.apply(IMAGES, best=best)
        assert (adversarial.shape, adversarial.dtype) == ((runs, N, SIZE, SIZE, 3), np.float32)
        assert adversarial.min() >= 0
        assert adversarial.max() <= 1
        np.testing.assert_array_equal(adversarial[:, :, OUTSIDE], np.stack([IMAGES[:, OUTSIDE]] * runs))
    assert np.abs(adversarial - IMAGES).max() > 1e-3


def test_a_result_is_for_the_attacked_images_alone_if_each_has_a_perturbation(case: Case, result: AttackResult) -> None:
    if case.shared:
        assert result.apply(IMAGES[:1]).shape == (result.runs, 1, SIZE, SIZE, 3)
    else:
        with pytest.raises(ValueError, match=r"`images` must be the 4 attacked ones.* Received: 1 images"):
            result.apply(IMAGES[:1])
    with pytest.raises(ValueError, match="of the attacked size, 8x8"):
        result.apply(np.zeros((N, 4, 4, 3)))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(case: Case, result: AttackResult, network: keras.Model) -> None:
    again = case.attack(lambda images: network(images), IMAGES, targets=case.targets, mask=MASK)  # traced anew
    assert again.perturbation.tobytes() == result.perturbation.tobytes()
    assert again.best_perturbation.tobytes() == result.best_perturbation.tobytes()


@pytest.mark.slow
def test_another_seed_gives_other_bytes_where_anything_is_random(
    case: Case, result: AttackResult, network: keras.Model
) -> None:
    attack = dataclasses.replace(case.attack, seed=-5)
    other = attack(network, IMAGES, targets=case.targets, mask=MASK)
    assert (other.perturbation.tobytes() != result.perturbation.tobytes()) == case.random
    assert other.attack.digest == result.attack.digest


@pytest.mark.slow
def test_no_mask_is_the_whole_image(case: Case, network: keras.Model) -> None:
    attack = case.with_steps(1)
    none, ones = (attack(network, IMAGES, targets=case.targets, mask=mask) for mask in (None, np.ones_like(MASK)))
    assert none.perturbation.tobytes() == ones.perturbation.tobytes()
    np.testing.assert_array_equal(none.mask, ones.mask)
    assert none.mask.sum() == (case.area or SIZE * SIZE)


def test_settings_go_through_json_and_come_back_equal(case: Case) -> None:
    config = json.loads(json.dumps(case.attack.to_config()))
    assert from_config(config) == case.attack
    assert config["attack"] == type(case.attack).__name__
    assert from_config(config).digest == case.attack.digest
    assert len(case.attack.digest) == 12
    assert case.with_steps(77).digest != case.attack.digest


def test_names_and_digests() -> None:
    assert [case.attack.name for case in CASES.values()] == [
        *["RP2"] * 5, "fgm", "bim", "mim", "pgd", "bim", *["SquareAttack"] * 4, *["MaskSearch"] * 2, *["RP2"] * 5
    ]  # fmt: skip
    assert RP2(seed=1).digest == RP2(seed=2).digest
    assert len({case.attack.digest for case in CASES.values()}) == len(CASES) - 2  # with and without targets: the same
    assert RP2(loss="mse") == from_config(RP2(loss="mse").to_config()) != RP2()


BAD_CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "twice": (
        {"targets": [TARGETS[0], TARGETS[1], TARGETS[0]]},
        f"differ from each other. Received: {TARGETS[0]} more",
    ),
    "labels as targets": ({"targets": CLEAN}, "Received: the labels of the images. Give them as `labels=`"),
    "given labels as targets": ({"targets": [0, 0, 0, 1], "labels": [0, 0, 0, 1]}, "the labels of the images"),
    "a label": ({"labels": [TARGETS[0]] * N}, "must differ from the label of every image"),
    "no output": ({"targets": [CLASSES]}, "`targets` must lie in 0..5"),
    "no class": ({"targets": 1.5}, "`targets` must be a class index or several"),
    "labels": ({"labels": [0]}, "`labels` must be integers of shape (4,)"),
    "images": ({"images": IMAGES * 255}, "`images` must lie in [0, 1]"),
    "one image": ({"images": IMAGES[0]}, "`images` must have the shape (n, H, W, 3)"),
    "no image": ({"images": IMAGES[:0]}, "`images` must have the shape (n, H, W, 3)"),
    "mask": ({"mask": MASK * 255}, "`mask` must lie in [0, 1]"),
    "size": ({"mask": np.ones((SIZE, 9, 1))}, "`mask` must have the shape (8, 8, 1)"),
    "empty": ({"mask": [MASK, 0 * MASK]}, "mask 1 of 2 is empty"),
    "dict": ({"model": lambda x: {"a": linear(x)}}, "`model` must return one tensor of logits"),
    "softmax": ({"model": lambda x: tf.nn.softmax(linear(x))}, "as if it ended in a softmax"),
    "nan": ({"model": lambda x: linear(x) * np.nan}, "`model` must return finite logits"),
    "flat": ({"model": lambda x: tf.stop_gradient(linear(x))}, "`model` must be differentiable"),
}


@attacks
@pytest.mark.parametrize(("change", "phrase"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call_is_an_error(attack: Attack, change: dict[str, Any], phrase: str) -> None:
    arguments = {"model": linear, "images": IMAGES, "targets": TARGETS, "mask": MASK} | change
    if phrase == BAD_CALLS["flat"][1] and not attack.differentiates:
        result = attack(**arguments)  # no error, and the same as with gradients
        assert result.perturbation.tobytes() == attack(**(arguments | {"model": linear})).perturbation.tobytes()
        return
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
        attack(**arguments)
    assert phrase in str(error.value)


@attacks
def test_labels_by_position_are_an_error_that_says_what_to_write(attack: Attack) -> None:
    with pytest.raises(TypeError, match=r"`targets=` for wanted classes, `labels=` for the true ones.* Received: 3"):
        attack(linear, IMAGES, CLEAN)


@attacks
def test_a_target_that_the_model_predicts_already_is_warned_of_where_the_attack_is_called(attack: Attack) -> None:
    target = int(CLEAN[0])
    with pytest.warns(UserWarning, match="clean images for the target") as caught:
        attack(linear, IMAGES, targets=target)
    assert caught[0].filename == __file__


# --- parts of one's own -----------------------------------------------------------------------------------------------


@register
@dataclass(frozen=True)
class Squared(Loss):
    scale: float = 1.0

    def __call__(self, logits: Any, classes: Any) -> Any:
        error = tf.nn.softmax(logits) - tf.one_hot(classes, logits.shape[-1])
        return self.scale * tf.reduce_mean(tf.square(error), axis=(1, 2))


@register
@dataclass(frozen=True)
class Grey(Basis):
    def encode(self, d: Any) -> Any:
        return tf.reduce_mean(d, axis=-1)

    def decode(self, z: Any, size: tuple[int, int]) -> Any:
        return tf.stack([z] * 3, axis=-1)


@register
@dataclass(frozen=True)
class Stripes(Start):
    def __call__(self, shape: tuple[int, ...], seed: tuple[int, int]) -> Any:
        return tf.broadcast_to(tf.cast(tf.range(shape[-2]) % 2, tf.float32)[:, None], shape)


@register
@dataclass(frozen=True)
class Pairs(Sharing):
    def stickers(self, n: int) -> int:
        return n // 2


@register
@dataclass(frozen=True)
class Redness(Penalty):
    term: ClassVar[str] = "red"
    power: int = 2

    def __call__(self, scene: Scene) -> Any:
        return tf.reduce_sum(scene.perturbation[..., 0] ** self.power, axis=(1, 2))


OWN: dict[str, dict[str, Any]] = {
    "loss": {"loss": Squared(scale=2.0)},
    "basis": {"basis": Grey()},
    "start": {"start": Stripes()},
    "sharing": {"sharing": Pairs()},
    "penalty": {"penalties": (Redness(weight=3.0),)},
}
OWN["all"] = {name: part for options in OWN.values() for name, part in options.items()}


@pytest.mark.slow
@pytest.mark.parametrize("options", OWN.values(), ids=OWN)
@pytest.mark.parametrize("targets", [TARGETS, None], ids=["targeted", "untargeted"])
def test_a_part_of_ones_own_is_one_class(options: dict[str, Any], targets: list[int] | None) -> None:
    attack = RP2(steps=8, **options)
    result = attack(linear, IMAGES, targets=targets, mask=MASK)
    assert (result.history["loss"][-1] < result.history["loss"][0]).all()
    assert from_config(json.loads(json.dumps(attack.to_config()))) == attack
    assert result.apply(IMAGES).shape == (result.runs, N, SIZE, SIZE, 3)
    if "basis" in options:
        np.testing.assert_array_equal(result.perturbation[..., 0], result.perturbation[..., 1])
    if "sharing" in options:
        assert result.perturbation.shape == (result.runs, N, SIZE, SIZE, 3)
        np.testing.assert_array_equal(result.perturbation[:, ::2], result.perturbation[:, 1::2])
        assert not np.array_equal(result.perturbation[:, 0], result.perturbation[:, 2])
    if "penalties" in options:
        assert (result.history["red"] > 0).all()
    parts = [result.history[name] for name in ("adversarial", "norm", "red") if name in result.history]
    np.testing.assert_allclose(result.history["loss"], sum(parts), rtol=1e-5)


@register
@dataclass(frozen=True, kw_only=True)
class Nothing(Attack):
    """An attack of one's own: it leaves the images as they are."""

    steps: int = 1

    def find(self, model: Any, task: Any, *, progress: bool | None) -> Any:
        template = RP2(steps=1, start=Colour(0, 0, 0)).find(model, task, progress=progress)
        zero = 0 * template.perturbation
        return dataclasses.replace(template, attack=self, perturbation=zero, best_perturbation=zero)


def test_an_attack_of_ones_own_is_one_class() -> None:
    result = Nothing()(linear, IMAGES, targets=TARGETS, mask=MASK)
    np.testing.assert_array_equal(result.apply(IMAGES), np.stack([IMAGES] * 2))
    assert from_config(Nothing().to_config()) == Nothing()
    assert (Nothing().name, Nothing().penalty, Nothing().seed) == ("Nothing", 0.0, 0)


def test_an_unknown_class_or_setting_in_a_config_is_an_error() -> None:
    for config, phrase in (
        ({"attack": "RP3"}, "or of a class with @register. Received: 'RP3'"),
        ({"attack": "RP2", "loss": {"kind": "Hinge"}}, "Received: 'Hinge'"),
        ({"attack": "RP2", "nps": "original"}, "must hold the settings of RP2"),
        ({}, "Received: None"),
    ):
        with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
            from_config(config)
        assert phrase in str(error.value)


def test_a_registered_name_is_not_taken_twice() -> None:
    with pytest.raises(ValueError, match=r"a name of its own\. Received: RP2"):
        register(type("RP2", (Loss,), {}))


# --- the parts that come along ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("expectation", [None, Expectation.physical()], ids=["as it is", "under transformations"])
def test_each_image_is_attacked_as_if_it_were_alone(network: keras.Model, expectation: Expectation | None) -> None:
    attack = RP2(steps=6, penalty=0.1, start="black", sharing=PerImage(), expectation=expectation)
    together = attack(network, IMAGES, targets=TARGETS, mask=MASK)
    for index in range(N):
        alone = dataclasses.replace(attack, sharing="shared")(network, IMAGES[[index]], targets=TARGETS, mask=MASK)
        np.testing.assert_allclose(together.perturbation[:, index], alone.perturbation, atol=1e-4)
        np.testing.assert_array_equal(together.best_step[:, index], alone.best_step)


def test_the_start_of_an_image_of_its_own_is_drawn_for_it() -> None:
    result = RP2(steps=1, learning_rate=1e-9, sharing="per_image")(linear, IMAGES, targets=TARGETS)
    flat = result.perturbation.reshape(-1, SIZE * SIZE * 3)
    assert len(np.unique(flat, axis=0)) == len(TARGETS) * N


def test_low_frequencies_are_an_orthonormal_basis_of_smooth_stickers() -> None:
    d = RNG.normal(size=(2, SIZE, 6, 3)).astype(np.float32)
    whole = LowFrequency(6)
    z = whole.encode(d).numpy()
    assert z.shape == (2, 6, 6, 3)
    np.testing.assert_allclose(whole.encode(whole.decode(z, (SIZE, 6))), z, atol=1e-5)
    np.testing.assert_allclose(LowFrequency(1).decode(LowFrequency(1).encode(d), (SIZE, 6)), np.broadcast_to(
        d.mean(axis=(1, 2), keepdims=True), d.shape), atol=1e-5)  # fmt: skip
    assert LowFrequency(7).encode(d).shape == (2, 7, 6, 3)  # a side has at most as many as it has pixels


def test_low_frequencies_fill_the_bounding_box_of_the_mask() -> None:
    mask = np.zeros((SIZE, SIZE, 1), np.float32)
    mask[2:6, 1] = mask[3, 4] = 1
    basis = LowFrequency(3).within(mask)
    assert basis.box == (1, 2, 5, 6)
    d = basis.decode(RNG.normal(size=(1, 3, 3, 3)).astype(np.float32), (SIZE, SIZE)).numpy()
    assert (d[:, 2:6, 1:5] != 0).all()
    d[:, 2:6, 1:5] = 0
    assert not d.any()
    assert basis.within(np.ones_like(mask)) == basis
    with pytest.raises(ValueError, match="`box` must lie inside images of 4x4 pixels"):
        basis.encode(np.zeros((1, 4, 4, 3), np.float32))


def test_the_margin_is_the_lead_of_the_best_other_class() -> None:
    logits = np.array([[[1.0, 3.0, 0.0], [5.0, 1.0, 0.0]]], np.float32)
    classes = np.array([[0, 0]], np.int32)
    np.testing.assert_allclose(Margin(confidence=9.0)(logits, classes), [(2 - 4) / 2])
    np.testing.assert_allclose(Margin()(logits, classes), [(2 - 0) / 2])
    np.testing.assert_allclose(Margin(confidence=1.0).away(logits, classes), [(-1 + 4) / 2])


BAD_PARTS: list[tuple[Callable[[], Any], str]] = [
    (lambda: Margin(confidence=-1.0), "`confidence` must be a finite number of at least 0"),
    (lambda: TotalVariation(weight=np.inf), "`weight` must be a finite number of at least 0"),
    (lambda: Colour(0, 2, 0), "`green` must lie in [-1, 1]. Received: green=2"),
    (lambda: LowFrequency(0), "`frequencies` must be an integer of at least 1"),
    *(
        (lambda name=name, value=value: Expectation(**{name: value}), f"`{name}` must lie in [0, {limit})")
        for name, value, limit in (
            ("brightness", 1.0, "1"),
            ("contrast", 1, "1"),
            ("shift", -0.1, "1"),
            ("scale", 1.0, "1"),
            ("rotation", 360, "360"),
            ("perspective", 0.25, "0.25"),
            ("blur", np.inf, "inf"),
            ("noise", np.nan, "1"),
            ("noise", "much", "1"),
        )
    ),
    (lambda: RP2(expectation="physical"), "`expectation` must be None or an Expectation. Received: expectation='phy"),
    (lambda: NPS(PALETTE, mode="both"), "`mode` must be one of 'original', 'corrected'"),
    *(
        (lambda palette=palette: NPS(palette), "`palette` must have the shape (colours, 3)")
        for palette in (
            np.zeros((2, 4)),
            np.zeros((0, 3)),
            np.zeros(3),
            np.full((1, 3), np.nan),
            [],
            -np.ones((1, 3)),
            None,
        )
    ),
    (lambda: NPS(PALETTE * 255), "`palette` must have the shape (colours, 3) and lie in [0, 1]"),
]


@pytest.mark.parametrize(("make", "phrase"), BAD_PARTS)
def test_a_bad_part_is_an_error(make: Callable[[], Any], phrase: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
        make()
    assert phrase in str(error.value)


def test_a_palette_is_the_same_as_an_array_as_a_list_and_among_others() -> None:
    assert NPS(PALETTE) == NPS(PALETTE.tolist()) == NPS([PALETTE]) == NPS(NPS(PALETTE).palette)
    assert len({NPS(PALETTE), NPS(PALETTE), NPS([PALETTE, PALETTE[:1]])}) == 2


@pytest.mark.slow
def test_a_sweep_over_lambda_seed_and_weights_traces_once() -> None:
    model = counted(linear)
    for options in ({"sharing": "shared"}, {"sharing": "per_image"}, {"expectation": Expectation.physical()}):
        attack = RP2(steps=2, **options, penalties=(NPS(PALETTE),))
        before = model.traced
        for change in ({}, {"penalty": 0.1}, {"seed": 3}, {"penalties": (NPS(PALETTE, weight=2.0),)}, {"steps": 5}):
            dataclasses.replace(attack, **change)(model, IMAGES, targets=TARGETS, mask=MASK)
        assert model.traced <= before + 1
