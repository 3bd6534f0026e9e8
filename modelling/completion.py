"""Attributes that only some people's records have, completed for the rest from what is known of everybody.

The reader owns people with known attributes (ABCD). Another party knows further attributes (E to H) of some people.
From one noisy release for all wanted attributes (`modelling.attributes`, where the privacy argument stands) the reader
gets, for each of its people, P(G = g) and P(H = h), an interval, and an honest "not known". All that happens here is
post-processing of those noisy integers and the reader's own rows.

**Questions.** An attribute with one value each is one question. A set is one question a value: yes or no.

**Answers.** P comes from shares of the known (`modelling.shares`), shrunk to the parent by their prior; of two values
its mean is taken over the posterior's spread (MacKay 1992).
The interval is that of 95 % of the posterior: noise, and the luck of who is known. `confidence` is the likeliest
value's probability, or 0 where its interval begins below 1/2: there another value could be likelier. Below the
`confident` that is asked for, the answer is an abstention; asking another one is free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

from ..dp.noisy import Z95, Estimate, Noisy
from .attributes import YES_NO, Known, Target, cells, moments
from .design import BITS, COUNT_UNIT, Design, DesignMismatch, Float, Int, Mask
from .draw import Draw
from .logistic import sigmoid
from .lookalike import SeedGLM
from .shares import Among, Share, ShareProblem, fit_share

CONFIDENT = 0.8
ONE_PERSON = COUNT_UNIT / 2**BITS
"""What a person adds to the count cell, in units of a row's length."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of everybody. topic: position of the value of a set that is asked about."""

    target: Target
    topic: int | None = None

    @property
    def name(self) -> str:
        return self.target.name if self.topic is None else f"{self.target.name}: {self.target.values[self.topic]}"

    @property
    def values(self) -> tuple[str, ...]:
        return self.target.values if self.topic is None else YES_NO


def questions(targets: Sequence[Target]) -> list[Question]:
    """In order, what is asked of everybody."""
    return [
        Question(target, topic)
        for target in targets
        for topic in (range(len(target.values)) if target.at_most else (None,))
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Completed:
    """A question, answered for everybody. probability: (rows, values). low, high: (rows,), of the likeliest value's.
    confidence: (rows,). parent: (values,), the shares among those who are known.
    """

    question: Question
    probability: Float
    low: Float
    high: Float
    confidence: Float
    parent: Float

    @property
    def likeliest(self) -> Int:
        """Position of the likeliest value."""
        return np.asarray(np.argmax(self.probability, axis=1), dtype=np.int64)

    @property
    def highest(self) -> Float:
        """Probability of the likeliest value."""
        return np.asarray(self.probability.max(axis=1))

    def answered(self, confident: float = CONFIDENT) -> Mask:
        """Who gets an answer; the others an abstention."""
        return np.asarray(self.confidence >= confident)


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What was learnt for one question. parent: (values,). each: a share of the second of two values, or one each."""

    question: Question
    parent: Float
    each: tuple[Share, ...]

    def answer(self, people: Design) -> Completed:
        """For everybody in a design of the encoder it was learnt with. Errors: DesignMismatch.

        An answer is, bit for bit, a function of the person's own levels, whoever else is asked and in which order.
        """
        score = np.stack([one.model.score(people) for one in self.each], axis=1)
        spread = np.stack([one.doubt.deviation(people) for one in self.each], axis=1)
        if len(self.each) == 1:
            p = sigmoid(score / np.sqrt(1 + np.pi / 8 * spread * spread))
            toward = np.where(p > 0.5, score, -score)[:, 0]
            return _completed(self, np.hstack([1 - p, p]), toward, spread[:, 0])
        p = _softmax(score)
        row, likeliest = np.arange(len(p)), np.argmax(p, axis=1)
        most = np.clip(p[row, likeliest], 1e-9, 1 - 1e-9)
        return _completed(self, p, np.log(most / (1 - most)), spread[row, likeliest])


def complete_drawn(people: Design, known: Sequence[Known], draw: Draw) -> list[Completed]:
    """Every question of everybody in `people`, for one call of `draw`."""
    learnt = learn(people, draw(moments(people, known)), [each.target for each in known])
    return [each.answer(people) for each in learnt]


def learn(trained: Design, noisy: Noisy, targets: Sequence[Target], trainees: int | None = None) -> list[Learnt]:
    """Every question from paid moments.

    trained: the reader's rows that the moments' people are among, or are like. trainees: how many rows could have been
    summed, where those are not `trained`: public. Errors: DesignMismatch; ValueError without rows.
    """
    wanted = cells(trained.cells, targets)
    if noisy.values.shape != (wanted,) or noisy.bits != BITS:
        raise DesignMismatch(noisy.values.size, wanted)
    if trained.rows == 0:
        raise ValueError("there is nobody to learn from")
    rate = min(1.0, trained.rows / (2 * trainees)) if trainees else 1.0
    learner = _Learner(trained, noisy.sigma * rate)
    blocks = iter(noisy.real.reshape(-1, trained.cells + 1) * rate)
    with threadpool_limits(limits=1, user_api="blas"):
        return [each for target in targets for each in learner.of(target, [next(blocks) for _ in range(target.blocks)])]


@dataclass(frozen=True, slots=True, eq=False)
class _Learner:
    """trained: rows that the sums are of, or are like. sigma: of the noise in one cell, in units of a row's length."""

    trained: Design
    sigma: float

    def of(self, target: Target, blocks: Sequence[Float]) -> Iterator[Learnt]:
        """From the sums of each of its values, and of all who are known where these are a set."""
        if target.at_most:
            everybody, among = blocks[-1], self.among(blocks[-1], self.sigma)
            for question, has in zip(questions([target]), blocks[:-1], strict=True):
                parent = _shares([everybody[-1] - has[-1], has[-1]])
                factor = math.hypot(1.0, float(parent[1]))
                yield Learnt(question, parent, (self.share(has, everybody, among, float(parent[1]), factor),))
            return
        everybody = np.asarray(sum(blocks))
        among = self.among(everybody, self.sigma * math.sqrt(len(blocks)))
        parent = _shares([each[-1] for each in blocks])
        question = Question(target)
        if len(blocks) == 2:
            yield Learnt(question, parent, (self.share(blocks[1], everybody, among, *_noise(parent, 1)),))
            return
        from scipy.special import logsumexp

        scores = np.tile(np.log(parent), (self.trained.rows, 1))
        each: list[Share] = []
        for at, block in enumerate(blocks):
            beside = logsumexp(np.delete(scores, at, axis=1), axis=1)
            each.append(self.share(block, everybody, among, *_noise(parent, at), beside))
            scores[:, at] = each[-1].model.score(self.trained)
        yield Learnt(question, parent, tuple(each))

    def among(self, everybody: Float, sigma: float) -> Among:
        """The chance that each person is known, from the sums over all who are."""
        model = SeedGLM(ceilings=()).fit_sums(self.trained, everybody, sigma)
        return Among(self.trained, model.probability(self.trained))

    def share(
        self, block: Float, everybody: Float, among: Among, parent: float, factor: float, beside: Float | None = None
    ) -> Share:
        """The chance that a known person has a value. factor: noise of the contrast over noise of a cell. beside: what
        the scores of other values add up to."""
        contrast, sigma = block - parent * everybody, self.sigma * factor
        known = max(everybody[-1] / ONE_PERSON, 1.0)
        off = sigma / ONE_PERSON / known / (parent * (1 - parent))
        rest = np.zeros(self.trained.rows) if beside is None else beside
        return fit_share(ShareProblem.of(among, contrast[:-1], sigma, parent, rest, off**2))


def _softmax(score: Float) -> Float:
    """Parts of the sum of all exp(score), a row; the sum is made in the order of the values."""
    each = np.exp(score - score.max(axis=1, keepdims=True))
    total = np.zeros(len(each))
    for at in range(each.shape[1]):
        total += each[:, at]
    return np.asarray(each / total[:, None])


def _completed(learnt: Learnt, probability: Float, toward: Float, spread: Float) -> Completed:
    """toward: log-odds of the likeliest value, with its spread."""
    low, high = sigmoid(toward - Z95 * spread), sigmoid(toward + Z95 * spread)
    most = probability.max(axis=1)
    low, high = np.minimum(low, most), np.maximum(high, most)
    return Completed(learnt.question, probability, low, high, np.where(low >= 0.5, most, 0.0), learnt.parent)


def _shares(counts: Sequence[float]) -> Float:
    """Of noisy counts, in units of a row's length; no value is taken to have less than one person."""
    people = np.maximum(np.array(counts) / ONE_PERSON, 1.0)
    return np.asarray(people / people.sum())


def _noise(parent: Float, at: int) -> tuple[float, float]:
    """A value's share, and the noise of its contrast over that of a cell: its own block's, and all others'."""
    p = float(parent[at])
    return p, math.sqrt((1 - p) ** 2 + (len(parent) - 1) * p**2)


def parents(counts: Sequence[float], sigma: float, *, several: bool) -> list[list[Estimate]]:
    """Which share of those who are known has each value, question by question, from the count cells of one attribute.

    several: of a set, whose last count is of all who are known. sigma: of the noise in a cell.
    """
    if not several:
        whole = sum(counts)
        return [
            [
                _share_of(each, whole, sigma, math.sqrt((1 - p) ** 2 + (len(counts) - 1) * p**2))
                for each, p in zip(counts, _shares(counts).tolist(), strict=True)
            ]
        ]
    *each, whole = counts
    found = []
    for has in each:
        yes = _share_of(has, whole, sigma, math.hypot(1.0, has / whole if whole > 0 else 1.0))
        found.append([Estimate(1 - yes.estimate, 1 - yes.high, 1 - yes.low), yes])
    return found


def _share_of(part: float, whole: float, sigma: float, factor: float) -> Estimate:
    """A share, and its interval for noise; all that is possible where the whole is lost in noise."""
    if whole < 3 * sigma:
        return Estimate(0.5, 0.0, 1.0)
    share, wide = min(max(part / whole, 0.0), 1.0), Z95 * sigma * factor / whole
    return Estimate(share, max(share - wide, 0.0), min(share + wide, 1.0))


def known_columns(design: Design) -> Int:
    """How many of its columns are known of each person."""
    known = np.zeros(design.rows, dtype=np.int64)
    for block, code in zip(design.columns, design.codes, strict=True):
        missing = len(block.levels) - 1
        if code.row is None:
            known += code.level != missing
        else:
            absent = np.zeros(design.rows, dtype=np.bool_)
            absent[code.row[code.level == missing]] = True
            known += ~absent
    return known
