"""The rows of a party's file that count: keyed as they are read, so that nothing raw is ever whole in memory.

The file is read piece by piece. Of each piece every identifier is normalised, hashed and keyed at once, and what is
kept is two numbers of 64 bits a handle, the owner's IDs and the declared columns, of rows that count. What only a whole
column shows (`matching.identifiers`) refuses the file at its end, before anything was made of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ..matching.fingerprint import Keyer
from ..matching.identifiers import Digests, MixedEncodings, NotText, Reading, RejectCode
from ..policies.contract import Contract, DatasetRule
from .columns import FEW, ColumnUnreadable, first_of, read_columns
from .growing import Growing
from .layout import Layout, layout_of
from .rowmap import RowMap
from .source import BadSource, likely_rows, read_pieces

Mark: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.uint64]]
"""What stands for each hash in the owner's sketches (`sketch.Marker`)."""


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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Keyed:
    """The handles of one kind, of rows that count. row: whose they are, ascending; None where every row has one.

    nobodys: which of them join no rows (`persons.Held`).
    """

    k: NDArray[np.uint64]
    k2: NDArray[np.uint64]
    row: NDArray[np.int64] | None
    nobodys: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Gathered:
    """Rows are numbered from 0 in the order of the file, those that count alone.

    read: rows in the file. rows: those that count. keyed: by kind, best first. marks: of the hashes they were made of,
    by kind; no kind where nobody asked for them. own, columns: of rows that count, and columns as declared. refused:
    values by kind and reason; suspects: the same of odd values, of rows that count. there: by kind, rows that hold a
    value, refused or not. left: rows without an identifier, by the first kind of which they hold a value, and why that
    was refused; keyless: those that hold none, where there are several kinds. without: rows that count though a value
    of theirs was refused. nameless: rows with an identifier and without an ID of the owner's. rejects, cut: as in
    `columns.Read`. first: of each reason for which rows are left out or odd, as a report words it, the first few
    rows of the file. where: the rows of the file that count.
    """

    read: int
    rows: int
    keyed: dict[str, Keyed]
    marks: dict[str, NDArray[np.uint64]]
    own: pa.ChunkedArray | None
    columns: pa.Table
    refused: Mapping[str, Counter[RejectCode]]
    suspects: Mapping[str, Counter[RejectCode]]
    there: Mapping[str, int]
    left: Mapping[str, Counter[RejectCode]]
    without: Mapping[str, Counter[RejectCode]]
    keyless: int
    nameless: int
    rejects: Mapping[str, int]
    cut: int
    first: Mapping[str, tuple[int, ...]]
    where: RowMap


def gather(brought: Brought, key: Keyer, secret: bytes, mark: Mark | None) -> Gathered:
    """Read a file. key, secret: as in `records`. Errors: BadSource, ColumnMissing, ColumnUnreadable."""
    gathering = _Gathering(brought, key, secret, mark)
    for piece in read_pieces(brought.source, brought.columns):
        gathering.take(piece)
    return gathering.finished()


NO_IDENTIFIER = "no identifier: empty"


def no_id(rule: DatasetRule) -> str:
    """Why a row without an ID of the owner's is left out."""
    return f"{rule.id}: empty"


class _Gathering:
    """What was gathered so far."""

    def __init__(self, brought: Brought, key: Keyer, secret: bytes, mark: Mark | None) -> None:
        self._brought, self._rule, self._secret = brought, brought.rule, secret
        likely, several = likely_rows(brought.source), brought.layout.several
        self._kinds = {kind: _Kind(brought, kind, key, mark, likely, several=several) for kind in brought.layout.keys}
        self._own: list[pa.Array] = []
        self._columns: list[pa.Table] = []
        self._rejects = Counter[str]()
        self._first: dict[str, tuple[int, ...]] = {}
        self._where = RowMap()
        self._read = self._rows = self._keyless = self._nameless = self._cut = 0

    def take(self, piece: pa.Table) -> None:
        """The next rows."""
        hashed = {kind: each.hashed(piece) for kind, each in self._kinds.items()}
        known = np.any([each.accepted for each in hashed.values()], axis=0)
        own, nameless = _own_ids(self._rule, piece)
        read = read_columns(piece, self._rule.columns, known & ~nameless, self._secret)
        nothing = ~known
        for kind, each in self._kinds.items():
            for code in each.keep(hashed[kind], read.accepted, self._rows):
                self._note(f"{kind}: {code.value}", first_of(hashed[kind].suspected_for(code) & read.accepted))
            left = each.count(hashed[kind], nothing, read.accepted)
            for code in hashed[kind].refused(left):
                self._note(f"{kind}: {code.value}", first_of(hashed[kind].refused_for(code) & left))
            nothing &= ~left
        counts = int(read.accepted.sum())
        chosen = None if counts == piece.num_rows else pa.array(read.accepted)
        if own is not None:
            self._own += (own if chosen is None else own.filter(chosen)).chunks
        if self._rule.columns:
            self._columns.append(read.table if chosen is None else read.table.filter(chosen))
        self._rejects.update(read.rejects)
        self._cut += read.cut
        for reason, rows in read.first.items():
            self._note(reason, rows)
        self._note(NO_IDENTIFIER, first_of(nothing))
        self._note(no_id(self._rule), first_of(nameless & known))
        self._keyless += int(nothing.sum())
        self._nameless += int((nameless & known).sum())
        self._where.put(read.accepted)
        self._read += piece.num_rows
        self._rows += counts

    def _note(self, reason: str, rows: tuple[int, ...]) -> None:
        """The first rows of a piece that are left out for a reason, or are odd for it."""
        if rows and len(before := self._first.get(reason, ())) < FEW:
            self._first[reason] = (*before, *(self._read + row for row in rows))[:FEW]

    def finished(self) -> Gathered:
        """All of it. Errors: BadSource."""
        return Gathered(
            read=self._read,
            rows=self._rows,
            keyed={kind: each.finished() for kind, each in self._kinds.items()},
            marks={kind: each.marks.numbers for kind, each in self._kinds.items() if each.marks is not None},
            own=pa.chunked_array(self._own) if self._own else None,
            columns=pa.concat_tables(self._columns) if self._columns else pa.table({}),
            refused={kind: each.refused for kind, each in self._kinds.items()},
            suspects={kind: each.suspects for kind, each in self._kinds.items()},
            there={kind: each.there for kind, each in self._kinds.items()},
            left={kind: each.left for kind, each in self._kinds.items()},
            without={kind: each.without for kind, each in self._kinds.items()},
            keyless=self._keyless,
            nameless=self._nameless,
            rejects=self._rejects,
            cut=self._cut,
            first=self._first,
            where=self._where,
        )


class _Kind:
    """The identifiers of one kind so far."""

    def __init__(
        self, brought: Brought, kind: str, key: Keyer, mark: Mark | None, likely: int, *, several: bool
    ) -> None:
        self._source, self._name, self._key, self._mark = brought.source, brought.identifiers[kind], key, mark
        scheme, arrives = brought.contract.match.scheme[kind], brought.rule.identifiers[kind]
        setting = brought.contract.setting(brought.dataset)
        self._reading = Reading(scheme, kind, arrives, setting, brought.rule.suspicious)
        self._k, self._k2 = Growing(np.uint64, likely), Growing(np.uint64, likely)
        self.marks = Growing(np.uint64, likely) if mark is not None else None
        self._row = Growing(np.int64, likely) if several else None
        self._nobodys = Growing(np.bool_, likely) if several else None
        self.refused, self.suspects = Counter[RejectCode](), Counter[RejectCode]()
        self.left, self.without, self.there = Counter[RejectCode](), Counter[RejectCode](), 0
        self._several = several

    def hashed(self, piece: pa.Table) -> Digests:
        """Of the next rows; until those after them are hashed. Errors: BadSource."""
        column = piece.column(self._name)
        if _is_plain(column.type) and column.nbytes < _MOST_JOINED:  # threads share a chunk
            column = column.combine_chunks()
        try:
            made = self._reading.take(column)
        except NotText:
            raise BadSource(self._source, f"column {self._name} is not text", "export it as text") from None
        self.refused.update(made.rejects)
        return made

    def count(self, hashed: Digests, keyless: NDArray[np.bool_], counts: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which rows without an identifier are left out for what they hold here. counts: rows that count.

        A value that is missing is no reason where there may be others.
        """
        there = hashed.there if self._several else np.ones_like(keyless)
        self.there += int(hashed.there.sum())
        self.left.update(hashed.refused(keyless & there))
        self.without.update(hashed.refused(counts & there))
        return keyless & there

    def keep(self, hashed: Digests, counts: NDArray[np.bool_], before: int) -> Counter[RejectCode]:
        """The handles of rows that count. before: how many rows counted before these. What is odd of them."""
        odd = hashed.suspected(counts)
        self.suspects.update(odd)
        made = self._key(hashed)
        if not (fine := counts[hashed.accepted]).all():
            made = made.take(np.flatnonzero(fine))
        self._k.put(made.k)
        self._k2.put(made.k2)
        if self._mark is not None and self.marks is not None:
            self.marks.put(self._mark(hashed.values[hashed.accepted & counts]))
        if self._row is not None:
            self._row.put(np.flatnonzero(hashed.accepted[counts]) + before)
        if self._nobodys is not None:
            self._nobodys.put(hashed.nobodys[hashed.accepted & counts])
        return odd

    def finished(self) -> Keyed:
        """Errors: BadSource."""
        try:
            self._reading.finish()
        except MixedEncodings as error:
            written = " and ".join(_WRITTEN[encoding] for encoding in sorted(error.found) if encoding in _WRITTEN)
            rule = f"column {self._name} mixes encodings of hashes: {written}"
            raise BadSource(self._source, rule, "they come from different programs: hash every row with one") from None
        row = None if self._row is None else self._row.numbers
        nobodys = None if self._nobodys is None else self._nobodys.numbers
        return Keyed(self._k.numbers, self._k2.numbers, row, nobodys)


def _is_plain(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type))


_MOST_JOINED = 1 << 30
_WRITTEN = {"base64": "base64", "hex-lower": "small hex letters", "hex-upper": "capital hex letters"}
"""Hex digits without a letter are of either case, and say nothing."""


def _own_ids(rule: DatasetRule, source: pa.Table) -> tuple[pa.ChunkedArray | None, NDArray[np.bool_]]:
    """The owner's IDs, and which rows have none. Errors: ColumnUnreadable."""
    if rule.id is None:
        return None, np.zeros(source.num_rows, dtype=np.bool_)
    own = source.column(rule.id)
    if pa.types.is_dictionary(own.type):
        own = own.cast(own.type.value_type)
    if pa.types.is_integer(own.type):
        return own, own.is_null().to_numpy()
    if not _is_plain(own.type):
        raise ColumnUnreadable(rule.id, "IDs, as text or whole numbers")
    blank = pl.Series(own).str.strip_chars().fill_null("") == ""
    return own, blank.to_numpy()
