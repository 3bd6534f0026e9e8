"""Rows: a recipe's data sets, read and joined by handle, as `dp.grouped` takes them.

Every step looks at one person at a time: whose rows are kept, joined, credited and counted is decided by that person's
rows alone, and where there is a choice by a keyed hash of them. What each step leaves of a person whose rows were
taken out of one data set is written beside the step.

The code ensures: no error depends on a row; the result goes to `dp.grouped.aggregate` alone.
The caller ensures: the job was checked against the contract (`policies.check`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from ...dp import keys
from ...dp.grouped import PERSON
from ...dp.keys import Dimension
from ...policies.contract import Column
from ...policies.jobs.query import FREQUENCY, Chosen, Flag, Kept, Query, Recipe, Touch
from ...policies.jobs.table import identifier_of
from ..layout import MASK, layout_of
from ..room import Dataset, Room, RoomUnusable

K, K2 = "k", "k2"
_DAY, _KEY, _ROW = "\0day", "\0key", "\0row"
"""Names that no column has."""


def tables(room: Room, query: Query, secret: bytes) -> list[pl.DataFrame]:
    """One table of rows for each of the query's groups, in order. secret: 16 bytes or more, the room's.

    Errors: RoomUnusable where owners hold different match keys.
    """
    every = room.datasets()
    held = {name: every[name] for recipe in query.recipes for name in _read_by(recipe)}
    _refuse_other_keys(room.path, list(held.values()))
    made: dict[int, pl.DataFrame] = {}
    for recipe, group in zip(query.recipes, query.groups, strict=True):
        if id(recipe) not in made:
            made[id(recipe)] = _Kitchen(room, held, query.columns, secret).table(recipe, group.by)
    return [made[id(recipe)] for recipe in query.recipes]


def _read_by(recipe: Recipe) -> list[str]:
    others = [each.dataset for each in (recipe.touch,) if each]
    others += [each.column.partition(".")[0] for each in (recipe.answer, recipe.topics) if each]
    return [recipe.dataset, *recipe.joined, *recipe.among, *others]


def _refuse_other_keys(path: Path, used: Sequence[Dataset]) -> None:
    """Keyed with other shares nobody would match, which would look like any other result."""
    if len({dataset.manifest.shares for dataset in used}) > 1:
        who = ", ".join(sorted({dataset.name for dataset in used}))
        raise RoomUnusable(
            path,
            f"{who} were prepared with other shares of the match key",
            "their owners prepare again, with the same contract.toml.*.share files",
        )


class _Kitchen:
    """Makes tables after recipes. held: the data sets that are read, of all of them together. columns: whole names."""

    def __init__(self, room: Room, held: dict[str, Dataset], columns: Sequence[str], secret: bytes) -> None:
        self.room, self.held, self.columns, self.secret = room, held, columns, secret
        self.alone, self.key = len(held) == 1, identifier_of(room.contract, tuple(held))

    def table(self, recipe: Recipe, by: Sequence[Dimension]) -> pl.DataFrame:
        """A recipe's rows, with `person` and its columns. by: the keys they are counted under."""
        rows = kept(self.read(recipe.dataset), [k for k in recipe.kept if _of(k.column) == recipe.dataset])
        for name in recipe.joined:  # without the other's row, none of this person's
            rows = rows.join(self.read(name), on=[K, K2], how="inner")
        rows = kept(rows, [k for k in recipe.kept if _of(k.column) != recipe.dataset])
        for name in recipe.among:  # likewise
            rows = rows.join(self.read(name).select(K, K2).unique(), on=[K, K2], how="semi")
        if recipe.touch is not None:
            rows = touched(rows, self.read(recipe.touch.dataset), recipe.touch, self.secret)
        if recipe.answer is not None:
            other = self.read(_of(recipe.answer.column))
            rows = rows.join(chosen(other, recipe.answer, self.secret), on=[K, K2], how="inner")
        if recipe.topics is not None:
            rows = exploded(rows, recipe.topics, self.secret)
        rows = rows.with_columns(pl.col(K).alias(PERSON))
        if recipe.household:
            rows = by_household(rows, recipe.household, self.secret)
        if recipe.flags:
            rows = flagged(rows, recipe.flags, by)
        if recipe.per is not None:
            rows = counted(rows, [each for each in by if each.name in recipe.per], recipe.most)
        return rows

    def read(self, name: str) -> pl.DataFrame:
        """A data set's handles and those of its columns that the query reads, under their whole names."""
        held, declared = self.held[name], self.room.contract.dataset[name].columns
        own = [column.partition(".")[2] for column in self.columns if _of(column) == name]
        if not layout_of(self.room.contract, name).several:
            return typed(self.room.read(held, [K, K2, *own]), name, declared)
        rows = typed(self.room.read(held, [K, *own]), name, declared)
        if self.alone:  # nobody is looked up, so everybody counts, by the best handle that each has
            return rows.with_columns(pl.lit(0, dtype=pl.UInt64).alias(K2))
        return rows.drop(K).with_row_index(_ROW).join(self._handles(held), on=_ROW, how="inner").drop(_ROW)

    def _handles(self, held: Dataset) -> pl.DataFrame:
        """The handles by which rows are joined, and which row each is of: a record has one at most."""
        parts = [self.room.read_part(path, [K, K2, "record"]) for path in held.parts(self.key)]
        frame = pl.from_arrow(pa.concat_tables(parts))
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is not a series
        row = (pl.col("record") // MASK).cast(pl.UInt32)
        return frame.select(K, K2, row.alias(_ROW))


def typed(table: pa.Table, name: str, declared: dict[str, Column]) -> pl.DataFrame:
    """A stored table in polars: flags are yes or no, categories are of their declared values."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table is not a series
    for column in frame.columns:
        if column in (K, K2):
            continue
        kind = declared[column].kind
        values = pl.col(column)
        if kind == "flag":
            values = values == 1.0
        frame = frame.with_columns(values.alias(f"{name}.{column}")).drop(column)
    return frame


def kept(rows: pl.DataFrame, filters: Sequence[Kept]) -> pl.DataFrame:
    """Rows that pass every filter; what is missing passes none."""
    for each in filters:
        column = pl.col(each.column)
        if each.ends is not None:
            passes = column.is_between(*each.ends)
        elif rows.schema[each.column] == pl.Boolean:
            passes = column.is_in([value == "yes" for value in each.values])
        elif isinstance(rows.schema[each.column], pl.List):
            passes = column.list.eval(pl.element().is_in(each.values)).list.any()
        else:
            passes = column.is_in(each.values)
        rows = rows.filter(passes.fill_null(value=False))
    return rows


def exploded(rows: pl.DataFrame, topics: Chosen, secret: bytes) -> pl.DataFrame:
    """One row for each value of a set, at most so many of each set by a keyed hash; of a category, each row."""
    each = rows.with_row_index("\0row")
    if isinstance(rows.schema[topics.column], pl.List):
        each = each.explode(topics.column)
    each = each.drop_nulls(topics.column)
    ranked = each.with_columns(_order([K, topics.column], secret).alias("\0order")).sort("\0row", "\0order")
    place = pl.int_range(pl.len()).over("\0row")
    return ranked.filter(place < topics.at_most).drop("\0row", "\0order")


def chosen(rows: pl.DataFrame, answer: Chosen, secret: bytes) -> pl.DataFrame:
    """Each person's different values of a column, at most so many by a keyed hash: none without the person's rows."""
    distinct = kept(rows, answer.kept).select(K, K2, answer.column).drop_nulls().unique()
    ranked = distinct.with_columns(_order([K, answer.column], secret).alias("\0order")).sort(K, "\0order")
    return ranked.filter(pl.int_range(pl.len()).over(K) < answer.at_most).drop("\0order")


def touched(rows: pl.DataFrame, events: pl.DataFrame, touch: Touch, secret: bytes) -> pl.DataFrame:
    """Rows credited to the person's last event, or to one by a keyed hash where days do not matter; others left out.

    Without the person's events none of its rows is left; without its rows there are none.
    """
    events = kept(events, touch.kept)
    columns = list(touch.carried)
    ordered = events.with_columns(_order([K, *columns], secret).alias("\0order"))
    if not touch.day:
        first = ordered.sort(K, "\0order").unique([K, K2], keep="first", maintain_order=True)
        return rows.join(first.select(K, K2, *columns), on=[K, K2], how="inner")
    late = rows.drop_nulls(touch.day).with_columns(pl.col(touch.day).cast(pl.Int64).alias(_DAY)).sort(_DAY)
    soon = ordered.drop_nulls(touch.of).with_columns(pl.col(touch.of).cast(pl.Int64).alias(_DAY))
    soon = soon.sort(_DAY, "\0order").with_columns(pl.lit(value=True).alias("\0found"))
    joined = late.join_asof(
        soon.select(K, K2, _DAY, "\0found", *columns),
        on=_DAY,
        by=[K, K2],
        strategy="backward",
        tolerance=touch.days,
        check_sortedness=False,
    )
    return joined.filter(pl.col("\0found").is_not_null()).drop("\0found", _DAY)


def by_household(rows: pl.DataFrame, household: str, secret: bytes) -> pl.DataFrame:
    """Rows of households: a person is of one, by a keyed hash of those it was seen in, and all its rows are that one's.

    Without the person its household has some of its rows, or none; no other household changes.
    """
    seen = rows.drop_nulls(household).with_columns(_order([K, household], secret).alias("\0order"))
    home = seen.sort(K, "\0order").unique([K, K2], keep="first", maintain_order=True)
    placed = rows.drop(household).join(home.select(K, K2, household), on=[K, K2], how="inner")
    return placed.with_columns(pl.col(household).alias(PERSON))


def flagged(rows: pl.DataFrame, flags: Sequence[Flag], by: Sequence[Dimension]) -> pl.DataFrame:
    """With the flags, each a function of its row and, where it is within another, of the person's rows of that key."""
    rows = rows.with_columns(pl.Series(_KEY, keys.codes(by, rows)))
    for each in flags:
        column = pl.col(each.column)
        if each.at_least is not None:
            yes = column >= each.at_least
        else:
            yes = column.is_in(each.values) if each.values else column
        yes = yes.fill_null(value=False)
        if each.within:
            yes = yes & pl.col(each.within).any().over(PERSON, _KEY)
        rows = rows.with_columns(yes.alias(each.name))
    return rows.drop(_KEY)


def counted(rows: pl.DataFrame, by: Sequence[Dimension], most: int) -> pl.DataFrame:
    """One row a person and key, with how many rows there were, `most` for more than that."""
    rows = rows.with_columns(pl.Series(_KEY, keys.codes(by, rows))).filter(pl.col(_KEY) != keys.OUTSIDE)
    names = [each.name for each in by]
    one = rows.group_by(PERSON, _KEY).agg(pl.len().alias(FREQUENCY), *(pl.col(name).min() for name in names))
    return one.drop(_KEY).with_columns(pl.col(FREQUENCY).clip(1, most).cast(pl.Float64))


def _order(columns: Sequence[str], secret: bytes) -> pl.Expr:
    """A keyed hash of some columns, to choose by: the same for the same values, in any row."""
    fields = [pl.col(name).cast(pl.String).fill_null("") for name in columns]
    return pl.struct(fields).hash(int.from_bytes(secret[:8], "little"))


def _of(column: str) -> str:
    """The data set of a column."""
    return column.partition(".")[0]
