"""How ε, δ and ρ relate: the one place where a promise becomes an integer and back.

Contracts and jobs speak (ε, δ); the ledger counts ρ of zero-concentrated differential privacy, in whole units. The
discrete Gaussian at standard deviation σ and L2 sensitivity Δ is Δ²/(2σ²)-zCDP, and ρ adds up over releases.

Source of the conversion: Canonne, Kamath, Steinke 2020, proposition 12 (arXiv:2004.00010): for every α > 1,
δ = exp((α-1)(αρ-ε)) / (α-1) · (1-1/α)^α. Any α gives a valid δ, so an imprecise search for the best α can only make
us promise less. Held by tests/dp/test_accounting.py.
"""

from __future__ import annotations

import math

from .budget import RHO_UNIT, Budget, Delta, Epsilon, Rho

_AGAINST_US = 1e-9
"""Relative margin kept below a promised δ, far above what float64 can lose in these formulas."""


def delta_of(rho: float, epsilon: float) -> float:
    """Smallest δ at which ρ-zCDP gives (ε, δ). rho: in units of 1, not of `Rho`."""
    if rho <= 0:
        return 0.0
    alpha = _best_order(rho, epsilon)
    exponent = (alpha - 1) * (alpha * rho - epsilon) - math.log(alpha - 1) + alpha * math.log1p(-1 / alpha)
    return min(1.0, math.exp(min(exponent, 0.0)))


def _best_order(rho: float, epsilon: float) -> float:
    """The order at which δ is least: the root of a function that increases in α."""
    low, high = 1 + 1e-12, (epsilon + 1) / (2 * rho) + 2
    for _ in range(200):
        middle = (low + high) / 2
        if (2 * middle - 1) * rho - epsilon + math.log1p(-1 / middle) < 0:
            low = middle
        else:
            high = middle
    return high


def rho_within(budget: Budget) -> Rho:
    """Largest whole ρ whose ε at the budget's δ is at most the budget's ε: a cap, or a job's price.

    Rounded down. Never 0 for a budget that is worth a release; 0 means that nothing fits.
    """
    allowed = budget.delta * (1 - _AGAINST_US)
    low, high = 0, _unit(2 * budget.epsilon + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if delta_of(middle / RHO_UNIT, budget.epsilon) <= allowed:
            low = middle
        else:
            high = middle
    return Rho(low)


def epsilon_of(rho: Rho, delta: Delta) -> Epsilon:
    """The ε that ρ is worth at δ, rounded up: what was spent."""
    if rho <= 0:
        return Epsilon(0.0)
    low, high = 0.0, 1.0
    while delta_of(rho / RHO_UNIT, high) > delta:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(rho / RHO_UNIT, middle) > delta else (low, middle)
    return Epsilon(high * (1 + _AGAINST_US))


def largest_job(left: Rho, delta: Delta) -> Epsilon:
    """The largest ε a job may still ask when `left` is unspent, rounded down to 4 digits.

    Never the difference of two ε: seven jobs of ε 1 fit into ε 3.
    """
    epsilon = math.floor(epsilon_of(left, delta) * 1e4) / 1e4
    while epsilon > 0 and rho_within(Budget(Epsilon(epsilon), delta)) > left:
        epsilon = round(epsilon - 1e-4, 4)
    return Epsilon(max(epsilon, 0.0))


def attack_auc(rho: Rho) -> float:
    """How well the best test tells one person's presence from the noisy numbers: its AUC, at worst.

    .5 is a coin. From the trade-off curve of a Gaussian with μ = √(2ρ): AUC = Φ(μ/√2).
    Source: Dong, Roth, Su 2022 (arXiv:1905.02383), section 2.
    """
    return 0.5 * (1 + math.erf(math.sqrt(2 * rho / RHO_UNIT) / 2))


def _unit(rho: float) -> int:
    return math.ceil(rho * RHO_UNIT)
