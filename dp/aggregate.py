"""Exact integer aggregates over people, the last step before noise.

Everything here is int64 and exact: shuffling or re-chunking rows changes no bit of a result.

The code ensures: no float is ever summed; no sum can overflow (n x bound is checked against 2^62 first); the
squared L2 move of one matched row is computed in integers from the very rows that were summed.
The caller ensures: which rows count is decided by a stable match (`matching.match`), and `rows_moved` is the bound
that match declares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_SUM = 2**62


class OverflowPossible(Exception):
    """So many rows of so large a bound could leave int64. Carries public sizes only."""

    def __init__(self, rows: int, bound: int) -> None:
        super().__init__(rows, bound)
        self.rows, self.bound = rows, bound


@dataclass(frozen=True, slots=True)
class Statistic:
    """Exact integers about people: secret until noise is paid for.

    values: int64, one a cell, in units of 2^-bits. l2_squared: the largest squared L2 move of `values`, in lattice
    units, when one matched row comes or goes.
    """

    values: NDArray[np.int64]
    bits: int
    l2_squared: int


def count(matched: NDArray[np.bool_]) -> Statistic:
    """How many rows match: one cell."""
    return Statistic(np.array([np.count_nonzero(matched)], dtype=np.int64), bits=0, l2_squared=1)


def histogram(cell: NDArray[np.int64], matched: NDArray[np.bool_], cells: int) -> Statistic:
    """How many matched rows fall into each of `cells` declared cells; every cell comes back, empty or not."""
    if cell.size and (int(cell.min()) < 0 or int(cell.max()) >= cells):
        raise ValueError("a row points at a cell that was not declared")
    counts = np.bincount(cell[matched], minlength=cells).astype(np.int64)
    return Statistic(counts, bits=0, l2_squared=1)


def vector(values: NDArray[np.int64], *, bits: int, l2_squared: int, rows: int, bound: int) -> Statistic:
    """A sum of integer rows that was made elsewhere, one whole row at a time.

    rows: how many rows could have been added. bound: the largest absolute value of one cell of one row.
    Errors: OverflowPossible.
    """
    if rows * bound >= LARGEST_SUM:
        raise OverflowPossible(rows, bound)
    return Statistic(values.astype(np.int64, copy=True), bits=bits, l2_squared=l2_squared)
