"""Targets: how much ε an accuracy costs, and how accurate an ε is. Both follow from declarations alone."""

from __future__ import annotations

import math

from .accounting import epsilon_of
from .budget import Delta, Epsilon, Rho
from .layout import Block, Layout
from .noisy import Z95
from .scale import SCALE_UNIT, Scale, price, smallest_scale


def half_width(layout: Layout, table: str, measure: str, rho: Rho) -> float:
    """What ± a number of this measure will have, in its unit, at this price. Errors: ValueError, KeyError."""
    block = layout.block(table, measure)
    return Z95 * smallest_scale(layout.l2_squared, rho) / SCALE_UNIT / block.steps


def rho_for(layout: Layout, table: str, measure: str, within: float) -> Rho:
    """The price at which this measure's numbers are ±`within`, in its unit. Errors: ValueError, KeyError."""
    return price(layout.l2_squared, _scale_for(layout.block(table, measure), within))


def epsilon_for(layout: Layout, table: str, measure: str, within: float, delta: Delta) -> Epsilon:
    """The ε that an accuracy needs, rounded up. Errors: ValueError where none below the largest ε is enough."""
    return epsilon_of(rho_for(layout, table, measure, within), delta)


def _scale_for(block: Block, within: float) -> Scale:
    scale = Scale(math.floor(within / Z95 * block.steps * SCALE_UNIT))
    if not math.isfinite(within) or within <= 0 or scale <= 2 * SCALE_UNIT:
        raise ValueError("no noise is that small: ask for less accuracy")
    return scale
