"""How much more likely a word may make an output than another word does, measured over all pairs.

For the truncated exponential mechanism (`dp.text.weights`) the worst log-ratio of two words w, w' of a table is at most

    B(w, w') = c min(d, hi(w') - lo(w)) + ln Z(w') - ln Z(w) + rounding,      d = d(w, w'),

and equal to it, but for the rounding, where the crowd is 1 and d <= hi(w'): the output w attains it. A certificate says
the largest B(w, w') / d over all pairs, which is its ε for one unit of distance, and the largest B(w, w'), which is
what holds between any two words. `solve` finds the largest c whose ε is at most what is asked; `measure` recomputes
both figures from nothing but the vectors, and so does who verifies.

The code ensures: float64 throughout, every pair looked at, c rounded down, figures rounded up.
The caller ensures: the vocabulary is public; what is privatised was drawn by `weights.draw` with this score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .neighbours import Floats, Progress
from .weights import Score, span

_ROWS = 64
DIGITS = 6
"""After the point, in a certificate."""
UNIT = 1e-6


@dataclass(frozen=True, slots=True)
class Worst:
    """epsilon: the largest log-ratio for one unit of distance. any_two: the largest log-ratio. one, other: the pair
    that attains the first, as positions in the table. pairs: how many were looked at."""

    epsilon: float
    any_two: float
    one: int
    other: int
    pairs: int


class NoRate(Exception):
    """No rate keeps a table to this ε. Nothing was decided."""

    def __init__(self, epsilon: float) -> None:
        super().__init__(epsilon)
        self.epsilon = epsilon


def measure(vectors: NDArray[np.float32], far: NDArray[np.float64], score: Score, progress: Progress) -> Worst:
    """The worst ratios over all ordered pairs of a table. far: (m, K), nearest first, of the exact neighbours.

    Words at the same place have the same weights, and no pair of them counts.
    """
    size = len(vectors)
    bounds = span(far, score, size)
    best, any_two = Worst(0.0, 0.0, 0, 0, 0), 0.0
    for start, stop, apart in distance_blocks(vectors):
        bound = np.minimum(apart, bounds.high - bounds.low[start:stop, None])
        bound *= score.rate
        bound += bounds.log_z
        bound -= bounds.log_z[start:stop, None]
        bound += score.rounding
        bound[apart == 0] = 0.0
        any_two = max(any_two, float(bound.max()))
        np.divide(bound, apart, out=bound, where=apart > 0)
        at = int(bound.argmax())
        if bound.flat[at] > best.epsilon:
            best = Worst(float(bound.flat[at]), 0.0, start + at // size, at % size, 0)
        progress(stop, size)
    return Worst(_up(best.epsilon), _up(any_two), best.one, best.other, size * (size - 1))


def distance_blocks(vectors: Floats) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Some rows after the other: from where, to where, and their distances from all, in float64.

    Zero exactly where two vectors are the same; where a product rounds, the difference itself is measured.
    """
    wide = vectors.astype(np.float64)
    squares = np.einsum("ij,ij->i", wide, wide)
    for start in range(0, len(wide), _ROWS):
        stop = min(start + _ROWS, len(wide))
        apart = wide[start:stop] @ wide.T
        apart *= -2
        apart += squares
        apart += squares[start:stop, None]
        near = np.flatnonzero(apart < 1e-5 * (squares + squares[start:stop, None]))
        rows, columns = np.divmod(near, len(wide))
        gap = wide[rows + start] - wide[columns]
        apart.flat[near] = np.einsum("ij,ij->i", gap, gap)
        yield start, stop, np.sqrt(np.maximum(apart, 0.0, out=apart), out=apart)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rate is solved for. epsilon: the most that a pair may come to, for one unit of distance."""

    epsilon: float
    reach: float
    crowd: int = 1


@dataclass(frozen=True)
class _Searched:
    """Pairs among which a rate is searched. one, other: positions. apart: above 0."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    apart: NDArray[np.float64]

    def hold(self, far: NDArray[np.float64], score: Score, epsilon: float) -> bool:
        """Whether every pair, both ways round, keeps to ε."""
        bounds = span(far, score, len(far))
        worst = 0.0
        for one, other in ((self.one, self.other), (self.other, self.one)):
            counted = np.minimum(self.apart, bounds.high[other] - bounds.low[one])
            ratio = score.rate * counted + bounds.log_z[other] - bounds.log_z[one] + score.rounding
            worst = max(worst, float((ratio / self.apart).max(initial=0.0)))
        return worst <= epsilon - 2 * UNIT

    def and_also(self, one: int, other: int, apart: float) -> _Searched:
        return _Searched(np.append(self.one, one), np.append(self.other, other), np.append(self.apart, apart))


def solve(
    vectors: NDArray[np.float32], near: NDArray[np.int32], far: NDArray[np.float64], asked: Asked, progress: Progress
) -> tuple[Score, Worst]:
    """The largest rate whose worst ratio is at most ε, and what it comes to. Errors: NoRate.

    Searched among near neighbours, then measured over all pairs; a pair that turns out worse joins the search.
    """
    pairs = _neighbours(near, far)
    for _ in range(20):
        score = Score(_largest_rate(pairs, far, asked), asked.reach, asked.crowd)
        worst = measure(vectors, far, score, progress)
        if worst.epsilon <= asked.epsilon:
            return score, worst
        gap = vectors[worst.one].astype(np.float64) - vectors[worst.other]
        pairs = pairs.and_also(worst.one, worst.other, float(np.linalg.norm(gap)))
    raise NoRate(asked.epsilon)


def _neighbours(near: NDArray[np.int32], far: NDArray[np.float64]) -> _Searched:
    width = min(near.shape[1], 64)
    one = np.repeat(np.arange(len(near)), width)
    other, apart = near[:, :width].reshape(-1).astype(np.int64), far[:, :width].reshape(-1)
    kept = apart > 0
    return _Searched(one[kept], other[kept], apart[kept])


def _largest_rate(pairs: _Searched, far: NDArray[np.float64], asked: Asked) -> float:
    """By halving between ε / 2, which always holds, and 2 ε. Rounded down. Errors: NoRate."""
    low, high = asked.epsilon / 2 * (1 - 1e-3), 2 * asked.epsilon
    if not pairs.hold(far, Score(low, asked.reach, asked.crowd), asked.epsilon):
        raise NoRate(asked.epsilon)
    while high - low > 1e-4 * asked.epsilon:
        middle = (low + high) / 2
        holds = pairs.hold(far, Score(middle, asked.reach, asked.crowd), asked.epsilon)
        low, high = (middle, high) if holds else (low, middle)
    return math.floor(low / UNIT) * UNIT


def _up(value: float) -> float:
    return math.ceil(value / UNIT) * UNIT


def worst_of_channel(log_p: NDArray[np.float64], apart: NDArray[np.float64]) -> tuple[float, int, int]:
    """The same for any mechanism, by force: log_p (m, k) of every output for every word, apart (m, m) distances.

    Returns the largest log-ratio for one unit of distance, and the pair; infinite where an output is possible for one
    word and impossible for another.
    """
    best = (0.0, 0, 0)
    for row, own in enumerate(log_p):
        with np.errstate(invalid="ignore"):
            ratio = np.where(np.isneginf(own), -np.inf, own - log_p).max(axis=1)
        ratio[row] = 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(ratio > 1e-12, ratio / apart[row], 0.0)
        if (found := float(each.max())) > best[0]:
            best = (found, row, int(each.argmax()))
    return best
