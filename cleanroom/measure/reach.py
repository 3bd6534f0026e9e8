"""Reach and frequency: how many people or households, and how often they were reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...dp.intervals import Estimates, numbers
from ...dp.keys import cells
from ...dp.linear import quotients
from ...dp.table import Table
from ...policies.jobs.query import Terms
from ...policies.jobs.reach import ALL, HOUSEHOLDS, PEOPLE, FrequencyJob, ReachJob
from ...policies.jobs.table import TableJob
from .measure import Precision
from .shown import Column, Plain, Tables, View, short, up_to
from .table import TableDocument, TableMeasure, bounds_said, enough


class Reach(TableDocument):
    """How many different people, and households."""

    kind: Literal["reach"]


class ReachMeasure(TableMeasure):
    """One view by key, one of all."""

    document = Reach
    job = ReachJob

    def views(self, job: TableJob, terms: Terms, tables: Tables, rows: Mapping[str, int]) -> Sequence[View]:
        del rows
        whats = [name for name in (PEOPLE, HOUSEHOLDS) if name in tables]
        first = tables[PEOPLE]
        by = short([each.name for each in first.by], job.dataset)
        columns = tuple[Column, ...](Plain(what, what, what) for what in whats)
        views = [View("by key" if by else "in all", by, first.labels, columns, enough(terms, first))]
        if f"{PEOPLE}{ALL}" in tables:
            totals = tuple[Column, ...](Plain(what, f"{what}{ALL}", what) for what in whats)
            views.append(View("in all", (), [()], totals, enough(terms, tables[f"{PEOPLE}{ALL}"])))
        return views

    def notes(self, job: TableJob, terms: Terms) -> list[str]:
        said = bounds_said(job, terms)
        if isinstance(job, ReachJob) and job.households:
            said.append("a person is counted in one household, of all it was seen in by a keyed draw")
            said += _of_households(job, terms)
        if job.by and terms.at_least is None:
            said.append("whoever is in several keys is counted in each, and once in all: keys do not add up to that")
        return said


def _of_households(job: TableJob, terms: Terms) -> list[str]:
    """Of a household count as many keys as of a person, though several people may be in it."""
    by = job.dimensions(terms)
    keys = job.keys_of(terms.dataset[job.dataset], by)
    return [f"a household is counted in at most {keys:,} of {cells(by):,} keys"] if keys < cells(by) else []


class Frequency(TableDocument):
    """How often people, or households, were reached."""

    kind: Literal["frequency"]


class FrequencyMeasure(TableMeasure):
    """One view by how often, one of the averages."""

    document = Frequency
    job = FrequencyJob

    def views(self, job: TableJob, terms: Terms, tables: Tables, rows: Mapping[str, int]) -> Sequence[View]:
        assert isinstance(job, FrequencyJob)  # noqa: S101 - measure_of dispatches on the kind
        what = HOUSEHOLDS if job.households else PEOPLE
        table = tables[what]
        by = short([each.name for each in table.by[:-1]], job.dataset)
        times = [*map(str, range(1, job.most)), f"{job.most}+"]
        keys = list(dict.fromkeys(label[:-1] for label in table.labels))
        labels = [(*key, each) for key in keys for each in times]
        shown = enough(terms, table)
        columns = (Plain(what, what, what), AtLeastSoOften(f"{what} so often or more", what))
        averages = (
            Averages(f"{what} reached", what, what),
            Averages("average frequency", what, "", rows.get(job.dataset, math.inf)),
        )
        whole = None if shown is None else np.asarray(shown.reshape(len(keys), -1).all(axis=1))
        return [
            View("how often", (*by, "rows"), labels, columns if shown is None else columns[:1], shown),
            View("by key" if by else "in all", by, keys, averages, whole),
        ]

    def notes(self, job: TableJob, terms: Terms) -> list[str]:
        assert isinstance(job, FrequencyJob)  # noqa: S101 - measure_of dispatches on the kind
        rows = terms.dataset[job.dataset].rows_a_person
        said = [*bounds_said(job, terms), *(_of_households(job, terms) if job.households else [])]
        if job.most < rows and not job.households:
            said.append(f"{job.most} rows and more are counted as {job.most}, of up to {rows} that one person may have")
        return said


def _by_often(tables: Tables, what: str) -> tuple[NDArray[np.float64], float]:
    """(keys, times), and the noise of each."""
    table: Table = tables[what]
    return table.cells[what].reshape(-1, len(table.by[-1].labels)), table.sigma[what]


@dataclass(frozen=True, slots=True)
class AtLeastSoOften:
    """k+ reach: noisy counts of so many rows and more, added up; their noise adds up too."""

    name: str
    what: str

    def read(self, tables: Tables) -> Estimates:
        cells, sigma = _by_often(tables, self.what)
        sums = np.cumsum(cells[:, ::-1], axis=1)[:, ::-1]
        many = np.arange(cells.shape[1], 0, -1)
        return numbers(sums.ravel(), np.tile(sigma * np.sqrt(many), len(cells)))

    def planned(self, tables: Tables) -> tuple[Precision, ...]:
        found = self.read(tables)
        most = len(tables[self.what].by[-1].labels)
        return tuple(
            (self.name, f"{at + 1} rows and more", float(found.high[at] - found.low[at]) / 2) for at in range(most)
        )


@dataclass(frozen=True, slots=True)
class Averages:
    """How many were reached at all, and how often on average; `what` is "" for the latter. rows: of the data set, and
    so at most as many who were reached."""

    name: str
    table: str
    what: str
    rows: float = math.inf

    def read(self, tables: Tables) -> Estimates:
        cells, sigma = _by_often(tables, self.table)
        times = np.arange(1.0, cells.shape[1] + 1)
        if self.what:
            return numbers(cells.sum(axis=1), sigma * np.sqrt(cells.shape[1]))
        return quotients(cells, sigma, times, np.ones_like(times), 1.0, float(cells.shape[1]))

    def planned(self, tables: Tables) -> tuple[Precision, ...]:
        cells, sigma = _by_often(tables, self.table)
        if self.what:
            found = self.read(tables)
            return ((self.name, "whatever it is", float(found.high[0] - found.low[0]) / 2),)
        most = cells.shape[1]
        times, assumed = np.arange(1.0, most + 1), 0.5 ** np.arange(1, most + 1)
        rows = []
        for size in up_to(self.rows, (1_000, 10_000, 100_000)):
            one = quotients(size * assumed[None, :], sigma, times, np.ones(most), 1.0, float(most))[0]
            if one.high < most:
                rows.append((self.name, f"{size:,} reached, half of them once", (one.high - one.low) / 2))
        return tuple(rows)
