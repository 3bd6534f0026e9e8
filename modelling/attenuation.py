"""Effects as they are beside all that other columns add, not beside the part of it that noise left.

A log-odds effect looks smaller where what other columns add is left out of the model: by 1 / sqrt(1 + c^2 s^2), with
s^2 the variance over people of what is left out and c = 16 sqrt(3) / (15 pi) (Zeger, Liang, Albert 1988). Shrinkage
leaves a part of every column out. How much, is read from the same noisy sums, in a few rounds: post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .design import Block, Float
from .effects import Beliefs, Held, Known, alone

LEFT_OUT = (16 * math.sqrt(3) / (15 * math.pi)) ** 2
ROUNDS = 3


Believing = Callable[[Sequence[Block], Sequence[Known]], list[Beliefs]]
"""What is believed of each column, from what sums say of it."""


def restored(
    columns: Sequence[Block],
    held: Sequence[Held],
    known: Sequence[Known],
    effects: Sequence[Float],
    believing: Believing = alone,
) -> list[Known]:
    """What sums say of each column's weights once others are as large as believed. effects: of the model that the sums
    were made at, one value a level."""
    there = [float(values @ each.spread @ values) for each, values in zip(held, effects, strict=True)]
    found = list(known)
    for _ in range(ROUNDS):
        believed = spreads(columns, held, believing(columns, found))
        left = [whole - part for whole, part in zip(believed, there, strict=True)]
        found = [_enlarged(each, sum(left) - own) for each, own in zip(known, left, strict=True)]
    return found


def spreads(columns: Sequence[Block], held: Sequence[Held], beliefs: Sequence[Beliefs]) -> list[float]:
    """Variance over people of what each column adds to the log-odds, on average over what is believed."""
    each = zip(columns, held, beliefs, strict=True)
    return [believed.mean(block.real.T @ has.spread @ block.real) for block, has, believed in each]


def _enlarged(known: Known, left_out: float) -> Known:
    """The same likelihood of weights that show only in part."""
    shown = 1 / math.sqrt(1 + LEFT_OUT * max(0.0, left_out))
    return Known(known.precision * shown**2, known.pull * shown)
