"""Score bins where nobody's score may decide them: for readers who may not know who is there.

The ends lie on a grid around the middle of the scores, a share of their spread apart. Both follow from the noisy
margins that the model was fitted with, as if columns were independent: post-processing of what is paid already.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .design import Block, Float, Int
from .model import Model
from .person import margins_of

BINS = 16
REACH = (-1.8, 2.7)
"""First and last end, in standard deviations of the scores: audiences are cut from the upper end."""
FEW_BINS = 8
FEW_REACH = (-1.2, 2.1)
"""The same where each bin is counted several times, by how much is known of people: every count has its own noise."""
SMALLEST_SPREAD = 0.05


def steps(few: bool) -> Float:
    """Where bins end, in standard deviations of the scores beside their middle."""
    return np.linspace(*FEW_REACH, FEW_BINS - 1) if few else np.linspace(*REACH, BINS - 1)


def score_ends(columns: Sequence[Block], noisy: Int, scale: float, model: Model, few: bool = False) -> Float:
    """Where score bins end, ascending, in log-odds: of all bins, or of few. noisy, scale: the fit's noisy sums."""
    means, variances = margins_of(columns, noisy, scale).over_people([effects.values for effects in model.columns])
    spread = max(SMALLEST_SPREAD, math.sqrt(sum(variances)))
    return np.asarray(model.intercept + sum(means) + spread * steps(few))


def binned(scores: Float, ends: Float) -> Int:
    """The bin of each score, the best in bin 0. scores: log-odds, one a row."""
    return np.asarray(len(ends) - np.searchsorted(ends, scores, side="right"), dtype=np.int64)
