"""Intervals: what noise of known size says of a number, of a ratio and of a quantile.

The noise of every cell is Gaussian with a scale that everybody knows, so every interval here is a test turned round: it
holds every value that the noisy numbers do not reject at 5 %.

- A number: noisy ± 1.96 σ.
- A ratio N/D: all q with (N - q D)² <= 1.96² (σ_N² + q² σ_D²), the set of Fieller (1954). N - q D is exactly Gaussian
  with mean 0 at the true q, whatever the size of D, so the set holds the truth in 95 of 100 releases also where D is
  lost in the noise; then it is all that is possible, instead of breaking. Where it falls into two pieces, what lies
  between them is added.
- A quantile p of binned values: all x with T(x)² <= 1.96² var T(x), T(x) = F(x) - p F(end), F the running sum of
  people, straight within a bin. T is linear in the noisy numbers, and 0 at the true quantile of the binned values.
  What noise makes of several pieces becomes one, from the least to the largest.

The code ensures: an interval lies in the possible range, but where nothing of it would be left: then it is shown as it
came, as a negative count is.
The caller ensures: the noisy numbers of one ratio have noise of their own each.

Held by tests/statistical/test_coverage.py: 10,000 releases of each, 94 to 96 of 100.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .noisy import Z95, Estimate

Float = NDArray[np.float64]
Noise: TypeAlias = float | Float
"""A standard deviation: one for all numbers, or one each."""

NOISE = "noise"


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """Numbers as a person may read them, one a key. estimate: NaN where the noise says nothing at all.

    low, high: ends of intervals; infinite where nothing bounds them. covers: what they cover.
    """

    estimate: Float
    low: Float
    high: Float
    covers: str = field(default=NOISE, kw_only=True)

    def __len__(self) -> int:
        return len(self.estimate)

    def __getitem__(self, at: int) -> Estimate:
        return Estimate(float(self.estimate[at]), float(self.low[at]), float(self.high[at]), self.covers)

    def __iter__(self) -> Iterator[Estimate]:
        return (self[at] for at in range(len(self)))

    def take(self, at: NDArray[np.int64]) -> Estimates:
        return Estimates(self.estimate[at], self.low[at], self.high[at], covers=self.covers)

    def moved(self, times: float, plus: float = 0.0) -> Estimates:
        """The same in another unit: x times + plus. times: above 0."""
        ends = (plus + times * end for end in (self.estimate, self.low, self.high))
        return Estimates(*ends, covers=self.covers)


def numbers(values: Float, sigma: float | Float, z: float = Z95, covers: str = NOISE) -> Estimates:
    """Noisy numbers as they came, negative ones too. sigma: one for all, or one each."""
    half = z * np.broadcast_to(np.asarray(sigma, dtype=np.float64), values.shape)
    return Estimates(values, values - half, values + half, covers=covers)


def ratios(
    top: Float, sigma_top: Noise, bottom: Float, sigma_bottom: Noise, least: float = 0.0, most: float = math.inf
) -> Estimates:
    """Quotients of noisy numbers. least, most: what is possible. Nothing is ever divided by nothing: it is unknown."""
    a = bottom**2 - (Z95 * sigma_bottom) ** 2
    spread = Z95 * np.sqrt(np.maximum(_discriminant(top, sigma_top, bottom, sigma_bottom), 0.0))
    apart = _discriminant(top, sigma_top, bottom, sigma_bottom) > 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ends = np.sort(np.stack([(top * bottom - spread) / a, (top * bottom + spread) / a]), axis=0)
        middle = np.where(bottom > 0, top / bottom, np.nan)
    low, high = np.full_like(top, least), np.full_like(top, most)
    inside, outside = a > 0, (a < 0) & apart  # a bounded set; all but a gap
    left, right = ends
    gone = inside & ((right < least) | (left > most))
    low = np.where(inside, np.where(gone, left, np.maximum(left, least)), low)
    high = np.where(inside, np.where(gone, right, np.minimum(right, most)), high)
    gap = outside & (left < most) & (right > least)  # beside the possible it takes nothing of it away
    below, above = gap & (left < least), gap & (right > most)  # a gap that reaches an end of the possible
    low = np.where(below & ~above, right, np.where(below & above, np.where(top < 0, -np.inf, right), low))
    high = np.where(above & ~below, left, np.where(below & above, np.where(top < 0, left, np.inf), high))
    unknown = np.isnan(middle) | ((low <= least) & (high >= most))
    return Estimates(np.where(unknown, np.nan, np.clip(middle, low, high)), low, high)


def _discriminant(top: Float, sigma_top: Noise, bottom: Float, sigma_bottom: Noise) -> Float:
    return (top * sigma_bottom) ** 2 + (bottom * sigma_top) ** 2 - (Z95 * sigma_top * sigma_bottom) ** 2


def quantiles(edges: Float, share: float, noisy: Float, weights: Float, sigma: float) -> Estimates:
    """Where the running sum reaches `share` of all, for each row of `noisy`.

    edges: (bins + 1,). noisy: (keys, cells), what `weights` turns into running sums. weights: (bins, cells): row i sums
    up bins 0 to i. sigma: noise of each cell of `noisy`. Errors: ValueError where share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ValueError("a quantile lies between 0 and 1")
    at_edge = np.vstack([np.zeros_like(weights[:1]), weights]) - share * weights[-1:]
    t = noisy @ at_edge.T
    variance = sigma**2 * (at_edge**2).sum(axis=1)
    between = sigma**2 * (at_edge[1:] * at_edge[:-1]).sum(axis=1)
    first, last = _crossings(t, None)
    first, last = np.where(np.isinf(first), 0.0, first), np.where(np.isinf(last), len(edges) - 1.0, last)
    accepted = _crossings(t**2 - Z95**2 * variance, t[:, 1:] * t[:, :-1] - Z95**2 * between)
    # where T passes 0 is never rejected, also where the roots around it are too near for float64
    low, high = _value(edges, np.minimum(accepted[0], first)), _value(edges, np.maximum(accepted[1], last))
    middle = _value(edges, (first + last) / 2)
    known = noisy @ weights[-1] > Z95 * sigma * np.sqrt((weights[-1] ** 2).sum())
    return Estimates(
        np.where(known, np.clip(middle, low, high), np.nan), low, high, covers="noise, of the values as they are binned"
    )


def _crossings(at_edges: Float, between: Float | None) -> tuple[Float, Float]:
    """The first and last position at which a curve is at most 0 (quadratic pieces) or passes 0 (straight pieces).

    at_edges: (keys, bins + 1), the curve at edges. between: (keys, bins), so that a piece at f from 0 to 1 is
    (1-f)² left + 2 f (1-f) between + f² right; None for straight ones. Positions count bins, and are
    infinite where there is none.
    """
    left, right = at_edges[:, :-1], at_edges[:, 1:]
    bins = left.shape[1]
    if between is None:
        with np.errstate(divide="ignore", invalid="ignore"):
            roots = np.where((left <= 0) & (right >= 0) | (left >= 0) & (right <= 0), left / (left - right), np.nan)
        roots = np.where((left == 0) & (right == 0), 0.5, roots)[..., None]
    else:
        roots = _quadratic(left - 2 * between + right, 2 * (between - left), left)
        ends = [np.where(left <= 0, 0.0, np.nan), np.where(right <= 0, 1.0, np.nan)]
        roots = np.concatenate([roots, np.stack(ends, axis=-1)], axis=-1)
    where: Float = np.arange(bins, dtype=np.float64)[None, :, None] + roots
    return _first(where), -_first(-where)


def _first(where: Float) -> Float:
    return np.asarray(np.where(np.isnan(where), np.inf, where).min(axis=(1, 2)))


def _quadratic(a: Float, b: Float, c: Float) -> Float:
    """Roots of a f² + b f + c between 0 and 1, NaN for others; stable where a is nearly 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        half = -0.5 * (b + np.copysign(np.sqrt(b**2 - 4 * a * c), b))
        roots = np.stack([half / a, c / half], axis=-1)
    return np.where((roots >= 0) & (roots <= 1), roots, np.nan)


def _value(edges: Float, position: Float) -> Float:
    """From a position in bins to the column's own unit."""
    return np.interp(position, np.arange(len(edges)), edges)


def at_once(many: int, wrong: float = 0.05) -> float:
    """Half width, in standard deviations, of intervals that all hold at once in 95 of 100 releases (Šidák).

    For numbers that were picked by their noisy values, such as the largest: whatever picked them, all hold.
    """
    return NormalDist().inv_cdf(1 - -math.expm1(math.log1p(-wrong) / many) / 2)
