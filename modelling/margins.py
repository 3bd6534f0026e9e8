"""How many people have each level, noisy, and what curvature would be were columns independent.

Label-blind: counts come from noisy margins, or from people who are no secret to the reader.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .design import COUNT_UNIT, ONE, Block, Float
from .logistic import sigmoid

SLOPE = 0.7
"""Mean of p (1 - p) over people, in units of its value where everybody has the same p: scores spread in time."""
FLOOR = 0.3
POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
"""Of means over a standard normal."""
FEWEST_PEOPLE, FEWEST_POSITIVES, LARGEST_SHARE = 50.0, 5.0, 0.95
FARTHEST = 30.0
"""Log-odds beyond which no intercept is looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Curvature:
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
class Margins:
    """Noisy counts, people: of each level a column. people, positives: noisy, kept where a log-odds exists.

    spread: of the noise in `positives`, people. partition: of which columns everybody has exactly one level.
    """

    counts: tuple[Float, ...]
    people: float
    positives: float
    spread: float
    partition: tuple[bool, ...]

    @classmethod
    def of(cls, columns: Sequence[Block], counts: Float, people: float, positives: float, spread: float) -> Margins:
        """counts: of all columns' levels, one after the other, as noisy as they come."""
        people = max(FEWEST_PEOPLE, people)
        positives = min(max(positives, spread, FEWEST_POSITIVES), LARGEST_SHARE * people)
        ends = np.cumsum([len(block.table) for block in columns])[:-1]
        each = zip(columns, np.split(counts, ends), strict=True)
        likely = (_summing(c, people) if b.partition else np.clip(c, 0, people) for b, c in each)
        return cls(tuple(likely), people, positives, spread, tuple(block.partition for block in columns))

    @property
    def intercept(self) -> float:
        return math.log(self.positives / (self.people - self.positives))

    @property
    def shares(self) -> list[Float]:
        """Of people, a level; one array a column."""
        return [np.minimum(counts / self.people, 1.0) for counts in self.counts]

    def together(self, block: Block, counts: Float) -> Float:
        """How many people have each pair of a column's levels: none, or, of a set, as many as chance would give."""
        if block.partition:
            return np.diag(counts)
        share = np.minimum(counts / self.people, 1.0)
        return np.asarray(np.diag(counts * (1 - share)) + self.people * np.outer(share, share), dtype=np.float64)

    def bends(
        self, columns: Sequence[Block], effects: Sequence[Float], intercept: float, kept: Sequence[Float]
    ) -> Iterator[tuple[Float, Float]]:
        """For each column the negative Hessian at these effects, its mean taken out, and that mean: what the column's
        pull moves by where the intercept moves its own by 1.

        kept: what is kept of a person's row, on average over those with each level.
        """
        *slopes, whole = self.slopes(effects, intercept)
        for block, counts, slope, share in zip(columns, self.counts, slopes, kept, strict=True):
            weight = counts * slope * share
            along = block.real.T @ weight
            if not block.partition:
                weight = weight * (1 - np.minimum(counts / self.people, 1.0))
            bent = (block.real.T * weight) @ block.real
            taken = np.outer(along, along) / max(float(weight.sum()), 1e-12) if block.partition else 0.0
            yield np.asarray(bent - taken, dtype=np.float64), along / max(self.people * float(whole[0]), 1e-12)

    def slopes(self, effects: Sequence[Float], intercept: float) -> list[Float]:
        """Mean of p (1 - p) over the people with each level, as if columns were independent and scores normal; and
        last, over all of them."""
        means, spreads = self.over_people(effects)
        found = []
        for values, mean, spread in [*zip(effects, means, spreads, strict=True), (np.zeros(1), 0.0, 0.0)]:
            p = _chances(intercept + sum(means) - mean + values, sum(spreads) - spread)
            found.append(np.asarray((p * (1 - p)) @ WEIGHTS, dtype=np.float64))
        return found

    def said(self, effects: Sequence[Float], intercept: float) -> float:
        """How many people a model says are positive, as if columns were independent and scores normal."""
        means, spreads = self.over_people(effects)
        return self._above(intercept, sum(means), sum(spreads))

    def settled(self, wanted: float, mean: float, spread: float) -> float:
        """The intercept under which so many are positive, where what columns add has this mean and variance."""
        low, high = -FARTHEST, FARTHEST
        for _ in range(50):
            middle = (low + high) / 2
            under = self._above(middle, mean, spread) < wanted
            low, high = (middle, high) if under else (low, middle)
        return (low + high) / 2

    def settled_at(self, effects: Sequence[Float], intercept: float, spread: float) -> float:
        """The intercept under which as many are positive as a model says, were its scores' variance another."""
        means, _ = self.over_people(effects)
        return self.settled(self.said(effects, intercept), sum(means), spread)

    def _above(self, intercept: float, mean: float, spread: float) -> float:
        return self.people * float(_chances(np.array([intercept + mean]), spread)[0] @ WEIGHTS)

    def over_people(self, effects: Sequence[Float]) -> tuple[list[float], list[float]]:
        """Mean and variance over people of what each column adds; levels of a set come together by chance."""
        means, spreads = [], []
        for share, values, partition in zip(self.shares, effects, self.partition, strict=True):
            means.append(float(share @ values))
            spreads.append(float(share @ (values - means[-1]) ** 2 if partition else share * (1 - share) @ values**2))
        return means, spreads

    def curvature(self, columns: Sequence[Block], kept: Sequence[Float]) -> Curvature:
        """Rather too steep than too flat: a step that is too long never settles. kept: as of `bends`."""
        share = min((self.positives + self.spread) / self.people, 0.5)
        slope = SLOPE * share * (1 - share)
        means: list[Float] = [
            math.sqrt(slope / self.people) * (b.real.T @ c) for b, c in zip(columns, self.counts, strict=True)
        ]
        own = [
            _floored(slope * b.real.T @ (self.together(b, c) * np.sqrt(np.outer(k, k))) @ b.real)
            for b, c, k in zip(columns, self.counts, kept, strict=True)
        ]
        centred = [
            _floored(np.asarray(o - np.outer(m, m), dtype=np.float64), 0.0) for o, m in zip(own, means, strict=True)
        ]
        means.append(np.array([math.sqrt(slope * self.people) * COUNT_UNIT / ONE]))
        return Curvature((*own, np.outer(means[-1], means[-1])), (*centred, np.zeros((1, 1))), np.concatenate(means))


def _chances(middle: Float, variance: float) -> Float:
    """Probabilities at the points of normal scores about each middle: middles x points."""
    return np.asarray(sigmoid(middle[:, None] + math.sqrt(max(0.0, variance)) * POINTS), dtype=np.float64)


def _summing(counts: Float, people: float) -> Float:
    """The nearest counts of which none is below zero, and which are `people` in all: what noise adds to levels that
    nobody has would otherwise be taken for people."""
    ordered = np.sort(counts)[::-1]
    over = (np.cumsum(ordered) - people) / np.arange(1, len(counts) + 1)
    return np.asarray(np.maximum(counts - over[np.flatnonzero(ordered > over)[-1]], 0), dtype=np.float64)


def _floored(matrix: Float, floor: float = FLOOR) -> Float:
    """No direction below the floor."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)
