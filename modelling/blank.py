"""What the noise of a fit that protects everything about a person is drawn for (`person`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..dp.aggregate import Statistic
from .design import BITS, Block
from .packed import step_l2_squared

STEPS = 24
PRIOR = 4
"""Which priors fits have, and how their steps go: of the same sums another makes another model, so that it is another
question. A lookalike says it by the number of its sums (`seed-moments@5`)."""


def blank(columns: Sequence[Block], steps: int = STEPS) -> Statistic:
    """Zeros for all the noise a fit needs: levels + 2 cells of margins, then `steps` pulls of cells + 1.

    Known from the declarations alone; l2_squared covers all of it together.
    """
    cells, levels = sum(b.cells for b in columns), sum(len(b.table) for b in columns)
    zeros = np.zeros(levels + 2 + steps * (cells + 1), dtype=np.int64)
    return Statistic(zeros, BITS, (steps + 1) * step_l2_squared(cells))
