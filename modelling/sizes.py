"""How large effects of a column may be, from how large those of the other columns seem to be.

A size is the standard deviation of what a column's longest row adds to the log-odds: half Cauchy about a usual size.
Where sixty columns share a row, each adds little. So what is usual is learnt from the same noisy sums: for each column
from those of the others, since its own are seen beside that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .design import Block, Float
from .effects import USUAL, Beliefs, Known, Seen, half_cauchy

TRIED = np.geomspace(0.03, 5.0, 30)
"""Sizes, log-odds, that may be usual."""
APART = 0.5
"""How far, in log, what is usual may lie from `USUAL`: standard deviation."""


def together(columns: Sequence[Block], known: Sequence[Known]) -> list[Beliefs]:
    """What is believed of each column's weights, beside the others."""
    usual = np.stack([half_cauchy(float(size)) for size in TRIED])
    usual -= _log_sum(usual)[:, None]
    seen = [Seen.of(block, each) for block, each in zip(columns, known, strict=True)]
    said = [_log_sum(usual + each.evidence) for each in seen]
    whole = np.sum(said, axis=0) - np.log(TRIED / USUAL) ** 2 / (2 * APART**2)
    sizes = [_log_sum((usual + (whole - own)[:, None]).T) for own in said]
    return [Beliefs.of(each, size) for each, size in zip(seen, sizes, strict=True)]


def _log_sum(logs: Float) -> Float:
    """log of the sum of exp, a row. logs: rows x terms."""
    top = logs.max(axis=1, keepdims=True)
    return np.asarray(top[:, 0] + np.log(np.exp(logs - top).sum(axis=1)))
