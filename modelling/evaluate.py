"""How good a lookalike is, from one noisy histogram: positives for each score bin of the held-out people.

With score bins of known size n_b (the owner's people: public to the reader) and noisy positives g_b, all that is
read here is post-processing. A quantity q (AUC, gain, precision) is the zero in q of a statistic T(q) that is
linear in q: T = top - q P for a share, T = U - q P (n - P) for the AUC. Its interval is every q with
T(q)^2 <= 1.96^2 var T(q), the test Fieller inverted in 1954: as var T holds the noise of the denominator too, the
interval widens to everything that is possible when P is lost in the noise, instead of breaking.

var T counts the noise of every bin, whose variance is known, and the luck of who was held out: for the AUC
DeLong's two components (1988), of positives and of the rest; for shares and rates the binomial at q, as Wilson's.

The code ensures: no figure is NaN or infinite; every interval lies in its possible range and holds its estimate.
The caller ensures: the histogram counts people the model was not fitted on; bins were made without labels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dp.noisy import Z95, Estimate, Noisy
from .audience import best_first
from .design import Float, Int
from .logistic import sigmoid

CUTS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Shares of the held-out people at which score bins end, best first."""
MOST_BINS = len(CUTS)
SMALLEST_BIN = 10
"""Bins of fewer people are merged into the next."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBins:
    """Held-out people by score, the best in bin 0.

    cell: int64, the bin of each row. totals: int64, people in each bin. predicted: mean modelled probability in
    each bin. All of it is the owner's own, and made without labels.
    """

    cell: Int
    totals: Int
    predicted: Float

    @classmethod
    def of(cls, scores: Float, tiebreak: np.typing.NDArray[np.uint64]) -> ScoreBins:
        """Bins by rank, ended at `CUTS`; equal scores by the keyed tiebreak. scores: log-odds, one a row.

        Errors: ValueError when nobody is held out, or a score is not finite.
        """
        if len(scores) == 0:
            raise ValueError("nobody is held out")
        totals = np.diff(bin_ends(len(scores)), prepend=0)
        cell = np.empty(len(scores), dtype=np.int64)
        cell[best_first(scores, tiebreak)] = np.repeat(np.arange(len(totals)), totals)
        return cls(cell, totals, np.bincount(cell, weights=sigmoid(scores)) / totals)

    def to_json(self) -> str:
        parts = {"cell": self.cell, "totals": self.totals, "predicted": self.predicted}
        return json.dumps({name: values.tolist() for name, values in parts.items()}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ScoreBins:
        """What `to_json` wrote. Errors: ValueError, KeyError or TypeError otherwise."""
        body = json.loads(text)
        cell, totals = (np.array(body[name], dtype=np.int64) for name in ("cell", "totals"))
        predicted = np.array(body["predicted"], dtype=np.float64)
        if predicted.shape != totals.shape or not np.array_equal(np.bincount(cell), totals):
            raise ValueError("cells and totals do not fit together")
        return cls(cell, totals, predicted)


def bin_ends(people: int, cuts: Sequence[float] = CUTS) -> Int:
    """How many of the best lie in bin 0, in bins 0 and 1, and so on: from the number of people alone.

    cuts: shares of the people at which bins end, the last of them 1.
    """
    ends: list[int] = []
    for cut in cuts[:-1]:
        end = math.ceil(cut * people)
        if end - (ends[-1] if ends else 0) >= SMALLEST_BIN and people - end >= SMALLEST_BIN:
            ends.append(end)
    return np.array([*ends, people], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Cut:
    """The best `people` of the held-out, a `share` of them all, as an audience.

    gain: share of all positives that are in it (the ROC's true positive rate). lift: gain over share.
    precision: share of it that is positive. false_positives: share of the rest that is in it (the ROC's x).
    """

    share: float
    people: int
    gain: Estimate
    lift: Estimate
    precision: Estimate
    false_positives: Estimate


@dataclass(frozen=True, slots=True)
class Calibration:
    """One score bin: what the model said on average (None where it was not handed in) and what came true."""

    people: int
    predicted: float | None
    rate: Estimate


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a lookalike is worth on people it did not see. auc: of positives against the rest."""

    people: int
    positives: Estimate
    auc: Estimate
    cuts: tuple[Cut, ...]
    calibration: tuple[Calibration, ...]

    def as_json(self) -> dict[str, object]:
        """Finite numbers only. `cuts` hold the ROC, gain, lift and precision curves."""
        return {
            "people": self.people,
            "positives": self.positives.as_json(),
            "auc": self.auc.as_json(),
            "cuts": [_cut_json(cut) for cut in self.cuts],
            "calibration": [
                {"people": bin_.people, "predicted": bin_.predicted, "rate": bin_.rate.as_json()}
                for bin_ in self.calibration
            ],
        }


def evaluate(noisy: Noisy, totals: Int, predicted: Float | None = None) -> Evaluation:
    """Read a paid histogram of positives per score bin.

    noisy: counts for each of `totals`' bins; further cells, declared but not used, are passed over.
    predicted: `ScoreBins.predicted`, for the calibration. Errors: ValueError when bins do not fit together.
    """
    return evaluate_counts(noisy.real, totals, np.full(len(totals), noisy.sigma**2), predicted)


def evaluate_flipped(yes: Int, totals: Int, flip: float, predicted: Float | None = None) -> Evaluation:
    """Read labels of randomised response: how many of each score bin's people have a yes.

    Of n people with g positives about g (1 - flip) + (n - g) flip have one, and that varies by n flip (1 - flip)
    whoever is positive: the count that follows for g is unbiased, and its variance known. flip: below a half.
    """
    counts, variance = unflipped(yes, totals, flip)
    return evaluate_counts(counts, totals, variance, predicted)


def unflipped(yes: Int, totals: Int, flip: float) -> tuple[Float, Float]:
    """Of people whose labels are flipped, so many with a yes: how many positives, and the variance of that, each."""
    less, people = 1 - 2 * flip, totals.astype(np.float64)
    variance: Float = people * (flip * (1 - flip) / less**2)
    return (yes - people * flip) / less, variance


def exact(histogram: Int, totals: Int, predicted: Float | None = None) -> Evaluation:
    """The same from a histogram without noise: for truth that was generated, and is no one's secret."""
    return evaluate_counts(histogram.astype(np.float64), totals, np.zeros(len(totals)), predicted)


def planned_auc_halfwidth(
    positives: int, held_out: int, sigma: float, auc: float, flip: float = 0.0, cuts: Sequence[float] = CUTS
) -> float:
    """Half the width the AUC's interval should have, from assumed sizes only.

    positives: among the `held_out` people. sigma: of the noise in one bin, in people. auc: assumed, more than 0
    and less than 1; scores are taken to be normal in both groups (binormal). flip: of labels by randomised response.
    cuts: shares at which bins end.
    """
    if not (0 < positives < held_out and 0 < auc < 1 and sigma >= 0):
        raise ValueError("sizes and AUC must lie within their ranges")
    totals = np.diff(bin_ends(held_out, cuts), prepend=0)
    noise = sigma**2 + totals * (flip * (1 - flip) / (1 - 2 * flip) ** 2)
    expected = _auc(_binormal(positives, totals, auc), totals, noise, people_below(totals))
    return (expected.high - expected.low) / 2


def evaluate_counts(
    counts: Float, totals: Int, noise: Float, predicted: Float | None, below: Float | None = None
) -> Evaluation:
    """Read counts of positives of any make, best bin first. noise: (bins,), the known variance of each.

    below: as of `people_below`, where more is known of it. Errors: ValueError when bins do not fit together.
    """
    bins = len(totals)
    if not 0 < bins <= len(counts) or (totals <= 0).any():
        raise ValueError("every bin needs its people and its count")
    seen = counts[:bins]
    people = int(totals.sum())
    positives, loose = float(seen.sum()), Z95 * math.sqrt(float(noise.sum()))
    ends = _clipped(positives, positives - loose, positives + loose, float(people), "noise")
    return Evaluation(
        people,
        ends,
        _auc(seen, totals, noise, people_below(totals) if below is None else below),
        tuple(_cut(seen, totals, noise, k) for k in range(1, bins)),
        _calibration(seen, totals, noise, predicted),
    )


def _calibration(seen: Float, totals: Int, noise: Float, predicted: Float | None) -> tuple[Calibration, ...]:
    said = [None] * len(totals) if predicted is None else predicted.tolist()
    rates = [rate_of(float(g), int(n), float(v)) for g, n, v in zip(seen, totals, noise, strict=True)]
    return tuple(Calibration(int(n), p, rate) for n, p, rate in zip(totals, said, rates, strict=True))


# The figures: each the zero of a statistic T(q) = top - q bottom, with var T(q) in three coefficients.

Variance = tuple[float, float, float]
"""(v0, v1, v2) of var T(q) = v0 - 2 v1 q + v2 q^2."""


def _auc(seen: Float, totals: Int, noise: Float, below: Float) -> Estimate:
    """Probability that a positive outranks one of the rest, ties half.

    U = sum g_b m_b counts, over positives, the people ranked below; P^2 / 2 of those pairs are among positives.
    So AUC P (n - P) = U - P^2 / 2, and P^2 is estimated without bias by (sum g)^2 - sum sigma_b^2.
    """
    n, positives, spare = float(totals.sum()), float(seen.sum()), float(noise.sum())
    square = positives**2 - spare
    top, bottom = float(seen @ below) - square / 2, n * positives - square
    held = np.clip(seen, 0, totals)
    above, p = np.cumsum(held) - held / 2, float(held.sum())
    variance = _added(
        # noise: dT/dg_b, and what is quadratic in the noise
        _spread(noise, below - positives, n - 2 * positives),
        _spread(np.array([2 * spare**2]), np.array([-0.5]), -1.0),
        # sampling: a positive outranks so many of the rest, and one of the rest loses to so many positives
        _spread(held, below - (p - above), n - p),
        _spread(totals - held, above, p),
    )
    return _invert(top, bottom, variance, otherwise=0.5, covers=_covers(spare))


def people_below(totals: Int) -> Float:
    """How many people a positive in each bin ranks above, on average: those in lower bins and about half its own.

    Half would be right if positives were spread evenly inside a bin. They thicken towards the better end, which
    would bias the AUC down by up to .004 (binormal scores); so their density is taken to be a straight line
    across each bin, with the slope between its neighbours' middles, which adds slope x n_b^3 / 12. That is a
    change of weights which depends on the totals alone, and what bias is left is below .0005.
    """
    n = totals.astype(np.float64)
    below: Float = n.sum() - np.cumsum(n) + n / 2
    if len(n) == 1:
        return below
    first = np.maximum(np.arange(len(n)) - 1, 0)
    last = np.minimum(np.arange(len(n)) + 1, len(n) - 1)
    weight = n**3 / 12 / (below[first] - below[last])
    np.add.at(below, first, weight / n[first])
    np.add.at(below, last, -weight / n[last])
    return below


def _cut(seen: Float, totals: Int, each: Float, bins: int) -> Cut:
    """The figures of the audience that takes the best `bins` bins."""
    people, inside = int(totals.sum()), int(totals[:bins].sum())
    top, rest = float(seen[:bins].sum()), float(seen[bins:].sum())
    parts = (inside, people - inside)
    noise = float(each[:bins].sum()), float(each[bins:].sum())
    edge = _rate_at(seen, totals, bins)
    gain = _share((top, rest), parts, noise, edge)
    others = _share((inside - top, people - inside - rest), parts, noise, 1 - edge)
    times = people / inside
    lift = Estimate(gain.estimate * times, gain.low * times, gain.high * times, gain.covers)
    kept = min(max(top / inside, 0.0), 1.0)
    moving = inside * (1 - inside / people) * (kept - edge) ** 2
    precision = rate_of(top, inside, noise[0], moving)
    return Cut(inside / people, inside, gain, lift, precision, others)


def _rate_at(seen: Float, totals: Int, bins: int) -> float:
    """The rate of positives at the lower end of bin `bins` - 1, on a line through the middles of two bins."""
    (g, h), (n, m) = seen[bins - 1 : bins + 1], totals[bins - 1 : bins + 1]
    return min(max(float((g / n * m + h / m * n) / (n + m)), 0.0), 1.0)


def _share(counts: tuple[float, float], people: tuple[int, int], noise: tuple[float, float], edge: float) -> Estimate:
    """Which share of a noisy whole lies in the first of two parts: T(q) = (1 - q) first - q second.

    people: in both parts, of whom `counts` are the whole; noise: variance of both counts; edge: rate at the cut.
    Luck, with k the first part's share of the people and pi the whole's: given who is where both counts are
    binomial; and the cut is a rank, which moves with the sample:
    n (pi q (1 - q) - edge k (1 - k))^2 / (k (1 - k)). Together that is what the influence function gives.
    """
    first, whole, n = counts[0], counts[0] + counts[1], sum(people)
    q = min(max(first / whole, 0.0), 1.0) if whole > 0 else 0.5
    k, pi = people[0] / n, min(max(whole / n, 0.0), 1.0)
    moving = n * (pi * q * (1 - q) - edge * k * (1 - k)) ** 2 / (k * (1 - k))
    inside, outside = (v + _luck(c, m) for v, c, m in zip(noise, counts, people, strict=True))
    variance = (inside + moving, inside, inside + outside)
    return _invert(first, whole, variance, otherwise=k, covers=_covers(sum(noise)))


def _luck(count: float, people: int) -> float:
    """Variance of a binomial count, two successes and two failures added: 0 of 10 is not certain.

    Source: Agresti & Coull 1998.
    """
    rate = (min(max(count, 0.0), float(people)) + 2) / (people + 4)
    return people * rate * (1 - rate)


def rate_of(count: float, people: int, noise: float, moving: float = 0.0) -> Estimate:
    """Which share of these people is positive: T(q) = count - q people, Wilson's interval with noise.

    noise: variance of the count. moving: more variance, where a cut by rank decides who these people are.
    """
    variance = (noise + moving, -people / 2, -float(people))
    return _invert(count, float(people), variance, otherwise=0.5, covers=_covers(noise))


def _spread(weight: Float, a: Float, b: float) -> Variance:
    """The coefficients of sum of weight (a - q b)^2."""
    return float(weight @ a**2), float(weight @ a) * b, float(weight.sum()) * b**2


def _added(*parts: Variance) -> Variance:
    return sum(p[0] for p in parts), sum(p[1] for p in parts), sum(p[2] for p in parts)


def _invert(top: float, bottom: float, variance: Variance, *, otherwise: float, covers: str) -> Estimate:
    """The q in [0, 1] at which T(q) = top - q bottom is no further than 1.96 standard deviations from 0.

    Where those are several pieces the interval spans them all; where none is in range, or the denominator is lost
    in the noise, it is [0, 1]. otherwise: the estimate when top / bottom says nothing.
    """
    z2 = Z95**2
    a, b, c = (x - z2 * v for x, v in zip((bottom**2, top * bottom, top**2), variance[::-1], strict=True))
    inside = [q for q in (0.0, 1.0) if a * q * q - 2 * b * q + c <= 0]
    inside += [q for q in _roots(a, b, c) if 0 <= q <= 1]
    low, high = (min(inside), max(inside)) if inside else (0.0, 1.0)
    return _clipped(top / bottom if bottom > 0 else otherwise, low, high, 1.0, covers)


def _roots(a: float, b: float, c: float) -> list[float]:
    """Of a q^2 - 2 b q + c, without cancellation."""
    if b * b < a * c:
        return []
    both = b + math.copysign(math.sqrt(b * b - a * c), b)
    return [p / r for p, r in ((both, a), (c, both)) if r != 0]


def _clipped(estimate: float, low: float, high: float, most: float, covers: str) -> Estimate:
    """An interval within [0, most] around its estimate."""
    low, high = min(max(low, 0.0), most), min(max(high, 0.0), most)
    return Estimate(min(max(estimate, low), high), low, high, covers)


def _covers(noise: float) -> str:
    return "noise and sampling" if noise > 0 else "sampling"


def _cut_json(cut: Cut) -> dict[str, object]:
    figures = {name: getattr(cut, name).as_json() for name in ("gain", "lift", "precision", "false_positives")}
    return {"share": cut.share, "people": cut.people, **figures}


def _binormal(positives: int, totals: Int, auc: float) -> Float:
    """Expected positives in each bin when both groups' scores are normal with one variance."""
    from scipy.special import ndtr, ndtri

    apart = math.sqrt(2) * float(ndtri(auc))
    threshold = np.linspace(-9 - abs(apart), 9 + abs(apart), 4001)[::-1]
    pi = positives / float(totals.sum())
    gain = ndtr(apart - threshold)
    share = (1 - pi) * ndtr(-threshold) + pi * gain
    ends = np.interp(np.cumsum(totals) / float(totals.sum()), share, gain)
    ends[-1] = 1.0
    return np.asarray(positives * np.diff(ends, prepend=0.0))
