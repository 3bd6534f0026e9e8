"""Naive Bayes on noisy counts: columns taken one by one, as if each told of seeds whatever the others say.

The counts of seeds by level follow from the same noisy moments that `lookalike.SeedGLM` is fitted on: a block of
moments is its table times those counts, and all levels together are the noisy number of seeds. Where people are
measured by a strategy, its turn is undone first, and a person counts as much as its row was not cut: among the seeds,
and among the people they are held against. So it costs nothing beside the other, and is all post-processing. With few
seeds, where weights of correlated columns cannot be told apart, its bias is smaller than their variance.

A level's factor is its share of the seeds over its share of the people, drawn towards 1 as far as noise and few seeds
leave it in doubt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dp.noisy import Noisy
from .design import BITS, COUNT_UNIT, Block, Design, DesignMismatch, Float
from .logistic import FEWEST, LARGEST_SHARE, calibrate
from .model import Effects, Model
from .strategy import Rows, design_of

USUAL = 0.7
"""How far from 1 factors usually are."""
SMALLEST_FACTOR = 0.05


def naive_bayes(people: Rows, noisy: Noisy) -> Model:
    """The model that paid moments of these very people give. Errors: DesignMismatch; ValueError without rows."""
    design = design_of(people)
    if noisy.values.shape != (design.cells + 1,) or noisy.bits != BITS:
        raise DesignMismatch(noisy.values.size, design.cells + 1)
    if design.rows == 0:
        raise ValueError("there is nobody to learn from")
    seeds = min(max(FEWEST, float(noisy.values[-1]) / COUNT_UNIT), LARGEST_SHARE * design.rows)
    counted = _Counted.of(people, noisy, seeds / design.rows)
    effects, start = [], 0
    for block, code in zip(design.columns, design.codes, strict=True):
        mine = slice(start, start + block.cells)
        held = code.gather(counted.weight, len(block.levels))
        effects.append(Effects(block.name, block.levels, _effects(block, held, counted, mine)))
        start += block.cells
    intercept = calibrate(design.scores([each.values for each in effects]), seeds / design.rows)
    return Model(design.digest, 1.0, intercept, tuple(effects))


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """Sums of rows as they are over seeds, a cell. weight: how much each person counts. seeds: all of them, as much as
    they count. share: of seeds among people. spread: noise in the sums, cells x independent parts."""

    sums: Float
    weight: Float
    seeds: float
    share: float
    spread: Float

    @classmethod
    def of(cls, people: Rows, noisy: Noisy, share: float) -> _Counted:
        sums = noisy.real[:-1]
        if isinstance(people, Design):
            return cls(sums, np.ones(people.rows), share * people.rows, share, noisy.sigma * np.eye(people.cells))
        back, middle = people.plain()
        seeds = share * float(people.short.sum())
        return cls(back @ sums[people.used] + middle * seeds, people.short, seeds, share, noisy.sigma * back)


def _effects(block: Block, people: Float, counted: _Counted, mine: slice) -> Float:
    """Log factors of a column's levels. people: with each level, as much as they count. mine: the column's cells."""
    alone, sums = block.partition, counted.sums[mine]
    tables, wanted = (
        (np.vstack([block.real.T, np.ones(len(people))]), np.append(sums, counted.seeds))
        if alone
        else (block.real.T, sums)
    )
    inverse = np.linalg.pinv(tables)
    counts, variance = inverse @ wanted, ((inverse[:, : block.cells] @ counted.spread[mine]) ** 2).sum(axis=1)
    expected = np.maximum(people * counted.share, 1e-9)
    doubt = variance / expected**2 + 1 / expected
    factor = 1 + (counts / expected - 1) * USUAL**2 / (USUAL**2 + doubt)
    return np.asarray(np.log(np.maximum(factor, SMALLEST_FACTOR)))
