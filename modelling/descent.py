"""Steps towards additive log-odds, preconditioned by what curvature would be were columns independent.

Everything here is label-blind: it reads noisy margins and noisy gradients (`pull`), never a person. The penalty is
that of a posterior mode: a direction in which noise drowns the curvature is believed as little (`Descent.shrunk`).
How far a step goes is its pace's (`momentum`, `mixing`): columns do hang together, and how is known by nobody.
Prior variances, one a column, are those under which the noisy sums are most plausible, pooled over columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from .design import COUNT_UNIT, ONE, Block, Float
from .effects import Known
from .evidence import USUAL, sizes
from .expected import Expected
from .margins import FEWEST_POSITIVES, LARGEST_SHARE, Margins
from .model import Effects, Model

FIRST = 0.4
"""Standard deviation of a level's effect, log-odds, until sums have been seen."""
WIDEST = 1.5
"""And of scores, which is less than many columns of such effects would have: their first steps would be noise, and the
mean of steps remembers them."""
POWER = 1.0
"""Of sizes, of which the mean is taken. Less than in `prior`: of steps' noise more is left in what columns say."""
LATE = 0.85
"""Share of the steps, the last ones, whose mean is taken."""
INTERCEPT_T = 30.0
"""Prior standard deviation of the intercept's weight: 4.5 in log-odds."""
CAUTION = 1.5
"""By how much the noise is overstated in the penalty: curvature is known in part."""


Pull = Callable[[int, float, list[Float]], Float]
"""(step, intercept, effects) -> the noisy gradient: one value a cell, and last the intercept's."""
Alike = Callable[[Float, Float], float]
"""Product of two weights: how much what they add to scores goes together, were columns independent."""


class Pace(Protocol):
    """How long steps are. at, moves: the last weights, newest last, and by how much each would be moved."""

    @property
    def remembers(self) -> int: ...
    def onward(self, at: Sequence[Float], moves: Sequence[Float], alike: Alike) -> Float: ...
    def end(self, at: Sequence[Float], moves: Sequence[Float], alike: Alike) -> Float: ...


class Descent:
    """Steps on one problem. variance: of the noise in the mean of all pulls.

    fresh: whether every pull has noise of its own, so that late steps are averaged, or all the same. expected: of each
    column's effects; of its rows as they are where it is left out. kept: what is kept of a person's row, on average
    over those with each level; all.
    """

    def __init__(
        self,
        columns: Sequence[Block],
        margins: Margins,
        variance: float,
        steps: int,
        pace: Pace,
        fresh: bool = True,
        expected: Sequence[Expected] | None = None,
        kept: Sequence[Float] | None = None,
    ) -> None:
        self.columns, self.margins, self.variance = columns, margins, variance
        self.steps, self.pace, self.fresh = steps, pace, fresh
        ends = np.cumsum([0, *(block.cells for block in columns)])
        self.cells = int(ends[-1])
        self.parts = [slice(a, b) for a, b in pairwise([*ends.tolist(), self.cells + 1])]
        self.expected = expected or [Expected.of(block) for block in columns]
        self.kept = kept or [np.ones(len(block.table)) for block in columns]
        self.curvature = margins.curvature(columns, self.kept)

    def intercept(self, weights: Float) -> float:
        return float(self.margins.intercept + weights[-1] * COUNT_UNIT / ONE)

    def effects(self, weights: Float) -> list[Float]:
        return [b.real @ weights[part] for b, part in zip(self.columns, self.parts[:-1], strict=True)]

    def model(self, pull: Pull, digest: str) -> Model:
        """Step by step, then the model of the encoder with this digest."""
        weights, at, pulls = self.weights(pull)
        values = self.effects(weights)
        effects = tuple(Effects(b.name, b.levels, each) for b, each in zip(self.columns, values, strict=True))
        return Model(digest, 1.0, self.settled(values, at, pulls), effects)

    def settled(self, effects: Sequence[Float], at: Float, pulls: Float) -> float:
        """The intercept under which a model says as many people are positive as there are.

        Scores of steps are spread by each step's own noise, and their intercepts make up for it; the mean of steps is
        spread less. How many positives there are beyond those that a step said, is what its pull says. What a step
        and what the model say is reckoned alike, so that what is wrong with the reckoning cancels.
        """
        said = [self.margins.said(self.effects(each), self.intercept(each)) for each in at]
        wanted = float(np.mean(said)) + float(pulls[:, -1].mean()) * ONE / COUNT_UNIT
        wanted = min(max(wanted, FEWEST_POSITIVES), LARGEST_SHARE * self.margins.people)
        means, spreads = self.margins.over_people(effects)
        return self.margins.settled(wanted, sum(means), sum(spreads))

    def weights(self, pull: Pull) -> tuple[Float, Float, Float]:
        """Steps, and at the end one more from their mean; and the weights and pulls that were averaged."""
        width = self.cells + 1
        at, pulls, weights = np.zeros((self.steps, width)), np.zeros((self.steps, width)), np.zeros(width)
        first = min(FIRST, WIDEST / math.sqrt(len(self.expected)))
        shrunk = self.shrunk([*((first / each.length) ** 2 for each in self.expected), INTERCEPT_T**2])
        for t in range(self.steps):
            at[t], pulls[t] = weights, pull(t, self.intercept(weights), self.effects(weights))
            if t == self.steps // 2:
                shrunk = self.shrunk(self.variances(at[1 : t + 1], pulls[1 : t + 1]))
            weights = self.pace.onward(*self._moves(shrunk, at[: t + 1], pulls[: t + 1]), self.alike)
        late = slice(math.floor((1 - LATE) * self.steps) if self.fresh else -1, None)
        shrunk = self.shrunk(self.variances(at[late], pulls[late]))
        half = slice(self.steps // 2, None)
        self._near = at[half].mean(axis=0), pulls[half].mean(axis=0), len(at[half])
        self._averaged = at[late]
        ends = (at[late].mean(axis=0)[None], pulls[late].mean(axis=0)[None]) if self.fresh else (at, pulls)
        return self.pace.end(*self._moves(shrunk, *ends), self.alike), at[late], pulls[late]

    def alike(self, one: Float, other: Float) -> float:
        return float(self.curvature.times(one, self.parts) @ other)

    def _moves(self, shrunk: _Shrunk, at: Float, pulls: Float) -> tuple[list[Float], list[Float]]:
        """The last weights, as many as are remembered, and how far each is from what is most plausible."""
        last = slice(-self.pace.remembers, None)
        return [*at[last]], [self.move(shrunk, *each) for each in zip(at[last], pulls[last], strict=True)]

    def known(self, model: Model) -> list[Known]:
        """What the last fit's noisy sums say of each column's weights, as if columns were independent.

        model: as it was fitted; the curvature is taken there, and the sums from the half of the steps near it.
        """
        weights, pulls, steps = self._near
        noise = self.variance * (self.steps / steps if self.fresh else 1.0)
        effects = [each.values for each in model.columns]
        bends = self.margins.bends(self.columns, effects, model.intercept, self.kept)
        left = float(pulls[-1]) * ONE / COUNT_UNIT
        return [
            _known(bent, beside, weights[part], pulls[part] - beside * left, noise)
            for (bent, beside), part in zip(bends, self.parts[:-1], strict=True)
        ]

    def intercept_variance(self, model: Model) -> float:
        """Of the last fit's intercept, from noise and luck: of how many people are positive."""
        *_, whole = self.margins.slopes([each.values for each in model.columns], model.intercept)
        slope = max(self.margins.people * float(whole[0]), 1.0)
        noise = math.sqrt(self.variance * (self.steps / len(self._averaged) if self.fresh else 1.0)) * ONE / COUNT_UNIT
        return 1 / slope + float((noise / slope) ** 2)

    def near(self) -> list[Float]:
        """The effects that `known` was seen at."""
        return self.effects(self._near[0])

    def move(self, shrunk: _Shrunk, weights: Float, pull: Float) -> Float:
        return shrunk.towards(pull - shrunk.pulls(weights, self.parts), self.curvature.mean, self.parts)

    def shrunk(self, variances: Sequence[float]) -> _Shrunk:
        """Penalty (I + sigma^2 curvature^-1) / t^2: what little is known of a direction is believed as little."""
        noise = CAUTION * self.variance
        penalties: list[Float] = []
        inverses: list[Float] = []
        expected = [*self.expected, Expected(1.0)]
        for own, centred, prior, variance in zip(
            self.curvature.own, self.curvature.centred, expected, variances, strict=True
        ):
            penalty = prior.penalised(np.eye(len(own)) + noise * np.linalg.inv(own)) / variance
            penalties.append(penalty)
            inverses.append(np.asarray(np.linalg.inv(centred + penalty), dtype=np.float64))
        return _Shrunk(tuple(penalties), tuple(inverses))

    def variances(self, at: Float, pulls: Float) -> list[float]:
        """Prior variance a column under which the noisy sums are most plausible, pooled over columns."""
        noise = self.variance * (self.steps / max(1, len(at)) if self.fresh else 1.0)
        seen = self.curvature.times(at.mean(axis=0), self.parts) + pulls.mean(axis=0)
        spectra = []
        for centred, part, prior in zip(self.curvature.centred[:-1], self.parts[:-1], self.expected, strict=True):
            own = seen[part] - self.curvature.mean[part] * (float(seen[-1]) / float(self.curvature.mean[-1]))
            precision, pull = _spectrum(centred, own, noise, prior)
            spectra.append((precision / prior.length**2, pull / prior.length))
        found = zip(sizes(spectra, [USUAL] * len(spectra), POWER).tolist(), self.expected, strict=True)
        return [*((size / prior.length) ** 2 for size, prior in found), INTERCEPT_T**2]


@dataclass(frozen=True, slots=True, eq=False)
class _Shrunk:
    """Curvature and prior together. penalty: a block a column. inverse: of centred + penalty."""

    penalty: tuple[Float, ...]
    inverse: tuple[Float, ...]

    def towards(self, x: Float, mean: Float, parts: Sequence[slice]) -> Float:
        """(curvature + penalty)^-1 x, by the rank one formula."""
        y = np.concatenate([inv @ x[part] for inv, part in zip(self.inverse, parts, strict=True)])
        m = np.concatenate([inv @ mean[part] for inv, part in zip(self.inverse, parts, strict=True)])
        return y - m * float(mean @ y) / (1 + float(mean @ m))

    def pulls(self, w: Float, parts: Sequence[slice]) -> Float:
        return np.concatenate([penalty @ w[part] for penalty, part in zip(self.penalty, parts, strict=True)])


def _known(bent: Float, beside: Float, weights: Float, pulls: Float, noise: float) -> Known:
    """A column's likelihood from its noisy pulls near some weights, from which what the intercept's pull says of them
    was taken: `beside` times it, and its noise with it."""
    added = (ONE / COUNT_UNIT) * beside
    noisy = noise * (np.eye(len(bent)) + np.outer(added, added))
    seen = bent @ weights + pulls
    through = np.linalg.solve(bent + noisy, np.column_stack([bent, seen]))
    return Known(bent @ through[:, :-1], bent @ through[:, -1])


def _spectrum(centred: Float, seen: Float, noise: float, prior: Expected) -> tuple[Float, Float]:
    """A column's problem in its own directions: how precisely each is seen, and how far it pulls."""
    values, vectors = np.linalg.eigh(centred)
    values = np.maximum(values, 0)
    pulls = vectors.T @ seen
    precision, pull = values**2 / (values + noise), pulls * values / (values + noise)
    return (precision, pull) if prior.root is None else _turned(prior.root, vectors, precision, pull)


def _turned(root: Float, vectors: Float, precision: Float, pull: Float) -> tuple[Float, Float]:
    """The same in the directions in which weights / root are seen."""
    both = root.T @ vectors
    values, turned = np.linalg.eigh((both * precision) @ both.T)
    return np.maximum(values, 0), turned.T @ both @ pull
