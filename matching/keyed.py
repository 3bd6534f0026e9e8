"""Whether handles look keyed: what a room can see of a column that was made without `prepare`.

A handle is half of an HMAC, so each of its 128 bits is one in about half of the rows, whoever the people are. Text,
small numbers, times and what was padded is not so. And a list that was hashed but not keyed gives itself away where it
holds the hash of nothing, or of what many lists hold (`matching.well_known`).

False alarms: by Hoeffding's bound a fair bit strays from one half by more than sqrt(ln(2 * 128 / alarm) / 2 rows) with
a chance below `ALARM` over all 128 bits, so below 67 rows nothing is refused for its bits; a keyed handle equals one of
the known hashes with a chance below rows * 2^-120. Whether a column was keyed with the right key cannot be seen here.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np

from .encodings import known_digests
from .hashing import Handles

ALARM = 1e-12
MOST_ROWS = 2**19
"""Rows that are looked at, spread over the list."""
STRAYS = "its handles are not spread as keyed hashes are: text or numbers were put in their place"
KNOWN = "it holds the plain hash of a well-known value: it was hashed and not keyed"


def strays(handles: Handles) -> bool:
    """Whether a bit of theirs is one more often, or more seldom, than a fair one. They are of the whole list."""
    step = max(1, len(handles) // MOST_ROWS)  # rows are sorted: the first ones alone would begin alike
    halves = handles.k[::step], handles.k2[::step]
    if not (rows := len(halves[0])):
        return False
    most = rows * math.sqrt(math.log(2 * 128 / ALARM) / (2 * rows))
    for half in halves:
        for bit in range(64):
            ones = int(np.count_nonzero(half & np.uint64(1 << bit)))
            if abs(ones - rows / 2) > most:
                return True
    return False


def is_known(handles: Handles) -> bool:
    """Whether one of them is the plain hash of what many lists hold."""
    known = _known()
    maybe = np.isin(handles.k, np.array([k for k, _ in known], np.uint64))
    return any((int(k), int(k2)) in known for k, k2 in zip(handles.k[maybe], handles.k2[maybe], strict=True))


@cache
def _known() -> frozenset[tuple[int, int]]:
    return frozenset(
        (int.from_bytes(digest[:8], order), int.from_bytes(digest[8:16], order))
        for digest in known_digests("sha256").digests
        for order in _ORDERS
        if any(digest)
    )


_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
