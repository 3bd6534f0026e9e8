"""How ε, δ and ρ relate: the one place where a promise becomes an integer and back.

Contracts and jobs speak (ε, δ); the ledger counts ρ of zero-concentrated differential privacy, in whole units. The
discrete Gaussian at standard deviation σ and L2 sensitivity Δ is Δ²/(2σ²)-zCDP, and ρ adds up over releases.

Source of the conversion: Canonne, Kamath, Steinke 2020, proposition 12 (arXiv:2004.00010): for every α > 1,
δ = exp((α-1)(αρ-ε)) / (α-1) · (1-1/α)^α. Any α gives a valid δ, so an imprecise search for the best α can only make
us promise less. Held by tests/dp/test_accounting.py.
"""

from __future__ import annotations

import math

from .budget import LARGEST_EPSILON, RHO_UNIT, Budget, Delta, Epsilon, Rho

_AGAINST_US = 1e-9
"""Relative margin kept below a promised δ, far above what float64 loses in these formulas (about 1e-12)."""


def delta_of(rho: float, epsilon: float) -> float:
    """Smallest δ at which ρ-zCDP gives (ε, δ), to about 12 digits. rho: in units of 1, not of `Rho`."""
    if rho <= 0:
        return 0.0
    beta = _best_order(rho, epsilon)
    exponent = beta * ((beta + 1) * rho - epsilon) - math.log(beta) - (beta + 1) * math.log1p(1 / beta)
    return math.exp(min(exponent, 0.0))


def _best_order(rho: float, epsilon: float) -> float:
    """β = α - 1 at the order where δ is least: the root of a function that increases in β.

    In β rather than α, because next to α = 1 the difference α - 1 has no digits left.
    """
    low, high = 1e-300, (epsilon + 1) / (2 * rho) + 1
    for _ in range(1100):
        middle = math.sqrt(low * high) if high > 4 * low else (low + high) / 2
        if not low < middle < high:
            break
        if (2 * middle + 1) * rho - epsilon - math.log1p(1 / middle) < 0:
            low = middle
        else:
            high = middle
    return high


def _holds(rho: int, epsilon: float, delta: float) -> bool:
    """Whether this much ρ keeps to (ε, δ), with the margin: the one judgement both directions share."""
    return delta_of(rho / RHO_UNIT, epsilon) <= delta * (1 - _AGAINST_US)


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


def largest_job(left: Rho, delta: Delta) -> Epsilon:
    """The largest ε a job may still ask when `left` is unspent, rounded down to 4 digits after the point.

    Never the difference of two ε: seven jobs of ε 1 fit into ε 3.
    """
    steps = math.ceil(min(epsilon_of(left, delta), LARGEST_EPSILON) * _STEPS)
    while steps > 0 and rho_within(Budget(Epsilon(steps / _STEPS), delta)) > left:
        steps -= 1
    return Epsilon(steps / _STEPS)


_STEPS = 10_000


def attack_auc(rho: Rho) -> float:
    """How well the best test tells one person's presence from the noisy numbers: its AUC, at worst.

    .5 is a coin. From the trade-off curve of a Gaussian with μ = √(2ρ): AUC = Φ(μ/√2).
    Source: Dong, Roth, Su 2022 (arXiv:1905.02383), section 2.
    """
    return 0.5 * (1 + math.erf(math.sqrt(2 * rho / RHO_UNIT) / 2))
