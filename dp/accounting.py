"""How ε, δ and ρ relate: the one place where a promise becomes an integer and back.

Contracts and jobs speak (ε, δ); the ledger counts ρ = μ²/2 in whole units, where μ is the parameter of Gaussian
differential privacy. Every release that is counted so is Gaussian, so ρ adds up over releases and one curve says what a
total is worth, exactly: δ(ε) = Φ(μ/2 - ε/μ) - e^ε Φ(-μ/2 - ε/μ). Labels by randomised response are counted beside, in ε
(`dp.flip`), and have a part of a contract's ε that was set aside for them: docs/privacy.md says why both together hold.

Sources: Balle and Wang 2018, theorem 8 (arXiv:1805.06530), for the curve; Dong, Roth and Su 2022 (arXiv:1905.02383)
and, for releases that are chosen one after the other, Smith and Thakurta 2022 (arXiv:2210.17520), for adding up. That
the discrete Gaussian we draw is no weaker than a continuous one of slightly less noise is argued in `dp.scale`.
Held by tests/dp/test_accounting.py.
"""

from __future__ import annotations

import math
from functools import lru_cache

from .budget import LARGEST_EPSILON, RHO_UNIT, Budget, Delta, Epsilon, Rho

_AGAINST_US = 1e-9
"""Relative margin kept below a promised δ: far above what the lattice can cost (`dp.scale`: less than 1e-22)."""

_LOST_DIGITS = 1e-13
"""What float64 can lose of either term of the curve, with room: added to δ, never taken away."""


def delta_of(rho: float, epsilon: float) -> float:
    """Smallest δ at which a total of ρ gives (ε, δ), rounded up. rho: in units of 1, not of `Rho`."""
    if rho <= 0:
        return 0.0
    mu = math.sqrt(2 * rho)
    first = _normal(mu / 2 - epsilon / mu)
    second = math.exp(epsilon) * _normal(-mu / 2 - epsilon / mu) if epsilon < 700 else 0.0
    return min(1.0, max(0.0, first - second) + _LOST_DIGITS * (first + second))


def _normal(x: float) -> float:
    """Φ, with all its digits in the tail."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _holds(rho: int, epsilon: float, delta: float) -> bool:
    """Whether this much ρ keeps to (ε, δ), with the margin: the one judgement both directions share."""
    return delta_of(rho / RHO_UNIT, epsilon) <= delta * (1 - _AGAINST_US)


@lru_cache(maxsize=256)
def rho_within(budget: Budget) -> Rho:
    """Largest whole ρ whose ε at the budget's δ is at most the budget's ε: a cap, or a job's price.

    Rounded down. 0 means that nothing fits.
    """
    low, high = 0, RHO_UNIT
    while _holds(high, budget.epsilon, budget.delta):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if _holds(middle, budget.epsilon, budget.delta):
            low = middle
        else:
            high = middle
    return Rho(low)


@lru_cache(maxsize=256)
def epsilon_of(rho: Rho, delta: Delta) -> Epsilon:
    """The ε that ρ is worth at δ, rounded up: what was spent.

    Never below the truth: the answer itself was found to hold, by the same judgement that makes caps and prices.
    """
    if rho <= 0:
        return Epsilon(0.0)
    low, high = 0.0, 1.0
    while not _holds(rho, high, delta):
        low, high = high, high * 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if _holds(rho, middle, delta) else (middle, high)
    return Epsilon(high)


@lru_cache(maxsize=256)
def largest_job(left: Rho, delta: Delta) -> Epsilon:
    """The largest ε a job may still ask when `left` is unspent, rounded down to 4 digits after the point.

    Never the difference of two ε: seven jobs of ε 1 fit into ε 3.
    """
    steps = math.ceil(min(epsilon_of(left, delta), LARGEST_EPSILON) * _STEPS)
    while steps > 0 and rho_within(Budget(Epsilon(steps / _STEPS), delta)) > left:
        steps -= 1
    return Epsilon(steps / _STEPS)


_STEPS = 10_000


def attack_auc(rho: Rho, responses: float = 0.0) -> float:
    """How well the best test tells one person's presence from the noisy numbers: its AUC, at worst.

    .5 is a coin. From the trade-off curve of a Gaussian with μ = √(2ρ): AUC = Φ(μ/√2).
    Source: Dong, Roth, Su 2022 (arXiv:1905.02383), section 2. responses: ε of labels by randomised response, which a
    reader has beside. Of all that keeps to ε one label tells most (Kairouz, Oh, Viswanath 2015, arXiv:1311.0776): the
    log odds of two worlds then differ by 2ε, 0 or -2ε more than the Gaussian's, which are N(μ², 2μ²) apart.
    """
    mu, wrong = math.sqrt(2 * rho / RHO_UNIT), 1 / (1 + math.exp(responses))
    apart = ((2 * responses, (1 - wrong) ** 2), (0.0, 2 * wrong * (1 - wrong)), (-2 * responses, wrong**2))
    return sum(share * _right(mu, more) for more, share in apart)


def _right(mu: float, more: float) -> float:
    """How often N(μ², 2μ²) + more is above 0, half of the time where it is 0."""
    if mu == 0:
        return 0.5 * (1 + (more > 0) - (more < 0))
    return 0.5 * (1 + math.erf(mu / 2 + more / (2 * mu)))
