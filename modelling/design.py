"""The publisher's people as small integer rows: what labels are summed over, and what models read.

A row is one block of integers a column, on a lattice of 2^-20. It is held as level codes and one integer
table a column, never as a dense matrix: sums and scores cost one look-up a person and column, curvature one a
pair of columns.

The code ensures: every sum over matched rows is exact int64 arithmetic, the same whatever the order of the
rows; one row is at most 1 long, computed in integers from the tables that are summed (`verify`).
The caller ensures: `matched` comes from a stable match, and one secret record decides about one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..dp.aggregate import Statistic, vector

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BITS = 20
ONE = 2**BITS
"""The lattice: one unit is 2^-20, and a row is at most ONE units long."""

COUNT_UNIT = ONE * 30 // 100
"""What one matched row adds to the count cell: .3, rounded towards zero."""

MOMENTS_L2_SQUARED = ONE**2 + COUNT_UNIT**2
"""The most one matched row moves the moments (L2, squared, lattice units): known before data is touched."""

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Mask = NDArray[np.bool_]


class SensitivityExceeded(Exception):
    """Tables hold a row longer than promised. Sizes only, in squared lattice units."""

    def __init__(self, largest: int, allowed: int) -> None:
        super().__init__(largest, allowed)
        self.largest, self.allowed = largest, allowed


class DesignMismatch(Exception):
    """A design was made by another encoder, or a statistic from another design. Carries what was met and wanted."""

    def __init__(self, met: str | int, wanted: str | int) -> None:
        super().__init__(met, wanted)
        self.met, self.wanted = met, wanted


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The integers a column contributes.

    levels: what the table's rows stand for, the missing level last. table: int64, levels x cells.
    at_most: how many levels one person may have at once, the missing level apart. ordered: whether they stand in order.
    partition: whether everybody has exactly one level; of a set, of which one value at most is had, some have none.
    """

    name: str
    levels: tuple[str, ...]
    table: Int
    at_most: int = 1
    ordered: bool = False
    partition: bool = True

    @property
    def cells(self) -> int:
        return int(self.table.shape[1])

    @property
    def real(self) -> Float:
        """The table as fitting reads it: exactly the integers / 2^20."""
        return np.ldexp(self.table.astype(np.float64), -BITS)


def squared_norms(block: Block) -> list[int]:
    """The exact squared norm of each level's integers.

    Levels that can come together must not share a cell (ValueError): then their squared norms add.
    """
    if block.at_most > 1 and (np.count_nonzero(block.table[:-1], axis=0) > 1).any():
        raise ValueError("levels that come together share a cell")
    table, small = block.table, 1 << 24
    fits = bool(((table > -small) & (table < small)).all()) and table.shape[1] < 1 << 14
    exact = table if fits else table.astype(object)  # of Python's integers, which have no end
    return [int(norm) for norm in (exact * exact).sum(axis=1)]


def largest_norm_squared(block: Block) -> int:
    """The exact largest squared norm of one person's integers in a block, over all it may hold. Errors: ValueError."""
    norms = squared_norms(block)
    together = sorted(norms[:-1], reverse=True)[: block.at_most]
    return max(sum(together), norms[-1])


def verify(blocks: Sequence[Block], beside: int = 0) -> None:
    """Refuses tables under which some row could move the moments by more than `MOMENTS_L2_SQUARED`.

    beside: squared length, in lattice units, of what stands beside them in the same row. Errors: SensitivityExceeded.
    """
    largest = beside + sum(largest_norm_squared(block) for block in blocks)
    if largest > ONE**2:
        raise SensitivityExceeded(largest, ONE**2)


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Which levels each person has in one column.

    level: small unsigned ints. row: None when every person has exactly one level; else whose level it is,
    ascending.
    """

    level: NDArray[np.unsignedinteger]
    row: NDArray[np.int32] | None = None

    def count(self, matched: Mask, levels: int) -> Int:
        """How many matched people have each level."""
        chosen = matched if self.row is None else matched[self.row]
        return np.bincount(self.level[chosen], minlength=levels).astype(np.int64)

    def gather(self, weights: Float, levels: int) -> Float:
        """The people's weights, summed for each level."""
        spread = weights if self.row is None else weights[self.row]
        return np.bincount(self.level, weights=spread, minlength=levels).astype(np.float64)

    def scatter(self, values: Float, rows: int) -> Float:
        """The levels' values, summed for each person."""
        if self.row is None:
            return np.asarray(values[self.level])
        return np.bincount(self.row, weights=values[self.level], minlength=rows).astype(np.float64)

    def part(self, start: int, stop: int) -> Codes:
        """Of the people from `start` to before `stop`."""
        if self.row is None:
            return Codes(self.level[start:stop])
        first, last = np.searchsorted(self.row, [start, stop])
        return Codes(self.level[first:last], self.row[first:last] - np.int32(start))

    def take(self, kept: Mask) -> Codes:
        if self.row is None:
            return Codes(self.level[kept])
        stays = kept[self.row]
        renumbered = (np.cumsum(kept) - 1).astype(np.int32)
        return Codes(self.level[stays], renumbered[self.row[stays]])


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """People as an encoder made them; `digest` names that encoder.

    rows: people. columns and codes: one a column. Only `Encoder.encode` makes one.
    """

    rows: int
    columns: tuple[Block, ...]
    codes: tuple[Codes, ...]
    digest: str

    @property
    def cells(self) -> int:
        """Width of a row: cells of all columns."""
        return sum(block.cells for block in self.columns)

    def take(self, kept: Mask) -> Design:
        """The people under a mask, in the same order."""
        codes = tuple(code.take(kept) for code in self.codes)
        return Design(int(np.count_nonzero(kept)), self.columns, codes, self.digest)

    def moments(self, matched: Mask) -> Statistic:
        """The exact sum of the matched rows, and last the count cell: `cells` + 1 cells in all.

        Statistic.l2_squared is `MOMENTS_L2_SQUARED`, whatever the data.
        """
        if matched.shape != (self.rows,) or matched.dtype != np.bool_:
            raise ValueError("matched must say yes or no for every row")
        sums = [
            code.count(matched, len(block.table)) @ block.table
            for block, code in zip(self.columns, self.codes, strict=True)
        ]
        people = np.array([np.count_nonzero(matched) * COUNT_UNIT], dtype=np.int64)
        return vector(
            np.concatenate([*sums, people]),
            bits=BITS,
            l2_squared=MOMENTS_L2_SQUARED,
            rows=self.rows,
            bound=ONE,
        )

    def scores(self, levels: Sequence[Float]) -> Float:
        """The sum, for each person, of the values of the levels it has; one array of values a column."""
        total = np.zeros(self.rows)
        for code, values in zip(self.codes, levels, strict=True):
            total += code.scatter(values, self.rows)
        return total

    def project(self, weights: Float) -> Float:
        """Sum of weight x row over people: one value a cell."""
        pairs = zip(self.columns, self.codes, strict=True)
        return np.concatenate([code.gather(weights, len(b.table)) @ b.real for b, code in pairs])

    def curvature(self, weights: Float) -> Float:
        """Sum of weight x row row^T over people: cells x cells, symmetric."""
        starts = np.concatenate([[0], np.cumsum([block.cells for block in self.columns])])
        total = np.zeros((self.cells, self.cells))
        for i, first in enumerate(self.columns):
            for j, second in enumerate(self.columns[: i + 1]):
                shape = (len(first.table), len(second.table))
                together = co_occurrence(self.codes[i], self.codes[j], weights, shape)
                part = first.real.T @ together @ second.real
                here, there = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
                total[here, there], total[there, here] = part, part.T
        return total

    def blocks(self, size: int = 32_768) -> Iterator[Float]:
        """Dense rows, float64, `size` people at a time: for learners that cannot read codes."""
        for start in range(0, self.rows, size):
            stop = min(start + size, self.rows)
            codes = tuple(code.part(start, stop) for code in self.codes)
            yield Design(stop - start, self.columns, codes, self.digest)._dense()

    def _dense(self) -> Float:
        parts = []
        for block, code in zip(self.columns, self.codes, strict=True):
            if code.row is None:
                parts.append(block.real[code.level])
            else:
                parts.append(np.zeros((self.rows, block.cells)))
                np.add.at(parts[-1], code.row, block.real[code.level])
        return np.hstack(parts)


def across(first: Design, second: Design, weights: Float) -> Float:
    """Sum of weight x row x other row^T over people who stand in two designs: cells x cells."""
    parts = [
        [
            a.real.T @ co_occurrence(one, other, weights, (len(a.table), len(b.table))) @ b.real
            for b, other in zip(second.columns, second.codes, strict=True)
        ]
        for a, one in zip(first.columns, first.codes, strict=True)
    ]
    return np.block(parts)


def co_occurrence(first: Codes, second: Codes, weights: Float, shape: tuple[int, int]) -> Float:
    """Summed weights of the people who have both levels, for each pair of levels of two columns."""
    if first.row is not None and second.row is not None:
        return _sparse_pairs(first, second, weights, shape)
    row = first.row if second.row is None else second.row
    a, b, spread = first.level, second.level, weights
    if row is not None:
        a, b = (a, b[row]) if second.row is None else (a[row], b)
        spread = weights[row]
    pairs = a.astype(np.int64) * shape[1] + b
    return np.bincount(pairs, weights=spread, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _sparse_pairs(first: Codes, second: Codes, weights: Float, shape: tuple[int, int]) -> Float:
    """The same for two columns of many levels a person."""
    a = _incidence(first, weights[first.row], (len(weights), shape[0]))
    b = _incidence(second, np.ones(len(second.level)), (len(weights), shape[1]))
    return np.asarray((a.T @ b).toarray(), dtype=np.float64)


def _incidence(codes: Codes, values: Float, shape: tuple[int, int]) -> csr_array[np.float64, tuple[int, int]]:
    """People x levels, `values` where a person has a level."""
    from scipy.sparse import csr_array

    starts = np.searchsorted(codes.row if codes.row is not None else np.arange(shape[0]), np.arange(shape[0] + 1))
    return csr_array((values, codes.level.astype(np.int64), starts), shape=shape)


def column_of_cells(design: Design) -> Int:
    """Whose cells they are: the position of a column, for every cell of a row."""
    return np.repeat(np.arange(len(design.columns)), [block.cells for block in design.columns])


def used_cells(design: Design) -> Int:
    """Positions of the cells that tell some people from others; of the first at least: there is something to solve."""
    everyone = np.ones(design.rows, dtype=np.bool_)
    telling = []
    for block, code in zip(design.columns, design.codes, strict=True):
        present = block.table[code.count(everyone, len(block.table)) > 0]
        if code.row is not None:  # who has no level at all has zeros
            present = np.vstack([present, np.zeros_like(block.table[:1])])
        telling.append(np.ptp(present, axis=0) > 0 if len(present) else np.zeros(block.cells, dtype=np.bool_))
    used = np.concatenate(telling)
    used[0] = True
    return np.flatnonzero(used)
