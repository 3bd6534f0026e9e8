"""Who of the people is on the seed list: a stable match, the ground that every sensitivity stands on.

In two steps. *Look up*: for each key, which handles stand on both sides (`look_up`), as claims of seeds on rows of the
people. *Settle*: which of the claims count under the contract's rule (`Settling`, `matching.rules`). No row is dealt to
one seed at the cost of another, and no row is merged with another.

The code ensures:
- k is unique under a key within either side, or nothing is matched (RepeatedHandle). So a lookup by k sees the only
  handle that could answer, whatever else is in the list, and each claim is of one seed on one row.
- one record replaced by a dummy moves at most so many rows as `rules.bounds` says of its side: settling looks at each
  claim, at the seed it is of, and (fall-through) at the better claims of the same seed, and at nothing else.
- The same vector operations run over arrays whose lengths depend on the two submitted sizes only; there is no early
  exit, and no message, error or repr depends on the intersection. RepeatedHandle depends on one side alone.
The caller ensures:
- both sides were keyed with one match key, kind and scheme, and each record is one person as well as its owner could
  make it (`matching.persons`); a record *replaced by another* is two of these moves.
- dummies have handles that are in no other list.
- `Match` is shown to nobody and reaches `dp.aggregate` only. Time and caches are not hidden from whoever runs this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .hashing import Handles
from .order import ascending
from .rules import Bounds, Rule, bounds


class RepeatedHandle(Exception):
    """A data set repeats a handle (by k). Carries how many rows are repeats, nothing else."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Key:
    """One side's handles under one key, ascending by k. row: whose they are. best: whether it is that record's best."""

    handles: Handles
    row: NDArray[np.int64]
    best: NDArray[np.bool_]

    def __repr__(self) -> str:
        return f"Key({len(self.handles)} handles)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Claims:
    """What a lookup under one key gave: entry by entry of the shorter side, which row of either side it joins.

    people, seed: row numbers, or the number of rows where there is no claim. best: whether the key is the best that
    the seed has.
    """

    people: NDArray[np.int64]
    seed: NDArray[np.int64]
    best: NDArray[np.bool_]

    def __repr__(self) -> str:
        return f"Claims({len(self.seed)} entries)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Match:
    """Who of `people` is a seed: secret until noise is paid for.

    tier: (people,) uint8, in stored order, read-only: 0 where no claim counts, else the place of the best key by which
    one does, from 1. bounds: rows whose answer one record of a side can move; a job uses that of the side it protects.
    """

    tier: NDArray[np.uint8]
    rule: Rule
    bounds: Bounds

    @property
    def matched(self) -> NDArray[np.bool_]:
        """(people,) bool."""
        return self.tier > 0

    def __repr__(self) -> str:
        return f"Match({self.rule}, {len(self.tier)} people)"


def match(people: Handles, seed: Handles) -> Match:
    """For every row of people, in stored order, whether it is a seed: matching on one key. Errors: RepeatedHandle."""
    return match_keys([_whole(people)], [_whole(seed)], "own-best", len(people), len(seed))


def match_keys(people: Sequence[Key], seed: Sequence[Key], rule: Rule, people_rows: int, seed_rows: int) -> Match:
    """The same on several keys, best first, all in memory. Errors: RepeatedHandle."""
    settling = Settling(rule, people_rows, seed_rows)
    for number, (theirs, ours) in enumerate(zip(people, seed, strict=True), 1):
        settling.take(number, claims(theirs, ours, people_rows, seed_rows))
    return settling.settled(len(people))


def ranked(handles: Sequence[Handles], rows: Sequence[NDArray[np.int64]], count: int) -> list[Key]:
    """The keys of a side of `count` records, best first. rows: whose each handle is, key by key."""
    known = np.zeros(count, dtype=np.bool_)
    keys = []
    for each, row in zip(handles, rows, strict=True):
        order = ascending(each.k)
        keys.append(Key(each.take(order), row[order], ~known[row[order]]))
        known[row] = True
    return keys


def claims(people: Key, seed: Key, people_rows: int, seed_rows: int) -> Claims:
    """The claims under one key, in memory. Errors: RepeatedHandle."""
    if len(people.handles) < len(seed.handles):
        at = look_up(people.handles, seed.handles)
        return Claims(
            np.where(at < 0, people_rows, people.row), _at(seed.row, at, seed_rows), _at(seed.best, at, fill=False)
        )
    at = look_up(seed.handles, people.handles)
    return Claims(_at(people.row, at, people_rows), np.where(at < 0, seed_rows, seed.row), seed.best)


def look_up(shorter: Handles, longer: Handles) -> NDArray[np.int64]:
    """For each handle of one side its place on the other, or -1. Both ascend by k. Errors: RepeatedHandle."""
    require_rising(shorter.k)
    require_rising(longer.k)
    if len(longer) == 0:  # sizes are public
        return np.full(len(shorter), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(longer.k, shorter.k), len(longer) - 1)
    same = (longer.k[at] == shorter.k) & (longer.k2[at] == shorter.k2)
    return np.where(same, at, -1)


class Settling:
    """Which claims count, taken key by key, best first, each whole or in pieces; and then what tier each row has."""

    def __init__(self, rule: Rule, people_rows: int, seed_rows: int) -> None:
        self._rule, self._people, self._seed = rule, people_rows, seed_rows
        self._tier = np.zeros(people_rows + 1, dtype=np.uint8)  # one place more, for claims on nobody
        self._claimed = np.zeros(seed_rows + 1 if rule == "fall-through" else 0, dtype=np.bool_)

    def take(self, number: int, claims: Claims) -> None:
        """Claims under the key of that number, from 1."""
        rows = np.where(self._counting(claims), claims.people, self._people)
        held = self._tier[rows]
        self._tier[rows] = np.where(held == 0, np.uint8(number), held)
        if self._rule == "fall-through":
            self._claimed[np.where(claims.people < self._people, claims.seed, self._seed)] = True

    def _counting(self, claims: Claims) -> NDArray[np.bool_]:
        """A seed has one claim a key at most, so what was claimed before was claimed by a better key."""
        if self._rule == "own-best":
            return claims.best
        if self._rule == "fall-through":
            return ~self._claimed[claims.seed]
        return np.ones(len(claims.seed), dtype=np.bool_)

    def settled(self, keys: int) -> Match:
        """The answer, once all claims were taken. keys: how many there are, for the bounds."""
        tier = self._tier[: self._people]
        tier.setflags(write=False)
        return Match(tier, self._rule, bounds(self._rule, keys))


def require_rising(k: NDArray[np.uint64]) -> None:
    """Ascending, and each once. Errors: RepeatedHandle."""
    repeats = int(np.count_nonzero(k[1:] <= k[:-1]))
    if repeats:
        raise RepeatedHandle(repeats)


def _whole(handles: Handles) -> Key:
    """Every record has this key, and no other."""
    return ranked([handles], [np.arange(len(handles), dtype=np.int64)], len(handles))[0]


def _at(values: NDArray[np.generic], at: NDArray[np.int64], fill: int | bool) -> NDArray:  # type: ignore[type-arg]
    """The values at those places, `fill` where there is none."""
    if len(values) == 0:
        return np.full(len(at), fill, dtype=values.dtype)
    return np.where(at < 0, fill, values[np.maximum(at, 0)])
