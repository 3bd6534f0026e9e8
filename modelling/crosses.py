"""Pairs of columns as blocks of their own: a cell for each pair of values, numbers cut into a few bins first.

A pair's row says only what its two values say together (`tables.together`): what either column says alone is left to
that column.

The code ensures: bins follow from the owner's own rows, and no label is looked at; a row is no longer than `length`.
The caller ensures: the owner of the rows is the only reader of what is learnt, as of `Encoder.from_owner`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .design import Block, Codes, Int
from .features import MISSING, Category, Encoder, Number, Ordinal
from .tables import OWNED, Rows, on_lattice, plain, smooth, together

BINS = 4
"""Of a number in a pair, at most."""


@dataclass(frozen=True, slots=True)
class Cross:
    """Two declared columns of one value a person each."""

    first: Number | Ordinal | Category
    second: Number | Ordinal | Category

    @property
    def name(self) -> str:
        return f"{self.first.name} x {self.second.name}"

    @property
    def most_cells(self) -> int:
        """How many cells it can fill, whatever the data."""
        return _most_levels(self.first) * _most_levels(self.second)


def crossed(table: pa.Table, crosses: Sequence[Cross], length: float) -> tuple[list[Block], list[Codes]]:
    """A block and everybody's codes for each cross; a whole row of all of them is at most `length` long.

    Errors: ColumnMismatch.
    """
    if not crosses:
        return [], []
    kinds = {kind.name: kind for cross in crosses for kind in (cross.first, cross.second)}
    encoder = Encoder.in_few_bins(table, list(kinds.values()), BINS)
    design = encoder.encode(table)
    blocks, codes = dict(zip(kinds, design.columns, strict=True)), dict(zip(kinds, design.codes, strict=True))
    pairs = [(cross.first.name, cross.second.name) for cross in crosses]
    tables = on_lattice([together(_rows(blocks[a]), _rows(blocks[b])) for a, b in pairs], length)
    named = zip(crosses, pairs, tables, strict=True)
    return (
        [_block(cross.name, blocks[a], blocks[b], each) for cross, (a, b), each in named],
        [_both(blocks[a], codes[a], blocks[b], codes[b]) for a, b in pairs],
    )


def _most_levels(kind: Number | Ordinal | Category) -> int:
    return BINS if isinstance(kind, Number) else len(kind.values)


def _rows(block: Block) -> Rows:
    levels = len(block.levels) - 1
    return smooth(levels, OWNED) if block.ordered else plain(levels)


def _block(name: str, first: Block, second: Block, table: Int) -> Block:
    levels = [f"{a}, {b}" for a in first.levels[:-1] for b in second.levels[:-1]]
    return Block(name, (*levels, MISSING), table)


def _both(first: Block, one: Codes, second: Block, other: Codes) -> Codes:
    """Codes of pairs; whoever lacks one of the two is the last level."""
    rows, columns = len(first.levels) - 1, len(second.levels) - 1
    a, b = one.level.astype(np.int64), other.level.astype(np.int64)
    pair = np.where((a < rows) & (b < columns), a * columns + b, rows * columns)
    return Codes(pair.astype(np.min_scalar_type(rows * columns)))
