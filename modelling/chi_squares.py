"""How seldom chance alone makes a weighted sum of squares so large: the tail of a sum of weighted chi-squares.

By a saddlepoint (Kuonen 1999), whose error is relative: small chances stay right to some per cent.
"""

from __future__ import annotations

import math

import numpy as np

from .design import Float

NEGLIGIBLE = 1e-9
"""Weights below this part of the largest are left out."""
NEAR = 1e-3
"""The formula has a hole at the mean; so near to it the chance beside the hole is given, which is no smaller."""


def chance_above(value: float, weights: Float) -> float:
    """That sum of weights x squared standard normals exceeds `value`. weights: none below 0. 1 where all are 0."""
    from scipy.special import ndtr

    kept = weights[weights > NEGLIGIBLE * weights.max(initial=0.0)]
    if not len(kept) or value <= 0:
        return 1.0
    scaled, mean = kept / kept.max(), float(kept.sum() / kept.max())
    at = value / float(kept.max())
    if abs(at / mean - 1) < NEAR:
        at = mean * (1 - NEAR)
    t = _saddlepoint(at, scaled)
    grown = -0.5 * float(np.log1p(-2 * t * scaled).sum())
    bend = 2 * float((scaled**2 / (1 - 2 * t * scaled) ** 2).sum())
    w = math.copysign(math.sqrt(max(2 * (t * at - grown), 0.0)), t)
    return min(1.0, float(ndtr(-w - math.log(t * math.sqrt(bend) / w) / w)))


def _saddlepoint(at: float, scaled: Float) -> float:
    """Where the tilted mean is `at`. scaled: weights of which the largest is 1."""

    def away(t: float) -> float:
        return float((scaled / (1 - 2 * t * scaled)).sum()) - at

    from scipy.optimize import brentq

    low, high = -len(scaled) / at, 0.5 - 0.25 / (1 + at)
    while away(high) < 0:
        high = (high + 0.5) / 2
    return float(brentq(away, low, high, xtol=1e-14))
