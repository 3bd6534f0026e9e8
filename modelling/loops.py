"""The two loops over people that a fit makes once a step and a column: what levels add, and sums by level.

Both have a compiled form (`compiled`, numba, the extra `fast`), which reads codes as they are stored, where numpy makes
wide copies of them first. It is taken where that pays for loading it, and answers the same: sums here are of whole
numbers below 2^53, and what is added to one person's total is added in the same order.

The caller ensures: every code is below the size of what it looks up (`packed.Group` refuses others).
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .design import Float

CHUNK = 65_536
WORTH_IT = 40_000_000
"""Codes that a step looks up, from which on loading pays: it takes a second, and 24 steps then save two."""

Codes = NDArray[Any]


class Loops(Protocol):
    """total: (rows,), changed. joint: (levels,), of the same kind. code: (rows,). weights: (rows,), whole numbers."""

    def add(self, total: NDArray[Any], joint: NDArray[Any], code: Codes) -> None: ...
    def summed(self, code: Codes, weights: Float, size: int) -> Float: ...


class Plain:
    """In numpy, a part of the people at a time: what it copies stays in the cache."""

    def add(self, total: NDArray[Any], joint: NDArray[Any], code: Codes) -> None:
        for start in range(0, len(code), CHUNK):
            total[start : start + CHUNK] += np.take(joint, code[start : start + CHUNK], mode="clip")

    def summed(self, code: Codes, weights: Float, size: int) -> Float:
        found = np.zeros(size)
        for start in range(0, len(code), CHUNK):
            part = slice(start, start + CHUNK)
            found += np.bincount(code[part], weights[part], size)
        return found


class Compiled:
    """The same in machine code."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def add(self, total: NDArray[Any], joint: NDArray[Any], code: Codes) -> None:
        _refuse_unequal(total, code)
        self._module.add(total, joint, code)

    def summed(self, code: Codes, weights: Float, size: int) -> Float:
        _refuse_unequal(weights, code)
        found = np.zeros(size)
        self._module.sum_into(found, weights, code)
        return found


def _refuse_unequal(rows: NDArray[Any], code: Codes) -> None:
    """Compiled loops look no length up."""
    if len(rows) != len(code):
        raise ValueError("every person has one code in each group")


def loops_for(looks: int) -> Loops:
    """looks: codes that one step looks up."""
    compiled = _compiled() if looks >= WORTH_IT else None
    return Plain() if compiled is None else Compiled(compiled)


@cache
def _compiled() -> ModuleType | None:
    """None where numba is not installed, or finds no folder for what it compiled."""
    try:
        from . import compiled
    except (ImportError, RuntimeError):
        return None
    return compiled
