"""From declared columns to bounded rows: the bounds of the features are the sensitivity.

Every column gives a block of integers whose squared norm is at most 1 / columns, so a whole row is at most 1
long whatever a person's record says. Values outside what was declared are clipped or count as missing.

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

from .bins import BINS, adaptive_edges, declared_bins, declared_edges
from .design import BITS, ONE, Block, Codes, Design, Float, Int, verify

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
    def from_owner(cls, table: pa.Table, declared: Sequence[Kind]) -> Encoder:
        """Bins that fit the owner's own people.

        Quantiles of the rows may place the bins here, and only here: in membership mode the reader of all
        that follows owns these rows, so their values are no secret from it, and no label is looked at. The same
        rows give the same bins whoever is matched; the sensitivity does not depend on where bins lie.
        """
        return cls(tuple(_adaptive(kind, table, len(declared)) for kind in declared))

    @classmethod
    def from_declared(cls, declared: Sequence[Kind]) -> Encoder:
        """Bins that follow from the declarations alone: no row is looked at, so anybody may read what is learnt."""
        bins = declared_bins(sum(isinstance(kind, Number) for kind in declared))
        return cls(tuple(_declared(kind, bins, len(declared)) for kind in declared))

    def encode(self, table: pa.Table) -> Design:
        """One row a person, in the table's order. Nulls and undeclared values are the missing level.

        table: float64 for numbers, string or dictionary for categories, list<string> for topics.
        Errors: ColumnMismatch.
        """
        codes = tuple(_codes(column, table) for column in self.columns)
        return Design(table.num_rows, tuple(column.block for column in self.columns), codes, self.digest)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `to_json`, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Kinds, bins and the numbers' integer tables; the other tables follow from their kinds."""
        columns = [_column_json(column) for column in self.columns]
        return json.dumps({"version": 1, "bits": BITS, "columns": columns}, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Encoder:
        """What `to_json` wrote. Errors: ValueError, KeyError or TypeError otherwise; SensitivityExceeded."""
        parsed = json.loads(text)
        if (parsed["version"], parsed["bits"]) != (1, BITS):
            raise ValueError("this is not an encoder of version 1")
        return cls(tuple(_column_from(entry, len(parsed["columns"])) for entry in parsed["columns"]))


MOST_LEVELS = 5 * BINS + 2
"""Levels a number can have, the missing one too: two cuts for each of 2 BINS atoms, and BINS quantiles between."""


def most_cells(declared: Sequence[Kind]) -> int:
    """How many cells these columns can fill, whatever the data: known from the declarations alone."""
    return sum(MOST_LEVELS if isinstance(kind, Number) else len(kind.values) + 1 for kind in declared)


# How a column is laid out.


def _adaptive(kind: Kind, table: pa.Table, columns: int) -> Column:
    if not isinstance(kind, Number):
        return _listed(kind, columns)
    values = _numbers(kind, table)
    return _binned(kind, adaptive_edges(values[~np.isnan(values)]), columns)


def _declared(kind: Kind, bins: int, columns: int) -> Column:
    if not isinstance(kind, Number):
        return _listed(kind, columns)
    return _binned(kind, declared_edges(kind.low, kind.high, bins), columns)


def _binned(kind: Number, edges: Float, columns: int) -> Column:
    return Column(kind, edges, _number_block(kind, edges, smooth_table(len(edges) + 1, columns)))


def _listed(kind: Ordinal | Category | Topics, columns: int) -> Column:
    if isinstance(kind, Ordinal):
        block = Block(kind.name, (*kind.values, MISSING), smooth_table(len(kind.values), columns))
        return Column(kind, np.zeros(0), block)
    return Column(kind, np.zeros(0), _plain_block(kind, columns))


def smooth_table(bins: int, columns: int) -> Int:
    """Rows of T^(1/2) / sqrt(columns), T = .2 I + .8 exp(-|i-j| / (.15 bins)), and a missing level apart.

    int64, bins + 1 square, rounded towards zero. T has ones on its diagonal, so every row has squared norm
    1 / columns: neighbouring bins share strength at no cost in sensitivity.
    """
    apart = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
    values, vectors = np.linalg.eigh(0.2 * np.eye(bins) + 0.8 * np.exp(-apart / (0.15 * bins)))
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    table = np.zeros((bins + 1, bins + 1), dtype=np.int64)
    table[:bins, :bins] = towards_zero(root / math.sqrt(columns))
    table[bins, bins] = _unit(columns)
    return table


def towards_zero(real: Float) -> Int:
    """Onto the lattice, never away from zero: a rounded row is never longer than the row it stands for."""
    return np.trunc(np.ldexp(real, BITS)).astype(np.int64)


def _unit(parts: int) -> int:
    """The largest integer whose square, taken `parts` times, stays within ONE squared."""
    return math.isqrt(ONE**2 // parts)


def _plain_block(kind: Category | Topics, columns: int) -> Block:
    at_most = min(kind.at_most, len(kind.values)) if isinstance(kind, Topics) else 1
    diagonal = np.full(len(kind.values) + 1, _unit(columns * at_most), dtype=np.int64)
    diagonal[-1] = _unit(columns)
    return Block(kind.name, (*kind.values, MISSING), np.diag(diagonal), at_most)


def _number_block(kind: Number, edges: Float, table: Int) -> Block:
    ends = [kind.low, *edges.tolist(), kind.high]
    labels = [f"{a:g} to {b:g}" for a, b in pairwise(ends)]
    return Block(kind.name, (*labels, MISSING), table)


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


def _numbers(kind: Number, table: pa.Table) -> Float:
    """Within bounds, NaN for missing."""
    column = _get(kind, table)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise ColumnMismatch(kind.name, "must be numbers")
    values = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    return np.asarray(np.clip(values, kind.low, kind.high), dtype=np.float64)


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
    kind = column.kind
    if isinstance(kind, Number):
        bins = {"edges": column.edges.tolist(), "table": column.block.table.tolist()}
        return {"kind": "number", "name": kind.name, "low": float(kind.low), "high": float(kind.high), **bins}
    if isinstance(kind, Ordinal | Category):
        said = "ordinal" if isinstance(kind, Ordinal) else "category"
        return {"kind": said, "name": kind.name, "values": list(kind.values)}
    return {"kind": "set", "name": kind.name, "values": list(kind.values), "at_most": kind.at_most}


def _column_from(entry: dict[str, object], columns: int) -> Column:
    name, kind = cast(str, entry["name"]), entry["kind"]
    if kind == "number":
        number = Number(name, cast(float, entry["low"]), cast(float, entry["high"]))
        edges, table = np.array(entry["edges"], dtype=np.float64), np.array(entry["table"], dtype=np.int64)
        if table.shape != (len(edges) + 2, len(edges) + 2) or not (np.diff(edges, append=np.inf) > 0).all():
            raise ValueError("bins and table of a number do not fit together")
        return Column(number, edges, _number_block(number, edges, table))
    values = tuple(cast("list[str]", entry["values"]))
    if kind == "ordinal":
        return _listed(Ordinal(name, values), columns)
    if kind == "category":
        return _listed(Category(name, values), columns)
    if kind == "set":
        return _listed(Topics(name, values, cast(int, entry["at_most"])), columns)
    raise ValueError("this kind of column is not known")
