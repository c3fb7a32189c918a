"""The names of the flags, and the page that explains them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blurnet_tf import lisa_cnn
from blurnet_tf.evaluation.flags import FLAGS, Flag

PAGE = Path(__file__).resolve().parent.parent / "docs" / "flags.md"


def test_each_flag_has_a_section_on_the_page_and_the_page_no_other() -> None:
    assert re.findall(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE) == [f"`{name}`" for name in FLAGS]


def test_a_section_says_why_and_what_to_do() -> None:
    _, *sections = PAGE.read_text(encoding="utf-8").split("\n## ")
    for name, section in zip(FLAGS, sections, strict=True):
        assert FLAGS[name] in " ".join(section.split()), name
        assert "**Why it matters.**" in section, name
        assert "**What to do.**" in section, name


def test_each_flag_is_one_sentence() -> None:
    for sentence in FLAGS.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert ". " not in sentence


def test_an_unknown_name_is_an_error() -> None:
    assert Flag("nan", "All answers are NaN.").sentence == "All answers are NaN."
    with pytest.raises(ValueError, match=r"`name` must be one of attack_below_floor, .*\. Received: name='wrong'"):
        Flag("wrong", "")


@pytest.mark.slow
def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    images = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3)).astype(np.float32)
    names: dict[str, Any] = {"model": lisa_cnn(seed=0), "images": images, "labels": np.array([14, 14])}
    names["mask"] = np.ones((32, 32, 1), np.float32)
    exec(example.replace("steps=150", "steps=2"), names)
    assert capsys.readouterr().out
