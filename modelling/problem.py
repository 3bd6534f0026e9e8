"""The problem that noisy sums pose, and its solution: the weights under which they are most plausible.

The model. A person matches with probability p = c / (1 + exp(-z)), z = b + F w, F the rows as they are. Given the
people, s = sum y g, with measured rows G, has mean G'p and variance close to G' diag(p (1 - p)) G; the noise adds
sigma^2 I. So w is the posterior mode under s ~ N(G'p(w), G' diag(p (1 - p)) G + sigma^2 I) and w ~ N(0, t_j^2) in
column j, found by damped Gauss-Newton steps.
The t_j come from the noisy sum itself, from the evidence at w = 0, pooled over columns; ordered columns have a second
one, for a trend (`prior`). Last, b is moved until the mean probability is the noisy share of matches.

The ceiling c is there because a seed is often a sample of those who are like it: the others look the same and are
not matched, so no one's probability comes near 1, however rare or frequent seeds are (Elkan & Noto 2008). Tried are
c = 1 and a few multiples of the noisy share of matches; kept is the one under which the noisy sum is most plausible
(Laplace), which costs nothing either. Measured on Adult, 100,000 people: where 2,000 of 24,000 positives are seeds,
c = 1 has AUROC .900 and the choice .905 at epsilon 1; where all positives are seeds the choice is c = 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from .design import BITS, COUNT_UNIT, Design, DesignMismatch, Float, Int, across, column_of_cells, used_cells
from .doubt import Doubt
from .effects import Known
from .logistic import FEWEST, LARGEST_SHARE, calibrate, sigmoid
from .model import Effects, Model
from .prior import LARGEST_T, SMALLEST_T, Prior
from .strategy import Strategy
from .view import View, seen

LARGEST_STEP = 3.0
"""No step moves anyone's log-odds further than this."""
SETTLED = 0.05
REFINED, INNER = 3, 8
"""Rounds of finding variances once more for intervals: around new weights, and around the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """weights: of the used cells. plausibility: log evidence, up to a constant that is the same for every ceiling.

    prior: precision of the weights before the sums were seen, cells x cells.
    """

    weights: Float
    plausibility: float
    prior: Float


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """The noisy sums beside the people they came from, under one ceiling.

    used: positions of the cells that some person fills; the others hold noise only. column: whose cells those are.
    sums: their noisy values, and sigma the noise in them, in units of a row's length. share: of matches among
    people, from the noisy count, kept where a log-odds exists.
    """

    design: Design
    used: Int
    column: Int
    sums: Float
    sigma: float
    share: float
    ceiling: float

    @classmethod
    def each(cls, design: Design, sums: Float, sigma: float, ceilings: tuple[float, ...]) -> list[Problem]:
        """One problem for no ceiling, and for each that stays below 1. sums: of rows as they are."""
        used = used_cells(design)
        return [cls(*said) for said in _said(design, used, sums, sigma, ceilings)]

    def model(self, weights: Float) -> Model:
        levels = self.levels(weights)
        intercept = self.intercept(self.design.scores(levels))
        pairs = zip(self.design.columns, levels, strict=True)
        effects = tuple(Effects(block.name, block.levels, values) for block, values in pairs)
        return Model(self.design.digest, self.ceiling, intercept, effects)

    def intercept(self, scores: Float) -> float:
        """Under which the mean probability is the share of matches."""
        return calibrate(scores, self.share / self.ceiling)

    def levels(self, weights: Float) -> list[Float]:
        """The effects of the columns' levels under these weights."""
        full = np.zeros(self.design.cells)
        full[self.used] = weights
        ends = np.cumsum([block.cells for block in self.design.columns])
        parts = np.split(full, ends[:-1])
        return [block.real @ part for block, part in zip(self.design.columns, parts, strict=True)]

    def view(self, weights: Float) -> View:
        """The problem around `weights`: sums move by S dw and scatter with V + sigma^2 I, so they weigh S V^-1 S."""
        expected, scattered, moving = self.people(self.design.scores(self.levels(weights)))
        return seen(*self.moved(scattered, moving), self.sums - self.total(expected), self.sigma)

    def total(self, expected: Float) -> Float:
        """What the sums would be, were these the people's labels."""
        return np.asarray(self.design.project(expected)[self.used])

    def moved(self, scattered: Float, moving: Float) -> tuple[Float, Float]:
        """V, and S: how much the sums scatter, and how they move with the weights."""
        spread = self._curvature(scattered)
        return spread, spread if moving is scattered else self._curvature(moving)

    def across(self, other: Design, weights: Float) -> Float:
        """How the sums go together with those of other rows of the same people, about the rows' weighted means."""
        means = np.outer(self.total(weights), other.project(weights)) / max(float(weights.sum()), 1e-300)
        return np.asarray(across(self.design, other, weights)[self.used] - means)

    def people(self, scores: Float) -> tuple[Float, Float, Float]:
        """What each person adds to the sums, a row's length each: expected, its variance, and how it moves with z."""
        up = sigmoid(self.intercept(scores) + scores)
        p = self.ceiling * up
        scattered = p * (1 - p)
        return p, scattered, scattered if self.ceiling == 1 else p * (1 - up)

    def _curvature(self, weights: Float) -> Float:
        """Rows' scatter about their weighted mean: the intercept follows from the count whatever the weights are."""
        mean = self.design.project(weights)[self.used]
        whole = self.design.curvature(weights)[np.ix_(self.used, self.used)]
        return np.asarray(whole - np.outer(mean, mean) / max(float(weights.sum()), 1e-300))

    def solve(self, rounds: int, steps: int) -> Solution:
        """Damped steps from 0 until nobody's score moves by more than `SETTLED`."""
        weights = np.zeros(len(self.used))
        view = self.view(weights)
        believed = Prior.of(self.design, self.used, self.column)
        prior = believed.precision(believed.variances(view.precision, view.pull, rounds))
        for _ in range(steps):
            pull = view.pull - prior @ weights
            move = np.asarray(np.linalg.solve(view.precision + prior, pull), dtype=np.float64)
            furthest = float(np.abs(self.design.scores(self.levels(move))).max())
            weights = weights + move * min(1.0, LARGEST_STEP / max(furthest, LARGEST_STEP))
            view = self.view(weights)
            if furthest < SETTLED:
                break
        loose = float(np.linalg.slogdet(view.precision + prior)[1] - np.linalg.slogdet(prior)[1])
        return Solution(weights, -(view.misfit + float(weights @ prior @ weights) + loose) / 2, prior)

    def doubt(self, solution: Solution) -> Doubt:
        """The posterior's covariance, and how much of it would be left without noise."""
        noisy = self.view(solution.weights)
        exact = self.exact().view(solution.weights)
        both: Float = np.asarray(np.linalg.inv(noisy.precision + solution.prior), dtype=np.float64)
        luck = np.linalg.inv(exact.precision + solution.prior)
        noise = np.asarray(both - luck, dtype=np.float64)
        return Doubt.of(self.design, self.used, both, noise, *self.intercept_doubt())

    def whole_doubt(self, solution: Solution) -> Doubt:
        """The same with what the sizes of effects leave open: they are found once more (`_anew`), where they are larger
        than a fit has them, and what is left between the two, and in the intercept, counts as doubt.

        `doubt` stays as it is for answers of a completion, whose sureness decides which paid count a person is in.
        """
        spread, weights, variance = self._anew(solution)
        away = weights - solution.weights
        both = np.asarray(spread + np.outer(away, away), dtype=np.float64)
        exact = self.exact().view(solution.weights).precision
        luck = np.linalg.inv(exact + np.diag(1 / variance[self.column]))
        luck_b, noise_b = self.intercept_doubt()
        bent = self._bend(solution.weights, spread) ** 2
        noise = np.asarray(spread - luck, dtype=np.float64)  # a fit without noise shrinks and bends as well
        return Doubt.of(self.design, self.used, both, noise, luck_b + bent, noise_b)

    def _bend(self, weights: Float, spread: Float) -> float:
        """How far the intercept goes, to second order, because scores are less spread than what they stand for."""
        scores = self.design.scores(self.levels(weights))
        up = sigmoid(self.intercept(scores) + scores)
        slope = up * (1 - up)
        bending = self.design.curvature(slope * (1 - 2 * up))[np.ix_(self.used, self.used)]
        return float(np.sum(bending * spread)) / (2 * max(float(slope.sum()), 1e-300))

    def exact(self) -> Problem:
        """The same, as if no noise were in it."""
        return replace(self, sigma=0.0)

    def intercept_doubt(self) -> tuple[float, float]:
        """Variance of the intercept: of luck, and of noise."""
        count = self.sigma / COUNT_UNIT * 2**BITS
        slope = self.share * (1 - self.share / self.ceiling) * self.design.rows
        return 1 / slope, (count / slope) ** 2

    def known(self, solution: Solution) -> list[Known]:
        """What the sums say of each column's weights, the other columns' weights left open: the column's own part in
        what is believed is taken out again."""
        found = self._anew(solution)
        return [self._alone(j, *found) for j in range(len(self.design.columns))]

    def anew(self, solution: Solution) -> Solution:
        """The same with sizes of effects found once more, as intervals have them (`_anew`)."""
        _, weights, variance = self._anew(solution)
        return replace(solution, weights=weights, prior=np.diag(1 / variance[self.column]))

    def _anew(self, solution: Solution) -> tuple[Float, Float, Float]:
        """The posterior's covariance, the weights, and the columns' variances.

        Variances are found once more, at the weights and not at 0, each as the mode of its logarithm where it is taken
        to be as likely as any other.
        """
        weights, size = solution.weights, np.maximum(np.bincount(self.column), 1)
        found = np.bincount(self.column, weights=1 / np.diag(solution.prior)) / size
        for _ in range(REFINED):
            view = self.view(weights)
            pull = view.pull + view.precision @ weights
            for _ in range(INNER):
                variance = found  # what these weights and their spread are of: a column's own part is taken out by it
                spread: Float = np.asarray(
                    np.linalg.inv(view.precision + np.diag(1 / variance[self.column])), dtype=np.float64
                )
                weights = np.asarray(spread @ pull, dtype=np.float64)
                second = np.bincount(self.column, weights=weights**2 + np.diag(spread))
                found = np.clip(second / np.maximum(size - 2, 1), SMALLEST_T**2, LARGEST_T**2)
        return spread, weights, variance

    def _alone(self, column: int, spread: Float, weights: Float, variance: Float) -> Known:
        """One column's likelihood, from the posterior of all: over all its cells, those that nobody fills too."""
        ends = np.cumsum([0, *(block.cells for block in self.design.columns)])
        cells, mine = int(ends[column + 1] - ends[column]), np.flatnonzero(self.column == column)
        precision, pull = np.zeros((cells, cells)), np.zeros(cells)
        if len(mine):
            inverse = np.linalg.inv(spread[np.ix_(mine, mine)])
            at = self.used[mine] - ends[column]
            precision[np.ix_(at, at)] = inverse - np.eye(len(mine)) / variance[column]
            pull[at] = inverse @ weights[mine]
        return Known(precision, pull)


@dataclass(frozen=True, slots=True, eq=False)
class Measured(Problem):
    """The same for sums of rows as a strategy has them."""

    strategy: Strategy

    @classmethod
    def by(cls, strategy: Strategy, sums: Float, sigma: float, ceilings: tuple[float, ...]) -> list[Measured]:
        """One problem for no ceiling, and for each that stays below 1."""
        said = _said(strategy.design, strategy.used, sums, sigma, ceilings)
        return [cls(*each, strategy) for each in said]

    def total(self, expected: Float) -> Float:
        return self.strategy.total(expected)

    def moved(self, scattered: Float, moving: Float) -> tuple[Float, Float]:
        return self.strategy.scatter(scattered), self.strategy.slope(moving)

    def across(self, other: Design, weights: Float) -> Float:
        return self.strategy.across(other, weights)


Said: TypeAlias = tuple[Design, Int, Int, Float, float, float, float]


def _said(design: Design, used: Int, sums: Float, sigma: float, ceilings: tuple[float, ...]) -> list[Said]:
    """What a problem holds, for no ceiling and each below 1. sums: all cells and the count."""
    if sums.shape != (design.cells + 1,):
        raise DesignMismatch(sums.size, design.cells + 1)
    if design.rows == 0:
        raise ValueError("there is nobody to learn from")
    column = column_of_cells(design)[used]
    matches = max(FEWEST, float(sums[-1]) * 2**BITS / COUNT_UNIT)
    share = min(matches / design.rows, LARGEST_SHARE)
    tried = [1.0, *(c * share for c in ceilings if 1 < c < 1 / share)]
    return [(design, used, column, sums[used], sigma, share, ceiling) for ceiling in tried]
