"""From rows to exact integers: the one path that every table takes.

    validate -> clip -> whole parts -> bound each person on the final keys -> add up -> every declared key, in its place

After it come one draw for everything (`dp.ledger`, over `dp.mechanisms`) and post-processing (`dp.table`). All sums are
int64: what a row and a person may add, times 2^32, fits (`dp.measures.LARGEST_BOUND`), so nothing can overflow, and
shuffled or re-chunked rows give the same bits.

The code ensures: the result's shape, and whether there is an error, depend on declarations and the schema only; one
person moves it by at most `layout.l2_squared`.
The caller ensures: the column `person` (unsigned 64 bits) names the person whom the budget protects; rows of nobody
protected are left out; data sets have below 2^32 rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import keys
from .aggregate import Statistic
from .bounding import Limits, Rows, Shares, bounded
from .keys import Int, InvalidQuery, Open
from .layout import Block, GroupBy, Layout
from .measures import Cut, People, Sum, total_bound
from .running import encode
from .selection import Candidates

if TYPE_CHECKING:
    import polars as pl

PERSON = "person"
MOST_ROWS = 2**32


def aggregate(layout: Layout, rows: Sequence[pl.DataFrame], secret: bytes) -> Statistic:
    """The exact integers of a layout: secret until noise is paid for. rows: one table for each of its groups, in order.

    secret: what orders the rows and keys that are cut: 16 bytes or more, the room's own. Errors: InvalidQuery where a
    column is missing or of another type; ValueError where a caller broke the rules above.
    """
    if len(rows) != len(layout.groups) or len(secret) < 16 or any(table.height >= MOST_ROWS for table in rows):
        raise ValueError("one table a group, each below 2^32 rows, and a secret of 16 bytes are needed")
    values = np.zeros(layout.cells, dtype=np.int64)
    for group, table in zip(layout.groups, rows, strict=True):
        shares = _shares(group, table, secret)
        for block in layout.blocks:
            if block.group is group:
                values[block.start : block.stop] = _cells(block, shares) * block.multiplier
    return Statistic(values, bits=0, l2_squared=layout.l2_squared)


def candidates(layout: Layout, judge: int, rows: Sequence[pl.DataFrame], secret: bytes) -> Candidates:
    """The exact integers of every key that somebody counts in, of a layout by a column whose values nobody listed.

    judge: the place of the block in which people are counted by key. Which keys there are is secret. Keys of other
    tables that nobody counts in there are left out. Errors: as of `aggregate`.
    """
    place = layout.groups.index(layout.blocks[judge].group)
    column = layout.groups[place].open
    if column is None or any(group.open is None for group in layout.groups):
        raise ValueError("every table is by the column whose values nobody listed")
    names = column.texts(rows[place]).drop_nulls().unique().sort().to_list()
    statistic = aggregate(layout.over(names), rows, secret)
    table = statistic.values.reshape(len(layout.blocks), len(names))
    there = table[judge] > 0
    kept = replace(statistic, values=table[:, there].ravel())
    return Candidates(tuple(name for name, is_there in zip(names, there, strict=True) if is_there), len(table), kept)


def _shares(group: GroupBy, table: pl.DataFrame, secret: bytes) -> Shares:
    """What each person adds to each key of a group: one array for each of its `amounts`."""
    limits = [Limits(*group.bounds(m), total_bound(m), isinstance(m, People)) for m in group.amounts]
    shares = bounded(_rows(group, table, secret), limits, group.keys_per_person, group.rows_per_key, secret)
    return _placed(shares, group.open, secret) if group.open else shares


def _placed(shares: Shares, column: Open, secret: bytes) -> Shares:
    """Keys by their place among those that are there, once it was decided by their names what counts."""
    named = keys.hashed(column.labels, secret)
    order = np.argsort(named)
    place = np.searchsorted(named[order], shares.key)
    there = np.append(named[order], keys.OUTSIDE)[place] == shares.key
    return replace(shares, key=order[place[there]], amounts=tuple(each[there] for each in shares.amounts))


def _rows(group: GroupBy, table: pl.DataFrame, secret: bytes) -> Rows:
    """The rows of declared keys, or of any text, their cells as integers."""
    key = group.open.named(table, secret) if group.open else keys.codes(group.by, table)
    person, known = people_of(table)
    amounts = [measure.of_rows(table) for measure in group.amounts]
    clips = [measure.clips(table) for measure in group.amounts if group.notes_cuts and isinstance(measure, Sum)]
    clipped = np.logical_or.reduce(clips) if clips else None
    counts = (key != keys.OUTSIDE) & known
    if counts.all():
        return Rows(person, key, tuple(amounts), clipped)
    amounts = [None if a is None else a[counts] for a in amounts]
    return Rows(person[counts], key[counts], tuple(amounts), None if clipped is None else clipped[counts])


def _cells(block: Block, shares: Shares) -> Int:
    """One block's exact sums, in parts."""
    if isinstance(block.measure, Cut):
        return np.array([shares.people_cut], dtype=np.int64)
    table = np.zeros(keys.sizes(block.group.by), dtype=np.int64)
    np.add.at(table.reshape(-1), shares.key, shares.amounts[block.group.amounts.index(block.measure)])
    if block.group.running:
        table = encode(table)
    return np.asarray(table.sum(axis=block.total_axes, dtype=np.int64).ravel())


def people_of(table: pl.DataFrame) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Whose each row is, and whether it is anybody's: a row of nobody adds to nothing. Errors: InvalidQuery."""
    import polars as pl

    column = keys.column_of(table, PERSON)
    if column.dtype != pl.UInt64:
        raise InvalidQuery(PERSON, "it must be an unsigned number of 64 bits", "name each row's person")
    return column.fill_null(0).to_numpy(), column.is_not_null().to_numpy()
