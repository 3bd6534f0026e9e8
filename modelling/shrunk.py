"""Several noisy figures of one kind, each drawn to what is expected of it as far as its own noise demands.

Of each figure it is known what a model expects. The truth is taken to be a common multiple of that, and off by an
unknown amount; what was measured, the truth with the error that its interval tells (a normal model in two stages; Efron
& Morris 1973, Fay & Herriot 1979). The multiple is taken to be 1, give or take `USUALLY`: a flat prior would let one
figure that is told, and lies low, carry all others down to nothing. How far off figures are has a half-Cauchy one of a
given scale (Gelman 2006), and is integrated over, not estimated: with a handful of figures an estimate of it is 0 too
often, and intervals then are too short. What comes out are the mean, and the middle 95 %, of what is left possible.

They hold on average over figures of one kind. Of one that is unlike all others its own interval holds, and not this
one: both are to be shown. Held by tests/modelling/test_strata.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..dp.noisy import Z95, Estimate
from .design import Float

STEPS, HALVINGS = 100, 40
LEAST = 1e-3
"""Of what is expected, from zero on."""
USUALLY = 1.0
WIDEST = 0.5
"""Of the spread of figures that lie in [0, 1]."""


def shrunk(
    own: Sequence[Estimate], expected: Sequence[float], scale: float, zero: float
) -> tuple[Estimate | None, ...]:
    """Figures in [0, 1], in their order, with what is expected of each.

    scale: by how much a figure may be off what is expected. zero: from where figures are multiples of what is expected.
    None where all that is possible is left possible; for all where there are fewer than two, or none is told.
    """
    told = np.array([one.high - one.low < 1 for one in own], dtype=np.bool_)
    if len(own) < 2 or not told.any():
        return (None,) * len(own)
    value = np.array([one.estimate for one in own]) - zero
    toward = np.maximum(np.array(expected) - zero, LEAST)
    wide = np.array([max(one.high - one.estimate, one.estimate - one.low) / Z95 for one in own])
    precision = np.where(told, 1 / np.maximum(wide, 1e-9) ** 2, 0.0)
    weight, mean, deviation = _left(value, toward, precision, _spreads(scale))
    covers = next(one.covers for one, it in zip(own, told, strict=True) if it)
    return tuple(_estimate(weight, zero + mean[:, at], deviation[:, at], covers) for at in range(len(own)))


def _spreads(scale: float) -> Float:
    """Quantiles of a half-Cauchy prior, up to the widest there can be: each as likely as another."""
    tail = np.arctan(WIDEST / scale) * 2 / np.pi
    found: Float = scale * np.tan(np.pi / 2 * tail * (np.arange(STEPS) + 0.5) / STEPS)
    return found


def _left(value: Float, toward: Float, precision: Float, spread: Float) -> tuple[Float, Float, Float]:
    """How likely each spread is, and what mean and deviation it leaves to each figure: (STEPS,), twice (STEPS, n).

    precision: 0 where nothing was measured.
    """
    between = spread[:, None] ** 2
    around = precision / (1 + precision * between)
    whole = around @ toward**2 + USUALLY**-2
    multiple = (around @ (value * toward) + USUALLY**-2) / whole
    middle = multiple[:, None] * toward
    off = (around * (value - middle) ** 2).sum(axis=1) + ((multiple - 1) / USUALLY) ** 2
    measured = precision > 0
    log_likely = 0.5 * (np.log(around[:, measured]).sum(axis=1) - np.log(whole) - off)
    likely = np.exp(log_likely - log_likely.max())
    own = precision * _rest(precision, between)
    mean = own * value + (1 - own) * middle
    left = _rest(precision, between) + (1 - own) ** 2 * toward**2 / whole[:, None]
    return likely / likely.sum(), mean, np.sqrt(left)


def _rest(precision: Float, between: Float) -> Float:
    """What is left of a spread once a figure was measured so precisely: both as variances."""
    return np.asarray(between / (1 + precision * between))


def _estimate(weight: Float, mean: Float, deviation: Float, covers: str) -> Estimate | None:
    """Mean and middle 95 % of a mixture of normals, within [0, 1]; None where that is all of it."""
    low, high = (_quantile(weight, mean, deviation, tail) for tail in ((1 - 0.95) / 2, (1 + 0.95) / 2))
    low, high = min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
    if (low, high) == (0.0, 1.0):
        return None
    return Estimate(min(max(float(weight @ mean), low), high), low, high, covers)


def _quantile(weight: Float, mean: Float, deviation: Float, tail: float) -> float:
    from scipy.special import ndtr

    low, high = float((mean - 9 * deviation).min()), float((mean + 9 * deviation).max())
    spread = np.maximum(deviation, 1e-12)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = float(weight @ ndtr((middle - mean) / spread))
        low, high = (middle, high) if below < tail else (low, middle)
    return (low + high) / 2
