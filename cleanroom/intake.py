"""Rows of a submission on their way into the room: checked and written as they come, one batch in memory at a time.

Rows arrive ascending, so the partitions of the rows are filled one after the other. Where there are several keys, the
handles of each are sorted outside of memory: runs of them are sorted and written, then merged partition by partition.

Every claim that the bundle makes is looked at: columns and types, domains, that rows ascend, that a handle and a token
stand once, or a handle as often as events of one person count. Nothing counts before `finish`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..matching.hashing import Handles
from ..matching.keyed import KNOWN, MOST_ROWS, STRAYS, is_known, strays
from ..matching.order import ascending
from .columns import outside
from .events import RowsOfPersons
from .layout import MASK, PART, Layout, file_name
from .partition import ends, partitions
from .shelf import Shelf

HANDLES = pa.schema([("k", pa.uint64()), ("k2", pa.uint64()), ("record", pa.uint64())])
"""Of the files that hold the handles of one key, where there are several."""
PIECE = 2**18
"""Rows that are written, and may be read, at once."""
RUN = 2**21
"""Handles that are sorted at once."""


class Unfit(Exception):
    """A submission's rows break a rule. rule, remedy: plain words, no value."""

    def __init__(self, rule: str, remedy: str = "use `passbox prepare`") -> None:
        super().__init__(rule, remedy)
        self.rule, self.remedy = rule, remedy


class Intake:
    """Takes a data set in. rows: how many its manifest says."""

    def __init__(self, shelf: Shelf, layout: Layout, schema: pa.Schema, rows: int) -> None:
        _refuse_schema(schema, layout)
        self._layout, self._rows = layout, rows
        self._tokens = np.empty(rows if layout.token else 0, dtype=np.uint64)
        self._last, self._taken = -1, 0
        self._persons = RowsOfPersons(layout.most)
        count = partitions(rows)
        kept = [schema.field(name) for name in layout.rows if name != "k"]
        self._parts = _Parts(shelf, pa.schema([pa.field("k", pa.uint64()), *kept]), count)
        self._runs = {key: _Runs(shelf, key, count) for key in layout.keys} if layout.several else {}
        self._watched = {key: _Watched(max(1, rows // MOST_ROWS)) for key in layout.keys}

    def take(self, batch: pa.RecordBatch) -> None:
        """The next rows. Errors: Unfit."""
        table = pa.Table.from_batches([batch])
        _refuse_nulls(table, self._layout)
        k = self._order(table)
        self._last = _refuse_disorder(k, self._last, self._layout.most > 1)
        if self._layout.most > 1 and (why := self._persons.take(k, table.column("k2").to_numpy())):
            raise Unfit(why)
        _refuse_outside(table, self._layout)
        if self._layout.token:
            self._tokens[self._taken : self._taken + len(k)] = table.column("token").to_numpy()
        for number, key in enumerate(self._layout.keys):
            self._take_handles(table, number, key)
        self._taken += len(k)
        self._parts.take(k, _with(table, k).select(self._layout.rows))

    def finish(self, merged: Callable[[], None]) -> None:
        """All rows were taken. merged: called as each partition is done. Errors: Unfit."""
        self._parts.finish()
        self._tokens.sort()
        if (self._tokens[1:] == self._tokens[:-1]).any():
            raise Unfit("a token stands twice in it", "use `passbox prepare`, which merges")
        for watched in self._watched.values():
            watched.finish()
        for runs in self._runs.values():
            runs.finish(merged)

    def _order(self, table: pa.Table) -> NDArray[np.uint64]:
        """What rows ascend by: the first half of the best handle that each has. Errors: Unfit."""
        if not self._layout.several:
            k: NDArray[np.uint64] = table.column("k").to_numpy()
            return k
        best = np.zeros(table.num_rows, dtype=np.uint64)
        known = np.zeros(table.num_rows, dtype=np.bool_)
        for key in self._layout.keys:
            column = table.column(self._layout.handle(key)[0])
            there = column.is_valid().to_numpy()
            best = np.where(there & ~known, column.fill_null(0).to_numpy(), best)
            known |= there
        if not known.all():
            raise Unfit("a row of it has no handle")
        return best

    def _take_handles(self, table: pa.Table, number: int, key: str) -> None:
        names = [self._layout.handle(each)[0] for each in self._layout.keys]
        held = [table.column(name).is_valid().to_numpy() for name in names]
        k, k2 = (table.column(name).filter(pa.array(held[number])).to_numpy() for name in self._layout.handle(key))
        first = np.append(np.ones(min(1, len(k)), dtype=np.bool_), k[1:] != k[:-1])  # of events, each person once
        self._watched[key].take(Handles(k, k2) if self._layout.most == 1 else Handles(k[first], k2[first]))
        if self._runs:
            mask = sum(there.astype(np.uint64) << np.uint64(at) for at, there in enumerate(held))
            rows = np.arange(self._taken, self._taken + table.num_rows, dtype=np.uint64)
            self._runs[key].take(k, k2, (rows * np.uint64(MASK) | mask)[held[number]])


class _Watched:
    """Looks out for handles that were not keyed. Nobody would match such a list, and a plain hash can be guessed.

    step: of so many handles one is kept, spread over the list.
    """

    def __init__(self, step: int) -> None:
        self._step, self._seen, self._kept = step, 0, list[Handles]()

    def take(self, handles: Handles) -> None:
        """Errors: Unfit."""
        if is_known(handles):
            raise Unfit(KNOWN, _KEYING)
        self._kept.append(handles.take(np.arange(-self._seen % self._step, len(handles), self._step)))
        self._seen += len(handles)

    def finish(self) -> None:
        """Errors: Unfit."""
        halves = [np.concatenate([_NONE, *half]) for half in ([h.k for h in self._kept], [h.k2 for h in self._kept])]
        if strays(Handles(*halves)):
            raise Unfit(STRAYS, _KEYING)


_KEYING = "use `passbox prepare`, which normalises, hashes and keys"


# -- rows ------------------------------------------------------------------------------------------------------------


class _Parts:
    """Writes rows that ascend, partition after partition."""

    def __init__(self, shelf: Shelf, schema: pa.Schema, count: int) -> None:
        self._shelf, self._schema, self._count = shelf, schema, count
        self._next, self._opened, self._held = 0, ExitStack(), list[pa.Table]()
        self._writer = self._open()

    def take(self, k: NDArray[np.uint64], table: pa.Table) -> None:
        begin = 0
        for partition, end in enumerate(ends(k, self._count).tolist()):
            if end > begin:
                while self._next <= partition:
                    self._close()
                    self._writer = self._open()
                self._hold(table.slice(begin, end - begin))
                begin = end

    def finish(self) -> None:
        self._close()
        while self._next < self._count:
            self._writer = self._open()
            self._close()

    def _open(self) -> pq.ParquetWriter:
        self._opened = ExitStack()
        self._next += 1
        return self._shelf.replacing(self._opened, file_name(PART, self._next - 1), self._schema)

    def _hold(self, table: pa.Table) -> None:
        self._held.append(table)
        if sum(each.num_rows for each in self._held) >= PIECE:
            self._write()

    def _write(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held).cast(self._schema), row_group_size=PIECE)
            self._held = []

    def _close(self) -> None:
        self._write()
        self._opened.close()


# -- handles of one key ------------------------------------------------------------------------------------------------


@dataclass
class _Runs:
    """Sorts the handles of one key outside of memory."""

    shelf: Shelf
    key: str
    count: int
    held: list[tuple[NDArray[np.uint64], ...]] = field(default_factory=list)
    written: int = 0
    groups: dict[int, list[tuple[str, int]]] = field(default_factory=dict)

    def take(self, *columns: NDArray[np.uint64]) -> None:
        self.held.append(columns)
        if sum(len(k) for k, *_ in self.held) >= RUN:
            self._spill()

    def _spill(self) -> None:
        """A sorted run, in one piece a partition that it has handles in."""
        table, name = self._sorted(), f"{self.key}.run-{self.written:03}"
        with ExitStack() as opened:
            file, begin, group = self.shelf.replacing(opened, name, HANDLES), 0, 0
            for partition, end in enumerate(ends(table.column("k").to_numpy(), self.count).tolist()):
                if end > begin:
                    file.write_table(table.slice(begin, end - begin), row_group_size=end - begin)
                    self.groups.setdefault(partition, []).append((name, group))
                    begin, group = end, group + 1
        self.written += 1

    def finish(self, merged: Callable[[], None]) -> None:
        """Errors: Unfit."""
        rest = self._sorted()
        begin = 0
        for partition, end in enumerate(ends(rest.column("k").to_numpy(), self.count).tolist()):
            pieces = [self.shelf.read(name, group) for name, group in self.groups.get(partition, [])]
            table = pa.concat_tables([*pieces, rest.slice(begin, end - begin)])
            self.shelf.write(
                file_name(self.key, partition), self._refuse_repeats(table if not pieces else _by_k(table))
            )
            begin = end
            merged()
        for run in range(self.written):
            self.shelf.remove(f"{self.key}.run-{run:03}")

    def _sorted(self) -> pa.Table:
        columns = [np.concatenate(each) for each in zip(*self.held, strict=True)] if self.held else [_NONE] * 3
        self.held = []
        return _by_k(pa.table(dict(zip(HANDLES.names, columns, strict=True)), HANDLES))

    def _refuse_repeats(self, table: pa.Table) -> pa.Table:
        k = table.column("k").to_numpy()
        if (k[1:] == k[:-1]).any():
            raise Unfit(f"a handle of {self.key} stands twice in it", "use `passbox prepare`, which merges")
        return table


_NONE = np.empty(0, dtype=np.uint64)


def _by_k(table: pa.Table) -> pa.Table:
    order = ascending(table.column("k").to_numpy())
    return pa.table([table.column(name).to_numpy()[order] for name in HANDLES.names], HANDLES)


# -- what is refused ---------------------------------------------------------------------------------------------------


def _refuse_schema(schema: pa.Schema, layout: Layout) -> None:
    if schema.names != layout.bundle:
        raise Unfit("its columns are not those of the contract")
    for name in layout.bundle[: len(layout.bundle) - len(layout.columns)]:
        if schema.field(name).type != pa.uint64():
            raise Unfit(f"column {name} is not whole numbers")
    _refuse_outside(schema.empty_table(), layout)


def _refuse_outside(table: pa.Table, layout: Layout) -> None:
    """A room takes nobody's word for types and domains."""
    if wrong := outside(table, layout.columns):
        raise Unfit(wrong[0], "use `passbox prepare`, which checks the same rules at home")


def _refuse_nulls(table: pa.Table, layout: Layout) -> None:
    """A handle has both halves, or neither where there are several keys; a token is there."""
    for name in [*([] if layout.several else layout.handles), *(["token"] if layout.token else [])]:
        if table.column(name).null_count:
            raise Unfit(f"column {name} is not whole numbers")
    for key in layout.keys if layout.several else ():
        halves = [table.column(name).is_valid().to_numpy() for name in layout.handle(key)]
        if (halves[0] != halves[1]).any():
            raise Unfit(f"it holds half a handle of {key}")


def _refuse_disorder(k: NDArray[np.uint64], last: int, events: bool) -> int:
    """Rows ascend, and each stands once but for events: every sensitivity rests on it. The last of them."""
    if len(k) == 0:
        return last
    if not events and (int(k[0]) == last or (k[1:] == k[:-1]).any()):
        raise Unfit("a k stands twice in it", "use `passbox prepare`, which merges")
    if int(k[0]) < last or (k[1:] < k[:-1]).any():
        raise Unfit("its rows are not sorted")
    return int(k[-1])


def _with(table: pa.Table, k: NDArray[np.uint64]) -> pa.Table:
    """The table, with what its rows ascend by as column `k`."""
    return table if "k" in table.column_names else table.append_column("k", pa.array(k))
