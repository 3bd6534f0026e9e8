"""How right a lookalike's scores are by how much is known of a person: one noisy histogram, of strata by score.

A stratum is the people held out of whom so many columns are known: the quarters of the columns that completions have
(`answers.stratum_of`), each joined to the next where too few people fill it. All people's scores are cut into `ZONES`
by rank, the same for every stratum. Within a stratum a zone is cut further, in half by rank, its largest part first,
until it has `FEWEST_CELLS`: scores of people of whom little is known lie close together, and could not be told apart
in one zone. So every person held out is in one cell, every cell lies in one stratum and one zone, and none is empty.

Figures of all people are those of `evaluate` over zones: a zone's count is the sum of its cells', with the noise of
each. Figures of a stratum are those of `evaluate` over its cells, in each of which seeds are taken to be spread as the
model says. Both are post-processing.

**Shrunk.** A stratum's AUC and rate are drawn, as far as they are lost in noise, to what the model's own probabilities
make expect there, times how much more or less than expected all strata have together (`shrunk`). Not to the AUC of all
people, as would be usual: of whom less is known is told apart less well, and an AUC drawn to that of the others says
too much of just these. Beside it stands what a stratum's own seeds say, whose interval owes nothing to another.

The code ensures: cells follow from the owner's rows, the split and scores that were paid for, and from no label; one
person is in one cell; there are no more than `MOST_CELLS`, whatever the rows.
The caller ensures: the people were held out of what scores follow from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..dp.noisy import Estimate
from .answers import STRATA, stratum_of
from .audience import best_first
from .design import Float, Int
from .evaluate import Evaluation, bin_ends, evaluate_counts, rate_of
from .logistic import sigmoid
from .shrunk import shrunk

ZONES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Shares of the held-out people at which zones end, best first. Fewer than an evaluation without strata has: every
stratum has its own noise in each."""
FEWEST_CELLS = 5
MOST_CELLS = STRATA * len(ZONES)
SMALLEST_CELL = 10
"""A part of a zone is not cut into parts of fewer people."""
FEWEST_PEOPLE, SMALLEST_SHARE = 100, 0.1
"""A stratum of fewer people held out, or of a smaller share of them, is joined to the next: it would say little of
itself, and its noise would be in every figure of all people."""
OFF = 0.1
"""By how much the AUC of a stratum may be off what is expected of it (`shrunk`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stratum:
    """People of whom `fewest` to `most` columns are known, in cells by score, best first.

    zone, totals: (cells,) int64: in which zone each cell lies, and how many people are in it. predicted: (cells,), mean
    modelled probability. below: (cells,), how many of the stratum's people a seed in each cell scores above, ties half,
    were seeds spread in it as the model says: scores of people of whom nothing is known are all one.
    """

    fewest: int
    most: int
    zone: Int
    totals: Int
    predicted: Float
    below: Float

    @property
    def people(self) -> int:
        return int(self.totals.sum())


@dataclass(frozen=True, slots=True, eq=False)
class StratumCells:
    """Held-out people by stratum and score. cell: int64, of each row: those of the first stratum come first, and of one
    stratum the best."""

    cell: Int
    strata: tuple[Stratum, ...]

    @classmethod
    def of(cls, scores: Float, tiebreak: np.typing.NDArray[np.uint64], known: Int, columns: int) -> StratumCells:
        """scores: log-odds, one a row. known: how many of so many columns are known of each.

        Errors: ValueError where nobody is held out, or a score is not finite.
        """
        if len(scores) == 0:
            raise ValueError("nobody is held out")
        ranked = best_first(scores, tiebreak)
        ends = bin_ends(len(scores), ZONES)
        zone, stratum = np.empty(len(scores), dtype=np.int64), stratum_of(known, columns)
        zone[ranked] = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        cell, strata, first = np.empty(len(scores), dtype=np.int64), [], 0
        for held in joined(np.bincount(stratum, minlength=STRATA)):
            rows = ranked[np.isin(stratum[ranked], held)]
            parts = _parts(zone[rows])
            cell[rows] = first + np.repeat(np.arange(len(parts)), parts)
            first += len(parts)
            starts = np.cumsum(parts) - parts
            likely = np.maximum(sigmoid(scores[rows]), 1e-300)
            outdone = np.add.reduceat(likely * _below(scores[rows]), starts)
            predicted = np.add.reduceat(likely, starts)
            between = int(known[rows].min()), int(known[rows].max())
            strata.append(Stratum(*between, zone[rows][starts], parts, predicted / parts, outdone / predicted))
        return cls(cell, tuple(strata))


def joined(people: Int) -> list[list[int]]:
    """Which quarters make a stratum, least known first. people: held out in each quarter."""
    least, found, held = max(FEWEST_PEOPLE, SMALLEST_SHARE * int(people.sum())), list[list[int]](), list[int]()
    for at in range(len(people)):
        held.append(at)
        if people[held].sum() >= least:
            found.append(held)
            held = []
    if not found:
        return [held]
    found[-1] += held
    return found


def _below(scores: Float) -> Float:
    """How many score lower than each, ties half."""
    ascending = np.sort(scores)
    lower, upper = (np.searchsorted(ascending, scores, side) for side in ("left", "right"))
    return np.asarray((lower + upper) / 2)


def _parts(zone: Int) -> Int:
    """How many people of a stratum, best first, are in each of its cells. zone: of each of them, ascending."""
    parts = [int(many) for many in np.bincount(zone) if many]
    while len(parts) < FEWEST_CELLS and max(parts) >= 2 * SMALLEST_CELL:
        at = parts.index(max(parts))
        parts[at : at + 1] = [parts[at] // 2, parts[at] - parts[at] // 2]
    return np.array(parts, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Top:
    """Those of a stratum who are among the best `share` of all people. rate: of seeds among them. lift: over the rate
    of the stratum."""

    share: float
    people: int
    rate: Estimate
    lift: Estimate


@dataclass(frozen=True, slots=True)
class Quality:
    """What scores are worth for one stratum: by its own seeds, and shrunk, which is None where there is one stratum, or
    noise leaves nothing of any. rates: of seeds in each cell."""

    seeds: Estimate
    rate: Estimate
    auc: Estimate
    tops: tuple[Top, ...]
    rates: tuple[Estimate, ...]
    shrunk_rate: Estimate | None = None
    shrunk_auc: Estimate | None = None


def evaluate_strata(counts: Float, noise: Float, strata: Sequence[Stratum]) -> tuple[Evaluation, tuple[Quality, ...]]:
    """Read seeds by cell. counts: (cells or more,), in people. noise: their variances, (cells or more,).

    Errors: ValueError where cells do not fit together.
    """
    ends = np.cumsum([len(one.totals) for one in strata])
    if ends[-1] > min(len(counts), len(noise)):
        raise ValueError("there are more cells than counts")
    zone, people = (np.concatenate(each) for each in zip(*((one.zone, one.totals) for one in strata), strict=True))
    said = np.concatenate([one.predicted * one.totals for one in strata])
    zones = (np.bincount(zone, each) for each in (counts[: ends[-1]], noise[: ends[-1]], people, said))
    seen, spread, totals, said = (np.asarray(each, dtype=np.float64) for each in zones)
    whole = evaluate_counts(seen, totals.astype(np.int64), spread, said / np.maximum(totals, 1))
    parts = zip(np.split(counts, ends), np.split(noise, ends), strata, strict=False)
    shares = np.cumsum(totals) / totals.sum()
    return whole, _shrunk([_quality(*part, shares) for part in parts], whole, strata)


def _quality(counts: Float, noise: Float, stratum: Stratum, shares: Float) -> Quality:
    alone = evaluate_counts(counts, stratum.totals, noise, stratum.predicted, stratum.below)
    rate = rate_of(float(counts.sum()), stratum.people, float(noise.sum()))
    ends = [(zone, int(np.searchsorted(stratum.zone, zone, side="right"))) for zone in range(len(shares) - 1)]
    tops = [
        Top(float(shares[zone]), alone.cuts[end - 1].people, alone.cuts[end - 1].precision, alone.cuts[end - 1].lift)
        for zone, end in ends
        if 0 < end < len(counts)
    ]
    rates = tuple(bin_.rate for bin_ in alone.calibration)
    return Quality(alone.positives, rate, alone.auc, tuple(tops), rates)


def _shrunk(each: Sequence[Quality], whole: Evaluation, strata: Sequence[Stratum]) -> tuple[Quality, ...]:
    """The same with what each is once it is drawn to what the model expects, as far as that holds for all strata."""
    usual = max(whole.positives.estimate, 1.0) / whole.people
    said = [one.predicted * one.totals for one in strata]
    rates = shrunk(
        [one.rate for one in each],
        [float(p.sum()) / s.people for p, s in zip(said, strata, strict=True)],
        usual / 2,
        0.0,
    )
    alone = [
        evaluate_counts(p, s.totals, np.zeros(len(p)), None, s.below).auc.estimate
        for p, s in zip(said, strata, strict=True)
    ]
    aucs = shrunk([one.auc for one in each], alone, OFF, 0.5)
    return tuple(
        replace(one, shrunk_rate=rate, shrunk_auc=auc) for one, rate, auc in zip(each, rates, aucs, strict=True)
    )
