"""People made up from declared domains alone: what an audit puts through the code in place of anybody's records.

Every value is as likely as any other, so nothing about real people is in them. Canaries are people who would have the
longest rows were nothing cut: their values are missing, and of sets they have all there is, each twice. Code that keeps
its promise cuts that to what one may have; code that forgets to is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from .design import Float, Mask
from .features import Category, Kind, Number, Ordinal

Uniform = Callable[[int], Float]
"""So many numbers, each as likely as any other between 0 and 1."""


def invented(declared: Sequence[Kind], rows: int, canaries: Mask, uniform: Uniform) -> pa.Table:
    """canaries: (rows,) bool."""
    return pa.table({kind.name: _column(kind, rows, canaries, uniform) for kind in declared})


def _column(kind: Kind, rows: int, canaries: Mask, uniform: Uniform) -> pa.Array:
    if isinstance(kind, Number):
        values = kind.low + (kind.high - kind.low) * uniform(rows)
        return pa.array(np.where(canaries, np.nan, values), pa.float64(), from_pandas=True)
    if isinstance(kind, Category | Ordinal):
        chosen = (uniform(rows) * len(kind.values)).astype(np.int64)
        return pa.array([None if c else kind.values[at] for at, c in zip(chosen, canaries, strict=True)], pa.string())
    return _sets(kind.values, min(kind.at_most, len(kind.values)), canaries, uniform)


def _sets(values: tuple[str, ...], most: int, canaries: Mask, uniform: Uniform) -> pa.Array:
    """Any number of them up to `most`, from a place in the list onwards; canaries have all of them twice."""
    starts = np.where(canaries, 0, (uniform(len(canaries)) * len(values)).astype(np.int64))
    sizes = np.where(canaries, 2 * len(values), (uniform(len(canaries)) * (most + 1)).astype(np.int64))
    twice = (*values, *values)
    lists = [list(twice[start : start + size]) for start, size in zip(starts, sizes, strict=True)]
    return pa.array(lists, pa.list_(pa.string()))
