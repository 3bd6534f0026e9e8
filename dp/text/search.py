"""The nearest table word of a point: post-processing of a point that is private already, so it may be approximate.

Both geometries come down to the largest inner product with a row a word: less half its square in Euclid's, with the
sign of time turned in Lorentz's. In float32: a word that is nearer by less than a rounding error may be missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CELLS = 1 << 21


@dataclass(frozen=True)
class Search:
    """rows: (m, k) float32, one a word. shift: (m,) float32, taken from each product."""

    rows: NDArray[np.float32]
    shift: NDArray[np.float32]

    def nearest(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """points: (n, k). Returns (n,) positions of words."""
        found = np.empty(len(points), dtype=np.int64)
        step = max(1, _CELLS // len(self.rows))
        for start in range(0, len(points), step):
            likeness = points[start : start + step].astype(np.float32) @ self.rows.T
            likeness -= self.shift
            found[start : start + step] = likeness.argmax(axis=1)
        return found


def nearest_point(vectors: NDArray[np.float32]) -> Search:
    """Among vectors of Euclid's space."""
    half = 0.5 * np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    return Search(np.ascontiguousarray(vectors), half.astype(np.float32))
