from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbox.dp.budget import EPSILON_UNIT, LARGEST_EPSILON, Budget, Delta, Epsilon, epsilon_units, said_down


@pytest.mark.parametrize(("epsilon", "delta"), [(5e-324, 5e-324), (1.0, 1e-6), (64.0, 1 - 2**-53)])
def test_a_budget_is_any_epsilon_up_to_64_and_any_delta_between_0_and_1(epsilon: float, delta: float) -> None:
    assert Budget(Epsilon(epsilon), Delta(delta)).epsilon == epsilon


@pytest.mark.parametrize("epsilon", [0.0, -1.0, 64.000001, math.nan, math.inf])
def test_an_epsilon_that_promises_nothing_is_refused(epsilon: float) -> None:
    with pytest.raises(ValueError, match="epsilon"):
        Budget(Epsilon(epsilon), Delta(1e-6))


@pytest.mark.parametrize("delta", [0.0, -0.1, 1.0, math.nan, math.inf])
def test_a_delta_that_promises_nothing_is_refused(delta: float) -> None:
    with pytest.raises(ValueError, match="delta"):
        Budget(Epsilon(1.0), Delta(delta))


@given(st.integers(1, round(LARGEST_EPSILON * EPSILON_UNIT)))
def test_what_is_said_of_what_is_left_is_no_more_and_is_written_as_it_is(left: int) -> None:
    said = said_down(left / EPSILON_UNIT)
    assert float(f"{said:g}") == said
    assert 0.99999 * left < epsilon_units(said) <= left
