"""The exact curve of a Gaussian against two others: the same in 60 digits, and dp-accounting's; and against CKS, which
bounds it from above."""

from __future__ import annotations

import math

import dp_accounting
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passbox.dp.accounting import attack_auc, delta_of, epsilon_of, largest_job, rho_within
from passbox.dp.budget import RHO_UNIT, Budget, Delta, Epsilon, Rho
from passbox.dp.scale import SCALE_UNIT, price, smallest_scale

epsilons = st.floats(1e-3, 64).map(Epsilon)
deltas = st.floats(-12, -1).map(lambda power: Delta(10**power))
rhos = st.floats(-8, 1.8).map(lambda power: Rho(int(10**power * RHO_UNIT)))
GRID = [(e, d) for e in (1e-3, 0.1, 1.0, 3.0, 8.0, 64.0) for d in (1e-12, 1e-6, 1e-2, 0.5, 0.99)]


def budget(epsilon: float, delta: float = 1e-6) -> Budget:
    return Budget(Epsilon(epsilon), Delta(delta))


def delta_in_60_digits(rho: float, epsilon: float) -> mpmath.mpf:
    """Balle & Wang 2018, theorem 8."""
    with mpmath.workdps(60):
        mu, e = mpmath.sqrt(2 * mpmath.mpf(rho) / RHO_UNIT), mpmath.mpf(epsilon)
        return mpmath.ncdf(mu / 2 - e / mu) - mpmath.exp(e) * mpmath.ncdf(-mu / 2 - e / mu)


@given(rhos, deltas)
def test_what_was_spent_is_never_below_the_truth(rho: Rho, delta: Delta) -> None:
    assert delta_in_60_digits(rho, epsilon_of(rho, delta)) <= delta


@given(epsilons, deltas)
def test_a_cap_is_never_above_the_truth(epsilon: Epsilon, delta: Delta) -> None:
    rho = rho_within(budget(epsilon, delta))
    if rho:
        assert delta_in_60_digits(rho, epsilon) <= delta


@pytest.mark.parametrize(("epsilon", "delta"), GRID)
def test_a_cap_gives_away_less_than_a_millionth(epsilon: float, delta: float) -> None:
    """But for ε .001 at δ 1e-12, where float64 has few digits of the difference and all doubt is kept."""
    if (epsilon, delta) == (1e-3, 1e-12):
        pytest.skip("float64 keeps four digits there, and rounds them against us")
    assert delta_in_60_digits(rho_within(budget(epsilon, delta)) * (1 + 1e-6) + 2, epsilon) > delta


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("releases", [1, 10, 100])
@pytest.mark.parametrize("delta", [1e-3, 1e-6, 1e-9])
def test_epsilon_is_that_of_dp_accounting_for_gaussians(sigma: float, releases: int, delta: float) -> None:
    """So many Gaussians of σ are one of σ/√n. Never below theirs, at most .1 % above."""
    theirs = dp_accounting.get_epsilon_gaussian(sigma / math.sqrt(releases), delta)
    ours = epsilon_of(Rho(math.ceil(releases * RHO_UNIT / (2 * sigma**2))), Delta(delta))
    assert theirs * (1 - 1e-9) <= ours <= theirs * 1.001


@given(rhos, deltas)
def test_the_exact_curve_asks_no_more_than_the_bound_for_all_of_zcdp(rho: Rho, delta: Delta) -> None:
    """Canonne, Kamath, Steinke 2020, proposition 12, at whatever order, gives no smaller ε."""
    r = rho / RHO_UNIT
    orders = 1 + np.geomspace(1e-6, 1e6, 400)
    cks = (
        orders * r
        + (math.log(1 / delta) - np.log(orders - 1)) / (orders - 1)
        + orders * np.log1p(-1 / orders) / (orders - 1)
    )
    assert epsilon_of(rho, delta) <= max(float(cks.min()), 0.0) * (1 + 1e-6) + 1e-9


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
    assert [round(auc, 2) for auc in aucs] == [0.57, 0.72, 0.86]


def test_a_scale_is_the_smallest_that_keeps_to_its_price() -> None:
    rho = rho_within(budget(1))
    scale = smallest_scale(2**40, rho)
    assert price(2**40, scale) <= rho < price(2**40, type(scale)(scale - 1))
    assert scale / SCALE_UNIT == pytest.approx(2**20 / math.sqrt(2 * rho / RHO_UNIT), rel=1e-9)


def test_labels_add_to_the_worst_case_as_much_as_their_epsilon_says() -> None:
    """Alone, one label is told by whoever believes it; beside noise two worlds are further apart than by either."""
    assert attack_auc(Rho(0), 2.0) == pytest.approx(1 / (1 + math.exp(-2.0)))
    rho = rho_within(budget(2.0))
    assert attack_auc(rho, 0.0) == pytest.approx(0.5 * (1 + math.erf(math.sqrt(rho / (2 * RHO_UNIT)))))
    assert max(attack_auc(rho), attack_auc(Rho(0), 2.0)) < attack_auc(rho, 2.0) < 1


def test_the_worst_case_beside_labels_is_that_of_draws() -> None:
    """400,000 pairs of worlds: within 5.2 standard deviations, a false alarm once in 5 million."""
    rng, draws, rho, epsilon = np.random.default_rng(1), 400_000, rho_within(budget(2.0)), 1.0
    mu, right = math.sqrt(2 * rho / RHO_UNIT), 1 / (1 + math.exp(-epsilon))
    scores = []
    for there in (0, 1):
        yes = rng.random(draws) < (right if there else 1 - right)
        scores.append(mu * rng.normal(mu * there, 1, draws) + np.where(yes, epsilon, -epsilon))
    seen = float((scores[1] > scores[0]).mean())
    assert abs(seen - attack_auc(rho, epsilon)) < 5.2 * math.sqrt(0.25 / draws)
