"""Aggregate: counts, sums, means, distinct people, histograms, quantiles and the largest keys, by declared columns."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from ...dp import measures as m
from ...dp.keys import Bins, Dimension, InvalidQuery, Open
from ...dp.layout import GroupBy
from ..contract import Contract, DatasetRule, Name, NumberColumn, SetColumn
from ..refused import Refused
from ..sentences import names
from .job import Strict
from .query import EVERYBODY, Chosen, Query, Recipe, Terms, cuts_of, refused, with_cuts
from .table import Number, TableJob

LEAST_PARTS, ROW_PARTS, MOST_PARTS = 100, 10_000, 2**28
"""Sums are counted in hundredths of a unit or finer, so that one row has this many parts, one person no more than
that."""
PEOPLE_TABLE, COUNTS_TABLE, ALL_TABLE = "people", "counts", "all"


class PeopleAsked(Strict):
    """Distinct people."""

    kind: Literal["people"]


class CountAsked(Strict):
    """Rows, or those where a flag says yes or a number is there. at_most: of one person, over all keys."""

    kind: Literal["count"]
    of: Name | None = None
    at_most: Annotated[int, Field(ge=1, le=10**9)] | None = None


class SumAsked(Strict):
    """A number, added up. at_most: what one person adds over all keys; by default, what its rows could."""

    kind: Literal["sum"]
    of: Name
    at_most: Annotated[Number, Field(gt=0)] | None = None


class MeanAsked(Strict):
    """A number's mean over rows. rows_per_key: rows of one person in one key that count."""

    kind: Literal["mean"]
    of: Name
    rows_per_key: Annotated[int, Field(ge=1, le=10**6)] | None = None


class QuantilesAsked(Strict):
    """A number's quantiles over rows, of values as they are binned. bins: how many equal ones, or their edges."""

    kind: Literal["quantiles"]
    of: Name
    shares: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1, max_length=20)] = Field(
        default_factory=lambda: [0.25, 0.5, 0.75]
    )
    bins: Annotated[int, Field(ge=2, le=1000)] | Annotated[list[Number], Field(min_length=3, max_length=1001)] = 50
    at_most: Annotated[int, Field(ge=1, le=10**6)] | None = None


Asked: TypeAlias = Annotated[
    PeopleAsked | CountAsked | SumAsked | MeanAsked | QuantilesAsked, Field(discriminator="kind")
]


class AggregateJob(TableJob):
    """Any measures by any declared columns.

    measure: by name. totals: sums over all keys beside the parts, and made to add up. top: only the keys with the
    largest number of this measure are shown.
    """

    sets_are_keys: ClassVar[bool] = True
    takes_text: ClassVar[bool] = True

    kind: Literal["aggregate"]
    measure: Annotated[dict[Name, Asked], Field(min_length=1, max_length=20)]
    totals: bool = False
    top: Top | None = None

    def what(self) -> str:
        return names(self.measure)

    def query(self, terms: Terms) -> Query:
        by = self.dimensions(terms)
        rule, recipe, selection = terms.dataset[self.dataset], self.recipe(terms, by), self.selected(terms, by)
        if selection:
            self._refuse_beside()
        try:
            groups = self._groups(terms, rule, by)
        except InvalidQuery as invalid:
            raise refused(invalid) from None
        if self.top is not None and not isinstance(self.measure.get(self.top.by), CountAsked | PeopleAsked | SumAsked):
            countable = names(name for name, asked in self.measure.items() if not isinstance(asked, MeanAsked))
            raise Refused("top", "the largest are found by a count, a sum or people", f"say by = one of {countable}")
        read = (
            [d.name for d in by]
            + [k.column for k in recipe.kept]
            + [
                f"{self.dataset}.{asked.of}"
                for asked in self.measure.values()
                if not isinstance(asked, PeopleAsked) and asked.of
            ]
        )
        stakes = {} if selection else self._stakes(terms, by)
        groups = [with_cuts(group, stakes.get(group.name, {})) for group in groups]
        judges = {group.name: PEOPLE_TABLE for group in groups if group.name != ALL_TABLE}
        recipes, columns = tuple(recipe for _ in groups), tuple(sorted(set(read)))
        return Query(tuple(groups), recipes, columns, cuts_of(groups), judges, stakes, selection)

    def _refuse_beside(self) -> None:
        """What would not fit keys of which only some show. Errors: Refused."""
        if self.totals:
            rule = "of keys that nobody listed only some show, and sums over all of them would not fit these"
            raise Refused("by", rule, "leave totals out, and ask them in a job of their own")
        if any(isinstance(asked, QuantilesAsked) for asked in self.measure.values()):
            rule = "quantiles are not asked by keys that nobody listed"
            raise Refused("by", rule, "leave them out, or list the values in the contract")

    def _stakes(self, terms: Terms, by: tuple[Dimension, ...]) -> dict[str, dict[str, float]]:
        """What of each number one person may have beyond what counts, by its declared rows and bounds."""
        people, counts, rows = dict[str, float](), dict[str, float](), self.counted_rows(terms)
        for name, asked in self.measure.items():
            if isinstance(asked, PeopleAsked):
                people[name] = self.uncounted(rows, by)
            elif isinstance(asked, CountAsked | SumAsked):
                column = terms.column(f"{self.dataset}.{asked.of}") if isinstance(asked, SumAsked) else None
                each = max(map(abs, column.bounds)) if isinstance(column, NumberColumn) else 1.0
                counts[name] = self.beyond(rows, each, asked.at_most, by)
        found = {PEOPLE_TABLE: people, COUNTS_TABLE: counts}
        return {table: {name: most for name, most in each.items() if most > 0} for table, each in found.items()}

    def recipe(self, terms: Terms, by: tuple[Dimension, ...]) -> Recipe:
        """How its rows are made."""
        sets = [d.name for d in by if isinstance(terms.column(d.name), SetColumn)]
        if len(sets) > 1:
            raise Refused("by", "two sets multiply every row", "name one of them")
        topics = Chosen(sets[0], _values(terms, sets[0])) if sets else None
        return Recipe(self.dataset, self.filters(terms), self.joined(terms), tuple(self.among), topics=topics)

    def _groups(self, terms: Terms, rule: DatasetRule, by: tuple[Dimension, ...]) -> list[GroupBy]:
        rows = self.counted_rows(terms)
        keys = self.keys_of(rule, by, rows // rule.rows_a_person)
        free = any(isinstance(each, Open) for each in by)
        groups = []
        people = [name for name, asked in self.measure.items() if isinstance(asked, PeopleAsked)]
        if (terms.at_least is not None or free) and not people:
            people = [EVERYBODY]
        totals = self.totals and bool(by) and terms.at_least is None
        if people:
            alone = totals and keys == 1
            groups.append(
                GroupBy(PEOPLE_TABLE, by, keys, tuple(m.People(n) for n in people), totals=((),) if alone else ())
            )
            if totals and not alone:
                groups.append(GroupBy(ALL_TABLE, (), 1, tuple(m.People(name) for name in people)))
        counts = tuple(
            measured(terms, self.dataset, name, asked, rows)
            for name, asked in self.measure.items()
            if isinstance(asked, CountAsked | SumAsked)
        )
        if counts:
            groups.append(GroupBy(COUNTS_TABLE, by, keys, counts, totals=((),) if totals else ()))
        for name, asked in self.measure.items():
            if isinstance(asked, MeanAsked):
                groups.append(_mean(terms, self.dataset, name, asked, by, keys, rows))
            elif isinstance(asked, QuantilesAsked):
                groups.append(_quantiles(terms, self.dataset, name, asked, by, keys, rows))
        return groups

    @classmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        return [
            *super().draft(contract, size),
            "totals = true",
            "[measure]  # any of these, under names of your own; at_most bounds what one person adds",
            'people = { kind = "people" }',
            'rows = { kind = "count" }  # at_most = 20; of = "FLAG" counts rows that say yes',
            '# spend = { kind = "sum", of = "NUMBER", at_most = 50 }',
            '# price = { kind = "mean", of = "NUMBER", rows_per_key = 5 }',
            '# middle = { kind = "quantiles", of = "NUMBER", shares = [0.5], bins = 20 }',
        ]


class Top(Strict):
    """The keys with the largest numbers of a measure."""

    by: Name
    keys: Annotated[int, Field(ge=1, le=1000)]


def number_column(terms: Terms, dataset: str, name: str) -> NumberColumn:
    """A column of numbers. Errors: Refused."""
    column = terms.column(f"{dataset}.{name}")
    if not isinstance(column, NumberColumn):
        numbers = names(n for n, c in terms.dataset[dataset].columns.items() if isinstance(c, NumberColumn))
        raise Refused(
            "columns", f"{name} of {dataset} does not hold numbers", f"use {numbers or 'a column of numbers'}"
        )
    return column


def measured(terms: Terms, dataset: str, name: str, asked: CountAsked | SumAsked, rows: int) -> m.Measure:
    """A count or a sum, bounded by what is asked or by the rows that one person has. Errors: Refused."""
    if isinstance(asked, CountAsked):
        most = min(asked.at_most or rows, rows)
        if asked.of is None:
            return m.Count(name, most, in_total=most)
        column = terms.column(f"{dataset}.{asked.of}")
        if column.kind not in ("flag", "number"):
            rule = f"{asked.of} is neither yes or no nor a number"
            raise Refused("columns", rule, "count all rows, or make it a key of by")
        return m.Count(name, most, f"{dataset}.{asked.of}", in_total=most)
    column = number_column(terms, dataset, asked.of)
    low, high = column.bounds
    possible = rows * max(abs(low), abs(high))
    most_of = min(float(asked.at_most), possible) if asked.at_most else possible
    return m.Sum(
        name,
        f"{dataset}.{asked.of}",
        low,
        high,
        parts=parts_of(max(abs(low), abs(high)), most_of),
        at_most=most_of,
        in_total=most_of,
    )


def parts_of(row: float, person: float) -> int:
    """Parts of a unit in which a sum is counted. row, person: the largest that one of them adds."""
    wanted = max(LEAST_PARTS, math.ceil(ROW_PARTS / row))
    return max(1, min(wanted, math.floor(MOST_PARTS / person)))


def _mean(
    terms: Terms, dataset: str, name: str, asked: MeanAsked, by: tuple[Dimension, ...], keys: int, rows: int
) -> GroupBy:
    low, high = number_column(terms, dataset, asked.of).bounds
    counted = min(asked.rows_per_key or rows, rows)
    return GroupBy(
        name,
        by,
        keys,
        m.mean(name, f"{dataset}.{asked.of}", low, high, parts=parts_of(high - low, (high - low) * counted)),
        rows_per_key=counted,
    )


def _quantiles(
    terms: Terms, dataset: str, name: str, asked: QuantilesAsked, by: tuple[Dimension, ...], keys: int, rows: int
) -> GroupBy:
    low, high = number_column(terms, dataset, asked.of).bounds
    if isinstance(asked.bins, int):
        step = (high - low) / asked.bins
        edges = (*(low + at * step for at in range(asked.bins)), high)
    else:
        edges = tuple(map(float, asked.bins))
    bins = Bins(f"{dataset}.{asked.of}", edges, clip=True)
    if bins.name in {d.name for d in by}:
        raise Refused("by", f"{asked.of} is a key, and asked for quantiles", "leave one of them out")
    most = min(asked.at_most or rows, rows)
    own = m.People(name) if rows == 1 else m.Count(name, most, in_total=most)
    return GroupBy(name, (*by, bins), min(keys * len(bins.labels), max(keys, rows)), (own,), running=True)


def _values(terms: Terms, whole: str) -> int:
    """How many values of a column one person has in one row."""
    column = terms.column(whole)
    return column.at_most if isinstance(column, SetColumn) else 1


AggregateJob.model_rebuild()
