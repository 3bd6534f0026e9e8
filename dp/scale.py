"""How much noise, for what price: whole numbers only, so that anyone can recompute a charge exactly.

A scale is the standard deviation of the discrete Gaussian in whole units of 2^-20 lattice steps. A release of scale σ
and L2 sensitivity Δ, both in lattice steps, costs ρ = Δ² / (2 (σ² - s²)) with s = 2: the price of a *continuous*
Gaussian whose variance is 4 smaller. On lattices of a thousandth of a person and finer, that is nothing.

Why that price is enough. Let X be continuous Gaussian with variance a² = σ² - s², and let Y be drawn from the integers
with weights exp(-(y - X)² / 2s²): the data goes into X alone, so Y is post-processing of a continuous Gaussian
release. Its probability at y is the integral of exp(-x²/2a²) exp(-(y-x)²/2s²) / (√(2π) a S(x)) with
S(x) = Σ_k exp(-(k-x)²/2s²). By Poisson summation S(x) = √(2π) s (1 + 2 Σ_j exp(-2π²s²j²) cos 2πjx), which lies within a
factor 1 ± η of √(2π) s, with η < 2.1 exp(-2π²s²) < 10^-33. Without that factor the integral is the continuous Gaussian
density of variance σ² at y, and the same bound for Σ_k exp(-k²/2σ²) makes that the discrete Gaussian's probability. So
the draw we make is, at every point, within a factor 1 ± 3η of post-processing of a continuous Gaussian release,
coordinate by coordinate, whatever integer vector it is centred on. Over N cells in the life of a ledger, whoever
chooses them and when, that adds at most 6Nη to ε and a factor e^(3Nη) to δ: less than 10^-20 for a trillion cells. The
margin in `dp.accounting` swallows it a billion times over.

Nothing here draws noise: `dp.mechanisms` does. Held by tests/dp/test_scale.py and tests/dp/test_mechanisms.py.
"""

from __future__ import annotations

import math
from typing import NewType

from .budget import RHO_UNIT, Rho

Scale = NewType("Scale", int)
"""Standard deviation in whole units of 2^-20 lattice steps."""

SCALE_UNIT = 2**20
LARGEST_SCALE = 2**52
"""Scales stay below this: exact as float64, and far from where noise could leave int64."""

SMOOTHING = 2
"""s above: lattice steps of a draw's spread that are given away for the argument. η falls as exp(-2π²s²)."""


def price(l2_squared: int, scale: Scale) -> Rho:
    """What one release costs, exactly, rounded up.

    l2_squared: in squared lattice steps, at least 1. Errors: ValueError where it is below 1, or the noise no wider than
    `SMOOTHING`.
    """
    variance = scale**2 - (SMOOTHING * SCALE_UNIT) ** 2
    if l2_squared < 1 or scale < 1 or variance < 1:
        raise ValueError("sensitivity must be at least 1 and the noise wider than two lattice steps")
    return Rho(-(-l2_squared * SCALE_UNIT**2 * RHO_UNIT // (2 * variance)))


def smallest_scale(l2_squared: int, rho: Rho) -> Scale:
    """The least noise whose price is at most ρ. Errors: ValueError where ρ is 0 or the noise would leave float64."""
    if rho <= 0:
        raise ValueError("no noise is small enough for a price of 0")
    variance = -(-l2_squared * SCALE_UNIT**2 * RHO_UNIT // (2 * rho))
    scale = max(SMOOTHING * SCALE_UNIT + 1, math.isqrt(variance + (SMOOTHING * SCALE_UNIT) ** 2))
    while price(l2_squared, Scale(scale)) > rho:
        scale += 1
    if scale >= LARGEST_SCALE:
        raise ValueError("the noise would not fit: ask a larger epsilon")
    return Scale(scale)
