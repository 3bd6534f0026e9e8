"""Score bins where nobody's score may decide them: for readers who may not know who is there.

The ends lie on a grid around the middle of the scores, a share of their spread apart. Both follow from the noisy
margins that the model was fitted with, as if columns were independent: post-processing of what is paid already.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .design import Block, Float, Int
from .lookalike import Model
from .person import margins_of

BINS = 16
REACH = (-1.8, 2.7)
"""First and last end, in standard deviations of the scores: audiences are cut from the upper end."""
SMALLEST_SPREAD = 0.05


def score_ends(columns: Sequence[Block], noisy: Int, scale: float, model: Model) -> Float:
    """Where score bins end, ascending, in log-odds: BINS - 1 of them. noisy, scale: the fit's noisy sums."""
    means, variances = margins_of(columns, noisy, scale).over_people([effects.values for effects in model.columns])
    spread = max(SMALLEST_SPREAD, math.sqrt(sum(variances)))
    return np.asarray(model.intercept + sum(means) + spread * np.linspace(*REACH, BINS - 1))


def binned(scores: Float, ends: Float) -> Int:
    """The bin of each score, the best in bin 0. scores: log-odds, one a row."""
    return np.asarray(len(ends) - np.searchsorted(ends, scores, side="right"), dtype=np.int64)
