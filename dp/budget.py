"""What a budget is: the units in which privacy is promised, spent and counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NewType

Epsilon = NewType("Epsilon", float)
Delta = NewType("Delta", float)

LARGEST_EPSILON = 64.0

Rho = NewType("Rho", int)
"""Zero-concentrated privacy loss in whole units of 10^-12, so that sums are exact."""

RHO_UNIT = 10**12
"""How many units of `Rho` make ρ = 1."""


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
