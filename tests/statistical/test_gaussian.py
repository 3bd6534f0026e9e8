"""Does the noise keep its promise? Each test states its false-alarm rate, and catches planted faults.

μ is the parameter of Gaussian differential privacy: Δ/σ, so that ρ = μ²/2. A test for one person's presence with error
rates α and β proves μ >= Φ⁻¹(1-α) - Φ⁻¹(β) (Dong, Roth, Su 2022). Lower bounds on ε would prove little here: at ε 1 and
δ 10^-6 the best event has probability 10^-5.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, chi2, norm

from passbox.dp.budget import RHO_UNIT, Rho
from passbox.dp.mechanisms import gaussian
from passbox.dp.scale import SCALE_UNIT, Scale, price, smallest_scale

Int = NDArray[np.int64]
Mechanism = Callable[[Int, int, Scale], Int]

DRAWS = 200_000
FEW = 10_000
"""Draws that are enough to catch a planted fault: each lies 28 deviations outside or more."""
ALARM = 1e-6
"""False-alarm rate of each claim below, unless it says otherwise."""


def ours(values: Int, l2_squared: int, scale: Scale) -> Int:
    return gaussian(values, l2_squared, scale, price(l2_squared, scale))


def half_the_noise(values: Int, l2_squared: int, scale: Scale) -> Int:
    return ours(values, l2_squared, Scale(scale // 2))


def scale_rounded_down(values: Int, l2_squared: int, scale: Scale) -> Int:
    return ours(values, l2_squared, Scale(scale // SCALE_UNIT * SCALE_UNIT))


def two_rows_moved(values: Int, l2_squared: int, scale: Scale) -> Int:
    """What a match that moves two rows a record would do under a price for one."""
    return ours(2 * values, l2_squared, scale)


class NoiseReused:
    """Draws once, and adds the same noise ever after."""

    noise: Int | None = None

    def __call__(self, values: Int, l2_squared: int, scale: Scale) -> Int:
        if self.noise is None:
            self.noise = ours(np.zeros_like(values), l2_squared, scale)
        return values + self.noise


# -- how far apart are two neighbours? ------------------------------------------------------------------------------


def proven_mu(mechanism: Mechanism, step: int, scale: Scale, draws: int = DRAWS) -> float:
    """The largest μ that draws on two neighbours prove, wrong (too large) at a rate of `ALARM`.

    Neighbours: a cell of 0, or of `step`. Clopper-Pearson on both error rates of the test "above step / 2".
    """
    without = mechanism(np.zeros(draws, dtype=np.int64), step**2, scale)
    with_one = mechanism(np.full(draws, step, dtype=np.int64), step**2, scale)
    false_alarms, misses = int((without > step // 2).sum()), int((with_one <= step // 2).sum())
    alpha, missed = (beta.ppf(1 - ALARM / 2, errors + 1, draws - errors) for errors in (false_alarms, misses))
    return float(norm.ppf(1 - alpha) - norm.ppf(missed))


STEP = 2**10
"""One person's move in lattice units: the lattice is fine beside the noise, and μ is that of a continuous Gaussian."""
SCALE = smallest_scale(STEP**2, Rho(RHO_UNIT // 2))
"""μ 1: σ is one step."""


def test_two_neighbours_are_as_far_apart_as_was_paid_for_and_no_farther() -> None:
    """Too far: `ALARM`. Not within 5 % below: the bound lies .029 below a mean of 1, with deviation .0043: < 10^-5."""
    assert 0.95 < proven_mu(ours, STEP, SCALE) <= 1


@pytest.mark.parametrize("broken", [half_the_noise, two_rows_moved])
def test_neighbours_under_too_little_noise_are_caught(broken: Mechanism) -> None:
    assert proven_mu(broken, STEP, SCALE, FEW) > 1


# -- is the noise as large as it says? ------------------------------------------------------------------------------


def variance_fits(mechanism: Mechanism, scale: Scale, draws: int = DRAWS) -> bool:
    """Chi-square test of the variance, two-sided, at `ALARM`.

    The discrete Gaussian's variance is below σ², by less than a millionth from σ 1 on (CKS 2020, fact 19).
    """
    noise = mechanism(np.zeros(draws, dtype=np.int64), 1, scale).astype(np.float64)
    ratio = noise.var(ddof=1) * (draws - 1) / (scale / SCALE_UNIT) ** 2
    low, high = chi2.ppf([ALARM / 2, 1 - ALARM / 2], draws - 1)
    return bool(low <= ratio <= high)


@pytest.mark.parametrize("sigma", [2.5, 3.9, 37.5, 2.0**30])
def test_the_variance_is_the_one_that_was_paid_for(sigma: float) -> None:
    assert variance_fits(ours, Scale(round(sigma * SCALE_UNIT)), DRAWS // 2)


@pytest.mark.parametrize("broken", [half_the_noise, scale_rounded_down])
def test_a_variance_that_was_not_paid_for_is_caught(broken: Mechanism) -> None:
    assert not variance_fits(broken, Scale(round(4.9 * SCALE_UNIT)), FEW)


def test_small_noise_has_the_probabilities_of_the_discrete_gaussian() -> None:
    """Each value at σ 2.5 against exp(-k²/2σ²) / Σ: chi-square over 16 cells, at `ALARM`."""
    noise = ours(np.zeros(DRAWS, dtype=np.int64), 1, Scale(5 * SCALE_UNIT // 2))
    weights = np.exp(-(np.arange(-40, 41) ** 2) / 12.5)
    inner = weights[33:48] / weights.sum()
    expected = DRAWS * np.r_[inner, 1 - inner.sum()]
    seen = np.array([(noise == k).sum() for k in range(-7, 8)])
    seen = np.r_[seen, DRAWS - seen.sum()]
    assert ((seen - expected) ** 2 / expected).sum() < chi2.isf(ALARM, len(expected) - 1)


# -- is it new each time? -------------------------------------------------------------------------------------------


def looks_independent(mechanism: Mechanism, draws: int = 50_000) -> bool:
    """No correlation between the noise of two releases, nor between cells: |r| √n is normal, at `ALARM` each."""
    zeros = np.zeros(draws, dtype=np.int64)
    first, second = (mechanism(zeros, 1, Scale(10 * SCALE_UNIT)).astype(np.float64) for _ in range(2))
    pairs = ((first, second), (first[1:], first[:-1]))
    limit = norm.isf(ALARM / 2) / math.sqrt(draws - 2)
    return all(abs(np.corrcoef(a, b)[0, 1]) < limit for a, b in pairs)


def test_two_releases_have_noise_of_their_own() -> None:
    assert looks_independent(ours)


def test_noise_that_is_used_twice_is_caught() -> None:
    assert not looks_independent(NoiseReused(), FEW)
