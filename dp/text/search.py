"""The nearest table word of a point: post-processing of a point that is private already, so it may be approximate.

Both geometries come down to the largest inner product with a row a word: less half its square in Euclid's, with the
sign of time turned in Lorentz's. In float32: a word that is nearer by less than a rounding error may be missed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

_POINTS, _ROWS = 256, 4096
"""Of one block of products: 4 MiB, which stays near the processor."""


@dataclass(frozen=True)
class Search:
    """rows: (m, k) float32, one a word. shift: (m,) float32, taken from each product."""

    rows: NDArray[np.float32]
    shift: NDArray[np.float32]

    def nearest(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """points: (n, k). Returns (n,) positions of words."""
        return in_threads(self._among, points.astype(np.float32), _POINTS)

    def _among(self, points: NDArray[np.float32]) -> NDArray[np.int64]:
        best = np.full(len(points), -np.inf, dtype=np.float32)
        found = np.zeros(len(points), dtype=np.int64)
        for start in range(0, len(self.rows), _ROWS):
            likeness = points @ self.rows[start : start + _ROWS].T
            likeness -= self.shift[start : start + _ROWS]
            top = likeness.argmax(axis=1)
            value = likeness[np.arange(len(points)), top]
            better = value > best
            best[better], found[better] = value[better], start + top[better]
        return found


def in_threads(
    work: Callable[[NDArray[np.float32]], NDArray[np.int64]], points: NDArray[np.float32], at_once: int
) -> NDArray[np.int64]:
    """Some points after the other, on all cores: a block a thread, for products so small gain nothing from several."""
    blocks = [points[start : start + at_once] for start in range(0, len(points), at_once)]
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate([np.zeros(0, dtype=np.int64), *pool.map(work, blocks)])


def nearest_point(vectors: NDArray[np.float32]) -> Search:
    """Among vectors of Euclid's space."""
    half = 0.5 * np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    return Search(np.ascontiguousarray(vectors), half.astype(np.float32))
