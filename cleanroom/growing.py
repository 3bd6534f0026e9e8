"""A column of numbers that grows piece by piece, in memory that is taken once where its length was guessed well.

Memory that nothing was written to costs nothing, so room for too many is free; moving what is there is not.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Number = TypeVar("Number", bound=np.generic)


class Growing(Generic[Number]):
    """likely: about how many numbers there will be, rather more."""

    def __init__(self, dtype: type[Number], likely: int) -> None:
        self._dtype: DTypeLike = dtype
        self._held: NDArray[Number] = np.empty(likely, dtype)
        self._count = 0

    def put(self, piece: NDArray[Number]) -> None:
        """Put numbers behind those that are there."""
        end = self._count + len(piece)
        if end > len(self._held):
            larger: NDArray[Number] = np.empty(end + end // 2, self._dtype)
            larger[: self._count] = self.numbers
            self._held = larger
        self._held[self._count : end] = piece
        self._count = end

    @property
    def numbers(self) -> NDArray[Number]:
        """All of them, where they lie."""
        return self._held[: self._count]
