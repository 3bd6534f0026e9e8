"""Events: many rows of one person, and how many of them count.

A data set of events is of the same people as any other: all rows of one handle are one record. `prepare` keeps at most
so many of each, drawn by a keyed hash, and a bundle that holds more is refused: so whoever has 10,000 rows counts for
no more than anybody else.

The code ensures: which rows of a person are kept depends on that person's rows alone, in the order of the owner's file;
a handle that shares its `k` with another is left out with all its rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..matching.hashing import Handles


@dataclass(frozen=True, slots=True)
class Counted:
    """Which rows count, ascending by handle. over: rows beyond what a person may have. first: one row a person."""

    at: NDArray[np.int64]
    over: int
    first: NDArray[np.int64]


def counted(made: Handles, at_most: int, secret: bytes) -> Counted:
    """At most so many rows of each person. secret: 16 bytes or more of the owner's."""
    order = np.argsort(made.k, kind="stable")
    order = order[_same_person(made, order)]
    k = made.k[order]
    starts = _starts(k)
    number = np.arange(len(k)) - np.repeat(starts, np.diff(np.append(starts, len(k))))
    drawn = np.lexsort((_mixed(k, number.astype(np.uint64), secret), k))
    kept = drawn[_numbered(k[drawn]) < at_most]
    return Counted(order[kept], len(k) - len(kept), order[starts])


class RowsOfPersons:
    """Looks at rows as they come, ascending by handle: whether anybody has more than count.

    at_most: how many rows of one person do.
    """

    def __init__(self, at_most: int) -> None:
        self._at_most, self._k, self._k2 = at_most, np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64)

    def take(self, k: NDArray[np.uint64], k2: NDArray[np.uint64]) -> str:
        """The next rows: the rule that one of them breaks, or ""."""
        k, k2 = np.concatenate([self._k, k]), np.concatenate([self._k2, k2])
        if ((k[1:] == k[:-1]) & (k2[1:] != k2[:-1])).any():
            return "a k stands for two people in it"
        if (k[self._at_most :] == k[: -self._at_most]).any():
            return "a person has more rows in it than count"
        self._k, self._k2 = k[-self._at_most :], k2[-self._at_most :]
        return ""


def _same_person(made: Handles, order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows whose handle is the first of its `k`."""
    k, k2 = made.k[order], made.k2[order]
    starts = _starts(k)
    return np.asarray(k2 == np.repeat(k2[starts], np.diff(np.append(starts, len(k)))))


def _starts(k: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where a new person begins."""
    return np.flatnonzero(np.append(np.ones(min(1, len(k)), dtype=np.bool_), k[1:] != k[:-1]))


def _numbered(k: NDArray[np.uint64]) -> NDArray[np.int64]:
    """0 for the first row of each person, and on."""
    starts = _starts(k)
    return np.arange(len(k)) - np.repeat(starts, np.diff(np.append(starts, len(k))))


def _mixed(k: NDArray[np.uint64], number: NDArray[np.uint64], secret: bytes) -> NDArray[np.uint64]:
    """A keyed scrambling of a person and a row's place among that person's rows (SplitMix64's finaliser, twice)."""
    one, two = np.frombuffer(secret[:16], dtype="<u8")
    return _scrambled(_scrambled(k ^ one) ^ number ^ two)


def _scrambled(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
