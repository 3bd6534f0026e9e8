"""A stand-in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .contest import Learnt
from .design import BITS, COUNT_UNIT, Design
from .lookalike import SeedGLM


def learn(design: Design, ordered: Sequence[bool], flipped: NDArray[np.bool_], flip: float) -> Learnt:
    """An additive model of debiased labels."""
    del ordered
    label = np.asarray((flipped - flip) / (1 - 2 * flip), dtype=np.float64)
    sums = np.append(design.project(label), label.sum() * COUNT_UNIT / 2**BITS)
    each = flip * (1 - flip) / (1 - 2 * flip) ** 2
    squares = sum(float(np.square(block).sum()) for block in design.blocks())
    return SeedGLM().fit_sums(design, sums, math.sqrt(each * squares / design.cells))
