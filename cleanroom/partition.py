"""Where a handle lies: partitions of a data set, by the highest bits of `k`.

Handles are keyed hashes, uniform on 64 bits, so the highest bits deal them out evenly, and a list that ascends by `k`
ascends through its partitions. Two data sets are joined partition by partition, so that no more than one of either is
in memory; the larger one has more of them, and each lies within one of the other's.

How many there are follows from the number of rows, which is public. An owner who crafts handles that all begin alike
makes one partition as large as its list: that costs the room memory, and tells nobody anything.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROWS = 2**21
"""About so many rows lie in one partition: 32 MiB of handles."""
MOST = 1024


def partitions(rows: int) -> int:
    """How many partitions a list of so many rows has: a power of two."""
    count = 1
    while count < MOST and rows > count * ROWS:
        count *= 2
    return count


def ends(k: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """Of handles that ascend, where each of so many partitions ends."""
    firsts = np.arange(1, count, dtype=np.uint64) << np.uint64(65 - count.bit_length())
    return np.append(np.searchsorted(k, firsts), len(k)).astype(np.int64)
