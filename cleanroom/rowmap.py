"""Where the rows that count stand in the file, a bit a row, so that the few that are named later are found."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class RowMap:
    """Grows piece by piece, as the file is read."""

    def __init__(self) -> None:
        self._bits: list[NDArray[np.uint8]] = []
        self._begins, self._counted = [0], [0]

    def put(self, counts: NDArray[np.bool_]) -> None:
        """The next rows of the file. counts: (rows,) which of them do."""
        self._bits.append(np.packbits(counts))
        self._begins.append(self._begins[-1] + len(counts))
        self._counted.append(self._counted[-1] + int(counts.sum()))

    def of(self, rows: Iterable[int]) -> tuple[int, ...]:
        """Rows of the file. rows: among those that count, from 0."""
        return tuple(map(self._of, rows))

    def _of(self, row: int) -> int:
        piece = int(np.searchsorted(self._counted, row, side="right")) - 1
        there = np.flatnonzero(np.unpackbits(self._bits[piece]))
        return self._begins[piece] + int(there[row - self._counted[piece]])
