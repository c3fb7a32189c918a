"""A sample of the damaged and hostile inputs that `make fuzz` tries thousands of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz import cases

pytestmark = pytest.mark.slow
SEED, CASES, PARTS = 16, 200, 4


@pytest.fixture(scope="module", autouse=True)
def cleaned() -> Iterator[None]:
    yield
    cases.clean()


@pytest.mark.parametrize("part", range(PARTS))
def test_no_input_does_more_than_be_refused_or_read(part: int) -> None:
    found = {number: cases.run(SEED, number) for number in range(part, CASES, PARTS)}
    assert {number: one for number, one in found.items() if one.fault} == {}
    assert {one.kind for one in found.values()} == {"refused", "accepted"}
