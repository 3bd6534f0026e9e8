"""What is shown of noisy tables: columns of numbers with intervals, one for a release, its reader and the plan.

A `View` is one table that people read: its keys and its columns. A column knows how it is made of noisy tables, and
what of it can be said before any data is touched: a number's interval is known then, a ratio's for assumed sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...dp.intervals import Estimates, at_once, ratios
from ...dp.keys import Open
from ...dp.noisy import Estimate
from ...dp.table import Table
from ..document import Strict
from .measure import Planned, Precision

Tables: TypeAlias = Mapping[str, Table]
Bools: TypeAlias = NDArray[np.bool_]

ASSUMED = (100, 1_000, 10_000, 100_000)
"""Sizes under a ratio's line for which a plan says how exact it would be: the real ones are secret."""


def up_to(most: float, sizes: Sequence[int] = ASSUMED) -> tuple[int, ...]:
    """Sizes to assume where public numbers of rows allow `most`: smaller ones, and that. most: infinite for any."""
    return tuple(size for size in sizes if size < most) + ((math.floor(most),) if 1 <= most < sizes[-1] else ())


SHOWN = (10, 100, 1_000)
"""How many keys may show that nobody listed: for these a plan says how exact the largest would be."""


class Numbers(Strict):
    """One column of a table: a number a key, null where the noise says nothing, or the key is not shown.

    low, high: ends of an interval that covers what `covers` says in 95 of 100 releases; null where nothing bounds it.
    """

    name: str
    covers: Annotated[str, Field(pattern="^noise[a-zA-Z0-9 ,;:%.-]{0,100}$")]
    estimate: list[float | None]
    low: list[float | None]
    high: list[float | None]


class TableShown(Strict):
    """keys: one label a column of `by`, for each row. columns: as long as there are keys.

    hidden: how many keys were left out, because fewer people than the contract asks for stand behind them, or because
    only the largest were asked for.
    """

    name: str
    by: list[str]
    keys: list[list[str]]
    columns: list[Numbers]
    hidden: Annotated[int, Field(ge=0)] = 0


class Column(Protocol):
    """How a column is made, and what is known of it beforehand."""

    @property
    def name(self) -> str: ...

    def read(self, tables: Tables) -> Estimates: ...

    def planned(self, tables: Tables) -> Sequence[Precision]:
        """Half widths. tables: of nothing but the noise that is planned."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A noisy number. total: of the table's grand total."""

    name: str
    table: str
    measure: str
    total: bool = False

    def read(self, tables: Tables) -> Estimates:
        table = tables[self.table]
        return (table.totals[()] if self.total else table).numbers(self.measure)

    def planned(self, tables: Tables) -> tuple[Precision, ...]:
        found = self.read(tables)
        return ((self.name, "whatever it is", float(found.high[0] - found.low[0]) / 2),)


@dataclass(frozen=True, slots=True)
class Largest:
    """The noisy number that says which keys are the largest: its intervals hold for all keys at once, so also for
    those that noise put first. among: how many keys there may be, where it also says which of them show; else 0."""

    name: str
    table: str
    measure: str
    among: int = 0

    def read(self, tables: Tables) -> Estimates:
        return tables[self.table].together(self.measure, self.among)

    def planned(self, tables: Tables) -> Sequence[Precision]:
        """Of keys that nobody listed it depends on how many show, or may be there."""
        table = tables[self.table]
        if self.among or not any(isinstance(each, Open) for each in table.by):
            found = self.read(tables)
            return ((self.name, "whatever it is", float(found.high[0] - found.low[0]) / 2),)
        sigma = table.sigma[self.measure]
        return tuple((self.name, f"{many:,} keys show", at_once(many) * sigma) for many in SHOWN)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One noisy number over another, times a unit (1,000 for a price of a thousand). most: what is possible. below: the
    most that may stand below the line, by public numbers of rows."""

    name: str
    top: tuple[str, str]
    bottom: tuple[str, str]
    unit: float = 1.0
    most: float = math.inf
    total: bool = False
    assumed: float = 0.1
    below: float = math.inf

    def read(self, tables: Tables) -> Estimates:
        (top, s), (bottom, t) = (_cells(tables, part, self.total) for part in (self.top, self.bottom))
        return ratios(top, s, bottom, t, most=self.most / self.unit).moved(self.unit)

    def planned(self, tables: Tables) -> tuple[Precision, ...]:
        """For some sizes of what stands below the line, and a ratio as is often seen. Of the largest that public rows
        allow it is also said where it would not be known."""
        (_, s), (_, t) = (_cells(tables, part, self.total) for part in (self.top, self.bottom))
        sizes = up_to(self.below)
        last = sizes[-1] if math.isfinite(self.below) and sizes else None
        bottom = np.array(sizes, dtype=np.float64)
        found = ratios(self.assumed * bottom, s, bottom, t, most=self.most / self.unit)
        rows = []
        for at, size in enumerate(sizes):
            one = found[at]
            known = math.isfinite(one.high) and not math.isnan(one.estimate)
            if known or size == last:
                half = self.unit * (one.high - one.low) / 2 if known else math.inf
                given = f"{size:,} {self.bottom[1]}, {self.name} {self.unit * self.assumed:g}"
                rows.append((self.name, given, half))
        return tuple(rows)


def _cells(tables: Tables, part: tuple[str, str], total: bool) -> tuple[NDArray[np.float64], float]:
    table = tables[part[0]].totals[()] if total else tables[part[0]]
    return table.cells[part[1]], table.sigma[part[1]]


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a table that was asked for it. rows: how many there are, which is public."""

    name: str
    table: str
    measure: str
    rows: float = math.inf

    def read(self, tables: Tables) -> Estimates:
        return tables[self.table].mean(self.measure)

    def planned(self, tables: Tables) -> tuple[Precision, ...]:
        table = tables[self.table]
        s, t = table.sigma[self.measure], table.sigma[f"{self.measure}.rows"]
        sizes = up_to(self.rows)
        all_of_them = ratios(np.zeros(len(sizes)), s, np.array(sizes, dtype=np.float64), t, least=-math.inf)
        found = [(size, all_of_them[at]) for at, size in enumerate(sizes)]
        return tuple(
            (self.name, f"{size:,} rows, a mean in the middle", (one.high - one.low) / 2)
            for size, one in found
            if math.isfinite(one.high - one.low)
        )


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of a running table."""

    name: str
    table: str
    measure: str
    share: float

    def read(self, tables: Tables) -> Estimates:
        return tables[self.table].quantile(self.share, self.measure)

    def planned(self, tables: Tables) -> tuple[Precision, ...]:
        """In ranks: which value lies there is the data's to say."""
        table = tables[self.table]
        bins = len(table.by[-1].labels)
        from ...dp.running import decoder

        row = decoder(bins)[bins // 2]
        half = 1.96 * table.sigma[self.measure] * float(np.sqrt((row**2).sum()))
        return ((self.name, "in rows that lie on the wrong side of it", half),)


@dataclass(frozen=True, slots=True)
class Cuts:
    """How many people a table's bounds cut; or, of one of its numbers, how much may be missing for it at most."""

    name: str
    table: str
    each: float = 1.0

    def read(self, tables: Tables) -> Estimates:
        found = tables[self.table].cut or Estimate(math.nan, math.nan, math.nan)
        ends = (max(0.0, end) * self.each for end in (found.estimate, found.low, found.high))
        return Estimates(*(np.array([end]) for end in ends), covers="noise" if self.each == 1 else AT_MOST)

    def planned(self, tables: Tables) -> tuple[Precision, ...]:
        """Nothing of itself: it says what bounds may have done to others."""
        del tables
        return ()


AT_MOST = "noise, of the most that may be missing"


def cuts(stakes: Mapping[str, Mapping[str, float]], tables: Tables) -> list[View]:
    """What bounds may have cut off, in all: by the declared bounds, for each person who was cut. Hidden where these are
    fewer people than the contract asks for."""
    found = []
    for table, beyond in stakes.items():
        if beyond:
            columns = [Cuts(f"{name} missing at most", table, each) for name, each in beyond.items()]
            shown = np.array([tables[table].cut is not None])
            found.append(View(f"cut by bounds ({table})", (), [()], (Cuts("people cut", table), *columns), shown))
    return found


@dataclass(frozen=True, slots=True)
class View:
    """One table to read. shown: which keys are; None for all. order: their order; None as declared."""

    name: str
    by: tuple[str, ...]
    labels: Sequence[tuple[str, ...]]
    columns: tuple[Column, ...]
    shown: Bools | None = None
    order: NDArray[np.int64] | None = None

    def read(self, tables: Tables) -> TableShown:
        at = np.arange(len(self.labels)) if self.order is None else self.order
        if self.shown is not None:
            at = at[self.shown[at]]
        return TableShown(
            name=self.name,
            by=list(self.by),
            keys=[list(self.labels[each]) for each in at],
            columns=[numbers_of(column.name, column.read(tables).take(at)) for column in self.columns],
            hidden=len(self.labels) - len(at),
        )

    def planned(self, tables: Tables) -> tuple[Planned, ...]:
        return tuple(Planned(*row, self.name) for column in self.columns for row in column.planned(tables))


def numbers_of(name: str, found: Estimates) -> Numbers:
    """A column as a release holds it."""
    return Numbers(
        name=name,
        covers=found.covers,
        estimate=_finite(found.estimate),
        low=_finite(found.low),
        high=_finite(found.high),
    )


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]


def short(columns: Sequence[str], dataset: str) -> tuple[str, ...]:
    """Names of columns for people: without the data set, where it is the job's own."""
    return tuple(name.removeprefix(f"{dataset}.") for name in columns)


def figures_of(shown: Sequence[TableShown]) -> list[dict[str, Any]]:
    """Tables as plain objects."""
    return [table.model_dump() for table in shown]
