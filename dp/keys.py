"""Declared keys: the only ones a table has, whatever the rows hold.

A `Category` has the values that the contract lists; `Bins` have the edges that it lists. Keys of a table are all
combinations, in declared order; the first dimension changes slowest. A row whose cell is missing, undeclared or outside
belongs to no key and adds to nothing: no error ever depends on a row.

The code ensures: which key a row belongs to depends on that row and on what is declared, on nothing else (no
categories, edges or order are taken from the data).
The caller ensures: values and edges come from the signed contract or job.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

    from .canonical import Leaf

Int = NDArray[np.int64]

MOST_CELLS = 2**22
"""Noise for this many cells takes most of a minute."""

OUTSIDE = -1
"""The code of a row that belongs to no declared key."""

_EPOCH = date(1970, 1, 1)


class InvalidQuery(Exception):
    """What is asked cannot be answered, whoever the rows are about. Nothing was read. rule, remedy: in words."""

    def __init__(self, where: str, rule: str, remedy: str) -> None:
        super().__init__(where, rule, remedy)
        self.where, self.rule, self.remedy = where, rule, remedy


@dataclass(frozen=True, slots=True)
class Category:
    """A column of declared values. Errors: InvalidQuery."""

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise InvalidQuery(self.name, "its values must be some, and each once", "list every value once")

    @property
    def labels(self) -> tuple[str, ...]:
        return self.values

    @property
    def many(self) -> int:
        return len(self.values)

    def codes(self, rows: pl.DataFrame) -> Int:
        """Which declared value each row has, or `OUTSIDE`."""
        import polars as pl

        column = column_of(rows, self.name)
        if column.dtype not in (pl.String, pl.Enum, pl.Categorical, pl.Boolean):
            raise InvalidQuery(self.name, "it holds no values of a declared list", "declare bins for numbers and days")
        if column.dtype == pl.Boolean:
            column = column.replace_strict({True: "yes", False: "no"}, return_dtype=pl.String)
        if column.dtype == pl.Enum(self.values):
            known = column
        else:
            known = column.cast(pl.String).cast(pl.Enum(self.values), strict=False)
        return known.to_physical().cast(pl.Int64).fill_null(OUTSIDE).to_numpy()

    def as_json(self) -> Leaf:
        return {"column": self.name, "values": list(self.values)}


@dataclass(frozen=True, slots=True)
class Bins:
    """A column of numbers or dates, cut at declared edges: each bin begins at its edge and ends before the next.

    edges: ascending; the last one closes the last bin, and belongs to it. Days count from 1970 (`Bins.of_days`).
    clip: a number beyond the ends counts as the nearest end; otherwise it belongs to no bin. days: edges are days, and
    labels say the first and the last day of each. Errors: InvalidQuery.
    """

    name: str
    edges: tuple[float, ...]
    clip: bool = False
    days: bool = False

    def __post_init__(self) -> None:
        finite = all(math.isfinite(edge) for edge in self.edges)
        if len(self.edges) < 2 or not finite or any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise InvalidQuery(self.name, "its edges must ascend, so that no two bins overlap", "list them in order")

    @classmethod
    def of_days(cls, name: str, days: Sequence[date]) -> Bins:
        """Windows of whole days: each from its day up to the day before the next; the last day only ends the last."""
        edges = [float((day - _EPOCH).days) for day in days]
        return cls(name, (*edges[:-1], edges[-1] - 0.5) if edges else (), days=True)

    @property
    def labels(self) -> tuple[str, ...]:
        said = _days_said if self.days else _numbers_said
        return tuple(said(a, b) for a, b in zip(self.edges, self.edges[1:], strict=False))

    @property
    def many(self) -> int:
        return len(self.edges) - 1

    def codes(self, rows: pl.DataFrame) -> Int:
        """Which bin each row is in, or `OUTSIDE`."""
        x = numbers_of(rows, self.name)
        if self.clip:
            x = np.clip(x, self.edges[0], self.edges[-1])
        bin_of = np.searchsorted(np.array(self.edges), x, side="right") - 1
        bin_of[x == self.edges[-1]] = len(self.edges) - 2
        inside = (x >= self.edges[0]) & (x <= self.edges[-1])  # a NaN is in no bin
        return np.where(inside, bin_of, OUTSIDE).astype(np.int64)

    def as_json(self) -> Leaf:
        return {"column": self.name, "edges": [edge.hex() for edge in map(float, self.edges)], "clip": self.clip}


@dataclass(frozen=True, slots=True)
class Open:
    """A column of text whose values nobody listed: which of them show is selected (`dp.selection`).

    found: those that do, or that might; None before anybody looked, when one stands for all.
    """

    name: str
    found: tuple[str, ...] | None = field(default=None, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        return ("each key",) if self.found is None else self.found

    @property
    def many(self) -> int:
        return 1 if self.found is None else len(self.found)

    def texts(self, rows: pl.DataFrame) -> pl.Series:
        """The column as text. Errors: InvalidQuery where it holds none: a matter of the schema, not of a row."""
        import polars as pl

        column = column_of(rows, self.name)
        if column.dtype not in (pl.String, pl.Enum, pl.Categorical):
            raise InvalidQuery(self.name, "it holds no text", "name a column of text")
        return column.cast(pl.String)

    def codes(self, rows: pl.DataFrame) -> Int:
        """Which of the values among these rows each row has, or `OUTSIDE`: tells them apart here, and says no more."""
        import polars as pl

        texts = self.texts(rows)
        known = texts.cast(pl.Enum(texts.drop_nulls().unique().sort()))
        return known.to_physical().cast(pl.Int64).fill_null(OUTSIDE).to_numpy()

    def named(self, rows: pl.DataFrame, secret: bytes) -> Int:
        """A number for each row's value that depends on no other value, or `OUTSIDE`: a new key moves nobody's cuts."""
        import polars as pl

        texts = self.texts(rows)
        names = texts.drop_nulls().unique().sort()
        place = texts.cast(pl.Enum(names)).to_physical().cast(pl.Int64).fill_null(OUTSIDE).to_numpy()
        return np.where(place == OUTSIDE, OUTSIDE, np.append(hashed(names.to_list(), secret), 0)[place])

    def as_json(self) -> Leaf:
        return {"column": self.name, "open": True}


def hashed(names: Sequence[str], secret: bytes) -> Int:
    """A keyed number for each name, from 0 to 2^63, that depends on no other name. secret: 16 bytes or more."""
    digests = (hashlib.blake2b(name.encode(), key=secret[:64], digest_size=8).digest() for name in names)
    return (np.frombuffer(b"".join(digests), dtype="<u8") >> np.uint64(1)).astype(np.int64)


Dimension: TypeAlias = Category | Bins | Open


def sizes(by: Sequence[Dimension]) -> tuple[int, ...]:
    """How many values each dimension has."""
    return tuple(dimension.many for dimension in by)


def cells(by: Sequence[Dimension]) -> int:
    """How many keys a table has: public. Errors: InvalidQuery where there are too many, or one column twice."""
    if len({dimension.name for dimension in by}) != len(by):
        raise InvalidQuery(", ".join(dimension.name for dimension in by), "a column stands twice", "name it once")
    many = math.prod(sizes(by))
    if many > MOST_CELLS and not any(isinstance(dimension, Open) for dimension in by):
        raise InvalidQuery(
            ", ".join(dimension.name for dimension in by),
            f"that is {many:,} keys, and a table has at most {MOST_CELLS:,}",
            "leave a column out, or make bins wider",
        )
    return many


def codes(by: Sequence[Dimension], rows: pl.DataFrame) -> Int:
    """Which key each row belongs to, or `OUTSIDE`. (rows,) int64."""
    code = np.zeros(rows.height, dtype=np.int64)
    outside = np.zeros(rows.height, dtype=np.bool_)
    for dimension in by:
        one = dimension.codes(rows)
        outside |= one == OUTSIDE
        code *= dimension.many
        code += one
    code[outside] = OUTSIDE
    return code


def _numbers_said(first: float, end: float) -> str:
    """With all digits: no two bins are called the same."""
    return f"{repr(float(first)).removesuffix('.0')} to {repr(float(end)).removesuffix('.0')}"


def _days_said(first: float, end: float) -> str:
    """The first day and the last, both in it."""
    one, last = (_EPOCH + timedelta(day) for day in (math.ceil(first), math.ceil(end) - 1))
    return f"{one}" if one == last else f"{one} to {last}"


def column_of(rows: pl.DataFrame, name: str) -> pl.Series:
    """A column. Errors: InvalidQuery where the data set has none of that name."""
    if name not in rows.columns:
        raise InvalidQuery(name, "the data set has no such column", "name one that the contract declares")
    return rows.get_column(name)


def numbers_of(rows: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """A column as float64; a missing cell is NaN, a date the days since 1970, yes and no are 1 and 0.

    Errors: InvalidQuery where its type is none of these: a matter of the schema, not of a row.
    """
    import polars as pl

    column = column_of(rows, name)
    if column.dtype == pl.Date:
        column = column.cast(pl.Int32)
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise InvalidQuery(name, "it does not hold numbers", "name a column of numbers, days, or yes and no")
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
