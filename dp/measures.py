"""Measures: what one person may add to a key, declared before anybody looks.

    People("people")                                    how many people have a row
    Count("views", at_most=20)                          rows, of one person in one key at most 20
    Count("clicks", at_most=5, of="clicked")            rows where a column says yes (or, a number, is not missing)
    Sum("spend", "price", 0, 500, parts=100, at_most=800)    money in cents: a row 0 to 500, a person in a key up to 800
    mean("price", "price", 0, 500, parts=100)           what `Table.mean` needs: a centred sum, and the rows it is over

    Cut()                                               people of whom some bound cut something off: one number a table

A measure counts in whole *parts* of its unit. What one person adds to one key lies within ±`bound` parts, and is cut to
that in integers, after rounding: the sensitivity holds whatever floats did before.

The code ensures: a row's number is clipped first, then rounded (floor(x parts + 1/2)); missing and NaN add nothing;
infinite is clipped like any other.
The caller ensures: bounds come from the contract or the job, never from the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .keys import Int, InvalidQuery, column_of, numbers_of

if TYPE_CHECKING:
    import polars as pl

    from .canonical import Leaf

LARGEST_BOUND = 2**30
"""In parts: what one person may add stays below this, and so does one row, so that 2^32 of them fit int64."""


@dataclass(frozen=True, slots=True)
class People:
    """Distinct people: each adds 1 to every key it has a row in."""

    name: str = "people"
    parts: int = 1
    in_total: int | None = None

    def bounds(self, rows_per_key: int | None) -> tuple[int, int]:
        del rows_per_key
        return 0, 1

    def of_rows(self, rows: pl.DataFrame) -> Int | None:
        """Nothing of a row matters but that it is there."""
        del rows
        return None

    def as_json(self) -> Leaf:
        return {"people": self.name}


@dataclass(frozen=True, slots=True)
class Count:
    """Rows. at_most: of one person in one key. of: only rows where this column says yes, or has a number.

    in_total: of one person in all keys together; None where `keys_per_person` is all that bounds it.
    """

    name: str
    at_most: int | None = None
    of: str | None = None
    in_total: int | None = None
    parts: int = 1

    def bounds(self, rows_per_key: int | None) -> tuple[int, int]:
        return 0, _at_most(self.name, self.at_most, rows_per_key)

    def of_rows(self, rows: pl.DataFrame) -> Int | None:
        """1 for each row that counts, 0 for the others; None where all count."""
        if self.of is None:
            return None
        column = column_of(rows, self.of)
        if column.dtype.is_numeric():
            return (~np.isnan(numbers_of(rows, self.of))).astype(np.int64)
        if column.dtype.is_temporal():
            return np.asarray(column.is_not_null().to_numpy(), dtype=np.int64)
        return np.asarray(numbers_of(rows, self.of) == 1, dtype=np.int64)

    def as_json(self) -> Leaf:
        return {"count": self.name, "of": self.of, "at_most": self.at_most, "in_total": self.in_total}


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum over rows. low, high: a row is clipped to these. parts: whole parts of a unit that are counted.

    at_most: of one person in one key, in units; None where `rows_per_key` bounds it. in_total: in all keys together.
    centred: sums x - (low + high) / 2 instead, whose noise is smaller; only `Table.mean` can read it.
    Errors: InvalidQuery.
    """

    name: str
    column: str
    low: float
    high: float
    parts: int = 1
    at_most: float | None = None
    in_total: float | None = None
    centred: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high and self.parts >= 1):
            raise InvalidQuery(self.name, "its bounds must be two numbers, the lower first", "declare low < high")
        if max(abs(self.low), abs(self.high)) * self.parts >= LARGEST_BOUND:
            raise InvalidQuery(
                self.name,
                f"its bounds hold {LARGEST_BOUND:,} parts or more, so that sums might not fit",
                "declare tighter bounds, or a larger unit",
            )

    @property
    def middle(self) -> int:
        """What is taken off each row, in parts."""
        return (self._lattice(self.low) + self._lattice(self.high)) // 2 if self.centred else 0

    def row_bounds(self) -> tuple[int, int]:
        """The least and most of one row, in parts."""
        return self._lattice(self.low) - self.middle, self._lattice(self.high) - self.middle

    def bounds(self, rows_per_key: int | None) -> tuple[int, int]:
        least, most = self.row_bounds()
        if self.at_most is None:
            rows = _at_most(self.name, None, rows_per_key)
            return min(0, least * rows), max(0, most * rows)
        if self.at_most <= 0 or self.centred:
            raise InvalidQuery(self.name, "at_most must be above 0, and is not for means", "declare rows_per_key")
        limit = self._lattice(self.at_most)
        return (-limit if least < 0 else 0), (limit if most > 0 else 0)

    def clips(self, rows: pl.DataFrame) -> NDArray[np.bool_]:
        """Rows whose number is beyond the bounds."""
        x = numbers_of(rows, self.column)
        return (x < self.low) | (x > self.high)

    def of_rows(self, rows: pl.DataFrame) -> Int | None:
        x = np.clip(numbers_of(rows, self.column), self.low, self.high)  # clips ±inf, keeps NaN
        missing = np.isnan(x)
        x[missing] = self.low
        q = np.floor(x * self.parts + 0.5).astype(np.int64) - self.middle
        np.clip(q, *self.row_bounds(), out=q)
        q[missing] = 0
        return q

    def _lattice(self, x: float) -> int:
        return math.floor(x * self.parts + 0.5)

    def as_json(self) -> Leaf:
        low, high = (float(end).hex() for end in (self.low, self.high))
        limits = [None if x is None else float(x).hex() for x in (self.at_most, self.in_total)]
        return {
            "sum": self.name,
            "of": self.column,
            "low": low,
            "high": high,
            "parts": self.parts,
            "at_most": limits[0],
            "in_total": limits[1],
            "centred": self.centred,
        }


@dataclass(frozen=True, slots=True)
class Cut:
    """How many people added less (or other) than they had, because of a bound or a limit on rows and keys.

    One number a table: whether clipping may bias it, and by how much (`Table.at_stake`). It is paid for like any other;
    give it little importance, and it costs little.
    """

    name: str = "cut"
    parts: int = 1
    in_total: int | None = None

    def bounds(self, rows_per_key: int | None) -> tuple[int, int]:
        del rows_per_key
        return 0, 1

    def as_json(self) -> Leaf:
        return {"cut": self.name}


Amount: TypeAlias = People | Count | Sum
"""What rows add to."""
Measure: TypeAlias = Amount | Cut


def mean(name: str, column: str, low: float, high: float, parts: int = 1) -> tuple[Sum, Count]:
    """The two measures of a mean over rows; the table declares `rows_per_key`."""
    return Sum(name, column, low, high, parts, centred=True), Count(rows_of(name), of=column)


def rows_of(name: str) -> str:
    """How the count beside the centred sum of a mean is called."""
    return f"{name}.rows"


def total_bound(measure: Measure) -> int | None:
    """What one person may add over all keys, in parts; None where nothing but the keys bounds it."""
    if measure.in_total is None:
        return None
    limit = math.floor(measure.in_total * measure.parts + 0.5)
    if limit < 1:
        raise InvalidQuery(measure.name, "in_total must be above 0", "declare what a person may add over all keys")
    return limit


def _at_most(name: str, declared: int | None, rows_per_key: int | None) -> int:
    limits = [limit for limit in (declared, rows_per_key) if limit is not None]
    if not limits or min(limits) < 1:
        raise InvalidQuery(
            name, "nothing bounds what one person adds", "declare at_most, or rows_per_key for the table, of 1 or more"
        )
    return min(limits)
