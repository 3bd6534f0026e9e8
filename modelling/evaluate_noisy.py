"""How good a model is, where also the people in each score bin are secret: from two noisy histograms.

positives: seeds in each bin of the held-out people; rest: the others there. Both carry the same Gaussian noise. Every
figure q is the zero of a statistic T(q) of both histograms (a share: T = part - q whole; the AUC: T = U - q P N, with U
the pairs that are in order). Its interval is every q of a fine grid with T(q)² <= 1.96² var T(q), as Fieller inverted a
test in 1954: it widens to all that is possible where the denominator is lost in the noise.

var T, from the gradient g of T in the counts c: of noise σ² |g|², less σ⁴ Σ(second derivatives)² that noise itself puts
into |g|²; of who was held out, Σ c g², as counts of a multinomial (T is homogeneous, so its mean gradient is 0 at q).

The code ensures: every interval holds its estimate and, but for the two numbers of people, which noise may put below 0,
lies in the possible range; no figure is NaN or infinite.
The caller ensures: the histograms are of people the model was not fitted on; bins were made without looking at them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..dp.noisy import Z95, Estimate
from .design import Float, Int, Mask
from .grid import steps

COVERS = "noise and sampling"
STEPS = 2_001
SMALLEST_SHARE = 1e-3
"""Of people, of whom a lift is looked for."""

Gradient = tuple[Float, Float, Float, Float]
"""T, its gradient in positives and in the rest, and the sum of its squared mixed second derivatives; a row each q."""


@dataclass(frozen=True, slots=True)
class NoisyCut:
    """Everybody who scores in the best bins, as an audience. share: of all people. The rest as `evaluate.Cut`."""

    share: Estimate
    gain: Estimate
    lift: Estimate
    precision: Estimate


@dataclass(frozen=True, slots=True)
class NoisyEvaluation:
    """What a model is worth on people it did not see. rates: of positives in each bin, best first."""

    people: Estimate
    positives: Estimate
    auc: Estimate
    cuts: tuple[NoisyCut, ...]
    rates: tuple[Estimate, ...]


def evaluate_noisy(positives: Float, rest: Float, sigma: float, cuts: bool = True) -> NoisyEvaluation:
    """Read two noisy histograms. positives, rest: (bins,), best bin first, in people. sigma: noise of each cell.

    cuts: whether audiences are told, which takes longest.
    """
    if positives.shape != rest.shape or positives.ndim != 1 or len(positives) < 2:
        raise ValueError("there are two histograms, of the same bins")
    bins = len(positives)
    counts = _Counts(positives, rest, sigma, _ties(bins) + _within(bins))
    return NoisyEvaluation(
        people=_number(float(positives.sum() + rest.sum()), sigma * (2 * bins) ** 0.5),
        positives=_number(float(positives.sum()), sigma * bins**0.5),
        auc=_auc(counts),
        cuts=tuple(counts.cut(best) for best in range(1, bins if cuts else 0)),
        rates=tuple(counts.rate(at) for at in range(bins)),
    )


def area(positives: Float, rest: Float, sigma: float) -> Estimate:
    """How often a positive stands in a better bin than one of the rest, ties half. Best bin first."""
    counts = _Counts(positives, rest, sigma, _ties(len(positives)))
    return counts.zero(counts.auc, 1.0, 0.5)


Bins = tuple[Mask, Mask]
"""Some bins of either histogram."""


def ratio(positives: Float, rest: Float, sigma: float, top: Bins, bottom: Bins) -> Estimate:
    """People in the bins of `top` over people in those of `bottom`, of which they are some."""
    (p, m), (whole_p, whole_m) = ([each.astype(np.float64) for each in bins] for bins in (top, bottom))

    def linear(q: Float) -> Gradient:
        gp, gm = p - q[:, None] * whole_p, m - q[:, None] * whole_m
        return gp @ positives + gm @ rest, gp, gm, np.zeros(len(q))

    return _Counts(positives, rest, sigma, _ties(len(positives))).zero(linear, 1.0, 0.5)


def planned_halfwidth(positives: int, held_out: int, sigma: float, auc: float, few: bool = False) -> float:
    """Half the width the AUC's interval should have, from assumed sizes only; scores normal in both groups.

    sigma: noise of each bin. few: as of `grid.score_ends`.
    """
    from scipy.special import ndtr, ndtri

    ends = steps(few)[::-1]
    apart, share = float(np.sqrt(2) * ndtri(auc)), positives / held_out
    above = [np.append(ndtr(middle - ends), 1.0) for middle in (apart * (1 - share), -apart * share)]
    p, m = (n * np.diff(each, prepend=0.0) for n, each in zip((positives, held_out - positives), above, strict=True))
    expected = evaluate_noisy(p, m, sigma, cuts=False).auc
    return (expected.high - expected.low) / 2


def _number(value: float, sigma: float) -> Estimate:
    return Estimate(value, value - Z95 * sigma, value + Z95 * sigma)


def _auc(counts: _Counts) -> Estimate:
    """As straight lines across bins have it. Scores of two values in neighbouring bins put more pairs in order by that
    than there are: where no area explains the counts, ties count half."""
    if counts.explains(counts.auc, 1.0):
        return counts.zero(counts.auc, 1.0, 0.5)
    return area(counts.p, counts.m, counts.sigma)


def _ties(bins: int) -> Float:
    """How much of a pair is in order: a positive of bin b outranks the rest of bin c, and half of those of its own."""
    return np.asarray(np.triu(np.ones((bins, bins)), 1) + 0.5 * np.eye(bins))


def _within(bins: int) -> Float:
    """What is to be added where bins are equally wide: positives lie towards the better end of their bin.

    Ties that count half say .003 too little of an AUC of .79 in `grid.BINS`. So densities of both groups are taken as
    straight lines across a bin, as steep as between its neighbours: then 1/2 + (a - b) / 12 of a bin's pairs are in
    order, a and b being the slopes over the mean heights. Times both counts that is bilinear in counts: pairs with a
    neighbouring bin are given more or less weight, whatever was counted. The outermost bins have no end: there, half.
    Of scores that take few values, wherever these lie in their bins, that is wrong, by up to .02.
    """
    added, inner = np.zeros((bins, bins)), np.arange(1, bins - 1)
    for side, sign in ((-1, 1.0), (1, -1.0)):
        added[inner + side, inner] += sign / 24
        added[inner, inner + side] -= sign / 24
    return added


class _Counts:
    """Both histograms. sigma: noise of each cell. above: how much of a pair is in order, by the bins of both."""

    def __init__(self, positives: Float, rest: Float, sigma: float, above: Float) -> None:
        self.p, self.m, self.sigma, self.above = positives, rest, sigma, above
        self.held = np.maximum(positives, 0.0), np.maximum(rest, 0.0)

    def cut(self, best: int) -> NoisyCut:
        """The figures of the best so many bins."""
        inside = (np.arange(len(self.p)) < best).astype(np.float64)
        share = self._share(inside, inside)
        gain = self.zero(lambda q: self._linear(q, inside, np.zeros_like(inside), positives_only=True), 1.0, 0.5)
        precision = self.zero(lambda q: self._of(q, inside), 1.0, 0.5)
        return NoisyCut(share, gain, self.zero(lambda q: self._lift(q, inside), self._most(share), 1.0), precision)

    def _most(self, share: Estimate) -> float:
        """No lift is larger: not than one over the share, with all positives in it, nor than one over the rate of
        positives, with nobody else in it. Both as small as their own intervals leave them."""
        return 1 / max(share.low, self._rate.low, SMALLEST_SHARE)

    @cached_property
    def _rate(self) -> Estimate:
        """Share of positives in all bins."""
        return self.zero(lambda q: self._of(q, np.ones_like(self.p)), 1.0, 0.5)

    def rate(self, at: int) -> Estimate:
        """Share of positives in one bin."""
        alone = (np.arange(len(self.p)) == at).astype(np.float64)
        return self.zero(lambda q: self._of(q, alone), 1.0, 0.5)

    def _share(self, of_positives: Float, of_rest: Float) -> Estimate:
        return self.zero(lambda q: self._linear(q, of_positives, of_rest, positives_only=False), 1.0, 0.5)

    def _linear(self, q: Float, p: Float, m: Float, *, positives_only: bool) -> Gradient:
        """T = what lies inside - q of all (of all positives)."""
        gp, gm = p - q[:, None], m - q[:, None] * (0.0 if positives_only else 1.0)
        return gp @ self.p + gm @ self.m, gp, gm, np.zeros(len(q))

    def _of(self, q: Float, inside: Float) -> Gradient:
        """T = positives inside - q of everybody inside."""
        gp, gm = (1 - q)[:, None] * inside, -q[:, None] * inside
        return gp @ self.p + gm @ self.m, gp, gm, np.zeros(len(q))

    def auc(self, q: Float) -> Gradient:
        """T = U - q P N."""
        gp = self.above @ self.m - q[:, None] * self.m.sum()
        gm = self.p @ self.above - q[:, None] * self.p.sum()
        pairs, squares = float(self.above.sum()), float((self.above**2).sum())
        return gp @ self.p, gp, gm, squares - 2 * q * pairs + q**2 * self.above.size

    def _lift(self, q: Float, inside: Float) -> Gradient:
        """T = positives inside x everybody - q x positives x everybody inside, without what noise adds to squares."""
        p_in, everybody = float(inside @ self.p), float(self.p.sum() + self.m.sum())
        p_all, all_in = float(self.p.sum()), float(inside @ (self.p + self.m))
        gp = inside * everybody + p_in - q[:, None] * (all_in + p_all * inside)
        gm = p_in - q[:, None] * p_all * inside
        t = p_in * everybody - q * p_all * all_in - self.sigma**2 * float(inside.sum()) * (1 - q)
        return t, gp, gm + np.zeros_like(gp), 2.0 * len(self.p) * float(inside.sum()) * (1 + q**2)

    def zero(self, figure: Callable[[Float], Gradient], most: float, otherwise: float) -> Estimate:
        """The q from 0 to `most` at which T is no further than 1.96 standard deviations from 0.

        Where noise puts the zero beyond them, T is held against its least distance there, as likelihoods are whose
        ratio is taken: some q is always the likeliest, and none is refused for what no q explains.
        """
        q, t, spread = self._along(figure, most)
        falls = np.flatnonzero((t[:-1] >= 0) & (t[1:] < 0))
        away = _in_deviations(t, spread)
        nearest = int(np.argmin(away))
        least = 0.0 if len(falls) or not np.isfinite(away[nearest]) else float(away[nearest])
        beyond = t**2 - (Z95**2 + least) * spread
        inside = np.flatnonzero(beyond <= 0)
        if not len(inside) and not len(falls):
            return Estimate(otherwise, 0.0, most, COVERS)
        middle = _crossing(q, t, int(falls[0])) if len(falls) else float(q[nearest])
        low, high = (_end(q, beyond, inside, side) for side in (0, -1)) if len(inside) else (middle, middle)
        if not len(falls) and low <= 0 and high >= most:
            middle = otherwise
        return Estimate(min(max(middle, low), high), low, high, COVERS)

    def explains(self, figure: Callable[[Float], Gradient], most: float) -> bool:
        """Whether T is 0 at some q, or may be but for noise and luck."""
        _, t, spread = self._along(figure, most)
        return bool(((t[:-1] >= 0) & (t[1:] < 0)).any() or (_in_deviations(t, spread) <= Z95**2).any())

    def _along(self, figure: Callable[[Float], Gradient], most: float) -> tuple[Float, Float, Float]:
        """Every q that is tried, and there T and its variance."""
        q = np.linspace(0.0, most, STEPS)
        t, gp, gm, second = figure(q)
        noise = self.sigma**2 * ((gp**2).sum(axis=1) + (gm**2).sum(axis=1))
        noise = np.maximum(noise - self.sigma**4 * second, noise / 2)
        return q, t, noise + gp**2 @ self.held[0] + gm**2 @ self.held[1]


def _in_deviations(t: Float, spread: Float) -> Float:
    """T², in units of its variance: without any, 0 or no end."""
    nothing = np.where(t == 0, 0.0, np.inf)
    return np.divide(t**2, spread, out=nothing, where=spread > 0)


def _end(q: Float, beyond: Float, inside: Int, side: int) -> float:
    """Where the accepted values begin (side 0) or end (side -1), between two points of the grid."""
    at = int(inside[side])
    first = at - 1 if side == 0 else at
    return float(q[at]) if not 0 <= first < len(q) - 1 else _crossing(q, beyond, first)


def _crossing(q: Float, t: Float, at: int) -> float:
    """Where a straight line between two points of the grid passes 0."""
    return float(q[at] + (q[at + 1] - q[at]) * t[at] / (t[at] - t[at + 1]))
