"""Reach and frequency: how many people, or households, saw something, and how often."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from ...dp.keys import Bins, Dimension, InvalidQuery
from ...dp.layout import GroupBy
from ...dp.measures import People
from ..contract import Contract
from ..refused import Refused
from .query import FREQUENCY, Query, Recipe, Terms, cuts_of, refused, with_cuts, with_people
from .table import TableJob

PEOPLE, HOUSEHOLDS, ALL = "people", "households", "_all"
"""Tables, and what their totals are called after them."""


class ReachJob(TableJob):
    """How many different people have a row. households: and how many households, by the column that names them."""

    kind: Literal["reach"]
    households: bool = False

    def what(self) -> str:
        return "how many people and households are" if self.households else "how many people are"

    def query(self, terms: Terms) -> Query:
        by = self.dimensions(terms)
        groups, recipes = list[GroupBy](), list[Recipe]()
        stakes = stakes_of(self, terms, by)
        for what, recipe in self._recipes(terms):
            beside = by and terms.at_least is None  # a total less its parts would show what is hidden
            for name, keyed in ((what, by), (f"{what}{ALL}", ())) if beside else ((what, by),):
                groups.append(with_cuts(_counted(self, terms, name, what, keyed), stakes.get(name, {})))
                recipes.append(recipe)
        judges = {group.name: group.name.replace(HOUSEHOLDS, PEOPLE) for group in groups}
        read, cuts = columns_read(by, recipes[-1]), cuts_of(groups)
        return Query(tuple(groups), tuple(recipes), read, cuts, judges, stakes)

    def _recipes(self, terms: Terms) -> list[tuple[str, Recipe]]:
        plain = Recipe(self.dataset, self.filters(terms), self.joined(terms), tuple(self.among))
        if not self.households:
            return [(PEOPLE, plain)]
        return [(PEOPLE, plain), (HOUSEHOLDS, replace(plain, household=household_of(terms, self.dataset)))]


class FrequencyJob(TableJob):
    """How many people have one row, two, three and so on. most: rows of that many and more are counted together.

    households: of households instead of people.
    """

    kind: Literal["frequency"]
    most: Annotated[int, Field(ge=2, le=50)] = 10
    households: bool = False

    def what(self) -> str:
        return f"how many {'households' if self.households else 'people'} have one row, two and so on"

    def query(self, terms: Terms) -> Query:
        by = self.dimensions(terms)
        recipe = Recipe(
            self.dataset,
            self.filters(terms),
            self.joined(terms),
            tuple(self.among),
            per=tuple(each.name for each in by),
            most=self.most,
            household=household_of(terms, self.dataset) if self.households else "",
        )
        bins = Bins(FREQUENCY, tuple(float(at) for at in range(1, self.most + 2)))
        what = HOUSEHOLDS if self.households else PEOPLE
        group = _counted(self, terms, what, what, (*by, bins), keys=self.keys_of(terms.dataset[self.dataset], by))
        stakes = {} if self.households else stakes_of(self, terms, by)
        group = with_cuts(group, stakes.get(what, {}))
        return Query((group,), (recipe,), columns_read(by, recipe), cuts_of((group,)), stakes=stakes)

    @classmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        return [*super().draft(contract, size)[:1], "most = 10  # so many and more are counted together"]


def stakes_of(job: TableJob, terms: Terms, by: tuple[Dimension, ...]) -> dict[str, dict[str, float]]:
    """In how many keys more one person may be than those it counts in. Of a household nothing says how many."""
    beyond = job.uncounted(job.counted_rows(terms), by)
    return {PEOPLE: {PEOPLE: float(beyond)}} if beyond else {}


def _counted(
    job: TableJob, terms: Terms, name: str, what: str, by: tuple[Dimension, ...], keys: int | None = None
) -> GroupBy:
    """How many are in each key. Errors: Refused."""
    try:
        most = job.keys_of(terms.dataset[job.dataset], by) if keys is None else keys
        return with_people(GroupBy(name, by, most, (People(what),)), terms.at_least)
    except InvalidQuery as invalid:
        raise refused(invalid) from None


def household_of(terms: Terms, dataset: str) -> str:
    """The column that says which household a row is of. Errors: Refused."""
    for name, column in terms.dataset[dataset].columns.items():
        if column.kind == "household":
            return f"{dataset}.{name}"
    rule = f"{dataset} has no column that names households"
    raise Refused("columns", rule, 'ask for people, or declare one: columns.ip = { kind = "household" }')


def columns_read(by: tuple[Dimension, ...], recipe: Recipe) -> tuple[str, ...]:
    """All columns that a table's rows are made of, by name."""
    own = {each.name for each in by} | {each.column for each in recipe.kept}
    return tuple(sorted(own | ({recipe.household} if recipe.household else set())))
