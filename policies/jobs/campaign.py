"""Campaign: impressions, clicks, conversions and spend, and the rates and prices that are made of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator

from ...dp import measures as m
from ...dp.keys import Dimension, InvalidQuery
from ...dp.layout import GroupBy
from ..contract import ChoiceColumn, Contract, DateColumn, FlagColumn, Name, NumberColumn, Value
from ..refused import Refused
from ..sentences import names
from .aggregate import number_column, parts_of
from .job import Strict, each_once
from .query import Flag, Query, Recipe, Terms, Touch, cuts_of, refused, with_cuts, with_people
from .table import Number, TableJob

EVENTS, CREDITED = "events", "credited"
"""The two tables: of the events themselves, and of the conversions that are credited to them."""
Figure = Literal["cpm", "cpc", "cpa", "ctr", "cvr", "completion_rate", "scroll_rate", "roas"]
PARTS_OF: dict[Figure, tuple[str, str]] = {
    "cpm": ("spend", "impressions"),
    "cpc": ("spend", "clicks"),
    "cpa": ("spend", "conversions"),
    "ctr": ("clicks", "impressions"),
    "cvr": ("conversions", "clicks"),
    "completion_rate": ("completes", "starts"),
    "scroll_rate": ("deep", "impressions"),
    "roas": ("revenue", "spend"),
}
"""What each rate or price divides by what. `cpm` is of a thousand impressions."""
Role = Literal["impressions", "clicks", "starts", "completes", "deep"]
ROLES: tuple[Role, ...] = ("impressions", "clicks", "starts", "completes", "deep")
WITHIN: dict[str, str] = {
    "clicks": "impressions",
    "completes": "starts",
    "deep": "impressions",
    "starts": "impressions",
}
"""What must be there in the same key for an event to count."""
Bounded = Literal["impressions", "clicks", "starts", "completes", "deep", "spend", "conversions", "revenue"]


class Which(Strict):
    """Which rows an event is: those where a category has one of these values, or a number is at least so large."""

    column: Name
    values: Annotated[list[Value], Field(min_length=1, max_length=100)] | None = None
    at_least: Number | None = None


Rows: TypeAlias = Name | Which
"""A flag, by its name; or some values of a column."""


class CampaignJob(TableJob):
    """impressions, clicks, starts, completes, deep: which rows are which; every row is an impression where that is left
    out. spend: the column of what a row cost. conversions: the data set of what came of it, credited to the person's
    last event at most `credit_days` before. revenue: a column there. at_most: what one person adds at most. report:
    the rates and prices that are wanted; all that can be made, where it is left out.
    """

    takes_text: ClassVar[bool] = True

    kind: Literal["campaign"]
    impressions: Rows | None = None
    clicks: Rows | None = None
    starts: Rows | None = None
    completes: Rows | None = None
    deep: Rows | None = None
    spend: Name | None = None
    conversions: Name | None = None
    revenue: Name | None = None
    credit_days: Annotated[int, Field(ge=0, le=3650)] | None = None
    at_most: dict[Bounded, Annotated[Number, Field(gt=0)]] = Field(default_factory=dict)
    report: Annotated[list[Figure], Field(min_length=1)] | None = None
    totals: bool = True

    _report_once = field_validator("report")(each_once)

    def own_datasets(self) -> tuple[str, ...]:
        return (self.conversions,) if self.conversions else ()

    def what(self) -> str:
        return (
            f"{', '.join(self.counted())} and {', '.join(self.figures())}" if self.figures() else names(self.counted())
        )

    def counted(self) -> tuple[Bounded, ...]:
        """What is counted and added up, in order."""
        roles = [role for role in ROLES if role == "impressions" or getattr(self, role) is not None]
        return (*roles, *(each for each in ("spend", "conversions", "revenue") if getattr(self, each) is not None))

    def figures(self) -> tuple[Figure, ...]:
        """The rates and prices it gives."""
        possible = [figure for figure, parts in PARTS_OF.items() if set(parts) <= set(self.counted())]
        return tuple(figure for figure in possible if self.report is None or figure in self.report)

    def query(self, terms: Terms) -> Query:
        self._refuse_empty()
        by, rule = self.dimensions(terms), terms.dataset[self.dataset]
        selection = self.selected(terms, by)
        keys, totals = self.keys_of(rule, by), self._totals(terms, by, selection)
        try:
            groups = [GroupBy(EVENTS, by, keys, tuple(self._events(terms)), totals=totals)]
            recipes = [self._recipe(terms)]
            if self.conversions:
                most = self.keys_of(terms.dataset[self.conversions], by)
                groups.append(GroupBy(CREDITED, by, most, tuple(self._credited(terms)), totals=totals))
                recipes.append(self._credit(terms, by))
        except InvalidQuery as invalid:
            raise refused(invalid) from None
        stakes = {EVENTS: {}, CREDITED: {}} if selection else self._stakes(terms, by)
        groups = [with_people(each, terms.at_least, judges=selection > 0 and each.name == EVENTS) for each in groups]
        groups = [with_cuts(group, stakes[group.name]) for group in groups]
        cuts, read = cuts_of(groups), self._read(terms, by)
        return Query(tuple(groups), tuple(recipes), read, cuts, stakes=stakes, selection=selection)

    def _totals(self, terms: Terms, by: tuple[Dimension, ...], selection: int) -> tuple[tuple[str, ...], ...]:
        """Sums over all keys, where they would not show one that is hidden. Errors: Refused."""
        if selection and terms.at_least is not None and self.conversions:
            rule = "who is behind a key that nobody listed is judged by its events, and not by what came of them"
            raise Refused("rules.at_least", rule, "leave conversions out, or list the values in the contract")
        return ((),) if self.totals and by and terms.at_least is None and not selection else ()

    def _stakes(self, terms: Terms, by: tuple[Dimension, ...]) -> dict[str, dict[str, float]]:
        """What of each number one person may have beyond what counts, by its declared rows and bounds."""
        found: dict[str, dict[str, float]] = {EVENTS: {}, CREDITED: {}}
        for name in self.counted():
            late = name in ("conversions", "revenue")
            dataset = self.conversions if late and self.conversions else self.dataset
            rows, column = terms.dataset[dataset].rows_a_person, self.spend if name == "spend" else self.revenue
            each = number_column(terms, dataset, column).bounds[1] if name in ("spend", "revenue") and column else 1
            if (most := self.beyond(rows, each, self.at_most.get(name), by)) > 0:
                found[CREDITED if late else EVENTS][name] = most
        return found

    # -- what it refuses -------------------------------------------------------------------------------------------

    def _refuse_empty(self) -> None:
        """A figure whose parts are not named, bounds of what is not counted. Errors: Refused."""
        for figure in self.report or ():
            top, bottom = PARTS_OF[figure]
            missing = [part for part in (top, bottom) if part not in self.counted()]
            if missing:
                rule = f"{figure} is {top} / {bottom}, and the job does not say what {' and '.join(missing)} are"
                raise Refused("report", rule, f"name {' and '.join(missing)}, or leave {figure} out")
        if self.revenue and not self.conversions:
            raise Refused("report", "revenue is of conversions, and the job names none", "name conversions, too")
        if self.credit_days is not None and not self.conversions:
            raise Refused("report", "credit_days is about conversions, and the job names none", "leave it out")
        strange = [name for name in self.at_most if name not in self.counted()]
        if strange:
            raise Refused("at_most", f"{names(strange)} is bounded, but not counted", "leave it out, or say what it is")
        if self.conversions == self.dataset:
            raise Refused("dataset", "conversions are the events themselves", "name another data set, or count clicks")

    # -- the events ------------------------------------------------------------------------------------------------

    def _events(self, terms: Terms) -> list[m.Measure]:
        rows = terms.dataset[self.dataset].rows_a_person
        found: list[m.Measure] = []
        for role in ROLES:
            if role == "impressions" or getattr(self, role) is not None:
                most = min(int(self.at_most.get(role, rows)), rows)
                of = None if getattr(self, role) is None else role
                found.append(m.Count(role, max(1, most), of, in_total=max(1, most)))
        if self.spend:
            found.append(self._money(terms, "spend", self.dataset, self.spend, rows))
        return found

    def _money(self, terms: Terms, name: Bounded, dataset: str, column: str, rows: int) -> m.Sum:
        """An amount that is not negative. Errors: Refused."""
        low, high = number_column(terms, dataset, column).bounds
        if low < 0:
            rule = f"{column} may be negative, by its bounds, and {name} is not"
            raise Refused("columns", rule, f"declare columns.{column} with bounds from 0, or ask an aggregate's sum")
        most = min(float(self.at_most.get(name, rows * high)), rows * high)
        parts = parts_of(high, most)
        return m.Sum(name, f"{dataset}.{column}", low, high, parts, at_most=most, in_total=most)

    def _recipe(self, terms: Terms) -> Recipe:
        named = {role: getattr(self, role) for role in ROLES if getattr(self, role) is not None}
        flags = tuple(self._flag(terms, role, which, named) for role, which in named.items())
        return Recipe(
            self.dataset,
            self.filters(terms),
            self.joined(terms),
            tuple(self.among),
            flags=flags,
        )

    def _flag(self, terms: Terms, role: str, which: Rows, named: dict[Role, Rows]) -> Flag:
        """Errors: Refused."""
        within = WITHIN.get(role, "")
        within = within if within in named else ""
        column = which if isinstance(which, str) else which.column
        whole = f"{self.dataset}.{column}"
        declared = terms.column(whole)
        if isinstance(which, str) or (which.values is None and which.at_least is None):
            if not isinstance(declared, FlagColumn):
                rule = f"{column} is not yes or no: which of its rows are {role} is not said"
                how = f'{role} = {{ column = "{column}", values = [...] }}, or at_least = ...'
                raise Refused("columns", rule, f"say {how}")
            return Flag(role, whole, within=within)
        if which.at_least is not None:
            if not isinstance(declared, NumberColumn) or which.values is not None:
                raise Refused("columns", f"at_least is for numbers, and {column} holds none", "say values = [...]")
            if which.at_least > declared.bounds[1]:
                rule = f"no {column} is {which.at_least:g} or more, by its bounds: there would be no {role}"
                raise Refused("columns", rule, f"say at_least = {declared.bounds[1]:g} or less")
            return Flag(role, whole, at_least=float(which.at_least), within=within)
        known = declared.values if isinstance(declared, ChoiceColumn) else []
        unknown = [value for value in which.values or [] if value not in known]
        if unknown:
            rule = f"{role} are rows of values that {column} does not have"
            raise Refused("columns", rule, f"use some of {names(known) or 'the values of a category'}")
        return Flag(role, whole, tuple(which.values or ()), within=within)

    # -- what came of them -----------------------------------------------------------------------------------------

    def _credited(self, terms: Terms) -> list[m.Measure]:
        assert self.conversions  # noqa: S101 - the caller looked
        rows = terms.dataset[self.conversions].rows_a_person
        most = max(1, min(int(self.at_most.get("conversions", rows)), rows))
        found: list[m.Measure] = [m.Count("conversions", most, in_total=most)]
        if self.revenue:
            found.append(self._money(terms, "revenue", self.conversions, self.revenue, rows))
        return found

    def _credit(self, terms: Terms, by: tuple[Dimension, ...]) -> Recipe:
        """Conversions, each credited to an event of the same person: without either there is none."""
        assert self.conversions  # noqa: S101 - the caller looked
        own, others = self.filters(terms, of_own=True), self.filters(terms)
        mine = tuple(each for each in others if each.column.startswith(f"{self.dataset}."))
        looked_up = tuple(each for each in others if each not in mine)
        carried = tuple(each.name for each in by if each.name.startswith(f"{self.dataset}."))
        day = self._days(terms, self.conversions), self._days(terms, self.dataset)
        touch = Touch(self.dataset, day[0], day[1], self.credit_days or 0, carried, mine)
        return Recipe(self.conversions, (*own, *looked_up), self.joined(terms), tuple(self.among), touch)

    def joined(self, terms: Terms) -> tuple[str, ...]:
        """As for any table. Errors: Refused."""
        late = [name for name in self.by if self.conversions and name.startswith(f"{self.conversions}.")]
        if late:
            rule = f"an event has no {late[0]}: it stands before what came of it"
            raise Refused("by", rule, f"count by columns of {self.dataset}, or ask an aggregate of {self.conversions}")
        return super().joined(terms)

    def _days(self, terms: Terms, dataset: str) -> str:
        """The column of days, where conversions are credited by days. Errors: Refused."""
        if self.credit_days is None:
            return ""
        days = [name for name, column in terms.dataset[dataset].columns.items() if isinstance(column, DateColumn)]
        if len(days) != 1:
            rule = f"{dataset} has {len(days)} columns of days: which of them counts for credit_days is not known"
            raise Refused("columns", rule, "leave credit_days out, or declare one column of days")
        return f"{dataset}.{days[0]}"

    def _read(self, terms: Terms, by: tuple[Dimension, ...]) -> tuple[str, ...]:
        """All columns that are read."""
        found = {each.name for each in by}
        found |= {each.column for each in (*self.filters(terms), *self.filters(terms, of_own=True))}
        for role in ROLES:
            which = getattr(self, role)
            if which is not None:
                found.add(f"{self.dataset}.{which if isinstance(which, str) else which.column}")
        if self.spend:
            found.add(f"{self.dataset}.{self.spend}")
        if self.conversions and self.credit_days is not None:
            found |= {self._days(terms, self.dataset), self._days(terms, self.conversions)}
        if self.conversions and self.revenue:
            found.add(f"{self.conversions}.{self.revenue}")
        return tuple(sorted(found))

    @classmethod
    def draft(cls, contract: Contract, size: int | None) -> list[str]:
        """What the columns' names and kinds suggest."""
        lines = super().draft(contract, size)
        dataset = lines[0].partition('"')[2].rstrip('"')
        held = contract.dataset[dataset].columns
        flags = [name for name, column in held.items() if isinstance(column, FlagColumn)]
        clicked = next((name for name in flags if "click" in name), None)
        cost = next((n for n, c in held.items() if isinstance(c, NumberColumn) and n in ("cost", "spend")), None)
        owner = contract.dataset[dataset].owner
        others = [n for n, rule in contract.dataset.items() if rule.rows == "events" and rule.owner != owner]
        lines += (
            [f'clicks = "{clicked}"  # a column that says yes, or {{ column = ..., values = [...] }}']
            if clicked
            else []
        )
        lines += [f'spend = "{cost}"'] if cost else []
        lines += [f'conversions = "{others[0]}"  # credited to the last event of the same person'] if others else []
        return [*lines, "# at_most = { impressions = 20, clicks = 3 }  # the less one person may add, the less noise"]
