"""From declared columns to bounded rows: the bounds of the features are the sensitivity.

Every column gives a block of integers (`tables`), scaled so that a whole row is at most 1 long whatever a person's
record says. Values outside what was declared are clipped or count as missing.

The code ensures: lattice rows are rounded towards zero; the longest row the tables allow is computed exactly,
over the declared domain and not over the data, and refused above 1 (`design.verify`).
The caller ensures: kinds, bounds and values come from the signed contract; whoever reads what is learnt owns
the features (`Encoder.from_owner` says why).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .bins import BINS, adaptive_edges, declared_bins, declared_edges, few_edges
from .design import BITS, Block, Codes, Design, Float, Int, Mask, verify
from .tables import OWNED, Likeness, Rows, even_at, on_lattice, plain, several, smooth

MISSING = "(missing)"


@dataclass(frozen=True, slots=True)
class Number:
    """A number between two declared bounds, both included."""

    name: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError("bounds must be finite and in order")


@dataclass(frozen=True, slots=True)
class Category:
    """One of the declared values."""

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_values(self.values)


@dataclass(frozen=True, slots=True)
class Ordinal:
    """One of the declared values, which stand in order: neighbours share strength."""

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_values(self.values)


@dataclass(frozen=True, slots=True)
class Topics:
    """Some of the declared values, at most so many at once."""

    name: str
    values: tuple[str, ...]
    at_most: int

    def __post_init__(self) -> None:
        _check_values(self.values)
        if self.at_most < 1:
            raise ValueError("at_most must be 1 or more")


Kind = Number | Ordinal | Category | Topics


class ColumnMismatch(Exception):
    """A column is not there, or not of the type its kind needs. Never carries a value."""

    def __init__(self, column: str, rule: str) -> None:
        super().__init__(column, rule)
        self.column, self.rule = column, rule


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A declared kind and the integer table that encodes it. edges: between a number's bins, ascending."""

    kind: Kind
    edges: Float
    block: Block


@dataclass(frozen=True, eq=False)
class Encoder:
    """Turns tables into `Design`s, always in the same way.

    Errors: SensitivityExceeded; ValueError when a column is declared twice, or none is.
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.kind.name for column in self.columns]
        if not names or len(set(names)) < len(names):
            raise ValueError("columns must be declared, each once")
        verify([column.block for column in self.columns])

    @classmethod
    def from_owner(cls, table: pa.Table, declared: Sequence[Kind], length: float = 1.0) -> Encoder:
        """Bins that fit the owner's own people.

        length: of the longest row; less than 1 where other blocks of the same row take the rest (`considered`).

        Quantiles of the rows may place the bins here, and only here: in membership mode the reader of all
        that follows owns these rows, so their values are no secret from it, and no label is looked at. The same
        rows give the same bins whoever is matched; the sensitivity does not depend on where bins lie.
        """
        return _laid_out(declared, [_own_edges(kind, table) for kind in declared], OWNED, length)

    @classmethod
    def in_few_bins(cls, table: pa.Table, declared: Sequence[Kind], bins: int) -> Encoder:
        """The same with at most so many bins a number."""
        numbers = [isinstance(kind, Number) for kind in declared]
        values = [_known_numbers(kind, table) for kind in declared if isinstance(kind, Number)]
        cut = iter([few_edges(each, bins) for each in values])
        return _laid_out(declared, [next(cut) if number else np.zeros(0) for number in numbers], OWNED)

    @classmethod
    def from_declared(cls, declared: Sequence[Kind], epsilon: float | None = None) -> Encoder:
        """Bins that follow from the declarations alone: no row is looked at, so anybody may read what is learnt.

        epsilon: of the job whose sums these rows are for, where it is known: public as the declarations are.
        """
        bins = declared_bins(sum(isinstance(kind, Number) for kind in declared))
        return _laid_out(declared, [_public_edges(kind, bins) for kind in declared], even_at(epsilon))

    def encode(self, table: pa.Table) -> Design:
        """One row a person, in the table's order. Nulls and undeclared values are the missing level.

        table: float64 for numbers, string or dictionary for categories, list<string> for topics.
        Errors: ColumnMismatch.
        """
        codes = tuple(_codes(column, table) for column in self.columns)
        return Design(table.num_rows, tuple(column.block for column in self.columns), codes, self.digest)

    def odd(self, table: pa.Table) -> dict[str, int]:
        """How many people's value of a column is not as declared, by column, where there are any: numbers beyond their
        bounds, which are encoded as the nearest bound; what is not among the values, which is left out; sets of more
        than there may be. Exact: for whoever holds these rows. Errors: ColumnMismatch.
        """
        found = {column.kind.name: int(np.count_nonzero(_odd(column.kind, table))) for column in self.columns}
        return {name: rows for name, rows in found.items() if rows}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `to_json`, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Kinds, bins and integer tables; a table without order is told by three of its integers."""
        columns = [_column_json(column) for column in self.columns]
        return json.dumps({"version": 2, "bits": BITS, "columns": columns}, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Encoder:
        """What `to_json` wrote. Errors: ValueError, KeyError or TypeError otherwise; SensitivityExceeded."""
        parsed = json.loads(text)
        if (parsed["version"], parsed["bits"]) != (2, BITS):
            raise ValueError("this is not an encoder of version 2")
        return cls(tuple(_column_from(entry) for entry in parsed["columns"]))


MOST_LEVELS = 5 * BINS + 2
"""Levels a number can have, the missing one too: two cuts for each of 2 BINS atoms, and BINS quantiles between."""


def most_cells(declared: Sequence[Kind]) -> int:
    """How many cells these columns can fill, whatever the data: known from the declarations alone."""
    return sum(MOST_LEVELS if isinstance(kind, Number) else len(kind.values) + 1 for kind in declared)


# How a column is laid out.


def _own_edges(kind: Kind, table: pa.Table) -> Float:
    if not isinstance(kind, Number):
        return np.zeros(0)
    return adaptive_edges(_known_numbers(kind, table))


def _public_edges(kind: Kind, bins: int) -> Float:
    return declared_edges(kind.low, kind.high, bins) if isinstance(kind, Number) else np.zeros(0)


def _laid_out(declared: Sequence[Kind], edges: Sequence[Float], likeness: Likeness, length: float = 1.0) -> Encoder:
    """One lattice for all columns: none is longer than its share of a row."""
    rows = [_rows(kind, len(ends) + 1, likeness) for kind, ends in zip(declared, edges, strict=True)]
    parts = zip(declared, edges, on_lattice(rows, length) if rows else [], strict=True)
    return Encoder(tuple(Column(kind, ends, _block(kind, ends, table)) for kind, ends, table in parts))


def _rows(kind: Kind, bins: int, likeness: Likeness) -> Rows:
    if isinstance(kind, Number):
        return smooth(bins, likeness)
    if isinstance(kind, Ordinal):
        return smooth(len(kind.values), likeness)
    return several(len(kind.values), _at_most(kind)) if isinstance(kind, Topics) else plain(len(kind.values))


def _at_most(kind: Kind) -> int:
    return min(kind.at_most, len(kind.values)) if isinstance(kind, Topics) else 1


def _block(kind: Kind, edges: Float, table: Int) -> Block:
    if not isinstance(kind, Number):
        ordered, partition = isinstance(kind, Ordinal), not isinstance(kind, Topics)
        return Block(kind.name, (*kind.values, MISSING), table, _at_most(kind), ordered, partition)
    said = _said([kind.low, *edges.tolist(), kind.high])
    return Block(kind.name, (*(f"{a} to {b}" for a, b in pairwise(said)), MISSING), table, ordered=True)


def _said(ends: Sequence[float]) -> list[str]:
    """With as many digits as tell all of them apart, six at least: no two bins are called the same."""
    spelled = ([f"{end:.{digits}g}" for end in ends] for digits in range(6, 18))
    return next((each for each in spelled if len(set(each)) == len(set(ends))), [repr(end) for end in ends])


# How a column's values become codes.


def _codes(column: Column, table: pa.Table) -> Codes:
    kind = column.kind
    missing = len(column.block.levels) - 1
    if isinstance(kind, Number):
        values = _numbers(kind, table)
        level = np.searchsorted(column.edges, values, side="right")
        return Codes(_small(np.where(np.isnan(values), missing, level), missing))
    if isinstance(kind, Ordinal | Category):
        return Codes(_small(_index(_get(kind, table), kind), missing))
    return _topic_codes(kind, column.block, _get(kind, table))


def _topic_codes(kind: Topics, block: Block, lists: pa.Array) -> Codes:
    missing = len(kind.values)
    if not (pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)):
        raise ColumnMismatch(kind.name, "must be lists of text")
    code = _index(pc.list_flatten(lists), kind)
    row = np.asarray(pc.list_parent_indices(lists)).astype(np.int64)
    known = code < missing
    row, code = at_most_a_row(row[known], code[known], missing, block.at_most)
    absent = np.flatnonzero(np.asarray(lists.is_null()))
    row, code = np.concatenate([row, absent]), np.concatenate([code, np.full(len(absent), missing)])
    order = np.argsort(row, kind="stable")
    return Codes(_small(code[order], missing), row[order].astype(np.int32))


def at_most_a_row(row: Int, code: Int, levels: int, at_most: int) -> tuple[Int, Int]:
    """Each (row, code) once, and of each row no more than the first `at_most` in declared order."""
    pairs = np.sort(row * levels + code)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    row, code = pairs // levels, pairs % levels
    place = np.arange(len(row)) - np.searchsorted(row, row, side="left")
    return row[place < at_most], code[place < at_most]


def _odd(kind: Kind, table: pa.Table) -> Mask:
    """Whose value is not as declared."""
    if isinstance(kind, Number):
        values = _plain_numbers(kind, table)
        return np.asarray((values < kind.low) | (values > kind.high))
    column = _get(kind, table)
    if not isinstance(kind, Topics):
        return np.asarray((_index(column, kind) == len(kind.values)) & np.asarray(column.is_valid()))
    code, row = _index(pc.list_flatten(column), kind), np.asarray(pc.list_parent_indices(column)).astype(np.int64)
    undeclared = np.bincount(row[code == len(kind.values)], minlength=len(column)) > 0
    several = np.unique(row * (len(kind.values) + 1) + code) // (len(kind.values) + 1)
    return np.asarray(undeclared | (np.bincount(several, minlength=len(column)) > kind.at_most))


def _known_numbers(kind: Number, table: pa.Table) -> Float:
    """Of those who have one."""
    values = _numbers(kind, table)
    return values[~np.isnan(values)]


def _numbers(kind: Number, table: pa.Table) -> Float:
    """Within bounds, NaN for missing."""
    return np.asarray(np.clip(_plain_numbers(kind, table), kind.low, kind.high), dtype=np.float64)


def _plain_numbers(kind: Number, table: pa.Table) -> Float:
    column = _get(kind, table)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise ColumnMismatch(kind.name, "must be numbers")
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _index(column: pa.Array, kind: Ordinal | Category | Topics) -> Int:
    """Positions among the declared values; one past the last for nulls and undeclared values."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type):  # index_in does not read views
        column = column.cast(pa.large_string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ColumnMismatch(kind.name, "must be text")
    found = pc.index_in(column, value_set=pa.array(kind.values, type=column.type))
    return np.asarray(found.fill_null(len(kind.values))).astype(np.int64)


def _get(kind: Kind, table: pa.Table) -> pa.Array:
    if kind.name not in table.column_names:
        raise ColumnMismatch(kind.name, "must be there")
    column = table.column(kind.name).combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _small(codes: Int, largest: int) -> NDArray[np.unsignedinteger]:
    return codes.astype(np.min_scalar_type(largest))


def _check_values(values: tuple[str, ...]) -> None:
    if not values or len(set(values)) < len(values):
        raise ValueError("values must be declared, each once")


# How a column is written down.


def _column_json(column: Column) -> dict[str, object]:
    kind, table = column.kind, column.block.table
    if isinstance(kind, Number):
        bins = {"edges": column.edges.tolist(), "table": table.tolist()}
        return {"kind": "number", "name": kind.name, "low": float(kind.low), "high": float(kind.high), **bins}
    entry: dict[str, object] = {"name": kind.name, "values": list(kind.values)}
    if isinstance(kind, Ordinal):
        return entry | {"kind": "ordinal", "table": table.tolist()}
    entry["units"] = [int(table[0, 0]), int(table[0, 1]) if len(table) > 2 else 0, int(table[-1, -1])]
    return entry | ({"kind": "set", "at_most": kind.at_most} if isinstance(kind, Topics) else {"kind": "category"})


def _column_from(entry: dict[str, object]) -> Column:
    kind = _kind_from(entry)
    edges = np.array(entry["edges"] if isinstance(kind, Number) else [], dtype=np.float64)
    levels = len(edges) + 1 if isinstance(kind, Number) else len(kind.values)
    if isinstance(kind, Category | Topics):
        table = _told(levels, *cast("list[int]", entry["units"]))
    else:
        table = np.array(entry["table"], dtype=np.int64)
    if table.shape != (levels + 1, levels + 1) or not (np.diff(edges, append=np.inf) > 0).all():
        raise ValueError("bins and table of a column do not fit together")
    return Column(kind, edges, _block(kind, edges, table))


def _kind_from(entry: dict[str, object]) -> Kind:
    name, kind = cast(str, entry["name"]), entry["kind"]
    if kind == "number":
        return Number(name, cast(float, entry["low"]), cast(float, entry["high"]))
    values = tuple(cast("list[str]", entry["values"]))
    if kind == "set":
        return Topics(name, values, cast(int, entry["at_most"]))
    if kind not in ("ordinal", "category"):
        raise ValueError("this kind of column is not known")
    return Ordinal(name, values) if kind == "ordinal" else Category(name, values)


def _told(levels: int, own: int, other: int, missing: int) -> Int:
    """The table of levels without an order: a level's own cell, the other levels' cells, the missing level's cell."""
    table = np.full((levels + 1, levels + 1), other, dtype=np.int64)
    np.fill_diagonal(table, own)
    table[-1, :], table[:, -1] = 0, 0
    table[-1, -1] = missing
    return table
