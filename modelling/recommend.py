"""Which labels to pay for, noisy sums or randomised responses: said from public sizes, before anything is spent.

Responses serve every learner, so that an additive model and trees are both had of them (`responses`), where sums teach
an additive model alone. What is lost against sums is noise. Both noises are known beforehand. With J columns a
direction of a row has a variance of about 1 / J (`reliable`), and of n people a share s is matched, w = s (1 - s):

| of a person's log-odds, over all J directions | variance |
|---|---|
| noise of sums, sigma in each direction | (sigma J / (n w))^2 |
| noise of flipped labels, v a person | J v / (n w^2) |

v = f (1 - f) / (1 - 2 f)^2 is what a flip with probability f adds to a label's variance. A column of many levels has
more directions, each shorter: that makes sums noisier the faster, by the square of how many, so that they are behind
well before the table says so. Whether columns tell together nobody knows before. So responses are recommended where
they add next to nothing to the noise of sums, or where sums come near enough to their noise, unless that drowns what
they say. The constants were set on sets that were looked at, and tested once on others (docs/accuracy.md).

The code ensures: nothing but sizes that are public, and what was agreed on, enters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..dp.accounting import rho_within
from ..dp.budget import Budget
from ..dp.scale import SCALE_UNIT, smallest_scale
from .design import BITS, MOMENTS_L2_SQUARED

Labels = Literal["sums", "responses"]
SMALL = 0.01
"""Variance of a person's log-odds by which responses may be noisier than sums, whatever these are."""
NEAR = 0.33
"""Deviation of sums, beside that of responses, from which on responses are better."""
DROWNED = 0.7
"""Deviation, of a person's log-odds, beyond which responses hardly say anything: sums are better, however noisy."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviation of a person's log-odds from noise alone, at least, were all seeds matched."""

    sums: float
    responses: float

    @property
    def better(self) -> Labels:
        little = self.responses**2 - self.sums**2 <= SMALL
        near = self.sums >= NEAR * self.responses and self.responses <= DROWNED
        return "responses" if little or near else "sums"


def recommended(people: int, columns: int, seeds: int, budget: Budget, moved: int = 1) -> Noise:
    """What either would be like, all of the budget spent on it.

    people: who train. seeds: as submitted, of those on the same side of the split. moved: labels that one record
    decides about, at most. A response keeps to the budget's ε without its δ. Where so little buys no sums, their noise
    is infinite. Errors: ValueError.
    """
    if min(people, columns, seeds, moved) < 1:
        raise ValueError("people, columns, seeds and labels of a record are counted from 1")
    return noise(people, columns, seeds, _sigma(budget, moved), flip_at(budget.epsilon / moved))


def _sigma(budget: Budget, moved: int) -> float:
    """Of sums, in units of a row's length; infinite where no ledger would draw them at such a price."""
    try:
        return float(smallest_scale(MOMENTS_L2_SQUARED * moved**2, rho_within(budget)) / SCALE_UNIT / 2**BITS)
    except ValueError:
        return math.inf


def flip_at(epsilon: float) -> float:
    """How often a label is flipped."""
    return 1 / (1 + math.exp(epsilon))


def noise(people: int, columns: int, seeds: int, sigma: float, flip: float) -> Noise:
    """sigma: of sums, in units of a row's length. flip: probability, below a half."""
    share = min(seeds / people, 0.5)
    told = people * share * (1 - share)
    variance = flip * (1 - flip) / (1 - 2 * flip) ** 2
    return Noise(sigma * columns / told, math.sqrt(columns * variance * people) / told)
