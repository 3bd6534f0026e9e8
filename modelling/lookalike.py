"""A lookalike of a seed from one noisy sum: who among the publisher's people resembles the matched ones.

**Threat model `membership`.** Secret: which of the publisher's people the seed holds. Known to the reader: the
people and their features, for the reader owns them. Neighbouring seeds differ in one submitted record, replaced
by a dummy that matches nobody. With labels y (one where a person is matched) and rows phi of length at most 1,
a generalised linear model meets y only through sum y phi, so that sum and the number of matches are all that is
taken from it: `Design.moments`, one release. One record moves it by at most sqrt(1 + .15^2) (L2). All that
happens here - variances, weights, intercept, scores, every audience size - is post-processing of those noisy
integers: it composes to nothing, and may be repeated with other settings free of charge.

The code ensures: `fit` is handed no label and draws no randomness; a row is no longer than 1, checked in integers
where the sum is made; nothing but `Noisy.values`, its scale and the owner's rows enters a model.
The caller ensures: the model's reader owns the features (the fit uses their exact sums, which protects nobody's
features); matching moves one row for one record; held-out people are split off by a hash of the publisher's own
key, or the histogram that evaluates the model costs extra.

The model. Given the people, s = sum y phi has mean F'p and variance close to H = F' diag(p (1 - p)) F; the noise
adds sigma^2 I. So log-odds z = b + F w are fitted by s ~ N(F'p(w), H + sigma^2 I), with w ~ N(0, t_j^2) in
column j. The t_j come from the noisy sum itself: expectation maximisation of the evidence at w = 0 (MacKay 1992;
Tipping 2001). Weights are the posterior mode, by damped Gauss-Newton steps; where the noisy count says that
matches are rarer than `RARE`, by the one linear step from w = 0 alone: there the tilt of the weights by p follows
the noise and the unlabelled lookalikes more than the seed (on Adult with 100 to 2,000 seeds in 200,000 it costs
.002 to .005 of AUROC). Last, b is moved until the mean probability is the noisy share of matches.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, ClassifierMixin
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from ..dp.noisy import Noisy
from .design import BITS, COUNT_UNIT, Design, Float, Int

FEWEST, LARGEST_SHARE = 5.0, 0.95
"""The share of matches is taken to be no less than this many people, and no more than this share."""
RARE = 0.02
FIRST_T, SMALLEST_T, LARGEST_T = 1.5, 0.03, 10.0
"""Where the search for a column's t_j starts, and what it is kept to."""
LARGEST_STEP = 3.0
"""No step moves anyone's log-odds further than this."""
SETTLED = 0.05


class DesignMismatch(Exception):
    """A design was made by another encoder, or a statistic from another design. Carries what was met and wanted."""

    def __init__(self, met: str | int, wanted: str | int) -> None:
        super().__init__(met, wanted)
        self.met, self.wanted = met, wanted


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """What each level of a column adds to the log-odds; values: float64, one a level."""

    name: str
    levels: tuple[str, ...]
    values: Float


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Log-odds of a match: an intercept, and an effect for each level of each column.

    encoder: digest of the encoder whose designs this model scores.
    """

    encoder: str
    intercept: float
    columns: tuple[Effects, ...]

    def score(self, design: Design) -> Float:
        """Log-odds, one a row. Errors: DesignMismatch."""
        if design.digest != self.encoder:
            raise DesignMismatch(design.digest, self.encoder)
        return self.intercept + design.scores([column.values for column in self.columns])

    def probability(self, design: Design) -> Float:
        """Modelled probability of a match, one a row. Errors: DesignMismatch."""
        return sigmoid(self.score(design))

    def effects(self) -> dict[str, dict[str, float]]:
        """By column and level: what the level adds to the log-odds."""
        return {c.name: dict(zip(c.levels, c.values.tolist(), strict=True)) for c in self.columns}

    def to_json(self) -> str:
        """Floats are written in full: what is read back gives identical scores."""
        columns = [{"name": c.name, "levels": list(c.levels), "values": c.values.tolist()} for c in self.columns]
        body = {"version": 1, "encoder": self.encoder, "intercept": self.intercept, "columns": columns}
        return json.dumps(body, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Model:
        """What `to_json` wrote. Errors: ValueError, KeyError or TypeError otherwise."""
        body = json.loads(text)
        columns = tuple(
            Effects(c["name"], tuple(c["levels"]), np.array(c["values"], dtype=np.float64)) for c in body["columns"]
        )
        fits = all(c.values.shape == (len(c.levels),) and np.isfinite(c.values).all() for c in columns)
        if body["version"] != 1 or not fits or not math.isfinite(body["intercept"]):
            raise ValueError("this is not a model of version 1")
        return cls(body["encoder"], float(body["intercept"]), columns)


class SeedGLM(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """The learner of the `membership` threat model: additive in the columns, noise-aware, no randomness.

    rounds: of evidence maximisation. steps: of Gauss-Newton. rare: the share of matches below which one linear
    step decides.
    """

    def __init__(self, rounds: int = 25, steps: int = 8, rare: float = RARE) -> None:
        self.rounds, self.steps, self.rare = rounds, steps, rare

    def fit_noisy(self, design: Design, noisy: Noisy) -> Model:
        """The model under which the paid moments of `design` are most plausible.

        noisy: `Design.moments` of this very design, paid for. Errors: DesignMismatch; ValueError without rows.
        """
        with threadpool_limits(limits=1, user_api="blas"):  # more threads would change last bits, and wait
            return self._fit(_Problem.of(design, noisy))

    def _fit(self, problem: _Problem) -> Model:
        design, origin = problem.design, np.zeros(len(problem.used))
        variances = problem.evidence(origin, self.rounds)
        if problem.share < self.rare:
            weights = problem.step(origin, variances)
        else:
            weights = problem.descend(origin, variances, self.steps)
        levels = problem.levels(weights)
        intercept = calibrate(design.scores(levels), problem.share)
        effects = zip(design.columns, levels, strict=True)
        columns = tuple(Effects(block.name, block.levels, values) for block, values in effects)
        self.model_ = Model(design.digest, intercept, columns)
        return self.model_


def fit(design: Design, noisy: Noisy) -> Model:
    """`SeedGLM` with its settings as they come. Errors: DesignMismatch; ValueError without rows."""
    return SeedGLM().fit_noisy(design, noisy)


def sigmoid(log_odds: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -35, 35))))


def calibrate(scores: Float, share: float) -> float:
    """The intercept at which the mean probability is `share`, by bisection."""
    logit = math.log(share / (1 - share))
    low, high = logit - float(scores.max()), logit - float(scores.min())
    for _ in range(40):
        middle = (low + high) / 2
        if float(sigmoid(middle + scores).mean()) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """The noisy sums beside the people they came from.

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

    @classmethod
    def of(cls, design: Design, noisy: Noisy) -> _Problem:
        if noisy.values.shape != (design.cells + 1,) or noisy.bits != BITS:
            raise DesignMismatch(noisy.values.size, design.cells + 1)
        if design.rows == 0:
            raise ValueError("there is nobody to learn from")
        used = _used(design)
        column = np.repeat(np.arange(len(design.columns)), [block.cells for block in design.columns])
        matches = max(FEWEST, float(noisy.values[-1]) / COUNT_UNIT)
        share = min(matches / design.rows, LARGEST_SHARE)
        return cls(design, used, column[used], noisy.real[used], noisy.sigma, share)

    def levels(self, weights: Float) -> list[Float]:
        """The effects of the columns' levels under these weights."""
        full = np.zeros(self.design.cells)
        full[self.used] = weights
        ends = np.cumsum([block.cells for block in self.design.columns])
        parts = np.split(full, ends[:-1])
        return [block.real @ part for block, part in zip(self.design.columns, parts, strict=True)]

    def linearise(self, weights: Float) -> tuple[Float, Float]:
        """Precision and pull of the noisy sums on the weights, seen from `weights`.

        The sums move by H dw and scatter with H + sigma^2 I, so they weigh H (H + sigma^2 I)^-1 H.
        """
        logit = math.log(self.share / (1 - self.share))
        p = sigmoid(logit + self.design.scores(self.levels(weights)))
        slope = self.design.curvature(p * (1 - p))[np.ix_(self.used, self.used)]
        ridge = self.sigma**2 + 1e-4 * (1 + np.trace(slope) / len(slope))
        scatter = cho_factor(slope + ridge * np.eye(len(slope)))
        residual = self.sums - self.design.project(p)[self.used]
        return slope @ cho_solve(scatter, slope), slope @ cho_solve(scatter, residual)

    def evidence(self, weights: Float, rounds: int) -> Float:
        """Prior variance of each used cell, one value a column, by expectation maximisation."""
        precision, pull = self.linearise(weights)
        size = np.maximum(np.bincount(self.column), 1)
        variance = np.full(len(size), FIRST_T**2)
        for _ in range(rounds):
            spread = np.linalg.inv(precision + np.diag(1 / variance[self.column]))
            second = (spread @ pull) ** 2 + np.diag(spread)
            new = np.bincount(self.column, weights=second) / size
            new = np.clip(new, SMALLEST_T**2, LARGEST_T**2)
            moved = float(np.abs(np.log(new / variance)).max())
            variance = new
            if moved < SETTLED / 2:
                break
        return variance[self.column]

    def step(self, weights: Float, variance: Float) -> Float:
        """From `weights` to the mode of the problem as it looks there."""
        precision, pull = self.linearise(weights)
        gradient = pull - weights / variance
        return np.asarray(np.linalg.solve(precision + np.diag(1 / variance), gradient))

    def descend(self, weights: Float, variance: Float, steps: int) -> Float:
        """Damped steps until nobody's score moves by more than `SETTLED`."""
        for _ in range(steps):
            move = self.step(weights, variance)
            furthest = float(np.abs(self.design.scores(self.levels(move))).max())
            weights = weights + move * min(1.0, LARGEST_STEP / max(furthest, LARGEST_STEP))
            if furthest < SETTLED:
                break
        return weights


def _used(design: Design) -> Int:
    """Cells that some person fills; the first cell at least, so that there is something to solve."""
    everyone = np.ones(design.rows, dtype=np.bool_)
    filled = []
    for block, code in zip(design.columns, design.codes, strict=True):
        present = code.count(everyone, len(block.table)) > 0
        filled.append((block.table[present] != 0).any(axis=0))
    used = np.concatenate(filled)
    used[0] = True
    return np.flatnonzero(used)
