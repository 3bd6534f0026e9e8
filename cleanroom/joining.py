"""Joining two data sets: who claims whom under each key, one partition of either in memory at a time.

For each key that both carry and each partition of the shorter list, the claims are looked up and stored in a file of
their own beside the match that they are for, so that a join that was killed goes on where it was. Then they are settled
under the contract's rule, for either of the two as the people (`matching.match`).

The code ensures: what is stored, how much of it and in which order depends on the submitted handles of either side, not
on which of them meet; what a rule counts as a seed's best key is the best of those that both data sets carry, which the
contract says.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    def settle(self, ways: Sequence[tuple[Dataset, Dataset]]) -> list[Match]:
        """Which claims count, each way round: (people, seed), either of the two as the people."""
        rule, ranked = self.room.contract.match.rule, self.keys
        each = [(way, Settling(rule, *(held.manifest.rows for held in way))) for way in ways]
        for rank, key in ranked:
            for at, path in enumerate(self._files(rank)):
                mine = _Part.read(self.room, self.shorter, key, at, ["record"])
                longer = self.room.read_part(path).column("longer").to_numpy()
                for (people, seed), settling in each:
                    settling.take(rank, self._claims_on(mine, longer, people, seed, key))
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
        mine = _Part.read(self.room, self.shorter, key, at, ["k", "k2"])
        parts = len(self.longer.parts(PART))
        theirs = parts // len(self.shorter.parts(PART))
        begins = [0, *ends(mine.handles.k, parts).tolist()]
        found = np.full(len(mine.handles), NOBODY)
        for other in range(at * theirs, (at + 1) * theirs):
            within = slice(begins[other], begins[other + 1])
            longer = _Part.read(self.room, self.longer, key, other, ["k", "k2", "record"])
            found[within] = longer.records_at(look_up(mine.handles.cut(within), longer.handles))
        return pa.table({"longer": found})

    def _claims_on(self, mine: _Part, longer: NDArray[np.uint64], people: Dataset, seed: Dataset, key: str) -> Claims:
        """As `Settling` takes them. A claim on nobody is nobody's."""
        none, shorter = longer == NOBODY, mine.records()
        first, second = (shorter, longer) if people.name == self.shorter.name else (longer, shorter)
        carried = layout_of(self.room.contract, seed.name).keys
        shared = [each for _, each in self.keys]
        better = sum(1 << carried.index(each) for each in shared[: shared.index(key)])
        return Claims(
            np.where(none, people.manifest.rows, (first // MASK).astype(np.int64)),
            np.where(none, seed.manifest.rows, (second // MASK).astype(np.int64)),
            (second & np.uint64(better)) == 0,
        )


@dataclass(frozen=True)
class _Part:
    """The handles of one partition. record: as `cleanroom.layout` writes it; None where rows are the very handles, and
    then the first of them has the number `begin`. rows: how many there are."""

    handles: Handles
    record: NDArray[np.uint64] | None
    begin: int
    rows: int

    @classmethod
    def read(cls, room: Room, held: Dataset, key: str, at: int, columns: Sequence[str]) -> _Part:
        """columns: of k, k2 and record those that are needed."""
        layout = layout_of(room.contract, held.name)
        paths = held.parts(key if layout.several else PART)
        named = [name for name in columns if name != "record" or layout.several]
        table = room.read_part(paths[at], named) if named else None
        found = {name: table.column(name).to_numpy() for name in named} if table is not None else {}
        halves = [found.get(name, _NONE) for name in ("k", "k2")]
        begin = 0 if layout.several else sum(room.rows_of(path) for path in paths[:at])
        rows = table.num_rows if table is not None else room.rows_of(paths[at])
        return cls(Handles(*halves), found.get("record"), begin, rows)

    def records(self) -> NDArray[np.uint64]:
        """Every record, in order."""
        if self.record is not None:
            return self.record
        return np.arange(self.begin, self.begin + self.rows, dtype=np.uint64) * np.uint64(MASK) | np.uint64(1)

    def records_at(self, place: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The record at each place, nobody's where it is -1."""
        at = np.maximum(place, 0)
        if self.record is None:
            held = (at + self.begin).astype(np.uint64) * np.uint64(MASK) | np.uint64(1)
        else:
            held = self.record[at] if len(self.record) else np.full(len(place), NOBODY)
        return np.where(place < 0, NOBODY, held)


_NONE = np.empty(0, dtype=np.uint64)
