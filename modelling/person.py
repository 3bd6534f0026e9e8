"""A lookalike that protects everything about a person: features, label, and being there (`person`).

**Threat model `person`.** Secret: a person's whole record on either side. Neighbours: one record replaced by a dummy
that matches nobody and adds nothing; a publisher's record takes row and label away, an advertiser's turns one label
to 0. The model may be read by anybody it is paid for: bins come from the declared bounds (`Encoder.from_declared`).

**What is drawn.** `margins` once, `steps` times `pull`: integers, each moved by one person by at most
`step_l2_squared` (a row is at most 1 long and |label - probability| at most 1, whichever of the two records goes).
Step t's weights come from the noisy results of the steps before, so this is adaptive composition of Gaussian releases
with one scale: together it costs what one Gaussian release of sensitivity sqrt(steps + 1) times a step's costs (Dong,
Roth, Su 2022, theorem 3.2 and corollary 3.3; the discrete noise as in `dp.scale`, cell by cell, whatever integers it
is centred on). So **one** draw pays for all of it: `blank` is a statistic of zeros with that sensitivity, its noisy
twin is the noise itself, independent of data, and each exact integer sum takes its own slice of it.

The code ensures: one call of `draw`, on zeros, before any row is looked at; each slice is used once; how many steps
are made depends on nothing; nothing but noisy sums, public declarations and settings enters the model.
The caller ensures: the noise stays sealed (whoever sees it sees the exact sums), is used for these submissions and
this job alone, and a run that starts again uses the same noise on the same people (DESIGN: an open entry).

**The learner.** Additive log-odds, z = b + sum over columns of an effect, effects = table x weights. The margins give
b, and what curvature would be were columns independent: a block a column and rank one. Preconditioned by it, damped
steps on the full data converge in `steps` steps, and the mean over most of them has about the error one
release of the gradient at the optimum would have had. Prior variances, one a column, are re-estimated half-way and at
the end from the noisy sums (evidence; pooled between columns), which is post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from ..dp.aggregate import Statistic
from ..dp.noisy import Noisy
from .design import BITS, COUNT_UNIT, ONE, Block, Design, Float, Int, Mask
from .draw import Draw
from .lookalike import DesignMismatch, Effects, Model
from .packed import PEOPLE_UNIT, POSITIVES_UNIT, Packed, level_unit, step_l2_squared

STEPS = 24
DAMPING = 0.3
FINAL = 0.5
"""Share of a Newton step taken each time, and once more from the mean at the end."""
FIRST_T, SMALLEST_T, LARGEST_T = 1.5, 0.1, 10.0
LATE = 0.85
"""Share of the steps, the last ones, whose mean is taken."""
SLOPE = 0.7
"""Mean of p (1 - p) over people, in units of its value where everybody has the same p: scores spread in time."""
INTERCEPT_T = 30.0
"""Prior standard deviation of the intercept's weight: 4.5 in log-odds."""
CAUTION = 1.5
"""By how much the noise is overstated in the penalty: curvature is known in part."""
POOLED_CELLS = 5.0
"""A column's variance is estimated as if it had so many more cells of the columns' common variance."""
FLOOR = 0.3
FEWEST_PEOPLE, FEWEST_POSITIVES, LARGEST_SHARE = 50.0, 5.0, 0.95


def blank(columns: Sequence[Block], steps: int = STEPS) -> Statistic:
    """Zeros for all the noise a fit needs: 2 levels + 2 cells of margins, then `steps` pulls of cells + 1.

    Known from the declarations alone; l2_squared covers all of it together.
    """
    cells, levels = sum(b.cells for b in columns), sum(len(b.table) for b in columns)
    zeros = np.zeros(2 * levels + 2 + steps * (cells + 1), dtype=np.int64)
    return Statistic(zeros, BITS, (steps + 1) * step_l2_squared(cells))


class DPGAM(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """The learner of the `person` threat model. steps: how many, fixed beforehand. damping: share of each taken."""

    def __init__(self, steps: int = STEPS, damping: float = DAMPING) -> None:
        self.steps, self.damping = steps, damping

    def fit_drawn(self, people: Design | Packed, matched: Mask, draw: Draw) -> Model:
        """The model, for one call of `draw`. matched: (rows,) bool.

        Errors: what `draw` raises; DesignMismatch where noise of another shape comes back.
        """
        packed = people if isinstance(people, Packed) else Packed.of(people)
        if matched.shape != (packed.rows,) or matched.dtype != np.bool_:
            raise ValueError("matched must say yes or no for every row")
        noise = draw(blank(packed.columns, self.steps))
        with threadpool_limits(limits=1, user_api="blas"):
            self.model_ = _Fit(packed, matched, noise, self.steps, self.damping).model()
        return self.model_


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


class _Fit:
    """One fit: noise in hand, people at hand."""

    def __init__(self, packed: Packed, matched: Mask, noise: Noisy, steps: int, damping: float) -> None:
        wanted = 2 * packed.levels + 2 + steps * (packed.cells + 1)
        if noise.values.shape != (wanted,) or noise.bits != BITS:
            raise DesignMismatch(noise.values.size, wanted)
        self.packed, self.matched, self.steps, self.damping = packed, matched, steps, damping
        self.noise, self.sigma = noise.values, noise.sigma
        ends = np.cumsum([0, *(block.cells for block in packed.columns)])
        self.parts = [slice(a, b) for a, b in pairwise([*ends.tolist(), packed.cells + 1])]
        self.margins = _Margins.read(packed, packed.margins(matched) + self.noise[: 2 * packed.levels + 2], noise.scale)
        self.curvature = self.margins.curvature(packed.columns)

    def pull(self, step: int, weights: Float) -> Float:
        """The noisy gradient of the log-likelihood: the only thing a step sees of people."""
        width = self.packed.cells + 1
        start = 2 * self.packed.levels + 2 + step * width
        exact = self.packed.pull(self.matched, self.intercept(weights), self.effects(weights))
        return np.ldexp((exact + self.noise[start : start + width]).astype(np.float64), -BITS)

    def intercept(self, weights: Float) -> float:
        return float(self.margins.intercept + weights[-1] * COUNT_UNIT / ONE)

    def effects(self, weights: Float) -> list[Float]:
        return [b.real @ weights[part] for b, part in zip(self.packed.columns, self.parts[:-1], strict=True)]

    def model(self) -> Model:
        weights = self.weights()
        pairs = zip(self.packed.columns, self.effects(weights), strict=True)
        effects = tuple(Effects(block.name, block.levels, values) for block, values in pairs)
        return Model(self.packed.digest, 1.0, self.intercept(weights), effects)

    def weights(self) -> Float:
        """Steps, and at the end one more from their mean."""
        width = self.packed.cells + 1
        at, pulls, weights = np.zeros((self.steps, width)), np.zeros((self.steps, width)), np.zeros(width)
        shrunk = self.shrunk([*[FIRST_T**2] * (len(self.parts) - 1), INTERCEPT_T**2])
        for t in range(self.steps):
            at[t], pulls[t] = weights, self.pull(t, weights)
            if t == self.steps // 2:
                shrunk = self.shrunk(self.variances(at[1 : t + 1], pulls[1 : t + 1]))
            weights = weights + self.damping * self.move(shrunk, at[t], pulls[t])
        late = slice(math.floor((1 - LATE) * self.steps), None)
        shrunk = self.shrunk(self.variances(at[late], pulls[late]))
        mean, pull = at[late].mean(axis=0), pulls[late].mean(axis=0)
        return self.centred(mean, FINAL * self.move(shrunk, mean, pull), pull)

    def centred(self, mean: Float, move: Float, pull: Float) -> Float:
        """The weights after the last move, and an intercept that takes up all that is left of its own pull."""
        left = pull - self.curvature.times(move, self.parts)
        move[-1] += left[-1] / self.curvature.own[-1][0, 0]
        return np.asarray(mean + move)

    def move(self, shrunk: _Shrunk, weights: Float, pull: Float) -> Float:
        return shrunk.towards(pull - shrunk.pulls(weights, self.parts), self.curvature.mean, self.parts)

    def shrunk(self, variances: Sequence[float]) -> _Shrunk:
        """Penalty (I + sigma^2 curvature^-1) / t^2: what little is known of a direction is believed as little."""
        noise = CAUTION * self.sigma**2 / self.steps
        penalties: list[Float] = []
        inverses: list[Float] = []
        for own, centred, variance in zip(self.curvature.own, self.curvature.centred, variances, strict=True):
            penalty = (np.eye(len(own)) + noise * np.linalg.inv(own)) / variance
            penalties.append(penalty)
            inverses.append(np.asarray(np.linalg.inv(centred + penalty), dtype=np.float64))
        return _Shrunk(tuple(penalties), tuple(inverses))

    def variances(self, at: Float, pulls: Float) -> list[float]:
        """Prior variance a column under which the noisy sums are most plausible, pooled over columns."""
        noise = self.sigma**2 / max(1, len(at))
        seen = self.curvature.times(at.mean(axis=0), self.parts) + pulls.mean(axis=0)
        spectra = []
        for centred, part in zip(self.curvature.centred[:-1], self.parts[:-1], strict=True):
            spectra.append(_spectrum(centred, self.curvature.mean[part], seen[part], noise))
        return [*_evidence(spectra), INTERCEPT_T**2]


@dataclass(frozen=True, slots=True, eq=False)
class _Margins:
    """Noisy counts, people: of each level a column. people, positives: noisy, kept where a log-odds exists.

    spread: of the noise in `positives`, people.
    """

    counts: tuple[Float, ...]
    people: float
    positives: float
    spread: float

    @classmethod
    def read(cls, packed: Packed, noisy: Int, scale: float) -> _Margins:
        people = max(FEWEST_PEOPLE, float(noisy[-2]) / PEOPLE_UNIT)
        spread = scale / POSITIVES_UNIT
        positives = float(noisy[-1]) / POSITIVES_UNIT
        positives = min(max(positives, spread, FEWEST_POSITIVES), LARGEST_SHARE * people)
        ends = np.cumsum([len(block.table) for block in packed.columns])[:-1]
        seen = np.maximum(noisy[: packed.levels] / level_unit(packed.columns), 0)
        each = zip(packed.columns, np.split(seen, ends), strict=True)
        counts = (c * people / max(1.0, float(c.sum())) if b.at_most == 1 else c for b, c in each)
        return cls(tuple(counts), people, positives, spread)

    @property
    def intercept(self) -> float:
        return math.log(self.positives / (self.people - self.positives))

    def curvature(self, columns: Sequence[Block]) -> _Curvature:
        """Rather too steep than too flat: a step that is too long never settles."""
        share = min((self.positives + self.spread) / self.people, 0.5)
        slope = SLOPE * share * (1 - share)
        means: list[Float] = [
            math.sqrt(slope / self.people) * (b.real.T @ c) for b, c in zip(columns, self.counts, strict=True)
        ]
        own = [_floored(slope * (b.real.T * c) @ b.real) for b, c in zip(columns, self.counts, strict=True)]
        centred = [
            _floored(np.asarray(o - np.outer(m, m), dtype=np.float64), 0.0) for o, m in zip(own, means, strict=True)
        ]
        means.append(np.array([math.sqrt(slope * self.people) * COUNT_UNIT / ONE]))
        return _Curvature((*own, np.outer(means[-1], means[-1])), (*centred, np.zeros((1, 1))), np.concatenate(means))


def _floored(matrix: Float, floor: float = FLOOR) -> Float:
    """No direction below the floor."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)


def _spectrum(centred: Float, mean: Float, seen: Float, noise: float) -> tuple[Float, Float]:
    """A column's problem in its own directions: how precisely each is seen, and how far it pulls.

    What lies along the column's mean belongs to the intercept and is left out.
    """
    unit = mean / max(float(np.linalg.norm(mean)), 1e-12)
    values, vectors = np.linalg.eigh(centred)
    values = np.maximum(values, 0)
    pulls = vectors.T @ (seen - unit * float(unit @ seen))
    return values**2 / (values + noise), pulls * values / (values + noise)


def _evidence(spectra: Sequence[tuple[Float, Float]], rounds: int = 40) -> list[float]:
    """Expectation maximisation, each column shrunk towards the geometric mean of all."""
    variances = np.full(len(spectra), FIRST_T**2)
    pooled = FIRST_T**2
    for _ in range(rounds):
        new = np.array([_second(s, v, pooled) for s, v in zip(spectra, variances, strict=True)])
        new = np.clip(new, SMALLEST_T**2, LARGEST_T**2)
        moved = float(np.abs(np.log(new / variances)).max())
        variances, pooled = new, float(np.exp(np.log(new).mean()))
        if moved < 0.02:
            break
    return [float(v) for v in variances]


def _second(spectrum: tuple[Float, Float], variance: float, pooled: float) -> float:
    """Mean second moment of a column's weights under its posterior, with `POOLED_CELLS` of the pooled variance."""
    precision, pull = spectrum
    spread = 1 / (precision + 1 / variance)
    return (float(((spread * pull) ** 2 + spread).sum()) + POOLED_CELLS * pooled) / (len(pull) + POOLED_CELLS)
