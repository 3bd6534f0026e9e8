"""The conversion against three others: the same formula in 50 digits, dp-accounting's Rényi accountant, which uses the
same formula at given orders (like with like), and the exact curve of a Gaussian, which no bound may fall below."""

from __future__ import annotations

import math

import dp_accounting
import mpmath
import numpy as np
import pytest
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.dp.accounting import _best_order, attack_auc, delta_of, epsilon_of, largest_job, rho_within
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon, Rho
from passbox.dp.scale import SCALE_UNIT, price, smallest_scale

epsilons = st.floats(1e-3, 64).map(Epsilon)
deltas = st.floats(-12, -1).map(lambda power: Delta(10**power))
rhos = st.floats(-8, 1.8).map(lambda power: Rho(int(10**power * RHO_UNIT)))
GRID = [(e, d) for e in (1e-3, 0.1, 1.0, 3.0, 8.0, 64.0) for d in (1e-12, 1e-6, 1e-2, 0.5, 0.99)]


def budget(epsilon: float, delta: float = 1e-6) -> Budget:
    return Budget(Epsilon(epsilon), Delta(delta))


def delta_in_50_digits(rho: int, epsilon: float, beta: float) -> mpmath.mpf:
    """CKS 2020, proposition 12, at one order: whatever the order, a δ that truly holds."""
    with mpmath.workdps(50):
        r, e, b = mpmath.mpf(rho) / RHO_UNIT, mpmath.mpf(epsilon), mpmath.mpf(beta)
        return mpmath.exp(b * ((b + 1) * r - e)) / b * (b / (b + 1)) ** (b + 1)


@given(rhos, deltas)
def test_what_was_spent_is_never_below_the_truth(rho: Rho, delta: Delta) -> None:
    epsilon = epsilon_of(rho, delta)
    assert delta_in_50_digits(rho, epsilon, _best_order(rho / RHO_UNIT, epsilon)) <= delta


@given(epsilons, deltas)
def test_a_cap_is_never_above_the_truth(epsilon: Epsilon, delta: Delta) -> None:
    rho = rho_within(budget(epsilon, delta))
    if rho:
        assert delta_in_50_digits(rho, epsilon, _best_order(rho / RHO_UNIT, epsilon)) <= delta


@pytest.mark.parametrize(("epsilon", "delta"), GRID)
def test_a_cap_gives_away_less_than_a_millionth(epsilon: float, delta: float) -> None:
    more = rho_within(budget(epsilon, delta)) * (1 + 1e-6) + 2
    with mpmath.workdps(50):
        rho = mpmath.mpf(more) / RHO_UNIT
        best = mpmath.findroot(
            lambda log_b: (2 * mpmath.exp(log_b) + 1) * rho - epsilon - mpmath.log1p(mpmath.exp(-log_b)),
            math.log(_best_order(float(rho), epsilon)),
        )
        assert delta_in_50_digits(more, epsilon, mpmath.exp(best)) > delta


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("releases", [1, 10, 100])
def test_epsilon_is_that_of_a_renyi_accountant_with_the_same_formula(sigma: float, releases: int) -> None:
    """dp-accounting converts Rényi to (ε, δ) by the same proposition, at 4,000 orders instead of the best one."""
    delta, rho = 1e-6, Rho(round(releases * RHO_UNIT / (2 * sigma**2)))
    best = 1 + _best_order(rho / RHO_UNIT, epsilon_of(rho, Delta(delta)))
    theirs = RdpAccountant(1 + (best - 1) * np.geomspace(0.5, 2, 4000))
    theirs.compose(dp_accounting.GaussianDpEvent(sigma), releases)
    expected = theirs.get_epsilon(delta)
    assert expected * (1 - 1e-6) <= epsilon_of(rho, Delta(delta)) <= expected * 1.001


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize(("delta", "above"), [(1e-3, 1.5), (1e-6, 1.12), (1e-9, 1.08)])
def test_epsilon_is_above_the_exact_curve_of_a_gaussian_by_little(sigma: float, delta: float, above: float) -> None:
    """The exact curve (Balle & Wang 2018) is what zCDP bounds from above: the closer, the smaller δ."""
    exact = dp_accounting.get_epsilon_gaussian(sigma, delta)
    assert exact < epsilon_of(Rho(math.ceil(RHO_UNIT / (2 * sigma**2))), Delta(delta)) < above * exact


@given(rhos, rhos, deltas)
def test_more_spent_is_never_a_smaller_epsilon(a: Rho, b: Rho, delta: Delta) -> None:
    low, high = sorted((a, b))
    assert epsilon_of(Rho(low), delta) <= epsilon_of(Rho(high), delta) * (1 + 1e-12)


@given(epsilons, epsilons, deltas, deltas)
def test_a_larger_budget_is_never_a_smaller_cap(a: Epsilon, b: Epsilon, c: Delta, d: Delta) -> None:
    assert rho_within(budget(min(a, b), min(c, d))) <= rho_within(budget(max(a, b), max(c, d)))


@given(epsilons, deltas)
def test_a_budget_spent_to_the_last_unit_reads_as_that_budget(epsilon: Epsilon, delta: Delta) -> None:
    rho = rho_within(budget(epsilon, delta))
    assert epsilon_of(rho, delta) <= epsilon * (1 + 1e-12)
    assert epsilon_of(Rho(rho + 1), delta) >= epsilon * (1 - 1e-12)


@pytest.mark.parametrize(("rho", "epsilon"), [(2000.0, 1.0), (30.0, 1.0), (1e-12, 64.0), (1e-12, 0.0), (0.0, 0.0)])
def test_at_the_ends_delta_is_a_probability(rho: float, epsilon: float) -> None:
    assert 0 <= delta_of(rho, epsilon) <= 1


def test_a_huge_loss_is_worth_a_finite_epsilon_and_no_loss_none() -> None:
    assert 2**20 < epsilon_of(Rho(2**20 * RHO_UNIT), Delta(1e-6)) < 2**21
    assert epsilon_of(Rho(0), Delta(1e-6)) == 0


def test_where_nothing_fits_the_cap_is_zero() -> None:
    assert rho_within(budget(1e-6, 1e-9)) == 0


def test_seven_jobs_of_epsilon_1_fit_into_epsilon_3_and_not_eight() -> None:
    cap, job = rho_within(budget(3)), rho_within(budget(1))
    assert 7 * job <= cap < 8 * job


def test_exactly_100_of_100_hundredths_of_a_cap_fit() -> None:
    cap = rho_within(budget(3))
    cost = price(1, smallest_scale(1, Rho(cap // 100)))
    assert 100 * cost <= cap < 101 * cost


@settings(max_examples=40)
@given(st.floats(0.01, 64).map(Epsilon), st.sampled_from([1e-9, 1e-6, 1e-3]), st.floats(0, 1))
def test_the_largest_job_fits_and_the_next_step_does_not(epsilon: Epsilon, delta: float, share: float) -> None:
    left = Rho(int(rho_within(budget(epsilon, delta)) * share))
    largest = largest_job(left, Delta(delta))
    assert not largest or rho_within(budget(largest, delta)) <= left
    assert largest >= 64 or rho_within(budget(largest + 1e-4, delta)) > left


@pytest.mark.parametrize("epsilon", [0.001, 0.5, 1.0, 3.0, 64.0])
def test_an_untouched_cap_holds_one_job_of_its_whole_epsilon(epsilon: float) -> None:
    assert largest_job(rho_within(budget(epsilon)), Delta(1e-6)) == epsilon


def test_the_worst_case_is_a_coin_without_loss_and_grows_with_it() -> None:
    assert attack_auc(Rho(0)) == 0.5
    aucs = [attack_auc(rho_within(budget(epsilon))) for epsilon in (1, 4, 8)]
    assert [round(auc, 2) for auc in aucs] == [0.56, 0.71, 0.85]


def test_a_scale_is_the_smallest_that_keeps_to_its_price() -> None:
    rho = rho_within(budget(1))
    scale = smallest_scale(2**40, rho)
    assert price(2**40, scale) <= rho < price(2**40, type(scale)(scale - 1))
    assert scale / SCALE_UNIT == pytest.approx(2**20 / math.sqrt(2 * rho / RHO_UNIT), rel=1e-9)
