"""Damped steps towards additive log-odds, preconditioned by what curvature would be were columns independent.

Everything here is label-blind: it reads noisy margins and noisy gradients (`pull`), never a person. The penalty is
that of a posterior mode: a direction in which noise drowns the curvature is believed as little (`Descent.shrunk`).
Prior variances, one a column, are those under which the noisy sums are most plausible, pooled over columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .design import COUNT_UNIT, ONE, Block, Float, largest_norm_squared
from .effects import Known
from .lookalike import Effects, Model, sigmoid

DAMPING = 0.3
FINAL = 0.5
"""Share of a Newton step taken each time, and once more from the mean at the end."""
FIRST, SMALLEST, LARGEST = 0.4, 0.02, 3.0
"""Standard deviation of a level's effect, log-odds: where the search starts, and what it is kept to."""
LATE = 0.85
"""Share of the steps, the last ones, whose mean is taken."""
SLOPE = 0.7
"""Mean of p (1 - p) over people, in units of its value where everybody has the same p: scores spread in time."""
INTERCEPT_T = 30.0
"""Prior standard deviation of the intercept's weight: 4.5 in log-odds."""
CAUTION = 1.5
"""By how much the noise is overstated in the penalty: curvature is known in part."""
USUAL, APART = 0.2, 1.0
"""Where columns' effect sizes lie before anything is known of them, and how far apart in log."""
FLOOR = 0.3
FEWEST_LEVELS, NULL = 4, 1e-9
"""Levels an ordered column must have for its effects to be taken as smoother than its rows; what counts as none of the
rows' own spread."""
FEWEST_PEOPLE, FEWEST_POSITIVES, LARGEST_SHARE = 50.0, 5.0, 0.95


Pull = Callable[[int, float, list[Float]], Float]
"""(step, intercept, effects) -> the noisy gradient: one value a cell, and last the intercept's."""


class Descent:
    """Steps on one problem. variance: of the noise in the mean of all pulls. late: share of steps averaged.

    fresh: whether every pull has noise of its own, or all the same. smoother: how much smoother effects of ordered
    columns are taken to be than their rows are alike (`_Taken`).
    """

    def __init__(
        self,
        columns: Sequence[Block],
        margins: Margins,
        variance: float,
        steps: int,
        damping: float,
        late: float = LATE,
        fresh: bool = True,
        smoother: float = 0.0,
    ) -> None:
        self.columns, self.margins, self.variance = columns, margins, variance
        self.steps, self.damping, self.late, self.fresh = steps, damping, late, fresh
        ends = np.cumsum([0, *(block.cells for block in columns)])
        self.cells = int(ends[-1])
        self.parts = [slice(a, b) for a, b in pairwise([*ends.tolist(), self.cells + 1])]
        self.curvature = margins.curvature(columns)
        self.lengths = [max(math.sqrt(largest_norm_squared(b)) / ONE, 1e-6) for b in columns]
        self.taken = [_Taken.of(block, smoother) for block in columns]

    def intercept(self, weights: Float) -> float:
        return float(self.margins.intercept + weights[-1] * COUNT_UNIT / ONE)

    def effects(self, weights: Float) -> list[Float]:
        return [b.real @ weights[part] for b, part in zip(self.columns, self.parts[:-1], strict=True)]

    def model(self, pull: Pull, digest: str) -> Model:
        """Step by step, then the model of the encoder with this digest."""
        weights = self.weights(pull)
        pairs = zip(self.columns, self.effects(weights), strict=True)
        effects = tuple(Effects(block.name, block.levels, values) for block, values in pairs)
        return Model(digest, 1.0, self.intercept(weights), effects)

    def weights(self, pull: Pull) -> Float:
        """Steps, and at the end one more from their mean."""
        width = self.cells + 1
        at, pulls, weights = np.zeros((self.steps, width)), np.zeros((self.steps, width)), np.zeros(width)
        shrunk = self.shrunk([*((FIRST / length) ** 2 for length in self.lengths), INTERCEPT_T**2])
        for t in range(self.steps):
            at[t], pulls[t] = weights, pull(t, self.intercept(weights), self.effects(weights))
            if t == self.steps // 2:
                shrunk = self.shrunk(self.variances(at[1 : t + 1], pulls[1 : t + 1]))
            weights = weights + self.damping * self.move(shrunk, at[t], pulls[t])
        late = slice(math.floor((1 - self.late) * self.steps), None)
        shrunk = self.shrunk(self.variances(at[late], pulls[late]))
        mean, left = at[late].mean(axis=0), pulls[late].mean(axis=0)
        half = slice(self.steps // 2, None)
        self._near = at[half].mean(axis=0), pulls[half].mean(axis=0), len(at[half])
        return self.centred(mean, FINAL * self.move(shrunk, mean, left), left)

    def known(self, model: Model) -> list[Known]:
        """What the last fit's noisy sums say of each column's weights, as if columns were independent.

        model: as it was fitted; the curvature is taken there, and the sums from the half of the steps near it.
        """
        weights, pulls, steps = self._near
        noise = self.variance * (self.steps / steps if self.fresh else 1.0)
        bends = self.margins.bends(self.columns, [effects.values for effects in model.columns], model.intercept)
        return [
            _known(bent, along, weights[part], pulls[part], noise)
            for (bent, along), part in zip(bends, self.parts[:-1], strict=True)
        ]

    def near(self) -> list[Float]:
        """The effects that `known` was seen at."""
        return self.effects(self._near[0])

    def centred(self, mean: Float, move: Float, pull: Float) -> Float:
        """The weights after the last move, and an intercept that takes up all that is left of its own pull."""
        left = pull - self.curvature.times(move, self.parts)
        move[-1] += left[-1] / self.curvature.own[-1][0, 0]
        return np.asarray(mean + move)

    def move(self, shrunk: _Shrunk, weights: Float, pull: Float) -> Float:
        return shrunk.towards(pull - shrunk.pulls(weights, self.parts), self.curvature.mean, self.parts)

    def shrunk(self, variances: Sequence[float]) -> _Shrunk:
        """Penalty (I + sigma^2 curvature^-1) / t^2: what little is known of a direction is believed as little."""
        noise = CAUTION * self.variance
        penalties: list[Float] = []
        inverses: list[Float] = []
        taken = [*self.taken, _Taken(None, None)]
        for own, centred, prior, variance in zip(
            self.curvature.own, self.curvature.centred, taken, variances, strict=True
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
        each = zip(self.curvature.centred[:-1], self.parts[:-1], self.lengths, self.taken, strict=True)
        for centred, part, length, prior in each:
            precision, pull = _spectrum(centred, self.curvature.mean[part], seen[part], noise, prior)
            spectra.append((precision / length**2, pull / length))
        sizes = zip(_evidence(spectra), self.lengths, strict=True)
        return [*(size / length**2 for size, length in sizes), INTERCEPT_T**2]


@dataclass(frozen=True, slots=True, eq=False)
class _Taken:
    """What a column's weights are taken to be like, but for their size. root, inverse: of their covariance and its
    inverse; None where they are taken to be independent, all alike."""

    root: Float | None
    inverse: Float | None

    @classmethod
    def of(cls, block: Block, smoother: float) -> _Taken:
        """Of an ordered column: a direction that is a share of the rows' own spread has that share to the power of
        `smoother` as its variance; effects are as large on average as they would be without."""
        if smoother == 0 or not block.ordered or len(block.levels) < FEWEST_LEVELS:
            return cls(None, None)
        levels = block.real[:-1, :-1]
        values, vectors = np.linalg.eigh(levels.T @ levels)
        spread = values > NULL * values.max()
        variance = np.where(spread, values, values[spread].min()) ** smoother
        variance *= values[spread].sum() / (values[spread] * variance[spread]).sum()
        root, inverse = np.eye(block.cells), np.eye(block.cells)
        root[:-1, :-1] = (vectors * np.sqrt(variance)) @ vectors.T
        inverse[:-1, :-1] = (vectors / variance) @ vectors.T
        return cls(root, inverse)

    def penalised(self, noisy: Float) -> Float:
        return noisy if self.inverse is None else noisy @ self.inverse


@dataclass(frozen=True, slots=True, eq=False)
class _Curvature:
    """The negative Hessian were columns independent: blocks, and rank one between them.

    own: each column's block, means left in. centred: means taken out. mean: the direction of the rank one part.
    """

    own: tuple[Float, ...]
    centred: tuple[Float, ...]
    mean: Float

    def times(self, x: Float, parts: Sequence[slice]) -> Float:
        blocks = [centred @ x[part] for centred, part in zip(self.centred, parts, strict=True)]
        return np.concatenate(blocks) + self.mean * float(self.mean @ x)


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


@dataclass(frozen=True, slots=True, eq=False)
class Margins:
    """Noisy counts, people: of each level a column. people, positives: noisy, kept where a log-odds exists.

    spread: of the noise in `positives`, people.
    """

    counts: tuple[Float, ...]
    people: float
    positives: float
    spread: float

    @classmethod
    def of(cls, columns: Sequence[Block], counts: Float, people: float, positives: float, spread: float) -> Margins:
        """counts: of all columns' levels, one after the other, as noisy as they come."""
        people = max(FEWEST_PEOPLE, people)
        positives = min(max(positives, spread, FEWEST_POSITIVES), LARGEST_SHARE * people)
        ends = np.cumsum([len(block.table) for block in columns])[:-1]
        each = zip(columns, np.split(np.maximum(counts, 0), ends), strict=True)
        scaled = (c * people / max(1.0, float(c.sum())) if b.at_most == 1 else c for b, c in each)
        return cls(tuple(scaled), people, positives, spread)

    @property
    def intercept(self) -> float:
        return math.log(self.positives / (self.people - self.positives))

    def together(self, block: Block, counts: Float) -> Float:
        """How many people have each pair of a column's levels: none, or, where several may come together, as many as
        chance would give."""
        if block.at_most == 1:
            return np.diag(counts)
        share = np.minimum(counts / self.people, 1.0)
        return np.asarray(np.diag(counts * (1 - share)) + self.people * np.outer(share, share), dtype=np.float64)

    def bends(
        self, columns: Sequence[Block], effects: Sequence[Float], intercept: float
    ) -> Iterator[tuple[Float, Float]]:
        """For each column the negative Hessian at these effects, its mean taken out, and the direction of that mean."""
        for block, counts, slope in zip(columns, self.counts, self.slopes(effects, intercept), strict=True):
            weight = counts * slope
            along = block.real.T @ weight
            if block.at_most > 1:
                weight = weight * (1 - np.minimum(counts / self.people, 1.0))
            bent = (block.real.T * weight) @ block.real
            taken = np.outer(along, along) / max(float(weight.sum()), 1e-12) if block.at_most == 1 else 0.0
            yield np.asarray(bent - taken, dtype=np.float64), along

    def slopes(self, effects: Sequence[Float], intercept: float) -> list[Float]:
        """Mean of p (1 - p) over the people with each level, as if columns were independent and scores normal."""
        shares = [counts / max(float(counts.sum()), 1.0) for counts in self.counts]
        means = [float(share @ values) for share, values in zip(shares, effects, strict=True)]
        each = zip(shares, effects, means, strict=True)
        spreads = [float(share @ (values - mean) ** 2) for share, values, mean in each]
        points, weights = np.polynomial.hermite_e.hermegauss(15)
        found = []
        for values, mean, spread in zip(effects, means, spreads, strict=True):
            middle = intercept + sum(means) - mean + values
            p = sigmoid(middle[:, None] + math.sqrt(max(0.0, sum(spreads) - spread)) * points)
            found.append(np.asarray((p * (1 - p)) @ (weights / weights.sum()), dtype=np.float64))
        return found

    def curvature(self, columns: Sequence[Block]) -> _Curvature:
        """Rather too steep than too flat: a step that is too long never settles."""
        share = min((self.positives + self.spread) / self.people, 0.5)
        slope = SLOPE * share * (1 - share)
        means: list[Float] = [
            math.sqrt(slope / self.people) * (b.real.T @ c) for b, c in zip(columns, self.counts, strict=True)
        ]
        own = [
            _floored(slope * b.real.T @ self.together(b, c) @ b.real) for b, c in zip(columns, self.counts, strict=True)
        ]
        centred = [
            _floored(np.asarray(o - np.outer(m, m), dtype=np.float64), 0.0) for o, m in zip(own, means, strict=True)
        ]
        means.append(np.array([math.sqrt(slope * self.people) * COUNT_UNIT / ONE]))
        return _Curvature((*own, np.outer(means[-1], means[-1])), (*centred, np.zeros((1, 1))), np.concatenate(means))


def _floored(matrix: Float, floor: float = FLOOR) -> Float:
    """No direction below the floor."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)


def _known(bent: Float, along: Float, weights: Float, pulls: Float, noise: float) -> Known:
    """A column's likelihood from its noisy pulls near some weights. What lies along its mean is the intercept's."""
    unit = along / max(float(np.linalg.norm(along)), 1e-12)
    seen = bent @ weights + pulls - unit * float(unit @ pulls)
    through = np.linalg.solve(bent + noise * np.eye(len(bent)), np.column_stack([bent, seen]))
    return Known(bent @ through[:, :-1], bent @ through[:, -1])


def _spectrum(centred: Float, mean: Float, seen: Float, noise: float, prior: _Taken) -> tuple[Float, Float]:
    """A column's problem in its own directions: how precisely each is seen, and how far it pulls.

    What lies along the column's mean belongs to the intercept and is left out.
    """
    unit = mean / max(float(np.linalg.norm(mean)), 1e-12)
    values, vectors = np.linalg.eigh(centred)
    values = np.maximum(values, 0)
    pulls = vectors.T @ (seen - unit * float(unit @ seen))
    precision, pull = values**2 / (values + noise), pulls * values / (values + noise)
    return (precision, pull) if prior.root is None else _turned(prior.root, vectors, precision, pull)


def _turned(root: Float, vectors: Float, precision: Float, pull: Float) -> tuple[Float, Float]:
    """The same in the directions in which weights / root are seen."""
    both = root @ vectors
    values, turned = np.linalg.eigh((both * precision) @ both.T)
    return np.maximum(values, 0), turned.T @ both @ pull


def _evidence(spectra: Sequence[tuple[Float, Float]]) -> list[float]:
    """For each column the mean, on a log scale, of the effect sizes' squares that its noisy sums leave plausible.

    On a grid: the evidence has a flat start, where an iteration would stay.
    """
    grid = np.geomspace(SMALLEST, LARGEST, 60)
    logs = np.stack([_log_evidence(precision, pull, grid**2) for precision, pull in spectra])
    logs = logs - np.log(grid / USUAL) ** 2 / (2 * APART**2)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    means = weights @ np.log(grid) / weights.sum(axis=1)
    return [float(v) for v in np.exp(2 * means)]


def _log_evidence(precision: Float, pull: Float, variances: Float) -> Float:
    """Of pulls ~ N(0, precision + precision^2 variance), up to a constant: one value a variance."""
    seen = precision > 1e-12
    gain = precision[seen, None] * variances
    return np.asarray(0.5 * (pull[seen, None] ** 2 * variances / (1 + gain) - np.log1p(gain)).sum(axis=0))
