"""Whether so few seeds can teach a model anything, said from public sizes before anything is spent.

A column that tells one thing adds one direction to a row, and J columns share a row of length 1, so that a direction
has a variance of about 1 / J in it. From M seeds the sums say as much as M / J of it; noise of standard deviation sigma
in each direction then moves the weight by sigma J / M, and a person's log-odds, over all J directions, by sigma J / M
as well. Columns of many levels have more directions, so this is the least that noise does; what a prior shrinks away is
spread that would have been signal.

Measured with 4 to 40 columns of six values and ε .1 to 1 (40,000 people, noise at the ledger's price): where this is
log 2, scores correlate .3 to .5 with the truth they come from; with twice as many seeds .6, with four times .8. With 14
columns it is log 2 at 110 seeds for ε 1 and 960 for ε .1.
"""

from __future__ import annotations

import math

FAR = math.log(2)
"""Noise that doubles or halves a person's odds."""
TRAINS = 0.8
"""Share of the seeds that a fit sees; the others evaluate it."""
LEARNABLE = 24.0
"""So many people for each unit of noise in a sum of a completion, or its answers hardly differ from what is usual
(docs/completion.md)."""


def spread(sigma: float, columns: int, seeds: float) -> float:
    """Standard deviation, at least, of a person's log-odds from noise alone. sigma: in units of a row's length.

    seeds: how many of them match, on both sides of the split.
    """
    return sigma * columns / max(TRAINS * seeds, 1e-9)


def as_sums(flip: float, people: int, columns: int) -> float:
    """Noise of flipped labels, as sigma of sums that would move a person's log-odds as far. people: who train.

    A flip adds v = f (1 - f) / (1 - 2 f)^2 to a label's variance, so that n of them move a direction by (v n / J)^.5.
    """
    return math.sqrt(flip * (1 - flip) / (1 - 2 * flip) ** 2 * people / columns)


def fewest_seeds(sigma: float, columns: int) -> int:
    """Seeds that must match for noise to stay below `FAR`."""
    return math.ceil(sigma * columns / (FAR * TRAINS))


def fewest_known(sigma: float) -> int:
    """People who must train before a completion's answers are better than what is usual."""
    return round(LEARNABLE * sigma)
