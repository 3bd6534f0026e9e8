"""Targets: how much ε an accuracy costs, and how accurate a price is. Both follow from declarations alone."""

from __future__ import annotations

import math

from .accounting import epsilon_of
from .budget import Delta, Epsilon, Rho
from .layout import Layout
from .noisy import Z95
from .scale import LARGEST_SCALE, SCALE_UNIT, SMOOTHING, Scale, price, smallest_scale


def half_width(layout: Layout, table: str, measure: str, rho: Rho) -> float:
    """± of this measure's numbers at this price, in its unit, as a run will show it. Errors: ValueError, KeyError."""
    return Z95 * smallest_scale(layout.l2_squared, rho) / SCALE_UNIT * layout.noise(table, measure)


def rho_for(layout: Layout, table: str, measure: str, within: float) -> Rho:
    """The price at which this measure's numbers are ±`within`, in its unit. Errors: ValueError, KeyError."""
    scale = within / Z95 / layout.noise(table, measure) * SCALE_UNIT
    if not scale > SMOOTHING * SCALE_UNIT + 1:  # NaN as well
        raise ValueError("no noise is that small: ask for less accuracy")
    return price(layout.l2_squared, Scale(math.floor(min(scale, LARGEST_SCALE - 1))))


def epsilon_for(layout: Layout, table: str, measure: str, within: float, delta: Delta) -> Epsilon:
    """The ε that an accuracy needs, rounded up. Errors: ValueError, KeyError."""
    return epsilon_of(rho_for(layout, table, measure, within), delta)
