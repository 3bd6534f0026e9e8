"""How large effects of columns are, as far as noisy sums leave it open: on a grid, and pooled over columns.

Of each column its sums say how plausible every size of its effects is. Before they are seen sizes lie around a middle,
on a log scale, by `APART`. The middle is that of all columns, drawn to `USUAL` as if `SEEN` more columns lay there: of
many columns of which few tell, most are taken to tell less than usual. A size is then a mean of what is left
plausible. An iteration would stay where the evidence is flat, and a grid does not.

All of it is post-processing of noisy sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .design import Float

USUAL, APART, SEEN = 0.3, 1.0, 5.0
"""Standard deviation, log-odds, that effects of a column usually have; how far apart, in log, sizes of columns are; and
for how many columns the first of these speaks."""
GRID = np.geomspace(0.02, 3.0, 60) / USUAL
"""Sizes, in units of the usual one."""
MIDDLES = 20
"""Rounds in which the middle is found."""

Spectrum = tuple[Float, Float]
"""A column's sums in its own directions: how precisely each is seen, and how far it pulls."""


def sizes(spectra: Sequence[Spectrum], usual: Sequence[float], power: float) -> Float:
    """Standard deviation of each column's weights. usual: what it is before anything is known. power: of sizes, of
    which the mean is taken.

    A column whose sums say nothing has no direction in its spectrum.
    """
    each = zip(spectra, usual, strict=True)
    logs = np.stack([log_evidence(*spectrum, (GRID * size) ** 2) for spectrum, size in each])
    middle = 0.0
    for _ in range(MIDDLES):
        likely = _likely(logs, middle)
        middle = float((likely @ np.log(GRID)).sum()) / (len(logs) + SEEN)
    return np.asarray((_likely(logs, middle) @ GRID**power) ** (1 / power) * np.array(usual))


def _likely(logs: Float, middle: float) -> Float:
    """How likely each size is, a row a column. middle: of logs of sizes."""
    both = logs - (np.log(GRID) - middle) ** 2 / (2 * APART**2)
    weights = np.exp(both - both.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def log_evidence(precision: Float, pull: Float, variances: Float) -> Float:
    """Of pulls ~ N(0, precision + precision^2 variance), up to a constant: one value a variance."""
    seen = precision > 1e-12
    gain = precision[seen, None] * variances
    return np.asarray(0.5 * (pull[seen, None] ** 2 * variances / (1 + gain) - np.log1p(gain)).sum(axis=0))
