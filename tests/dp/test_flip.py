from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passbox.dp.budget import EPSILON_UNIT, epsilon_units
from passbox.dp.flip import FLIP_UNIT, LEAST_FLIP, Flip, least_flip, price_of

flips = st.integers(1, FLIP_UNIT // 2).map(Flip)
moves = st.integers(1, 8)


@given(st.integers(1_000, 64 * EPSILON_UNIT), moves)
def test_a_flip_costs_less_than_is_paid_and_one_step_less_does_not(units: int, moved: int) -> None:
    flip = least_flip(units, moved)
    assert price_of(flip, moved) < units
    assert flip == LEAST_FLIP or price_of(Flip(flip - 1), moved) >= units


@given(flips, moves)
def test_a_price_is_the_loss_rounded_up(flip: Flip, moved: int) -> None:
    """Beside float64, which is wrong by less than a tenth of a unit: what a verifier finds is never above a charge."""
    loss = moved * math.log(FLIP_UNIT / flip - 1) * EPSILON_UNIT
    assert -0.1 < price_of(flip, moved) - loss < 1.1


@given(st.integers(1_000, 64 * EPSILON_UNIT), moves)
def test_whoever_checks_with_floats_finds_that_a_charge_is_enough(units: int, moved: int) -> None:
    assert math.sqrt(moved**2) * math.log(2**52 / least_flip(units, moved) - 1) * 1e12 <= units


@pytest.mark.parametrize(("epsilon", "moved"), [(1.0, 1), (2.0, 1), (4.0, 1), (4.0, 2), (0.5, 8)])
def test_a_flip_is_one_in_one_and_e_to_the_epsilon_of_a_label(epsilon: float, moved: int) -> None:
    flip = least_flip(round(epsilon * EPSILON_UNIT), moved)
    assert flip / FLIP_UNIT == pytest.approx(1 / (1 + math.exp(epsilon / moved)), rel=1e-10)


@pytest.mark.parametrize("units", [-1, 0, 1])
def test_nothing_is_bought_for_nothing(units: int) -> None:
    with pytest.raises(ValueError, match="so little"):
        least_flip(units, 1)


@pytest.mark.parametrize(("flip", "moved"), [(0, 1), (-1, 1), (FLIP_UNIT // 2 + 1, 1), (FLIP_UNIT, 1), (1, 0), (1, -1)])
def test_what_is_no_flip_or_moves_no_label_has_no_price(flip: int, moved: int) -> None:
    with pytest.raises(ValueError, match="above 0 and at most a half"):
        price_of(Flip(flip), moved)


def test_a_coin_costs_nothing() -> None:
    assert price_of(Flip(FLIP_UNIT // 2), 1) == 0


def test_epsilon_is_counted_as_it_is_written() -> None:
    assert [epsilon_units(each) for each in (0.1, 1.5, 64.0, 1e-12)] == [10**11, 15 * 10**11, 64 * 10**12, 1]


@pytest.mark.parametrize("epsilon", [0.0, -1.0, 1e-13, 0.1234567890123])
def test_what_is_no_whole_number_of_units_is_refused(epsilon: float) -> None:
    with pytest.raises(ValueError, match="whole number"):
        epsilon_units(epsilon)
