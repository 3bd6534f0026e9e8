"""Joining two data sets: who claims whom under each key, one partition of either in memory at a time.

For each key that both carry and each partition of the shorter list, the claims are looked up and stored in a file of
their own beside the match that they are for, so that a join that was killed goes on where it was. Then they are settled
under the contract's rule, for either of the two as the people (`matching.match`).

The code ensures: what is stored, how much of it and in which order depends on the submitted handles of either side, not
on which of them meet; what a rule counts as a seed's best key is the best of those that both data sets carry, which the
contract says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..matching.hashing import Handles
from ..matching.match import Claims, Match, Settling, look_up
from .layout import MASK, PART, layout_of
from .partition import ends
from .progress import Progress
from .room import Dataset, Room

NOBODY = np.uint64(2**64 - 1)
"""Stands for the record of a handle that the other side does not hold."""


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

    def settle(self, people: Dataset, seed: Dataset) -> Match:
        """Which claims count, with either of the two as the people."""
        settling = Settling(self.room.contract.match.rule, people.manifest.rows, seed.manifest.rows)
        shared = sum(1 << self._bit(seed, key) for _, key in self.keys)
        for rank, key in self.keys:
            bit = self._bit(seed, key)
            for path in self._files(rank):
                stored = self.room.read_part(path)
                settling.take(rank, self._claims_on(stored, people.name == self.shorter.name, shared, bit))
        return settling.settled(len(self.room.contract.match.keys))

    def forget(self) -> None:
        """Remove what was stored, once the matches are."""
        for rank, _ in self.keys:
            for path in self._files(rank):
                path.unlink(missing_ok=True)

    def _bit(self, held: Dataset, key: str) -> int:
        """Which bit of a record says that it has the key."""
        return layout_of(self.room.contract, held.name).keys.index(key)

    def _files(self, rank: int) -> list[Path]:
        """Where the claims under a key are stored, partition by partition of the shorter list."""
        match = self.room.match_path(self.shorter, self.longer)
        return [match.with_suffix(f".{rank}.{at}") for at in range(len(self.shorter.parts(PART)))]

    def _claims(self, key: str, at: int) -> pa.Table:
        """Entry by entry of the shorter list, the record of either side."""
        mine = _Part.read(self.room, self.shorter, key, at)
        theirs = len(self.longer.parts(PART)) // len(self.shorter.parts(PART))
        inner = range(at * theirs, (at + 1) * theirs)
        cuts = ends(mine.handles.k, len(self.longer.parts(PART)))
        begins = [0, *cuts.tolist()]
        found = np.full(len(mine.handles), NOBODY)
        for other in inner:
            within = np.arange(begins[other], begins[other + 1])
            longer = _Part.read(self.room, self.longer, key, other)
            place = look_up(mine.handles.take(within), longer.handles)
            found[within] = longer.records_at(place)
        return pa.table({"shorter": mine.record, "longer": found})

    def _claims_on(self, stored: pa.Table, people_shorter: bool, shared: int, bit: int) -> Claims:
        """As `settle` takes them. A claim on nobody is nobody's."""
        shorter, longer = (stored.column(name).to_numpy() for name in ("shorter", "longer"))
        none = longer == NOBODY
        people, seed = (shorter, longer) if people_shorter else (longer, shorter)
        rows = [self.longer.manifest.rows, self.shorter.manifest.rows]
        people_rows, seed_rows = reversed(rows) if people_shorter else rows
        better = np.uint64(shared & ((1 << bit) - 1))
        return Claims(
            np.where(none, people_rows, (people // MASK).astype(np.int64)),
            np.where(none, seed_rows, (seed // MASK).astype(np.int64)),
            (seed & better) == 0,
        )


@dataclass(frozen=True)
class _Part:
    """The handles of one partition. record: as `cleanroom.layout` writes it."""

    handles: Handles
    record: NDArray[np.uint64]

    @classmethod
    def read(cls, room: Room, held: Dataset, key: str, at: int) -> _Part:
        layout = layout_of(room.contract, held.name)
        paths = held.parts(key if layout.several else PART)
        table = room.read_part(paths[at], ["k", "k2", "record"] if layout.several else ["k", "k2"])
        handles = Handles(table.column("k").to_numpy(), table.column("k2").to_numpy())
        if layout.several:
            return cls(handles, table.column("record").to_numpy())
        first = sum(room.rows_of(path) for path in paths[:at])
        rows = np.arange(first, first + len(handles), dtype=np.uint64)
        return cls(handles, rows * np.uint64(MASK) | np.uint64(1))

    def records_at(self, place: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The record at each place, nobody's where it is -1."""
        if len(self.record) == 0:
            return np.full(len(place), NOBODY)
        return np.where(place < 0, NOBODY, self.record[np.maximum(place, 0)])
