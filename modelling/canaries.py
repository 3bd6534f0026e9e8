"""What an attacker could learn in practice: a lower bound on the privacy loss, beside the one that was charged.

Canaries go through the real code on people made from declared domains, never on submitted records: an audit of those
would be an unpaid release. Two audits, and an exact one:

- *Two worlds*: one worst-case person is in or out, many times over, with fresh noise. An attacker who knows all else
  guesses by a threshold fixed beforehand. Its error rates bound mu from below (Gaussian differential privacy: no test
  has Phi^-1(power) - Phi^-1(size) above mu; Dong, Roth, Su 2022, section 2), at 95 % by Clopper and Pearson.
- *One run*: thousands of canaries, each in or out by a coin, in a single run (Steinke, Nasr, Jagielski 2023,
  arXiv:2305.08846, theorem 5.2). It has teeth only with about ten thousand nearly orthogonal canaries.
- *Replay*: with the noisy bytes fixed, another label may change nothing (`follows_from`).

The code ensures: `lower` exceeds what was charged with probability at most .05 if the code keeps its promise.
The caller ensures: scores come from the real code under the audited charge; thresholds are not fitted to the runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binom, norm

from ..dp.aggregate import Statistic
from ..dp.noisy import Noisy
from .design import Design, Float, Int, Mask
from .draw import Draw
from .packed import Packed
from .person import DPGAM

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Audited:
    """lower: of the privacy loss that was met, 95 % sure. charged: what the ledger takes. unit: mu or epsilon."""

    lower: float
    charged: float
    unit: str
    runs: int

    @property
    def leaks(self) -> bool:
        """More was lost than was charged: the code breaks its promise."""
        return self.lower > self.charged


def two_worlds(score: Callable[[bool], float], charged_mu: float, runs: int, threshold: float = 0.5) -> Audited:
    """score: one fresh run with the canary in (True) or out, higher where it seems to be in. runs: in each world."""
    hits = sum(score(True) > threshold for _ in range(runs))
    alarms = sum(score(False) > threshold for _ in range(runs))
    return Audited(_mu(hits, alarms, runs), charged_mu, "mu", 2 * runs)


def _mu(hits: int, alarms: int, runs: int) -> float:
    side = (1 - CONFIDENCE) / 2
    power = float(beta.ppf(side, hits, runs - hits + 1)) if hits else 0.0
    size = float(beta.ppf(1 - side, alarms + 1, runs - alarms)) if alarms < runs else 1.0
    if power <= 0 or size >= 1:
        return 0.0
    return max(0.0, float(norm.ppf(power) - norm.ppf(size)))


def moved(draw: Draw, outside: Statistic, inside: Statistic) -> Callable[[bool], float]:
    """The best attack on one additive release: how far along the canary's own move the noisy sums lie, 0 to 1."""
    move = (inside.values - outside.values).astype(np.float64)
    length = float(move @ move)

    def score(within: bool) -> float:
        noisy = draw(inside if within else outside)
        return float((noisy.values - outside.values).astype(np.float64) @ move) / length

    return score


def worst_row(design: Design) -> int:
    """The person whose row is longest: the one a release says most about."""
    lengths = np.concatenate([(block**2).sum(axis=1) for block in design.blocks()])
    return int(np.argmax(lengths))


def membership_attack(design: Design, matched: Mask, draw: Draw) -> Callable[[bool], float]:
    """Is the person with the longest row among the matched? For the `membership` release."""
    row = worst_row(design)
    inside, outside = matched.copy(), matched.copy()
    inside[row], outside[row] = True, False
    return moved(draw, design.moments(outside), design.moments(inside))


def person_attack(design: Design, matched: Mask, draw: Draw, steps: int = 24) -> Callable[[bool], float]:
    """Is the person with the longest row there, a positive? For the `person` fit, by one who sees every noisy sum.

    All steps together are one test: each noisy sum is held against what both worlds would have given at its weights.
    """
    row = worst_row(design)
    label = matched.copy()
    label[row] = True
    kept = np.arange(design.rows) != row
    with_it, without = Packed.of(design), Packed.of(design.take(kept))

    def score(within: bool) -> float:
        real, said = (with_it, label) if within else (without, label[kept])
        seen = _Seen((with_it, label), (without, label[kept]))
        spy = _Spy(real.rows, real.columns, real.groups, real.digest, seen)
        DPGAM(steps=steps).fit_drawn(spy, said, seen.watching(draw))
        return seen.score()

    return score


@dataclass(frozen=True, slots=True, eq=False)
class _Spy(Packed):
    """People whose sums are written down as they are made, beside what both worlds would give."""

    seen: _Seen

    def margins(self, matched: Mask) -> Int:
        exact = Packed.margins(self, matched)
        self.seen.keep(exact, *(Packed.margins(world, label) for world, label in self.seen.worlds))
        return exact

    def pull(self, matched: Mask, intercept: float, effects: Sequence[Float]) -> Int:
        exact = Packed.pull(self, matched, intercept, effects)
        self.seen.keep(exact, *(Packed.pull(world, label, intercept, effects) for world, label in self.seen.worlds))
        return exact


class _Seen:
    """The canary's moves and where the noisy sums lie along them, summed over one fit."""

    def __init__(self, *worlds: tuple[Packed, Mask]) -> None:
        self.worlds = worlds
        self._noise: Int = np.zeros(0, dtype=np.int64)
        self._at, self._along, self._length = 0, 0.0, 0.0

    def watching(self, draw: Draw) -> Draw:
        def watched(statistic: Statistic) -> Noisy:
            noisy = draw(statistic)
            self._noise = noisy.values
            return noisy

        return watched

    def keep(self, exact: Int, inside: Int, outside: Int) -> None:
        noisy = exact + self._noise[self._at : self._at + len(exact)]
        self._at += len(exact)
        move = (inside - outside).astype(np.float64)
        self._along += float((noisy - outside).astype(np.float64) @ move)
        self._length += float(move @ move)

    def score(self) -> float:
        return self._along / self._length


def one_run(scores: Float, included: Mask, guesses: int, charged_epsilon: float, delta: float) -> Audited:
    """The lower bound from a single run with many canaries, each included by a fair coin.

    scores: one a canary, higher where it seems to be in. guesses: how many of the surest, half of them each way, are
    guessed; fixed beforehand.
    """
    order = np.argsort(scores)
    half = guesses // 2
    right = int(np.count_nonzero(included[order[-half:]])) + int(np.count_nonzero(~included[order[:half]]))
    lower = _epsilon_lower(right, 2 * half, len(scores), delta)
    return Audited(lower, charged_epsilon, "epsilon", 1)


def _epsilon_lower(right: int, guesses: int, canaries: int, delta: float) -> float:
    """The largest epsilon at which so many right guesses would still be surprising."""
    low, high = 0.0, 20.0
    if _surprise(right, guesses, canaries, 0.0, delta) > 1 - CONFIDENCE:
        return 0.0
    for _ in range(50):
        middle = (low + high) / 2
        if _surprise(right, guesses, canaries, middle, delta) <= 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return low


def _surprise(right: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Most probability of `right` or more right guesses under (epsilon, delta): Steinke et al. 2023, theorem 5.2."""
    q = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, q))
    steps = np.arange(1, right + 1)
    gathered = np.cumsum(binom.pmf(right - steps, guesses, q)) / steps
    return min(1.0, tail + 2 * canaries * delta * float(gathered.max(initial=0.0)))


def follows_from(audience: Callable[[Noisy, Mask], Int], noisy: Noisy, labels: Sequence[Mask]) -> bool:
    """Whether an audience follows from the noisy bytes alone: the same for every label, to the last person."""
    first, *others = [audience(noisy, label) for label in labels]
    return all(np.array_equal(first, other) for other in others)
