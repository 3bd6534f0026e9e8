"""Campaign: what was shown, clicked, paid and bought, and the rates and prices of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from ...policies.jobs.aggregate import number_column
from ...policies.jobs.campaign import CREDITED, EVENTS, PARTS_OF, CampaignJob, Figure
from ...policies.jobs.query import Terms
from ...policies.jobs.table import TableJob
from .shown import Column, Plain, Ratio, Tables, View, short
from .table import TableDocument, TableMeasure, bounds_said, enough_of

MOST: dict[Figure, float] = {"ctr": 1.0, "completion_rate": 1.0, "scroll_rate": 1.0}
"""Rates of which the part above the line lies within the one below: no more than 1."""
ASSUMED: dict[Figure, float] = {
    "cpm": 0.005, "cpc": 0.5, "cpa": 10.0, "roas": 3.0,
    "ctr": 0.01, "cvr": 0.05, "completion_rate": 0.7, "scroll_rate": 0.5,
}  # fmt: skip
"""Ratios as they are often seen: what a plan assumes."""
UNIT: dict[Figure, float] = {"cpm": 1000.0}


class Campaign(TableDocument):
    """Impressions, clicks, conversions, spend, and what follows from them."""

    kind: Literal["campaign"]


class CampaignMeasure(TableMeasure):
    """One view by key, and one of all."""

    document = Campaign
    job = CampaignJob

    def views(self, job: TableJob, terms: Terms, tables: Tables, rows: Mapping[str, int]) -> Sequence[View]:
        asked = _asked(job)
        most = _most(asked, terms, rows)
        first = tables[EVENTS]
        by = short([each.name for each in first.by], asked.dataset)
        shown = enough_of(terms, [tables[name] for name in (EVENTS, CREDITED) if name in tables])
        views = [View("by key" if by else "in all", by, first.labels, _columns(asked, most, total=False), shown)]
        if first.totals:
            views.append(View("in all", (), [()], _columns(asked, most, total=True)))
        return views

    def notes(self, job: TableJob, terms: Terms) -> list[str]:
        asked, said = _asked(job), bounds_said(job, terms)
        for name, most in asked.at_most.items():
            of = asked.conversions if name in ("conversions", "revenue") and asked.conversions else asked.dataset
            rows = terms.dataset[of].rows_a_person
            said.append(f"{name}: one person adds at most {most:g}, with up to {rows} rows: too small by what was cut")
        if asked.conversions:
            how = "one of the person's events, by a keyed draw: days are not looked at"
            if asked.credit_days is not None:
                how = f"the person's last event at most {asked.credit_days} days before"
            said.append(f"a conversion is credited to {how}; those of people without one are not counted")
        return said


def _asked(job: TableJob) -> CampaignJob:
    assert isinstance(job, CampaignJob)  # noqa: S101 - measure_of dispatches on the kind
    return job


def _most(job: CampaignJob, terms: Terms, rows: Mapping[str, int]) -> dict[str, float]:
    """The most that each number can be, by the public numbers of rows."""
    own = rows.get(job.dataset, math.inf)
    most: dict[str, float] = dict.fromkeys(job.counted(), own)
    if job.conversions:
        most["conversions"] = rows.get(job.conversions, math.inf)
    if job.spend:
        most["spend"] = own * number_column(terms, job.dataset, job.spend).bounds[1]
    return most


def _columns(job: CampaignJob, most: Mapping[str, float], *, total: bool) -> tuple[Column, ...]:
    """Counts and amounts first, then what is made of them. most: of each number."""
    plain = [Plain(name, _table(name), name, total) for name in job.counted()]
    made = [
        Ratio(
            figure,
            (_table(PARTS_OF[figure][0]), PARTS_OF[figure][0]),
            (_table(PARTS_OF[figure][1]), PARTS_OF[figure][1]),
            UNIT.get(figure, 1.0),
            MOST.get(figure, math.inf),
            total,
            ASSUMED[figure],
            most[PARTS_OF[figure][1]],
        )
        for figure in job.figures()
    ]
    return (*plain, *made)


def _table(name: str) -> str:
    return CREDITED if name in ("conversions", "revenue") else EVENTS
