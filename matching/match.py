"""Which people are on the seed list: a stable match, the ground that every sensitivity stands on.

A row of `people` matches when its handle (k and k2) is in `seed`. Every row is answered by itself, from the
seed list as a set; no row is dealt to one seed at the cost of another, and no row is merged with another.

The code ensures:
- k is unique within either side, or nothing is matched (RepeatedHandle).
- One seed replaced by a dummy moves at most one row and no other row changes. A row's answer is "some seed
  has my k and my k2". Seeds have unique k, so the one lookup by k sees the only seed that could answer,
  whatever else is in the list; taking seed s away changes the answer of rows with the handle of s, and
  people have unique k: at most one row.
- One person replaced by a dummy moves at most that row: no row's answer reads another row of people.
- The same vector operations run over arrays whose lengths depend on the two submitted sizes only; there is
  no early exit, and no message, error or repr depends on the intersection. RepeatedHandle depends on one
  side alone.
The caller ensures:
- both sides were keyed with one match key, kind and scheme, and each record is one person as well as its
  owner could make it (`hashing.merge`); a record *replaced by another* is two of these moves.
- dummies have handles that are in no other list.
- `Match.matched` is shown to nobody and reaches `dp.aggregate` only. Time and caches are not hidden from
  whoever runs this code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .hashing import Handles


class RepeatedHandle(Exception):
    """A data set repeats a handle (by k). Carries how many rows are repeats, nothing else."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Match:
    """Who of `people` is a seed: secret until noise is paid for.

    matched: (people,) bool, in stored order, read-only. The two bounds are rows whose answer one record of
    that side can move: a job uses the bound of the side it protects.
    """

    matched: NDArray[np.bool_]
    rule: Literal["own-best"] = "own-best"
    rows_moved_by_one_seed: int = 1
    rows_moved_by_one_person: int = 1

    def __repr__(self) -> str:
        return f"Match({self.rule}, {len(self.matched)} people)"


def match(people: Handles, seed: Handles) -> Match:
    """For every row of people, in stored order, whether it is a seed. Errors: RepeatedHandle."""
    _require_unique(people)
    order = np.argsort(seed.k, kind="stable")
    k, k2 = seed.k[order], seed.k2[order]
    _require_no_neighbours(k)
    matched = _is_in(people, k, k2)
    matched.setflags(write=False)
    return Match(matched)


def _is_in(people: Handles, k: NDArray[np.uint64], k2: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if len(k) == 0:  # the size of the seed list is public
        return np.zeros(len(people), dtype=np.bool_)
    at = np.minimum(np.searchsorted(k, people.k), len(k) - 1)
    same: NDArray[np.bool_] = (k[at] == people.k) & (k2[at] == people.k2)
    return same


def _require_unique(handles: Handles) -> None:
    _require_no_neighbours(np.sort(handles.k))


def _require_no_neighbours(ordered: NDArray[np.uint64]) -> None:
    repeats = int(np.count_nonzero(ordered[1:] == ordered[:-1]))
    if repeats:
        raise RepeatedHandle(repeats)
