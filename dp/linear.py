"""Ratios of two weighted sums over the same noisy numbers, such as the mean of a histogram.

Noise above and below the line is the same noise here, so `intervals.ratios`, which takes them to be apart, is not for
these. For weights u and v, T(q) = (u - q v)·x is Gaussian with mean 0 at the true q and the known variance
σ² |u - q v|², a quadratic in q: all q that are not rejected at 5 % form the interval, whatever the size of v·x.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .intervals import Estimates
from .noisy import Z95

Float = NDArray[np.float64]


def quotients(x: Float, sigma: float, above: Float, below: Float, least: float, most: float) -> Estimates:
    """(above·x) / (below·x) for each row of x. above, below: one weight a column. least, most: what is possible."""
    top, bottom = x @ above, x @ below
    noise = (Z95 * sigma) ** 2
    a = bottom**2 - noise * float(below @ below)
    b = -2 * (top * bottom - noise * float(above @ below))
    c = top**2 - noise * float(above @ above)
    root = np.sqrt(np.maximum(b**2 - 4 * a * c, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.sort(np.stack([(-b - root) / (2 * a), (-b + root) / (2 * a)]), axis=0)
        middle = np.where(bottom > 0, top / bottom, np.nan)
    bounded = a > 0
    low = np.where(bounded, np.clip(ends[0], least, most), least)
    high = np.where(bounded, np.clip(ends[1], least, most), most)
    known = bounded & ~np.isnan(middle)
    return Estimates(np.where(known, np.clip(middle, low, high), np.nan), low, high)
