"""Learning from labels that were flipped: any learner may have them, and what they tell is chosen among learners.

Everybody's label (matched or not) was flipped with a known probability f, below a half, and released so. All that is
done with flipped labels is post-processing: several learners may be fitted on them and held against each other at no
more cost. With p the probability of a match, a flipped label is yes with probability f + (1 - 2 f) p. So
r = (label - f) / (1 - 2 f) has mean p and variance p (1 - p) + v, where v = f (1 - f) / (1 - 2 f)^2 is the same for
everybody: unlike the noise of sums it lies along people's rows, and is large where many people are.

*An additive model* is found as `lookalike` finds it, from the same rows, priors and ceilings; what differs is what the
release says around some weights. Sums of r times a row would do: their covariance is the sum of p (1 - p) + v times row
row^T. With everybody's label one can do better: with s = dp / dz, each is weighed by s / (p (1 - p) + v), which is
Fisher scoring of the flipped labels' likelihood. It is the same at weights 0, and later leaves aside people of whom the
model is sure, who would add noise alone.

*Trees* are grown on r from one rate for everybody (`boosting`): what columns say together.

*Both together.* Each is fitted four times without a fourth of the people, and says what it takes those for. The model
is a mixture, a x additive + (1 - a) x trees; a is the mean over 0 to 1 of what the flipped labels say of it. Where
noise says nothing, it is near a half, which serves better than either; where one is worse, it is left out.

The code ensures: no label but the flipped ones, and no randomness, enters; the same give the same model, bit for bit.
The caller ensures: they were paid for, each flipped on its own; the reader owns the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .boosting import FOLDS, MOST_PEOPLE, Grounds, Start, Validated, cutting_order, grown, noisier, validated
from .contest import Learnt
from .design import Design, Float, Mask, used_cells
from .logistic import FEWEST, LARGEST_SHARE, sigmoid
from .lookalike import CEILINGS, SeedGLM
from .model import Model
from .problem import Problem
from .trees import Boosted, Tree, levels_of, log_odds, widest
from .view import View

PARTS = np.linspace(0.0, 1.0, 51)
"""What may be the additive model's part in a mixture."""
FEWEST_PEOPLE = 100
"""Fewer are not split again: their model is additive."""
LEAST = 0.05
"""An additive model's part is no less; trees that would have less are left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """Flipped labels, one a person. flip: with what probability each was flipped, below a half."""

    flipped: Mask
    flip: float

    def __post_init__(self) -> None:
        if self.flipped.dtype != np.bool_ or self.flipped.ndim != 1:
            raise TypeError("one yes or no a person is needed")
        if not 0 < self.flip < 0.5:
            raise ValueError("labels that are flipped half of the time, or never, are not what this is for")

    @property
    def label(self) -> Float:
        """Unbiased: its mean is the probability of a match."""
        return np.asarray((self.flipped - self.flip) / (1 - 2 * self.flip), dtype=np.float64)

    @property
    def variance(self) -> float:
        """What flipping adds to a label's variance."""
        return self.flip * (1 - self.flip) / (1 - 2 * self.flip) ** 2

    @property
    def share(self) -> float:
        """Of matches among people, kept where a log-odds exists."""
        return min(max(FEWEST, float(self.label.sum())) / len(self.flipped), LARGEST_SHARE)

    def likelihood(self, probability: Float) -> float:
        """Log-likelihood of the flipped labels, were these the probabilities of a match."""
        yes = self.flip + (1 - 2 * self.flip) * probability
        return float(np.log(np.where(self.flipped, yes, 1 - yes)).sum())

    def take(self, kept: Mask) -> Responses:
        return Responses(self.flipped[kept], self.flip)


@dataclass(frozen=True, slots=True, eq=False)
class ResponseProblem(Problem):
    """Flipped labels beside the people they came from. variance: what flipping adds, 0 as if nobody's were flipped."""

    responses: Responses
    variance: float

    @classmethod
    def of(cls, design: Design, responses: Responses, ceiling: float) -> ResponseProblem:
        used = used_cells(design)
        column = np.repeat(np.arange(len(design.columns)), [block.cells for block in design.columns])[used]
        sums = design.project(responses.label)[used]
        return cls(design, used, column, sums, 0.0, responses.share, ceiling, responses, responses.variance)

    def view(self, weights: Float) -> View:
        """Around `weights`. Rows are seen from their middle by s: the intercept follows from the count."""
        scores = self.design.scores(self.levels(weights))
        up = sigmoid(self.intercept(scores) + scores)
        p = self.ceiling * up
        moving = p * (1 - up)
        tells = moving / (p * (1 - p) + self.variance)
        middle = self.design.project(moving)[self.used] / max(float(moving.sum()), 1e-300)
        pulls, weighs = tells * (self.responses.label - p), tells * moving
        pull = self.design.project(pulls)[self.used] - middle * float(pulls.sum())
        aside = np.outer(middle, self.design.project(weighs)[self.used])
        whole = self.design.curvature(weighs)[np.ix_(self.used, self.used)]
        precision = whole - aside - aside.T + float(weighs.sum()) * np.outer(middle, middle)
        return View(precision, pull, -2 * self.responses.likelihood(p))

    def exact(self) -> ResponseProblem:
        return replace(self, variance=0.0)


def learn(design: Design, ordered: Sequence[bool], flipped: Mask, flip: float) -> Learnt:
    """What flipped labels of these people teach: an additive model, or one with trees beside it.

    ordered: which columns are. flipped: one a person; flip: with what probability, below a half. Errors: TypeError;
    ValueError, also without people.
    """
    responses = Responses(flipped, flip)
    base = additive(design, responses).model_
    return _Beside(design, responses, base, ordered).model() if design.rows >= FEWEST_PEOPLE else base


def additive(design: Design, responses: Responses, ceilings: tuple[float, ...] = CEILINGS) -> SeedGLM:
    """The additive model alone, fitted, with its doubt and its effects' intervals. ceilings: as of `SeedGLM`.

    Errors: ValueError.
    """
    if design.rows == 0 or responses.flipped.shape != (design.rows,):
        raise ValueError("a label for each of some people is needed")
    tried = [1.0, *(c * responses.share for c in ceilings if 1 < c < 1 / responses.share)]
    return _solved(design, responses, tried)


def _solved(design: Design, responses: Responses, ceilings: Sequence[float]) -> SeedGLM:
    learner = SeedGLM()
    learner.fit_best([ResponseProblem.of(design, responses, ceiling) for ceiling in ceilings])
    return learner


def _below(ceiling: float, design: Design, responses: Responses) -> Model:
    """The additive model of some people, below the ceiling of all unless their share of matches comes near it."""
    return _solved(design, responses, [min(1.0, max(ceiling, 2 * responses.share))]).model_


class _Beside:
    """An additive model, trees, and what both say of people whose labels they did not see."""

    def __init__(self, design: Design, responses: Responses, base: Model, ordered: Sequence[bool]) -> None:
        at, step = np.arange(design.rows), -(-design.rows // MOST_PEOPLE)
        kept, fold = at % step == 0, at // step % FOLDS
        seen, self.responses = design.take(kept), responses.take(kept)
        self.base, self.width = base, widest(design)
        self.flat = Start(np.full(seen.rows, responses.share), cutting_order(seen, base, ordered))
        unseen = [np.asarray(fold == each) for each in range(FOLDS)]
        others = [_below(base.ceiling, design.take(~left), responses.take(~left)) for left in unseen]
        starts = [replace(self.flat, order=cutting_order(seen, other, ordered)) for other in others]
        noise = noisier(self.flat.probability, responses.variance)
        self.grounds = Grounds(levels_of(seen), self.responses.label, fold[kept], noise)
        self.trees: Validated = validated(self.grounds, starts)
        said = [other.probability(seen) for other in others]
        self.unseen = np.asarray(np.choose(self.grounds.fold, said), dtype=np.float64)

    def part(self) -> float:
        """The additive model's: mean of its posterior, from the labels that were not seen, all parts alike before."""
        if not self.trees.trees:
            return 1.0
        mixed = [sigmoid(log_odds(a * self.unseen + (1 - a) * self.trees.unseen)) for a in PARTS]
        said = np.array([self.responses.likelihood(each) for each in mixed])
        weight = np.exp(said - said.max())
        return float(PARTS @ weight / weight.sum())

    def model(self) -> Learnt:
        part = self.part()
        if part > 1 - LEAST:
            return self.base
        part = max(part, LEAST)
        rate = Tree.leaf(float(self.flat.probability[0]), self.width)
        trees = grown(self.grounds, self.flat, self.trees.trees, self.trees.leaves)
        scaled = tuple(replace(tree, value=(1 - part) * tree.value) for tree in (rate, *trees))
        return Boosted(replace(self.base, ceiling=part * self.base.ceiling), self.width, scaled)
