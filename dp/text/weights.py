"""The truncated exponential mechanism, on whole numbers: how often each word becomes each other, and drawing it.

A word w becomes x with a chance in proportion to e^(-c δ(w, x)) over all words x of a table, where

    δ(w, x) = d(w, x), but at least lo(w) and at most hi(w),
    lo(w) = r_k(w),   hi(w) = max(lo(w), min(reach, r_K(w), lo(w) + D / c)),

r_j(w) is the distance of w's j-th nearest word (itself the first), k the crowd, K how many neighbours are kept, and D a
constant (how far whole numbers reach, `Score.deepest`). So a word hides among at least k words that are as likely as
itself, K words have weights of their own, and all others share one, which is never 0: a tail that is cut off would tell
words apart with certainty. Weights are whole numbers that add up to at most 2^62; a draw is one uniform whole number
below their sum. What is drawn is exactly what the whole numbers say.

Argument. For every fixed x, d(w, x) is 1-Lipschitz in w; so are the distance to the j-th nearest of a fixed set, a
constant, the least and the largest of such. So δ(w', x) - δ(w, x) <= min(d(w, w'), hi(w') - lo(w)) for every x, and

    ln P(x | w) - ln P(x | w') <= c min(d(w, w'), hi(w') - lo(w)) + ln Z(w') - ln Z(w),   Z(w) = sum_x e^(-c δ(w, x)).

With |ln Z(w') - ln Z(w)| <= c d this gives c = ε/2, as in the exponential mechanism (McSherry and Talwar 2007; with a
truncated distance: Carvalho et al. 2023). `dp.text.ratio` measures the right side instead and solves for c.

The code ensures: every weight is at least 2^20 units, so that rounding moves no logarithm by more than
`Score.rounding`; exact integers from there on. The caller ensures: `near` and `far` hold the exact neighbours (never
an approximate search: a missing neighbour is a weight that the argument does not cover; `check` measures them again).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .randomness import BITS, below

SHALLOWEST = 20
"""Every weight is at least 2^20 units."""


@dataclass(frozen=True, slots=True)
class Score:
    """rate: c, for one unit of distance. reach: where distance stops to count. crowd: k, where it begins to."""

    rate: float
    reach: float
    crowd: int = 1

    def __post_init__(self) -> None:
        if not (0 < self.rate < math.inf and 0 < self.reach < math.inf and self.crowd >= 1):
            raise ValueError("rate and reach are above 0, crowd at least 1")

    def deepest(self, outputs: int) -> float:
        """How far below the largest weight, in logarithms, a weight may lie and still be 2^20 units."""
        return (BITS - SHALLOWEST) * math.log(2) - math.log(2 * outputs)

    @property
    def rounding(self) -> float:
        """What rounding can move ln P(x | w) - ln P(x | w') by: two units in each weight, and float64 before them."""
        return 2 * (2.0 ** (1 - SHALLOWEST) + 2.0**-30)


@dataclass(frozen=True, slots=True)
class Span:
    """Between which bounds distance counts, and what weights add up to. low, high, log_z: (rows,)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    log_z: NDArray[np.float64]


def span(far: NDArray[np.float64], score: Score, outputs: int) -> Span:
    """lo, hi and ln Z of each word. far: (rows, K), nearest first."""
    low = far[:, min(score.crowd, far.shape[1]) - 1]
    high = np.maximum(low, np.minimum(np.minimum(far[:, -1], score.reach), low + score.deepest(outputs) / score.rate))
    counted = np.clip(far, low[:, None], high[:, None]) - low[:, None]
    mass = np.exp(-score.rate * counted).sum(axis=1)
    mass += (outputs - far.shape[1]) * np.exp(-score.rate * (high - low))
    return Span(low, high, np.log(mass) - score.rate * low)


@dataclass(frozen=True, slots=True)
class Rows:
    """Weights of some words. outputs: how many words there are to become.

    near: (rows, K) which outputs have a weight of their own. above: (rows, K) running sums of what each of them has
    above the common weight. base: (rows,) the common weight. total: (rows,) of all weights.
    """

    near: NDArray[np.int32]
    above: NDArray[np.uint64]
    base: NDArray[np.uint64]
    total: NDArray[np.uint64]
    outputs: int

    def __len__(self) -> int:
        return len(self.base)


def rows_of(near: NDArray[np.int32], far: NDArray[np.float64], score: Score, outputs: int) -> Rows:
    """Whole weights of words whose nearest outputs are these. near, far: (rows, K), nearest first; K a power of two."""
    bounds = span(far, score, outputs)
    low = bounds.low[:, None]
    own = np.exp(-score.rate * (np.clip(far, low, bounds.high[:, None]) - low))
    level = np.exp(-score.rate * (bounds.high - bounds.low))
    above = np.maximum(own - level[:, None], 0.0)
    unit = 2.0**BITS * (1 - 2.0**-40) / (above.sum(axis=1) + outputs * level)
    base = np.floor(level * unit).astype(np.uint64)
    running = np.cumsum(np.floor(above * unit[:, None]).astype(np.uint64), axis=1, dtype=np.uint64)
    total = base * np.uint64(outputs) + running[:, -1]
    if len(base) and (int(base.min()) < 1 << (SHALLOWEST - 1) or int(total.max()) > 1 << BITS):
        raise ArithmeticError("weights out of range")
    return Rows(near, running, base, total, outputs)


def draw(rows: Rows, which: NDArray[np.int64]) -> NDArray[np.int64]:
    """What words become: one fresh draw for every entry of `which`, which names rows. Returns positions of outputs."""
    base = rows.base[which]
    drawn = below(rows.total[which])
    flat = base * np.uint64(rows.outputs)
    apart = np.flatnonzero(drawn >= flat)
    out = np.empty(len(which), dtype=np.int64)
    even = np.flatnonzero(drawn < flat)
    out[even] = drawn[even] // base[even]
    out[apart] = _among_near(rows, which[apart], drawn[apart] - flat[apart])
    return out


def _among_near(rows: Rows, which: NDArray[np.int64], at: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The first near output whose running sum lies above `at`, by halving."""
    width = rows.above.shape[1]
    flat = rows.above.reshape(-1)
    start = which * width
    position = np.zeros(len(which), dtype=np.int64)
    step = width // 2
    while step:
        position += step * (flat[start + position + (step - 1)] <= at)
        step //= 2
    return np.asarray(rows.near.reshape(-1)[start + position], dtype=np.int64)


def stays(rows: Rows) -> NDArray[np.float64]:
    """How often each word is drawn as itself, as its whole weights say. rows: all words of a table, in order."""
    everyone = np.arange(len(rows))
    own = rows.near == everyone[:, None]
    at = own.argmax(axis=1)
    before = np.where(at > 0, rows.above[everyone, at - 1], np.uint64(0))
    above = np.where(own.any(axis=1), rows.above[everyone, at] - before, np.uint64(0))
    return (rows.base + above).astype(np.float64) / rows.total.astype(np.float64)


def probabilities(rows: Rows, row: int) -> list[int]:
    """The whole weights of one word over all outputs: what `draw` draws from, for tests and for verifiers."""
    weights = [int(rows.base[row])] * rows.outputs
    steps = np.diff(rows.above[row], prepend=np.uint64(0))
    for at, step in zip(rows.near[row].tolist(), steps.tolist(), strict=True):
        weights[at] += step
    return weights
