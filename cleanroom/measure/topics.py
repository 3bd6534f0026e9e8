"""Topics: which topics go with which responses, how strongly, and whether chance would explain it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...dp.association import COVERS, Counts, adjusted, lift, odds_ratio, p_values
from ...dp.intervals import Estimates
from ...dp.keys import sizes
from ...policies.jobs.query import Terms
from ...policies.jobs.table import TableJob
from ...policies.jobs.topics import EVERYBODY, PAIRS, RESPONSE, TOPIC, TopicsJob
from .measure import Precision
from .shown import Column, Plain, Tables, View, short, up_to
from .table import TableDocument, TableMeasure, enough

Float = NDArray[np.float64]
HIDDEN_ABOVE = -1e12
"""No noisy count is so far below 0: what is, was hidden (`dp.veil`)."""
LIFT, ODDS, CHANCE = "lift", "odds ratio", "false discovery rate"


class Topics(TableDocument):
    """Topics and responses, with lift, odds ratio and significance."""

    kind: Literal["topics"]


class TopicsMeasure(TableMeasure):
    """Every pair, those first that chance explains least."""

    document = Topics
    job = TopicsJob

    def views(self, job: TableJob, terms: Terms, tables: Tables, rows: Mapping[str, int]) -> Sequence[View]:
        assert isinstance(job, TopicsJob)  # noqa: S101 - measure_of dispatches on the kind
        pairs = tables[PAIRS]
        columns: tuple[Column, ...] = (
            Plain("people", PAIRS, "people"),
            Associated(LIFT, rows.get(job.dataset, math.inf)),
            Associated(ODDS),
            Associated(CHANCE),
        )
        chance = Associated(CHANCE).read(tables).estimate
        order = np.argsort(np.nan_to_num(chance, nan=2.0), kind="stable").astype(np.int64)
        by = short([each.name for each in pairs.by], job.dataset)
        views = [View("pairs", by, pairs.labels, columns, shown_of(terms, tables), order)]
        for name in (TOPIC, RESPONSE):
            table = tables[name]
            of = short([each.name for each in table.by], job.dataset)
            views.append(View(name, of, table.labels, (Plain("people", name, "people"),), enough(terms, table)))
        return views

    def notes(self, job: TableJob, terms: Terms) -> list[str]:
        assert isinstance(job, TopicsJob)  # noqa: S101 - measure_of dispatches on the kind
        topics, responses = job.most(terms)
        column = terms.dataset[job.dataset].columns[job.topics]
        held = getattr(column, "at_most", 1)
        said = [
            f"of the pairs with a {CHANCE} of at most {job.false_discoveries:g}, about {job.false_discoveries:.0%} are "
            "there by chance, counting what sampling and the noise can do; which topic causes what is another question"
        ]
        if topics < held:
            said.append(
                f"{topics} topics of one person count, of up to {held}: drawn by a keyed hash, the same for all"
            )
        plain = "1 response of one person counts" if responses == 1 else f"{responses} responses of one person count"
        said.append(f"{plain}: different ones, drawn by a keyed hash where there are more")
        return said


@dataclass(frozen=True, slots=True)
class Associated:
    """What is made of a pair and its margins. rows: of the data set of topics."""

    name: str
    rows: float = math.inf

    def read(self, tables: Tables) -> Estimates:
        counts = counts_of(tables)
        if self.name == LIFT:
            return lift(counts)
        if self.name == ODDS:
            return odds_ratio(counts)
        q, nothing = np.full(len(counts.both), np.nan), np.full(len(counts.both), np.nan)
        there = counts.both > HIDDEN_ABOVE
        q[there] = adjusted(p_values(counts)[there])
        return Estimates(q, nothing, nothing, covers=COVERS)

    def planned(self, tables: Tables) -> tuple[Precision, ...]:
        """Of a lift of 1, for some sizes: what chance and noise leave open."""
        if self.name != LIFT:
            return ()
        noise, rows = _noise(tables), list[Precision]()
        for people in up_to(self.rows, (10_000, 100_000, 1_000_000)):
            a, r, c, n = (np.array([share * people]) for share in (0.005, 0.1, 0.05, 1.0))
            one = lift(Counts(a, r, c, n, noise))[0]
            if np.isfinite(one.high):
                given = f"{people:,} people, a tenth with the topic, a twentieth with the response, lift 1"
                rows.append((LIFT, given, (one.high - one.low) / 2))
        return tuple(rows)


def shown_of(terms: Terms, tables: Tables) -> NDArray[np.bool_] | None:
    """Pairs that have enough people, and so have both their margins."""
    return None if terms.at_least is None else counts_of(tables).both > HIDDEN_ABOVE


def counts_of(tables: Tables) -> Counts:
    """Pairs with their margins, one entry a pair, in the order of the pairs' keys; far below 0 where one is hidden."""
    pairs = tables[PAIRS]
    shape = sizes(pairs.by)
    history, (topics, responses) = shape[:-2], shape[-2:]
    lead = int(np.prod(history)) if history else 1
    both = tables[PAIRS].cells["people"].reshape(lead, topics, responses)
    first = tables[TOPIC].cells["people"].reshape(lead, topics, 1)
    second = tables[RESPONSE].cells["people"].reshape(lead, 1, responses)
    every = tables[EVERYBODY].cells["people"].reshape(lead, 1, 1)
    a, r, c, n = (np.broadcast_to(each, both.shape).ravel() for each in (both, first, second, every))
    few = np.minimum.reduce([a, r, c, n]) < HIDDEN_ABOVE
    return Counts(np.where(few, 2 * HIDDEN_ABOVE, a), r, c, n, _noise(tables))


def _noise(tables: Tables) -> tuple[float, float, float, float]:
    a, r, c, n = (tables[name].sigma["people"] for name in (PAIRS, TOPIC, RESPONSE, EVERYBODY))
    return a, r, c, n
