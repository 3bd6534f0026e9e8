"""Shares of noisy counts: intervals hold the truth, also where noise puts a share beyond all that is possible."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from passbox.dp.noisy import Estimate
from passbox.modelling.evaluate_noisy import ratio

RUNS, ALARM = 2_000, 1e-6
ALL = np.ones(1, dtype=np.bool_)


def shares(rate: float, people: int, sigma: float) -> list[Estimate]:
    """Of so many people, each counted as right at this rate: what noisy counts say of it."""
    rng = np.random.default_rng(11)
    right = rng.binomial(people, rate, RUNS)
    noise = rng.normal(0, sigma, (2, RUNS, 1))
    return [
        ratio(np.array([yes]) + one, np.array([people - yes]) + other, sigma, (ALL, ~ALL), (ALL, ALL))
        for yes, one, other in zip(right.tolist(), *noise, strict=True)
    ]


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.03, 0.5, 0.97, 0.99, 1.0])
@pytest.mark.parametrize(("people", "sigma"), [(200, 4.0), (1_000, 8.0)])
def test_a_share_lies_in_its_interval_and_is_told_where_counts_are_large(
    rate: float, people: int, sigma: float
) -> None:
    """In .94 of the runs that are expected at the least, but for one test in 10^6; and never all that is possible."""
    found = shares(rate, people, sigma)
    held = sum(each.low - 1e-9 <= rate <= each.high + 1e-9 for each in found)
    assert held >= binom.ppf(ALARM, RUNS, 0.94)
    assert not any(each.low <= 0 and each.high >= 1 for each in found)


def test_a_share_that_noise_puts_beyond_one_is_one_and_says_how_far_it_may_lie_below() -> None:
    found = ratio(np.array([215.0]), np.array([-15.0]), 4.0, (ALL, ~ALL), (ALL, ALL))
    assert found.estimate == found.high == 1
    assert 0.9 < found.low < 1
    none = ratio(np.array([-15.0]), np.array([215.0]), 4.0, (ALL, ~ALL), (ALL, ALL))
    assert (none.low, none.estimate, none.high) == pytest.approx((0, 0, 1 - found.low))


def test_of_counts_that_noise_hides_all_that_is_possible_is_left() -> None:
    found = ratio(np.array([3.0]), np.array([-2.0]), 6.0, (ALL, ~ALL), (ALL, ALL))
    assert (found.low, found.high) == (0, 1)
