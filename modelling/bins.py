"""Where a number's bins end: from the owner's own rows, or from the declared bounds alone.

The code ensures: `declared_edges` looks at no row. `adaptive_edges` looks at values, never at a label.
The caller ensures: `adaptive_edges` only where the reader of all that follows owns the rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]

BINS = 32
ATOM = 0.004
"""A value that this share of people have exactly becomes a bin of its own."""

MOST_DECLARED, FEWEST_DECLARED, MOST_CELLS = 128, 15, 7_500
"""Bins of a declared number: so many where there is room, so few at least, and so many over all numbers."""
LONG = 1_000
"""Ranges from 0 or above that are longer than this are cut evenly in log(1 + x - low or x)."""
PARTS = 9
"""Bins that a whole number gets at most, an odd number: what is declared in whole bounds may be a ratio."""
SKEW = 100
"""Half of the bins of a range from 0 or above are cut evenly in the log, from this part of its length on."""


def declared_bins(numbers: int) -> int:
    """Bins that each of so many declared numbers gets."""
    return max(FEWEST_DECLARED, min(MOST_DECLARED, MOST_CELLS // max(numbers, 1)))


def declared_edges(low: float, high: float, bins: int) -> Float:
    """Edges between at most `bins` bins, from the bounds alone.

    Whole bounds with room for every whole number between them give each as many bins as there is room for, up to
    `PARTS`, and the middle one of them has the whole number in its middle. Other ranges that begin below 0 are cut
    evenly. From 0 or above, where numbers crowd at the lower end: a long range is cut evenly in log(1 + x), with a bin
    for its lowest value; of the bins of any other half are cut evenly, half ever finer towards its lower end.
    """
    if high <= low:
        return np.zeros(0)
    if float(low).is_integer() and float(high).is_integer() and high - low < bins:
        return _around_whole(low, high, bins)
    if low < 0:
        return np.unique(np.linspace(low, high, bins + 1)[1:-1])
    if high - low <= LONG:
        fine = low + (high - low) * np.geomspace(1 / SKEW, 1, bins // 2 + 1)[:-1]
        return np.unique(np.concatenate([np.linspace(low, high, bins // 2 + 1)[1:-1], fine]))
    edges = np.expm1(np.linspace(np.log1p(low), np.log1p(high), bins)[1:-1])
    return np.unique(np.concatenate([[low + 0.5], edges[edges > low + 0.5]]))


def _around_whole(low: float, high: float, bins: int) -> Float:
    """An odd number of bins for each whole number, cut at the halves between them."""
    parts = min(PARTS, int(bins // (high - low + 1)))
    parts = max(1, parts - 1 + parts % 2)
    edges = low - 0.5 + np.arange(1, int(high - low + 1) * parts) / parts
    return np.asarray(edges[(edges > low) & (edges < high)])


def adaptive_edges(values: Float) -> Float:
    """Edges between bins: frequent exact values stand alone, quantiles cut what lies between them.

    values: without NaN. At most 5 `BINS` edges.
    """
    distinct, counts = np.unique(values, return_counts=True)
    middles = distinct[1:] / 2 + distinct[:-1] / 2
    if len(distinct) <= BINS:
        return np.unique(middles)
    alone = _atoms(counts)
    per_bin = counts[~alone].sum() / max(4, BINS - min(int(alone.sum()), BINS // 2))
    return np.unique(middles[_last_of_bins(counts, np.flatnonzero(alone), per_bin)])


def few_edges(values: Float, bins: int) -> Float:
    """Edges between at most `bins` bins, each but the last of one `bins`-th of the values at least.

    values: without NaN.
    """
    distinct, counts = np.unique(values, return_counts=True)
    nowhere = np.zeros(0, dtype=np.int64)
    return np.unique((distinct[1:] / 2 + distinct[:-1] / 2)[_last_of_bins(counts, nowhere, counts.sum() / bins)])


def _last_of_bins(counts: Int, alone: Int, per_bin: float) -> list[int]:
    """Where bins end, the last bin apart: after a value that stands alone, before the next, or when full."""
    filled, ends, start = np.cumsum(counts), [], 0
    while start < len(counts):
        before = filled[start] - counts[start]
        stop = int(alone[np.searchsorted(alone, start)]) if alone.size and start <= alone[-1] else len(counts)
        full = int(np.searchsorted(filled, before + per_bin))
        ends.append(start if stop == start else min(full, stop - 1))
        start = ends[-1] + 1
    return ends[:-1]


def _atoms(counts: Int) -> NDArray[np.bool_]:
    """Which distinct values are frequent enough to stand alone; at most two for every bin."""
    frequent = counts >= ATOM * counts.sum()
    if frequent.sum() > 2 * BINS:
        frequent = counts > np.sort(counts)[-2 * BINS - 1]
    return np.asarray(frequent, dtype=np.bool_)
