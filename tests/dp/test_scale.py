"""A discrete draw is a continuous one, rounded at random: the argument of `dp.scale`, in 40 digits."""

from __future__ import annotations

import mpmath
import pytest

from passbox.dp.accounting import rho_within
from passbox.dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon, Rho
from passbox.dp.scale import SCALE_UNIT, SMOOTHING, Scale, price, smallest_scale


def worst_ratio(sigma: float, s: float, points: tuple[int, ...]) -> mpmath.mpf:
    """How far rounding a continuous draw at random is from the discrete Gaussian, at worst, as |ratio - 1|.

    The integral is a trapezoid sum, which for so smooth an integrand is exact to far more than 40 digits.
    """
    with mpmath.workdps(40):
        sigma, s = mpmath.mpf(sigma), mpmath.mpf(s)
        a = mpmath.sqrt(sigma**2 - s**2)
        width = a * s / sigma
        step = min(width, s) / 8

        def weights(x: mpmath.mpf) -> mpmath.mpf:
            middle, reach = int(mpmath.floor(x)), int(14 * s) + 2
            return mpmath.fsum(mpmath.exp(-((k - x) ** 2) / (2 * s**2)) for k in range(middle - reach, middle + reach))

        def rounded(y: int) -> mpmath.mpf:
            middle = y * a**2 / sigma**2
            grid = [middle + k * step for k in range(-int(14 * width / step), int(14 * width / step))]
            heights = [mpmath.exp(-(x**2) / (2 * a**2) - (y - x) ** 2 / (2 * s**2)) / weights(x) for x in grid]
            return step * mpmath.fsum(heights) / (mpmath.sqrt(2 * mpmath.pi) * a)

        whole = mpmath.fsum(mpmath.exp(-(mpmath.mpf(k) ** 2) / (2 * sigma**2)) for k in range(-90, 91))
        return max(abs(rounded(y) * whole / mpmath.exp(-(mpmath.mpf(y) ** 2) / (2 * sigma**2)) - 1) for y in points)


def bound(s: float) -> mpmath.mpf:
    return 3 * mpmath.mpf("2.1") * mpmath.exp(-2 * mpmath.pi**2 * mpmath.mpf(s) ** 2)


@pytest.mark.parametrize("s", [0.6, 0.8, 1.0])
def test_the_ratio_keeps_to_the_bound_of_the_argument(s: float) -> None:
    """At small s the ratio is far enough from 1 to be seen, and the bound is what it is held against."""
    assert worst_ratio(3.0, s, (0, 1, 7)) <= bound(s)


def test_at_the_smoothing_we_give_away_nothing_is_left_to_see() -> None:
    assert bound(SMOOTHING) < mpmath.mpf("1e-33")
    assert worst_ratio(6.0, SMOOTHING, (0, 3)) < mpmath.mpf("1e-33")


def test_without_smoothing_the_argument_fails() -> None:
    """The planted fault: with s of a tenth of a step, a rounded draw is nothing like the discrete Gaussian."""
    assert worst_ratio(3.0, 0.1, (0, 1)) > 0.01 or bound(0.1) > 1


def test_a_price_is_that_of_a_continuous_gaussian_with_less_variance() -> None:
    scale = Scale(1000 * SCALE_UNIT)
    exact = RHO_UNIT / (2 * (1000**2 - SMOOTHING**2))
    assert exact <= price(1, scale) < exact + 1
    with pytest.raises(ValueError, match="wider"):
        price(1, Scale(SMOOTHING * SCALE_UNIT))


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0])
def test_counts_lose_nothing_to_the_argument(epsilon: float) -> None:
    """People are counted on so fine a lattice that the price differs from the continuous one by less than 1e-5."""
    rho = rho_within(Budget(Epsilon(epsilon), Delta(1e-6)))
    scale = smallest_scale(COUNT_L2_SQUARED, rho)
    continuous = (RHO_UNIT / (2 * rho)) ** 0.5
    assert scale / SCALE_UNIT / 2**COUNT_BITS == pytest.approx(continuous, rel=1e-5)


def test_the_scale_is_the_smallest_that_fits() -> None:
    rho = Rho(28_014_481_912)
    scale = smallest_scale(COUNT_L2_SQUARED, rho)
    assert price(COUNT_L2_SQUARED, scale) <= rho < price(COUNT_L2_SQUARED, Scale(scale - 1))
