"""Jobs that ask tables: declared rows, declared keys, one draw of noise for all numbers of the job."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import Field, PrivateAttr, field_validator

from ...dp.budget import Rho, delta_units
from ...dp.entry import Specification
from ...dp.keys import Dimension, Open, cells
from ...dp.scale import SCALE_UNIT
from ..contract import (
    MOST_SELECTION,
    ChoiceColumn,
    Contract,
    DatasetRule,
    DateColumn,
    FlagColumn,
    Name,
    NumberColumn,
    SetColumn,
    TextColumn,
    Value,
)
from ..refused import Refused, Submitted
from ..sentences import names
from .draw import Draw, Shape, shaped, with_noise
from .job import Job, ShapeOf, each_once
from .pair import refuse_short
from .query import Kept, Query, Terms, day_number, dimension

TABLE, KEYS = "table@1", "keys@1"
MOST_CANDIDATES = 2**24
"""Rows of a data set whose keys nobody listed: noise for this many takes minutes."""
ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}(\.[a-z][a-z0-9_-]{0,39})?$")]
"""A column, with its data set before it where that is not the job's own."""
Number: TypeAlias = int | float
Filter: TypeAlias = list[Value] | list[date] | list[Number]


class TableJob(Job):
    """A job about the rows of one data set.

    by: columns that make the keys; numbers need `bins`, days need `windows`. where: only rows of these values, or
    from the first to the last of two numbers or days. among: only people who stand in these data sets, too.
    keys_per_person: the most keys one person adds to; all that its rows can reach, where it is left out. selection: δ
    with which one person makes a key show that nobody listed; a tenth of what the contract keeps for it, where it is
    left out.
    """

    sets_are_keys: ClassVar[bool] = False
    """Whether a row may be counted under each value of a set."""
    takes_text: ClassVar[bool] = False
    """Whether keys may be values that nobody listed."""

    dataset: Name
    by: Annotated[list[ColumnName], Field(max_length=6)] = Field(default_factory=list)
    bins: dict[ColumnName, Annotated[list[Number], Field(min_length=2, max_length=1000)]] = Field(default_factory=dict)
    windows: dict[ColumnName, Annotated[list[date], Field(min_length=2, max_length=1000)]] = Field(default_factory=dict)
    where: dict[ColumnName, Annotated[Filter, Field(min_length=1, max_length=1000)]] = Field(default_factory=dict)
    among: Annotated[list[Name], Field(max_length=4)] = Field(default_factory=list)
    keys_per_person: Annotated[int, Field(ge=1, le=10**6)] | None = None
    selection: Annotated[float, Field(ge=1e-18, le=MOST_SELECTION)] | None = None

    _made: tuple[dict[str, Any], Terms, Query] | None = PrivateAttr(default=None)

    _columns_once = field_validator("by")(each_once)

    @field_validator("bins", "windows", "where", mode="before")
    @classmethod
    def _whole_names(cls, value: object) -> object:
        """`where.exposures.clicked` and `where."exposures.clicked"` are one: TOML reads the first as two tables."""
        if not isinstance(value, dict):
            return value
        inner = {name: item for name, item in value.items() if isinstance(item, dict)}
        flat = {f"{name}.{column}": item for name, columns in inner.items() for column, item in columns.items()}
        return {name: item for name, item in value.items() if name not in inner} | flat

    _among_once = field_validator("among")(each_once)

    @classmethod
    def revived(cls, asked: Mapping[str, Any], terms: Terms) -> Self:
        """A job from its JSON, in which days are text. Errors: ValueError, Refused."""
        of = {part: asked.get(part, {}) for part in ("windows", "where")}
        days = {
            part: {name: _days(terms, asked["dataset"], name, items) for name, items in filters.items()}
            for part, filters in of.items()
        }
        return cls.model_validate({**asked, **{part: filters for part, filters in days.items() if part in asked}})

    @abstractmethod
    def query(self, terms: Terms) -> Query:
        """The tables it asks. Errors: Refused."""

    def tables(self, terms: Terms) -> Query:
        """The same, made once: one job is checked, priced and planned of the same fields and terms. Errors: Refused."""
        if self._made is None or self._made[:2] != (self.__dict__, terms):
            self._made = (dict(self.__dict__), terms, self.query(terms))
        return self._made[2]

    def own_datasets(self) -> tuple[str, ...]:
        """Data sets that the kind names beside `dataset`."""
        return ()

    def datasets(self) -> tuple[str, ...]:
        named = [self.dataset, *self.own_datasets(), *self.among, *map(_dataset_of, [*self.by, *self.where])]
        return tuple(dict.fromkeys(name for name in named if name))

    def refuse(self, contract: Contract, submitted: Mapping[str, Submitted]) -> None:
        for name in self.datasets():
            refuse_short(contract, name, submitted)
        identifier_of(contract, self.datasets())
        query = self.tables(Terms.of(contract, self.datasets()))
        query.layout()
        self._refuse_free(contract)
        self._refuse_unselected(contract, query, submitted)

    def _refuse_unselected(self, contract: Contract, query: Query, submitted: Mapping[str, Submitted]) -> None:
        """Keys that nobody listed are paid for in δ by all who pay, and noise for all of them takes its time."""
        if not query.selection:
            if self.selection is not None:
                rule = "selection is about keys that nobody listed, and by names none"
                raise Refused("selection", rule, "leave it out, or count by a column of text")
            return
        readers = contract.readers(tuple(self.recipients))
        for name in self.datasets():
            held = contract.dataset[name]
            if readers - {held.owner} and not held.budget.selection:
                kept = f"{held.owner} keeps no δ for keys of {name} that nobody listed"
                raise Refused(f"dataset.{name}.budget.selection", kept, "agree on a contract with budget.selection")
            if readers - {held.owner} and query.selection > delta_units(held.budget.selection or 0.0):
                kept = f"δ {self.selection:g} is asked, and {held.owner} keeps {held.budget.selection:g} in all"
                raise Refused("selection", kept, f"write selection = {held.budget.selection:g} or less")
        rows = submitted[self.dataset].rows
        if rows > MOST_CANDIDATES:
            rule = f"{rows:,} rows may hold as many keys, and noise is drawn for at most {MOST_CANDIDATES:,}"
            raise Refused("by", rule, "list the values in the contract, or submit fewer rows")

    def _refuse_free(self, contract: Contract) -> None:
        """What shows nobody's people to anybody else needs no room, and has no account to log it to."""
        readers = contract.readers(tuple(self.recipients))
        if not any(readers - {contract.dataset[name].owner} for name in self.datasets()):
            rule = f"all of it belongs to {names(readers)}, who alone would read it"
            raise Refused("recipients", rule, "name another reader, or count at home")

    def draws(self, contract: Contract, base: Specification, rho: Rho, shape_of: ShapeOf) -> tuple[Draw, ...]:
        """One draw over all tables."""
        del shape_of
        terms = Terms.of(contract, self.datasets())
        query = self.tables(terms)
        layout = query.layout()
        spec = replace(base, statistic=TABLE, columns=query.columns, query=query.digest(layout, terms))
        shape = Shape(layout.cells, 0, query.l2_squared(layout))
        spec = with_noise(shaped(spec, shape), rho)
        scale = spec.scale / SCALE_UNIT
        if query.selection:
            spec = replace(spec, statistic=KEYS, selection=query.selection)
        selection = query.selects(layout, scale, terms.at_least)
        return (Draw(spec, veil=query.veil(layout, scale, terms.at_least), selection=selection),)

    def learns(self, contract: Contract, readers: str) -> tuple[str, ...]:
        learn = "learn" if ", " in readers else "learns"
        owners = names({contract.dataset[name].owner for name in self.datasets()})
        return (
            f"{readers} {learn} {self.what()} of {names(self.datasets())}, with noise (ε {self.epsilon:g})",
            f"without any one person of {owners}, and all its rows, these numbers would look about as likely",
        )

    @abstractmethod
    def what(self) -> str:
        """What its readers learn, in a few words."""

    def brief(self) -> str:
        return f"{self.dataset} by {', '.join(self.by)}" if self.by else self.dataset

    @classmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        """The first data set of events, where there is one, and a category to count by."""
        del size
        held = contract.dataset
        dataset = next((name for name, rule in held.items() if rule.rows == "events"), next(iter(held)))
        category = next((n for n, c in held[dataset].columns.items() if isinstance(c, ChoiceColumn)), None)
        by = f'["{category}"]' if category else "[]"
        text = next((n for n, c in held[dataset].columns.items() if isinstance(c, TextColumn) and cls.takes_text), None)
        return [
            f'dataset = "{dataset}"',
            f"by = {by}  # columns that make the keys; days need `windows`, numbers `bins`",
            *([f'# by = ["{text}"]  # text: only what many people share shows; `selection` is its δ'] if text else []),
        ]

    # -- what kinds share ------------------------------------------------------------------------------------------

    def dimensions(self, terms: Terms) -> tuple[Dimension, ...]:
        """The columns of `by` as a table has them. Errors: Refused."""
        for cut in (*self.bins, *self.windows):
            if cut not in self.by:
                raise Refused("by", f"{cut} is cut, but by does not name it", f"add {cut} to by, or leave it out")
        for name in self.by:
            if not self.sets_are_keys and isinstance(terms.column(terms.named(name, self.dataset)), SetColumn):
                raise Refused("by", f"{name} holds several values of one row", f"ask an aggregate by {name}")
        found = [dimension(terms, terms.named(name, self.dataset), self._edges(terms, name)) for name in self.by]
        free = [each.name.partition(".")[2] for each in found if isinstance(each, Open)]
        if free and not self.takes_text:
            rule = f"{free[0]} holds text, and which values show is selected"
            raise Refused("by", rule, f"ask an aggregate or a campaign by {free[0]}")
        if free and len(found) > 1:
            rule = f"keys of {free[0]} are selected, and stand without other columns"
            raise Refused("by", rule, f"count by {free[0]} alone, and keep rows of the others with where")
        return tuple(found)

    def selected(self, terms: Terms, by: Sequence[Dimension]) -> int:
        """δ with which keys are selected, in whole units of 10^-18; 0 where all are listed. Errors: Refused."""
        if not any(isinstance(each, Open) for each in by):
            return 0
        kept = [delta_units(rule.budget.selection) for rule in terms.dataset.values() if rule.budget.selection]
        if not kept:
            name = self.dataset
            rule = f"the contract keeps no δ for keys of {name} that nobody listed"
            raise Refused(f"dataset.{name}.budget.selection", rule, "agree on a contract with budget.selection")
        try:
            return max(1, min(kept) // 10) if self.selection is None else delta_units(self.selection)
        except ValueError:
            raise Refused("selection", "it has more than 18 digits after the point", "round it") from None

    def _edges(self, terms: Terms, name: str) -> tuple[float, ...] | None:
        column = terms.column(terms.named(name, self.dataset))
        if name in self.windows:
            if not isinstance(column, DateColumn):
                raise Refused("windows", f"{name} holds no days", f"say bins.{name}, or leave it out")
            days = self.windows[name]
            if any(later <= sooner for sooner, later in pairwise(days)):
                rule = f"the windows of {name} overlap or run backwards: each day belongs to one"
                raise Refused("windows", rule, "list the first day of each in order, and the day after the last")
            low, high = column.bounds
            if days[0] > high or days[-1] <= low:
                rule = f"no day of windows.{name} lies from {low} to {high}, which is all that {name} holds"
                raise Refused("windows", rule, f"choose days from {low} to {high}")
            return tuple(map(day_number, days))
        if name in self.bins:
            return tuple(map(float, self.bins[name]))
        return None

    def joined(self, terms: Terms) -> tuple[str, ...]:
        """Data sets whose columns are looked up: of people alone. Errors: Refused."""
        whole = [terms.named(name, self.dataset) for name in [*self.by, *self.where]]
        others = tuple(
            dict.fromkeys(d for d in map(_dataset_of, whole) if d not in (self.dataset, *self.own_datasets()))
        )
        for name in others:
            if terms.dataset[name].rows == "events":
                rule = f"a person has many rows in {name}: which of them should count is not said"
                raise Refused("by", rule, f"name columns of {self.dataset}, or of a data set of people")
        return others

    def filters(self, terms: Terms, *, of_own: bool = False) -> tuple[Kept, ...]:
        """Rows that are kept. of_own: of the data sets that the kind names, instead of all others. Errors: Refused."""
        found = (_kept(terms, terms.named(name, self.dataset), wanted) for name, wanted in self.where.items())
        return tuple(each for each in found if (_dataset_of(each.column) in self.own_datasets()) is of_own)

    def keys_of(self, rule: DatasetRule, by: Sequence[Dimension], times: int = 1) -> int:
        """The most keys that one person adds to. times: keys of one row."""
        most = self.keys_per_person or rule.rows_a_person * times
        return most if any(isinstance(each, Open) for each in by) else min(most, cells(by))

    def counted_rows(self, terms: Terms) -> int:
        """The most rows of one person that are counted: one a value where a key is a set. Errors: Refused."""
        keys = (terms.column(terms.named(name, self.dataset)) for name in self.by)
        each = math.prod(column.at_most for column in keys if isinstance(column, SetColumn))
        return terms.dataset[self.dataset].rows_a_person * each

    def uncounted(self, rows: int, by: Sequence[Dimension]) -> int:
        """Of the keys that so many rows of one person can be in, those that do not count, by `keys_per_person`."""
        reachable = rows if any(isinstance(each, Open) for each in by) else min(rows, cells(by))
        return max(0, reachable - (self.keys_per_person or reachable))

    def beyond(self, rows: int, each: float, at_most: float | None, by: Sequence[Dimension]) -> float:
        """What one person may have of a number beyond what counts. rows: of a person, each of so much; `at_most` of it
        counts, and nothing in keys that do not: these leave a row at least to every key that does."""
        gone = rows - (self.keys_per_person or 0) if self.uncounted(rows, by) else 0
        return max(gone * each, rows * each - at_most if at_most is not None else 0.0, 0.0)


def identifier_of(contract: Contract, datasets: tuple[str, ...]) -> str:
    """The one kind of identifier by which the rows of these data sets are joined: that of the events, or the best that
    all carry. Errors: Refused."""
    carried = {name: [k for k in contract.match.keys if k in contract.dataset[name].identifiers] for name in datasets}
    both = [kind for kind in contract.match.keys if all(kind in kinds for kinds in carried.values())]
    if both or len(datasets) == 1:
        return (both or carried[datasets[0]])[0]
    known = "; ".join(f"{name} by {' and '.join(kinds)}" for name, kinds in carried.items())
    raise Refused("dataset", f"no identifier joins them: {known}", "name data sets that share one of match.keys")


def _dataset_of(column: str) -> str:
    return column.partition(".")[0] if "." in column else ""


def _kept(terms: Terms, whole: str, wanted: Filter) -> Kept:
    """One filter, as declared. Errors: Refused."""
    column, name = terms.column(whole), whole.partition(".")[2]
    clause = f"where {name}"
    if isinstance(column, ChoiceColumn | FlagColumn):
        known = ["no", "yes"] if isinstance(column, FlagColumn) else column.values
        unknown = [value for value in wanted if value not in known]
        if unknown:
            raise Refused("where", f"{clause} asks values that are not declared", f"use some of {names(known)}")
        return Kept(whole, values=tuple(map(str, wanted)))
    if isinstance(column, TextColumn):
        rule = f"{name} holds text, of which nothing is known but what many share"
        raise Refused("where", rule, "list the values in the contract, and keep rows by them")
    if isinstance(column, NumberColumn | DateColumn) and len(wanted) == 2:
        low, high = wanted
        fits = isinstance(low, date) is isinstance(column, DateColumn) and not isinstance(low, str)
        if fits and low <= high:  # type: ignore[operator]
            ends = [day_number(end) if isinstance(end, date) else float(end) for end in (low, high)]
            _refuse_outside(column, name, low, high)
            return Kept(whole, ends=(ends[0], ends[1]))
    raise Refused("where", f"{clause} is neither values nor two ends", "write values, or the first and the last")


def _refuse_outside(column: NumberColumn | DateColumn, name: str, low: object, high: object) -> None:
    first, last = column.bounds
    if low > last or high < first:  # type: ignore[operator]
        rule = f"nothing of {name} can lie there: it is declared from {first} to {last}"
        raise Refused("where", rule, f"choose ends from {first} to {last}")


def _days(terms: Terms, dataset: str, name: str, items: list[Any]) -> list[Any]:
    """Text of days as days, where the column holds days."""
    if not isinstance(terms.column(terms.named(name, dataset)), DateColumn):
        return items
    return [date.fromisoformat(item) for item in items]
