"""From rows to persons, at their owner: who is known by several identifiers becomes one record.

Rows that hold the same identifier are one person, and so are rows that are joined through others (a row with an e-mail
and a phone joins the rows of that e-mail and the rows of that phone). The first row of a person speaks for it; of each
key it keeps the handle of its first row that has one. So a handle stands once in what comes out, which every bound of
`matching.rules` rests on, and merging happens here alone: a room takes records as they are.

Identifiers of a household (an IP address, a television) are shared by people and join nobody: the first person who has
one keeps it. Where there are no others, records are households, and are joined. What people type who have none
(`matching.well_known`: the telephone 0000000000, the address test@test.com) joins nobody either, where there is more
than one key; nor does it count as an identifier of theirs.

A guard: a person has at most so many identifiers. A telephone that a company gave to all its customers would make one
person of them. Rows that are joined to more are left out and counted; they are not taken apart again by some rule,
since whether one row is there would then decide how many others are dealt.

The code ensures: what comes out depends on the rows and their order alone; nobody is in it twice; each handle stands
once under its key. The caller ensures: rows are ascending in the order of the file; handles were made under one match
key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .order import ascending, distinct
from .rules import HOUSEHOLD, Repeats

Rows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Held:
    """The handles of one kind: which rows have one, ascending, and its first half. row: None where all rows do.

    nobodys: (handles,) bool, which join no rows; None where all do.
    """

    kind: str
    row: Rows | None
    k: NDArray[np.uint64]
    nobodys: NDArray[np.bool_] | None = None

    def somebodys(self) -> Held:
        """Those that join rows."""
        if self.nobodys is None or not self.nobodys.any():
            return self
        return Held(self.kind, self.rows[~self.nobodys], self.k[~self.nobodys])

    @property
    def rows(self) -> Rows:
        """The rows by number."""
        return np.arange(len(self.k), dtype=np.int64) if self.row is None else self.row

    def __repr__(self) -> str:
        return f"Held({self.kind}, {len(self.k)} rows)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Persons:
    """first: the row that speaks for each person. place: for each kind which of its handles (`Held`) the person keeps,
    -1 for none. merged: how many rows joined another. crowded: rows left out by the guard. bare: rows left out since
    every identifier they had stays with another. shared: by kind, how many handles stayed with another person. again,
    speaker: the rows that joined another, and for each the row that speaks for it. Rows ascend."""

    first: Rows
    place: Mapping[str, Rows]
    merged: int
    crowded: Rows
    bare: Rows
    shared: Mapping[str, int]
    again: Rows
    speaker: Rows

    def __repr__(self) -> str:
        return f"Persons({len(self.first)})"


def persons(keys: Sequence[Held], links: Sequence[Rows], rows: int, repeats: Repeats, most: int) -> Persons:
    """Who the rows are. keys: best first; every row has one at least. rows: how many there are.

    Persons stand in the order of their first rows; where there is one key and nothing else joins, of its handles.
    links: further columns that join rows, such as the owner's own IDs: (rows,), a number for each value. most: how
    many identifiers one person may have.
    """
    if len(keys) == 1 and not links:
        return _alone(keys[0])
    label = np.arange(rows, dtype=np.int64)
    crowded = np.zeros(rows, dtype=np.bool_)
    if repeats == "merge":
        label = _joined(keys, links, rows)
        crowded = _identifiers(keys, label, rows)[label] > most
    first = np.unique(label[~crowded], return_index=True)[1]
    first = np.sort(np.flatnonzero(~crowded)[first])
    number = np.full(rows, -1, dtype=np.int64)
    number[label[first]] = np.arange(len(first))
    place, shared = {}, {}
    for held in keys:
        place[held.kind], shared[held.kind] = _kept(held, np.where(crowded, -1, number[label])[held.rows], len(first))
    own = np.any([kept >= 0 for kept in place.values()], axis=0) if keys else np.zeros(0, dtype=np.bool_)
    in_it = int((~crowded).sum())
    spoken = ~crowded
    spoken[first] = False
    again = np.flatnonzero(spoken)
    return Persons(
        first[own],
        {kind: kept[own] for kind, kept in place.items()},
        in_it - len(first),
        np.flatnonzero(crowded),
        first[~own],
        {kind: count for kind, count in shared.items() if count},
        again,
        first[number[label[again]]],
    )


def _alone(held: Held) -> Persons:
    """With one key, rows that repeat a handle are one person, who has one identifier, whatever becomes of repeats."""
    place = distinct(held.k)
    first = place if held.row is None else held.row[place]
    again, speaker = _spoken(held.k, place)
    if held.row is not None:
        again, speaker = held.row[again], held.row[speaker]
    return Persons(first, {held.kind: place}, len(held.k) - len(place), _NONE, _NONE, {}, again, speaker)


def _spoken(k: NDArray[np.uint64], place: Rows) -> tuple[Rows, Rows]:
    """Where numbers stand again, and where each of them stands first. place: of these, ascending by number."""
    if len(place) == len(k):
        return _NONE, _NONE
    repeats = np.ones(len(k), dtype=np.bool_)
    repeats[place] = False
    again = np.flatnonzero(repeats)
    return again, place[np.searchsorted(k[place], k[again])]


def _joined(keys: Sequence[Held], links: Sequence[Rows], rows: int) -> Rows:
    """For every row, the number of its person: rows that are joined through others have one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [_neighbours(held.k, held.rows) for held in _joining(keys)]
    pairs += [_neighbours(link.astype(np.uint64), np.arange(rows, dtype=np.int64)) for link in links]
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True)) if pairs else (_NONE, _NONE)
    if len(one) == 0:
        return np.arange(rows, dtype=np.int64)
    graph = coo_array((np.ones(len(one), dtype=np.bool_), (one, other)), shape=(rows, rows))
    return connected_components(graph, directed=False)[1].astype(np.int64)


_NONE = np.empty(0, dtype=np.int64)


def _neighbours(values: NDArray[np.uint64], row: Rows) -> tuple[Rows, Rows]:
    """Rows that hold the same value, each with the next one."""
    order = ascending(values)
    ordered = values[order]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    return row[order[same]], row[order[same + 1]]


def _identifiers(keys: Sequence[Held], label: Rows, rows: int) -> Rows:
    """How many identifiers each person has, those of its household left out. By the person's number."""
    count = np.zeros(rows, dtype=np.int64)
    for held in _joining(keys):
        _, at = np.unique(held.k, return_index=True)
        count += np.bincount(label[held.rows[at]], minlength=rows)
    return count


def _joining(keys: Sequence[Held]) -> Sequence[Held]:
    return [held.somebodys() for held in keys if held.kind not in HOUSEHOLD] or keys


def _kept(held: Held, person: Rows, people: int) -> tuple[Rows, int]:
    """For each person the place of the handle that it keeps, -1 for none; and how many stayed with another person.

    person: for each handle, in the order of rows, whose it is, -1 for nobody's.
    """
    kept = np.full(people, -1, dtype=np.int64)
    theirs = np.flatnonzero(person >= 0)
    at = theirs[np.unique(person[theirs], return_index=True)[1]]  # the first of each person
    at = at[np.argsort(person[at], kind="stable")]
    once = at[np.sort(np.unique(held.k[at], return_index=True)[1])]  # the first person of each handle
    kept[person[once]] = once
    return kept, len(at) - len(once)
