"""Boosting on noisy labels: what columns say together.

Trees are grown by squared loss, whose slope is linear in a label, so that a label needs to be unbiased and may carry
any noise. A leaf is shrunk by what noise adds to its variance, and how many trees there are, and how large, is found by
cross-validation. That is free, since the labels are released already; and no tree is among the choices.

Here labels come from noisy counts of seeds. People are dealt into groups of like people (`modelling.groups`), and of
each group a noisy count of its seeds is paid for. What the count says beyond an additive model is spread over the
group's people. In `modelling.responses` everybody has a flipped label of its own.

The code ensures: no label but the noisy ones, and no randomness, enters; with those fixed, nothing changes a tree.
The caller ensures: they were paid for; the reader owns the features, as of every `membership` learner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .design import Design, Float, Int, Mask
from .model import Model
from .trees import Boosted, Tree, effects_of, levels_of, ordered_views, widest

FOLDS = 4
SIZES = (4, 16)
"""Leaves a tree, tried in turn."""
RATE, MOST_TREES, PATIENCE = 0.1, 100, 10
RIDGE, FEWEST = 5.0, 10.0
"""By how many people a leaf is shrunk, and how few it holds, without noise; both grow as noise does."""
SMALLEST_VARIANCE = 0.02
"""Of a yes or no, beside which noise is large or small."""
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
    everyone, step = base.probability(design), -(-design.rows // MOST_PEOPLE)
    start = Start(everyone[::step], cutting_order(design, base, ordered))
    noise = counts.variance * len(counts.seeds) / max(design.rows, 1)
    labels = counts.spread(everyone)[::step]
    grounds = Grounds(
        levels_of(design)[::step], labels, counts.group[::step] % FOLDS, noisier(start.probability, noise) / step
    )
    best = validated(grounds, [start] * FOLDS)
    trees = grown(grounds, start, best.trees, best.leaves)
    return Grown(Boosted(base, widest(design), trees), _expected(counts, everyone, best.unseen, step))


def _expected(counts: Counts, everyone: Float, unseen: Float, step: int) -> Float:
    """Seeds of each group: by the model that trees start from, and what trees add to the people seen of it."""
    seen, groups = counts.group[::step], len(counts.seeds)
    more = np.bincount(seen, unseen - everyone[::step], minlength=groups)
    each = more / np.maximum(np.bincount(seen, minlength=groups), 1)
    return np.asarray(counts.expected(everyone) + each * counts.people, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Grounds:
    """The people that trees are grown on.

    level: (people, views), as `levels_of`. label: unbiased, one a person. fold: whom trees of that fold do not see.
    noisier: how many times the variance of a yes or no a label's is.
    """

    level: Int
    label: Float
    fold: Int
    noisier: float

    @property
    def ridge(self) -> float:
        return RIDGE * self.noisier

    @property
    def fewest(self) -> float:
        return max(1.0, FEWEST * self.noisier)


def noisier(probability: Float, noise: float) -> float:
    """How many times the variance of a yes or no that of a label is, to which so much noise was added."""
    return 1 + noise / max(float(np.mean(probability * (1 - probability))), SMALLEST_VARIANCE)


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What trees add to. probability: one a person. order: (views, levels), in which levels are cut."""

    probability: Float
    order: Int


def cutting_order(design: Design, base: Model, ordered: Sequence[bool]) -> Int:
    """Levels of each view as they stand, or where they have no order, by what they add in an additive model."""
    stands = ordered_views(design, ordered)
    order = np.tile(np.arange(widest(design)), (len(stands), 1))
    for view, effects in enumerate(effects_of(design, base)):
        if not stands[view]:
            order[view, : len(effects)] = np.argsort(effects, kind="stable")
    return order


@dataclass(frozen=True, slots=True, eq=False)
class Validated:
    """gain: in squared loss, of so many trees of so many leaves. unseen: of each person, by trees without its fold."""

    gain: float
    trees: int
    leaves: int
    unseen: Float


def validated(grounds: Grounds, starts: Sequence[Start]) -> Validated:
    """How many trees, and of how many leaves, are best. starts: one a fold."""
    return max((_validated(grounds, starts, leaves) for leaves in SIZES), key=lambda each: each.gain)


def _validated(grounds: Grounds, starts: Sequence[Start], leaves: int) -> Validated:
    """How many trees of so many leaves are best; all folds grow side by side."""
    scores = [start.probability.copy() for start in starts]
    first = np.asarray(np.choose(grounds.fold, scores), dtype=np.float64)
    best, unseen = Validated(0.0, 0, leaves, first), first.copy()
    for many in range(1, MOST_TREES + 1):
        for fold, (start, score) in enumerate(zip(starts, scores, strict=True)):
            used, left = np.flatnonzero(grounds.fold != fold), grounds.fold == fold
            tree = _Growing(grounds, start.order, used, grounds.label - score).tree(leaves)
            score += tree.score(grounds.level)
            unseen[left] = score[left]
        gain = float((unseen - first) @ (2 * grounds.label - unseen - first))
        if gain > best.gain:
            best = Validated(gain, many, leaves, unseen.copy())
        if many - best.trees >= PATIENCE:
            break
    return best


def grown(grounds: Grounds, start: Start, many: int, leaves: int) -> tuple[Tree, ...]:
    """So many trees, on everybody."""
    score, everyone = start.probability.copy(), np.arange(len(grounds.label))
    trees: list[Tree] = []
    for _ in range(many):
        trees.append(_Growing(grounds, start.order, everyone, grounds.label - score).tree(leaves))
        score += trees[-1].score(grounds.level)
    return tuple(trees)


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

    def __init__(self, of: Grounds, order: Int, rows: Int, remains: Float) -> None:
        self.of, self.order, self.remains, self.width = of, order, remains, order.shape[1]
        self.start = self.width * np.arange(len(order))
        self.cutting = (order + self.start[:, None]).ravel()
        self.leaves = {0: self._leaves([rows], self._sums(rows)[None])[0]}
        self.view, self.left, self.child = [-1], [np.zeros(self.width, dtype=np.bool_)], [0]

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
        both = np.stack((leaf.sums - sums, sums) if small else (sums, leaf.sums - sums))
        self.view[at], self.left[at], self.child[at] = leaf.view, leaf.left, first
        for node, each in zip((first, first + 1), self._leaves(parts, both), strict=True):
            self.leaves[node] = each
            self.view.append(-1)
            self.left.append(np.zeros(self.width, dtype=np.bool_))
            self.child.append(0)

    def _sums(self, rows: Int) -> Float:
        flat, shape = (self.of.level[rows] + self.start).ravel(), self.order.shape
        size = shape[0] * shape[1]
        remains = np.bincount(flat, np.repeat(self.remains[rows], shape[0]), minlength=size)
        return np.stack([remains, np.bincount(flat, minlength=size)]).astype(np.float64).reshape(2, *shape)

    def _leaves(self, parts: Sequence[Int], sums: Float) -> list[_Leaf]:
        """Every view is cut where the two sides gain most, its levels in their order. sums: of each part."""
        ridge, fewest = self.of.ridge, self.of.fewest
        ordered = sums.reshape(len(parts), 2, -1)[:, :, self.cutting].reshape(sums.shape)
        r, n = np.moveaxis(np.cumsum(ordered, axis=3), 1, 0)
        whole_r, whole_n = r[..., -1:], n[..., -1:]
        others = whole_n - n
        gain = r**2 / (n + ridge) + (whole_r - r) ** 2 / (others + ridge) - whole_r**2 / (whole_n + ridge)
        gain[(n < fewest) | (others < fewest)] = 0.0
        return [self._cut(*each) for each in zip(parts, sums, gain, strict=True)]

    def _cut(self, rows: Int, sums: Float, gain: Float) -> _Leaf:
        view, cut = divmod(int(gain.argmax()), self.width)
        left = np.zeros(self.width, dtype=np.bool_)
        left[self.order[view, : cut + 1]] = True
        return _Leaf(rows, sums, float(gain[view, cut]), view, left)
