"""Why the audience is what it is: what each value adds to a score, and which columns matter most, with intervals.

Additive models are their own explanation. What a level adds is read beside what its column adds to people on average,
so that no constant is shifted between columns; a topic, beside not having it. A column matters as much as what it adds
differs between people: the standard deviation of it, in log-odds.

Effects of levels are the model's own numbers. How much a column matters is the middle of what is believed of it: the
model's own effects are shrunk, and their spread would lie at the lower end. An interval says where the number without
noise and luck lies: the posterior given the noisy sums, with the known noise, which people happened to be there, and
the shrinkage of both in it, and an average over how large effects of a column may be (half Cauchy; Gelman 2006), as far
as the sums leave that open. All of it is post-processing of what was paid for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..dp.noisy import Estimate
from .design import ONE, Block, Codes, Design, Float, co_occurrence, largest_norm_squared

COVERS = "noise and sampling"
SIDE = 0.025
SIZES = np.geomspace(0.005, 8.0, 60)
"""Standard deviations, log-odds, that effects of a column may have; `USUAL` is their prior's middle."""
USUAL = 1.0
NEGLIGIBLE = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """How people hold a column's levels. share: of people, a level. spread: levels x levels, the covariance of having
    them."""

    share: Float
    spread: Float

    @classmethod
    def alone(cls, block: Block, counts: Float, people: float) -> Held:
        """From counts: where several levels come together, as if they did so by chance. counts: none below 0."""
        whole = float(counts.sum()) if block.partition else people
        share = np.minimum(counts / max(whole, 1.0), 1.0)
        own = np.diag(share if block.partition else share * (1 - share))
        return cls(share, own - np.outer(share, share) if block.partition else own)

    @classmethod
    def of(cls, block: Block, codes: Codes, rows: int) -> Held:
        """From people who are no secret to the reader."""
        levels = len(block.table)
        pairs = co_occurrence(codes, codes, np.ones(rows), (levels, levels)) / max(1, rows)
        share = np.diag(pairs)
        return cls(share, pairs - np.outer(share, share))


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What noisy sums say of a column's weights, whatever was believed before: a Gaussian likelihood.

    precision: cells x cells. pull: precision times the likeliest weights.
    """

    precision: Float
    pull: Float


@dataclass(frozen=True, slots=True)
class LevelEffect:
    """level: what it is. share: of people who have it. effect: what it adds to the log-odds."""

    level: str
    share: float
    effect: Estimate


@dataclass(frozen=True, slots=True)
class ColumnEffect:
    """matters: standard deviation over people of what the column adds to the log-odds."""

    name: str
    matters: Estimate
    levels: tuple[LevelEffect, ...]


def explained(
    columns: Sequence[Block], held: Sequence[Held], effects: Sequence[Float], known: Sequence[Known]
) -> tuple[ColumnEffect, ...]:
    """Columns, those that matter most first. effects: of the model, one a level."""
    found = [_column(*each) for each in zip(columns, held, effects, known, strict=True)]
    return tuple(sorted(found, key=lambda column: -column.matters.estimate))


def alone(columns: Sequence[Block], known: Sequence[Known]) -> list[Beliefs]:
    """What is believed of each column's weights, whatever the others are like."""
    return [Beliefs.of(Seen.of(block, each)) for block, each in zip(columns, known, strict=True)]


def held_by(design: Design) -> list[Held]:
    return [Held.of(block, codes, design.rows) for block, codes in zip(design.columns, design.codes, strict=True)]


def _column(block: Block, held: Held, effects: Float, known: Known) -> ColumnEffect:
    beliefs = Beliefs.of(Seen.of(block, known))
    away = held.share / max(float(held.share.sum()), 1e-12) if block.partition else np.zeros(len(held.share))
    contrast = np.eye(len(held.share)) - away
    low, high = beliefs.between(contrast @ block.real)
    each = zip(block.levels, held.share.tolist(), (contrast @ effects).tolist(), low, high, strict=True)
    levels = tuple(LevelEffect(name, share, _estimate(x, a, b)) for name, share, x, a, b in each)
    least, middle, most = beliefs.root(block.real.T @ held.spread @ block.real)
    return ColumnEffect(block.name, Estimate(middle, least, most, COVERS), levels)


def _estimate(own: float, low: float, high: float) -> Estimate:
    """The model's own number lies in its interval."""
    return Estimate(own, min(own, low), max(own, high), COVERS)


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """A column's weights as a mixture of Gaussians, one for each size its effects may have.

    weights: of the mixture. means: sizes x cells, in the directions of `axes`; variances: the same.
    """

    weights: Float
    means: Float
    variances: Float
    axes: Float

    @classmethod
    def of(cls, seen: Seen, sizes: Float | None = None) -> Beliefs:
        """sizes: how plausible each of `SIZES` is before the sums are seen, log; half Cauchy about `USUAL` where it is
        left out."""
        log = seen.evidence + (half_cauchy(USUAL) if sizes is None else sizes)
        weights = np.exp(log - log.max())
        kept = weights > NEGLIGIBLE
        variances = 1 / (seen.precision + 1 / seen.prior[kept])
        return cls(weights[kept] / weights[kept].sum(), variances * seen.pull, variances, seen.axes)

    def moments(self) -> tuple[Float, Float]:
        """Mean and covariance of the weights."""
        middle = self.weights @ self.means
        apart = (self.means - middle) * np.sqrt(self.weights)[:, None]
        within = np.diag(self.weights @ self.variances)
        return self.axes @ middle, self.axes @ (within + apart.T @ apart) @ self.axes.T

    def between(self, rows: Float) -> tuple[list[float], list[float]]:
        """Ends of the 95 % interval of each row times the weights."""
        from scipy.special import ndtr

        turned = rows @ self.axes
        means, spreads = self.means @ turned.T, np.sqrt(self.variances @ (turned**2).T) + 1e-12
        reach = 6 * spreads.max(axis=0)
        start = means.min(axis=0) - reach, means.max(axis=0) + reach
        low, high = (
            _quantile(lambda x: self.weights @ ndtr((x - means) / spreads), side, *start) for side in (SIDE, 1 - SIDE)
        )
        return low.tolist(), high.tolist()

    def mean(self, form: Float) -> float:
        """Of a quadratic form of the weights."""
        turned = self.axes.T @ form @ self.axes
        each = np.einsum("gi,ij,gj->g", self.means, turned, self.means) + self.variances @ np.diag(turned)
        return float(self.weights @ each)

    def root(self, form: Float) -> tuple[float, float, float]:
        """The middle of the root of a quadratic form of the weights, between the ends of its 95 % interval: gamma
        distributions with its first two moments."""
        from scipy.special import gammainc

        turned = self.axes.T @ form @ self.axes
        mean = np.einsum("gi,ij,gj->g", self.means, turned, self.means) + self.variances @ np.diag(turned)
        both = np.einsum("gi,ij,gj->g", self.variances, turned**2, self.variances)
        pulled = self.means @ turned
        variance = 2 * both + 4 * np.einsum("gi,gi,gi->g", pulled, self.variances, pulled)
        mean, variance = np.maximum(mean, 1e-12), np.maximum(variance, 1e-24)
        shape, scale = mean**2 / variance, variance / mean
        most = np.array([float((mean + 12 * np.sqrt(variance)).max())])
        low, middle, high = (
            _quantile(lambda x: self.weights @ gammainc(shape, x / scale), side, 0 * most, most)
            for side in (SIDE, 0.5, 1 - SIDE)
        )
        return math.sqrt(float(low[0])), math.sqrt(float(middle[0])), math.sqrt(float(high[0]))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A column's likelihood in its own directions. precision, pull: one a direction. prior: variance of a weight, for
    each of `SIZES`, sizes x 1. evidence: of each size, log, up to a constant."""

    precision: Float
    pull: Float
    axes: Float
    prior: Float
    evidence: Float

    @classmethod
    def of(cls, block: Block, known: Known) -> Seen:
        """known: in any orthonormal directions of the weights."""
        length = max(math.sqrt(largest_norm_squared(block)) / ONE, 1e-6)
        values, axes = np.linalg.eigh((known.precision + known.precision.T) / 2)
        values, pull = np.maximum(values, 0.0), axes.T @ known.pull
        prior = (SIZES / length)[:, None] ** 2
        log = 0.5 * (pull**2 * prior / (1 + values * prior) - np.log1p(values * prior)).sum(axis=1)
        return cls(values, pull, axes, prior, log)


def half_cauchy(usual: float) -> Float:
    """Log density of each of `SIZES`, on a log scale and up to a constant that is the same for every usual size."""
    return np.asarray(np.log(usual * SIZES / (usual**2 + SIZES**2)))


def _quantile(below: Callable[[Float], Float], share: float, low: Float, high: Float) -> Float:
    """Where `below` reaches `share`, by bisection, elementwise."""
    for _ in range(40):
        middle = (low + high) / 2
        under = below(middle) < share
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return np.asarray((low + high) / 2)
