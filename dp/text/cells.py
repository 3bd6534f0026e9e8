"""The nearest of many words, found in cells: for noise among hundreds of thousands of words.

Words are sorted into cells round centres (k-means). A point looks into the cells whose centres are nearest, and then
into every other cell that might hold a nearer word: one at `_ALIGNED` standard deviations, or less, of how a random
direction falls on the way to it. So the search is not exact: where the nearest word lies at an angle rarer than that,
in a cell that is not near, a word nearly as near is found instead.

Argument. Where a point falls is private already; cells are made of public vectors alone, and what is found is a
function of the point and of them, never of the word it came from. So it is post-processing, exact or not
(`dp.text.euclidean`). That is why a search may not begin at the word that was privatised: only an exact one could.

The code ensures: `nearest` sees points and nothing else. The caller ensures: exponential mechanisms, whose guarantee
rests on exact neighbours, never use this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .search import in_threads

_FIRST = 32
"""Cells that every point looks into, at least."""
_ALIGNED = 3.8
"""How far along the way to a point a word of a cell may lie, in standard deviations of a random direction."""
_AT_ONCE = 1 << 14
_ROUNDS = 8
_LEARNT_FROM = 32
"""Words a cell that centres are moved by."""


@dataclass(frozen=True)
class Cells:
    """rows: (n, d + 1) float32, cell after cell: a word's vector, and less half its square. names: (n,) which word.
    begins: (cells + 1,). centres: (cells, d + 1), as rows. reach: (cells,) how far the farthest word lies."""

    rows: NDArray[np.float32]
    names: NDArray[np.int64]
    begins: NDArray[np.int64]
    centres: NDArray[np.float32]
    reach: NDArray[np.float32]

    def nearest(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """points: (n, d). Returns (n,) positions of words."""
        wide = np.ones((len(points), self.rows.shape[1]), dtype=np.float32)
        wide[:, :-1] = points
        return np.asarray(self.names[in_threads(self._among, wide, _AT_ONCE)])

    def _among(self, points: NDArray[np.float32]) -> NDArray[np.int64]:
        """points: (n, d + 1), ending in 1. Returns rows."""
        best = np.full(len(points), -np.inf, dtype=np.float32)
        at = np.zeros(len(points), dtype=np.int64)
        wanted = np.empty((len(self.reach), len(points)), dtype=np.bool_)
        for tile in _tiles(len(points)):
            likeness = self.centres @ points[tile].T
            np.greater_equal(likeness, _threshold(likeness), out=wanted[:, tile])
        self._visit(points, wanted, best, at)
        for tile in _tiles(len(points)):
            wanted[:, tile] = ~wanted[:, tile] & (self._hoped(points[tile]) > best[tile])
        self._visit(points, wanted, best, at)
        return at

    def _visit(
        self, points: NDArray[np.float32], wanted: NDArray[np.bool_], best: NDArray[np.float32], at: NDArray[np.int64]
    ) -> None:
        """Look into cells. wanted: (cells, points). best, at: what each point found so far, changed here."""
        for cell in np.flatnonzero(wanted.any(axis=1)):
            which = np.flatnonzero(wanted[cell])
            begin, end = self.begins[cell], self.begins[cell + 1]
            products = points[which] @ self.rows[begin:end].T
            top = products.argmax(axis=1)
            value = products[np.arange(len(which)), top]
            better = value > best[which]
            best[which[better]] = value[better]
            at[which[better]] = begin + top[better]

    def _hoped(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """(cells, points): what a well aligned word of each cell would score."""
        hoped = self.centres @ points.T
        along = np.einsum("ij,ij->i", points[:, :-1], points[:, :-1]) - 2 * hoped
        np.sqrt(np.maximum(along, 0, out=along), out=along)
        along *= np.float32(_ALIGNED / (points.shape[1] - 1) ** 0.5)
        out = np.minimum(along, self.reach[:, None])
        along -= out / 2
        along *= out
        hoped += along
        return np.asarray(hoped)


def _tiles(count: int) -> list[slice]:
    """Some points at a time, so that what is made of them stays near the processor."""
    return [slice(start, start + 256) for start in range(0, count, 256)]


def _threshold(likeness: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each column, a value that at least `_FIRST` of its rows reach: of the largest of each group, so many do."""
    groups = 4 * _FIRST
    each = max(1, len(likeness) // groups)
    tops = np.ascontiguousarray(likeness[: groups * each].reshape(each, -1, likeness.shape[1]).max(axis=0).T)
    first = max(0, tops.shape[1] - _FIRST)
    return np.asarray(np.partition(tops, first, axis=1)[:, first])


def sorted_into_cells(vectors: NDArray[np.float32]) -> NDArray[np.int32]:
    """Which cell each vector lies in. The same vectors give the same cells."""
    count = 1 << round(np.log2(3.2 * len(vectors) ** 0.5))
    sample = vectors[:: max(1, len(vectors) // (_LEARNT_FROM * count))]
    centres = sample[:: len(sample) // count][:count].copy()
    for _ in range(_ROUNDS):
        lies = _closest(sample, centres)
        order = np.argsort(lies, kind="stable")
        cells, begins = np.unique(lies[order], return_index=True)
        sums = np.add.reduceat(sample[order].astype(np.float64), begins, axis=0)
        centres[cells] = sums / np.diff(begins, append=len(order))[:, None]
    return _closest(vectors, centres)


def _closest(vectors: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int32]:
    half = 0.5 * np.einsum("ij,ij->i", centres, centres)
    found = np.empty(len(vectors), dtype=np.int32)
    for start in range(0, len(vectors), 2048):
        found[start : start + 2048] = (vectors[start : start + 2048] @ centres.T - half).argmax(axis=1)
    return found


def in_cells(vectors: NDArray[np.float32], lies: NDArray[np.int32]) -> Cells:
    """A search among vectors that lie in these cells."""
    order = np.argsort(lies, kind="stable")
    rows = with_half_square(vectors[order])
    cells, begins = np.unique(lies[order], return_index=True)
    ends = np.append(begins, len(order))
    middle = np.add.reduceat(vectors[order].astype(np.float64), begins, axis=0) / np.diff(ends)[:, None]
    away = np.linalg.norm(vectors[order] - np.repeat(middle, np.diff(ends), axis=0), axis=1)
    reach = np.maximum.reduceat(away, begins).astype(np.float32)
    del cells
    return Cells(rows, order.astype(np.int64), ends.astype(np.int64), with_half_square(middle), reach)


def with_half_square(vectors: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float32]:
    """(n, d + 1): each vector, and less half its square, so that one product with (point, 1) says which is nearest."""
    half = -0.5 * np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    return np.concatenate([vectors, half[:, None]], axis=1).astype(np.float32)
