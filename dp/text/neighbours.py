"""Exact neighbours among many vectors: float32 to leave out what is far, float64 to say what is near.

A product of float32 matrices finds every candidate within a margin that bounds its own rounding error; candidates are
measured again in float64. Nothing near is missed, which certificates rest on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Progress: TypeAlias = Callable[[int, int], None]
"""Called with how much is done, and of how much."""

_CELLS = 1 << 21
"""Of one block of products: 8 MiB, which stays near the processor."""


def quiet(done: int, of: int) -> None:
    """Progress that nobody looks at."""
    del done, of


def nearest(
    points: NDArray[np.float32], targets: NDArray[np.float32], count: int, progress: Progress = quiet
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The nearest targets of every point: which, and how far, nearest first; equal distances by position.

    points: (n, d). targets: (m, d). count: at most m. Returns (n, count) and (n, count).
    """
    near = np.empty((len(points), count), dtype=np.int32)
    far = np.empty((len(points), count), dtype=np.float64)
    half = 0.5 * np.einsum("ij,ij->i", targets, targets, dtype=np.float64).astype(np.float32)
    margin = _margin(points, targets)
    for start, stop in _blocks(len(points), len(targets)):
        block = points[start:stop]
        likeness = block @ targets.T
        likeness -= half
        rows, columns = _candidates(likeness, count, margin)
        near[start:stop], far[start:stop] = _nearest_of(block, targets, rows, columns, count)
        progress(stop, len(points))
    return near, far


def _blocks(rows: int, width: int) -> Iterator[tuple[int, int]]:
    step = max(1, min(rows, _CELLS // max(width, 1)))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def _margin(points: Floats, targets: Floats) -> np.float32:
    """Twice what a float32 product of a point and a target, less half a square, can be off by."""
    size = float(np.sqrt(np.einsum("ij,ij->i", targets, targets).max()))
    other = float(np.sqrt(np.einsum("ij,ij->i", points, points).max())) if len(points) else 0.0
    return np.float32(2 * (points.shape[1] + 3) * 2.0**-23 * size * (other + size))


def _candidates(
    likeness: NDArray[np.float32], count: int, margin: np.float32
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every cell that may be among the `count` largest of its row, row by row.

    Of the largest of each group, `count` are as large as the threshold: so are `count` cells.
    """
    rows, width = likeness.shape
    groups = min(2 * count, width)
    each = width // groups
    if each < 2:
        least = np.partition(likeness, width - count, axis=1)[:, width - count]
    else:
        tops = likeness[:, : groups * each].reshape(rows, each, groups).max(axis=1)
        least = np.partition(tops, groups - count, axis=1)[:, groups - count]
    found = np.flatnonzero(likeness >= (least - margin)[:, None])
    return np.divmod(found, width)


def _nearest_of(
    points: NDArray[np.float32],
    targets: NDArray[np.float32],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    far = distances(points, targets, rows, columns)
    order = np.lexsort((columns, far, rows))
    first = np.searchsorted(rows, np.arange(len(points)))
    kept = order[first[:, None] + np.arange(count)]
    return columns[kept], far[kept]


def distances(
    points: NDArray[np.float32], targets: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Euclidean, of points[rows] from targets[columns], in float64."""
    found = np.empty(len(rows), dtype=np.float64)
    for start in range(0, len(rows), 1 << 18):
        part = slice(start, start + (1 << 18))
        gap = points[rows[part]].astype(np.float64) - targets[columns[part]]
        found[part] = np.sqrt(np.einsum("ij,ij->i", gap, gap))
    return found
