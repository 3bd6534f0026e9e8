"""Measures of jobs that ask tables: exact integers over joined rows, one draw of noise, and views of what came back.

A release says what was asked (the job) and what was declared of the columns (of the contract); from these and the
noisy integers of its receipt every figure follows, at the reader as in the room. The entry in the ledger names the
digest of all that says what was counted: other columns, bounds or keys would be another statistic.

The code ensures: nothing after `Ledger.pay` sees a row.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dp.aggregate import Statistic
from ...dp.budget import DELTA_UNIT
from ...dp.entry import Purchase
from ...dp.grouped import aggregate, candidates
from ...dp.layout import Layout
from ...dp.ledger import Ledger
from ...dp.measures import People
from ...dp.noisy import Noisy, Receipt
from ...dp.scale import SCALE_UNIT, Scale
from ...dp.table import Table
from ...dp.veil import is_hidden
from ...policies.check import Allowed
from ...policies.contract import AtLeast, Contract, DatasetRule
from ...policies.jobs.draw import Shape
from ...policies.jobs.job import Job
from ...policies.jobs.query import Query, Terms
from ...policies.jobs.table import KEYS, TABLE, TableJob
from ..document import Count, Document, Strict
from ..room import Room
from .measure import Contents, Made, Planned
from .rows import tables as rows_of
from .shown import Tables, TableShown, View, cuts, figures_of


class Declared(Strict):
    """What the contract says of what was asked. at_least: how many people stand behind a key that is shown."""

    dataset: dict[str, DatasetRule]
    at_least: AtLeast | None


class TableDocument(Document):
    """asked: the job. declared: of the contract. rows: of the data sets, which are public. notes: what bounds may
    have cut, and other things to know before the numbers are used."""

    asked: dict[str, Any]
    declared: Declared
    rows: dict[str, Count]
    tables: list[TableShown]
    notes: list[str]


class TableMeasure(ABC):
    """One noisy row of numbers, and views of it."""

    files: frozenset[str] = frozenset()

    @property
    @abstractmethod
    def document(self) -> type[TableDocument]: ...

    @property
    @abstractmethod
    def job(self) -> type[TableJob]: ...

    @abstractmethod
    def views(self, job: TableJob, terms: Terms, tables: Tables, rows: Mapping[str, int]) -> Sequence[View]:
        """What is shown of the tables. rows: of the data sets."""

    def notes(self, job: TableJob, terms: Terms) -> list[str]:
        """What a reader should know of the bounds."""
        return bounds_said(job, terms)

    def statistics(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        job, terms = self._asked(document)
        return (KEYS if job.tables(terms).selection else TABLE,)

    def shape(self, contract: Contract, job: Job, statistic: str) -> Shape:
        del statistic
        query = table_job(job).tables(Terms.of(contract, job.datasets()))
        layout = query.layout()
        return Shape(layout.cells, 0, query.l2_squared(layout))

    def make(self, room: Room, allowed: Allowed, ledger: Ledger) -> Made:
        job, purchase = table_job(allowed.request.job), allowed.purchases[0]
        terms = Terms.of(room.contract, job.datasets())
        query = job.tables(terms)
        noisy = ledger.paid(purchase) or _bought(ledger, room, query, purchase)
        return Made((noisy,), Contents(self.values(job, terms, allowed.rows, noisy), {}))

    def values(self, job: TableJob, terms: Terms, rows: Mapping[str, int], noisy: Noisy) -> dict[str, object]:
        """What a release holds beside its receipt."""
        declared = Declared(dataset=dict(terms.dataset), at_least=terms.at_least)
        return {
            "asked": json.loads(job.model_dump_json(exclude_none=True)),
            "declared": json.loads(declared.model_dump_json()),
            "rows": dict(rows),
            **self._read(job, terms, rows, noisy),
        }

    def _read(self, job: TableJob, terms: Terms, rows: Mapping[str, int], noisy: Noisy) -> dict[str, object]:
        query = job.tables(terms)
        layout = query.layout() if noisy.keys is None else query.layout().over(noisy.keys)
        tables = layout.read(noisy)
        views = [*self.views(job, terms, tables, rows), *cuts(query.stakes, tables)]
        notes = [*self.notes(job, terms), *selection_said(query, terms, noisy.scale)]
        return {"tables": figures_of([view.read(tables) for view in views]), "notes": notes}

    def figures(self, document: Mapping[str, Any], noisy: Sequence[Noisy]) -> dict[str, object]:
        """Once more, from the job and the declarations that the release states; they must be those that were paid for.

        Errors: ValueError where they are not.
        """
        job, terms = self._asked(document)
        query = job.tables(terms)
        entry = json.loads(document["receipt"]["entries"][0]["entry"])
        if entry["specification"]["query"] != query.digest(query.layout(), terms):
            raise ValueError("what was paid for is another query")
        return self._read(job, terms, document["rows"], noisy[0])

    def _asked(self, document: Mapping[str, Any]) -> tuple[TableJob, Terms]:
        """The job and the declarations that a release states. Errors: ValueError, Refused."""
        declared = Declared.model_validate_json(json.dumps(document["declared"], default=str))
        terms = Terms(declared.dataset, declared.at_least)
        return self.job.revived(document["asked"], terms), terms

    def said(self, room: Room, allowed: Allowed) -> tuple[str, ...]:
        job, spec = table_job(allowed.request.job), allowed.purchases[0].specification
        terms = Terms.of(room.contract, job.datasets())
        return (*self.notes(job, terms), *selection_said(job.tables(terms), terms, spec.scale / SCALE_UNIT))

    def precision(self, room: Room, allowed: Allowed) -> tuple[Planned, ...]:
        """Of the planned noise alone: numbers as they will be, ratios for assumed sizes."""
        job, spec = table_job(allowed.request.job), allowed.purchases[0].specification
        terms = Terms.of(room.contract, job.datasets())
        layout = job.tables(terms).layout()
        tables = layout.read(only_noise(layout, spec.scale / SCALE_UNIT))
        found = [row for view in self.views(job, terms, tables, allowed.rows) for row in view.planned(tables)]
        return tuple(dict.fromkeys(found))


def table_job(job: Job) -> TableJob:
    assert isinstance(job, TableJob)  # noqa: S101 - measure_of dispatches on the kind
    return job


def _bought(ledger: Ledger, room: Room, query: Query, purchase: Purchase) -> Noisy:
    if purchase.selection is None:
        return ledger.pay(purchase, exact(room, query, purchase.key))
    layout, secret = query.layout(), room.store.derive(f"rows {purchase.key}")
    found = candidates(layout, purchase.selection.judge, rows_of(room, query, secret), secret)
    return ledger.select(purchase, found)


def selection_said(query: Query, terms: Terms, scale: float) -> list[str]:
    """From how many people on a key shows that nobody listed, and how often one of a single person does. scale: of the
    noise, in lattice steps."""
    selection = query.selects(query.layout(), scale, terms.at_least)
    if selection is None:
        return []
    people = selection.threshold(Scale(round(scale * SCALE_UNIT))) / selection.steps
    once = DELTA_UNIT / selection.delta
    return [
        f"keys show from a noisy count of {people:,.0f} people on: one that so many have shows half of the time; what "
        f"only one person has shows at most once in {once:,.0f} releases; what does not show is counted nowhere",
        "of keys that have about so many people those show whose count noise raised: such a count is rather too large, "
        "and an interval of one key by itself does not reckon with that",
    ]


def exact(room: Room, query: Query, key: str) -> Statistic:
    """The exact integers of a query. key: of the statistic; what is cut is cut by a secret of the room's for it."""
    layout = query.layout()
    secret = room.store.derive(f"rows {key}")
    statistic = aggregate(layout, rows_of(room, query, secret), secret)
    return Statistic(statistic.values, statistic.bits, query.l2_squared(layout))


def only_noise(layout: Layout, scale: float) -> Noisy:
    """A row of zeros with the noise that is planned: nothing was drawn, and nothing was looked at."""
    return Noisy(np.zeros(layout.cells, dtype=np.int64), scale, 0, Receipt("", 0, b"", ""))


def enough(terms: Terms, table: Table) -> NDArray[np.bool_] | None:
    """Which keys have as many people as the contract asks for; None where it asks for none (`dp.veil`)."""
    if terms.at_least is None:
        return None
    people = next(measure.name for measure in table.measures if isinstance(measure, People))
    return ~is_hidden(table.cells[people], table.steps[people])


def enough_of(terms: Terms, tables: Sequence[Table]) -> NDArray[np.bool_] | None:
    """Keys that have enough people in every one of some tables of the same keys."""
    found = [shown for table in tables if (shown := enough(terms, table)) is not None]
    return np.logical_and.reduce(found) if found else None


def bounds_said(job: TableJob, terms: Terms) -> list[str]:
    """What may have been cut, by the declared bounds: what was, nobody is told."""
    said = []
    if terms.at_least is not None:
        said.append(
            f"keys with fewer than {terms.at_least.people} people are hidden, and some with a few more: the noise "
            f"decides, and lets one of fewer pass at most once in {1 / terms.at_least.delta:,.0f} keys"
        )
    by, rows = job.dimensions(terms), job.counted_rows(terms)
    if beyond := job.uncounted(rows, by):
        keys = job.keys_per_person or 0
        count = "1 key counts" if keys == 1 else f"{keys:,} keys count"
        said.append(
            f"of one person at most {count}, of up to {keys + beyond:,} that its rows can reach: numbers are too small "
            "by what was cut"
        )
    return said
