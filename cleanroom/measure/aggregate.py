"""Aggregate: any measures by any declared columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from ...dp.keys import Open
from ...policies.jobs.aggregate import (
    ALL_TABLE,
    COUNTS_TABLE,
    PEOPLE_TABLE,
    AggregateJob,
    Asked,
    CountAsked,
    MeanAsked,
    PeopleAsked,
    QuantilesAsked,
    SumAsked,
)
from ...policies.jobs.query import Terms
from ...policies.jobs.table import TableJob
from .shown import Column, Largest, Mean, Plain, Quantile, Tables, View, short
from .table import TableDocument, TableMeasure, bounds_said, enough


class Aggregate(TableDocument):
    """Any measures by any declared columns."""

    kind: Literal["aggregate"]


class AggregateMeasure(TableMeasure):
    """One view of all measures, and one of the totals."""

    document = Aggregate
    job = AggregateJob

    def views(self, job: TableJob, terms: Terms, tables: Tables, rows: Mapping[str, int]) -> Sequence[View]:
        asked = _asked(job)
        first = next(iter(tables.values()))
        labels = _labels(asked, tables)
        by = short([d.name for d in first.by[: len(asked.by)]], asked.dataset)
        among = rows[asked.dataset] if any(isinstance(each, Open) for each in first.by) else 0
        most = rows.get(asked.dataset, math.inf)
        columns = tuple(column for name in asked.measure for column in _columns(asked, name, among, most))
        top = None
        if asked.top is not None:
            top = tables[_table(asked, asked.top.by)].top(asked.top.by, asked.top.keys)
        shown = enough(terms, tables[PEOPLE_TABLE]) if PEOPLE_TABLE in tables else None
        views = [View("by key" if by else "in all", by, labels, columns, shown, top)]
        if totals := _totals(asked, tables):
            every = enough(terms, tables[ALL_TABLE]) if ALL_TABLE in tables else None
            views.append(View("in all", (), [()], totals, every))
        return views

    def notes(self, job: TableJob, terms: Terms) -> list[str]:
        asked, said = _asked(job), bounds_said(job, terms)
        rows = terms.dataset[job.dataset].rows_a_person
        for name, each in asked.measure.items():
            if isinstance(each, CountAsked) and each.at_most is not None and each.at_most < rows:
                said.append(
                    f"{name}: of one person at most {each.at_most} rows count, of up to {rows} that it may have"
                )
            if isinstance(each, SumAsked) and each.at_most is not None:
                low, high = terms.dataset[job.dataset].columns[each.of].bounds  # type: ignore[union-attr]
                possible = rows * max(abs(float(low)), abs(float(high)))  # type: ignore[arg-type]
                if each.at_most < possible:
                    said.append(
                        f"{name}: one person adds at most {each.at_most:g}, of up to {possible:g} by its bounds"
                    )
            said += _weighed(name, each, rows)
        if asked.top is not None:
            said.append("which keys are the largest is seen through noise: one just below may be larger in truth")
        return said


def _weighed(name: str, asked: Asked, rows: int) -> list[str]:
    """What bounds on rows do to a mean and to quantiles."""
    most, of = None, "in all"
    if isinstance(asked, MeanAsked):
        most, of = asked.rows_per_key, "of a key"
    elif isinstance(asked, QuantilesAsked):
        most = asked.at_most
    if most is None or most >= rows:
        return []
    count = f"{most} row{'' if most == 1 else 's'} {of} count{'s' if most == 1 else ''}"
    return [
        f"{name}: of one person at most {count}, of up to {rows} that it may have: whoever has more weighs less in it "
        "than by its rows"
    ]


def _asked(job: TableJob) -> AggregateJob:
    assert isinstance(job, AggregateJob)  # noqa: S101 - measure_of dispatches on the kind
    return job


def _labels(job: AggregateJob, tables: Tables) -> list[tuple[str, ...]]:
    """The keys of `by`: of a table of quantiles, without the bins."""
    for name, table in tables.items():
        if name != ALL_TABLE:
            return list(dict.fromkeys(label[: len(job.by)] for label in table.labels))
    raise KeyError


def _columns(job: AggregateJob, name: str, among: int, rows: float) -> list[Column]:
    """among: the most keys that there can be of a column whose values nobody listed: people decide which show. rows: of
    the data set."""
    asked, table = job.measure[name], _table(job, name)
    if isinstance(asked, MeanAsked):
        return [Mean(name, name, name, rows)]
    if isinstance(asked, QuantilesAsked):
        return [Quantile(f"{name} {100 * share:g}%", name, name, share) for share in asked.shares]
    if job.top is None or job.top.by != name:
        return [Plain(name, table, name)]
    return [Largest(name, table, name, among if table == PEOPLE_TABLE else 0)]


def _table(job: AggregateJob, name: str) -> str:
    """Where people, counts and sums stand."""
    return PEOPLE_TABLE if isinstance(job.measure[name], PeopleAsked) else COUNTS_TABLE


def _totals(job: AggregateJob, tables: Tables) -> tuple[Column, ...]:
    if not job.totals or not job.by:
        return ()
    found: list[Column] = []
    for name, asked in job.measure.items():
        if isinstance(asked, PeopleAsked):
            if ALL_TABLE in tables:
                found.append(Plain(name, ALL_TABLE, name))
            elif tables[PEOPLE_TABLE].totals:
                found.append(Plain(name, PEOPLE_TABLE, name, True))
        elif not isinstance(asked, MeanAsked | QuantilesAsked) and tables[COUNTS_TABLE].totals:
            found.append(Plain(name, COUNTS_TABLE, name, True))
    return tuple(found)
