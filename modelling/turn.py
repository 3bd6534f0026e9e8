"""How far rows are turned: noise is put where it hides least of what effects may be like.

Let u = C^(1/2) w be the effects in units of what they add to scores, C the people's covariance, and P what is believed
of w beforehand (`prior`). Sums of rows that share their squared length as q over the directions of C^(1/2) P C^(1/2)
say of direction i, in which effects of size t spread by t^2 l_i,

    n^2 q_i / (n q_i + sigma^2)

from n seeds' worth of people (`Outlook.told`): its variance afterwards is one over that and 1 / (t^2 l_i). The q are
those under which what is left of the scores' variance is least, an A-optimal design (Pukelsheim 2006), by the
multiplicative steps of Silvey, Titterington and Torsney (1978). With many seeds and little noise nearly all directions
are alike (C^(-1/2)); the more noise, the fewer are worth measuring.

Nobody knows how large effects are. So what is left is added up over sizes t from a quarter of the usual to eight times,
each as a share of what it was: a column that tells much of few people is not given up for many that might tell little.
And `EVENLY` of the length goes to rows as they are, so that what is believed leaves no direction unmeasured in which
people differ by more than `FLAT`.

The code ensures: what enters is the people's covariance, declarations and public sizes; no label.
"""

from __future__ import annotations

import numpy as np

from .design import Float
from .outlook import Outlook

SIZES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Of effects, in units of the usual."""
EVENLY = 0.1
"""Share of a row's squared length that goes to rows as they are."""
FLAT = 1e-7
"""Directions of less variance, as a share of the largest, are taken to hold nobody."""
ROUNDS = 100
"""Of steps: the sum is then its least to five digits (Adult, Telco, `hmda`; epsilon .5 to 4)."""


def turn_for(spread: Float, prior: Float, outlook: Outlook, people: int) -> Float:
    """L, symmetric: cells x cells, under which rows about their mean have a mean square of 1.

    It lengthens directions that people have by `EVENLY` ** .5 at least, and others not at all. spread: C. prior: P.
    """
    variance, directions = np.linalg.eigh(spread)
    held = variance > FLAT * max(float(variance.max(initial=0.0)), 0.0)
    if not held.any():
        return np.zeros_like(spread)
    directions, deviation = directions[:, held], np.sqrt(variance[held])
    root, inverse = directions * deviation, directions / deviation
    believed, parts = np.linalg.eigh(root.T @ prior @ root)
    share = shares(np.maximum(believed, 0.0), outlook.told(people), outlook.sigma)
    best = inverse @ ((parts * share) @ parts.T) @ inverse.T
    plain = (directions @ directions.T) / float(variance[held].sum())
    squared, axes = np.linalg.eigh((1 - EVENLY) * best + EVENLY * plain)
    return np.asarray((axes * np.sqrt(np.maximum(squared, 0.0))) @ axes.T)


def shares(believed: Float, told: float, sigma: float) -> Float:
    """q: how much of a row's squared length each direction has; they add up to 1.

    believed: l, what directions add to scores' variance at the usual size; one at least is above 0. told: seeds'
    worth. sigma: noise, in units of a row's length.
    """
    may = believed > FLAT * believed.max()
    sizes = [(1 / (size**2 * believed[may]), size**2 * float(believed.sum())) for size in SIZES]
    share = np.full(int(may.sum()), 1 / int(may.sum()))
    for _ in range(ROUNDS):
        noisy = told * share + sigma**2
        says, more = told**2 * share / noisy, (told * sigma / noisy) ** 2
        gain = np.sum([more / (doubt + says) ** 2 / whole for doubt, whole in sizes], axis=0)
        share = share * np.sqrt(gain / float(share @ gain))
        share = share / share.sum()
    found = np.zeros(len(believed))
    found[may] = share
    return found
