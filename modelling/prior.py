"""What a column's effects are taken to be like before anything is known of them: their sizes, found from noisy sums.

A column has one size. An ordered one has two: one of its trend, a line and a bend over its levels, and one of what
departs from the trend, where neighbouring levels share strength (`tables.smooth`). Most numbers tell by a trend; where
noise is large, one size for both either drowns the trend or lets noise through between levels.

Sizes are what the sums leave plausible, pooled over columns (`evidence`): all at once, each with the others' as they
were in the round before, and their weights left open. All of it is post-processing of noisy sums.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .design import ONE, Block, Design, Float, Int, largest_norm_squared
from .evidence import USUAL, Spectrum, sizes

SMALLEST_T, LARGEST_T = 0.03, 10.0
"""What the standard deviation of a weight is kept to where it is found once more for intervals."""
POWER = 2.0
"""Of sizes, of which the mean is taken: where noise hides much, a weight is believed in proportion to its variance."""
SETTLED = 0.03
"""Log of a variance: smaller changes end the search."""
FLAT = 1e-9
"""Directions that are seen less precisely, as a share of the best one, are not seen."""
TREND, FEWEST_LEVELS = 2, 4
"""Degree of a trend, and how many levels a column must have to have one."""


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """Weights = `directions` times independent coefficients: one for each used cell, then those of trends.

    trends: used cells x coefficients. part: which size a coefficient has: its column's, or that of the column's trend.
    usual: each size squared, before anything is known.
    """

    trends: Float
    part: Int
    usual: Float

    @classmethod
    def of(cls, design: Design, used: Int, column: Int) -> Prior:
        """used: positions of the cells that are fitted, and `column`, whose they are."""
        ends = np.cumsum([0, *(block.cells for block in design.columns)])
        usual = [(USUAL / _length(block)) ** 2 for block in design.columns]
        trends, part = [np.zeros((len(used), 0))], [column]
        for i, block in enumerate(design.columns):
            if block.ordered and len(block.levels) - 1 >= FEWEST_LEVELS:
                whole = np.zeros((design.cells, TREND))
                whole[ends[i] : ends[i + 1]] = _trend(block)
                trends.append(whole[used])
                part.append(np.full(TREND, len(usual)))
                usual.append(usual[i])
        return cls(np.hstack(trends), np.concatenate(part), np.array(usual))

    def variances(self, precision: Float, pull: Float, rounds: int) -> Float:
        """Each size squared, given what the sums say of the weights."""
        directions = np.hstack([np.eye(len(self.trends)), self.trends])
        precision, pull = directions.T @ precision @ directions, directions.T @ pull
        members = [np.flatnonzero(self.part == at) for at in range(len(self.usual))]
        variance, usual = self.usual.copy(), np.sqrt(self.usual).tolist()
        for _ in range(rounds):
            spread: Float = np.asarray(np.linalg.inv(precision + np.diag(1 / variance[self.part])), dtype=np.float64)
            mean = spread @ pull
            each = zip(members, variance.tolist(), strict=True)
            new = sizes([_alone(spread[np.ix_(at, at)], mean[at], prior) for at, prior in each], usual, POWER) ** 2
            moved = float(np.abs(np.log(new / variance)).max(initial=0.0))
            variance = new
            if moved < SETTLED:
                break
        return variance

    def covariance(self, sizes: Float) -> Float:
        """Of the weights. sizes: squared."""
        cells, variances = len(self.trends), sizes[self.part]
        return np.asarray(np.diag(variances[:cells]) + (self.trends * variances[cells:]) @ self.trends.T)

    def precision(self, sizes: Float) -> Float:
        """Inverse of the weights' covariance. sizes: squared."""
        cells, variances = len(self.trends), sizes[self.part]
        scaled = self.trends / variances[:cells, None]
        inner = np.linalg.inv(np.diag(1 / variances[cells:]) + self.trends.T @ scaled)
        return np.asarray(np.diag(1 / variances[:cells]) - scaled @ inner @ scaled.T, dtype=np.float64)


def _alone(spread: Float, mean: Float, prior: float) -> Spectrum:
    """What the sums say of some coefficients, the others left open: what is believed of them, without their prior."""
    if not len(mean):
        return mean, mean
    inverse = np.linalg.inv(spread)
    precision, directions = np.linalg.eigh(inverse - np.eye(len(mean)) / prior)
    told = precision > FLAT * max(float(precision[-1]), 0.0)
    return precision[told], directions.T[told] @ (inverse @ mean)


def _length(block: Block) -> float:
    return float(max(math.sqrt(largest_norm_squared(block)) / ONE, 1e-6))


def _trend(block: Block) -> Float:
    """Weights under which effects are a line, and a bend, over a column's levels, as large as its rows are long."""
    levels = len(block.levels) - 1
    shapes = np.polynomial.legendre.legvander(np.linspace(-1, 1, levels), TREND)[:, 1:]
    shapes = shapes - shapes.mean(axis=0)
    return np.asarray(np.linalg.lstsq(block.real[:-1], shapes * _length(block), rcond=1e-8)[0], dtype=np.float64)
