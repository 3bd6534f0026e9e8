"""How far a person's score may be off: the noise's covariance is known, so every score has an interval.

Under the model of `lookalike`, the weights have a posterior: covariance S given the noisy sums, S0 had the sums come
without noise. By the law of total variance S - S0 is the spread, given what was released, of the fit without noise:
an interval from it says "noise", shrinkage included. S itself adds the luck of which people there are: "noise and
sampling". Both are post-processing. A person's variance is a sum over pairs of columns, read from one table a pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..dp.noisy import Z95
from .design import Design, Float, Int

Covers = Literal["noise", "noise and sampling"]


@dataclass(frozen=True, slots=True, eq=False)
class Doubt:
    """Covariance of the weights, cells x cells, and variance of the intercept: of noise, and with luck added."""

    digest: str
    noise: Float
    both: Float
    intercept_noise: float
    intercept_both: float

    @classmethod
    def of(cls, design: Design, used: Int, both: Float, noise: Float, luck_b: float, noise_b: float) -> Doubt:
        return cls(design.digest, _spread(design, used, noise), _spread(design, used, both), noise_b, noise_b + luck_b)

    def deviation(self, design: Design, covers: Covers = "noise and sampling") -> Float:
        """Standard deviation of each person's log-odds. Errors: ValueError for a design of another encoder."""
        if design.digest != self.digest:
            raise ValueError("the design was made by another encoder")
        noise = covers == "noise"
        variance = _quadratic(design, self.noise if noise else self.both)
        return np.sqrt(np.maximum(variance, 0) + (self.intercept_noise if noise else self.intercept_both))

    def interval(self, scores: Float, design: Design, covers: Covers = "noise and sampling") -> tuple[Float, Float]:
        """Ends of each person's 95 % interval, log-odds; over people and draws, not for each person, they hold 95 %."""
        wide = Z95 * self.deviation(design, covers)
        return scores - wide, scores + wide


def _spread(design: Design, used: Int, covariance: Float) -> Float:
    whole = np.zeros((design.cells, design.cells))
    whole[np.ix_(used, used)] = covariance
    return whole


def _quadratic(design: Design, covariance: Float) -> Float:
    """row' covariance row, a person: rows are sums of a table row a level that the person has."""
    ends = np.cumsum([0, *(block.cells for block in design.columns)])
    total = np.zeros(design.rows)
    for j, block in enumerate(design.columns):
        for i, other in enumerate(design.columns[: j + 1]):
            part = covariance[ends[i] : ends[i + 1], ends[j] : ends[j + 1]]
            total += (1 if i == j else 2) * _pairs(design, i, j, other.real @ part @ block.real.T)
    return total


def _pairs(design: Design, i: int, j: int, table: Float) -> Float:
    """Sum of the table's values over the pairs of levels that each person has."""
    first, second = design.codes[i], design.codes[j]
    if first.row is None and second.row is None:
        return np.asarray(table[first.level, second.level])
    total = np.zeros(design.rows)
    left = np.zeros((design.rows, table.shape[0]))
    row = np.arange(design.rows) if first.row is None else first.row
    np.add.at(left, (row, first.level), 1.0)
    right = left @ table
    other = np.arange(design.rows) if second.row is None else second.row
    np.add.at(total, other, right[other, second.level])
    return total
