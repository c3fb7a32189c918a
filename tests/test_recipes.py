"""Recipes: what a preset and the plan of a procedure make of a training, and its learning rate step by step."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from blurnet_tf.training.procedures import PROCEDURES, Stickers
from blurnet_tf.training.recipes import PLANS, PRESETS, SCHEDULES, Recipe, learning_rate, recipe

EPOCHS = {name: preset.epochs for name, preset in PRESETS.items()}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_plan_takes_the_place_of_the_preset(preset: str) -> None:
    planned = recipe(preset, "vote_cnn+adversarial_stickers", seed=3)
    assert (planned.epochs, planned.learning_rate, planned.schedule) == (3 * EPOCHS[preset], 2e-3, "cosine")
    assert (planned.seed, planned.variant.name) == (3, "vote_cnn")


@pytest.mark.parametrize("name", PROCEDURES)
def test_a_procedure_without_a_plan_is_trained_as_the_preset_says(name: str) -> None:
    found, plain = recipe("quick", f"baseline+{name}"), recipe("quick", "baseline")
    same = found == dataclasses.replace(plain, procedure=PROCEDURES[name])
    assert same == (name not in PLANS)


def test_a_procedure_of_ones_own_has_no_plan() -> None:
    own = dataclasses.replace(PROCEDURES["adversarial_stickers"], unattacked=7)
    assert recipe("quick", "baseline", procedure=own).epochs == EPOCHS["quick"]
    assert recipe("quick", "baseline", procedure=Stickers()).name == "baseline+stickers"


def rates(schedule: str, steps: int) -> Any:
    found = learning_rate(Recipe(variant=recipe("quick", "baseline").variant, epochs=1, schedule=schedule), steps)
    return np.array([found if isinstance(found, float) else float(found(step)) for step in range(steps + 1)])


def test_the_rates_of_the_schedules() -> None:
    steps = np.arange(401)
    np.testing.assert_allclose(rates("constant", 400), 1e-3)
    fall = 0.5 * (1 + np.cos(np.pi * np.clip((steps - 300) / 100, 0, 1)))
    np.testing.assert_allclose(rates("late_cosine", 400), 1e-3 * fall, atol=1e-9)
    fall = 0.5 * (1 + np.cos(np.pi * (steps - 20) / 380))
    expected = np.where(steps < 20, 0.05 + 0.95 * steps / 20, fall)
    np.testing.assert_allclose(rates("cosine", 400), 1e-3 * expected, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_training_of_few_steps_has_rates_too(schedule: str) -> None:
    found = rates(schedule, 2)[:2]
    assert np.isfinite(found).all()
    assert (found > 0).all()
    assert (found <= 1e-3 + 1e-9).all()


def test_an_unknown_schedule_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"`schedule` must be one of constant, late_cosine, cosine\. Received"):
        dataclasses.replace(recipe("quick", "baseline"), schedule="linear")
