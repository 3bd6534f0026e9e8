"""Bounding: what one person may add, enforced on the final keys, in integers.

In this order: rows of a person in a key (`rows_per_key`), then its sum in a key (`bound`), then its keys
(`keys_per_person`), then its sum over all keys (`in_total`). What is kept is decided by a keyed hash of the person, the
key and the row's own integers: another order of rows, or other people's rows, change nothing of it.

The code ensures: what a person adds is a function of that person's rows and of what was declared; it is at most `bound`
a key in at most `keys_per_person` keys, and at most `in_total` in all. So one person, with however many rows, moves no
sum of these by more than `GroupBy.l2_squared` says (held by exact replay: tests/privacy/test_replay.py).
The caller ensures: `person` is the same number for the same person everywhere, and nobody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
Hash = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds one measure: of one person in one key, and in all keys together (None: nothing else).

    once: a person counts once a key, so that nothing is lost where it has more rows.
    """

    least: int
    most: int
    total: int | None
    once: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rows:
    """Rows that belong to a declared key. amounts: one a measure, what each row adds; None where it adds 1. Secret.

    clipped: rows of which a number was beyond its bounds; None where none could be.
    """

    person: Hash
    key: Int
    amounts: tuple[Int | None, ...]
    clipped: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Shares:
    """What each person adds to each key: one entry a person and key. amounts: one array a measure. Secret.

    people_cut: how many people would have added something else without any bound.
    """

    key: Int
    amounts: tuple[Int, ...]
    people_cut: int


def bounded(
    rows: Rows, limits: Sequence[Limits], keys_per_person: int, rows_per_key: int | None, secret: bytes
) -> Shares:
    """Every person's share of every key, bounded. secret: 16 bytes or more, of the room."""
    cut = [] if rows.clipped is None else [rows.person[rows.clipped]]
    if _one_row_each(rows.person):
        alone = [np.ones(len(rows.key), dtype=np.int64) if a is None else a for a in rows.amounts]
        amounts = _each(alone, limits, rows.person, cut)
        return Shares(rows.key, amounts, _distinct(cut))
    seed = np.frombuffer(secret[:16], dtype="<u8")
    person = _mixed(rows.person ^ seed[0])  # one to one: still a person each
    at_key = _mixed(rows.key.astype(np.uint64) ^ person ^ seed[1])  # and, of one person, still a key each
    cut = [_mixed(found ^ seed[0]) for found in cut]
    order = np.lexsort((at_key, person))
    if rows_per_key is not None:
        order = _first_rows(order, person, at_key, rows.amounts, rows_per_key, cut)
    starts = _run_starts(person[order], at_key[order])
    ends = np.append(starts[1:], len(order))
    sums = [ends - starts if a is None else np.add.reduceat(a[order], starts) for a in rows.amounts]
    first = order[starts]
    kept = _position_in_run(person[first]) < keys_per_person
    cut.append(person[first][~kept])
    amounts = _each([a[kept] for a in sums], limits, person[first][kept], cut)
    return Shares(rows.key[first][kept], amounts, _distinct(cut))


def _each(sums: Sequence[Int], limits: Sequence[Limits], person: Hash, cut: list[Hash]) -> tuple[Int, ...]:
    """Cuts every measure to what one person may add to one key, and then to all of its keys; notes who lost some."""
    shares = []
    for amounts, limit in zip(sums, limits, strict=True):
        clipped = np.clip(amounts, limit.least, limit.most)
        share = clipped if limit.total is None else _cut_in_total(clipped, person, limit.total)
        cut.append(person[share != (clipped if limit.once else amounts)])
        shares.append(share)
    return tuple(shares)


def _cut_in_total(amounts: Int, person: Hash, total: int) -> Int:
    """Keys in their keyed order, until a person has added so much; the key that goes beyond adds what is left."""
    size = np.abs(amounts)
    before = np.cumsum(size) - size
    starts = _run_starts(person)
    before -= np.repeat(before[starts], np.diff(np.append(starts, len(person))))
    return np.asarray(np.sign(amounts) * np.minimum(size, np.maximum(total - before, 0)))


def _distinct(people: Sequence[Hash]) -> int:
    return len(np.unique(np.concatenate(people)))


def _first_rows(
    order: Int, person: Hash, at_key: Hash, amounts: Sequence[Int | None], most: int, cut: list[Hash]
) -> Int:
    """At most so many rows of a person in a key. Equal rows are numbered, so that none goes before all of another."""
    starts = _run_starts(person[order], at_key[order])
    sizes = np.diff(np.append(starts, len(order)))
    over = np.repeat(sizes > most, sizes)
    if not over.any():
        return order
    rows = order[over]
    who, what, content = person[rows], at_key[rows], at_key[rows]
    for a in amounts:
        if a is not None:
            content = _mixed(content ^ a[rows].view(np.uint64))
    alike = np.lexsort((content, what, who))
    number = np.empty(len(rows), dtype=np.int64)
    number[alike] = _position_in_run(who[alike], what[alike], content[alike])
    at_row = _mixed(content ^ _mixed(number.view(np.uint64)))
    ranked = np.lexsort((at_row, what, who))
    stays = _position_in_run(who[ranked], what[ranked]) < most
    cut.append(who[ranked[~stays]])
    merged = np.concatenate([order[~over], rows[ranked[stays]]])
    return merged[np.lexsort((at_key[merged], person[merged]))]


def _one_row_each(person: Hash) -> bool:
    """Whether people are in ascending order, each once: as people's tables are kept."""
    return bool((person[1:] > person[:-1]).all())


def _run_starts(*sorted_by: Hash) -> Int:
    """Where a new run of equal values begins."""
    if not len(sorted_by[0]):
        return np.zeros(0, dtype=np.int64)
    new = np.ones(len(sorted_by[0]), dtype=np.bool_)
    new[1:] = sorted_by[0][1:] != sorted_by[0][:-1]
    for column in sorted_by[1:]:
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new)


def _position_in_run(*sorted_by: Hash) -> Int:
    """0 for the first of each run, and on."""
    starts = _run_starts(*sorted_by)
    many = len(sorted_by[0])
    return np.arange(many) - np.repeat(starts, np.diff(np.append(starts, many)))


def _mixed(x: Hash) -> Hash:
    """A one-to-one scrambling of 64 bits. Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
