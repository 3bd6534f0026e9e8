"""What a column's effects are expected to be like before anything is known of them, but for their size.

Effects of levels are rows of a table times weights. Weights are expected to be independent and alike, so that effects
are as alike as rows are; those of an ordered column smoother still, where little noise covers them. Rows that are
measured otherwise (`column_strategy`) have other weights, of which the same effects are expected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .design import ONE, Block, Float, largest_norm_squared

FEWEST_LEVELS, NULL = 4, 1e-9
"""Levels an ordered column must have for its effects to be taken as smoother than its rows; what counts as none of the
rows' own spread."""


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """length: of the longest row, so that a size is that of the largest effect. root, inverse: cells x cells, of the
    weights' covariance root root^T, and its inverse; None where they are independent, all alike."""

    length: float
    root: Float | None = None
    inverse: Float | None = None

    @classmethod
    def of(cls, block: Block, smoother: float = 0.0) -> Expected:
        """Of an ordered column: a direction that is a share of the rows' own spread has that share to the power of
        `smoother` as its variance; effects are as large on average as they would be without."""
        length = max(math.sqrt(largest_norm_squared(block)) / ONE, 1e-6)
        if smoother == 0 or not block.ordered or len(block.levels) < FEWEST_LEVELS:
            return cls(length)
        levels = block.real[:-1, :-1]
        values, vectors = np.linalg.eigh(levels.T @ levels)
        spread = values > NULL * values.max()
        variance = np.where(spread, values, values[spread].min()) ** smoother
        variance *= values[spread].sum() / (values[spread] * variance[spread]).sum()
        root, inverse = np.eye(block.cells), np.eye(block.cells)
        root[:-1, :-1] = (vectors * np.sqrt(variance)) @ vectors.T
        inverse[:-1, :-1] = (vectors / variance) @ vectors.T
        return cls(length, root, inverse)

    def through(self, turn: Float) -> Expected:
        """The same effects, of rows times `turn`. turn: cells x cells, symmetric, of full rank."""
        back = np.linalg.inv(turn)
        root = back if self.root is None else back @ self.root
        inverse = turn @ turn if self.inverse is None else turn @ self.inverse @ turn
        return Expected(self.length, np.asarray(root, dtype=np.float64), inverse)

    def penalised(self, noisy: Float) -> Float:
        return noisy if self.inverse is None else noisy @ self.inverse
