"""How right a model is by how much is known of a person, where also who is there is secret: from noisy histograms.

A stratum is a quarter of the columns, or less where there are fewer (`answers.stratum_ends`): how many of them are
known of a person is its own row's to say. Seeds and others are counted by stratum and score, in the same bins for all
strata. So one record is in one count, and a label that turns moves one more, as without strata.

How many people a stratum has is known by its noisy counts alone. Of these follow which strata are joined (`joined`),
figures of each, as of all (`evaluate_noisy`), and what is expected of them: a bin's people are taken to be positive as
the middle of the bin says. Figures are drawn to that as in `strata`. All of it is post-processing.

Bins are wide beside how much scores of people differ of whom little is known: their AUC comes out a little too low, and
so does what is expected of it.

The code ensures: nothing but noisy counts, ends of bins and the number of columns decides anything here.
The caller ensures: as `evaluate_noisy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dp.noisy import Estimate
from .answers import STRATA, stratum_ends, stratum_of
from .design import Float, Int
from .evaluate_noisy import NoisyEvaluation, evaluate_noisy, ratio
from .grid import FEW_BINS
from .logistic import sigmoid
from .shrunk import shrunk
from .strata import OFF, joined

SURELY = 3.0
"""A stratum has people where its noisy count is so many standard deviations of its noise above 0."""


@dataclass(frozen=True, slots=True)
class NoisyQuality:
    """What scores are worth for people of whom `fewest` to `most` columns are known.

    said: about what the model says of them on average, by the middle of each bin.

    shrunk_rate, shrunk_auc: None where there is one stratum, or noise leaves nothing of any.
    """

    fewest: int
    most: int
    said: float
    of: NoisyEvaluation
    rate: Estimate
    shrunk_rate: Estimate | None
    shrunk_auc: Estimate | None


def placed(cells: Int, known: Int, columns: int) -> Int:
    """Where each person is counted: strata one after the other, least known first, in each the best bin first.

    cells: score bins, of few. known: how many of so many columns are known.
    """
    stratum = np.searchsorted(_filled(columns), stratum_of(known, columns))
    return np.asarray(stratum * FEW_BINS + cells, dtype=np.int64)


def places(columns: int) -> int:
    """How many there are."""
    return len(_filled(columns)) * FEW_BINS


def evaluate_noisy_strata(
    positives: Float, rest: Float, sigma: float, columns: int, ends: Float
) -> tuple[NoisyEvaluation, tuple[NoisyQuality, ...]]:
    """Read two noisy histograms by `placed`: of all people, and of each stratum.

    sigma: noise of each count. columns: of the model. ends: of bins, log-odds, ascending.

    Errors: ValueError where these do not fit together.
    """
    if positives.shape != (places(columns),) or rest.shape != positives.shape or len(ends) != FEW_BINS - 1:
        raise ValueError("counts, columns and bins do not fit together")
    seeds, others = positives.reshape(-1, FEW_BINS), rest.reshape(-1, FEW_BINS)
    whole = evaluate_noisy(seeds.sum(axis=0), others.sum(axis=0), sigma * len(seeds) ** 0.5)
    people = np.zeros(STRATA, dtype=np.int64)
    people[_filled(columns)] = _told((seeds + others).sum(axis=1), sigma)
    found = [_Stratum.of(held, seeds, others, sigma, columns) for held in _joined(people, columns)]
    return whole, _drawn(found, whole, _likely(ends))


@dataclass(frozen=True, slots=True, eq=False)
class _Stratum:
    """Strata that were joined: first and last of known columns, both noisy histograms, and the noise of each bin."""

    ends: tuple[int, int]
    positives: Float
    rest: Float
    sigma: float

    @classmethod
    def of(cls, held: Sequence[int], positives: Float, rest: Float, sigma: float, columns: int) -> _Stratum:
        between = stratum_ends(columns)
        seeds, others = (np.asarray(counts[held].sum(axis=0)) for counts in (positives, rest))
        return cls((between[held[0]][0], between[held[-1]][1]), seeds, others, sigma * len(held) ** 0.5)

    def said(self, likely: Float) -> tuple[float, float]:
        """What the model makes expect: rate and AUC."""
        people = np.maximum(self.positives + self.rest, 0.0)
        seeds = people * likely
        told = evaluate_noisy(seeds, people - seeds, 0.0, cuts=False)
        return float(seeds.sum() / max(people.sum(), 1.0)), told.auc.estimate

    @property
    def rate(self) -> Estimate:
        every, none = np.ones(FEW_BINS, dtype=np.bool_), np.zeros(FEW_BINS, dtype=np.bool_)
        return ratio(self.positives, self.rest, self.sigma, (every, none), (every, every))


def _filled(columns: int) -> Int:
    """Which quarters a number of columns can be in."""
    return np.unique(stratum_of(np.arange(columns + 1, dtype=np.int64), columns))


def _told(people: Float, sigma: float) -> Int:
    """Of each stratum, how many people there are; none where noise alone may say as many."""
    return np.where(people > SURELY * sigma * (2 * FEW_BINS) ** 0.5, np.rint(people), 0).astype(np.int64)


def _joined(people: Int, columns: int) -> list[list[int]]:
    """Which strata are told together, by their positions. people: of each quarter."""
    position = {quarter: at for at, quarter in enumerate(_filled(columns).tolist())}
    held = [[position[quarter] for quarter in each if quarter in position] for each in joined(people)]
    return [each for each in held if each]


def _likely(ends: Float) -> Float:
    """How likely a positive is in each bin, the best first: at its middle. The outermost are as wide as their
    neighbours."""
    step = np.diff(ends)
    outer = np.concatenate([[ends[0] - step[0]], ends, [ends[-1] + step[-1]]])
    return sigmoid((outer[:-1] + outer[1:]) / 2)[::-1]


def _drawn(found: Sequence[_Stratum], whole: NoisyEvaluation, likely: Float) -> tuple[NoisyQuality, ...]:
    each = [evaluate_noisy(one.positives, one.rest, one.sigma, cuts=False) for one in found]
    rates, said = [one.rate for one in found], [one.said(likely) for one in found]
    usual = max(whole.positives.estimate, 1.0) / max(whole.people.estimate, 1.0)
    shrunk_rates = shrunk(rates, [rate for rate, _ in said], usual / 2, 0.0)
    shrunk_aucs = shrunk([one.auc for one in each], [auc for _, auc in said], OFF, 0.5)
    return tuple(
        NoisyQuality(one.ends[0], one.ends[1], expected, of, rate, shrunk_rate, shrunk_auc)
        for one, (expected, _), of, rate, shrunk_rate, shrunk_auc in zip(
            found, said, each, rates, shrunk_rates, shrunk_aucs, strict=True
        )
    )
