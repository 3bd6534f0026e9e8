"""How much noise, for what price: whole numbers only, so that anyone can recompute a charge exactly.

A scale is the standard deviation of the discrete Gaussian in whole units of 2^-20 lattice steps, and the price of a
release is ρ = ceil(l2_squared · 2^40 · 10^12 / (2 · scale²)) (Canonne, Kamath, Steinke 2020, theorem 14). Nothing here
draws noise: `dp.mechanisms` does. Held by tests/dp/test_mechanisms.py.
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


def price(l2_squared: int, scale: Scale) -> Rho:
    """What one release costs, exactly, rounded up.

    l2_squared: in squared lattice units, at least 1. Errors: ValueError where either is below 1.
    """
    if l2_squared < 1 or scale < 1:
        raise ValueError("sensitivity and scale must be at least 1")
    return Rho(-(-l2_squared * SCALE_UNIT**2 * RHO_UNIT // (2 * scale**2)))


def smallest_scale(l2_squared: int, rho: Rho) -> Scale:
    """The least noise whose price is at most ρ. Errors: ValueError where ρ is 0 or the noise would leave float64."""
    if rho <= 0:
        raise ValueError("no noise is small enough for a price of 0")
    scale = max(1, math.isqrt(-(-l2_squared * SCALE_UNIT**2 * RHO_UNIT // (2 * rho))))
    while price(l2_squared, Scale(scale)) > rho:
        scale += 1
    if scale >= LARGEST_SCALE:
        raise ValueError("the noise would not fit: ask a larger epsilon")
    return Scale(scale)
