"""Exact integer aggregates over people, the last step before noise.

Everything here is int64 and exact: shuffling or re-chunking rows changes no bit of a result.

The code ensures: no float is ever summed, or passed on as a sum; a sum that could overflow is refused (rows x bound
against 2^62), whatever the rows hold; no error depends on who matched.
The caller ensures: which rows count is decided by a stable match (`matching.match`) under which one record moves one
row; for `vector`, that `bound` and `l2_squared` were computed in integers from the very rows that were summed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LARGEST_SUM = 2**62

COUNT_BITS = 10
"""People are counted in units of 2^-10, so that the noise lies on a lattice much finer than its own width."""
COUNT_L2_SQUARED = 2 ** (2 * COUNT_BITS)
"""One person, squared, in those units."""


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

    values: NDArray[np.int64] = field(repr=False)
    bits: int
    l2_squared: int


def count(matched: NDArray[np.bool_]) -> Statistic:
    """How many rows match: one cell. matched: (rows,) bool. Errors: TypeError."""
    _refuse_unless(matched, np.bool_)
    return _of_people(np.array([np.count_nonzero(matched)], dtype=np.int64))


def tiers(tier: NDArray[np.uint8], keys: int) -> Statistic:
    """How many rows match by each of so many keys: one cell a key, best first. tier: (rows,), 0 for no match, else the
    number of the best key by which it matches. A row that only changes its tier counts as one that goes and one that
    comes. Errors: TypeError, ValueError where a tier is above `keys`.
    """
    _refuse_unless(tier, np.uint8)
    counts = np.bincount(tier, minlength=keys + 1)
    if len(counts) > keys + 1:
        raise ValueError("a tier that no key has")
    return _of_people(counts[1:].astype(np.int64))


def histogram(cell: NDArray[np.int64], matched: NDArray[np.bool_], cells: int) -> Statistic:
    """How many matched rows fall into each of `cells` declared cells; every cell comes back, empty or not.

    cell, matched: (rows,), of all rows. Errors: TypeError, ValueError, whoever matched.
    """
    _refuse_unless(cell, np.int64)
    _refuse_unless(matched, np.bool_)
    if cell.shape != matched.shape:
        raise ValueError("every row needs a cell, and a yes or no")
    if cell.size and (int(cell.min()) < 0 or int(cell.max()) >= cells):
        raise ValueError("a row points at a cell that was not declared")
    return _of_people(np.bincount(cell[matched], minlength=cells).astype(np.int64))


def _of_people(counts: NDArray[np.int64]) -> Statistic:
    """Whole people in lattice units; there are never enough people for these to overflow."""
    return Statistic(counts << COUNT_BITS, bits=COUNT_BITS, l2_squared=COUNT_L2_SQUARED)


def vector(values: NDArray[np.int64], *, bits: int, l2_squared: int, rows: int, bound: int) -> Statistic:
    """A sum of integer rows that was made elsewhere, one whole row at a time.

    values: (cells,) int64. rows: how many rows could have been added. bound: the largest absolute value of one cell
    of one row. Errors: OverflowPossible, TypeError.
    """
    _refuse_unless(values, np.int64)
    if int(rows) * int(bound) >= LARGEST_SUM:
        raise OverflowPossible(int(rows), int(bound))
    return Statistic(values.copy(), bits=bits, l2_squared=l2_squared)


def _refuse_unless(values: NDArray[np.generic], kind: type[np.generic]) -> None:
    """Numbers of another kind would be cut to integers, or read as positions, without a word."""
    if values.dtype != kind or values.ndim != 1:
        raise TypeError(f"one row of {kind.__name__} is needed")
