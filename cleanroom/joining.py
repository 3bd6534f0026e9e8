"""Joining two data sets: who claims whom under each key, one partition of either in memory at a time.

For each key that both carry and each partition of the shorter list, the claims are looked up and stored in a file of
their own beside the match that they are for, so that a join that was killed goes on where it was. Then they are settled
under the contract's rule, for either of the two as the people (`matching.match`).

The code ensures: what is stored, how much of it and in which order depends on the submitted handles of either side, not
on which of them meet; what a rule counts as a seed's best key is the best of those that both data sets carry, which the
contract says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..matching.hashing import Handles
from ..matching.match import Claims, Match, Settling, look_up, require_rising
from .layout import MASK, PART, layout_of
from .progress import Progress
from .room import Dataset, Room

NOBODY = np.uint64(2**64 - 1)
"""Stands for the record of a handle that the other side does not hold."""
ROW = np.uint64(MASK.bit_length() - 1)
"""Bits of a record below the number of its row (`cleanroom.layout`)."""
AT_ONCE = 2**16
"""Claims that are settled at once: what is made of them stays in the processor's cache."""


@dataclass(frozen=True)
class Join:
    """Two data sets of one room, to be joined."""

    room: Room
    shorter: Dataset
    longer: Dataset

    @classmethod
    def of(cls, room: Room, one: Dataset, other: Dataset) -> Join:
        """Whichever has fewer rows is looked up in the other."""
        first, second = sorted((one, other), key=lambda held: (held.manifest.rows, held.name))
        return cls(room, first, second)

    @property
    def keys(self) -> list[tuple[int, str]]:
        """The keys that both carry, with their rank in the contract, from 1."""
        both = [layout_of(self.room.contract, held.name).keys for held in (self.shorter, self.longer)]
        ranked = enumerate(self.room.contract.match.keys, 1)
        return [(rank, key) for rank, key in ranked if all(key in keys for keys in both)]

    def look_up(self, progress: Progress) -> None:
        """Find and store all claims; what is stored already is left as it is. Errors: StoreDamaged."""
        steps, done = len(self.keys) * len(self.shorter.parts(PART)), 0
        for rank, key in self.keys:
            for at, path in enumerate(self._files(rank)):
                if not path.exists():
                    self.room.keep_plain(path, self._claims(key, at))
                done += 1
                progress(done, steps)

    def settle(self, ways: Sequence[tuple[Dataset, Dataset]]) -> list[Match]:
        """Which claims count, each way round: (people, seed), either of the two as the people."""
        rule, ranked = self.room.contract.match.rule, self.keys
        each = [(way, Settling(rule, *(held.manifest.rows for held in way))) for way in ways]
        for rank, key in ranked:
            for at, path in enumerate(self._files(rank)):
                mine = self._part(self.shorter, key, at, ["record"])
                longer = self.room.read_part(path).column("longer").to_numpy()
                for begin in range(0, len(longer), AT_ONCE):
                    theirs = longer[begin : begin + AT_ONCE]
                    ours = mine.records(begin, len(theirs))
                    for (people, seed), settling in each:
                        settling.take(rank, self._claims_on(ours, theirs, people, seed, key))
        return [settling.settled(len(self.room.contract.match.keys)) for _, settling in each]

    def forget(self) -> None:
        """Remove what was stored, once the matches are."""
        for rank, _ in self.keys:
            for path in self._files(rank):
                path.unlink(missing_ok=True)

    def _files(self, rank: int) -> list[Path]:
        """Where the claims under a key are stored, partition by partition of the shorter list."""
        match = self.room.match_path(self.shorter, self.longer)
        return [match.with_suffix(f".{rank}.{at}") for at in range(len(self.shorter.parts(PART)))]

    def _claims(self, key: str, at: int) -> pa.Table:
        """Entry by entry of the shorter list, the record of the longer one that holds the same handle."""
        mine = self._part(self.shorter, key, at, ["k", "k2"]).handles
        require_rising(mine.k)
        theirs = len(self.longer.parts(PART)) // len(self.shorter.parts(PART))
        found, begin, last = np.full(len(mine), NOBODY), 0, _NONE
        for longer in self._pieces(self.longer, key, range(at * theirs, (at + 1) * theirs)):
            require_rising(np.concatenate([last, longer.handles.k[:1]]))  # and `look_up` does, within the piece
            last = longer.handles.k[-1:]
            end = int(np.searchsorted(mine.k, last[0], side="right"))
            found[begin:end] = longer.records_at(look_up(mine.cut(slice(begin, end)), longer.handles))
            begin = end
        return pa.table({"longer": found})

    def _claims_on(
        self, shorter: NDArray[np.uint64], longer: NDArray[np.uint64], people: Dataset, seed: Dataset, key: str
    ) -> Claims:
        """As `Settling` takes them. A claim on nobody is nobody's."""
        none = longer == NOBODY
        first, second = (shorter, longer) if people.name == self.shorter.name else (longer, shorter)
        carried = layout_of(self.room.contract, seed.name).keys
        shared = [each for _, each in self.keys]
        better = sum(1 << carried.index(each) for each in shared[: shared.index(key)])
        return Claims(
            np.where(none, people.manifest.rows, (first >> ROW).view(np.int64)),
            np.where(none, seed.manifest.rows, (second >> ROW).view(np.int64)),
            (second & np.uint64(better)) == 0,
        )

    def _part(self, held: Dataset, key: str, at: int, columns: Sequence[str]) -> _Part:
        """A partition. columns: of k, k2 and record those that are needed."""
        path, named = self._stored(held, key, at, columns)
        return self._read(pa.concat_tables(self.room.read_pieces(path, named)) if named else None, held, at)

    def _pieces(self, held: Dataset, key: str, parts: range) -> Iterator[_Part]:
        """Partitions, as much at once as was written at once, which stays in the processor's cache. None is empty."""
        for at in parts:
            path, named = self._stored(held, key, at, ["k", "k2", "record"])
            done = 0
            for table in self.room.read_pieces(path, named):
                if table.num_rows:
                    yield self._read(table, held, at, done)
                done += table.num_rows

    def _stored(self, held: Dataset, key: str, at: int, columns: Sequence[str]) -> tuple[Path, list[str]]:
        """The file of a partition, and which of these columns it has."""
        several = layout_of(self.room.contract, held.name).several
        return held.parts(key if several else PART)[at], [name for name in columns if name != "record" or several]

    def _read(self, table: pa.Table | None, held: Dataset, at: int, done: int = 0) -> _Part:
        """done: how many rows of the partition lie before these."""
        found = {name: table.column(name).to_numpy() for name in table.column_names} if table is not None else {}
        handles = Handles(*(found.get(name, _NONE) for name in ("k", "k2")))
        several = layout_of(self.room.contract, held.name).several
        return _Part(handles, found.get("record"), 0 if several else self._begins[held.name][at] + done)

    @cached_property
    def _begins(self) -> dict[str, list[int]]:
        """By data set, how many of its rows lie before each partition."""
        both = (self.shorter, self.longer)
        return {each.name: [0, *accumulate(map(self.room.rows_of, each.parts(PART)))] for each in both}


@dataclass(frozen=True)
class _Part:
    """Handles of one partition. record: as `cleanroom.layout` writes it; None where rows are the very handles, and
    then the first of them has the number `begin`."""

    handles: Handles
    record: NDArray[np.uint64] | None
    begin: int

    def records(self, begin: int, count: int) -> NDArray[np.uint64]:
        """So many of the records, in order."""
        if self.record is not None:
            return self.record[begin : begin + count]
        first = self.begin + begin
        return np.arange(first, first + count, dtype=np.uint64) << ROW | np.uint64(1)

    def records_at(self, place: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The record at each place, nobody's where it is -1."""
        at = np.maximum(place, 0)
        if self.record is None:
            held = (at + self.begin).view(np.uint64) << ROW | np.uint64(1)
        else:
            held = self.record[at] if len(self.record) else np.full(len(place), NOBODY)
        return np.where(place < 0, NOBODY, held)


_NONE = np.empty(0, dtype=np.uint64)
