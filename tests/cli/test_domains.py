"""What a column holds, in words: nothing of a bound is rounded."""

from __future__ import annotations

import pytest

from passbox.cli.domains import domain, written
from passbox.policies.contract import NumberColumn


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ([0.0, 12345678.0], "0 to 12345678"),
        ([-0.1234567, 99999.99], "-0.1234567 to 99999.99"),
        ([18.0, 100.0], "18 to 100"),
        ([0.0, 1e12], "0 to 1000000000000"),
    ],
)
def test_bounds_are_said_to_the_last_digit(bounds: list[float], said: str) -> None:
    column = NumberColumn(kind="number", bounds=bounds)
    assert domain(column) == written(column) == f"a number from {said}"
