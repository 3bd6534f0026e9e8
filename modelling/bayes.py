"""Naive Bayes on noisy counts: columns taken one by one, as if each told of seeds whatever the others say.

The counts of seeds by level follow from the same noisy moments that `lookalike.SeedGLM` is fitted on: a block of
moments is its table times those counts, and all levels together are the noisy number of seeds. So it costs nothing
beside the other, and is all post-processing. With few seeds, where weights of correlated columns cannot be told apart,
its bias is smaller than their variance.

A level's factor is its share of the seeds over its share of the people, drawn towards 1 as far as noise and few seeds
leave it in doubt.
"""

from __future__ import annotations

import numpy as np

from ..dp.noisy import Noisy
from .design import BITS, COUNT_UNIT, Block, Design, Float
from .lookalike import FEWEST, LARGEST_SHARE, DesignMismatch, Effects, Model, calibrate

USUAL = 0.7
"""How far from 1 factors usually are."""
SMALLEST_FACTOR = 0.05


def naive_bayes(design: Design, noisy: Noisy) -> Model:
    """The model that paid moments of these very people give. Errors: DesignMismatch; ValueError without rows."""
    if noisy.values.shape != (design.cells + 1,) or noisy.bits != BITS:
        raise DesignMismatch(noisy.values.size, design.cells + 1)
    if design.rows == 0:
        raise ValueError("there is nobody to learn from")
    seeds = min(max(FEWEST, float(noisy.values[-1]) / COUNT_UNIT), LARGEST_SHARE * design.rows)
    everyone = np.ones(design.rows, dtype=np.bool_)
    effects, start = [], 0
    for block, code in zip(design.columns, design.codes, strict=True):
        people = code.count(everyone, len(block.levels)).astype(np.float64)
        sums = noisy.real[start : start + block.cells]
        effects.append(
            Effects(block.name, block.levels, _effects(block, people, sums, noisy.sigma, seeds, design.rows))
        )
        start += block.cells
    intercept = calibrate(design.scores([each.values for each in effects]), seeds / design.rows)
    return Model(design.digest, 1.0, intercept, tuple(effects))


def _effects(block: Block, people: Float, sums: Float, sigma: float, seeds: float, rows: int) -> Float:
    """Log factors of a column's levels. people: with each level, of so many rows."""
    alone = block.at_most == 1
    tables, wanted = (
        (np.vstack([block.real.T, np.ones(len(people))]), np.append(sums, seeds)) if alone else (block.real.T, sums)
    )
    inverse = np.linalg.pinv(tables)
    counts, variance = inverse @ wanted, sigma**2 * (inverse[:, : block.cells] ** 2).sum(axis=1)
    expected = np.maximum(people * seeds / rows, 1e-9)
    doubt = variance / expected**2 + 1 / expected
    factor = 1 + (counts / expected - 1) * USUAL**2 / (USUAL**2 + doubt)
    return np.asarray(np.log(np.maximum(factor, SMALLEST_FACTOR)))
