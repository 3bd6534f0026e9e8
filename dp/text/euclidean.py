"""Noise in Euclid's space, and the nearest word (Feyisetan, Balle, Drake and Diethe 2020, WSDM; arXiv:1910.08902).

A word's vector v becomes v + z with density in proportion to e^(-ε |z|), and then the table word nearest to it: the
direction of z is uniform, its length a Gamma(d, 1/ε), which is the sum of d exponentials of mean 1/ε.

Argument. The density of v + z at a point p is C e^(-ε |p - v|), with the same C for every v, so two words' densities
differ by a factor of at most e^(ε |v - v'|) everywhere, by the triangle inequality. Which word is nearest is a function
of p and of public vectors alone: post-processing, however the search is done.

Floating point. The argument is about real numbers; what is drawn has 52 bits. What is released is a word, never the
point, so the low bits that tell inputs apart in a released number (Mironov 2012) are not seen. What is left: the set
of points that float64 reaches differs between two words, so a word whose region hardly any of them reaches might be
possible for one and impossible for the other. Therefore one draw in `SPICE` is a uniform word, whatever the input: a
mixture with something independent keeps the guarantee, and now no output's chance is below 1 / (SPICE n). If rounding
moves no output's chance by more than τ, no ratio moves by more than a factor 1 + τ SPICE n: at n = 20,000 and τ =
2^-40, a few 10^-5. That τ is argued (a relative 2^-50 in position matters only that close to a boundary), not proven:
who wants exactness to the last bit uses `weights`, which draws on whole numbers.

The code ensures: fresh draws for every token; the mixture. The caller ensures: the vocabulary is public.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cells import Cells, in_cells, sorted_into_cells
from .randomness import below, directions, exponentials
from .search import Search, nearest_point

SPICE = 1 << 10
"""One draw in so many is a uniform word."""
MOST_IN_TURN = 1 << 15
"""Words among which each is looked at; the nearest of more of them is found in cells."""
_AT_ONCE = 1 << 15


def noise(rows: int, dimensions: int, epsilon: float) -> NDArray[np.float64]:
    """(rows, dimensions) of density in proportion to e^(-ε |z|)."""
    length = exponentials(rows, dimensions).sum(axis=1) / epsilon
    return np.asarray(directions(rows, dimensions) * length[:, None])


def spiced(found: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The same, but one in `SPICE` a uniform one of `size` words."""
    count = len(found)
    uniform = below(np.full(count, SPICE, dtype=np.uint64)) == 0
    other = below(np.full(int(uniform.sum()), size, dtype=np.uint64)).astype(np.int64)
    mixed = found.copy()
    mixed[uniform] = other
    return mixed


@dataclass(frozen=True)
class Euclidean:
    """vectors: (m, d), of the table. epsilon: for one unit of distance."""

    vectors: NDArray[np.float32]
    epsilon: float
    search: Search | Cells

    def draw(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """One fresh draw for every word. words: table positions; so is what returns."""
        found = np.empty(len(words), dtype=np.int64)
        for start in range(0, len(words), _AT_ONCE):
            part = words[start : start + _AT_ONCE]
            points = self.vectors[part] + noise(len(part), self.vectors.shape[1], self.epsilon)
            found[start : start + _AT_ONCE] = self.search.nearest(points)
        return spiced(found, len(self.vectors))


def euclidean(vectors: NDArray[np.float32], epsilon: float, lies: NDArray[np.int32] | None = None) -> Euclidean:
    """The mechanism on a table's vectors. epsilon: above 0. lies: in which cells they lie, where that is known."""
    if len(vectors) <= MOST_IN_TURN:
        return Euclidean(vectors, epsilon, nearest_point(vectors))
    return Euclidean(vectors, epsilon, in_cells(vectors, sorted_into_cells(vectors) if lies is None else lies))
