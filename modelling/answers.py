"""How right the answers are, told by noisy counts of people who were held out and whose truth the other party knows.

A question has `CELLS` cells: by rank of the probability, whether true or not (`RANKS` x 2: AUC and calibration); and by
how many columns are known and how sure the answer is, whether right or not (`STRATA` x `SURE` x 2: how many are
answered and how many of those are right, at every `confident` of `GRID`, and for people of whom little is known).

Of an attribute with one value each, a person stands in one cell of either part. Of a set, each person is asked about
one of its values, by a keyed hash of the person, and stands in that question's cells alone. So a record moves two cells
by one for each attribute: `l2_squared` is twice their number, whatever the number of values.

The code ensures: cells follow from the reader's rows and from what was paid for before; a person's cells follow from
its own row, bit for bit (`completion.Learnt.answer`), so that nobody else's change when it goes; a person without a
truth is in none. `confident` moves no cell: another one is read from the same noisy counts.
The caller ensures: the people were held out of what the answers were learnt from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dp.aggregate import COUNT_BITS, COUNT_L2_SQUARED, Statistic
from ..dp.noisy import Z95, Estimate
from .attributes import Known
from .completion import Completed, Question
from .design import Float, Int, Mask
from .evaluate_noisy import area, ratio

Keyed = NDArray[np.uint64]
RANKS, STRATA = 10, 4
GRID = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""What `confident` may be."""
SURE = len(GRID) + 1
CELLS = 2 * RANKS + 2 * STRATA * SURE
MOVED = 2
"""Cells that one person moves, an attribute."""


def l2_squared(attributes: int) -> int:
    """The most one record moves the cells (L2, squared, lattice units)."""
    return int(MOVED * attributes * COUNT_L2_SQUARED)


def stratum_of(known: Int, columns: int) -> Int:
    """Which quarter of the columns is known of each person, 0 to 3."""
    return np.asarray(known * STRATA // (columns + 1), dtype=np.int64)


def stratum_ends(columns: int) -> list[tuple[int, int]]:
    """Fewest and most known columns of each stratum that a number of columns can have."""
    of = stratum_of(np.arange(columns + 1, dtype=np.int64), columns)
    return [(int(np.flatnonzero(of == at)[0]), int(np.flatnonzero(of == at)[-1])) for at in np.unique(of).tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """Tenths of the reader's people by a probability: of the second of two values, or of the likeliest.

    ends: between ranks, ascending; fewer where many have the same. predicted: mean probability of each rank, highest
    first, None where nobody is.
    """

    ends: Float
    predicted: tuple[float | None, ...]

    @classmethod
    def of(cls, completed: Completed) -> Ranks:
        chance = _chance(completed)
        ends = np.unique(np.quantile(chance, np.linspace(0, 1, RANKS + 1)[1:-1]))
        rank = _ranked(chance, ends)
        sums = np.bincount(rank, weights=chance, minlength=RANKS)
        many = np.bincount(rank, minlength=RANKS)
        return cls(ends, tuple(float(s / n) if n else None for s, n in zip(sums, many, strict=True)))


def _chance(completed: Completed) -> Float:
    return np.asarray(completed.probability[:, 1]) if len(completed.question.values) == 2 else completed.highest


def _ranked(chance: Float, ends: Float) -> Int:
    return np.asarray(len(ends) - np.searchsorted(ends, chance, side="right"), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where people stand in a question's cells, but for what is true. sure: how many of `GRID` confidence reaches."""

    question: Question
    rank: Int
    sure: Int
    stratum: Int
    likeliest: Int

    @classmethod
    def of(cls, completed: Completed, ranks: Ranks, stratum: Int) -> Places:
        rank = _ranked(_chance(completed), ranks.ends)
        sure = np.searchsorted(np.array(GRID), completed.confidence, side="right").astype(np.int64)
        return cls(completed.question, rank, sure, stratum, completed.likeliest)

    def cells(self, truth: Int) -> tuple[Int, Int]:
        """Both cells of everybody whose truth is known. truth: -1 where it is not."""
        at = np.flatnonzero(truth >= 0)
        true = truth[at]
        right = self.likeliest[at] == true
        of_rank = true == 1 if len(self.question.values) == 2 else right
        first = 2 * self.rank[at] + ~of_rank
        second = 2 * RANKS + 2 * (self.stratum[at] * SURE + self.sure[at]) + ~right
        return first.astype(np.int64), second.astype(np.int64)


def counted(places: Sequence[Places], known: Sequence[Known], asked: Keyed) -> Statistic:
    """Every question's cells, in order. known: of the same people. asked: a keyed hash of each: it decides which value
    of a set a person is asked about.
    """
    total = np.zeros(len(places) * CELLS, dtype=np.int64)
    of = {each.target.name: each for each in known}
    for at, place in enumerate(places):
        truths, topic = of[place.question.target.name], place.question.topic
        truth = truths.truth(topic)
        if topic is not None:
            truth = _of_the_asked(truth, asked % np.uint64(len(truths.target.values)) == topic)
        for cell in place.cells(truth):
            total[at * CELLS : (at + 1) * CELLS] += np.bincount(cell, minlength=CELLS)
    return Statistic(total << COUNT_BITS, COUNT_BITS, l2_squared(len(known)))


def _of_the_asked(truth: Int, asked: Mask) -> Int:
    """Who is asked about another value of a set stands in no cell of this one."""
    return np.where(asked, truth, -1)


@dataclass(frozen=True, slots=True)
class Level:
    """What asking to be so sure gives. answered: share of people; right: of those answers."""

    confident: float
    answered: Estimate
    right: Estimate


@dataclass(frozen=True, slots=True)
class Stratum:
    """People of whom so many columns are known. share: of all who are held out. The rest as `Level`."""

    share: Estimate
    answered: Estimate
    right: Estimate


@dataclass(frozen=True, slots=True)
class Quality:
    """How right the answers to a question are, on people held out.

    auc: of the second of two values, or of right answers among all, by the probability of the likeliest. accuracy: of
    everybody's likeliest value. rates: truths in each rank, highest probability first.
    """

    auc: Estimate
    accuracy: Estimate
    levels: tuple[Level, ...]
    strata: tuple[Stratum, ...]
    rates: tuple[Estimate, ...]


def quality(counts: Float, sigma: float, confident: float, strata: int) -> Quality:
    """Read a question's noisy cells, in people. confident: at which strata are told. strata: how many there can be."""
    ranks, sure = counts[: 2 * RANKS].reshape(RANKS, 2), counts[2 * RANKS :].reshape(STRATA * SURE, 2)
    told = _Told(sure[:, 0], sure[:, 1], sigma)
    place = np.arange(STRATA * SURE)
    everybody = np.ones(len(place), dtype=np.bool_)
    each = [place // SURE == at for at in range(strata)]
    reached = {level: place % SURE > at for at, level in enumerate(GRID)}
    rates = _Told(ranks[:, 0], ranks[:, 1], sigma)
    return Quality(
        area(ranks[:, 0], ranks[:, 1], sigma),
        told.right(everybody),
        tuple(Level(level, told.share(inside, everybody), told.right(inside)) for level, inside in reached.items()),
        tuple(
            Stratum(
                told.share(of, everybody), told.share(of & reached[confident], of), told.right(of & reached[confident])
            )
            for of in each
        ),
        tuple(rates.right(np.arange(RANKS) == at) for at in range(RANKS)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """People in some cells: for whom it is true, and for whom not."""

    true: Float
    false: Float
    sigma: float

    def share(self, inside: Mask, whole: Mask) -> Estimate:
        """Which share of the people of some cells is in others of them."""
        return ratio(self.true, self.false, self.sigma, (inside, inside), (whole, whole))

    def right(self, inside: Mask) -> Estimate:
        """For which share of the people of some cells it is true."""
        return ratio(self.true, self.false, self.sigma, (inside, np.zeros_like(inside)), (inside, inside))


def planned(people: float, sigma: float) -> float:
    """Half the width of the interval of right answers, from assumed sizes only: of so many held-out people seven in ten
    are answered, eight in ten of those right, in all strata, at .8.
    """
    answered, right = max(0.7 * people, 1e-9), 0.8
    noise = sigma**2 * STRATA * 3 * (right**2 + (1 - right) ** 2)
    return min(0.5, Z95 * math.sqrt(noise + answered * right * (1 - right)) / answered)
