"""A lookalike of a seed from one noisy sum: who among the publisher's people resembles the matched ones.

**Threat model `membership`.** Secret: which of the publisher's people the seed holds. Known to the reader: the
people and their features, for the reader owns them. Neighbouring seeds differ in one submitted record, replaced
by a dummy that matches nobody. With labels y (one where a person is matched) and rows phi, a generalised linear model
meets y only through sum y phi. So a sum of such rows, each turned and cut to a length of at most 1 as the reader's own
people spread (`strategy`), and the number of matches are all that is taken from it: `Strategy.moments`, one release.
One record moves it by at most sqrt(1 + .3^2) (L2). All that happens here - variances, weights, intercept, scores,
every audience size - is post-processing of those noisy integers: it composes to nothing, and may be repeated with other
settings free of charge.

The code ensures: `fit` is handed no label and draws no randomness; a row is no longer than 1, checked in integers
where the sum is made; nothing but `Noisy.values`, its scale and the owner's rows enters a model.
The caller ensures: the model's reader owns the features (the fit uses their exact sums, which protects nobody's
features); matching moves one row for one record; held-out people are split off by a hash of the publisher's own
key, or the histogram that evaluates the model costs extra.

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

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from ..dp.noisy import Noisy
from .design import BITS, COUNT_UNIT, Design, Float, Int, Mask, across, column_of_cells, used_cells
from .doubt import Doubt
from .draw import Draw
from .effects import ColumnEffect, Known, explained, held_by
from .outlook import Outlook
from .prior import LARGEST_T, SMALLEST_T, Prior
from .settings import Settings
from .strategy import Rows, Strategy

FEWEST, LARGEST_SHARE = 5.0, 0.95
"""The share of matches is taken to be no less than this many people, and no more than this share."""
CEILINGS = (12.0, 6.0)
"""Ceilings tried below 1, as multiples, above 1, of the share of matches."""
LARGEST_STEP = 3.0
"""No step moves anyone's log-odds further than this."""
SETTLED = 0.05
REFINED, INNER = 3, 8
"""Rounds of finding variances once more for intervals: around new weights, and around the same."""


class DesignMismatch(Exception):
    """A design was made by another encoder, or a statistic from another design. Carries what was met and wanted."""

    def __init__(self, met: str | int, wanted: str | int) -> None:
        super().__init__(met, wanted)
        self.met, self.wanted = met, wanted


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """What each level of a column adds to z; values: float64, one a level."""

    name: str
    levels: tuple[str, ...]
    values: Float


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Probability of a match, ceiling / (1 + exp(-z)), where z is an intercept and an effect for each level one has.

    encoder: digest of the encoder whose designs this model scores. ceiling: in (0, 1].
    """

    encoder: str
    ceiling: float
    intercept: float
    columns: tuple[Effects, ...]

    def score(self, design: Design) -> Float:
        """Log-odds of a match, one a row. Errors: DesignMismatch."""
        return self.log_odds(self.below(design))

    def below(self, design: Design) -> Float:
        """z, the log-odds below the ceiling, one a row. Errors: DesignMismatch."""
        if design.digest != self.encoder:
            raise DesignMismatch(design.digest, self.encoder)
        return np.asarray(self.intercept + design.scores([column.values for column in self.columns]))

    def log_odds(self, z: Float) -> Float:
        """Of a match, from z."""
        if self.ceiling == 1:
            return z
        return np.asarray(math.log(self.ceiling) - np.logaddexp(math.log1p(-self.ceiling), -z))

    def probability(self, design: Design) -> Float:
        """Modelled probability of a match, one a row. Errors: DesignMismatch."""
        return sigmoid(self.score(design))

    def effects(self) -> dict[str, dict[str, float]]:
        """By column and level: what the level adds to z, the log-odds below the ceiling."""
        return {c.name: dict(zip(c.levels, c.values.tolist(), strict=True)) for c in self.columns}

    def to_json(self) -> str:
        """Floats are written in full: what is read back gives identical scores."""
        columns = [{"name": c.name, "levels": list(c.levels), "values": c.values.tolist()} for c in self.columns]
        body = {"version": 1, "encoder": self.encoder, "ceiling": self.ceiling, "intercept": self.intercept}
        return json.dumps(body | {"columns": columns}, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Model:
        """What `to_json` wrote. Errors: ValueError, KeyError or TypeError otherwise."""
        body = json.loads(text)
        columns = tuple(
            Effects(c["name"], tuple(c["levels"]), np.array(c["values"], dtype=np.float64)) for c in body["columns"]
        )
        fits = all(c.values.shape == (len(c.levels),) and np.isfinite(c.values).all() for c in columns)
        if body["version"] != 1 or not fits or not (0 < body["ceiling"] <= 1 and math.isfinite(body["intercept"])):
            raise ValueError("this is not a model of version 1")
        return cls(body["encoder"], float(body["ceiling"]), float(body["intercept"]), columns)


class SeedGLM(Settings):
    """The learner of the `membership` threat model: additive in the columns, noise-aware, no randomness.

    Its settings are read, set and cloned as scikit-learn's are. It has no `fit`: that would have to pay without being
    told how: `estimators.LookalikeClassifier` is the classifier.

    rounds: in which sizes of effects are found, at most. steps: of Gauss-Newton, at most. ceilings: tried below 1, as
    multiples of the share of matches.
    """

    def __init__(self, rounds: int = 8, steps: int = 8, ceilings: tuple[float, ...] = CEILINGS) -> None:
        self.rounds, self.steps, self.ceilings = rounds, steps, ceilings

    def fit_drawn(self, design: Design, matched: Mask, draw: Draw, outlook: Outlook | None = None) -> Model:
        """The model, for one call of `draw` on `Strategy.moments`. outlook: what is public of that draw.

        Errors: what `draw` raises; as `fit_noisy`.
        """
        people = Strategy.of(design, outlook=outlook)
        return self.fit_noisy(people, draw(people.moments(matched)))

    def fit_noisy(self, people: Design | Strategy, noisy: Noisy) -> Model:
        """The model under which the paid moments of these people are most plausible.

        people: a design stands for its `Strategy` under the usual outlook. noisy: `Strategy.moments` of these very
        people, paid for. Errors: DesignMismatch; ValueError without rows.
        """
        if noisy.bits != BITS:
            raise DesignMismatch(noisy.bits, BITS)
        measured = Strategy.of(people) if isinstance(people, Design) else people
        return self.fit_sums(measured, noisy.real, noisy.sigma)

    def fit_sums(self, people: Rows, sums: Float, sigma: float) -> Model:
        """The same from sums in units of a row's length, with the noise they carry. A design stands for its rows as
        they are. Errors: as `fit_noisy`.
        """
        if isinstance(people, Design):
            return self.fit_best(Problem.each(people, sums, sigma, self.ceilings))
        return self.fit_best(Measured.by(people, sums, sigma, self.ceilings))

    def fit_best(self, problems: Sequence[Problem]) -> Model:
        """The model of the problem whose solution is most plausible."""
        with threadpool_limits(limits=1, user_api="blas"):  # more threads would change last bits, and wait
            solutions = [problem.solve(self.rounds, self.steps) for problem in problems]
            best = int(np.argmax([solution.plausibility for solution in solutions]))
            self.model_ = problems[best].model(solutions[best].weights)
            self._solved = problems[best], solutions[best]
        return self.model_

    @property
    def solved(self) -> tuple[Problem, Solution]:
        """The last fit: the problem that was most plausible, and its solution."""
        return self._solved

    def doubt(self) -> Doubt:
        """How far the last model's scores may be off, a person: from the noise's known covariance, and from luck."""
        problem, solution = self._solved
        with threadpool_limits(limits=1, user_api="blas"):
            return problem.whole_doubt(solution)

    def explained(self) -> tuple[ColumnEffect, ...]:
        """What the last model's columns add to scores, with intervals (`effects`)."""
        problem, solution = self._solved
        with threadpool_limits(limits=1, user_api="blas"):
            known = problem.known(solution)
            design, effects = problem.design, [column.values for column in self.model_.columns]
            return explained(design.columns, held_by(design), effects, known)


def fit(people: Design | Strategy, noisy: Noisy) -> Model:
    """`SeedGLM` with its settings as they come. Errors: DesignMismatch; ValueError without rows."""
    return SeedGLM().fit_noisy(people, noisy)


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


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The noisy sums as a linear problem around some weights: their precision and pull on a change of the weights.

    misfit: -2 log density of the sums, up to a constant.
    """

    precision: Float
    pull: Float
    misfit: float


def seen(spread: Float, slope: Float, residual: Float, sigma: float) -> View:
    """Sums that scatter with `spread` and noise, move with the weights as `slope` says, and are off by `residual`."""
    from scipy.linalg import cho_factor, cho_solve

    ridge = sigma**2 + 1e-4 * (1 + np.trace(spread) / len(spread))
    scatter = cho_factor(spread + ridge * np.eye(len(spread)))
    weighed = cho_solve(scatter, residual)
    misfit = float(residual @ weighed) + 2 * float(np.log(np.diag(scatter[0])).sum())
    return View(slope.T @ cho_solve(scatter, slope), slope.T @ weighed, misfit)


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
