"""Loops over people, compiled by numba (the extra `fast`). `loops` calls them; nothing else does.

The caller ensures: every code is below the length of the array that it looks into, since nothing is checked here.
"""

from __future__ import annotations

from typing import Any

import numba as nb

_compiled: Any = nb.njit(cache=True, nogil=True, boundscheck=False)


@_compiled
def add(total, joint, code):  # type: ignore[no-untyped-def]
    for row in range(len(code)):
        total[row] += joint[code[row]]


@_compiled
def sum_into(found, weights, code):  # type: ignore[no-untyped-def]
    for row in range(len(code)):
        found[code[row]] += weights[row]
