"""Hazmat: raw noise. Only `dp.ledger` may import this module, and only this module imports OpenDP.

The mechanism is the discrete Gaussian on integers (Canonne, Kamath, Steinke 2020), drawn exactly by OpenDP from the
operating system's randomness. A scale is a whole number of 2^-20 lattice units, so that anyone can recompute a price
with integers alone: ρ = ceil(l2_squared · 2^40 · 10^12 / (2 · scale²)).

The code ensures: integers in, integers out; the price is rounded up; OpenDP's own map agrees that the price covers
the release before a draw is made. The caller ensures: `l2_squared` bounds the move of the very integers passed in.
"""

from __future__ import annotations

import math
from typing import NewType

import numpy as np
from numpy.typing import NDArray
from opendp.domains import atom_domain, vector_domain
from opendp.measurements import make_gaussian
from opendp.metrics import l2_distance
from opendp.mod import enable_features

from .budget import RHO_UNIT, Rho

enable_features("contrib")

Scale = NewType("Scale", int)
"""Standard deviation in whole units of 2^-20 lattice steps."""

SCALE_UNIT = 2**20
LARGEST_SCALE = 2**52
LIBRARY = "opendp 0.16"


class PriceTooLow(Exception):
    """OpenDP's map says that a release would cost more than was charged. Nothing was drawn."""


def price(l2_squared: int, scale: Scale) -> Rho:
    """What one release costs, exactly, rounded up."""
    return Rho(-(-l2_squared * SCALE_UNIT**2 * RHO_UNIT // (2 * scale**2)))


def smallest_scale(l2_squared: int, rho: Rho) -> Scale:
    """The least noise whose price is at most ρ. Errors: ValueError where ρ is 0 or the noise would leave float64."""
    if rho <= 0:
        raise ValueError("no noise is small enough for a price of 0")
    scale = math.isqrt(-(-l2_squared * SCALE_UNIT**2 * RHO_UNIT // (2 * rho)))
    while scale < 1 or price(l2_squared, Scale(scale)) > rho:
        scale += 1
    if scale >= LARGEST_SCALE:
        raise ValueError("the noise would not fit: ask a larger epsilon")
    return Scale(scale)


def gaussian(values: NDArray[np.int64], l2_squared: int, scale: Scale, charged: Rho) -> NDArray[np.int64]:
    """The values with discrete Gaussian noise, one draw a cell. Errors: PriceTooLow.

    values: int64. l2_squared: in lattice units. scale: `Scale`. charged: what the ledger takes for it.
    """
    vectors = vector_domain(atom_domain(T="i64"))
    mechanism = make_gaussian(vectors, l2_distance(T="f64"), scale=scale / SCALE_UNIT)
    if float(mechanism.map(math.sqrt(l2_squared))) * RHO_UNIT > charged + 1:  # type: ignore[no-untyped-call]
        raise PriceTooLow
    return np.asarray(mechanism(np.ascontiguousarray(values, dtype=np.int64)), dtype=np.int64)
