"""What is public of a draw before it is made: how many seeds there may be, and how large noise will be."""

from __future__ import annotations

import math
from dataclasses import dataclass

USUAL_SHARE, USUAL_SIGMA = 0.1, 4.5
"""Where nobody says otherwise: a tenth of the people are seeds, at about the price of epsilon 1 and delta 1e-6."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """seeds: how many of those who train may be on the list, from sizes that are public. sigma: standard deviation of
    the noise in a sum, in units of a row's length. Neither may be read from a match.

    Errors: ValueError for fewer than 0 seeds, without noise, and for what has no end.
    """

    seeds: float
    sigma: float = USUAL_SIGMA

    def __post_init__(self) -> None:
        if not (0 <= self.seeds < math.inf and 0 < self.sigma < math.inf):
            raise ValueError("seeds are counted from 0 and noise is above 0, neither without end")

    @classmethod
    def usual(cls, people: int) -> Outlook:
        return cls(USUAL_SHARE * people)

    def told(self, people: int) -> float:
        """How many seeds' worth sums say of effects: n s (1 - s) of n people a share s of whom are seeds. At least one
        is taken to be a seed, and half of them at most."""
        seeds = max(min(self.seeds, people / 2), 1.0)
        return seeds * max(1 - seeds / max(people, 1), 0.5)
