"""From a party's file to records: one a person, keyed, checked, in the order in which they are submitted.

Each identifier column is normalised and hashed under its scheme, then keyed. Rows of one person become one record
(`matching.persons`), with the columns and the ID of the first of them. A row counts under the first reason that leaves
it out; a value that its scheme refuses is counted too, whether or not the row has another identifier, since a whole
column that is refused would show as fewer matches only.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ..matching.fingerprint import Keyer
from ..matching.hashing import Handles
from ..matching.identifiers import Digests, MixedEncodings, NotText, RejectCode, digests
from ..matching.order import ascending
from ..matching.persons import Held, Persons, persons
from ..policies.contract import Contract, DatasetRule
from .columns import ColumnUnreadable, Read, read_columns, refuse_missing
from .dummies import with_dummies
from .events import counted
from .layout import Layout, layout_of
from .personal import personal
from .sketch import Returned
from .source import BadSource, header, read_source


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` did. Every count stays at the party, but for `rows`, which the room shows to all.

    read: rows in the file. rows: rows in the bundle, of which `dummies` are nobody's. merged: rows of a person who was
    there already. shared: by key, how many identifiers stayed with a person before. rejects: rows left out, and values
    refused, by reason. suspects: rows kept that are odd (`matching.suspects`), by reason. cut: sets cut to their
    declared size. over: rows beyond those of one person that count. unused: columns of the file left at home. home: the
    file that stays; ids: the same, where it turns tokens into own IDs. returned: lists of other contracts that hold the
    same people (`cleanroom.sketch`). personal: rows that look like an identifier, by column of text. doubts: what
    deserves a second look (`cleanroom.doubts`).
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
    personal: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Brought:
    """A party's file, and what the contract says of it.

    names: identifier kind to column of the file, where it is not named like the kind.
    """

    source: Path
    contract: Contract
    dataset: str
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def rule(self) -> DatasetRule:
        return self.contract.dataset[self.dataset]

    @property
    def layout(self) -> Layout:
        return layout_of(self.contract, self.dataset)

    @property
    def identifiers(self) -> dict[str, str]:
        """The columns that hold the identifiers people are matched on, by kind, best first."""
        return {kind: self.names.get(kind, kind) for kind in self.layout.keys}

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read."""
        own = (self.rule.id,) if self.rule.id else ()
        return (*self.identifiers.values(), *own, *self.rule.columns)


@dataclass(frozen=True, slots=True, repr=False)
class Records:
    """Records as they go into a bundle, in order. own: the owner's IDs, if it has any; columns: as declared.

    handles: the columns of the keys. people: how many people they are of. best: gives the digest of each one's best
    identifier, which stays at home: (people, 32) uint8, piece by piece.
    """

    handles: pa.Table
    own: pa.ChunkedArray | None
    columns: pa.Table
    people: int
    best: Callable[[], Iterator[NDArray[np.uint8]]]
    report: Prepared

    def known_from(self, lists: Sequence[Returned]) -> Records:
        """The same, and the lists of other contracts that it returns."""
        return replace(self, report=replace(self.report, returned=tuple(lists)))

    def padded(self, rows: int, secret: bytes) -> Records:
        """With dummies, so that there are so many rows. The caller ensures: one key, and neither IDs nor columns."""
        people = Handles(self.handles.column("k").to_numpy(), self.handles.column("k2").to_numpy())
        made = with_dummies(people, rows, secret)
        keyed = pa.table({"k": made.k, "k2": made.k2})
        return Records(keyed, None, pa.table({}), self.people, self.best, padded(self.report, rows))

    def with_tokens(self, tokens: pa.Array | pa.ChunkedArray | None) -> pa.Table:
        """The bundle's table."""
        table = self.handles if tokens is None else self.handles.append_column("token", tokens)
        for name in self.columns.column_names:
            table = table.append_column(name, self.columns.column(name))
        return table.combine_chunks()


def padded(report: Prepared, rows: int) -> Prepared:
    """A report with dummies up to so many rows."""
    return replace(report, rows=max(rows, report.rows), dummies=max(rows - report.rows, 0))


def new_tokens(count: int) -> pa.Array:
    """So many random numbers, each once."""
    while True:
        tokens = np.frombuffer(secrets.token_bytes(8 * count), dtype=np.uint64)
        if len(np.unique(tokens)) == count:
            return pa.array(tokens)


def records(brought: Brought, key: Keyer, secret: bytes) -> Records:
    """Everything a bundle holds but its tokens, and the report.

    key: makes handles of hashes. secret: of the owners; keys households, and draws which rows of a person count.
    Errors: BadSource, ColumnMissing, ColumnUnreadable.
    """
    names = header(brought.source)
    refuse_missing(brought.columns, names, brought.source)
    source = read_source(brought.source, brought.columns)
    hashed = {kind: _digests(brought, source, kind) for kind in brought.layout.keys}
    own, nameless = _own_ids(brought.rule, source)
    known = np.any([each.accepted for each in hashed.values()], axis=0)
    read = read_columns(source, brought.rule.columns, known & ~nameless, secret)
    rows_read = source.num_rows
    del source  # raw values are the most of what is in memory, and nothing needs them any more
    keyed = {kind: _Keyed.of(each, key, read.accepted) for kind, each in hashed.items()}
    if brought.rule.rows == "events":
        return _events(brought, names, hashed, keyed, read, secret)
    found = _persons(brought, keyed, own, read.accepted)
    named = _first_of_each(own, found.first)
    at = np.flatnonzero(named)[_order(brought.layout, keyed, found, named)]
    rows = pa.array(found.first[at])
    columns = read.table.take(rows)
    rejects = {f"{kind}: {code}": count for kind, each in hashed.items() for code, count in _refused(each, hashed)}
    rejects |= {"no identifier: empty": int((~known).sum()) - _refused_rows(hashed, known)} if len(hashed) > 1 else {}
    rejects |= {f"{brought.rule.id}: empty": int((nameless & known).sum())}
    rejects |= read.rejects
    rejects |= {f"more than {brought.contract.match.largest_person} identifiers of one person": found.crowded}
    rejects |= {"every identifier is another person's": found.bare}
    rejects |= {f"{brought.rule.id}: an ID of another person": len(named) - int(named.sum())}
    report = Prepared(
        read=rows_read,
        rows=len(at),
        merged=found.merged,
        cut=read.cut,
        rejects={reason: count for reason, count in rejects.items() if count},
        unused=tuple(name for name in names if name not in brought.columns),
        shared=found.shared,
        suspects={f"{kind}: {code.value}": n for kind, each in hashed.items() for code, n in each.suspects.items()},
        personal=personal(columns, brought.rule.columns),
    )
    table = _handle_columns(brought.layout, keyed, found, at)
    own = None if own is None else own.take(rows)
    return Records(table, own, columns, len(at), lambda: _best_digests(hashed, keyed, found, at), report)


def _events(
    brought: Brought,
    names: Sequence[str],
    hashed: Mapping[str, Digests],
    keyed: Mapping[str, _Keyed],
    read: Read,
    secret: bytes,
) -> Records:
    """Several rows a person, as many as count; a person is known by one identifier."""
    ((kind, digests_of),) = hashed.items()
    mine = keyed[kind]
    found = counted(mine.handles, brought.rule.rows_a_person, hmac.digest(secret, b"passbox rows", "sha256"))
    rejects = {f"{kind}: {code}": count for code, count in _refused(digests_of, hashed)} | dict(read.rejects)
    columns = read.table.take(pa.array(mine.row[found.at]))
    report = Prepared(
        read=len(read.accepted),
        rows=len(found.at),
        merged=0,
        cut=read.cut,
        over=found.over,
        rejects={reason: count for reason, count in rejects.items() if count},
        unused=tuple(name for name in names if name not in brought.columns),
        suspects={f"{kind}: {code.value}": n for code, n in digests_of.suspects.items()},
        personal=personal(columns, brought.rule.columns),
    )
    table = pa.table({"k": mine.handles.k[found.at], "k2": mine.handles.k2[found.at]})
    best = digests_of.values[mine.row[found.first]]
    return Records(table, None, columns, len(best), lambda: iter([best]), report)


# -- identifiers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class _Keyed:
    """The handles of one kind, of rows that count. row: whose they are, ascending. nobodys: as in `Held`."""

    row: NDArray[np.int64]
    handles: Handles
    nobodys: NDArray[np.bool_]

    @classmethod
    def of(cls, hashed: Digests, key: Keyer, counts: NDArray[np.bool_]) -> _Keyed:
        row, made = hashed.rows, key(hashed)
        if not (fine := counts[row]).all():
            kept = np.flatnonzero(fine)
            row, made = row[kept], made.take(kept)
        return cls(row, made, hashed.nobodys[row])


def _digests(brought: Brought, source: pa.Table, kind: str) -> Digests:
    name, scheme = brought.identifiers[kind], brought.contract.match.scheme[kind]
    try:
        arrives, setting = brought.rule.identifiers[kind], brought.contract.setting(brought.dataset)
        return digests(source.column(name), scheme, kind, arrives, setting, brought.rule.suspicious)
    except MixedEncodings as error:
        written = " and ".join(_WRITTEN[encoding] for encoding in sorted(error.found) if encoding in _WRITTEN)
        rule = f"column {name} mixes encodings of hashes: {written}"
        raise BadSource(brought.source, rule, "they come from different programs: hash every row with one") from None
    except NotText:
        raise BadSource(brought.source, f"column {name} is not text", "export it as text") from None


_WRITTEN = {"base64": "base64", "hex-lower": "small hex letters", "hex-upper": "capital hex letters"}
"""Hex digits without a letter are of either case, and say nothing."""


def _refused(hashed: Digests, every: Mapping[str, Digests]) -> list[tuple[str, int]]:
    """Values that were refused, by reason. Where people have several keys, a value that is missing is no fault."""
    return [(code.value, n) for code, n in hashed.rejects.items() if len(every) == 1 or code != RejectCode.EMPTY]


def _refused_rows(every: Mapping[str, Digests], known: NDArray[np.bool_]) -> int:
    """Of the rows without an identifier, how many are counted already, with a value that was refused."""
    spoiled = sum(n for each in every.values() for code, n in each.rejects.items() if code != RejectCode.EMPTY)
    return min(int((~known).sum()), spoiled)


def _best_digests(
    hashed: Mapping[str, Digests], keyed: Mapping[str, _Keyed], found: Persons, at: NDArray[np.int64]
) -> Iterator[NDArray[np.uint8]]:
    for begin in range(0, len(at), _PIECE):
        people = at[begin : begin + _PIECE]
        best = np.zeros((len(people), 32), dtype=np.uint8)
        known = np.zeros(len(people), dtype=np.bool_)
        for kind, each in hashed.items():
            place = found.place[kind][people]
            mine = (place >= 0) & ~known
            best[mine, : each.values.shape[1]] = each.values[keyed[kind].row[place[mine]]]
            known |= mine
        yield best


_PIECE = 2**16
"""People whose digests are looked at together."""


# -- persons -----------------------------------------------------------------------------------------------------------


def _persons(
    brought: Brought, keyed: Mapping[str, _Keyed], own: pa.ChunkedArray | None, counts: NDArray[np.bool_]
) -> Persons:
    """Who the rows are, in rows of the file."""
    match = brought.contract.match
    if not brought.layout.several:  # rows are told apart by their handles alone, whatever their numbers
        keys = [Held(kind, each.row, each.handles.k) for kind, each in keyed.items()]
        return persons(keys, [], len(counts), match.repeats, match.largest_person)
    rows = np.flatnonzero(counts).astype(np.int64)
    place = np.zeros(len(counts), dtype=np.int64)
    place[rows] = np.arange(len(rows))
    keys = [Held(kind, place[each.row], each.handles.k, each.nobodys) for kind, each in keyed.items()]
    links = [_numbered(own, rows)] if own is not None else []
    found = persons(keys, links, len(rows), match.repeats, match.largest_person)
    return replace(found, first=rows[found.first])


def _numbered(own: pa.ChunkedArray, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each ID: rows with one ID are one person."""
    codes = own.take(pa.array(rows)).combine_chunks().dictionary_encode().indices
    numbers: NDArray[np.int64] = codes.to_numpy().astype(np.int64)
    return numbers


def _own_ids(rule: DatasetRule, source: pa.Table) -> tuple[pa.ChunkedArray | None, NDArray[np.bool_]]:
    """The owner's IDs, and which rows have none. Errors: ColumnUnreadable."""
    if rule.id is None:
        return None, np.zeros(source.num_rows, dtype=np.bool_)
    own = source.column(rule.id)
    if pa.types.is_dictionary(own.type):
        own = own.cast(own.type.value_type)
    if pa.types.is_integer(own.type):
        return own, own.is_null().to_numpy()
    if not (pa.types.is_string(own.type) or pa.types.is_large_string(own.type)):
        raise ColumnUnreadable(rule.id, "IDs, as text or whole numbers")
    blank = pl.Series(own).str.strip_chars().fill_null("") == ""
    return own, blank.to_numpy()


def _first_of_each(own: pa.ChunkedArray | None, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these rows are the first with their ID: an ID that stands for two people would name either."""
    fine = np.ones(len(rows), dtype=np.bool_)
    if own is not None:
        order = np.argsort(rows)
        fine[order] = pl.Series(own.take(pa.array(rows[order]))).is_first_distinct().to_numpy()
    return fine


# -- the table ---------------------------------------------------------------------------------------------------------


def _order(layout: Layout, keyed: Mapping[str, _Keyed], found: Persons, named: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Records ascend by the first half of their best handle: the order says nothing of the file's."""
    if not layout.several:  # persons of one key stand in the order of their handles
        return np.arange(int(named.sum()))
    best = np.zeros(int(named.sum()), dtype=np.uint64)
    known = np.zeros(len(best), dtype=np.bool_)
    for kind, each in keyed.items():
        place = found.place[kind][named]
        mine = (place >= 0) & ~known
        best[mine] = each.handles.k[place[mine]]
        known |= mine
    return ascending(best)


def _handle_columns(layout: Layout, keyed: Mapping[str, _Keyed], found: Persons, at: NDArray[np.int64]) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for kind, each in keyed.items():
        place = found.place[kind] if len(at) == len(found.first) and not layout.several else found.place[kind][at]
        missing = place < 0 if layout.several else None
        place = np.maximum(place, 0) if layout.several else place
        for name, half in zip(layout.handle(kind), (each.handles.k, each.handles.k2), strict=True):
            values = half[place] if len(half) else np.zeros(len(at), dtype=np.uint64)
            columns[name] = pa.array(values, mask=missing)
    return pa.table(columns)
