"""Steps on gradients that all have the same noise, or none: each from the mixture of the last ones that is off least.

A move solves for each column as if the others were not there. How moves changed from step to step says how weights
really hang together, in the few directions that were gone; what a mixture of earlier steps would have left is told
by them, and the next step is taken from the mixture that leaves least (Anderson 1965; Walker, Ni 2011). Where
curvature is the same everywhere that is GMRES: eight gradients settle some hundred columns that hang together.

The first step knows nothing of that. It is so short that columns that all say the same are not overshot: the
direction that they share is as many times as curved as there are columns, and one more for the intercept. How many
times as curved the way of that step was, says how much is taken of what later mixtures leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .descent import Alike
from .design import Float

LONGEST = 0.3
"""Share of a Newton step taken first, at most."""
LATER, LEAST, MOST = 1.5, 0.1, 0.5
"""And of what is left by mixing: so much over how many times as curved the first step's way was, within bounds."""
RIDGE = 1e-8
"""Beside the mean square of what moves changed by: of changes that are nearly the same, none is mixed in by much."""


class Mixing:
    """One fit's steps. columns: how many."""

    remembers = 6

    def __init__(self, columns: int) -> None:
        self.first = min(LONGEST, 2 / (columns + 1))
        self.later = LEAST

    def onward(self, at: Sequence[Float], moves: Sequence[Float], alike: Alike) -> Float:
        """Where the next gradient is taken. at, moves: the last weights and where from each, newest last."""
        if len(at) == 1:
            return at[-1] + self.first * moves[-1]
        gone = [after - before for before, after in pairwise(at)]
        changed = [after - before for before, after in pairwise(moves)]
        if len(at) == 2:
            self.later = _later(gone[0], changed[0], alike)
        weights, left = at[-1], moves[-1]
        pairs = np.array([[alike(one, other) for other in changed] for one in changed])
        ridge = RIDGE * pairs.trace() * np.eye(len(pairs)) / len(pairs)
        seen = np.array([alike(one, left) for one in changed])
        for share, step, change in zip(np.linalg.lstsq(pairs + ridge, seen)[0], gone, changed, strict=True):
            weights, left = weights - share * step, left - share * change
        return weights + max(self.first, self.later) * left

    end = onward


def _later(gone: Float, changed: Float, alike: Alike) -> float:
    whole = alike(gone, gone)
    curved = -alike(changed, gone) / whole if whole else 1.0
    return min(max(LATER / max(curved, LATER), LEAST), MOST)
