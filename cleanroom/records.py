"""From a party's file to records: one a person, keyed, checked, in the order in which they are submitted.

Each identifier column is normalised and hashed under its scheme, then keyed. Rows of one person become one record
(`matching.persons`), with the columns and the ID of the first of them. Every row that is read is in the bundle, merged
with another, beyond those of its person that count, or left out under the first reason that leaves it out. A row with
another identifier is not left out for a value that its scheme refuses; such values are counted by themselves, since a
whole column that is refused would show as fewer matches only.
"""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ..matching.fingerprint import Keyer
from ..matching.hashing import Handles
from ..matching.identifiers import RejectCode
from ..matching.order import ascending
from ..matching.persons import Held, Persons, persons
from .columns import FEW, refuse_missing
from .dummies import with_dummies
from .events import counted
from .gather import NO_IDENTIFIER, Gathered, Keyed, Mark, gather, no_id
from .gather import Brought as Brought
from .layout import Layout
from .lines import Lines, lines
from .personal import personal
from .sketch import Returned, smallest
from .source import header


@dataclass(frozen=True, slots=True)
class Key:
    """What a column of identifiers holds. there: rows with a value. refused: how many of these, by reason."""

    there: int
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` did. Every count stays at the party, but for `rows`, which the room shows to all.

    read: rows in the file. rows: rows in the bundle, of which `dummies` are nobody's. merged: rows of a person who was
    there already. contradicting: how many of these hold another value, or another ID of the owner's, than the first
    row of their person, which counts. shared: by key, how many identifiers stayed with a person before. rejects: rows
    left out, each under the first reason. without: rows that count, by another key, though a value of theirs was
    refused, by reason. keys: what the column of each key holds. suspects: rows kept that are odd
    (`matching.suspects`), by reason. cut: sets cut to their declared size. over: rows beyond those of one person that
    count. unused: columns of the file left at home. home: the file that stays; ids: the same, where it turns tokens
    into own IDs. returned: lists of other contracts that hold the same people (`cleanroom.sketch`). personal: rows
    that look like an identifier, by column of text. first: by reason, where the first rows that are left out, or odd,
    stand in the file. doubts: what deserves a second look (`cleanroom.doubts`).
    """

    read: int
    rows: int
    merged: int
    cut: int
    rejects: Mapping[str, int]
    unused: tuple[str, ...]
    over: int = 0
    shared: Mapping[str, int] = field(default_factory=dict)
    dummies: int = 0
    bundle: Path | None = None
    home: Path | None = None
    ids: Path | None = None
    written: bool = False
    returned: tuple[Returned, ...] = ()
    doubts: tuple[str, ...] = ()
    suspects: Mapping[str, int] = field(default_factory=dict)
    without: Mapping[str, int] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)
    personal: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, Lines] = field(default_factory=dict)
    contradicting: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Records:
    """Records as they go into a bundle, in order. own: the owner's IDs, if it has any; columns: as declared.

    handles: the columns of the keys. people: how many people they are of. sketch: of these (`cleanroom.sketch`), of
    each one's best identifier; it stays at home. Empty where it was not asked for.
    """

    handles: pa.Table
    own: pa.ChunkedArray | None
    columns: pa.Table
    people: int
    sketch: list[int]
    report: Prepared

    def known_from(self, lists: Sequence[Returned]) -> Records:
        """The same, and the lists of other contracts that it returns."""
        return replace(self, report=replace(self.report, returned=tuple(lists)))

    def padded(self, rows: int, secret: bytes) -> Records:
        """With dummies, so that there are so many rows. The caller ensures: one key, and neither IDs nor columns."""
        people = Handles(self.handles.column("k").to_numpy(), self.handles.column("k2").to_numpy())
        made = with_dummies(people, rows, secret)
        keyed = pa.table({"k": made.k, "k2": made.k2})
        return Records(keyed, None, pa.table({}), self.people, self.sketch, padded(self.report, rows))

    def with_tokens(self, tokens: pa.Array | pa.ChunkedArray | None) -> pa.Table:
        """The bundle's table."""
        table = self.handles if tokens is None else self.handles.append_column("token", tokens)
        for name in self.columns.column_names:
            table = table.append_column(name, self.columns.column(name))
        return table


def padded(report: Prepared, rows: int) -> Prepared:
    """A report with dummies up to so many rows."""
    return replace(report, rows=max(rows, report.rows), dummies=max(rows - report.rows, 0))


def new_tokens(count: int) -> pa.Array:
    """So many random numbers, each once."""
    while True:
        tokens = np.frombuffer(secrets.token_bytes(8 * count), dtype=np.uint64)
        if len(np.unique(tokens)) == count:
            return pa.array(tokens)


def records(brought: Brought, key: Keyer, secret: bytes, mark: Mark | None = None) -> Records:
    """Everything a bundle holds but its tokens, and the report.

    key: makes handles of hashes. secret: of the owners; keys households, and draws which rows of a person count. mark:
    gives what stands for people in a sketch; None where there is none.
    Errors: BadSource, ColumnMissing, ColumnUnreadable.
    """
    names = header(brought.source)
    refuse_missing(brought.columns, names, brought.source)
    unused = tuple(name for name in names if name not in brought.columns)
    rows = gather(brought, key, secret, mark)
    events = brought.rule.rows == "events"
    return _events(brought, rows, unused, secret) if events else _people(brought, rows, unused)


def _people(brought: Brought, rows: Gathered, unused: tuple[str, ...]) -> Records:
    """One record a person."""
    found = _persons(brought, rows)
    named = _first_of_each(rows.own, found.first)
    at = _order(brought.layout, rows.keyed, found, named)
    first = found.first[at]
    own, columns = (None if each is None else each.take(pa.array(first)) for each in (rows.own, rows.columns))
    rejects = _by_reason(rows.left) | {NO_IDENTIFIER: rows.keyless}
    rejects |= {no_id(brought.rule): rows.nameless}
    left = _left(brought, found, named)
    rejects |= dict(rows.rejects) | {reason: len(each) for reason, each in left.items()}
    standing = {reason: rows.where.of(each[:FEW].tolist()) for reason, each in left.items() if len(each)}
    report = Prepared(
        read=rows.read,
        rows=len(first),
        merged=found.merged,
        contradicting=_contradicting(rows, found, np.concatenate([*left.values()])),
        cut=rows.cut,
        rejects={reason: count for reason, count in rejects.items() if count},
        unused=unused,
        shared=found.shared,
        suspects=_by_reason(rows.suspects),
        without=_by_reason(rows.without),
        keys={kind: Key(rows.there[kind], _spoiled(each)) for kind, each in rows.refused.items()},
        personal=personal(columns, brought.rule.columns),
        first=lines(brought.source, {**rows.first, **standing}),
    )
    sketch = smallest(_marks(rows.marks, found, at))
    rows.marks.clear()
    return Records(_handle_columns(brought.layout, rows.keyed, found, at), own, columns, len(first), sketch, report)


def _events(brought: Brought, rows: Gathered, unused: tuple[str, ...], secret: bytes) -> Records:
    """Several rows a person, as many as count; a person is known by one identifier."""
    (mine,) = rows.keyed.values()
    made = Handles(mine.k, mine.k2)
    found = counted(made, brought.rule.rows_a_person, hmac.digest(secret, b"passbox rows", "sha256"))
    rejects = _by_reason(rows.left) | dict(rows.rejects)
    columns = rows.columns.take(pa.array(found.at))
    report = Prepared(
        read=rows.read,
        rows=len(found.at),
        merged=0,
        cut=rows.cut,
        over=found.over,
        rejects={reason: count for reason, count in rejects.items() if count},
        unused=unused,
        suspects=_by_reason(rows.suspects),
        personal=personal(columns, brought.rule.columns),
        first=lines(brought.source, rows.first),
    )
    table = pa.table({"k": mine.k[found.at], "k2": mine.k2[found.at]})
    sketch = smallest(marks[found.first] for marks in rows.marks.values())
    return Records(table, None, columns, len(found.first), sketch, report)


# -- counts ------------------------------------------------------------------------------------------------------------


def _by_reason(counts: Mapping[str, Counter[RejectCode]]) -> dict[str, int]:
    return {f"{kind}: {code.value}": n for kind, each in counts.items() for code, n in each.items()}


def _spoiled(refused: Counter[RejectCode]) -> dict[str, int]:
    """Values that are there and were refused."""
    return {code.value: n for code, n in refused.items() if code != RejectCode.EMPTY}


def _contradicting(rows: Gathered, found: Persons, left: NDArray[np.int64]) -> int:
    """How many rows that joined another hold another value, or another ID of the owner's, than the row that speaks for
    them. What is missing in either says nothing. left: as `_left` says; rows merged with these are in no bundle."""
    kept = ~np.isin(found.speaker, left)
    again, speaker = found.again[kept], found.speaker[kept]
    otherwise = np.zeros(len(again), dtype=np.bool_)
    held = [*rows.columns.columns, *([] if rows.own is None else [rows.own])]
    for column in held if len(again) else ():
        mine, firsts = (pl.Series(column.take(pa.array(at))) for at in (again, speaker))
        if isinstance(mine.dtype, pl.List):
            mine, firsts = mine.list.join("|"), firsts.list.join("|")
            mine, firsts = mine.set(mine == "", None), firsts.set(firsts == "", None)
        otherwise |= (mine != firsts).fill_null(value=False).to_numpy()
    return int(otherwise.sum())


def _left(brought: Brought, found: Persons, named: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
    """Rows that count and are in the bundle neither by themselves nor merged, by reason. named: as `_first_of_each`
    says."""
    return {
        f"more than {brought.contract.match.largest_person} identifiers of one person": found.crowded,
        "every identifier is another person's": found.bare,
        f"{brought.rule.id}: an ID of another person": np.sort(found.first[~named]),
    }


# -- persons -----------------------------------------------------------------------------------------------------------


def _persons(brought: Brought, rows: Gathered) -> Persons:
    """Who the rows are. Rows with one ID are one person, where there are several keys."""
    match = brought.contract.match
    keys = [Held(kind, each.row, each.k, each.nobodys) for kind, each in rows.keyed.items()]
    joined = brought.layout.several and rows.own is not None
    links = [_numbered(rows.own)] if joined else []
    return persons(keys, links, rows.rows, match.repeats, match.largest_person)


def _numbered(own: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each ID: the same ID, the same number."""
    codes = own.combine_chunks().dictionary_encode().indices
    numbers: NDArray[np.int64] = codes.to_numpy().astype(np.int64)
    return numbers


def _first_of_each(own: pa.ChunkedArray | None, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these rows are the first with their ID: an ID that stands for two people would name either."""
    fine = np.ones(len(rows), dtype=np.bool_)
    if own is not None:
        order = np.argsort(rows)
        fine[order] = pl.Series(own.take(pa.array(rows[order]))).is_first_distinct().to_numpy()
    return fine


# -- the table ---------------------------------------------------------------------------------------------------------


def _order(layout: Layout, keyed: Mapping[str, Keyed], found: Persons, named: NDArray[np.bool_]) -> Places:
    """Records ascend by the first half of their best handle: the order says nothing of the file's."""
    if not layout.several:  # persons of one key stand in the order of their handles
        return slice(None) if named.all() else np.flatnonzero(named)
    at = np.flatnonzero(named)
    best = np.zeros(len(at), dtype=np.uint64)
    known = np.zeros(len(at), dtype=np.bool_)
    for kind, each in keyed.items():
        place = found.place[kind][at]
        mine = (place >= 0) & ~known
        best[mine] = each.k[place[mine]]
        known |= mine
    return at[ascending(best)]


Places: TypeAlias = slice | NDArray[np.int64]


def _marks(every: Mapping[str, NDArray[np.uint64]], found: Persons, at: Places) -> Iterator[NDArray[np.uint64]]:
    """Those of each person's best identifier, a piece at a time."""
    places = {kind: found.place[kind][at] for kind in every}
    for begin in range(0, max(map(len, places.values()), default=0), _PIECE):
        pieces = {kind: place[begin : begin + _PIECE] for kind, place in places.items()}
        marks = np.zeros(max(map(len, pieces.values())), dtype=np.uint64)
        known = np.zeros(len(marks), dtype=np.bool_)
        for kind, place in pieces.items():
            mine = (place >= 0) & ~known
            marks[mine] = every[kind][place[mine]]
            known |= mine
        yield marks


_PIECE = 2**16
"""People who are looked at together."""


def _handle_columns(layout: Layout, keyed: dict[str, Keyed], found: Persons, at: Places) -> pa.Table:
    """Takes the handles of each kind out of `keyed`, and writes into the memory that they and their places lie in."""
    columns: dict[str, pa.Array] = {}
    for kind in list(keyed):
        each, place = keyed.pop(kind), found.place[kind][at]
        one, other = layout.handle(kind)
        if layout.several:
            columns[one], columns[other] = _placed(each.k, place), _placed(each.k2, place)
        else:
            columns[one], columns[other] = pa.array(_ascending(each.k, place)), pa.array(_moved(each.k2, place))
    return pa.table(columns)


def _ascending(k: NDArray[np.uint64], place: NDArray[np.int64]) -> NDArray[np.uint64]:
    """What stands at places in ascending order. Where that is all of it, it is sorted where it lies."""
    if len(place) < len(k):
        return k.take(place)
    k.sort()
    return k


def _moved(half: NDArray[np.uint64], place: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The same of numbers in another order, written over their places."""
    moved = place.view(np.uint64)
    for begin in range(0, len(place), _PIECE):
        moved[begin : begin + _PIECE] = half.take(place[begin : begin + _PIECE])
    return moved


def _placed(half: NDArray[np.uint64], place: NDArray[np.int64]) -> pa.Array:
    """Nulls for records without such a key."""
    values = half[np.maximum(place, 0)] if len(half) else np.zeros(len(place), dtype=np.uint64)
    return pa.array(values, mask=place < 0)
