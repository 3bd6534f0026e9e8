"""Queries: which tables a job asks, over which rows, as the contract declares the columns. Shape and bounds follow.

A `Recipe` says how the rows of a table are made of data sets (`cleanroom.measure.rows` makes them). Every step keeps
what sensitivity rests on: take away all rows of one person from any data set of the recipe, and what is left of that
person's rows in the table is either all of them or none. So a table moves by what one person may add, whichever data
set that person is taken from (docs/measurement.md).

Columns carry the name of their data set, as in `exposures.campaign`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from ...dp.canonical import Json, digest
from ...dp.keys import Bins, Category, Dimension, InvalidQuery, Open, cells
from ...dp.layout import Block, GroupBy, Layout
from ...dp.measures import Cut, People
from ...dp.selection import Selection, written
from ...dp.threshold import least_shown
from ...dp.veil import Judged, Veil
from ..contract import (
    AtLeast,
    ChoiceColumn,
    Column,
    Contract,
    DatasetRule,
    DateColumn,
    FlagColumn,
    SetColumn,
    TextColumn,
)
from ..refused import Refused
from ..sentences import names

EPOCH = date(1970, 1, 1)
FREQUENCY = "frequency"
"""The column that a recipe with `per` makes: how many rows."""
MOST_NUMBERS, MOST_TEXT = 200_000, 2**25
"""Numbers, and bytes of all keys' text: more would make a release that its reader cannot open (`cleanroom.opening`)."""
EVERYBODY = "people"
"""The measure that counts people, for a contract that asks for at least so many."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a contract a query is made of."""

    dataset: Mapping[str, DatasetRule]
    at_least: AtLeast | None = None

    @classmethod
    def of(cls, contract: Contract, datasets: tuple[str, ...]) -> Terms:
        return cls({name: contract.dataset[name] for name in datasets}, contract.rules.at_least)

    def digest(self) -> str:
        """SHA-256 of what they declare, in hex."""
        rules = {name: rule.model_dump(mode="json") for name, rule in self.dataset.items()}
        least = None if self.at_least is None else self.at_least.model_dump(mode="json")
        text = json.dumps({"dataset": rules, "at_least": least}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def column(self, name: str) -> Column:
        """A column, by its whole name. Errors: Refused."""
        dataset, _, column = name.partition(".")
        rule = self.dataset.get(dataset)
        if rule is None:
            raise Refused("dataset", f"the job reads no data set {dataset}", f"name columns of {names(self.dataset)}")
        if column not in rule.columns:
            known = names(rule.columns) or "other data sets: it has none"
            raise Refused("columns", f"{column} is not declared for {dataset}", f"use some of {known}")
        return rule.columns[column]

    def named(self, name: str, dataset: str) -> str:
        """The whole name of a column as a job writes it. Errors: Refused."""
        whole = name if "." in name else f"{dataset}.{name}"
        self.column(whole)
        return whole


@dataclass(frozen=True, slots=True)
class Kept:
    """Only rows whose column has one of these values, or lies between two ends."""

    column: str
    values: tuple[str, ...] = ()
    ends: tuple[float, float] | None = None

    def as_json(self) -> Json:
        ends: list[Json] = [end.hex() for end in self.ends] if self.ends else []
        return {"column": self.column, "values": [*self.values], "ends": ends}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some values of a column, at most so many of one person by a keyed hash. kept: of which rows."""

    column: str
    at_most: int
    kept: tuple[Kept, ...] = ()

    def as_json(self) -> Json:
        return {"column": self.column, "at_most": self.at_most, "kept": [each.as_json() for each in self.kept]}


@dataclass(frozen=True, slots=True)
class Flag:
    """A yes or no that is made of a column: yes where it has one of these values, or is at least so large.

    values: () for what says yes by itself. within: another flag; no, unless the person has a row of that in the same
    key: a click without an impression does not count.
    """

    name: str
    column: str
    values: tuple[str, ...] = ()
    at_least: float | None = None
    within: str = ""

    def as_json(self) -> Json:
        least = None if self.at_least is None else self.at_least.hex()
        return {
            "name": self.name,
            "column": self.column,
            "values": [*self.values],
            "at_least": least,
            "within": self.within,
        }


@dataclass(frozen=True, slots=True)
class Touch:
    """Each row is credited to the person's last event in another data set, at most so many days before it.

    day, of: the columns of days, here and there; "" where any event of the person will do. carried: columns taken
    over from there.
    """

    dataset: str
    day: str
    of: str
    days: int
    carried: tuple[str, ...]
    kept: tuple[Kept, ...] = ()

    def as_json(self) -> Json:
        return {
            "dataset": self.dataset,
            "day": self.day,
            "of": self.of,
            "days": self.days,
            "carried": [*self.carried],
            "kept": [each.as_json() for each in self.kept],
        }


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a table's rows are made, in this order.

    dataset: whose rows. kept: of them. joined: data sets of people whose columns are looked up; people who are not
    there are left out. among: data sets in which a person must stand, too. touch: what rows are credited to. answer:
    values of a person in another data set, one row each. topics: a set's values, one row each. flags: that are made of
    columns. per: one row a person and key of these columns, with how many there were, up to `most`. household: the
    column of the household that is counted in place of the person, or "".
    """

    dataset: str
    kept: tuple[Kept, ...] = ()
    joined: tuple[str, ...] = ()
    among: tuple[str, ...] = ()
    touch: Touch | None = None
    answer: Chosen | None = None
    topics: Chosen | None = None
    flags: tuple[Flag, ...] = ()
    per: tuple[str, ...] | None = None
    most: int = 0
    household: str = ""

    def as_json(self) -> Json:
        return {
            "dataset": self.dataset,
            "kept": [each.as_json() for each in self.kept],
            "joined": [*self.joined],
            "among": [*self.among],
            "touch": self.touch.as_json() if self.touch else None,
            "answer": self.answer.as_json() if self.answer else None,
            "topics": self.topics.as_json() if self.topics else None,
            "flags": [each.as_json() for each in self.flags],
            "per": None if self.per is None else [*self.per],
            "most": self.most,
            "household": self.household,
        }


@dataclass(frozen=True, slots=True)
class Query:
    """Tables and where their rows come from, in the same order. columns: all that are read, for the record.

    judges: a table to the one that counts the people of its keys, where that is not itself. stakes: a table to what of
    each measure one person may have beyond what counts: such a table counts the people who were cut, too. selection: δ
    with which keys are selected that nobody listed, in whole units of 10^-18; 0 where all are listed.
    """

    groups: tuple[GroupBy, ...]
    recipes: tuple[Recipe, ...]
    columns: tuple[str, ...]
    importance: Mapping[tuple[str, str], float] = field(default_factory=dict)
    judges: Mapping[str, str] = field(default_factory=dict)
    stakes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    selection: int = 0

    @property
    def judge(self) -> str:
        """The table whose people decide which keys show, where nobody listed them."""
        first = self.groups[0].name
        return self.judges.get(first, first)

    def layout(self) -> Layout:
        """Of one key, where nobody listed them. Errors: Refused."""
        try:
            layout = Layout.of(self.groups, dict(self.importance))
        except InvalidQuery as invalid:
            raise refused(invalid) from None
        if layout.cells > MOST_NUMBERS:
            rule = f"it asks {layout.cells:,} numbers, and a release holds at most {MOST_NUMBERS:,}"
            raise Refused("query", rule, "leave a column out of by, make bins wider, or ask fewer measures")
        if max(map(_text_of, self.groups)) > MOST_TEXT:
            rule = f"the text of its keys takes more than the {MOST_TEXT:,} bytes that a release holds"
            raise Refused("query", rule, "leave a column out of by, or agree on a contract with shorter values")
        return layout

    def l2_squared(self, layout: Layout) -> int:
        """The most one record moves the row, squared, in lattice steps.

        A household stays when one of its people goes, and may move from key to key: squares of what it added before
        and adds after, which are not negative, add up at most; in a single cell one takes the other's place.
        """
        ours = {group.name for group, recipe in zip(self.groups, self.recipes, strict=True) if recipe.household}
        moves = (
            block.multiplier**2 * block.l2_squared * (2 if block.group.name in ours and len_of(block) > 1 else 1)
            for block in layout.blocks
        )
        return sum(moves)

    def selects(self, layout: Layout, scale: float, at_least: AtLeast | None) -> Selection | None:
        """Which keys show, where nobody listed them. scale: of the noise, in lattice steps."""
        if not self.selection:
            return None
        people = self._people(layout, self.judge)
        least = 0
        if at_least is not None:
            least = math.ceil(
                least_shown(at_least.people, scale / people.steps, at_least.delta, people.steps) * people.steps
            )
        most, at = MOST_NUMBERS // len(layout.blocks), layout.blocks.index(people)
        return Selection(people.group.keys_per_person, self.selection, people.steps, at, least, most, MOST_TEXT)

    def _people(self, layout: Layout, table: str) -> Block:
        """Where a table counts people."""
        group = next(group for group in self.groups if group.name == table)
        return layout.block(table, next(each.name for each in group.measures if isinstance(each, People)))

    def veil(self, layout: Layout, scale: float, at_least: AtLeast | None) -> Veil | None:
        """What hides keys with fewer people than the contract asks for. scale: of the noise, in lattice steps."""
        if at_least is None or self.selection:
            return None
        keyed = [block for block in layout.blocks if block.kept is None or isinstance(block.measure, Cut)]
        return Veil(tuple(self._judged(layout, block, scale, at_least) for block in keyed))

    def _judged(self, layout: Layout, block: Block, scale: float, at_least: AtLeast) -> Judged:
        """By the people of its keys. People who were cut are people, too: how many there are decides of itself."""
        people = block
        if not isinstance(block.measure, Cut):
            people = self._people(layout, self.judges.get(block.group.name, block.group.name))
        least = least_shown(at_least.people, scale / people.steps, at_least.delta, people.steps)
        return Judged(block.start, block.stop, people.start, len_of(people), math.ceil(least * people.steps))

    def digest(self, layout: Layout, terms: Terms) -> str:
        """SHA-256 of all that says what is counted, in hex. terms: those that the query was made of."""
        said: dict[str, Json] = {
            "tables": layout.as_json(),
            "rows": [recipe.as_json() for recipe in self.recipes],
            "declared": terms.digest(),
        }
        return digest(said | ({"selection": self.selection} if self.selection else {}))


def _text_of(group: GroupBy) -> int:
    """Bytes of all keys of a table: of declared values alone."""
    many = cells(group.by)
    return sum(many // each.many * sum(map(written, each.labels)) for each in group.by)


def len_of(block: Block) -> int:
    """How many cells it has."""
    return block.stop - block.start


def refused(invalid: InvalidQuery) -> Refused:
    """What a layout refuses, as a contract's clause."""
    return Refused("query", f"{invalid.where}: {invalid.rule}", invalid.remedy)


def day_number(day: date) -> float:
    """Days since 1970, as columns hold them."""
    return float((day - EPOCH).days)


def dimension(terms: Terms, whole: str, edges: tuple[float, ...] | None) -> Dimension:
    """A column as a table is laid out by it. edges: of bins, for numbers and days. Errors: Refused."""
    declared, name = terms.column(whole), whole.partition(".")[2]
    if isinstance(declared, ChoiceColumn | SetColumn | FlagColumn):
        if edges is not None:
            raise Refused("bins", f"{name} holds values of a list, not numbers", f"leave bins.{name} out")
        return Category(whole, ("no", "yes") if isinstance(declared, FlagColumn) else tuple(declared.values))
    if isinstance(declared, TextColumn):
        if edges is not None:
            raise Refused("bins", f"{name} holds text, not numbers", f"leave bins.{name} out")
        return Open(whole)
    if declared.kind == "household":
        raise Refused("by", f"{name} names households, which nobody may be shown", "leave it out of by")
    if edges is None:
        how = f"windows.{name} = [2027-01-01, 2027-02-01]" if declared.kind == "date" else f"bins.{name} = [0, 10, 20]"
        raise Refused("by", f"{name} has no list of values", f"say where to cut it: {how}")
    try:
        if isinstance(declared, DateColumn):
            return Bins(whole, (*edges[:-1], edges[-1] - 0.5), days=True)
        return Bins(whole, edges)
    except InvalidQuery as invalid:
        raise Refused("bins", f"{name}: {invalid.rule}", invalid.remedy) from None


CUT_MATTERS = 0.01
"""How much the noise of the count of people who were cut matters beside that of what is asked."""


def with_cuts(group: GroupBy, stakes: Mapping[str, float]) -> GroupBy:
    """The table with a count of the people whom its bounds cut, where they can cut anybody."""
    return replace(group, measures=(*group.measures, Cut())) if stakes else group


def cuts_of(groups: Sequence[GroupBy]) -> dict[tuple[str, str], float]:
    """The importance of those counts."""
    return {(group.name, Cut().name): CUT_MATTERS for group in groups if group.notes_cuts}


def with_people(group: GroupBy, at_least: AtLeast | None, *, judges: bool = False) -> GroupBy:
    """The table with a count of its people beside, where that decides what is shown."""
    if (
        (at_least is None and not judges)
        or group.running
        or any(isinstance(measure, People) for measure in group.measures)
    ):
        return group
    return replace(group, measures=(*group.measures, People(EVERYBODY)))
