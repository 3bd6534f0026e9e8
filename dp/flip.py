"""How often a label is flipped, for what price: whole numbers only, so that anyone can recompute a charge exactly.

A flip is the probability that one label of randomised response comes out wrong, in whole units of 2^-52: as float64 it
is exact, and OpenDP draws with just that probability. A label that is flipped with probability p keeps to the ε
ln((1 - p) / p), without a δ (Warner 1965): either answer is at most (1 - p) / p times as likely from one label as from
the other. Labels are flipped apart from each other, so that a record which moves b of them costs b ln((1 - p) / p):
the ratios of its labels multiply, and those of all others are 1 (group privacy).

Prices are whole units of 10^-12 of ε, rounded up in decimal arithmetic of 50 digits, which is the same on every
machine. A flip is chosen for one unit less than is paid: whoever checks it with float64, which is wrong by less than a
tenth of a unit here, finds that it holds.

Nothing here flips anything: `dp.mechanisms` does. Held by tests/dp/test_flip.py.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal
from functools import lru_cache
from typing import NewType

from .budget import EPSILON_UNIT

Flip = NewType("Flip", int)
"""Probability that a label comes out wrong, in whole units of 2^-52: above 0, at most a half."""

FLIP_UNIT = 2**52
LEAST_FLIP = 2**21 + 1
"""A verifier takes no smaller number for a flip, nor for the width of noise."""
ACCOUNTS = "responses"
"""Accounts `OWNER/responses` count ε, in whole units of 10^-12; flips are charged to these, and nothing else is."""
NO_FLIP = Flip(0)
"""Of what is made noisy in another way."""

_EXACT = Context(prec=50)


@lru_cache(maxsize=64)
def price_of(flip: Flip, moved: int) -> int:
    """What labels cost, in whole units of 10^-12 of ε, rounded up. moved: how many of them one record moves, 1 or more.

    Errors: ValueError where a flip or a number of labels is none.
    """
    if moved < 1 or not 0 < 2 * flip <= FLIP_UNIT:
        raise ValueError("a record moves labels, and a flip is a probability above 0 and at most a half")
    loss = _EXACT.ln(_EXACT.divide(Decimal(FLIP_UNIT - flip), Decimal(flip)))
    return int(_EXACT.multiply(loss, Decimal(moved * EPSILON_UNIT)).to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=64)
def least_flip(units: int, moved: int) -> Flip:
    """The least flip whose price is below so many units of 10^-12 of ε: 1 / (1 + e^(ε / moved)), rounded up; no label
    is wrong more seldom than once in 2^31.

    Errors: ValueError where so little buys no label that says anything.
    """
    each = _EXACT.divide(Decimal(units - 1), Decimal(moved * EPSILON_UNIT))
    share = _EXACT.divide(Decimal(FLIP_UNIT), _EXACT.add(Decimal(1), _EXACT.exp(each)))
    flip = Flip(max(LEAST_FLIP, int(share.to_integral_value(ROUND_CEILING))))
    if units < 2 or 2 * flip >= FLIP_UNIT:
        raise ValueError("no label says anything for so little")
    return flip
