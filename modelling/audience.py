"""Who to reach: the publisher's own people that score highest.

The code ensures: the choice reads scores, a keyed tiebreak and a size; no label, no join order. Rows come back in
their own order, so that nothing about the ranking, nor about who matched, shows in it.
The caller ensures: the tiebreak is a hash under a key that no label went into.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_first(scores: NDArray[np.float64], tiebreak: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Row numbers from the highest score to the lowest, equal scores by ascending tiebreak.

    Errors: ValueError for scores that are not finite, or a tiebreak of another length.
    """
    if scores.shape != tiebreak.shape or not np.isfinite(scores).all():
        raise ValueError("every row needs a finite score and a tiebreak")
    return np.lexsort((tiebreak, -scores)).astype(np.int64)


def choose(scores: NDArray[np.float64], tiebreak: NDArray[np.uint64], size: int) -> NDArray[np.int64]:
    """The `size` best rows, in ascending order of row number. Errors: ValueError for a size out of range."""
    if not 0 <= size <= len(scores):
        raise ValueError("an audience is no smaller than 0 and no larger than the people there are")
    return np.sort(best_first(scores, tiebreak)[:size])
