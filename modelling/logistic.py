"""The logistic function, and the intercept at which probabilities have a wanted mean."""

from __future__ import annotations

import math

import numpy as np

from .design import Float

FEWEST, LARGEST_SHARE = 5.0, 0.95
"""The share of matches is taken to be no less than this many people, and no more than this share."""


def sigmoid(log_odds: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -35, 35))))


def calibrate(scores: Float, share: float, weights: Float | None = None) -> float:
    """The intercept at which the mean probability is `share`: Newton steps, bisection where one leaves the bracket.

    weights: how much each row counts, adding up to 1; all the same where they are left out.
    """
    logit = math.log(share / (1 - share))
    average = np.mean if weights is None else weights.dot
    low, high = logit - float(scores.max()), logit - float(scores.min())
    at = (low + high) / 2
    for _ in range(60):
        p = sigmoid(at + scores)
        mean, slope = float(average(p)), float(average(p * (1 - p)))
        low, high = (at, high) if mean < share else (low, at)
        if abs(mean - share) < 1e-12 * share or high - low < 1e-12:
            break
        step = at + (share - mean) / max(slope, 1e-300)
        at = step if low < step < high else (low + high) / 2
    return at
