"""Association: whether two things go together more often than by chance, seen through noise.

Of N people, r have one thing (a topic), c the other (a response), a have both; all four are noisy counts of known
noise. Then

    lift        a N / (r c)                      how much more often the response is seen with the topic
    odds ratio  a d / (b c'),  b = r - a, c' = c - a, d = N - r - c + a
    p value     of a - r c / N = 0, both sides: chance, by what sampling and the noise together would give

Intervals are tests turned round, as Fieller's: T(q) = top - q bottom is 0 at the true q; its variance, by the first
order of what sampling (people as independent draws) and noise move, is a quadratic in q, and so is the set of all q
that are not rejected at 5 %. Where the noise drowns the counts it is all that is possible.

`adjusted` controls the false discovery rate over a table (Benjamini and Hochberg 1995): of the pairs whose adjusted
value is at most .05, at most one in twenty is there by chance, in the long run. Their noise is independent or, through
shared margins, close to it; held by simulation (tests/statistical/test_association.py).

The code ensures: nothing here sees anything but noisy numbers and their known noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .intervals import Estimates
from .noisy import Z95

Float = NDArray[np.float64]
COVERS = "noise and sampling"


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Noisy counts of pairs, one an entry, and their margins; each with the standard deviation of its noise."""

    both: Float
    first: Float
    second: Float
    everybody: Float
    noise: tuple[float, float, float, float]

    @property
    def possible(self) -> tuple[Float, Float, Float, Float]:
        """The same as counts can be: not below 0, none larger than what it is part of. True counts are, so that this
        brings them nearer to the truth."""
        n = np.maximum(self.everybody, 1.0)
        r, c = np.clip(self.first, 0.0, n), np.clip(self.second, 0.0, n)
        return np.clip(self.both, 0.0, np.minimum(r, c)), r, c, n


def lift(counts: Counts) -> Estimates:
    """How much more often the second is seen with the first than without knowing it; 1 where it makes no difference."""
    pa, pr, pc, pn = counts.possible
    sa, sr, sc, sn = counts.noise
    seen = pa + 1.0  # a count of 0 is not known to be 0
    quadratic = (
        pc**2 * (pr * (1 - pr / pn) + sr**2)
        + pr**2 * (pc * (1 - pc / pn) + sc**2)
        + 2 * pr * pc * (pa - pr * pc / pn)
        + (sr * sc) ** 2
    )
    linear = -2 * pn * (pc * pa * (1 - pr / pn) + pr * pa * (1 - pc / pn))
    constant = pn**2 * (seen * (1 - pa / pn) + sa**2) + (pa * sn) ** 2
    return _inverted(pa * pn, pr * pc, (constant, linear, quadratic))


def odds_ratio(counts: Counts) -> Estimates:
    """The odds of the second with the first, over its odds without it."""
    pa, pr, pc, pn = counts.possible
    b, c2 = np.maximum(pr - pa, 0.0), np.maximum(pc - pa, 0.0)
    d = np.maximum(pn - pr - pc + pa, 0.0)
    sa, sr, sc, sn = counts.noise
    seen = pa + 1.0
    constant = seen * d * (seen + d) + (sa * (pa + d)) ** 2 + (pa**2) * (sr**2 + sc**2 + sn**2)
    linear = 2 * sa**2 * (pa + d) * (b + c2) + 2 * pa * (sr**2 * c2 + sc**2 * b)
    quadratic = (b + 1) * (c2 + 1) * (b + c2 + 2) + (sa * (b + c2)) ** 2 + (sr * c2) ** 2 + (sc * b) ** 2
    quadratic = quadratic + (sr * sc) ** 2 + sa**2 * (sr**2 + sc**2)
    return _inverted(pa * d, b * c2, (constant, linear, quadratic))


def p_values(counts: Counts) -> Float:
    """How often chance alone, sampling and noise, moves both so far from r c / N or further."""
    a, r, c, n = counts.both, counts.first, counts.second, np.maximum(counts.everybody, 2.0)
    _, pr, pc, pn = counts.possible
    sa, sr, sc, sn = counts.noise
    sampling = pr * pc * (pn - pr) * (pn - pc) / (pn**2 * np.maximum(pn - 1, 1.0))
    noise = sa**2 + (pc / pn * sr) ** 2 + (pr / pn * sc) ** 2 + (sr * sc / pn) ** 2 + (pr * pc / pn**2 * sn) ** 2
    z = np.abs(a - r * c / n) / np.sqrt(sampling + noise)
    return np.array([math.erfc(each / math.sqrt(2)) for each in z.ravel()]).reshape(z.shape)


def adjusted(p: Float) -> Float:
    """The smallest false discovery rate at which each would be among the discoveries. Source: Benjamini, Hochberg."""
    order = np.argsort(p, kind="stable")
    ranked = p[order] * len(p) / np.arange(1, len(p) + 1)
    smallest = np.minimum.accumulate(ranked[::-1])[::-1]
    q = np.empty_like(p)
    q[order] = np.minimum(smallest, 1.0)
    return q


def _inverted(top: Float, bottom: Float, variance: tuple[Float, Float, Float]) -> Estimates:
    """All q >= 0 with (top - q bottom)² <= 1.96² (constant + linear q + quadratic q²)."""
    constant, linear, quadratic = variance
    a = bottom**2 - Z95**2 * quadratic
    b = -2 * top * bottom - Z95**2 * linear
    c = top**2 - Z95**2 * constant
    inside = b**2 - 4 * a * c
    root = np.sqrt(np.maximum(inside, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.sort(np.stack([(-b - root) / (2 * a), (-b + root) / (2 * a)]), axis=0)
        middle = np.where(bottom > 0, top / bottom, np.nan)
    bounded = (a > 0) & (inside >= 0)
    low = np.where(bounded, np.maximum(ends[0], 0.0), 0.0)
    high = np.where(bounded, np.maximum(ends[1], 0.0), np.inf)
    gap = (a < 0) & (inside > 0)  # all but what lies between: where the gap begins below 0, what lies above it
    low = np.where(gap & (ends[0] < 0) & (ends[1] > 0), ends[1], low)
    known = ~np.isnan(middle) & ((low > 0) | np.isfinite(high))
    return Estimates(np.where(known, np.clip(middle, low, high), np.nan), low, high, covers=COVERS)
