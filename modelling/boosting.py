"""Boosting on noisy counts of seeds: what columns say together, beyond an additive model.

People are dealt into groups of like people (`modelling.groups`), and of each group a noisy count of its seeds is paid
for. What the count says beyond the additive model is spread over the group's people; trees are grown on that by
squared loss, whose slope is linear in a count, so that noise needs no correction. Noise may be as large as the counts:
a leaf is shrunk by what noise adds to its variance, and how many trees there are, and how large, is found by
cross-validation over groups. That is free, since the counts are released already; and no tree is among the choices.

The code ensures: no label and no randomness enters; with the noisy counts fixed, nothing changes a tree.
The caller ensures: counts were paid for; the reader owns the features, as of every `membership` learner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .design import Design, Float, Int, Mask
from .lookalike import Model
from .trees import Boosted, Tree, effects_of, levels_of, ordered_views

FOLDS = 4
SIZES = (4, 16)
"""Leaves a tree, tried in turn."""
RATE, MOST_TREES, PATIENCE = 0.1, 100, 10
RIDGE, FEWEST = 5.0, 10.0
"""By how many people a leaf is shrunk, and how few it holds, without noise; both grow as noise does."""
MOST_PEOPLE = 100_000
"""Trees are grown on every k-th person, so many at most: what a count says of a group shows in any of its people."""


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Noisy counts of seeds. group: of each person, from 0. seeds: (groups,). variance: of the noise in each."""

    group: Int
    seeds: Float
    variance: float

    @property
    def people(self) -> Int:
        return np.bincount(self.group, minlength=len(self.seeds))

    def expected(self, probability: Float) -> Float:
        """Seeds of each group, were these the probabilities of a match."""
        return np.bincount(self.group, probability, minlength=len(self.seeds)).astype(np.float64)

    def spread(self, probability: Float) -> Float:
        """A label for each person: its probability, and its share of what its group has more or less than expected."""
        more = (self.seeds - self.expected(probability)) / np.maximum(self.people, 1)
        return np.asarray(probability + more[self.group])


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """A boosted model. expected: seeds of each group, by trees grown without it."""

    model: Boosted
    expected: Float


def boost(design: Design, base: Model, ordered: Sequence[bool], counts: Counts) -> Grown:
    """Trees on `base` that cross-validation likes best; none where it likes none. ordered: which columns are."""
    growing = _Booster(design, base, ordered, counts)
    return max((growing.validated(leaves) for leaves in SIZES), key=lambda each: each.gain).grown(growing)


@dataclass(frozen=True, slots=True, eq=False)
class _Validated:
    """gain: in squared loss, of so many trees of so many leaves. unseen: of each person, by trees without its group."""

    gain: float
    trees: int
    leaves: int
    unseen: Float

    def grown(self, booster: _Booster) -> Grown:
        return Grown(booster.model(self.trees, self.leaves), booster.expected(self.unseen))


class _Booster:
    """The people that trees are grown on, what each is taken to be, and in which order levels are cut."""

    def __init__(self, design: Design, base: Model, ordered: Sequence[bool], counts: Counts) -> None:
        everyone, step = base.probability(design), -(-design.rows // MOST_PEOPLE)
        self.base, self.counts, self.whole = base, counts, counts.expected(everyone)
        self.group, self.level, self.start = counts.group[::step], levels_of(design)[::step], everyone[::step]
        self.target, self.fold = counts.spread(everyone)[::step], self.group % FOLDS
        self.width = int(self.level.max(initial=0)) + 1
        self.flat = self.level + self.width * np.arange(self.level.shape[1])
        person = counts.variance * len(counts.seeds) / max(design.rows, 1)
        noisier = (1 + person / max(float(np.mean(self.start * (1 - self.start))), 0.02)) / step
        self.ridge, self.fewest = RIDGE * noisier, max(1.0, FEWEST * noisier)
        stands = ordered_views(design, ordered)
        self.order = np.tile(np.arange(self.width), (len(stands), 1))
        for view, effects in enumerate(effects_of(design, base)):
            if not stands[view]:
                self.order[view, : len(effects)] = np.argsort(effects, kind="stable")[: self.width]

    def expected(self, unseen: Float) -> Float:
        """Seeds of each group: by the model that trees start from, and what trees add to the people seen of it."""
        groups = len(self.counts.seeds)
        seen = np.maximum(np.bincount(self.group, minlength=groups), 1)
        more = np.bincount(self.group, unseen - self.start, minlength=groups) / seen
        return np.asarray(self.whole + more * self.counts.people, dtype=np.float64)

    def model(self, many: int, leaves: int) -> Boosted:
        score, trees = self.start.copy(), []
        everyone = np.arange(len(score))
        for _ in range(many):
            trees.append(_Growing(self, everyone, self.target - score).tree(leaves))
            score += trees[-1].score(self.level)
        return Boosted(self.base, self.width, tuple(trees))

    def validated(self, leaves: int) -> _Validated:
        """How many trees of so many leaves are best; all folds grow side by side."""
        best = _Validated(0.0, 0, leaves, self.start)
        folds = [(np.flatnonzero(self.fold != fold), self.fold == fold) for fold in range(FOLDS)]
        scores = [self.start.copy() for _ in folds]
        unseen = self.start.copy()
        for many in range(1, MOST_TREES + 1):
            for (used, left), score in zip(folds, scores, strict=True):
                score += _Growing(self, used, self.target - score).tree(leaves).score(self.level)
                unseen[left] = score[left]
            gain = float((unseen - self.start) @ (2 * self.target - unseen - self.start))
            if gain > best.gain:
                best = _Validated(gain, many, leaves, unseen.copy())
            if many - best.trees >= PATIENCE:
                break
        return best


@dataclass(slots=True, eq=False)
class _Leaf:
    """rows: of the people in it. sums: (2, views, levels), of what is left and of people. gain: of its best split."""

    rows: Int
    sums: Float
    gain: float
    view: int
    left: Mask


class _Growing:
    """One tree, grown leaf by leaf where a split gains most."""

    def __init__(self, booster: _Booster, rows: Int, remains: Float) -> None:
        self.of, self.remains = booster, remains
        self.leaves = {0: self._leaf(rows, self._sums(rows))}
        self.view, self.left, self.child = [-1], [np.zeros(booster.width, dtype=np.bool_)], [0]

    def tree(self, leaves: int) -> Tree:
        while len(self.leaves) < leaves:
            at = max(self.leaves, key=lambda node: self.leaves[node].gain)
            if self.leaves[at].gain <= 0:
                break
            self._split(at)
        value = np.zeros(len(self.view))
        for node, leaf in self.leaves.items():
            remains, people = leaf.sums[:, 0].sum(axis=1)
            value[node] = RATE * remains / (people + self.of.ridge)
        return Tree(np.array(self.view), np.array(self.left), np.array(self.child), value)

    def _split(self, at: int) -> None:
        leaf, first = self.leaves.pop(at), len(self.view)
        goes = leaf.left[self.of.level[leaf.rows, leaf.view]]
        parts = leaf.rows[goes], leaf.rows[~goes]
        small = int(len(parts[0]) > len(parts[1]))
        sums = self._sums(parts[small])
        both = (leaf.sums - sums, sums) if small else (sums, leaf.sums - sums)
        self.view[at], self.left[at], self.child[at] = leaf.view, leaf.left, first
        for node, rows, each in zip((first, first + 1), parts, both, strict=True):
            self.leaves[node] = self._leaf(rows, each)
            self.view.append(-1)
            self.left.append(np.zeros(self.of.width, dtype=np.bool_))
            self.child.append(0)

    def _sums(self, rows: Int) -> Float:
        flat, shape = self.of.flat[rows].ravel(), self.of.order.shape
        size = shape[0] * shape[1]
        remains = np.bincount(flat, np.repeat(self.remains[rows], shape[0]), minlength=size)
        return np.stack([remains, np.bincount(flat, minlength=size)]).astype(np.float64).reshape(2, *shape)

    def _leaf(self, rows: Int, sums: Float) -> _Leaf:
        """Every view is cut where the two sides gain most, its levels in their order."""
        order, ridge = self.of.order, self.of.ridge
        r, n = np.cumsum(np.take_along_axis(sums, order[None], axis=2), axis=2)
        whole_r, whole_n = r[:, -1:], n[:, -1:]
        gain = r**2 / (n + ridge) + (whole_r - r) ** 2 / (whole_n - n + ridge) - whole_r**2 / (whole_n + ridge)
        gain[(n < self.of.fewest) | (whole_n - n < self.of.fewest)] = 0.0
        view, cut = np.unravel_index(int(np.argmax(gain)), gain.shape)
        left = np.zeros(self.of.width, dtype=np.bool_)
        left[order[view, : cut + 1]] = True
        return _Leaf(rows, sums, float(gain[view, cut]), int(view), left)
