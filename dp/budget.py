"""What a budget is: the units in which privacy is promised, spent and counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal
from typing import NewType

Epsilon = NewType("Epsilon", float)
Delta = NewType("Delta", float)

LARGEST_EPSILON = 64.0

Rho = NewType("Rho", int)
"""Zero-concentrated privacy loss in whole units of 10^-12, so that sums are exact."""

RHO_UNIT = 10**12
"""How many units of `Rho` make ρ = 1."""

DELTA_UNIT = 10**18
"""How many units make δ = 1, where δ itself is counted: by accounts of selections (`dp.selection`)."""


EPSILON_UNIT = 10**12
"""How many units make ε = 1, where ε itself is counted: by accounts of randomised responses (`dp.flip`)."""


def epsilon_units(epsilon: float) -> int:
    """An ε as it is written, in whole units of 10^-12. Errors: ValueError where it is none of them."""
    units = Decimal(repr(epsilon)) * EPSILON_UNIT
    if units != units.to_integral_value() or units < 1:
        raise ValueError("ε must be a whole number of 10^-12")
    return int(units)


def delta_units(delta: float) -> int:
    """A δ as it is written, in whole units of 10^-18. Errors: ValueError where it is none of them."""
    units = Decimal(repr(delta)) * DELTA_UNIT
    if units != units.to_integral_value() or units < 1:
        raise ValueError("δ must be a whole number of 10^-18")
    return int(units)


def said_down(amount: float) -> float:
    """What six digits can say of an ε or a δ, rounded down: `:g` writes this number as it is, and it fits where
    `amount` does. amount: 0 or more."""
    return float(Context(prec=6, rounding=ROUND_DOWN).create_decimal(repr(amount)))


@dataclass(frozen=True, slots=True)
class Budget:
    """What an owner allows, or a job asks: (ε, δ).

    epsilon: more than 0, at most 64. delta: in (0, 1). Errors: ValueError names the rule that was broken.
    """

    epsilon: Epsilon
    delta: Delta

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and 0 < self.epsilon <= LARGEST_EPSILON):
            raise ValueError(f"epsilon must be a number above 0 and at most {LARGEST_EPSILON:g}")
        if not (math.isfinite(self.delta) and 0 < self.delta < 1):
            raise ValueError("delta must be a number above 0 and below 1")
