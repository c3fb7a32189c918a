"""Random search with squares: saturated colours, a loss that never rises, and no gradient."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from traces import counted

from blurnet_tf import lisa_cnn
from blurnet_tf.attacks import CrossEntropy, Margin, SquareAttack, batches, load_mask
from blurnet_tf.attacks.square import propose
from blurnet_tf.data import rp2_release

SIZE, CLASSES, N = 8, 5, 4
RNG = np.random.default_rng(7)
IMAGES = RNG.uniform(0.1, 0.9, (N, SIZE, SIZE, 3)).astype(np.float32)
WEIGHTS = (RNG.normal(size=(SIZE * SIZE * 3, CLASSES)) / 8).astype(np.float32)
MASK = np.zeros((SIZE, SIZE, 1), np.float32)
MASK[1:3, 1:3], MASK[5:7, 4:7] = 1, 1
INSIDE = MASK[..., 0] > 0
CLEAN = np.argmax(IMAGES.reshape(N, -1) @ WEIGHTS, axis=1)
TARGETS = [target for target in range(CLASSES) if target not in CLEAN][:2]


def linear(images: Any) -> Any:
    return tf.reshape(images, [-1, SIZE * SIZE * 3]) @ WEIGHTS


class Foreign:
    """A model of NumPy that writes down what it is shown."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.seen = answer, []

    def __call__(self, images: Any) -> Any:
        return tf.numpy_function(self.ask, [images], tf.float32)

    def ask(self, images: np.ndarray) -> np.ndarray:
        self.seen.append(images)
        return self.answer(images).astype(np.float32)


@pytest.mark.parametrize("loss", [Margin(), CrossEntropy()], ids=["margin", "cross_entropy"])
@pytest.mark.parametrize("sharing", ["shared", "per_image"])
@pytest.mark.parametrize("targets", [TARGETS, None], ids=["targeted", "untargeted"])
def test_stickers_are_saturated_and_the_history_is_what_the_model_says(
    targets: list[int] | None, sharing: str, loss: Any
) -> None:
    attack = SquareAttack(steps=60, loss=loss, sharing=sharing)
    result = attack(linear, IMAGES, targets=targets, mask=MASK)
    for perturbation in (result.perturbation, result.best_perturbation):
        assert set(np.unique(perturbation[..., INSIDE, :])) == {-1, 1}
    history = result.history
    assert set(history) == {"loss", "success"} | ({"target_reached"} if targets else set())
    assert (np.diff(history["loss"], axis=0) <= 0).all()
    assert (history["loss"][-1] < history["loss"][0]).all()
    score = history["target_reached" if targets else "success"]
    for run, adversarial in enumerate(result.apply(IMAGES)):
        assert set(np.unique(adversarial[:, INSIDE])) == {0, 1}
        logits = linear(adversarial)
        classes = np.full(N, targets[run]) if targets else CLEAN
        if sharing == "shared":
            expected = (loss if targets else loss.away)(logits[None], classes[None])
        else:
            expected = (loss if targets else loss.away)(logits[:, None], classes[:, None])
        assert history["loss"][-1, run] == pytest.approx(np.mean(expected), abs=1e-5)
        said = np.argmax(logits, axis=1)
        assert history["success"][-1, run] == np.mean(said != CLEAN)
        if sharing == "shared":
            rows = list(zip(-score[:, run], history["loss"][:, run], strict=True))
            assert result.best_step[run] == rows.index(min(rows))
        if targets:
            assert history["target_reached"][-1, run] == np.mean(said == classes)
            best = np.argmax(linear(result.apply(IMAGES, best=True)[run]), axis=1)
            assert np.mean(best == classes) >= score[-1, run]


def test_enough_steps_find_the_best_colours_of_a_linear_model() -> None:
    weights = RNG.normal(size=(SIZE, SIZE, 3)).astype(np.float32) / 20
    mask = np.zeros((SIZE, SIZE, 1), np.float32)
    mask[2, 3], mask[2, 4], mask[6, 1] = 1, 1, 1
    label = 1

    def model(images: Any) -> Any:
        logit = tf.reduce_sum(images * weights, axis=(1, 2, 3))
        return tf.stack([logit, -logit], axis=1)

    found = SquareAttack(steps=300, loss="cross_entropy")(model, IMAGES, mask=mask, labels=[label] * N)
    np.testing.assert_array_equal(found.perturbation[0], mask * np.sign(weights))


def authors_share(start: float, step: int, steps: int) -> float:
    """The schedule of the authors' program, written anew: the share of pixels in the square of a step."""
    at = int(step / steps * 10000)
    ends = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
    return start / 2 ** sum(at > end for end in ends)


def test_a_step_shows_the_model_one_square_that_shrinks_as_the_paper_has_it() -> None:
    steps, share = 200, 0.4
    model = Foreign(lambda images: np.tile(np.arange(CLASSES), (len(images), 1)))  # no square is better than the start
    SquareAttack(steps=steps, start_share=share)(model, IMAGES[:1])
    start, *candidates = model.seen[-(steps + 1) :]
    assert set(np.unique(start)) == {0, 1}
    np.testing.assert_array_equal(start, np.broadcast_to(start[:, :1], start.shape))  # vertical stripes
    reached = {}
    for step, candidate in enumerate(candidates):
        rows, columns = np.nonzero((candidate != start).any(axis=(0, 3)))
        side = max(round((authors_share(share, step, steps) * SIZE * SIZE) ** 0.5), 1)
        extent = max(np.ptp(rows), np.ptp(columns)) + 1  # fails if nothing changed
        assert extent <= side
        colours = candidate[0, rows, columns]
        assert (colours == colours[0]).all()
        reached[side] = max(extent, reached.get(side, 0))
    assert all(side == extent for side, extent in reached.items())
    assert min(reached) == 1
    assert max(reached) >= 4


def test_every_proposal_changes_a_pixel_inside_the_mask_and_none_outside() -> None:
    model = Foreign(lambda images: np.tile(np.arange(CLASSES), (len(images), 1)))
    SquareAttack(steps=150)(model, IMAGES, mask=MASK)
    start, *candidates = model.seen[-151:]
    for images in (start, *candidates):
        np.testing.assert_array_equal(images[:, ~INSIDE], IMAGES[:, ~INSIDE])
    touched = np.zeros((SIZE, SIZE), int)
    for candidate in candidates:
        changed = (candidate != start).any(axis=(0, 3))
        assert changed.any()
        touched += changed
    assert (touched[INSIDE] > 0).all()


def test_a_model_without_gradients_is_attacked_and_asked_once_a_step() -> None:
    foreign = Foreign(lambda images: images.reshape(-1, SIZE * SIZE * 3) @ WEIGHTS)
    attack = SquareAttack(steps=30)
    with_gradients = attack(linear, IMAGES, targets=TARGETS, mask=MASK)
    without = attack(foreign, IMAGES, targets=TARGETS, mask=MASK)
    np.testing.assert_array_equal(without.perturbation, with_gradients.perturbation)
    assert [len(images) for images in foreign.seen if len(images) > N] == [2 * N] * 31
    with pytest.raises(
        ValueError, match=r"must return a tensor of floats.*Wrap a function of NumPy arrays in `tf\.num"
    ):
        attack(lambda images: linear(images).numpy(), IMAGES)
    with pytest.raises(ValueError, match=r"must return a tensor of floats\. Received: .*int32"):
        attack(lambda images: tf.cast(10 * linear(images), tf.int32), IMAGES)


def test_a_target_finds_the_same_whichever_targets_stand_beside_it() -> None:
    attack = SquareAttack(steps=25)
    together = attack(linear, IMAGES, targets=TARGETS, mask=MASK)
    for run, target in enumerate(TARGETS):
        alone = attack(linear, IMAGES, targets=target, mask=MASK)
        np.testing.assert_array_equal(alone.perturbation[0], together.perturbation[run])
    assert not np.array_equal(together.perturbation[0], together.perturbation[1])


@pytest.mark.parametrize(
    ("sharing", "images_in_a_batch"), [("shared", 1), ("shared", 3), ("shared", N), ("per_image", 1), ("per_image", 3)]
)
def test_small_batches_find_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sharing: str, images_in_a_batch: int
) -> None:
    attack = SquareAttack(steps=20, sharing=sharing)
    whole = attack(linear, IMAGES, targets=TARGETS, mask=MASK)
    monkeypatch.setattr(batches, "MOST_PIXELS", images_in_a_batch * SIZE * SIZE)
    model = Foreign(lambda images: images.reshape(-1, SIZE * SIZE * 3) @ WEIGHTS)
    parts = attack(model, IMAGES, targets=TARGETS, mask=MASK, progress=True)
    np.testing.assert_array_equal(parts.perturbation, whole.perturbation)
    np.testing.assert_array_equal(parts.best_step, whole.best_step)
    for name, rows in whole.history.items():
        np.testing.assert_allclose(parts.history[name], rows, atol=1e-5)
    assert max(map(len, model.seen)) == images_in_a_batch
    portions = 2 if sharing == "shared" else 2 * -(-N // images_in_a_batch)
    assert f"{21 * portions}/{21 * portions}" in capsys.readouterr().out  # one bar over all


def test_a_loss_that_is_no_mean_needs_all_images_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_PIXELS", 2 * SIZE * SIZE)
    with pytest.raises(ValueError, match="`loss` must be a mean over the images where these do not fit into a batch"):
        SquareAttack(steps=1, loss="mse")(linear, IMAGES)
    SquareAttack(steps=1, loss="mse", sharing="per_image")(linear, IMAGES)  # an image each


def test_a_sweep_over_seeds_shares_and_steps_traces_once() -> None:
    model = counted(linear)
    for sharing in ("shared", "per_image"):
        before = model.traced
        for change in ({}, {"seed": 3}, {"start_share": 0.9}, {"steps": 70}):
            SquareAttack(**({"steps": 4, "sharing": sharing} | change))(model, IMAGES, targets=TARGETS, mask=MASK)
        assert model.traced <= before + 1


def test_a_square_is_painted_as_a_plain_loop_paints_it() -> None:
    d = RNG.choice([-1.0, 1.0], (6, 5, 7, 3)).astype(np.float32)
    pixels, turns = RNG.integers(0, 35, 6), RNG.integers(1, 8, 6)
    corners = np.stack(np.divmod(pixels, 7), axis=1) - RNG.integers(0, 3, (6, 2))
    for side in (0, 1, 3):
        painted = propose(d, side, pixels, corners, turns).numpy()
        for index, sticker in enumerate(d.copy()):
            row, column = divmod(int(pixels[index]), 7)
            red, green, blue = sticker[row, column] > 0
            number = (4 * int(red) + 2 * int(green) + int(blue) + int(turns[index])) % 8
            for y in range(5):
                for x in range(7):
                    top, left = corners[index]
                    if top <= y < top + side and left <= x < left + side:
                        sticker[y, x] = [2 * (number // bit % 2) - 1 for bit in (4, 2, 1)]
            np.testing.assert_array_equal(painted[index], sticker)


def test_a_loss_that_is_not_finite_is_warned_of_where_the_attack_is_called() -> None:
    def broken(images: Any) -> Any:
        return tf.where(tf.reduce_any(images == 1.0), np.nan, 1.0) * linear(images)

    with pytest.warns(UserWarning, match="infinite or NaN") as caught:
        result = SquareAttack(steps=3)(broken, IMAGES, mask=MASK)
    assert caught[0].filename == __file__
    assert np.isfinite(result.perturbation).all()


def test_a_progress_bar_is_shown_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    SquareAttack(steps=3)(linear, IMAGES, mask=MASK, progress=False)
    assert capsys.readouterr().out == ""
    SquareAttack(steps=3)(linear, IMAGES, mask=MASK, progress=True)
    assert "4/4" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.realdata
def test_on_the_released_weights_one_sticker_changes_nine_signs_in_ten(rp2_folder: Path) -> None:
    model = lisa_cnn(weights=rp2_release.load_weights(rp2_folder))
    with pytest.warns(UserWarning, match="stray pixels"):
        mask = load_mask(rp2_folder / rp2_release.STICKER_MASK)
    result = SquareAttack(steps=300)(model, rp2_release.load_victims(rp2_folder).images, mask=mask)
    assert result.history["success"][-1, 0] >= 0.9


@pytest.mark.parametrize(
    ("settings", "phrase"),
    [
        ({"steps": 0}, "`steps` must be an integer of at least 1. Received: steps=0"),
        ({"start_share": 0.0}, "`start_share` must lie in (0, 1]. Received: start_share=0.0"),
        ({"start_share": 1.5}, "`start_share` must lie in (0, 1]"),
        ({"start_share": float("nan")}, "`start_share` must lie in (0, 1]"),
        ({"loss": "hinge"}, "`loss` must be a Loss or one of"),
        ({"sharing": "pairs"}, "`sharing` must be a Sharing or one of"),
        ({"seed": 2**31}, "`seed` must be an integer of 32 bits. Received: seed=2147483648"),
    ],
)
def test_a_bad_setting_is_an_error(settings: dict[str, Any], phrase: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the phrase is looked for below
        SquareAttack(**settings)
    assert phrase in str(error.value)
